"""One run of a gradient check, order by order."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from graphgrad.checks.differences import (
    EPS,
    NOTHING,
    Grain,
    Kind,
    Path,
    grain_of,
    size_of,
    steps_of,
)
from graphgrad.checks.kinks import among_several_kinks
from graphgrad.checks.report import Comparison
from graphgrad.checks.running import derived, evaluated, gradients_of, values_of, with_choices
from graphgrad.checks.taylor import FIRST, Expansion, Remainders
from graphgrad.checks.verdicts import Judged, Tolerance, judge
from graphgrad.errors import GraphError
from graphgrad.typing import Array

OTHER, LINEAR = -8.0, 1e-6  # another upstream gradient, and the relative gap that it may leave
NOT_LINEAR = "not linear in the upstream gradient, here -8 times as large, then divided by -8"
LEAST = 2**20  # ulps by which an element moves along a direction
NEARBY = 1e-3  # the distance of a point beside a kink, in the size of x
BESIDE = "all, a little beside {}"
STALE = "at the inputs themselves it is right: does a rule keep values from an earlier call?"
DIRECTION, TOGETHER = "all, along one direction", "all, by equal steps"


class Check:
    """One run of gradcheck: its options, and its results so far."""

    def __init__(
        self,
        tolerance: Tolerance,
        h: Array,
        kind: Kind,
        elements: int | None,
        fast: bool,
        draw: np.random.Generator,
    ) -> None:
        self.tolerance, self.h, self.fast = tolerance, h, fast
        self.kind: Kind = kind
        self.elements, self.draw = elements, draw
        self.comparisons: list[Comparison] = []
        self.notes: list[str] = []
        self.taylor: Remainders | None = None
        self.grain = Grain()

    def run(
        self, f: Callable[..., Any], points: list[Array], labels: list[str], order: int
    ) -> None:
        """Check every order, the first one also by Taylor's theorem."""
        for level in range(1, order + 1):
            outs = evaluated(f, points)
            if level == 1:
                self.notes += _notes(outs)
                _require_same(outs, evaluated(f, points))
            single = level == 1 and len(outs) == 1 and not outs[0].ndim
            upstream = [np.ones(())] if single else [self._weights(np.shape(y)) for y in outs]
            found = gradients_of(f, points, upstream)
            self.grain = _grain(f, points, upstream)
            direction = self._direction(points)
            whole = Expansion(
                self._path(f, points, upstream, direction=direction), _along(direction, found)
            )
            own = [] if self.fast else self._elements(f, points, upstream, found, labels, level)
            if level == 1:
                own = self._second_opinion(whole, own)
                self.notes += self._unread(f, points, found, labels, outs)
            along = self._along(whole, found, own, level)
            self.comparisons += [*own, *along]
            if level == 1:
                self.comparisons += self._beside(f, whole.path, own)
                self.comparisons += self._not_linear(f, points, upstream, found, labels)
            labels = labels + [
                f"upstream {k}" if len(outs) > 1 else "upstream" for k in range(len(outs))
            ]
            f, points = derived(f, len(points)), [*points, *upstream]

    def _weights(self, shape: tuple[int, ...]) -> Array:
        drawn = self.draw.uniform(0.5, 1.5, shape) * self.draw.choice((-1, 1), shape)
        return np.asarray(drawn)

    def _direction(self, points: Sequence[Array]) -> list[Array]:
        """Draw a direction in which each element moves by about its size, or by 1 if larger.

        A number so large that 1 is lost in its rounding moves by more.
        """
        sizes = [np.maximum(size_of(p), LEAST * np.spacing(abs(p))) for p in points]
        return [np.asarray(self._weights(s.shape) * s) for s in sizes]

    def _path(
        self, f: Callable[..., Any], points: Sequence[Array], upstream: Sequence[Array], **way: Any
    ) -> Path:
        return Path(
            partial(values_of, f),
            points,
            upstream,
            watched=partial(with_choices, f),
            grain=self.grain,
            **way,
        )

    def _elements(
        self,
        f: Callable[..., Any],
        points: Sequence[Array],
        upstream: Sequence[Array],
        found: Sequence[Array],
        labels: Sequence[str],
        level: int,
    ) -> list[Comparison]:
        comparisons = []
        for which, (point, gradient) in enumerate(zip(points, found, strict=True)):
            steps = steps_of(self.h, point)
            judged, tolerance = {}, self.tolerance.beside(np.asarray(gradient), self.grain.eps)
            for index in self._chosen(point.shape):
                path = self._path(f, points, upstream, element=(which, index))
                step = None if steps is None else float(steps[index])
                judged[index] = self._judge(
                    level, path, float(gradient[index]), tolerance, step, self.kind
                )
            comparisons.append(Comparison(labels[which], level, gradient, judged, tolerance))
        return comparisons

    def _chosen(self, shape: tuple[int, ...]) -> Iterable[tuple[int, ...]]:
        size = int(np.prod(shape))
        if self.elements is None or size <= self.elements:
            return np.ndindex(shape)
        flat = self.draw.choice(size, self.elements, replace=False)
        places = zip(*np.unravel_index(np.sort(flat), shape), strict=True)
        return [tuple(map(int, place)) for place in places]

    def _second_opinion(self, whole: Expansion, own: list[Comparison]) -> list[Comparison]:
        """Decide by Taylor's theorem if differences are too noisy."""
        self.taylor = whole.remainders()
        if all(c.verdict != "cannot tell" for c in own) or not whole.falls_fast:
            return own
        return [
            dataclasses.replace(
                c, judged={i: _decided(j, float(c.analytic[i])) for i, j in c.judged.items()}
            )
            for c in own
        ]

    def _along(
        self, whole: Expansion, found: Sequence[Array], own: Sequence[Comparison], level: int
    ) -> list[Comparison]:
        """Compare the slope along the direction, where single elements leave a doubt.

        They do if only some were looked at, if some lie on kinks (each may lie between its
        slopes, and all of them together not), and if the remainder falls too slowly.
        """
        points = whole.path.points
        kinks = any(j.kink and j.verdict == "right" for c in own for j in c.judged.values())
        order = self.taylor.order if level == 1 and self.taylor is not None else None
        slow = order is not None and order <= FIRST and all(own) and not kinks
        some = self.elements is not None and level == 1
        if not (self.fast or kinks or slow or some) or not any(p.size for p in points):
            return []
        if np.isnan(whole.slope) and not any(np.isnan(g).any() for g in found):
            infinite = Judged(*NOTHING, "cannot tell", "infinite gradients have no sum")
            row = Comparison(DIRECTION, level, np.asarray(np.nan), {(): infinite}, self.tolerance)
            return [row] if self.fast else []
        ways = [(DIRECTION, whole)]
        if kinks:  # of equal elements together, as of all of a maximum
            equal = [size_of(p) for p in points]
            ways.append((TOGETHER, Expansion(whole.path.along(equal), _along(equal, found))))
        rows = []
        for name, way in ways:
            parts = [g * d for g, d in zip(found, way.path.direction or (), strict=True)]
            largest = np.array([np.max(abs(part), initial=0) for part in parts])
            tolerance = self.tolerance.beside(largest, self.grain.eps)
            judged = self._judged_along(way, level, tolerance, kinks=kinks)
            if judged is not None:
                rows.append(Comparison(name, level, np.asarray(way.slope), {(): judged}, tolerance))
        return rows

    def _judged_along(
        self, way: Expansion, level: int, tolerance: Tolerance, *, kinks: bool
    ) -> Judged | None:
        judged = self._judge(level, way.path, way.slope, tolerance, None, "central")
        if kinks and judged.jump:
            return None
        if level == 1 and judged.verdict == "cannot tell" and way.falls_fast:
            return _decided(judged, way.slope)
        return judged

    def _not_linear(
        self,
        f: Callable[..., Any],
        points: Sequence[Array],
        upstream: Sequence[Array],
        found: Sequence[Array],
        labels: Sequence[str],
    ) -> list[Comparison]:
        """Compare with the gradients of -8 times the upstream: -8 times these, to the last bit."""
        other = gradients_of(f, points, [OTHER * u for u in upstream])
        comparisons = []
        for label, one, scaled in zip(labels, found, other, strict=True):
            with np.errstate(all="ignore"):
                gap = abs(scaled / OTHER - one)
            gap = np.where(np.isfinite(gap), gap, 0)
            worst = np.unravel_index(int(np.argmax(gap)), gap.shape) if gap.size else ()
            if gap.size and gap[worst] > LINEAR * np.max(
                abs(one), initial=0, where=np.isfinite(one)
            ):
                judged = Judged(float(one[worst]), 0.0, "WRONG", NOT_LINEAR)
                index = tuple(map(int, worst))
                comparisons.append(
                    Comparison(label, 1, scaled / OTHER, {index: judged}, self.tolerance)
                )
        return comparisons

    def _beside(
        self, f: Callable[..., Any], path: Path, own: Sequence[Comparison]
    ) -> list[Comparison]:
        """Find what is wrong at other points only.

        Beside a kink one slope is right, and not all between two; anywhere a rule may use what it
        kept from an earlier call.
        """
        kinks = any(j.kink for c in own for j in c.judged.values())
        fine = self.grain.eps == EPS and all(self.comparisons)
        if not any(p.size for p in path.points) or not (kinks or fine):
            return []
        way = self._direction(path.points)
        for side in (NEARBY, -NEARBY) if kinks else (NEARBY,):
            moved = [p + side * d for p, d in zip(path.points, way, strict=True)]
            with np.errstate(all="ignore"):
                slope = _along(path.direction or (), gradients_of(f, moved, path.weights))
            tolerance = self.tolerance.beside(np.array([slope]), self.grain.eps)
            judged = judge(path.through(moved), slope, tolerance, None, "central")
            if judged.verdict == "WRONG" and not judged.kink:
                name = BESIDE.format("the kink" if kinks else "the inputs")
                judged = judged if kinks else judged._replace(why=STALE)
                return [Comparison(name, 1, np.asarray(slope), {(): judged}, tolerance)]
        return []

    def _judge(self, level: int, path: Path, analytic: float, *how: Any) -> Judged:
        judged = judge(path, analytic, *how)
        if not judged.kink or judged.verdict != "WRONG":
            return judged
        if level > 1:  # a gradient at a kink is one of many, and those beside it are no guide
            why = judged.why.replace("outside", "a gradient has no slope at a kink: outside")
            return judged._replace(verdict="cannot tell", why=why)
        return among_several_kinks(path, judged)

    def _unread(
        self,
        f: Callable[..., Any],
        points: Sequence[Array],
        found: Sequence[Array],
        labels: Sequence[str],
        outs: Sequence[Array],
    ) -> list[str]:
        """Name the inputs that do not change f: their gradients are 0 whatever f should be."""
        notes = []
        for i, (point, gradient) in enumerate(zip(points, found, strict=True)):
            if not point.size or np.any(gradient):
                continue
            ways = [self._weights(point.shape) * (1 + abs(point)) * size for size in (0.3, 3.0)]
            moved = [[point + way if k == i else p for k, p in enumerate(points)] for way in ways]
            with np.errstate(all="ignore"):
                after = [y for there in moved for y in evaluated(f, list(map(np.asarray, there)))]
            if all(
                np.array_equal(a, b, equal_nan=True)
                for a, b in zip([*outs, *outs], after, strict=True)
            ):
                name = labels[i]
                notes.append(f"f does not change with {name}, whose gradient is 0: does f read it?")
        return notes


def _decided(judged: Judged, analytic: float) -> Judged:
    near = abs(analytic - judged.numeric) <= judged.bound < np.inf
    if judged.verdict != "cannot tell" or not near or judged.kink:
        return judged
    return judged._replace(verdict="right", why=f"{judged.why}; the Taylor remainder tells")


def _along(direction: Sequence[Array], found: Sequence[Array]) -> float:
    """Return the slope along a direction by the gradients."""
    with np.errstate(all="ignore"):
        return sum(float(np.sum(g * d)) for g, d in zip(found, direction, strict=True))


def _grain(f: Callable[..., Any], points: Sequence[Array], upstream: Sequence[Array]) -> Grain:
    with np.errstate(all="ignore"):
        _, choices = with_choices(f, points)
    eps = float(np.finfo(choices.dtype).eps)
    grain = grain_of(partial(values_of, f), points, upstream, eps)
    return grain._replace(chooses=bool(choices.found))


def _require_same(first: Iterable[Any], second: Iterable[Any]) -> None:
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True)):
        message = (
            "gradcheck: f gave different values for the same inputs; seed what it draws, inside "
            "f, and let it change nothing that it computes with"
        )
        raise GraphError(message)


def _notes(outs: Sequence[Any]) -> list[str]:
    """Return notes: what is differentiated, if not a scalar, and what spoils differences."""
    notes = []
    shapes = [str(np.shape(y)) for y in outs]
    if any(shape != "()" for shape in shapes):
        outputs = f"{'output' if len(shapes) == 1 else 'outputs'} of shape {', '.join(shapes)}"
        notes.append(f"the gradients are those of a sum: fixed random numbers times the {outputs}")
    coarse = sorted({str(y.dtype) for y in outs if y.dtype != np.float64})
    if coarse:
        notes.append(f"f computes in {', '.join(coarse)}, so its differences are coarse")
    for y in map(np.asarray, outs):
        notes += [
            f"an output of f is {y[tuple(index)]} at {index}: it has no slope"
            for index in np.argwhere(~np.isfinite(y))[:1].tolist()
        ]
    return notes
