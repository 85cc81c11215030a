"""Random programs over all ops and layers, compiled: the same bits as without."""

import inspect
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.errors import GraphgradError
from tests.compiling.against_eager import assert_compiles
from tests.every_module import EXAMPLES
from tests.programs import PIECES, Move, Program, dealt, run

CALLS = 3  # the first two are traced
DRAWING = {f"nn.{name}" for name, example in EXAMPLES.items() if not example.reproducible}


@pytest.fixture(autouse=True)
def _leave_generators_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layers of programs reset generators in each call, which a program cannot repeat."""
    for piece in [piece for calls in PIECES for piece in calls if piece.name.startswith("nn.")]:
        twin = inspect.getclosurevars(piece.function).nonlocals["twin"]
        monkeypatch.setattr(twin, "generators", [])


def check(moves: list[Move], seed: int) -> None:
    """Compile value and gradients of a program, and compare them on other arrays in each call."""
    program = Program(moves)
    rng = np.random.default_rng(seed)
    if not program.arrays or DRAWING.intersection(piece.name for piece, _, _ in program.steps):
        return  # what draws is among the modules

    steps = program.steps  # a compiled function looks at all that it reaches: not at all pieces

    def total(*arrays: Any) -> Any:
        values = [y for y in run(steps, arrays) if isinstance(y, gg.Tensor)]
        return sum(
            ((y * np.cos(np.arange(y.size)).reshape(y.shape)).sum() for y in values), gg.Tensor(0.0)
        )

    f = gg.value_and_grad(total, tuple(range(len(program.arrays))))
    draws = [
        [np.asarray(a * rng.uniform(0.995, 1.005, a.shape)) for a in program.arrays]
        for _ in range(CALLS)
    ]
    try:
        f(*draws[0])
    except GraphgradError:
        return
    try:
        assert_compiles(f, draws, most=8)
    except AssertionError as error:
        if "something outside holds" in str(error):  # the list of a test case, rarely
            return
        raise AssertionError(f"{program}: {error}") from error


@pytest.mark.parametrize("start", range(0, 100, 20))
def test_same_bits_as_without(start: int) -> None:
    for k, moves in enumerate(list(dealt(start + 20, seed=3))[start:]):
        check(moves, start + k)


@pytest.mark.whole
def test_same_bits_in_many_programs() -> None:
    for k, moves in enumerate(dealt(300, seed=4)):
        check(moves, k)
