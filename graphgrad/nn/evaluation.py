"""A model in use: predictions batch by batch, and how good they are."""

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from graphgrad.arguments import CALLED, PositiveInt, guarded
from graphgrad.data.dataset import checked
from graphgrad.engine.operands import as_array, unwrapped
from graphgrad.engine.recording import no_grad
from graphgrad.errors import ShapeError
from graphgrad.nn.modules.module import Module
from graphgrad.typing import Array

Metric = Callable[[Any, Any], float]  # scores, labels → the mean over the samples


# By module: its mode before, and how many blocks hold it in evaluation mode. Several threads may
# predict with one model at once, and only the last of them may let it train again.
_held: weakref.WeakKeyDictionary[Module, tuple[bool, int]] = weakref.WeakKeyDictionary()
_holding = threading.Lock()


@contextlib.contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Evaluate inside: nothing is recorded, dropout passes on; each module's mode comes back."""
    modules = list(model.modules())
    with _holding:
        for module in modules:
            mode, count = _held.get(module, (module.training, 0))
            _held[module] = mode, count + 1
    try:
        model.eval()
        with no_grad():
            yield
    finally:
        with _holding:
            for module in modules:
                mode, count = _held.pop(module)
                if count > 1:
                    _held[module] = mode, count - 1
                else:
                    module.training = mode


@guarded
def predict(model: Module, images: Array, batch_size: PositiveInt = 256) -> Array:
    """Return what a model makes of many images, a batch at a time, as one array.

    Memory is that of one batch. The model is in evaluation mode meanwhile.

    Parameters
    ----------
    model
        Any module with one input and one output.
    images
        The inputs, (N, …).
    batch_size
        How many at a time.

    Raises
    ------
    ShapeError
        If there are none.
    """
    images = unwrapped(as_array(images))
    if not images.ndim or not len(images):
        raise ShapeError(f"{CALLED}: images {images.shape}; give at least one")
    with evaluating(model):
        starts = range(0, len(images), batch_size)
        parts = [unwrapped(model(images[start : start + batch_size])) for start in starts]
    return np.concatenate(parts)


@guarded
def accuracy(scores: Array, labels: Array) -> float:
    """Return the share of samples whose highest score is the right class's.

    Parameters
    ----------
    scores
        (N, C); of equal ones the first counts. Of a tuple, such as GoogLeNet's in training, the
        first is meant.
    labels
        Class numbers (N,), or one-hot rows (N, C).

    Raises
    ------
    ShapeError
        If the shapes are others.
    """
    scores = scores[0] if isinstance(scores, tuple) else scores
    scores, labels = unwrapped(as_array(scores)), unwrapped(as_array(labels))
    if scores.ndim != 2 or not len(scores) or labels.shape not in (scores.shape, scores.shape[:1]):
        message = f"{CALLED}: scores {scores.shape}, labels {labels.shape}; they must be (N, C) "
        raise ShapeError(f"{message}and (N,) or (N, C)")
    right = labels if labels.ndim == 1 else labels.argmax(axis=1)
    return float(np.count_nonzero(scores.argmax(axis=1) == right) / len(scores))


@guarded
def evaluate(
    model: Module,
    dataset: tuple[Any, Any],
    metrics: Mapping[str, Metric],
    batch_size: PositiveInt = 256,
) -> dict[str, float]:
    """Return the mean of each metric over a dataset, a batch at a time, in evaluation mode.

    Parameters
    ----------
    model
        Any module.
    dataset
        Inputs and labels.
    metrics
        Functions ``(scores, labels) -> mean over the samples`` by name; losses are such.
    batch_size
        How many samples at a time.

    Raises
    ------
    ShapeError
        If the dataset is empty or its lengths differ.
    """
    dataset = checked(dataset)
    means = Means()
    with evaluating(model):
        for start in range(0, dataset.size, batch_size):
            images, labels = dataset.take(slice(start, start + batch_size))
            scores = model(images)
            values = {name: number(metric(scores, labels)) for name, metric in metrics.items()}
            means.add(values, len(images))
    return means.values()


class Means:
    """Means over samples that come in batches."""

    def __init__(self) -> None:
        self.samples = 0
        self.sums: dict[str, float] = {}

    def add(self, values: Mapping[str, float], samples: int) -> None:
        """Take in the means over one batch."""
        self.samples += samples
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + samples * value

    def values(self) -> dict[str, float]:
        """Return the means so far."""
        return {name: total / self.samples for name, total in self.sums.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the sums."""
        return {"samples": self.samples, "sums": dict(self.sums)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where ``state_dict`` was taken."""
        sums = {str(name): float(total) for name, total in state["sums"].items()}
        self.samples, self.sums = int(state["samples"]), sums


def number(value: Array) -> float:
    """Return a loss or metric, a Tensor or array of one element or a number, as Python's number.

    Raises
    ------
    ShapeError
        If it is something else.
    """
    item = getattr(unwrapped(value), "item", None)
    try:
        return float(item() if item else value)
    except (TypeError, ValueError) as error:
        message = f"a loss or metric is one number, not {np.shape(unwrapped(value))}; take the mean"
        raise ShapeError(message) from error
