"""The pieces of f that meet at a point: found by steps to either side, with what f chose there."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from graphgrad.checks.choices import Change
from graphgrad.checks.differences import (
    CERTAIN,
    Kind,
    Level,
    Path,
    Slope,
    Value,
    changed,
    extrapolated,
    grows,
    size_of,
    slope,
)

PIECES, NEARBY = 24, 1e-4  # points around a kink, and their distance from it
FEWEST = 3  # steps on a piece, at least, for its slope
Changes = list[Change | None]


class Meeting(NamedTuple):
    """The pieces of f that meet at a point: the slope of each there, NaN where it has none."""

    slopes: Sequence[Slope]
    why: str = ""
    kink: bool = False  # whether ops choose among the pieces
    sides: Sequence[Slope] = ()  # of one smooth piece, each side by itself


def meeting_at(path: Path, step: float | None, kind: Kind) -> Meeting:
    """Find the pieces of f that meet at the start of a path, by many steps to either side."""
    start = path.at(0.0, watch=True)
    for y in start.outputs:
        if not np.isfinite(y).all():
            return Meeting([], f"f is {y[~np.isfinite(y)][0]} here")
    right, left = sides = _Side(path, start, 1.0), _Side(path, start, -1.0)
    for h in path.steps() if step is None else path.steps(largest=step):
        right.step(h)
        left.step(h)
    if step is not None and right.own[0] and left.own[0]:
        return Meeting([slope(path, step, kind)])
    if not _inside(sides) and any(side.own[-1] for side in sides):
        _look_closer(path, sides)
    here, *beside = [[y.shape for y in v.outputs] for v in (start, *right.values, *left.values)]
    for there in beside:
        if there != here:
            shapes = [", ".join(map(str, shapes)) for shapes in (here, there)]
            return Meeting(
                [], f"the shapes of f's outputs change here: {', beside it '.join(shapes)}"
            )
    return _on_a_piece(path, sides) if _inside(sides) else _at_a_kink(sides)


def _inside(sides: Sequence["_Side"]) -> bool:
    """Whether the start lies inside a piece: steps to both sides stay on it, and change f.

    If they do not change f, it may be that they are lost in rounding on the way to a choice.
    """
    right, left = sides
    both = [all(own) for own in zip(right.own, left.own, strict=True)]
    return both[-1] and (sum(both) > len(both) / 2 or (right.moved and left.moved))


def _look_closer(path: Path, sides: tuple["_Side", "_Side"]) -> None:
    """Take steps so small that a kink lies beyond them, if there are any that change f."""
    count = len(sides[0].values)
    for h in path.tiny_steps():
        for side in sides:
            side.step(h)
        if _inside(sides):
            return
    for side in sides:
        del side.values[count:], side.changes[count:]


def _moved(start: Value, there: Value, number: int) -> bool:
    """Whether what a choice is made by differs; of an answer f itself has to tell."""
    if start.choices and there.choices:
        a, b = (c.found[number].inputs for c in (start.choices, there.choices))
        if a or b:
            return a != b
    return not all(map(np.array_equal, start.outputs, there.outputs))


class _Side:
    """f on one side of a point, at decreasing steps."""

    def __init__(self, path: Path, start: Value, sign: float) -> None:
        self.path, self.start, self.sign = path, start, sign
        self.values: list[Value] = []
        self.changes: Changes = []

    def step(self, size: float) -> None:
        """Compute f one step away."""
        self.values.append(self.path.at(self.sign * size, watch=True))
        self.changes.append(changed(self.start, self.values[-1]))

    @property
    def own(self) -> list[bool]:
        """Whether each value is on the piece of the start itself."""
        return [change is None for change in self.changes]

    @property
    def moved(self) -> bool:
        """Whether steps on the start's own piece change what leads to another one further off."""
        numbers = {change.number for change in self.changes if change}
        return any(
            all(_moved(self.start, v, k) for k in numbers)
            for v in itertools.compress(self.values, self.own)
        )

    def piece(self) -> list[Value]:
        """Return the values on the piece that begins at the start, and goes on for some steps."""
        groups = ([v for v in self.values if not changed(last, v)] for last in self.values[::-1])
        return next((group for group in groups if len(group) >= FEWEST), self.values[-1:])

    def levels(self, values: Sequence[Value]) -> list[Level]:
        """Return slopes from the start."""
        return [self.path.difference(v, self.start) for v in values]

    def slope(self, *, own: bool) -> Slope:
        """Return the slope on the start's own piece or on the next; nan if f is not finite."""
        mine = itertools.compress(self.values, self.own) if own else self.piece()
        return _limit(self.path, self.levels(list(mine)), 1)

    def jumps(self) -> bool:
        """Whether f differs from its value at the start for every small step."""
        nearest = self.levels(self.piece()[-FEWEST:])
        noise = self.path.grain.noise if all(self.own[-FEWEST:]) else 0.0
        rises = [(abs(v.slope) * v.step, max(v.noise * v.step, noise)) for v in nearest]
        if len(rises) < 2 or any(rise <= 100 * noise or rise == 0 for rise, noise in rises):
            return False
        return all(b[0] > 0.9 * a[0] for a, b in itertools.pairwise(rises))


def _limit(path: Path, levels: Sequence[Level], order: int) -> Slope:
    infinite = grows(levels)
    if infinite:
        return Slope(infinite, 0.0)
    found = extrapolated(levels, order, path.grain.noise, moving=order > 1)
    return found._replace(bound=found.bound + path.hidden)


def _at_a_kink(sides: tuple[_Side, _Side]) -> Meeting:
    nearest = zip(*(side.changes[::-1] for side in sides), strict=True)
    change = next(change for change in itertools.chain(*nearest) if change)
    if any(side.jumps() for side in sides):
        return Meeting([], f"not differentiable: {change} jumps", kink=True)
    return Meeting([side.slope(own=False) for side in sides], str(change), kink=True)


def _on_a_piece(path: Path, sides: tuple[_Side, _Side]) -> Meeting:
    """Return the slope on the one piece around the start: between both sides, if it goes far."""
    if all(side.jumps() for side in sides):
        return Meeting([], "not differentiable: f(x) is not what f tends to, and no op says why")
    right, left = sides
    both = [k for k, own in enumerate(zip(right.own, left.own, strict=True)) if all(own)]
    between = [path.difference(right.values[k], left.values[k]) for k in both]
    ends = [side.slope(own=True) for side in sides]
    if not any(np.isfinite(v.slope) for v in between[-FEWEST:]):
        return Meeting(ends, _edge([not math.isnan(s.value) for s in ends]))
    found = [_limit(path, between, 2)]
    if not any(v.slope for v in between):
        found = [Slope(0.0, np.inf if path.element is None else path.resolution(between[0].step))]
    if not (all(right.own) and all(left.own)):  # kinks are near, perhaps on one side only
        found += [end for end in ends if not math.isnan(end.value)]
    return Meeting([min(found, key=lambda s: s.bound)], sides=ends)


def _edge(finite: Sequence[bool]) -> str:
    if not any(finite):
        return "f is not finite on either side, or kinks lie too close"
    return "" if all(finite) else f"finite to the {'right' if finite[0] else 'left'} only"


def apart(sides: Sequence[Slope]) -> bool:
    """Whether the slopes to either side differ by more than their errors."""
    if len(sides) < 2:
        return False
    (a, b) = sides
    apart = abs(a.value - b.value)
    return apart > CERTAIN * (a.bound + b.bound) and apart > 1e-3 * abs(a.value)


def slopes_nearby(path: Path) -> list[Slope]:
    """Return slopes on the pieces around a kink, some of which no step along the path finds."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(PIECES):
        moved = [
            np.asarray(p + size_of(p) * NEARBY * rng.uniform(-1, 1, p.shape)) for p in path.points
        ]
        step = NEARBY * NEARBY * float(size_of(path.x))
        level = path.through(moved).central(step)
        found.append(Slope(level.slope, level.noise))
    return [s for s in found if math.isfinite(s.value)]
