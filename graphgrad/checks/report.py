"""The result of a gradient check, as a table."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from graphgrad.checks.taylor import Remainders
from graphgrad.checks.verdicts import Judged, Tolerance
from graphgrad.typing import Array

_SEVERITY = {"right": 0, "cannot tell": 1, "WRONG": 2}


def relative_error(a: Array, b: Array, floor: float = 0.0) -> Array:
    """Return |a − b| / max(|a|, |b|, floor) element by element, and 0 where a equals b."""
    with np.errstate(all="ignore"):
        gap = np.abs(np.subtract(a, b))
        error = gap / np.maximum(np.maximum(np.abs(a), np.abs(b)), floor)
    return np.where(np.equal(a, b), 0.0, error)[()]


@dataclass(frozen=True)
class Comparison:
    """The gradient of one input, and the verdicts on the checked elements."""

    name: str
    order: int
    analytic: Array
    judged: Mapping[tuple[int, ...], Judged]
    tolerance: Tolerance

    @property
    def numeric(self) -> Array:
        """The numeric gradient; NaN for elements that were not checked."""
        return self._array(lambda j: j.numeric)

    @property
    def bounds(self) -> Array:
        """Bounds of the error of the numeric gradient; NaN for elements that were not checked."""
        return self._array(lambda j: j.bound)

    def _array(self, number: Callable[[Judged], float]) -> Array:
        array = np.full(np.shape(self.analytic), np.nan)
        for index, judged in self.judged.items():
            array[index] = number(judged)
        return array

    def _error(self, index: tuple[int, ...]) -> float:
        a, n = float(self.analytic[index]), self.judged[index].numeric
        found = relative_error(a, n, self.tolerance.floor)
        return math.inf if math.isnan(found) else float(found)

    @property
    def worst(self) -> tuple[int, ...]:
        """The index of the worst element: a wrong one, else one without a verdict."""
        return max(self.judged, key=lambda i: (_SEVERITY[self.judged[i].verdict], self._error(i)))

    @property
    def error(self) -> float:
        """The relative error at the worst element; 0 for an empty input."""
        return self._error(self.worst) if self.judged else 0.0

    @property
    def verdict(self) -> str:
        """The verdict on the worst element: right, WRONG or cannot tell."""
        return self.judged[self.worst].verdict if self.judged else "right"

    def __bool__(self) -> bool:
        """Whether every checked element is right."""
        return self.verdict == "right"

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the report's table."""
        shape, size = np.shape(self.analytic), np.size(self.analytic)
        looked = "" if len(self.judged) == size else f", {len(self.judged)} of {size:,}"
        head = (str(self.order), self.name, f"{shape}{looked}")
        if not self.judged:
            return (*head, "–", "–", "–", "–", "–", "right: empty")
        judged, a = self.judged[self.worst], float(self.analytic[self.worst])
        place = "[" + ", ".join(map(str, self.worst)) + "]"
        text = judged.verdict + (f": {judged.why}" if judged.why else "")
        gap = abs(a - judged.numeric) if math.isfinite(a) else math.inf * (a != judged.numeric)
        numbers = f"{a:.8g}", f"{judged.numeric:.8g}", f"{gap:.1e}", f"{judged.bound:.1e}"
        return (*head, place, *numbers, text)


_HEADER = ("order", "input", "shape", "worst at", "analytic", "numeric", "error", "bound")


@dataclass(frozen=True)
class Report:
    """The result of :func:`gradcheck`: true if every gradient is right; prints as a table.

    ``error`` is |analytic − numeric|, ``bound`` that of the error of the numeric gradient.
    """

    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...] = ()
    taylor: Remainders | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        """Whether every gradient is right: neither wrong nor without a verdict."""
        return all(self.comparisons)

    def assert_right(self) -> None:
        """Raise an AssertionError with this table, unless every gradient is right.

        For tests: ``gg.gradcheck(f, x).assert_right()``.
        """
        if not self:
            raise AssertionError(f"\n{self}")

    def __str__(self) -> str:
        """One row per input and order, with its worst element."""
        rows = [(*_HEADER, "verdict"), *(c.cells for c in self.comparisons)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        notes = [*self.notes, *self._taylor_notes]
        return "\n".join([f"gradcheck: {self._title}", *lines, *(f"note: {n}" for n in notes)])

    @property
    def _taylor_notes(self) -> list[str]:
        if self.taylor is None or (self.taylor.vanishes and not self):
            return []
        kinks = any(j.kink for c in self.comparisons for j in c.judged.values())
        return [str(self.taylor) + (", 1 at a kink" if kinks else "")]

    @property
    def _title(self) -> str:
        verdicts = [c.verdict for c in self.comparisons]
        parts = [
            f"{verdicts.count(verdict)} of {len(verdicts)} gradients {words}"
            for verdict, words in (("WRONG", "WRONG"), ("cannot tell", "cannot be told"))
            if verdict in verdicts
        ]
        return ", ".join(parts) or "passed"

    __repr__ = __str__
