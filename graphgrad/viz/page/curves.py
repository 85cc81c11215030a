"""Rows of numbers as a page holds them: all of them, or the extremes and mean of each bin."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphgrad.viz.drawing.texts import readable

LONGEST = 80  # characters of a name
BINS = 600  # about as many as a curve has pixels
WHOLE = 2 * BINS  # a row that is no longer is kept as it is


def number(value: float, digits: int = 6) -> float | int | str:
    """Return what JSON can hold: a number of so many digits, or "nan", "inf", "-inf"."""
    value = float(value)
    if not math.isfinite(value):
        return str(value)
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def bin_size(count: int) -> int:
    """Return how many neighbours of a row this long share a bin: 1 up to 1200."""
    return 1 if count <= WHOLE else -(-count // BINS)


def curve(
    name: str, values: Sequence[float | None], digits: int = 6, **more: Any
) -> dict[str, Any]:
    """Return a row under its name: ``y``, or ``low``, ``mean``, ``high`` of each bin.

    These are of the finite values; ``broken`` says how many of a bin are not. None is a gap.
    """
    name = readable(name, LONGEST)
    size = bin_size(len(values))
    if size == 1:
        return {
            "name": name,
            "y": [None if v is None else number(v, digits) for v in values],
        } | more
    bins = [
        _summary(np.array([v for v in values[i : i + size] if v is not None], float))
        for i in range(0, len(values), size)
    ]
    low, mean, high = ([number(b[i], digits) for b in bins] for i in range(3))
    broken = [int(b[3]) for b in bins]
    return {"name": name, "low": low, "mean": mean, "high": high, "broken": broken} | more


def consecutive(unit: str, count: int, scale: float = 1.0) -> dict[str, Any]:
    """Return a horizontal axis of the items 1, 2, …, count; ``scale`` times that is the place."""
    return {"unit": unit, "count": count, "per": bin_size(count), "scale": scale}


def numbered(unit: str, numbers: Sequence[int]) -> dict[str, Any]:
    """Return a horizontal axis of items that have numbers of their own."""
    size, last = bin_size(len(numbers)), len(numbers) - 1
    starts = range(0, len(numbers), size)
    axis: dict[str, Any] = {"unit": unit, "from": [numbers[i] for i in starts], "per": size}
    if size > 1:
        axis["to"] = [numbers[min(i + size - 1, last)] for i in starts]
    return axis


def spans_decades(rows: Sequence[Any], factor: float = 30.0) -> bool:
    """Return whether values are all above 0 and so far apart that a logarithmic scale is apt."""
    values = np.concatenate([np.asarray(row, float) for row in rows])
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and values.max() > factor * values.min())


def _summary(values: Any) -> tuple[float, float, float, int]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return math.nan, math.nan, math.nan, values.size
    # each divided first: their sum may be infinite
    mean = float((finite / finite.size).sum())
    return float(finite.min()), mean, float(finite.max()), values.size - finite.size
