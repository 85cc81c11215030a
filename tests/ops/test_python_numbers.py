"""An op takes a number wherever NumPy's function does: one of Python's, or a 0-d array."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.checks.laws import AnyOp, Case
from graphgrad.engine.domains import Call, Elementwise, Reduction
from graphgrad.engine.plain import is_numpys
from graphgrad.errors import GraphgradError
from graphgrad.testing import typical_calls
from tests.builders import leaf
from tests.every_op import EVERY_OP

NUMPYS = {  # elementwise ops are called with numbers by their own property tests
    name: op
    for name, op in EVERY_OP.items()
    if is_numpys(op.function) and not isinstance(op.domain, Elementwise)
}
NUMBER = 0.75


def with_a_number(op: AnyOp, number: Any) -> Iterator[tuple[Call, int]]:
    """Put a number in the place of each array of each typical call, where NumPy takes it."""
    for call in typical_calls(op):
        case = Case(op, call)
        for place in case.places:
            leaves = list(case.leaves)
            leaves[place] = number
            yield from numpys(op, Call(*case.rebuild(leaves)), place)
    if isinstance(op.domain, Reduction):
        for axis in (0, -1, None):
            yield from numpys(op, Call((number,), {"axis": axis}), 0)
    elif isinstance(number, np.ndarray):
        for call in typical_calls(op):  # one number is a vector of one where there is an axis
            for axis in (0, -1):
                yield from numpys(
                    op, Call((number, *call.args[1:]), call.kwargs | {"axis": axis}), 0
                )


def numpys(op: AnyOp, call: Call, place: int) -> Iterator[tuple[Call, int]]:
    with np.errstate(all="ignore"):
        try:
            op.function(*call.args, **call.kwargs)
        except Exception:  # noqa: BLE001 - NumPy takes no number there
            return
    yield call, place


def refused(case: Case) -> bool:
    """Whether we take no number where NumPy does, and say so: a product of matrices."""
    try:
        case.run(*[leaf(p) for p in case.points])
    except GraphgradError:
        return True
    return False


@pytest.mark.parametrize("op", NUMPYS.values(), ids=NUMPYS)
def test_a_number_of_pythons_is_a_constant(op: AnyOp) -> None:
    for call, place in with_a_number(op, NUMBER):
        found = Case(op, call)
        if refused(found):
            continue
        variables = [p for p in found.places if p != place]
        leaves = list(found.leaves)
        leaves[place] = np.array(NUMBER)
        array = Case(op, Call(*found.rebuild(leaves)))
        for case in (found, array):
            case.places = variables
            case.points = [np.array(case.leaves[i]) for i in variables]
        upstream = found.upstream() if variables else []
        for a, b in zip(found.pull(upstream), array.pull(upstream), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("op", NUMPYS.values(), ids=NUMPYS)
def test_a_0d_array_is_a_variable(op: AnyOp) -> None:
    for call, _ in with_a_number(op, np.array(NUMBER)):
        case = Case(op, call)
        if refused(case):
            continue
        for y, plain in zip(case.everything(*case.points), case.plain(case.points), strict=True):
            np.testing.assert_array_equal(np.shape(y), np.shape(plain))
        for g, p in zip(case.pull(case.upstream()), case.points, strict=True):
            assert g.shape == p.shape
        if case.run(*case.points):
            assert gg.gradcheck(lambda *xs, c=case: c.run(*xs), *case.points)


def test_few_numbers_are_refused() -> None:
    """Where NumPy takes a number for a matrix or vector, one word of ours is enough."""
    words = {
        name
        for name, op in NUMPYS.items()
        for call, _ in with_a_number(op, np.array(NUMBER))
        if refused(Case(op, call))
    }
    assert words <= {"cumulative_prod", "cumulative_sum", "diff", "ediff1d", "multi_dot"}
