"""The training loop: batches, validation, schedules, checkpoints, and a clean end."""

import contextlib
import math
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from graphgrad.arguments import CALLED, PositiveFloat, PositiveInt, guarded, several, wrong
from graphgrad.compiling.compiled import compile as compiled
from graphgrad.data.batches import Batches
from graphgrad.data.dataset import Dataset, checked
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import (
    ArgumentError,
    GraphError,
    NonFiniteError,
    UnsupportedError,
)
from graphgrad.nn.diagnosis.watching import Diagnosis
from graphgrad.nn.evaluation import Means, Metric, accuracy, evaluate, number
from graphgrad.nn.functional.losses.classification import cross_entropy
from graphgrad.nn.modules.module import Module
from graphgrad.nn.training.checkpoints import Checkpoints
from graphgrad.nn.training.generators import Random
from graphgrad.nn.training.history import History
from graphgrad.nn.training.nonfinite import cause_of
from graphgrad.nn.training.progress import progress_bar
from graphgrad.nn.training.state import Loss, Training
from graphgrad.optim.averaging import RunningAverage
from graphgrad.optim.clipping import clip_grad_norm
from graphgrad.optim.closures import ClosureOptimizer
from graphgrad.optim.optimizer import Optimizer
from graphgrad.optim.plateau import ReduceLROnPlateau
from graphgrad.optim.schedules import Schedule
from graphgrad.reprs import counted
from graphgrad.typing import Array


class Trainer(Training):
    """Let a model learn from batches.

    ::

        trainer = nn.Trainer(model, optimizer, data.Batches(train, 100, rng=rng), validation=held)
        history = trainer.fit(20)
        print(trainer.evaluate(test))

    Each batch: scores, loss, ``backward()``, ``optimizer.step()``, ``schedule.step()``,
    ``average.update()``. After each epoch: validation, a line of the history, a checkpoint.

    Ctrl-C ends ``fit`` after the batch at hand, with a checkpoint and the history so far; a
    second one ends it at once, without a checkpoint. A loss that is not finite stops it with the
    step, the batch and the op where the first NaN arose; the checkpoints before it are good.

    Modules are left in the mode in which they are, so that frozen parts may be in evaluation
    mode; a model that is wholly so is switched to training.

    Parameters
    ----------
    model
        Any module.
    optimizer
        Of its parameters; any but L-BFGS and Newton, which ask for a loop of their own.
    batches
        Samples in batches.
    loss
        A function or module ``(scores, labels) -> loss``, a mean over the samples.
    validation
        Samples that the model never learns from; what is best is chosen by them.
    metrics
        More functions ``(scores, labels) -> number`` by name; None is the accuracy, where labels
        are class numbers or one-hot rows.
    schedule
        One or several; `ReduceLROnPlateau` gets the monitored value after each epoch.
    schedule_each
        Whether the others step after each ``"batch"`` or ``"epoch"``.
    average
        A running average of the parameters; validation and ``evaluate`` use it.
    clip_norm
        The largest norm of the gradient; None is any.
    patience
        After this many epochs in a row without a new best of ``monitor`` it ends; None is never.
    monitor
        The column of the history that tells what is best: the lowest, if its name ends in
        "loss", else the highest. None is the loss, of the validation where there is one.
    checkpoints
        Where to write them; None is nowhere.
    diagnosis
        A `Diagnosis` that watches some of the steps.
    rngs
        More generators whose states are part of a checkpoint. The default one, that of the
        batches and those that the model, the loss and the metrics hold or name always are: in
        attributes, lists and dicts, partial functions, closures, globals that a function uses.
        Those in slots or behind a Python generator, and that of ``np.random`` itself, are not
        found.
    progress
        Whether to show a bar for each epoch; None is in terminals and notebooks.
    compile
        Whether scores, loss and ``backward()`` run as a program, by ``gg.compile``: the same bits
        in less time. What cannot run so runs as usual.

    Raises
    ------
    DtypeError
        If the optimizer or the batches are something else, such as a `Dataset`.
    GraphError
        If the optimizer or the average has parameters that the model has not, or a schedule is of
        another optimizer.
    ShapeError
        If the validation data are empty or of two lengths.
    UnsupportedError
        For an optimizer whose step asks for the loss several times.
    """

    @guarded
    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        batches: Batches,
        loss: Loss = cross_entropy,
        *,
        validation: tuple[Any, Any] | None = None,
        metrics: Mapping[str, Metric] | None = None,
        schedule: Schedule | ReduceLROnPlateau | Sequence[Schedule | ReduceLROnPlateau] = (),
        schedule_each: Literal["batch", "epoch"] = "batch",
        average: RunningAverage | None = None,
        clip_norm: PositiveFloat | None = None,
        patience: PositiveInt | None = None,
        monitor: str | None = None,
        checkpoints: Checkpoints | None = None,
        diagnosis: Diagnosis | None = None,
        rngs: Sequence[Random] = (),
        progress: bool | None = None,
        compile: bool = False,  # noqa: A002 - as gg.compile
    ) -> None:
        schedules = _schedules(schedule)
        _check_parts(model, optimizer, schedules, average)
        if metrics is None:
            metrics = {"accuracy": accuracy} if _classes(batches.dataset) else {}
        self.validation = None if validation is None else checked(validation)
        self.schedule_each = schedule_each
        self.clip_norm = clip_norm
        self.patience = patience
        self.diagnosis = diagnosis
        self.progress = progress
        self.interrupted = False  # whether Ctrl-C ended the last fit
        self._asked_to_stop = False
        self._rate = math.nan  # of the last step
        monitor = monitor or ("validation_loss" if self.validation else "loss")
        measured = ["loss", *metrics]
        known = [*measured, *(f"validation_{m}" for m in measured if self.validation), "lr"]
        if monitor not in known:
            message = f"{CALLED}: monitor={monitor!r}; the columns are {', '.join(known)}"
            raise ArgumentError(message)
        super().__init__(
            model,
            optimizer,
            batches,
            schedules,
            average,
            rngs,
            checkpoints,
            monitor,
            loss,
            metrics,
        )
        self._compute = compiled(_forward_and_backward(model, optimizer, loss)) if compile else None

    # ----------------------------------------------------------------------------- learning

    @guarded
    def fit(self, epochs: PositiveInt, *, resume: bool = False) -> History:
        """Learn until ``epochs`` epochs are done in all; return the history of all of them.

        Parameters
        ----------
        epochs
            Including those done before, by an earlier call or by the run that is resumed. Where
            that many are done, nothing is learned, and a line on stderr says so.
        resume
            Go on from the newest checkpoint, if there is any: bit for bit as if the run that
            wrote it had never been interrupted.

        Raises
        ------
        NonFiniteError
            If the loss is not finite.
        StorageError
            If checkpoints cannot be written, or are there already and ``resume`` is False.
        FileFormatError
            If the newest checkpoint is damaged or of another training run.
        """
        with contextlib.ExitStack() as stack:
            self._open_checkpoints(stack, resume=resume)
            if self.epoch >= epochs:
                done = counted(self.epoch, "epoch")
                sys.stderr.write(f"{done} done already: fit(epochs) takes how many in all\n")
            return self._fit(epochs)

    def _fit(self, epochs: int) -> History:
        self.interrupted = self._asked_to_stop = False
        if not any(module.training for module in self.model.modules()):
            self.model.train()
        try:
            with self._stoppable():
                while self.epoch < epochs and not (self._asked_to_stop or self.stalled):
                    self._fit_epoch(epochs)
                self.interrupted = self._asked_to_stop
        except KeyboardInterrupt:
            self.interrupted = True
        if self.interrupted:
            done = f"{self.epoch} epochs and {self.step} steps are done"
            sys.stderr.write(f"\ninterrupted: {done}\n")
        return self.history

    @property
    def stalled(self) -> bool:
        """Whether ``patience`` epochs have passed without a new best."""
        if self.patience is None or not self.history.epochs:
            return False
        return self.history.epochs - 1 - self.history.best(self.monitor) >= self.patience

    def _fit_epoch(self, epochs: int) -> None:
        if self.means.samples:  # in the middle of one
            self.batches.load_state_dict(self.batches.state_dict())
        with progress_bar(
            f"epoch {self.epoch + 1}/{epochs}",
            self.batches.samples,
            self.means.samples,
            self.progress,
        ) as show:
            for images, labels in self.batches:
                self._learn(images, labels)
                show(self.means.samples, self.means.values())
                if self.batches.batch == 0:
                    break  # the last one
                if self._asked_to_stop:
                    self._checkpoint()
                    return
                every = self.checkpoints and self.checkpoints.every
                if every and self.step % every == 0:
                    self._checkpoint()
            row = self.means.values()
            if self.validation is not None:
                found = self.evaluate(self.validation)
                row |= {f"validation_{name}": value for name, value in found.items()}
            show(self.means.samples, row)
        self._end_epoch({**row, "lr": self._rate})

    def _learn(self, images: Array, labels: Array) -> None:
        """Take one step."""
        watched = self.diagnosis.step(self.step) if self.diagnosis else contextlib.nullcontext()
        with watched:
            if self._compute is None:
                scores, loss, value = self._scored(images, labels)
                self.optimizer.zero_grad()
                loss.backward()
            else:
                scores, loss = self._compute(images, labels)
                value = number(loss)
                if not math.isfinite(value):
                    self._scored(images, labels)
            if self.clip_norm is not None:
                clip_grad_norm(self.optimizer.params, self.clip_norm)
            self.optimizer.step()
        self.step += 1
        self._rate = self.optimizer.param_groups[0]["lr"]  # before a schedule changes it
        if self.schedule_each == "batch":
            self._step_schedules()
        if self.average is not None:
            self.average.update()
        self.history.losses.append(value)
        values = {k: number(f(scores, labels)) for k, f in self.metrics.items() if k != "loss"}
        self.means.add({"loss": value, **values}, len(images))

    def _scored(self, images: Array, labels: Array) -> tuple[Any, Any, float]:
        """Return scores, loss and its number; raise if that is not finite."""
        scores = self.model(images)
        loss = self.loss(scores, labels)
        value = number(loss)
        if not math.isfinite(value):
            raise NonFiniteError(self._diagnosed(loss, value, images, labels))
        return scores, loss, value

    def _end_epoch(self, row: Mapping[str, float]) -> None:
        self.history.append(row)
        self.epoch += 1
        self.means = Means()
        if self.schedule_each == "epoch":
            self._step_schedules()
        for schedule in self.schedules:
            if isinstance(schedule, ReduceLROnPlateau):
                schedule.step(row[self.monitor])
        self._checkpoint()

    def _step_schedules(self) -> None:
        for schedule in self.schedules:
            if isinstance(schedule, Schedule):
                schedule.step()

    @contextlib.contextmanager
    def _stoppable(self) -> Iterator[None]:
        """Let the first Ctrl-C ask for an end after the batch at hand, the second raise."""
        usual = signal.default_int_handler
        alone = threading.current_thread() is not threading.main_thread()
        if alone or signal.getsignal(signal.SIGINT) is not usual:
            yield  # someone else decides what Ctrl-C does
            return

        def ask(*_: Any) -> None:
            self._asked_to_stop = True
            signal.signal(signal.SIGINT, usual)
            sys.stderr.write("\nends after this batch; once more ends it now\n")

        signal.signal(signal.SIGINT, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, usual)

    # ------------------------------------------------------------------------------ using it

    def evaluate(self, dataset: tuple[Any, Any], batch_size: int = 256) -> dict[str, float]:
        """Return the loss and the metrics over a dataset, of the averaged parameters if any.

        Raises
        ------
        ShapeError
            If the dataset is empty or of two lengths.
        """
        average = self.average if self.average and self.average.updates else None
        with average.applied() if average else contextlib.nullcontext():
            return evaluate(self.model, dataset, self.metrics, batch_size)

    # ------------------------------------------------------------------- what is not finite

    def _diagnosed(self, loss: Tensor, value: float, images: Array, labels: Array) -> str:
        """Say where a loss that is not finite comes from, and what to do."""
        cause = cause_of(loss, self.model, lambda: self.loss(self.model(images), labels), images)
        where = f"epoch {self.epoch + 1}, batch {self.batches.batch or len(self.batches)}"
        message = f"Trainer: the loss is {value} at step {self.step + 1} ({where} of "
        return f"{message}{len(self.batches)}): {cause}; {self._remedy()}"

    def __repr__(self) -> str:
        """Show how far it is."""
        name = f"{type(self.model).__name__} by {type(self.optimizer).__name__}"
        done = f"{counted(self.epoch, 'epoch')}, {counted(self.step, 'step')}"
        return f"<Trainer of {name} after {done}>"


def _schedules(given: Any) -> list[Schedule | ReduceLROnPlateau]:
    """List the schedules, of which there may be one by itself."""
    kinds = Schedule | ReduceLROnPlateau
    if isinstance(given, kinds):
        return [given]
    schedules = several(CALLED, "schedule", given, "schedules")
    for schedule in schedules:
        if not isinstance(schedule, kinds):
            raise wrong(CALLED, "schedule", schedule, "a Schedule or ReduceLROnPlateau")
    return schedules


def _check_parts(
    model: Module,
    optimizer: Optimizer,
    schedules: Sequence[Schedule | ReduceLROnPlateau],
    average: RunningAverage | None,
) -> None:
    """Refuse parts that belong to another model or optimizer."""
    if isinstance(optimizer, ClosureOptimizer):
        name = type(optimizer).__name__
        message = f"{CALLED}: {name} asks for the loss several times a step; write its loop"
        raise UnsupportedError(f"{message}: optimizer.step(closure)")
    own = set(model.parameters())
    for what, params in (
        ("optimizer", optimizer.params),
        ("running average", average.params if average else []),
    ):
        if foreign := sum(p not in own for p in params):
            message = (
                f"{CALLED}: {foreign} of the {what}'s {len(params)} parameters are not this "
                "model's; make it with model.parameters()"
            )
            raise GraphError(message)
    for schedule in schedules:
        if schedule.optimizer is not optimizer:
            message = f"{CALLED}: {schedule!r} is of another optimizer; make it with this one"
            raise GraphError(message)
        if isinstance(schedule, Schedule):
            schedule.check_followed()


def _classes(dataset: Dataset) -> bool:
    """Whether the labels are class numbers or one-hot rows."""
    labels = dataset.labels
    if labels.ndim == 1:
        return bool(labels.dtype.kind in "iu")
    return bool(labels.ndim == 2 and np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all())


def _forward_and_backward(model: Module, optimizer: Optimizer, loss: Loss) -> Any:
    """Return a step up to the gradients, as a function to compile."""

    def step(images: Array, labels: Array) -> tuple[Any, Any]:
        optimizer.zero_grad()
        scores = model(images)
        cost: Any = loss(scores, labels)
        cost.backward()
        return scores.detach(), cost.detach()

    return step
