"""Curves as a page stores them: every number, or minimum, mean and maximum of each bin."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphgrad.viz.drawing.texts import readable

NAME_LENGTH = 80  # characters of a name
BINS = 600  # about as many as a curve has pixels
UNBINNED = 2 * BINS  # numbers up to which a row is not binned


def json_number(value: float, digits: int = 6) -> float | int | str:
    """Return a number rounded to some digits, or the string "nan", "inf" or "-inf", for JSON."""
    value = float(value)
    if not math.isfinite(value):
        return str(value)
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def bin_size(count: int) -> int:
    """Return the size of the bins for a row of this length: 1 up to 1200 numbers."""
    return 1 if count <= UNBINNED else -(-count // BINS)


def curve(
    name: str, values: Sequence[float | None], digits: int = 6, **more: Any
) -> dict[str, Any]:
    """Return a named row: ``y``, or ``low``, ``mean``, ``high`` of each bin.

    These are of the finite values; ``broken`` counts the others in each bin. None is a gap.
    """
    name = readable(name, NAME_LENGTH)
    size = bin_size(len(values))
    if size == 1:
        return {
            "name": name,
            "y": [None if v is None else json_number(v, digits) for v in values],
        } | more
    bins = [
        _summary(np.array([v for v in values[i : i + size] if v is not None], float))
        for i in range(0, len(values), size)
    ]
    low, mean, high = ([json_number(b[i], digits) for b in bins] for i in range(3))
    broken = [int(b[3]) for b in bins]
    return {"name": name, "low": low, "mean": mean, "high": high, "broken": broken} | more


def index_axis(unit: str, count: int, scale: float = 1.0) -> dict[str, Any]:
    """Return a horizontal axis of the items 1, 2, …, count, at ``scale`` times their numbers."""
    return {"unit": unit, "count": count, "per": bin_size(count), "scale": scale}


def number_axis(unit: str, numbers: Sequence[int]) -> dict[str, Any]:
    """Return a horizontal axis of items with given numbers."""
    size, last = bin_size(len(numbers)), len(numbers) - 1
    starts = range(0, len(numbers), size)
    axis: dict[str, Any] = {"unit": unit, "from": [numbers[i] for i in starts], "per": size}
    if size > 1:
        axis["to"] = [numbers[min(i + size - 1, last)] for i in starts]
    return axis


def spans_decades(rows: Sequence[Any], factor: float = 30.0) -> bool:
    """Whether all values are above 0 and differ by so much that a logarithmic scale is better."""
    values = np.concatenate([np.asarray(row, float) for row in rows])
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and values.max() > factor * values.min())


def _summary(values: Any) -> tuple[float, float, float, int]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return math.nan, math.nan, math.nan, values.size
    # divided before the sum, which might overflow
    mean = float((finite / finite.size).sum())
    return float(finite.min()), mean, float(finite.max()), values.size - finite.size
