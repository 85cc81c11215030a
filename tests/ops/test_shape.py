"""Ops of shape, joining, diagonals and windows: many more calls than the laws are held against."""

import itertools
from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.lib.stride_tricks import sliding_window_view

import graphgrad as gg
from graphgrad.engine.op import MAX_INPUTS_OF_CACHED_PLANS, Op
from graphgrad.errors import DtypeError, GraphError, IndexingError, ShapeError, UnsupportedError
from graphgrad.ops import join
from graphgrad.optim.penalties import PENALTY
from tests.builders import leaf
from tests.linear import check_linear, whole

solid = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4)


def test_an_axis_rolls_to_every_place() -> None:
    for axis, start in itertools.product(range(-3, 3), range(-3, 4)):
        check_linear(lambda a, i=axis, j=start: np.rollaxis(a, i, j), (2, 3, 4))


def test_stacks_of_mixed_dimensions() -> None:
    check_linear(lambda *a: np.vstack(a), (3,), (2, 3))
    check_linear(lambda *a: np.hstack(a), (3,), (2,), ())
    check_linear(lambda *a: np.dstack(a), (3,), (1, 3), (1, 3, 2))
    check_linear(lambda a, b: np.block([[np.ones((2, 2)), a], [b, 7.0]]), (2, 1), (2,))


@pytest.mark.parametrize("lift", [np.atleast_1d, np.atleast_2d, np.atleast_3d])
def test_what_has_the_axes_already_is_returned_itself(lift: Any) -> None:
    least = int(lift.__name__[-2])
    for axes in (least, least + 1):
        t = leaf(np.ones((2,) * axes))
        assert lift(t) is t


def test_meshgrid_of_any_number_of_vectors() -> None:
    check_linear(np.meshgrid, (3,), (), (2,))
    assert gg.meshgrid() == ()


def test_meshgrid_copies_may_be_assigned_to() -> None:
    x = leaf([1.0, 2.0])
    grid, _ = gg.meshgrid(x, x)
    grid[0, 0] = 5.0
    (whole_sum,) = gg.gradients([grid], [x], [np.ones((2, 2))])
    np.testing.assert_array_equal(whole_sum, [1, 2])


@given(st.data(), solid)
def test_concatenate_and_the_splits_undo_each_other(
    data: st.DataObject, old: tuple[int, ...]
) -> None:
    axis = data.draw(st.integers(-len(old), len(old) - 1))
    lengths = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    parts = [(*old[: axis % len(old)], n, *old[axis % len(old) + 1 :]) for n in lengths]
    check_linear(lambda *a: np.concatenate(a, axis=axis), *parts)
    check_linear(lambda *a: np.concatenate(a, axis=None), *parts, ())
    cuts = data.draw(st.lists(st.integers(-5, 5), max_size=3))
    check_linear(lambda a: np.split(a, cuts, axis), old)
    check_linear(lambda a: np.array_split(a, cuts, axis=axis), old)
    sections = data.draw(st.integers(1, 5))
    check_linear(lambda a: np.array_split(a, sections, axis), old)
    check_linear(lambda a: np.split(a, old[axis], axis), old)
    check_linear(lambda a: gg.unstack(a, axis=axis), old)


@pytest.mark.parametrize("operation", [join.stack, join.concatenate, PENALTY])
def test_lists_with_any_of_their_inputs_wanted(operation: Op[Any]) -> None:
    rng = np.random.default_rng(0)
    for count in range(1, 40):
        arrays = rng.uniform(-1, 1, (count, 2))
        wanted = rng.random(count) < 0.5
        wanted[rng.integers(count)] = True
        inputs = [
            leaf(a) if want else gg.Tensor(a) if a[0] > 0 else a
            for a, want in zip(arrays, wanted, strict=True)
        ]
        params = (0.0, 1.0) if operation is PENALTY else ()
        out = operation(inputs, *params)
        g = rng.uniform(-1, 1, out.shape)
        out.backward(g)
        expected = arrays * g if operation is PENALTY else g.reshape(arrays.shape)
        for x, want, e in zip(inputs, wanted, expected, strict=True):
            if want:
                np.testing.assert_allclose(x.grad, e)
    assert len(operation.plans) <= 2 ** (MAX_INPUTS_OF_CACHED_PLANS + 1), (
        "long lists leave nothing behind"
    )
    assert all(len(wants) <= MAX_INPUTS_OF_CACHED_PLANS for wants in operation.plans)


def test_a_list_of_inputs_has_one_joint_rule() -> None:
    with pytest.raises(UnsupportedError, match=r"pile: a list of inputs has one joint rule.*shape"):
        gg.op(lambda xs: xs[0], lambda g: g, variadic=True, name="pile")


def test_a_tensor_stands_for_the_sequence_of_its_rows() -> None:
    for function in (np.concatenate, np.stack, np.vstack, np.hstack, np.dstack, np.column_stack):
        check_linear(lambda a, f=function: f(a), (2, 3, 2))


def test_only_wanted_inputs_get_a_gradient_and_the_same_one_twice_gets_the_sum() -> None:
    x, y = leaf([1.0, 2.0]), gg.Tensor([3.0, 4.0])
    joined = gg.concatenate([x, [5.0], y, x])
    joined.backward(np.arange(1.0, 8.0))
    np.testing.assert_array_equal(x.grad, [1 + 6, 2 + 7])
    assert y.grad is None
    pile = gg.stack([x, y, x], axis=-1)
    x.grad = None
    pile.backward(np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(x.grad, [0 + 2, 3 + 5])


@given(
    hnp.array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=3), st.integers(-4, 4), st.data()
)
def test_diagonals(old: tuple[int, ...], k: int, data: st.DataObject) -> None:
    i, j = data.draw(st.permutations(range(-len(old), 0)))[:2]
    check_linear(lambda a: np.diagonal(a, k, i, j), old)
    check_linear(lambda a: np.trace(a, k, i, j), old)
    check_linear(lambda a: np.linalg.diagonal(a, offset=k), old)
    check_linear(lambda a: np.linalg.trace(a, offset=k), old)
    check_linear(lambda a: np.tril(a, k), old)
    check_linear(lambda a: np.triu(a, k), old)
    check_linear(lambda a: np.diag(a, k), old[:2])
    check_linear(lambda a: np.diag(a, k), old[:1])
    check_linear(lambda a: np.diagflat(a, k), old[:2])
    check_linear(lambda a: np.tril(a, k), (3,))


@given(st.data(), hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=5))
def test_windows(data: st.DataObject, old: tuple[int, ...]) -> None:
    sizes = [data.draw(st.integers(1, n)) for n in old]
    check_linear(lambda a: sliding_window_view(a, sizes), old)
    axis = data.draw(st.integers(-len(old), len(old) - 1))
    check_linear(lambda a: sliding_window_view(a, sizes[axis], axis), old)
    check_linear(lambda a: sliding_window_view(a, (1, sizes[axis]), axis=(axis, axis)), old)


def test_windows_of_windows_add_up() -> None:
    """The adjoint's own gradient is the windows again, at any depth."""
    check_linear(lambda a: sliding_window_view(sliding_window_view(a, 3, 0), 2, 1), (6,))


@given(st.data(), hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3))
def test_pad(data: st.DataObject, old: tuple[int, ...]) -> None:
    widths = [(data.draw(st.integers(0, 7)), data.draw(st.integers(0, 7))) for _ in old]
    modes: Any = ("constant", "edge", "reflect", "symmetric", "wrap")
    for mode in modes:
        check_linear(lambda a, m=mode: np.pad(a, widths, m), old)
    check_linear(lambda a: np.pad(a, widths, constant_values=3), old)
    check_linear(lambda a: np.pad(a, widths[0]), old)
    check_linear(lambda a: np.pad(a, widths[0][0], "wrap"), old)


def test_pad_of_nothing_and_by_axis() -> None:
    check_linear(lambda a: np.pad(a, 1), (0, 2))
    check_linear(lambda a: np.pad(a, 1), ())
    x = leaf(whole((2, 3)))
    padded = gg.pad(x, {-1: (1, 2)}, "edge")
    assert padded.shape == (2, 6)
    padded.backward(np.ones((2, 6)))
    np.testing.assert_array_equal(x.grad, [[2, 1, 3]] * 2)


VIEWS: dict[str, Callable[[Any], Any]] = {
    **{
        name: getattr(np, name)
        for name in ("ravel", "squeeze", "diagonal", "flip", "flipud", "fliplr", "rot90")
    },
    "reshape": lambda t: np.reshape(t, (3, 2)),
    "transpose": lambda t: t.T,
    "swapaxes": lambda t: np.swapaxes(t, 0, 1),
    "moveaxis": lambda t: np.moveaxis(t, 0, 1),
    "expand_dims": lambda t: np.expand_dims(t, 0),
    "broadcast_to": lambda t: np.broadcast_to(t, (4, 2, 3)),
    "getitem": lambda t: t[0],
    "sliding_window_view": lambda t: sliding_window_view(t, (1, 2)),
}


@pytest.mark.parametrize("name", VIEWS)
def test_assigning_to_a_view_of_a_recorded_tensor_is_refused(name: str) -> None:
    """It would change a temporary and leave the original as it is."""
    t = leaf(whole((2, 3))) + 1.0
    before = t.numpy().copy()
    with pytest.raises(GraphError, match=rf"'{name}'.*t\[0, 1\] = v.*\.copy\(\)"):
        VIEWS[name](t)[0] = 9.0
    np.testing.assert_array_equal(t.numpy(), before)
    with gg.no_grad():
        assert np.shares_memory(VIEWS[name](t).numpy(), t.numpy())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: np.reshape(t, (4, 2)), ShapeError, r"reshape: \(2, 3\) float64: .*size 6"),
        (lambda t: np.reshape(t, -1, "A"), UnsupportedError, r"reshape: order='A'.*'C' or 'F'"),
        (lambda t: gg.reshape(t, 6, copy=True), UnsupportedError, "reshape: argument 'copy'"),
        (lambda t: np.broadcast_arrays(t, [1.0, 2]), ShapeError, "broadcast_arrays: shape mism"),
        (lambda t: gg.meshgrid(t, t, indexing="x"), ShapeError, "meshgrid: indexing='x'"),
        (lambda t: np.concatenate([t, t[0]]), ShapeError, r"concatenate: \(2, 3\) .*, \(3,\)"),
        (lambda t: np.concatenate([t, t], dtype=int), UnsupportedError, "'dtype'.*astype"),
        (lambda t: np.split(t, 2, axis=1), ShapeError, "split: 3 elements .*gg.array_split"),
        (lambda t: np.dsplit(t, 1), ShapeError, "dsplit: takes arrays of 3 or more axes"),
        (lambda t: np.block([[t], t]), ShapeError, "block: all blocks must have the same depth"),
        (lambda t: np.block([[t], []]), ShapeError, "block: .*empty list"),
        (lambda t: gg.block([(t, t)]), DtypeError, "block: use nested lists"),
        (lambda t: np.insert(t, 9, 1.0), IndexingError, "insert: index 9 is out of bounds"),
        (lambda t: np.insert([1, 2], 0, t[0, 0]), DtypeError, r"insert: .*astype\(float\)"),
        (lambda t: np.pad(t, 1, "mean"), UnsupportedError, "pad: mode='mean'.*reflect"),
        (lambda t: np.pad(t, 1, "edge", reflect_type="odd"), UnsupportedError, "'reflect_type'"),
        (lambda t: np.pad(t[:0], 1, "wrap"), ShapeError, "pad: .*empty axis"),
    ],
)
def test_errors_name_the_op_the_remedy_and_this_line(
    call: Callable[[Any], Any], error: type[Exception], message: str
) -> None:
    t = leaf(whole((2, 3)))
    with pytest.raises(error, match=message) as caught:
        call(t)
    assert "test_shape.py:" in str(caught.value)
