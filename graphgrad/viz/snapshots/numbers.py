"""Summaries of arrays in a few numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphgrad.engine.graph import KEPT_ELEMENTS
from graphgrad.typing import Array


@dataclass(frozen=True, slots=True)
class Numbers:
    """A summary of an array."""

    elements: tuple[float, ...] | None  # in C order; None where there are more than a few
    mean: float
    std: float
    norm: float


def total(parts: Sequence[Numbers | None]) -> Numbers | None:
    """Summarize the sum of arrays; None if it has several terms and elements are not known."""
    rows = [part.elements for part in parts if part is not None and part.elements is not None]
    if len(parts) == 1:
        return parts[0]
    if not rows or len(rows) < len(parts):
        return None
    return summarize(np.array(rows, float).sum(axis=0))


def ones(shape: Sequence[int]) -> Numbers:
    """Summarize an array of ones."""
    size = math.prod(shape)
    elements = (1.0,) * size if size <= KEPT_ELEMENTS else None
    return Numbers(elements, 1.0 if size else math.nan, 0.0, math.sqrt(size))


def summarize(array: Array) -> Numbers:
    """Summarize an array."""
    size = array.size
    if size > KEPT_ELEMENTS:
        with np.errstate(all="ignore"):
            wide = array.astype(np.float64)
            norm = float(np.sqrt(np.sum(wide * wide)))
            return Numbers(None, float(wide.mean()), float(wide.std()), norm)
    if size == 1:
        x = array.item()
        return Numbers((x,), x, 0.0, abs(x))
    elements = tuple([math.nan if x is None else x for x in array.ravel().tolist()])  # masked
    mean = sum(elements) / size if size else math.nan
    variance = sum((x - mean) * (x - mean) for x in elements) / size if size else math.nan
    return Numbers(elements, mean, math.sqrt(variance), math.hypot(*elements))
