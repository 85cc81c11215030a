"""Random programs of ops that PyTorch has too: outputs, first and second derivatives."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.checks.laws import Case
from graphgrad.testing import typical_calls
from tests.every_op import EVERY_OP
from tests.programs import NUDGE, Move, dealt

torch = pytest.importorskip("torch")

from tests.parity.compare import OURS, THEIRS, close, derivatives, floating  # noqa: E402
from tests.parity.counterparts import COUNTERPARTS  # noqa: E402
from tests.parity.test_ops import call_of  # noqa: E402


class Pair(NamedTuple):
    """One call, here and there."""

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    arrays: list[Any]


def pairs() -> list[list[Pair]]:
    """List the calls that PyTorch can make, by op."""
    found: dict[str, list[Pair]] = {}
    for name in EVERY_OP:
        if name not in COUNTERPARTS:
            continue
        for call in typical_calls(EVERY_OP[name]):
            case = Case(EVERY_OP[name], call)
            ours, theirs = (call_of(name, case, f) for f in (case.op, COUNTERPARTS[name]))
            if not case.points or not all(0 < p.size <= 200 for p in case.points):
                continue
            try:
                count = len(floating(theirs(*map(torch.tensor, case.points))))
            except NotImplementedError:
                continue
            if count and count == len(floating(ours(*map(gg.Tensor, case.points)))):
                found.setdefault(name, []).append(Pair(name, ours, theirs, case.points))
    return list(found.values())


PAIRS = pairs()


def program(steps: list[tuple[Pair, int, int]], which: str, tanh: Any) -> Callable[..., list[Any]]:
    """Return what a program computes, by our functions or by PyTorch's."""

    def run(*arrays: Any) -> list[Any]:
        values: list[Any] = []
        left = list(arrays)
        for pair, at, of in steps:
            own = [left.pop(0) for _ in pair.arrays]
            if values:
                place, earlier = at % len(own), values[of % len(values)]
                same = tuple(earlier.shape) == tuple(own[place].shape)
                own[place] = own[place] + NUDGE * tanh(earlier if same else earlier.mean())
            values += [y for y in floating(getattr(pair, which)(*own)) if 0 not in y.shape]
        return values

    return run


@pytest.mark.parametrize("seed", range(10))
def test_programs_agree(seed: int) -> None:
    for moves in dealt(30, seed, len(PAIRS)):
        agrees(moves)


def agrees(moves: list[Move]) -> None:
    steps = [(PAIRS[op][call % len(PAIRS[op])], at, of) for op, call, at, of in moves]
    arrays = [a for pair, _, _ in steps for a in pair.arrays]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of PyTorch's
        expected = derivatives(THEIRS, program(steps, "theirs", torch.tanh), arrays, 2)
        found = derivatives(OURS, program(steps, "ours", np.tanh), arrays, 2)
    what = " → ".join(pair.name for pair, _, _ in steps)
    for number, (a, b) in enumerate(zip(found, expected, strict=True)):
        close(a, b, 1e-8, f"{what}: {number}")
