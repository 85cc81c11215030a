"""Several kinks that meet at one point: whether the rule of each is right by itself.

relu(x) - relu(-x) is x, with slope 1 at 0 too, but relu's gradient there is 0, on both sides of the
minus. Each rule is right; the chain rule through kinks does not give the slope. So where a gradient
is outside the slopes of f, and several kinks meet, each op that has one is judged alone.
"""

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from graphgrad.checks.differences import EPS, Grain, Path, size_of
from graphgrad.checks.running import gradients_of, values_of, with_choices
from graphgrad.checks.verdicts import Judged, Tolerance, judge
from graphgrad.engine.graph import array_of
from graphgrad.engine.op import Op
from graphgrad.engine.record import record
from graphgrad.engine.recording import Observer, observing
from graphgrad.typing import Array

STEP = 1e-6  # from the kink, in the size of x
BEND = 1e-3  # by how much the slopes of a kink differ at least, in the size of the larger
STEEP = 1e4  # slopes above it are jumps
MOST = 20  # kinks that are judged, at most
TOLERANCE = Tolerance(1e-3, 1e-6)


class Call(NamedTuple):
    """One call of an op that chooses."""

    op: Op[Any]
    arrays: list[Any]
    params: tuple[Any, ...]
    outputs: list[Array]


class Calls(Observer):
    """Records the calls of ops that choose, and the answers of NumPy."""

    def __init__(self) -> None:
        self.found: list[Call] = []
        self.answers: list[Any] = []

    def recorded(
        self, op: Op[Any], tensors: list[Any], arrays: list[Any], params: tuple[Any, ...]
    ) -> None:
        """Record an op that declares ``chooses``."""
        if op.chooses is not None:
            outputs = [np.asarray(array_of(t)) for t in tensors]
            self.found.append(Call(op, arrays, params, outputs))

    def answered(self, question: str, answer: Array) -> None:
        """Record an answer."""
        self.answers.append((question, answer))

    def sweeping(self, sweep: Any) -> None:
        """Observe no sweep."""


def among_several_kinks(path: Path, judged: Judged) -> Judged:
    """Return the verdict on a gradient that is outside the slopes of f at a kink."""
    runs = [_calls(path, t * float(size_of(path.x))) for t in (0.0, STEP, -STEP)]
    where = judged.why.partition("at a kink: ")[2]
    names = [[call.op.name for call in run.found] for run in runs]
    if names[1:] != names[:1] * 2 or _differ(*[run.answers for run in runs]):
        why = f"{where} chooses what is computed, and this gradient is of its choice here alone"
        return judged._replace(verdict="cannot tell", why=why)
    kinks = [
        (calls, at) for calls in zip(*[r.found for r in runs], strict=True) for at in _bends(*calls)
    ]
    verdicts = set()
    for (here, *beside), at in kinks[:MOST]:
        verdicts |= {_alone(here, there, at) for there in beside}
        if "WRONG" in verdicts:
            return judged._replace(why=f"{judged.why}; {here.op.name} alone is wrong there")
    if len(kinks) > 1:
        where = f"several kinks meet at {where}, and the chain rule through kinks"
    elif "cannot tell" in verdicts:
        where = f"{where} jumps, and the chain rule through jumps"
    else:
        return judged
    return judged._replace(verdict="cannot tell", why=f"{where} does not give the slope")


def _calls(path: Path, t: float) -> Calls:
    points, _ = path.moved(t)
    calls = Calls()
    if path.watched is not None:
        with observing(calls), np.errstate(all="ignore"):
            path.watched(points)
    return calls


def _differ(*answers: list[Any]) -> bool:
    return any(
        not np.array_equal(one, other)
        for others in answers[1:]
        for (_, one), (_, other) in itertools.zip_longest(answers[0], others, fillvalue=("", ""))
    )


def _bends(here: Call, right: Call, left: Call) -> Iterator[tuple[int, Any]]:
    """List where the outputs of an op have a kink or a jump: which output, and the index."""
    if any(np.shape(a) != np.shape(b) for a, b in zip(here.arrays, right.arrays, strict=True)):
        return
    ways = [np.max(abs(np.subtract(a, b)), initial=0) for a, b in _floats(here, right)]
    for number, parts in enumerate(zip(here.outputs, right.outputs, left.outputs, strict=True)):
        y, after, before = parts
        if not y.shape == after.shape == before.shape or y.dtype.kind != "f":
            continue
        rises = np.maximum(abs(after - y), abs(y - before))
        bent = abs(after - 2 * y + before) > BEND * rises + 1e3 * EPS * abs(y)
        bent |= rises > STEEP * max(ways, default=0)
        for index in np.argwhere(bent):
            yield number, tuple(map(int, index))


def _floats(here: Call, there: Call) -> list[tuple[Array, Array]]:
    pairs = zip(here.arrays, there.arrays, strict=True)
    return [(a, b) for a, b in pairs if np.asarray(a).dtype.kind == "f"]


def _alone(here: Call, there: Call, at: tuple[int, Any]) -> str:
    """Judge an op by itself: one element of its output, in the direction in which its inputs go."""
    arrays = [np.asarray(a) for a in here.arrays]
    places = [i for i, a in enumerate(arrays) if a.dtype.kind == "f"]
    points = [arrays[i].astype(np.float64) for i in places]
    direction = [(there.arrays[i] - p) / STEP for i, p in zip(places, points, strict=True)]

    def op(*variables: Any) -> list[Any]:
        inputs = list(here.arrays)
        for place, variable in zip(places, variables, strict=True):
            inputs[place] = variable
        out = record(here.op, tuple(inputs), here.params)
        outs = out if isinstance(out, tuple) else (out,)
        return [y for y in outs if y.dtype.kind == "f"]

    number, index = at
    upstream = [np.zeros(y.shape) for y in here.outputs]
    upstream[number][index] = 1.0
    found = gradients_of(op, points, upstream)
    slope = sum(float(np.sum(g * d)) for g, d in zip(found, direction, strict=True))
    path = Path(
        partial(values_of, op),
        points,
        upstream,
        direction=direction,
        watched=partial(with_choices, op),
        grain=Grain(chooses=True),
    )
    return judge(path, slope, TOLERANCE, None, "central").verdict
