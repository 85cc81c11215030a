"""Derivatives by differences of values, each with a bound of its error.

A smaller step has a smaller truncation error, but a larger rounding error, and no fixed step suits
every function (sin at a million). So a slope is computed with many steps, each a quarter of the one
before, and extrapolated to step 0 from the pair where it changes least (Richardson's and Ridders'
methods). That change, and the rounding of f's values, bound its error.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from graphgrad.arguments import guarded
from graphgrad.checks.choices import Change, Choices
from graphgrad.engine.graph import Recorded
from graphgrad.engine.operands import as_array, unwrapped
from graphgrad.engine.record import constant
from graphgrad.engine.recording import no_grad
from graphgrad.errors import ArgumentError, DtypeError, ShapeError
from graphgrad.typing import Array

EPS = float(np.finfo(np.float64).eps)
_EPS = {t: float(np.finfo(t).eps) for t in "efdg"}
Kind = Literal["central", "forward"]
Outputs = Callable[[Sequence[Array]], list[Array]]  # from points to the outputs of f
Watched = Callable[[Sequence[Array]], tuple[list[Array], Choices]]

RATIO = 4.0  # of consecutive steps
ROUNDING = 4.0  # error of a value of f, in units in the last place
CERTAIN = 8.0  # times its bound: a gap above it is no error of the numeric slope
STEADY = 0.1  # relative change of a slope between the best pair of steps
SIGMAS = 8.0  # standard deviations of values that bound the noise of a difference
SAMPLES, SPACINGS = 7, (2**7, 2**19, 2**32, 2**42)  # of values for the noise, in ulps of x: exact
QUICK = 1e-3  # the larger step of a quick slope, in units of x or of 1, whichever is smaller


class Slope(NamedTuple):
    """A derivative, and a bound of its error."""

    value: float
    bound: float


NOTHING = Slope(np.nan, np.inf)


class Value(NamedTuple):
    """The outputs of f at one point of a path."""

    t: float  # the distance from the start, after rounding
    outputs: list[Array]
    choices: Choices | None = None


def changed(a: Value, b: Value) -> Change | None:
    """Return the first difference between the choices at two points."""
    if a.choices is None or b.choices is None:
        return None
    return a.choices.first_change(b.choices)


class Level(NamedTuple):
    """A difference with one step."""

    step: float
    slope: float
    noise: float  # the error by rounding


class Grain(NamedTuple):
    """How finely f computes: by the dtypes on its way, and by what its values scatter."""

    eps: float = EPS  # of the coarsest dtype
    noise: float = 0.0  # of a difference of values
    chooses: bool = False  # whether any op on its way does


class Path:
    """f along a straight line: in one element, or in all along a direction.

    What is differentiated is the sum of outputs times ``weights``. Outputs are subtracted before
    they are summed, so that constant ones cancel exactly. Outputs that change with a larger step,
    but not with a smaller one, are lost to rounding and count as noise; what rounding hides of
    outputs that no step changes is ``hidden``.
    """

    def __init__(
        self,
        f: Outputs,
        points: Sequence[Array],
        weights: Sequence[Array],
        *,
        element: tuple[int, tuple[int, ...]] | None = None,
        direction: Sequence[Array] | None = None,
        watched: Watched | None = None,
        grain: Grain = Grain(),  # noqa: B008 - immutable
    ) -> None:
        self.f, self.points, self.weights, self.watched = f, points, weights, watched
        self.element, self.direction, self.grain = element, direction, grain
        self.moving: list[Array] = [np.zeros(np.shape(c), bool) for c in weights]
        self.hidden = math.inf  # the slope that rounding can hide
        self.x = 0.0 if element is None else float(points[element[0]][element[1]])

    def along(self, direction: Sequence[Array]) -> "Path":
        """Return the line through the same point in another direction."""
        return Path(
            self.f,
            self.points,
            self.weights,
            direction=direction,
            watched=self.watched,
            grain=self.grain,
        )

    def through(self, points: Sequence[Array]) -> "Path":
        """Return the parallel line through another point."""
        return Path(
            self.f,
            points,
            self.weights,
            element=self.element,
            direction=self.direction,
            watched=self.watched,
            grain=self.grain,
        )

    def moved(self, t: float) -> tuple[list[Array], float]:
        """Return the points at a place, and the place after rounding."""
        points = [p.copy() for p in self.points]
        if self.element is None:
            return [p + t * d for p, d in zip(points, self.direction or (), strict=True)], t
        which, index = self.element
        points[which][index] += t
        return points, float(points[which][index]) - self.x

    def at(self, t: float, *, watch: bool = False) -> Value:
        """Compute f at a place, with what it chose there if asked to watch."""
        points, t = self.moved(t)
        with np.errstate(all="ignore"):
            if watch and self.watched is not None:
                outputs, choices = self.watched(points)
            else:
                outputs, choices = self.f(points), None
        return Value(t, outputs, choices)

    def difference(self, a: Value, b: Value) -> Level:
        """Return the slope from b to a; NaN if their outputs have different shapes."""
        run = abs(a.t - b.t)
        if not run or any(
            not ya.shape == yb.shape == c.shape
            for ya, yb, c in zip(a.outputs, b.outputs, self.weights, strict=True)
        ):
            return Level(run, np.nan, np.inf)
        rise = noise = still = 0.0
        with np.errstate(all="ignore"):
            for k, (ya, yb) in enumerate(zip(a.outputs, b.outputs, strict=True)):
                c = self.weights[k]
                rise += float(np.sum((ya - yb) * c))
                self.moving[k] = moving = self.moving[k] | (ya != yb)
                if ya.dtype.kind == "f":
                    eps = max(_EPS[ya.dtype.char], self.grain.eps)
                    sizes = eps * np.maximum(abs(ya), abs(yb)) * abs(c)
                    noise += float(np.sum(sizes, where=moving))
                    still += float(np.sum(sizes, where=~moving))
        self.hidden = min(self.hidden, ROUNDING * still / run)
        return Level(run, rise / (a.t - b.t), ROUNDING * noise / run)

    def resolution(self, step: float) -> float:
        """Return the slope that rounding of all outputs can hide from such a step."""
        outputs = self.at(0.0).outputs
        sizes = [
            max(_EPS.get(y.dtype.char, 0.0), self.grain.eps) * float(np.sum(abs(y) * abs(c)))
            for y, c in zip(outputs, self.weights, strict=True)
        ]
        return max(ROUNDING * sum(sizes), self.grain.noise) / step

    def central(self, step: float) -> Level:
        """Return the slope between one step to the right and one to the left."""
        return self.difference(self.at(step), self.at(-step))

    @property
    def quick_step(self) -> float:
        """A step that suits most functions."""
        ulp = float(np.spacing(abs(self.x))) * (self.grain.eps / EPS)
        return max(QUICK * float(size_of(self.x)), 1e4 * ulp)

    def leaves_its_piece(self) -> bool:
        """Whether f chooses otherwise a quick step away, on either side."""
        if self.watched is None or not self.grain.chooses:
            return False
        start, *ends = [self.at(t, watch=True) for t in (0, self.quick_step, -self.quick_step)]
        return any(changed(start, end) for end in ends)

    def quick(self) -> Slope:
        """Return the slope from two steps that suit most functions."""
        step = self.quick_step
        wide, narrow = self.central(step), self.central(step / 2)
        change = (narrow.slope - wide.slope) / 3
        noise = max(narrow.noise, self.grain.noise / step) if narrow.noise else 0.0
        return Slope(narrow.slope + change, abs(change) + 1.5 * noise + self.hidden)

    def steps(self, largest: float = np.inf) -> list[float]:
        """List steps from the size of x, or of 1, down to those that rounding dominates."""
        size = abs(self.x)
        if not np.isfinite(size):
            return []
        coarser = self.grain.eps / EPS
        step = min(max(size, 1.0) / 4, largest)
        least = max(1e-10 * min(size or 1e-2, 1.0), 64 * coarser * float(np.spacing(size)))
        steps: list[float] = []
        while step >= least or len(steps) < 3:
            steps.append(step)
            step /= RATIO
        return steps

    def tiny_steps(self) -> list[float]:
        """List the steps below those down to neighbouring numbers, or to 1e-30 from 0."""
        ulp = EPS if self.element is None else float(np.spacing(abs(self.x)))
        step = self.steps()[-1] / RATIO**2
        steps: list[float] = []
        while self.grain.eps == EPS and step >= max(ulp, 1e-30 * float(size_of(self.x))):
            steps.append(step)
            step /= RATIO**2
        return [*steps, ulp] if steps and self.x else steps


def grain_of(
    f: Outputs, points: Sequence[Array], weights: Sequence[Array], eps: float = EPS
) -> Grain:
    """Estimate the noise of f: by what its values scatter about a smooth curve.

    Differences of high order between equally spaced values leave nothing of a smooth function, but
    all of its noise (Hamming's table; Moré and Wild, Estimating computational noise, 2011). The
    spacing grows until the values differ.
    """
    rises: list[float] = []
    with np.errstate(all="ignore"):
        for spacing in SPACINGS:
            start, *moved = [
                f(
                    [p + k * spacing * np.spacing(p) for p in points]
                )  # to one side, should there be a kink
                for k in range(1, 1 + SAMPLES)
            ]
            if any(a.shape != b.shape for y in moved for a, b in zip(start, y, strict=True)):
                return Grain(eps)
            rises = [
                sum(float(np.sum((a - b) * c)) for a, b, c in zip(y, start, weights, strict=True))
                for y in (start, *moved)
            ]
            if np.count_nonzero(np.diff(rises)) > SAMPLES // 2:
                break
        scatter = [np.mean(np.diff(rises, k) ** 2) / math.comb(2 * k, k) for k in (3, 4, 5)]
    noise = math.sqrt(max(scatter))
    return Grain(eps, SIGMAS * noise if math.isfinite(noise) else 0.0)


def size_of(x: Array) -> Array:
    """Return by how much an element can move and stay of its size: |x|, at most 1; 1 at 0."""
    return np.where(x == 0, 1.0, np.minimum(abs(x), 1.0))


def extrapolated(
    levels: Sequence[Level], order: int, noise: float = 0.0, *, moving: bool = False
) -> Slope:
    """Extrapolate slopes with decreasing steps to step 0; their error is O(h^order).

    The best pair is the one with the smallest relative change. If all change much, the slope is 0
    or no step was small enough: then the slopes of all smaller steps must agree as well.
    ``noise`` is what values scatter beyond rounding. ``moving`` says that f is not constant: steps
    that do not change it are then lost in rounding.
    """
    found = [level for level in levels if np.isfinite(level.slope)]
    if len(found) < 2:
        return NOTHING
    weight = RATIO**order - 1
    pairs = list(itertools.pairwise(found))
    changes = [(narrow.slope - wide.slope) / weight for wide, narrow in pairs]
    limits = [narrow.slope + change for (_, narrow), change in zip(pairs, changes, strict=True)]
    moved = [k for k, v in enumerate(found) if v.slope]
    last = moved[-1] if moving and moved else len(changes)
    slopes = []
    for k, change in enumerate(changes[:last]):
        near = [limits[i] for i in (k - 1, k + 1) if 0 <= i < len(limits)]
        spread = max([abs(change), *(abs(limits[k] - other) for other in near)])
        # differences of f between smaller steps show noise beyond rounding
        rises = [abs(v.slope - limits[k]) * v.step for v in found[k + 2 :]]
        narrow = found[k + 1]
        own = max(narrow.noise, noise / narrow.step)
        bound = max([spread, *(rise / narrow.step for rise in rises)]) + own
        slopes.append(Slope(limits[k], bound))
    if not slopes:  # only the largest step changes f
        return Slope(found[0].slope, abs(found[0].slope) + found[0].noise)
    steady = [k for k, s in enumerate(slopes) if s.bound <= STEADY * abs(s.value)]
    if not steady:
        k = min(range(len(slopes)), key=lambda i: slopes[i].bound)
        others = [abs(v.slope - slopes[k].value) - 10 * v.noise for v in found[k + 2 :]]
        return Slope(slopes[k].value, max([slopes[k].bound, *others]))
    k = min(steady, key=lambda i: slopes[i].bound / abs(slopes[i].value) if slopes[i].value else 0)
    best = slopes[k]
    # smaller steps that are as steady about another slope: a kink lies between
    other = [abs(s.value - best.value) for s in slopes[k + 1 : -3] if _disagree(s, best)]
    return Slope(best.value, max([best.bound, *other]))


def _disagree(a: Slope, b: Slope) -> bool:
    return abs(a.value - b.value) > CERTAIN * (a.bound + b.bound)


def grows(levels: Sequence[Level]) -> float:
    """Return ±inf if the slopes grow with each smaller step, as those of sqrt and x log x do."""
    seen = [v for v in levels if np.isfinite(v.slope) and abs(v.slope) > 10 * v.noise][-5:]
    slopes = [v.slope for v in seen]
    if len(slopes) < 4 or not (min(slopes) > 0 or max(slopes) < 0):
        return 0.0
    growing = all(abs(b) > 1.2 * abs(a) for a, b in itertools.pairwise(slopes))
    changes = np.diff(slopes) * np.sign(slopes[-1])
    steadily = all(0.01 * abs(slopes[-1]) < 0.99 * a < b for a, b in itertools.pairwise(changes))
    return float(np.copysign(np.inf, slopes[-1])) if growing or steadily else 0.0


def fixed(path: Path, step: float, kind: Kind, start: Value | None = None) -> Level:
    """Return the slope with the user's step."""
    left = start if kind == "forward" and start is not None else None
    level = path.difference(path.at(step), left or path.at(0.0 if kind == "forward" else -step))
    if not np.isfinite(level.noise) and np.isnan(level.slope):
        message = f"h={step} is too small a step from {path.x}"
        raise ArgumentError(message)
    return level


# ------------------------------------------------------------------------- for users


@guarded
def numerical_gradient(
    f: Callable[[Any], Any],
    x: ArrayLike | Recorded,
    h: Array = None,
    kind: Kind = "central",
    *,
    bounds: bool = False,
) -> Array:
    """Differentiate a function of one array by differences of its values.

    Central: (f(x + h) − f(x − h)) / 2h. Forward: (f(x + h) − f(x)) / h, where f(x) is computed
    once. One element of x changes at a time, in float64. Without ``h`` many steps are tried, and
    extrapolated to 0. f gets fresh copies, so x is never written to; f must compute with its
    argument, not with an array that it closes over::

        >>> import graphgrad as gg, numpy as np
        >>> slope, bound = gg.numerical_gradient(np.sin, 1e6, bounds=True)
        >>> bool(abs(slope - np.cos(1e6)) < bound < 1e-8)
        True

    Parameters
    ----------
    f
        Function of an array of x's shape (a Tensor, if x is one) that returns a scalar, plain or a
        Tensor.
    x
        The point, an array of any shape.
    h
        The step, a number or an array of x's shape; default: many, from the size of x down.
    kind
        ``"central"`` or ``"forward"``.
    bounds
        Whether to return a bound of the error of each element as well. With ``h`` this takes a
        second difference, with half the step.

    Returns
    -------
    The gradient, a plain float64 array of x's shape; with ``bounds`` a pair of such arrays.

    Raises
    ------
    ShapeError
        If f returns more than one number, or h is not positive.
    DtypeError
        If f returns no real number.
    """
    point, tensor_in = float64(x, "numerical_gradient"), isinstance(x, Recorded)

    def values(points: Sequence[Array]) -> list[Array]:
        (argument,) = points
        y = unwrapped(f(constant(argument) if tensor_in else argument))
        if np.shape(y) != () and np.size(y) != 1:
            message = (
                f"numerical_gradient: f returned shape {np.shape(y)}, not one number; sum it, "
                "or use gg.gradcheck, which takes any outputs"
            )
            raise ShapeError(message)
        return [_real(y, "numerical_gradient")]

    steps = steps_of(h, point)
    gradient, errors = np.zeros(point.shape), np.zeros(point.shape)
    with no_grad():
        start, grain = None, grain_of(values, [point], [np.ones(())]) if bounds else Grain()
        for index in np.ndindex(point.shape):
            path = Path(values, [point], [np.ones(())], element=(0, index), grain=grain)
            if kind == "forward" and start is None:
                start = path.at(0.0)
            step = None if steps is None else float(steps[index])
            gradient[index], errors[index] = slope(path, step, kind, start, bounds=bounds)
    return (gradient[()], errors[()]) if bounds else gradient[()]


def slope(
    path: Path, step: float | None, kind: Kind, start: Value | None = None, *, bounds: bool = True
) -> Slope:
    """Return the derivative along a path: with the given step, or with the best ones."""
    order = 2 if kind == "central" else 1
    if step is not None:
        level = fixed(path, step, kind, start)
        if not bounds:
            return Slope(level.slope, np.nan)
        change = abs(level.slope - fixed(path, step / 2, kind, start).slope)
        bound = 1.5 * change * 2**order / (2**order - 1) + level.noise
        return Slope(level.slope, bound + path.hidden)
    if kind == "forward":
        start = start or path.at(0.0)
        levels = [path.difference(path.at(h), start) for h in path.steps()]
    else:
        found = path.quick()
        if found.bound < 1e-9 * abs(found.value):
            return found
        levels = [path.central(step) for step in path.steps()]
    found = extrapolated(levels, order, path.grain.noise)
    return found._replace(bound=found.bound + path.hidden)


def steps_of(h: Array, point: Array) -> Array:
    """Return the step of each element; None without a step of the user."""
    if h is None:
        return None
    steps = np.asarray(as_array(h, "h"))
    if steps.shape != point.shape:
        try:
            steps = np.broadcast_to(steps, point.shape)
        except ValueError as error:
            message = f"h of shape {steps.shape} does not fit an input {point.shape}"
            raise ShapeError(message) from error
    if steps.dtype == bool or not ((steps > 0) & np.isfinite(steps)).all():
        message = f"h={h}: a step is a positive number"
        raise ShapeError(message)
    return steps.astype(np.float64)


def float64(x: Array, who: str) -> Array:
    """Return a float64 copy in C order."""
    return np.array(as_array(unwrapped(x), who), dtype=np.float64, order="C")


def _real(y: Array, who: str) -> Array:
    array = np.array(y)  # a copy, since f may reuse its buffer
    if array.dtype.kind not in "fiub":
        message = f"{who}: f returned {type(y).__name__} of dtype {array.dtype}, not real numbers"
        raise DtypeError(message)
    return array if array.dtype.kind == "f" else array.astype(np.float64)
