"""Whether a gradient is right: the analytic number against slopes of known error.

A gradient is right if it agrees with the slope to the tolerance, and wrong if it differs by several
times the error bound of the slope; in between there is no verdict. At a kink there is a slope on
either side, and a right gradient is between them.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from graphgrad.checks.choices import Change
from graphgrad.checks.differences import (
    CERTAIN,
    NOTHING,
    Kind,
    Level,
    Path,
    Slope,
    Value,
    extrapolated,
    grows,
    size_of,
    slope,
)
from graphgrad.typing import Array

Verdict = Literal["right", "WRONG", "cannot tell"]
ATOL = 1e-7  # unless the user asks for another one
PIECES, NEARBY = 24, 1e-4  # points around a kink, and their distance from it
FEWEST = 3  # steps on the smooth piece around a point, at least, for a slope


class Judged(NamedTuple):
    """The verdict on one number of a gradient."""

    numeric: float
    bound: float
    verdict: Verdict
    why: str = ""
    kink: bool = False

    @property
    def jump(self) -> bool:
        """Whether f jumps here: at a kink there is a slope at least on one side."""
        return self.kink and math.isnan(self.numeric)


@dataclass(frozen=True)
class Tolerance:
    """How near is near enough: rtol times the larger number, but at least atol.

    Without an atol, gaps up to ATOL are forgiven only where the numeric slope may be off by them,
    or rounding in the gradient itself, next to its largest element.
    """

    rtol: float
    atol: float | None
    rounding: float = 0.0  # of the gradient

    def of(self, a: float, found: Slope) -> float:
        """Return the gap up to which two numbers agree."""
        near = self.rtol * max(abs(a), abs(found.value))
        if self.atol is not None:
            return max(near, self.atol)
        return max(near, min(ATOL, CERTAIN * found.bound + self.rounding))

    def beside(self, gradient: Array) -> "Tolerance":
        """Return the tolerance for the elements of a gradient."""
        finite = abs(gradient[np.isfinite(gradient)])
        return dataclasses.replace(self, rounding=1e-13 * float(np.max(finite, initial=1)))

    @property
    def floor(self) -> float:
        """The size below which relative errors are taken of this size."""
        return (ATOL if self.atol is None else self.atol) / self.rtol if self.rtol else math.inf


def judge(
    path: Path, analytic: float, tolerance: Tolerance, step: float | None, kind: Kind
) -> Judged:
    """Compare the gradient along a path with differences: two if they suffice, else many."""
    if not math.isfinite(path.x):
        return Judged(*NOTHING, "cannot tell", f"no step leads away from {path.x}")
    if not math.isnan(analytic):
        found = path.quick() if step is None and kind == "central" else slope(path, step, kind)
        quick = _compared(analytic, found, tolerance)
        if quick.verdict == "right":
            return quick
        if step is not None and path.watched is None:
            return quick
    return _thorough(path, analytic, tolerance, step, kind)


def _compared(analytic: float, found: Slope, tolerance: Tolerance, why: str = "") -> Judged:
    if math.isinf(analytic):
        return Judged(*found, "right" if analytic == found.value else "cannot tell", why)
    gap = abs(analytic - found.value)
    near = tolerance.of(analytic, found)
    if gap <= near and (found.bound <= near or found.bound <= (tolerance.atol or ATOL)):
        return Judged(*found, "right", why)
    if gap > max(near, CERTAIN * found.bound):
        return Judged(*found, "WRONG", why)
    return Judged(*found, "cannot tell", why or "the differences are too noisy")


def _thorough(
    path: Path, analytic: float, tolerance: Tolerance, step: float | None, kind: Kind
) -> Judged:
    """Compare with many steps, without those that cross a kink."""
    start = path.at(0.0, watch=True)
    if math.isnan(analytic) or not all(np.isfinite(y).all() for y in start.outputs):
        return _undefined(path, start, step, kind)
    steps = path.steps() if step is None else path.steps(largest=step)
    sides = {side: [path.at(side * h, watch=True) for h in steps] for side in (1.0, -1.0)}
    changes = {side: [_change(start, v) for v in values] for side, values in sides.items()}
    if step is not None and not (changes[1.0][0] or changes[-1.0][0]):
        return _compared(analytic, slope(path, step, kind), tolerance)
    smooth = [k for k in range(len(steps)) if not (changes[1.0][k] or changes[-1.0][k])]
    right, left = (_on_one_side(path, start, sides[side], changes[side]) for side in (1.0, -1.0))
    if len(smooth) >= FEWEST:
        between = [path.difference(sides[1.0][k], sides[-1.0][k]) for k in smooth]
        if any(np.isfinite(v.slope) for v in between[-FEWEST:]):
            return _on_a_smooth_piece(path, analytic, between, right, left, tolerance)
        return _at_an_edge(analytic, right, left, tolerance)
    change = changes[1.0][-1] or changes[-1.0][-1]
    return _at_a_kink(path, analytic, right, left, tolerance, change)


def _undefined(path: Path, start: Value, step: float | None, kind: Kind) -> Judged:
    """Return the verdict if f or its gradient is not finite."""
    for y in start.outputs:
        if not np.isfinite(y).all():
            return Judged(*NOTHING, "cannot tell", f"f is {y[~np.isfinite(y)][0]} here")
    found = slope(path, step, kind)
    if math.isnan(found.value):
        return Judged(*found, "cannot tell", "f is not finite nearby")
    return Judged(*found, "WRONG", "the gradient is nan")


def _change(start: Value, there: Value) -> Change | None:
    if start.choices is None or there.choices is None:
        return None
    return start.choices.first_change(there.choices)


def _on_one_side(
    path: Path, start: Value, values: Sequence[Value], changes: Sequence[Change | None]
) -> list[Level]:
    """Return the slopes to one side, on the piece of f that starts there."""
    if changes[-1] is None:
        mine = [v for v, change in zip(values, changes, strict=True) if change is None]
    else:
        mine = [v for v in values if _change(values[-1], v) is None]
    return [path.difference(v, start) for v in mine]


def _on_a_smooth_piece(
    path: Path,
    analytic: float,
    between: Sequence[Level],
    right: Sequence[Level],
    left: Sequence[Level],
    tolerance: Tolerance,
) -> Judged:
    infinite = grows(between)
    if infinite:
        return _against_infinity(analytic, infinite)
    found = extrapolated(between, 2, moving=True)
    if not any(v.slope for v in between):
        # along a direction tiny elements move by tiny steps
        bound = np.inf if path.element is None else path.resolution(between[0].step)
        found = Slope(0.0, bound)
    judged = _compared(analytic, found, tolerance)
    if judged.verdict != "WRONG":
        return judged
    ends = extrapolated(right, 1), extrapolated(left, 1)
    apart = abs(ends[0].value - ends[1].value)
    if apart > CERTAIN * (ends[0].bound + ends[1].bound) and apart > 1e-3 * abs(ends[0].value):
        low, high = sorted(end.value for end in ends)
        if _lies_between(analytic, low, high, max(end.bound for end in ends), tolerance):
            why = f"f has slope {low:.4g} on one side and {high:.4g} on the other"
            remedy = "if an op of yours has a kink here, declare it by gg.op(…, chooses=…)"
            return judged._replace(verdict="cannot tell", why=f"{why}; {remedy}")
    return judged


def _at_an_edge(
    analytic: float, right: Sequence[Level], left: Sequence[Level], tolerance: Tolerance
) -> Judged:
    """Compare where f is finite on one side only."""
    finite = [sum(np.isfinite(v.slope) for v in levels) for levels in (right, left)]
    if min(finite) > 0 or max(finite) < 2:
        why = "f is not finite on either side" if not max(finite) else "kinks lie too close to it"
        return Judged(*NOTHING, "cannot tell", why)
    side, levels = ("right", right) if finite[0] else ("left", left)
    infinite = grows(levels)
    if infinite:
        return _against_infinity(analytic, infinite)
    return _compared(analytic, extrapolated(levels, 1), tolerance, f"finite to the {side} only")


def _against_infinity(analytic: float, infinite: float) -> Judged:
    why = "the slope grows without bound"
    if analytic == infinite:
        return Judged(infinite, 0.0, "right", why)
    return Judged(infinite, np.inf, "WRONG" if np.isinf(analytic) else "cannot tell", why)


def _at_a_kink(
    path: Path,
    analytic: float,
    right: Sequence[Level],
    left: Sequence[Level],
    tolerance: Tolerance,
    change: Change | None,
) -> Judged:
    if _jumps(right) or _jumps(left):
        return Judged(np.nan, np.inf, "cannot tell", f"not differentiable: {change} jumps", True)
    ends = extrapolated(right, 1), extrapolated(left, 1)
    if not all(math.isfinite(end.value) for end in ends):
        return _at_an_edge(analytic, right, left, tolerance)
    low, high = sorted(end.value for end in ends)
    bound = max(end.bound for end in ends)
    if not _lies_between(analytic, low, high, bound, tolerance):
        near = [low, high, *_slopes_nearby(path)]
        low, high = min(near), max(near)
    nearest = min(max(analytic, low), high)
    slopes = f"the slopes {low:.4g} and {high:.4g} at a kink: {change}"
    if _lies_between(analytic, low, high, bound, tolerance):
        return Judged(nearest, bound, "right", f"between {slopes}", True)
    if abs(analytic - nearest) > CERTAIN * bound:
        return Judged(nearest, bound, "WRONG", f"outside {slopes}", True)
    return Judged(nearest, bound, "cannot tell", f"noise near {slopes}", True)


def _slopes_nearby(path: Path) -> list[float]:
    """Return slopes on the pieces that meet at a kink.

    A step along one axis finds two pieces only: for the median of three equal numbers neither
    changes it, though on some piece its slope is 1 in each of the three.
    """
    rng = np.random.default_rng(0)
    found = []
    for _ in range(PIECES):
        moved = [
            np.asarray(p + size_of(p) * NEARBY * rng.uniform(-1, 1, p.shape)) for p in path.points
        ]
        step = NEARBY * NEARBY * float(size_of(path.x))
        found.append(path.through(moved).central(step).slope)
    return [s for s in found if math.isfinite(s)]


def _lies_between(
    analytic: float, low: float, high: float, bound: float, tolerance: Tolerance
) -> bool:
    near = max(tolerance.of(analytic, Slope(end, bound)) for end in (low, high))
    return low - near <= analytic <= high + near


def _jumps(levels: Sequence[Level]) -> bool:
    """Whether f jumps at the start: it differs from its value there for every small step."""
    rises = [(abs(v.slope) * v.step, v.noise * v.step) for v in levels[-FEWEST:]]
    if len(rises) < 2 or any(rise <= 100 * noise or rise == 0 for rise, noise in rises):
        return False
    return all(b[0] > 0.9 * a[0] for a, b in itertools.pairwise(rises))
