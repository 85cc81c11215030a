"""What is kept of a step that was watched: histograms and numbers, never the arrays."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphgrad.pieces import flat_pieces
from graphgrad.typing import Array

BINS = 40
_quiet = np.errstate(all="ignore")  # what is measured may have overflowed, and may here


@dataclass(frozen=True, slots=True)
class Distribution:
    """How the values of an array are spread; mean, deviation and histogram of the finite ones."""

    mean: float
    std: float
    low: float  # where the histogram begins
    high: float  # and ends
    counts: Any  # (40,) integers: how many values lie in each of equal bins
    broken: float  # the share that is NaN or infinite

    @property
    def edges(self) -> Array:
        """The 41 limits of the bins."""
        return np.linspace(self.low, self.high, BINS + 1)


@dataclass(frozen=True, slots=True)
class LayerMeasure:
    """What a layer put out in one step, and the gradient that came back to it."""

    kind: str  # its class
    weighted: bool  # whether it has a weight matrix of its own
    activations: Distribution
    gradients: Distribution | None  # None where no backward pass came by
    saturated: float | None  # the share of values, of Tanh and Sigmoid
    dead: Any  # (units,) of bool: whether it was at rest for every sample; None if not to be known

    def called(self, name: str) -> str:
        """Return the layer's name with its kind: of a Sequential the names are numbers only."""
        return name if name == self.kind else f"{name}: {self.kind}"


@dataclass(frozen=True, slots=True)
class ParameterMeasure:
    """Euclidean norms of a parameter, of what the step added to it, and of its gradient."""

    matrix: bool  # whether it has two axes or more: a weight, not a bias
    weight: float  # before the step
    update: float
    gradient: float | None  # as it stood after the step; None where there was none

    @property
    def ratio(self) -> float:
        """Update / weight; NaN where the weight was 0."""
        return self.update / self.weight if self.weight else math.nan


@dataclass(frozen=True, slots=True)
class Record:
    """One step: layers in the order in which they ran, and parameters, by name."""

    step: int
    layers: dict[str, LayerMeasure]
    parameters: dict[str, ParameterMeasure]


@_quiet
def distribution(x: Array) -> Distribution:
    """Measure an array of any shape and size, by pieces, so that no copy of it is made."""
    count, total, low, high = 0, 0.0, math.inf, -math.inf
    for piece in _finite(x):
        count += piece.size
        total += float(piece.sum())
        low = min(low, float(piece.min(initial=math.inf)))
        high = max(high, float(piece.max(initial=-math.inf)))
    counts = np.zeros(BINS, np.int64)
    if not count:
        return Distribution(math.nan, math.nan, 0.0, 1.0, counts, float(x.size > 0))
    mean, squares = total / count, 0.0
    for piece in _finite(x):
        squares += float(np.square(piece - mean).sum())
        if low < high:  # division first: the width may be too small to divide by
            place = ((piece - low) / (high - low) * BINS).astype(np.intp)
            counts += np.bincount(place.clip(0, BINS - 1), minlength=BINS)
    if low == high:
        counts[BINS // 2] = count
        half = abs(low) / 2 or 0.5
        low, high = low - half, high + half
    return Distribution(mean, math.sqrt(squares / count), low, high, counts, 1 - count / x.size)


@_quiet
def norm(x: Array) -> float:
    """Return the Euclidean norm of an array of any shape; NaN if it holds NaN."""
    return math.sqrt(sum(float(np.square(piece).sum()) for piece in flat_pieces(x, np.float64)))


@_quiet
def saturated(values: Array, low: float, high: float) -> float:
    """Return the share of values of a tanh between limits where its slope is below 5 % of the most.

    The threshold is ours. At y of a tanh between −1 and 1 the slope is 1 − y².
    """
    middle, half = (low + high) / 2, (high - low) / 2
    pieces = flat_pieces(values, np.float64)
    far = sum(int((np.square((piece - middle) / half) > 0.95).sum()) for piece in pieces)
    return far / max(int(values.size), 1)


def _finite(x: Array) -> Iterator[Any]:
    for piece in flat_pieces(x, np.float64):
        good = np.isfinite(piece)
        yield piece if good.all() else piece[good]
