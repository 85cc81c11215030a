"""Comparing two gradients, and saying how they compare."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphgrad.typing import Array

# ------------------------------------------------------------------------------- comparing


def relative_error(a: Array, b: Array, floor: float = 0.0) -> Array:
    """Return |a − b| / max(|a|, |b|, floor) element by element, and 0 where a equals b."""
    with np.errstate(all="ignore"):
        gap = np.abs(np.subtract(a, b))
        error = gap / np.maximum(np.maximum(np.abs(a), np.abs(b)), floor)
    return np.where(np.equal(a, b), 0.0, error)[()]


def verdict(error: float) -> str:
    """Judge a relative error by the marks 1e-2, 1e-4 and 1e-7 (CS231n, in float64)."""
    if math.isnan(error):
        return "NaN"
    if error > 1e-2:
        return "wrong"
    if error > 1e-4:
        return "doubtful"
    return "fine if there is a kink" if error > 1e-7 else "right"


@dataclass(frozen=True)
class Comparison:
    """Analytic and numeric gradient in one input."""

    name: str
    order: int
    analytic: Any
    numeric: Any
    errors: Any  # relative, element by element
    tolerance: float

    @property
    def worst(self) -> tuple[int, ...]:
        """Index of the worst element: the first NaN, else the largest error."""
        return tuple(map(int, np.unravel_index(np.argmax(self.errors), self.errors.shape)))

    @property
    def error(self) -> float:
        """The relative error at the worst element; 0 for an empty input."""
        return float(self.errors[self.worst]) if self.errors.size else 0.0

    def __bool__(self) -> bool:
        """Whether every element agrees; NaN agrees with nothing."""
        return bool((self.errors <= self.tolerance).all())

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the report's table."""
        head = (str(self.order), self.name, str(self.errors.shape))
        if not self.errors.size:
            return (*head, "–", "–", "–", "–", "ok: empty")
        a, n = float(self.analytic[self.worst]), float(self.numeric[self.worst])
        judged = "ok" if self else f"FAILED: {self._why(a, n)}"
        place = "[" + ", ".join(map(str, self.worst)) + "]"
        return (*head, place, f"{a:.8g}", f"{n:.8g}", f"{self.error:.1e}", judged)

    def _why(self, analytic: float, numeric: float) -> str:
        for side, number in (("analytic", analytic), ("numeric", numeric)):
            if not math.isfinite(number):
                return f"the {side} gradient is {number}"
        return verdict(self.error)


def compare(
    name: str, order: int, analytic: Any, numeric: Any, rtol: float, atol: float
) -> Comparison:
    """Compare two gradients; differences up to ``atol`` count as rounding."""
    errors = relative_error(analytic, numeric, atol / rtol if rtol else math.inf)
    return Comparison(name, order, analytic, numeric, np.asarray(errors), rtol)


# ------------------------------------------------------------------------------- reporting

_HEADER = ("order", "input", "shape", "worst at", "analytic", "numeric", "rel. error", "verdict")


@dataclass(frozen=True)
class Report:
    """What :func:`gradcheck` found: true when everything agrees; prints as a table."""

    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether every gradient agrees with its differences."""
        return all(self.comparisons)

    def __str__(self) -> str:
        """One row per input and order, with its worst element."""
        rows = [_HEADER, *(c.cells for c in self.comparisons)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        failed = sum(not c for c in self.comparisons)
        title = (
            f"gradcheck: {f'{failed} of {len(self.comparisons)} FAILED' if failed else 'passed'}"
        )
        return "\n".join([title, *lines, *(f"note: {note}" for note in self.notes)])

    __repr__ = __str__
