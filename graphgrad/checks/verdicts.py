"""Whether a gradient is right: the analytic number against the pieces of f that meet at a point.

Around a point f consists of smooth pieces: one where it is smooth, and at the edge of its domain;
several at a kink; at a jump one of them does not tend to f(x). Each has a slope there, of known
error. A right gradient lies between the smallest and the largest of them; one outside by several
times the error is wrong; in between there is no verdict.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from graphgrad.checks.differences import CERTAIN, EPS, NOTHING, Kind, Path, Slope, slope
from graphgrad.checks.meeting import Meeting, apart, meeting_at, slopes_nearby
from graphgrad.typing import Array

Verdict = Literal["right", "WRONG", "cannot tell"]
ATOL = 1e-7  # unless the user asks for another one
UNSURE = 1e-3  # a slope is unknown if its bound is above it and above the slope
STEADY = 1e-3  # a slope is finite if its bound is so small a part of it


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
    coarse: float = 0.0  # its rounding where f computes in float32 or float16

    def of(self, a: float, found: Slope) -> float:
        """Return the gap up to which two numbers agree."""
        near = self.rtol * max(abs(a), abs(found.value))
        if self.atol is not None:
            return max(near, self.atol)
        return max(near, min(ATOL, CERTAIN * found.bound + self.rounding), self.coarse)

    def beside(self, gradient: Array, eps: float = EPS) -> "Tolerance":
        """Return the tolerance for the elements of a gradient that was computed with this eps."""
        finite = abs(gradient[np.isfinite(gradient)])
        largest = float(np.max(finite, initial=0))
        coarse = 16 * eps * largest if eps > EPS else 0.0
        return dataclasses.replace(self, rounding=1e-13 * max(largest, 1), coarse=coarse)

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
    if math.isnan(analytic):
        return _of_nan(path, step, kind)
    if step is not None or kind == "forward":
        found = slope(path, step, kind)
    else:
        found = NOTHING if path.leaves_its_piece() else path.quick()
    quick = _compared(analytic, Meeting([found]), tolerance, path.hidden)
    if quick.verdict == "right" or (step is not None and path.watched is None):
        return quick
    return _among_pieces(path, analytic, tolerance, meeting_at(path, step, kind))


def _among_pieces(path: Path, analytic: float, tolerance: Tolerance, meeting: Meeting) -> Judged:
    judged = _compared(analytic, meeting, tolerance, path.hidden)
    if judged.verdict != "WRONG":
        return judged
    if meeting.kink:  # for the median of three equal numbers no step along an axis finds its piece
        more = meeting._replace(slopes=[*meeting.slopes, *slopes_nearby(path)])
        return _compared(analytic, more, tolerance, path.hidden)
    if apart(meeting.sides):
        split = _compared(analytic, Meeting(meeting.sides, kink=True), tolerance, path.hidden)
        if split.verdict != "WRONG":
            low, high = sorted(end.value for end in meeting.sides)
            why = f"f has slope {low:.4g} on one side and {high:.4g} on the other"
            remedy = "if an op of yours has a kink here, declare it by gg.op(…, chooses=…)"
            return judged._replace(verdict="cannot tell", why=f"{why}; {remedy}")
    return judged


def _of_nan(path: Path, step: float | None, kind: Kind) -> Judged:
    for y in path.at(0.0).outputs:
        if not np.isfinite(y).all():
            return Judged(*NOTHING, "cannot tell", f"f is {y[~np.isfinite(y)][0]} here")
    found = slope(path, step, kind)
    if math.isnan(found.value):
        return Judged(*found, "cannot tell", "f is not finite nearby")
    if found.bound > max(abs(found.value), UNSURE):
        why = "the gradient is nan, but f may have no slope here either"
        return Judged(*found, "cannot tell", why)
    return Judged(*found, "WRONG", "the gradient is nan")


def _compared(analytic: float, meeting: Meeting, tolerance: Tolerance, hidden: float) -> Judged:
    """Tell whether a number lies between the slopes of the pieces."""
    _, why, kink, _ = meeting
    slopes = [s for s in meeting.slopes if not math.isnan(s.value)]
    if not slopes:
        return Judged(*NOTHING, "cannot tell", why or "f is not finite nearby", kink)
    low, high = (pick(s.value for s in slopes) for pick in (min, max))
    bound = max(s.bound for s in slopes)
    nearest = min(max(analytic, low), high)
    if kink:
        between = f"the slopes {low:.4g} and {high:.4g} at a kink: {why}"
        yes, no, unsure = f"between {between}", f"outside {between}", f"noise near {between}"
    else:
        yes, no, unsure = why, why, why or "the differences are too noisy"
    if math.isinf(analytic) or math.isinf(nearest):
        return _of_infinite(analytic, Slope(nearest, bound), meeting, (yes, no, unsure))
    gap = abs(analytic - nearest)
    near = max(tolerance.of(analytic, Slope(end, bound)) for end in (low, high))
    coarse = (10 if kink else 1) * (tolerance.atol or ATOL)  # one-sided slopes are less exact
    sure = bound - hidden <= max(near, coarse, tolerance.rtol * (high - low))
    if gap <= near and sure:
        return Judged(nearest, bound, "right", yes, kink)
    if kink and len(slopes) < len(meeting.slopes):
        unsure = f"f is not finite on one side: {why}"
    elif gap > max(near, CERTAIN * bound):
        return Judged(nearest, bound, "WRONG", no, kink)
    return Judged(nearest, bound, "cannot tell", unsure, kink)


def _of_infinite(
    analytic: float, found: Slope, meeting: Meeting, words: tuple[str, str, str]
) -> Judged:
    """Compare two numbers of which at least one is infinite."""
    yes, no, unsure = words
    kink = meeting.kink
    if analytic == found.value:
        return Judged(*found, "right", yes, kink)
    if math.isinf(analytic) and math.isinf(found.value):
        return Judged(found.value, np.inf, "WRONG", no, kink)
    finite = all(math.isfinite(s.value) for s in meeting.sides)
    if finite and not kink and found.bound <= STEADY * abs(found.value) < math.inf:
        return Judged(*found, "WRONG", f"the gradient is {analytic}")
    if math.isinf(found.value) and not kink:
        unsure = meeting.why or "the slopes of f grow with each smaller step"
    return Judged(found.value, np.inf, "cannot tell", unsure, kink)
