"""What a training is at a moment: its parts, how far it is, and how both are kept in files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphgrad.data.batches import Batches
from graphgrad.errors import (
    FileFormatError,
    GraphError,
    GraphgradError,
    NonFiniteError,
    ShapeError,
    StorageError,
)
from graphgrad.nn.evaluation import Means
from graphgrad.nn.module import Module
from graphgrad.nn.training.checkpoints import Checkpoints, read_state, write_state
from graphgrad.nn.training.history import History
from graphgrad.nn.training.nonfinite import nonfinite_member
from graphgrad.node import here
from graphgrad.optim.averaging import RunningAverage
from graphgrad.optim.optimizer import Optimizer
from graphgrad.optim.plateau import ReduceLROnPlateau
from graphgrad.optim.schedules import Schedule
from graphgrad.randomness import default_generator


class Training:
    """The parts of a training that have a state, and its counters; `Trainer` moves them on."""

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        batches: Batches,
        schedules: Sequence[Schedule | ReduceLROnPlateau],
        average: RunningAverage | None,
        rngs: Sequence[np.random.Generator],
        checkpoints: Checkpoints | None,
        monitor: str,
    ) -> None:
        """Take the parts; nothing has been learned yet."""
        self.model = model
        self.optimizer = optimizer
        self.batches = batches
        self.schedules = list(schedules)
        self.average = average
        self.rngs = list(rngs)
        self.checkpoints = checkpoints
        self.monitor = monitor
        self.history = History()
        self.step = 0  # updates so far
        self.epoch = 0  # whole epochs so far
        self.means = Means()  # over the epoch at hand
        self._opened = False  # whether the checkpoints in the folder are of this training

    def save(self, path: str | Path) -> None:
        """Write a checkpoint of this moment into a file of its own; see `load`."""
        write_state(self.state_dict(), Path(path))

    def load(self, path: str | Path) -> None:
        """Go on from a checkpoint: ``trainer.load(trainer.checkpoints.best)``.

        Raises
        ------
        FileFormatError
            If it is damaged, or of another model, optimizer or training: nothing changed then.
        """
        state = read_state(path)
        try:
            self.load_state_dict(state)
        except GraphgradError as error:
            raise FileFormatError(f"{path} is of another training: {error}") from error

    def state_dict(self) -> dict[str, Any]:
        """Return copies of everything that `load_state_dict` needs to go on, bit for bit."""
        generators = {k: rng.bit_generator.state for k, rng in self._generators().items()}
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedules": [schedule.state_dict() for schedule in self.schedules],
            "average": self.average.state_dict() if self.average else None,
            "batches": self.batches.state_dict(),
            "generators": generators,
            "history": self.history.state_dict(),
            "means": self.means.state_dict(),
            "step": self.step,
            "epoch": self.epoch,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where ``state_dict`` was taken.

        Raises
        ------
        GraphgradError
            If it is of another training: nothing changed then.
        """
        before = self.state_dict()
        try:
            _check_parts(before, state)
            self._take(state)
        except Exception as error:  # a damaged state may fail in any way
            self._take(before)
            if isinstance(error, GraphgradError):
                raise
            message = f"the state is damaged: {error!r} (at {here()})"
            raise FileFormatError(message) from error

    def _take(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        for schedule, saved in zip(self.schedules, state["schedules"], strict=True):
            schedule.load_state_dict(saved)
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.batches.load_state_dict(state["batches"])
        for name, rng in self._generators().items():
            rng.bit_generator.state = state["generators"][name]
        self.history.load_state_dict(state["history"])
        self.means.load_state_dict(state["means"])
        self.step, self.epoch = int(state["step"]), int(state["epoch"])

    def _generators(self) -> dict[str, np.random.Generator]:
        """Name every generator that the training may draw from."""
        found = {"default": default_generator()}
        for path, module in self.model.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, np.random.Generator):
                    found[f"model.{path}.{name}"] = value
        return found | {f"rngs.{i}": rng for i, rng in enumerate(self.rngs)}

    # -------------------------------------------------------------------------- checkpoints

    def _open_checkpoints(self, *, resume: bool) -> None:
        """See that checkpoints can be written; go on from the newest, if that is wanted."""
        if self.checkpoints is None:
            if resume:
                raise GraphError(f"Trainer.fit: resume=True needs checkpoints= (at {here()})")
            return
        latest = self.checkpoints.latest
        if latest and not (resume or self._opened):
            message = (
                f"Trainer.fit: {self.checkpoints.folder} has checkpoints of an earlier training; "
                f"resume=True goes on from {latest.name}, or name another folder (at {here()})"
            )
            raise StorageError(message)
        self.checkpoints.prepare()
        if latest and resume:
            self.load(latest)
            if self._is_best():  # its mark may be missing, if it was the last thing written
                self.checkpoints.mark_best(latest)
        self._opened = True

    def _checkpoint(self) -> None:
        """Write a checkpoint, if any are wanted, and never one of a model that is broken."""
        if self.checkpoints is None:
            return
        if name := nonfinite_member(self.model):
            message = f"Trainer: {name} is not finite after step {self.step}"
            raise NonFiniteError(f"{message}; {self._remedy()} (at {here()})")
        self.checkpoints.save(self.state_dict(), self.step, best=self._is_best())

    def _is_best(self) -> bool:
        """Whether an epoch has just ended, and was the best so far."""
        done = self.history.epochs
        return done > 0 and not self.means.samples and self.history.best(self.monitor) == done - 1

    def _remedy(self) -> str:
        latest = self.checkpoints and self.checkpoints.latest
        good = f"the last good checkpoint is {latest}; " if latest else ""
        return f"{good}try a lower learning rate, clip_norm=, or look at the data"


def _check_parts(own: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Refuse a state of a training with other parts."""
    for what, ours, theirs in (
        ("parts", list(own), list(state)),
        ("generators", list(own["generators"]), list(state.get("generators", ()))),
        ("schedules", len(own["schedules"]), len(state.get("schedules", ()))),
        ("a running average", own["average"] is not None, state.get("average") is not None),
    ):
        if ours != theirs:
            message = f"{what} here: {ours}, in the state: {theirs} (at {here()})"
            raise ShapeError(message)
