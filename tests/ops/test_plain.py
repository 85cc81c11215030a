"""Every NumPy function that sees a Tensor is an op, answers plainly, or is refused by name."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.engine.plain import PLAIN
from graphgrad.errors import UnsupportedError
from tests.builders import leaf

DATA = np.array([[3.0, -1.0, 2.0], [0.0, -1.0, np.inf]])
WHOLE = np.array([[3, 1, 2], [0, 1, 2]])


def as_they_are(names: str) -> dict[Any, Any]:
    return {getattr(np, name): getattr(np, name) for name in names.split()}


# How to call each function: x is floating, n holds small whole numbers of the same shape.
ON_FLOATS: dict[Any, Callable[[Any], Any]] = {
    **as_they_are("""
        argmin argwhere array_repr array_str common_type flatnonzero iscomplex
        iscomplexobj isfinite isinf isnan isneginf isposinf isreal isrealobj logical_not
        nanargmin ndim nonzero shape signbit triu_indices_from zeros_like
    """),
    np.all: lambda x: np.all(x, axis=0),
    np.allclose: lambda x: np.allclose(x, x + 1e-12),
    np.any: lambda x: np.any(x, axis=1, keepdims=True),
    np.argmax: lambda x: np.argmax(x, 1, keepdims=True),
    np.argpartition: lambda x: np.argpartition(x, 1),
    np.argsort: lambda x: np.argsort(x, axis=0),
    np.array2string: lambda x: np.array2string(x, precision=1),
    np.array_equal: lambda x: np.array_equal(x, x),
    np.array_equiv: lambda x: np.array_equiv(x, x[:1]),
    np.can_cast: lambda x: np.can_cast(x.dtype, np.float32) and np.can_cast(x, "f8"),
    np.count_nonzero: lambda x: np.count_nonzero(x, axis=1),
    np.diag_indices_from: lambda x: np.diag_indices_from(x[:, :2]),
    np.digitize: lambda x: np.digitize(x, [0.0, 2.0]),
    np.einsum_path: lambda x: np.einsum_path("ij,ij", x, x),
    np.empty_like: lambda x: np.empty_like(x).shape,
    np.greater: lambda x: np.greater(x, 0),
    np.isclose: lambda x: np.isclose(x, 2.0, equal_nan=True),
    np.isin: lambda x: np.isin(x, [2.0, 3.0]),
    np.less_equal: lambda x: np.less_equal(1.0, x),
    np.may_share_memory: lambda x: np.may_share_memory(x, x),
    np.nanargmax: lambda x: np.nanargmax(x, axis=0),
    np.not_equal: lambda x: np.not_equal(x, 2),
    np.ones_like: lambda x: np.ones_like(x, dtype=int),
    np.result_type: lambda x: np.result_type(x, np.float32),
    np.searchsorted: lambda x: np.searchsorted([0.0, 2.5], x),
    np.size: lambda x: np.size(x, 1),
    np.tril_indices_from: lambda x: np.tril_indices_from(x, -1),
}
ON_WHOLE_NUMBERS: dict[Any, Callable[[Any], Any]] = {
    np.bitwise_and: lambda n: np.bitwise_and(n, 1),
    np.bitwise_count: np.bitwise_count,
    np.bitwise_or: lambda n: np.bitwise_or(n, n),
    np.bitwise_xor: lambda n: np.bitwise_xor(1, n),
    np.gcd: lambda n: np.gcd(n, 2),
    np.histogram_bin_edges: lambda n: np.histogram_bin_edges(n, 2),
    np.invert: np.invert,
    np.ix_: lambda n: np.ix_(n[0], n[1]),
    np.lcm: lambda n: np.lcm(n, 2),
    np.left_shift: lambda n: np.left_shift(n, 1),
    np.linalg.matrix_rank: np.linalg.matrix_rank,
    np.min_scalar_type: np.min_scalar_type,
    np.packbits: lambda n: np.packbits(n, axis=1),
    np.ravel_multi_index: lambda n: np.ravel_multi_index((n[0], n[1]), (4, 4)),
    np.right_shift: lambda n: np.right_shift(n, 1),
    np.unpackbits: lambda n: np.unpackbits(n.astype(np.uint8)),
    np.unravel_index: lambda n: np.unravel_index(n, (2, 2)),
}
ON_BOTH: dict[Any, Callable[[Any, Any], Any]] = {
    **as_they_are("equal less logical_and logical_or logical_xor shares_memory"),
    np.greater_equal: lambda x, n: np.greater_equal(n, x),
    np.lexsort: lambda x, n: np.lexsort((x[0], n[1])),
}
CALLS: list[tuple[Any, tuple[Any, ...]]] = [
    *[(function, (DATA,)) for function in ON_FLOATS],
    *[(function, (WHOLE,)) for function in ON_WHOLE_NUMBERS],
    *[(function, (DATA, WHOLE)) for function in ON_BOTH],
]


def plain_parts(answer: Any) -> Iterator[Any]:
    if isinstance(answer, tuple | list):
        for part in answer:
            yield from plain_parts(part)
    else:
        yield answer


def test_every_plain_function_is_called_here() -> None:
    optional = {getattr(np, "in1d", None), np.isnat}  # gone since NumPy 2.4; for dates only
    assert PLAIN - optional == {function for function, _ in CALLS}


@pytest.mark.parametrize(("function", "arrays"), CALLS, ids=lambda f: getattr(f, "__name__", ""))
@pytest.mark.parametrize("recorded", [True, False])
def test_answers_are_numpys_and_plain(function: Any, arrays: Any, recorded: bool) -> None:
    """On a recorded tensor too: an answer carries no gradient that could be lost."""
    call: Any = (ON_FLOATS | ON_WHOLE_NUMBERS | ON_BOTH)[function]
    tensors = [gg.Tensor(a, requires_grad=recorded and a.dtype.kind == "f") for a in arrays]
    with np.errstate(all="ignore"):
        answer, expected = call(*tensors), call(*arrays)
    assert type(answer) is type(expected)
    for a, b in zip(plain_parts(answer), plain_parts(expected), strict=True):
        assert not isinstance(a, gg.Tensor)
        assert type(a) is type(b)
        np.testing.assert_array_equal(a, b)


def test_tensors_in_lists_are_found_where_numpy_looks_for_them() -> None:
    x = leaf(DATA[0])
    np.testing.assert_array_equal(np.lexsort((x, x)), np.lexsort((DATA[0], DATA[0])))
    assert type(np.logical_and(x, [1, 0, 1])) is np.ndarray


def test_methods_of_ufuncs_that_answer_plainly() -> None:
    x = leaf(DATA)
    np.testing.assert_array_equal(np.equal.outer(x, x), np.equal.outer(DATA, DATA))
    assert np.logical_or.reduce(x, axis=None)
    np.testing.assert_array_equal(
        np.less(x, 0, where=gg.Tensor(DATA > 0), out=np.zeros((2, 3), bool)), np.zeros((2, 3))
    )


def test_comparison_operators_are_plain() -> None:
    x = leaf(DATA)
    for answer, expected in [
        (x > 0, DATA > 0),
        (x >= x[1], DATA[1] <= DATA),
        (x == 2, DATA == 2),
        (x != WHOLE, DATA != WHOLE),
    ]:
        assert type(answer) is np.ndarray
        np.testing.assert_array_equal(answer, expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: np.copyto(t, 0.0), r"np\.copyto.*t\[\.\.\.\] = value"),
        (lambda t: np.copyto(np.zeros(3), t), r"np\.copyto.*\.numpy\(\)"),
        (lambda t: np.put(t, [0], 1.0), r"np\.put.*t\[\.\.\.\] = value"),
        (lambda t: np.place(np.zeros(3), [True, False, True], t), r"np\.place"),
        (lambda t: np.putmask(t, t > 0, 1.0), r"np\.putmask.*t\[\.\.\.\] = value"),
        (lambda t: np.put_along_axis(t, np.array([0]), 1.0, 0), r"np\.put_along_axis.*t\["),
        (lambda t: np.fill_diagonal(np.stack([t, t]), 0.0), r"np\.fill_diagonal.*t\["),
        (lambda t: np.add.at(t, [0], 1.0), r"np\.add\.at.*t\[\.\.\.\] = value"),
        (lambda t: np.equal.at(t, [0], 1.0), r"np\.equal\.at"),
        (lambda t: np.save("nowhere", t), r"np\.save .*save t\.numpy\(\)"),
        (np.fft.fft, r"np\.fft\.fft .*gg\.op.*\.detach\(\)"),
        (lambda t: np.resize(t, 5), r"np\.resize.*gg\.tile"),
    ],
)
def test_what_has_no_rule_is_refused_with_a_remedy(
    call: Callable[[Any], Any], message: str
) -> None:
    t = leaf([1.0, 2.0, 3.0])
    with pytest.raises(UnsupportedError, match=message) as caught:
        call(t)
    assert "test_plain.py:" in str(caught.value)
    np.testing.assert_array_equal(t.numpy(), [1, 2, 3])


def test_the_arg_functions_have_typed_names() -> None:
    t = leaf(DATA)
    assert gg.argmax(t, axis=1, keepdims=True).tolist() == [[0], [2]]
    assert gg.argmin(t) == 1
    assert gg.argsort(t, axis=0).tolist() == np.argsort(DATA, axis=0).tolist()
    assert gg.argmax(t.data) == np.argmax(DATA)
