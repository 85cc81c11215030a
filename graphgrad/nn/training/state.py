"""What a training run is at a moment: its parts, how far it is, and how both are kept in files."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphgrad.data.batches import Batches
from graphgrad.errors import (
    DtypeError,
    FileFormatError,
    GraphError,
    GraphgradError,
    NonFiniteError,
    ShapeError,
    StorageError,
)
from graphgrad.nn.evaluation import Means, Metric
from graphgrad.nn.modules.module import Module
from graphgrad.nn.training.checkpoints import Checkpoints, read_state, write_state
from graphgrad.nn.training.generators import Random, generators_of, restore, state_of
from graphgrad.nn.training.history import History
from graphgrad.nn.training.nonfinite import nonfinite_member
from graphgrad.optim.averaging import RunningAverage
from graphgrad.optim.optimizer import Optimizer
from graphgrad.optim.plateau import ReduceLROnPlateau
from graphgrad.optim.schedules import Schedule
from graphgrad.randomness import default_generator

Loss = Callable[[Any, Any], Any]  # scores, labels → one number, the mean over the samples


class Training:
    """The parts of a training run that have a state, and its counters; `Trainer` moves them on."""

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        batches: Batches,
        schedules: Sequence[Schedule | ReduceLROnPlateau],
        average: RunningAverage | None,
        rngs: Sequence[Random],
        checkpoints: Checkpoints | None,
        monitor: str,
        loss: Loss,
        metrics: Mapping[str, Metric],
    ) -> None:
        """Take the parts; nothing has been learned yet.

        Raises
        ------
        DtypeError
            If one of `rngs` is no generator.
        """
        self.model = model
        self.optimizer = optimizer
        self.batches = batches
        self.schedules = list(schedules)
        self.average = average
        self.rngs = list(rngs)
        self.checkpoints = checkpoints
        self.monitor = monitor
        self.loss = loss
        self.metrics = {"loss": loss, **metrics}
        for i, rng in enumerate(self.rngs):
            if not isinstance(rng, Random):
                message = f"Trainer: rngs[{i}] is a {type(rng).__name__}; give it as a "
                raise DtypeError(f"{message}numpy.random.Generator")
        self.history = History()
        self.step = 0  # updates so far
        self.epoch = 0  # whole epochs so far
        self.means = Means()  # over the epoch at hand
        self._opened = False  # whether the checkpoints in the folder are of this run

    def save(self, path: str | Path) -> None:
        """Write a checkpoint of this moment into a file of its own; see `load`."""
        write_state(self.state_dict(copy=False), Path(path))

    def load(self, path: str | Path) -> None:
        """Go on from a checkpoint: ``trainer.load(trainer.checkpoints.best)``.

        Raises
        ------
        FileFormatError
            If it is damaged, or of another model, optimizer or training: nothing changed then.
        """
        state = read_state(path)
        try:
            self._load(state, copy=False)
        except GraphgradError as error:
            raise FileFormatError(f"{path} is of another training run: {error.message}") from error

    def state_dict(self, copy: bool = True) -> dict[str, Any]:
        """Return copies of everything that `load_state_dict` needs to go on, bit for bit.

        ``copy=False`` gives the arrays themselves, for what is written at once.
        """
        return {
            "model": self.model.state_dict(copy),
            "optimizer": self.optimizer.state_dict(copy),
            **self._rest(copy=copy),
        }

    def _rest(self, *, copy: bool) -> dict[str, Any]:
        generators = {k: state_of(rng) for k, rng in self._generators().items()}
        rest = {
            "schedules": [schedule.state_dict() for schedule in self.schedules],
            "average": self.average.state_dict(copy) if self.average else None,
            "batches": self.batches.state_dict(),
            "generators": generators,
            "history": self.history.state_dict(),
            "means": self.means.state_dict(),
            "step": self.step,
            "epoch": self.epoch,
        }
        # before losses could have a state there was no such entry
        return rest | ({"losses": losses} if (losses := self._losses(copy=copy)) else {})

    def _losses(self, *, copy: bool) -> dict[str, Any]:
        """Name the states of the loss and the metrics that are modules."""
        states = {name: module.state_dict(copy) for name, module in self._judges()}
        return {name: state for name, state in states.items() if state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where ``state_dict`` was taken.

        Raises
        ------
        GraphgradError
            If it is of another training run: nothing changed then.
        """
        self._load(state, copy=True)

    def _load(self, state: Mapping[str, Any], *, copy: bool) -> None:
        # the optimizer and the average take other arrays then, so theirs need no copies
        before = {**self.state_dict(copy=False), "model": self.model.state_dict()}
        before |= {"losses": self._losses(copy=True)} if "losses" in before else {}
        try:
            _check_parts(before, state)
            self._take(state, copy=copy)
            _check_taken(state, self.state_dict(copy=False), self.batches.samples)
        except Exception as error:  # a damaged state may fail in any way
            self._take(before, copy=False)
            if isinstance(error, GraphgradError):
                raise
            message = f"the state is damaged: {error!r}"
            raise FileFormatError(message) from error

    def _take(self, state: Mapping[str, Any], *, copy: bool) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"], copy)
        for schedule, saved in zip(self.schedules, state["schedules"], strict=True):
            schedule.load_state_dict(saved)
        if self.average is not None:
            self.average.load_state_dict(state["average"], copy)
        self.batches.load_state_dict(state["batches"])
        for name, rng in self._generators().items():
            restore(rng, state["generators"][name])
        for name, module in self._judges():
            if name in state.get("losses", ()):
                module.load_state_dict(state["losses"][name])
        self.history.load_state_dict(state["history"])
        self.means.load_state_dict(state["means"])
        self.step, self.epoch = int(state["step"]), int(state["epoch"])

    def _judges(self) -> list[tuple[str, Module]]:
        """Name the loss and metrics that are modules, and so may have a state."""
        return [(name, judge) for name, judge in self.metrics.items() if isinstance(judge, Module)]

    def _generators(self) -> dict[str, Random]:
        """Name every generator that the training run may draw from."""
        found = {"default": default_generator(), **generators_of("model", self.model)}
        for name, judge in self.metrics.items():
            found |= generators_of(f"losses.{name}", judge)
        return found | {f"rngs.{i}": rng for i, rng in enumerate(self.rngs)}

    # -------------------------------------------------------------------------- checkpoints

    def _open_checkpoints(self, stack: contextlib.ExitStack, *, resume: bool) -> None:
        """See that checkpoints can be written; go on from the newest, if that is wanted."""
        if self.checkpoints is None:
            if resume:
                raise GraphError("Trainer.fit: resume=True needs checkpoints=")
            return
        latest = self.checkpoints.latest
        if latest and not (resume or self._opened):
            message = (
                f"Trainer.fit: {self.checkpoints.folder} has checkpoints of an earlier training "
                f"run; resume=True goes on from {latest.name}, name another folder, or delete this "
                "one"
            )
            raise StorageError(message)
        stack.enter_context(self.checkpoints.opened())
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
            raise NonFiniteError(f"{message}; {self._remedy()}")
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
    """Refuse a state of a training run with other parts."""
    for what, ours, theirs in (
        ("parts", sorted(own), sorted(state)),
        ("generators", sorted(own["generators"]), sorted(state.get("generators", ()))),
        ("schedules", len(own["schedules"]), len(state.get("schedules", ()))),
        ("a running average", own["average"] is not None, state.get("average") is not None),
        ("losses with a state", sorted(own.get("losses", ())), sorted(state.get("losses", ()))),
    ):
        if ours != theirs:
            message = f"{what} here: {ours}, in the state: {theirs}"
            raise ShapeError(message)


def _check_taken(given: Mapping[str, Any], taken: Mapping[str, Any], samples: int) -> None:
    """Refuse a state of which something reads otherwise once it is loaded, or cannot be."""
    problem = _difference(given, taken, "")
    history, means = taken["history"], taken["means"]
    if not problem and taken["step"] != len(history["losses"]):
        problem = f"{taken['step']} steps, but {len(history['losses'])} losses in the history"
    if not problem and taken["epoch"] != history["epochs"]:
        problem = f"{taken['epoch']} epochs, but {history['epochs']} in the history"
    if not problem and not 0 <= means["samples"] <= samples:
        problem = f"means over {means['samples']} samples of an epoch of {samples}"
    if problem:
        raise FileFormatError(f"the state is damaged: {problem}")


def _difference(given: Any, taken: Any, path: str) -> str:
    """Name the first number or text that was given otherwise than it was taken, or nothing."""
    if path == "optimizer.param_groups":
        return ""  # checked by the optimizer; a schedule of more epochs gives other rates
    if isinstance(taken, Mapping):
        pairs = [(str(key), given[key], value) for key, value in taken.items()]
    elif isinstance(taken, list | tuple):
        pairs = [(str(i), *pair) for i, pair in enumerate(zip(given, taken, strict=True))]
    elif isinstance(taken, np.ndarray):
        return ""  # checked by what took it, and perhaps cast
    else:
        same = given == taken or (given != given and taken != taken)  # noqa: PLR0124 - NaN
        same &= isinstance(given, bool) == isinstance(taken, bool)
        return "" if same else f"{path} is {given!r}"
    found = (_difference(a, b, f"{path}.{key}" if path else key) for key, a, b in pairs)
    return next(filter(None, found), "")
