"""Whether a gradient is right: the analytic number against slopes of known error.

A gradient is right if it agrees with the slope to the tolerance, and wrong if it differs by several
times the error bound of the slope; in between there is no verdict. At a kink there is a slope on
either side, and a right gradient is between them.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from graphgrad.checks.choices import Change
from graphgrad.checks.differences import (
    NOTHING,
    Kind,
    Level,
    Path,
    Slope,
    Value,
    extrapolated,
    grows,
    slope,
)

Verdict = Literal["right", "WRONG", "cannot tell"]
CERTAIN = 8.0  # times the bound of the slope: a larger difference is an error of the gradient
PIECES, NEARBY = 24, 1e-4  # points around a kink, and their distance from it
FEWEST = 3  # steps on the smooth piece around a point, at least, for a slope


class Judged(NamedTuple):
    """The verdict on one number of a gradient."""

    numeric: float
    bound: float
    verdict: Verdict
    why: str = ""
    kink: bool = False


@dataclass(frozen=True)
class Tolerance:
    """The tolerance: rtol times the larger number, but at least atol."""

    rtol: float
    atol: float

    def of(self, a: float, n: float) -> float:
        """Return the difference up to which two numbers agree."""
        return max(self.rtol * max(abs(a), abs(n)), self.atol)


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
    near = tolerance.of(analytic, found.value)
    if gap <= near and found.bound <= near:
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
            return _on_a_smooth_piece(analytic, between, right, left, tolerance)
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
    nearest = values[-1]
    mine = [v for v in values if changes[-1] is None or _change(nearest, v) is None]
    if changes[-1] is None:
        mine = [v for v, change in zip(values, changes, strict=True) if change is None]
    return [path.difference(v, start) for v in mine]


def _on_a_smooth_piece(
    analytic: float,
    between: Sequence[Level],
    right: Sequence[Level],
    left: Sequence[Level],
    tolerance: Tolerance,
) -> Judged:
    infinite = grows(between)
    if infinite:
        return _against_infinity(analytic, infinite)
    judged = _compared(analytic, extrapolated(between, 2), tolerance)
    if judged.verdict == "right":
        return judged
    ends = extrapolated(right, 1), extrapolated(left, 1)
    apart = abs(ends[0].value - ends[1].value)
    if apart > CERTAIN * (ends[0].bound + ends[1].bound) and apart > 1e-3 * abs(ends[0].value):
        low, high = sorted(end.value for end in ends)
        if _lies_between(analytic, (low, high), tolerance):
            why = f"a kink with slopes {low:.4g} and {high:.4g} of which no op gives notice"
            return judged._replace(verdict="cannot tell", why=f"{why} (chooses= of gg.op)")
        return judged._replace(verdict="WRONG", why="outside the slopes to the left and right")
    return judged


def _at_an_edge(
    analytic: float, right: Sequence[Level], left: Sequence[Level], tolerance: Tolerance
) -> Judged:
    """Compare where f is finite on one side only."""
    side, levels = max(
        (("right", right), ("left", left)), key=lambda s: sum(np.isfinite(v.slope) for v in s[1])
    )
    infinite = grows(levels)
    if infinite:
        return _against_infinity(analytic, infinite)
    found = extrapolated(levels, 1)
    if found is NOTHING:
        return Judged(*found, "cannot tell", "f is not finite on either side")
    return _compared(analytic, found, tolerance, f"f is finite to the {side} only")


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
    if not _lies_between(analytic, (low, high), tolerance):
        near = [low, high, *_slopes_nearby(path)]
        low, high = min(near), max(near)
    nearest = min(max(analytic, low), high)
    bound = max(end.bound for end in ends)
    slopes = f"the slopes {low:.4g} and {high:.4g} at a kink: {change}"
    if _lies_between(analytic, (low, high), tolerance):
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
        sizes = [np.where(p == 0, 1.0, np.minimum(abs(p), 1.0)) * NEARBY for p in path.points]
        moved = [
            np.asarray(p + s * rng.uniform(-1, 1, p.shape))
            for p, s in zip(path.points, sizes, strict=True)
        ]
        near = path.from_points(moved)
        found.append(near.central(NEARBY * NEARBY * (min(abs(path.x), 1.0) or 1.0)).slope)
    return [s for s in found if math.isfinite(s)]


def _lies_between(analytic: float, ends: tuple[float, float], tolerance: Tolerance) -> bool:
    low, high = ends
    near = tolerance.of(analytic, max(abs(low), abs(high)))
    return low - near <= analytic <= high + near


def _jumps(levels: Sequence[Level]) -> bool:
    """Whether f jumps at the start: it differs from its value there for every small step."""
    rises = [(abs(v.slope) * v.step, v.noise * v.step) for v in levels[-FEWEST:]]
    if len(rises) < 2 or any(rise <= 100 * noise or rise == 0 for rise, noise in rises):
        return False
    return all(b[0] > 0.9 * a[0] for a, b in itertools.pairwise(rises))
