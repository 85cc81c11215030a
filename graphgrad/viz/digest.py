"""An array in a few numbers."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphgrad.node import KEPT_ELEMENTS


@dataclass(frozen=True, slots=True)
class Numbers:
    """An array in a few numbers."""

    elements: tuple[float, ...] | None  # in C order; None where there are more than a few
    mean: float
    std: float
    norm: float


def summarize(array: Any) -> Numbers:
    """Describe an array by a few numbers."""
    size = array.size
    if size > KEPT_ELEMENTS:
        with np.errstate(all="ignore"):
            wide = array.astype(np.float64)
            norm = float(np.sqrt(np.sum(wide * wide)))
            return Numbers(None, float(wide.mean()), float(wide.std()), norm)
    if size == 1:
        x = array.item()
        return Numbers((x,), x, 0.0, abs(x))
    elements = tuple(array.ravel().tolist())
    mean = sum(elements) / size if size else math.nan
    variance = sum((x - mean) * (x - mean) for x in elements) / size if size else math.nan
    return Numbers(elements, mean, math.sqrt(variance), math.hypot(*elements))
