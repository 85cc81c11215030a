"""Random programs over the whole table: values on arrays and Tensors, first and second order.

`python -m tests.test_programs 100000` runs more of them.
"""

import sys
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.engine.composite import Composite
from graphgrad.engine.op import Op
from graphgrad.engine.operands import unwrapped
from graphgrad.engine.recording import Observer, observing
from tests.every_module import EXAMPLES
from tests.every_op import EVERY_OP
from tests.programs import PIECES, Move, Piece, Program, dealt, shrunk

FAILED_ONCE: list[list[Move]] = []  # what a long run found


class Seen(Observer):
    """What was recorded: the ops, and the calls of programs."""

    def __init__(self) -> None:
        self.ops: set[Op[Any]] = set()
        self.calls: set[str] = set()

    def recorded(self, op: Any, tensors: Any, arrays: Any, params: Any) -> None:  # noqa: ARG002
        self.ops.add(op)


def fault_of(moves: list[Move], seen: Seen | None = None) -> str:
    """Run a program, and say what is wrong with it; nothing should be."""
    program, seen = Program(moves), seen or Seen()
    seen.calls.update(piece.name for piece, _, _ in program.steps)
    try:
        with np.errstate(all="ignore"):
            with observing(seen):
                on_tensors = program(*[gg.Tensor(a, requires_grad=True) for a in program.arrays])
            for a, b in zip(program(*program.arrays), on_tensors, strict=True):
                np.testing.assert_allclose(unwrapped(a), unwrapped(b), rtol=1e-10, atol=1e-10)
            report = gg.gradcheck(program, *program.arrays, order=2, fast=True)
    except Exception as error:  # noqa: BLE001 - whatever it is, the program must be found
        return f"{program}: {type(error).__name__}: {error}"
    wrong = any(c.verdict == "WRONG" for c in report.comparisons)
    return f"{program}\n{report}" if wrong else ""


def run(count: int, seed: int = 0) -> Seen:
    seen = Seen()
    for moves in dealt(count, seed):
        if fault_of(moves, seen):
            fewest = shrunk(moves, lambda fewer: bool(fault_of(fewer)))
            pytest.fail(f"{fewest}\n{fault_of(fewest)}")
    return seen


def test_what_failed_once() -> None:
    assert [fault_of(moves) for moves in FAILED_ONCE] == [""] * len(FAILED_ONCE)


def test_a_hundred_programs() -> None:
    run(100)


@pytest.mark.whole
def test_two_thousand_programs_reach_every_layer_and_nearly_every_op() -> None:
    seen = run(2000, seed=1)
    ops = {name for name, op in EVERY_OP.items() if isinstance(op, Op)}
    missed = {name for name in ops if EVERY_OP[name] not in seen.ops}
    assert len(missed) <= 0.05 * len(ops), missed
    composed = {name for name, op in EVERY_OP.items() if isinstance(op, Composite) and op.domain}
    assert len(composed - seen.calls) <= 0.05 * len(composed), composed - seen.calls
    assert {f"nn.{name}" for name in EXAMPLES} <= seen.calls


def test_a_wrong_rule_is_found_and_the_program_shrinks_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = gg.op(lambda x: x**3, lambda g, x: 2.9 * g * x**2, name="wrong")
    piece = Piece("wrong", wrong, [np.array([0.5, 1.5])], [0])
    monkeypatch.setattr("tests.programs.PIECES", [*PIECES, [piece]])
    moves: list[Move] = [(len(PIECES), 0, 0, 0) if k == 3 else (k, 0, 0, 1) for k in range(6)]
    fewest = shrunk(moves, lambda fewer: bool(fault_of(fewer)))
    assert [op for op, *_ in fewest] == [len(PIECES)]


if __name__ == "__main__":
    run(int(sys.argv[1]), seed=2)
