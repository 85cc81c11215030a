"""Reading and assigning by every kind of index: against positions and a plain loop."""

from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, strategies as st

import graphgrad as gg
from graphgrad.engine import accumulate
from graphgrad.engine.domains import call
from graphgrad.errors import DtypeError, GraphError, IndexingError, ShapeError, UnsupportedError
from graphgrad.testing import check_call
from tests.builders import leaf
from tests.linear import check_linear, whole

INTEGERS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]


@st.composite
def shapes_and_indices(draw: Any) -> tuple[tuple[int, ...], Any]:
    """A shape and an index of any kind that fits it."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    kind = draw(st.sampled_from(["basic", "integers", "mask", "mixed", "bool", "list"]))
    if kind == "basic":
        return shape, draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    if kind == "integers":
        dtype = np.dtype(draw(st.sampled_from(INTEGERS)))
        size = hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=4)
        index = draw(hnp.integer_array_indices(shape, result_shape=size, dtype=dtype))
        return shape, index
    if kind == "mask":
        covered = draw(st.integers(1, len(shape)))
        return shape, draw(hnp.arrays(bool, shape[:covered]))
    if kind == "bool":
        return shape, draw(st.sampled_from([True, False, np.True_, np.array(False)]))
    if kind == "list":
        places = st.integers(-shape[0], shape[0] - 1)
        return shape, draw(st.lists(places, min_size=1, max_size=5))
    parts: list[Any] = []  # slices, numbers, arrays that broadcast, new axes, one ellipsis
    for length in shape:
        place = st.integers(-length, length - 1)
        some = st.lists(place, min_size=2, max_size=2)
        parts.append(
            draw(
                st.one_of(
                    st.slices(length),
                    place,
                    some,
                    some.map(lambda x: np.array(x, np.int16)[:, None]),
                    place.map(np.array),
                )
            )
        )
        if draw(st.booleans()):
            parts.append(None)
    if draw(st.booleans()):
        cut = draw(st.integers(0, len(parts)))
        parts[cut:] = [...]
    return shape, tuple(parts)


@given(shapes_and_indices())
def test_reading(drawn: tuple[tuple[int, ...], Any]) -> None:
    """The gradient of an element is the sum over the places of the result that show it."""
    shape, index = drawn
    t = leaf(whole(shape))
    y = t[index]
    np.testing.assert_array_equal(y.numpy(), t.numpy()[index])
    w = whole(y.shape, 1)
    y.backward(w)
    places = np.arange(t.size).reshape(shape)[index]
    expected = np.bincount(places.ravel(), w.ravel(), minlength=t.size).reshape(shape)
    np.testing.assert_array_equal(t.grad, expected)
    check_linear(lambda a: a[index], shape)


def test_tensors_serve_as_indices() -> None:
    t = leaf([1.0, 2.0, 3.0])
    for index, plain in ((gg.Tensor([1, 1]), [1, 1]), (gg.Tensor(2), 2), (t < 3, [0, 1])):
        np.testing.assert_array_equal(t[index].numpy(), t.numpy()[plain])
    np.testing.assert_array_equal(t[gg.Tensor([0]), None].numpy(), [[1]])


def test_a_hundred_slices_share_one_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each slice would make, and add, an array of zeros of the whole size."""
    buffers: list[Any] = []
    original = accumulate.scatter_add

    def spy(buffer: Any, index: Any, values: Any) -> None:
        buffers.append(buffer)
        original(buffer, index, values)

    monkeypatch.setattr("graphgrad.engine.sweep.scatter_add", spy)
    x = leaf(np.ones(1000))
    parts = [x[10 * i : 10 * i + 10] for i in range(100)]
    gg.concatenate(parts).backward(np.arange(1000.0))
    np.testing.assert_array_equal(x.grad, np.arange(1000.0))
    assert len(buffers) == 100
    assert all(b is buffers[0] for b in buffers)


@pytest.mark.parametrize("width", [7, 8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_neighbours_that_are_added_in_pairs_stay_apart(dtype: Any, width: int) -> None:
    rng = np.random.default_rng(0)
    index = rng.integers(0, 50, 400)
    w = rng.standard_normal((400, width)).astype(dtype)
    w[0, 1], w[1, 2], w[2, 0] = np.inf, np.nan, -np.inf
    x = leaf(np.zeros((50, width), dtype))
    x[index].backward(w)
    expected = np.zeros((50, width), dtype)
    np.add.at(expected, index, w)
    np.testing.assert_array_equal(x.grad, expected)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_many_values_are_added_as_few_are(dtype: Any, order: Any) -> None:
    """Large gradients go to a flat buffer; whole numbers make every sum exact."""
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(-60, 60, 3000), rng.integers(-20, 20, 3000)
    indices: list[Any] = [rows, (rows, columns), (slice(None), columns[:30]), rng.random(60) < 0.9]
    indices += [(rows[:60, None], columns[:40]), (None, rows), rng.random((60, 20)) < 0.9]
    indices += [rows.astype(np.int8), rows[:80].reshape(2, 40).astype(np.int8)]
    for index in indices:
        x = leaf(np.zeros((60, 20), dtype))
        y = x[index]
        w = np.asarray(rng.integers(-2, 3, y.shape), dtype, order=order)
        y.backward(w)
        expected = np.zeros((60, 20))
        np.add.at(expected, index, w)
        np.testing.assert_array_equal(x.grad, expected)


def test_slices_mixed_with_other_uses() -> None:
    """The one buffer takes up what arrived before it and what comes after."""
    x = leaf([1.0, 2.0, 3.0])
    y = gg.concatenate([x, x[1:], x, x[[0, 0]], x[::-1]])
    y.backward(np.arange(1.0, 14.0))
    np.testing.assert_array_equal(x.grad, [1 + 6 + 9 + 10 + 13, 2 + 4 + 7 + 12, 3 + 5 + 8 + 11])


def test_an_index_changed_later_is_not_seen() -> None:
    """Else the gradient would go to other places than the values came from."""
    x = leaf([1.0, 2.0, 3.0])
    places, inner, mask = np.array([0, 1]), np.array([2]), np.array([True, False, False])
    rows = [0]
    reads = [x[places], x[(inner,)], x[mask], x[rows], gg.take(x, places)]
    reads += [gg.take_along_axis(x, places, 0), gg.repeat(x, counts := np.array([1, 0, 0]))]
    y = x * 1.0
    y[places] = [7.0, 8.0]
    places[:], inner[:], mask[:], rows[0], counts[:] = 2, 0, True, 2, [0, 0, 9]
    gg.concatenate(reads).backward(np.arange(1.0, 11.0))
    np.testing.assert_array_equal(x.grad, [1 + 4 + 5 + 6 + 8 + 10, 2 + 7 + 9, 3])
    x.grad = None
    y.backward([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(x.grad, [0, 0, 3])


def values_for(draw: Any, shape: tuple[int, ...], index: Any) -> tuple[int, ...]:
    """Draw a shape of values that NumPy takes for ``zeros(shape)[index] = values``."""
    target = np.zeros(shape)
    places = target[index].shape
    kept = draw(st.integers(0, len(places)))
    small = tuple(draw(st.sampled_from([n, 1])) for n in places[kept:])
    if kept == 0 and draw(st.booleans()):
        try:
            target[index] = np.zeros((1, *small))
        except (
            ValueError,
            TypeError,
            DeprecationWarning,
        ):  # one axis too many is not for masks and single elements
            return small
        return (1, *small)
    return small


@given(shapes_and_indices(), st.data())
def test_assignment(drawn: tuple[tuple[int, ...], Any], data: st.DataObject) -> None:
    """Compared with a loop over the places in order: the last writer owns a place."""
    shape, index = drawn
    places = np.arange(int(np.prod(shape))).reshape(shape)[index]
    value_shape = values_for(data.draw, shape, index)
    x = leaf(whole(shape))
    v = leaf(whole(value_shape, 1))
    t = x * 1.0
    t[index] = v
    w = whole(shape, 2)
    t.backward(w)

    sources = np.broadcast_to(
        np.arange(v.size).reshape(value_shape), (1,) * (v.ndim - places.ndim) + places.shape
    )
    flat, owner = whole(shape).ravel(), np.full(x.size, -1)
    for place, source in zip(places.ravel(), sources.ravel(), strict=True):
        flat[place], owner[place] = v.numpy().ravel()[source], source
    np.testing.assert_array_equal(t.numpy().ravel(), flat)
    np.testing.assert_array_equal(x.grad.ravel(), np.where(owner < 0, w.ravel(), 0))
    mine = np.bincount(owner[owner >= 0], w.ravel()[owner >= 0], minlength=v.size)
    np.testing.assert_array_equal(v.grad.ravel(), mine)

    def assigned(x: Any, v: Any) -> Any:
        t = x * 1.0
        t[index] = v
        return t

    check_linear(assigned, shape, value_shape)


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_last_writer_does_not_depend_on_memory_order(order: Any) -> None:
    """NumPy walks an index in the order of its memory; here it is always the order of reading."""
    index = np.array([[0, 1, 0], [1, 0, 1]], order=order)
    v = leaf(np.array([[1.0, 2, 3], [4, 5, 6]]).T.copy()).T
    t = leaf([0.0, 0.0]) * 1.0
    t[index] = v if order == "F" else v.copy()
    np.testing.assert_array_equal(t.numpy(), [5, 6])
    (g,) = gg.gradients([t], [v], [np.array([10.0, 20.0])])
    np.testing.assert_array_equal(g, [[0, 0, 0], [0, 10, 20]])


def test_a_new_version_leaves_what_was_taken_before() -> None:
    x = leaf([1.0, 2.0, 3.0])
    t = x * 2.0
    array, view, square, same = t.numpy(), t[1:], t * t, t.copy()
    t[1] = 50.0
    np.testing.assert_array_equal(t.numpy(), [2, 50, 6])
    for kept in (array[1], view.numpy()[0], same.numpy()[1]):
        assert kept == 4
    gg.concatenate([view, square, same, t]).backward(np.ones(11))
    np.testing.assert_array_equal(x.grad, [8 + 2 + 2, 2 + 16 + 2 + 0, 2 + 24 + 2 + 2])


def test_augmented_assignment_and_names() -> None:
    x = leaf([1.0, 2.0])
    t = x * 1.0
    t.name = "t"
    t[0] += 5.0
    t[1:] *= x[:1]
    np.testing.assert_array_equal(t.numpy(), [6, 2])
    assert t.name == "t"
    t.backward([1.0, 10.0])
    np.testing.assert_array_equal(x.grad, [1 + 20, 10])


def test_a_tensor_without_gradient_takes_up_the_graph_of_what_is_written_into_it() -> None:
    plain = np.zeros(3)
    t = gg.Tensor(plain)
    x = leaf(2.0)
    t[1] = x * x
    np.testing.assert_array_equal(plain, [0, 0, 0])  # a new version, not the caller's array
    t.backward([1.0, 10.0, 100.0])
    assert x.grad == 40


def test_without_recording_the_array_is_written_in_place() -> None:
    plain = np.zeros(3)
    t = gg.Tensor(plain)
    t[1] = gg.Tensor(5.0)
    np.testing.assert_array_equal(plain, [0, 5, 0])
    w = leaf([1.0, 2.0])
    with gg.no_grad():
        w[0] = 9.0
    assert w.is_leaf
    assert w.requires_grad
    np.testing.assert_array_equal(w.numpy(), [9, 2])


@pytest.mark.parametrize("index", [(), ..., True, (True, ...), None])
def test_a_single_number_is_assigned_to(index: Any) -> None:
    x, v = leaf(2.0), leaf(3.0)
    t = x * 1.0
    t[index] = v
    assert t.shape == ()
    assert t.item() == 3
    t.backward()
    assert (x.grad, v.grad) == (0, 1)


def test_edges_and_counts_are_plain() -> None:
    assert type(np.bincount(gg.Tensor([0, 2, 2]))) is np.ndarray
    np.testing.assert_array_equal(np.histogram(gg.Tensor([0, 2]), [0, 1, 3])[1], [0, 1, 3])


def test_density_of_a_weighted_histogram() -> None:
    options = {"weights": np.array([1.0, 2.0, 3.0]), "density": True}
    check_call(gg.histogram, call([0.0, 1.0, 2.0], [0.0, 0.5, 3.0], **options))
    assert (
        type(gg.histogram([0.0, 1.0], 2, **options | {"weights": leaf([1.0, 2.0])})[1])
        is np.ndarray
    )


class TestInterp:
    XP, FP = np.array([0.0, 1.0, 3.0, 4.0]), np.array([2.0, 4.0, -2.0, -1.0])

    def test_values_are_numpys(self) -> None:
        x = np.array([-np.inf, -1, 0, 0.25, 1, 2.9, 3, 4, 4.5, np.inf, np.nan])
        for bounds in ({}, {"left": -7.0, "right": 9.0}):
            y = np.interp(gg.Tensor(x), self.XP, gg.Tensor(self.FP), **bounds)
            np.testing.assert_array_equal(y, np.interp(x, self.XP, self.FP, **bounds))
        for x1 in (0.5, 0.0, 1.0):
            y = np.interp(gg.Tensor(x1), [0.5], [3.0], left=1.0)
            assert y.item() == np.interp(x1, [0.5], [3.0], left=1.0)

    @pytest.mark.parametrize(
        ("x", "slope"), [(-1.0, 0), (0.0, 0), (1.0, 0), (3.0, 0), (4.0, 0), (5.0, 0), (2.0, 1)]
    )
    def test_a_point_of_the_table_has_the_slope_nearest_to_zero(self, x: float, slope: int) -> None:
        xp, fp = np.array([0.0, 1.0, 2.0, 3.0, 4.0]), np.array([2.0, 4.0, 3.5, 2.5, 3.0])
        expected = -0.5 if slope else 0.0  # at 2 the slopes are -1/2 and -1
        gx, gxp, gfp = gg.grad(gg.interp, (0, 1, 2))(x, xp, fp)
        assert gx == expected
        assert gxp.sum() == -expected
        np.testing.assert_array_equal(gfp, (xp == np.clip(x, 0, 4)).astype(float))

    def test_a_repeated_point_is_a_jump_without_a_warning(self) -> None:
        xp, fp = np.array([0.0, 1.0, 1.0, 2.0]), np.array([0.0, 1.0, 5.0, 7.0])
        for x in (0.5, 1.0, 1.5):
            y, g = gg.value_and_grad(gg.interp)(x, xp, fp)
            assert y == np.interp(x, xp, fp)
            assert np.isfinite(g)

    def test_refusals(self) -> None:
        t = leaf(1.0)
        with pytest.raises(UnsupportedError, match="interp: argument 'period'"):
            np.interp(t, self.XP, self.FP, period=4)
        with pytest.raises(UnsupportedError, match="not differentiable in left and right"):
            gg.interp(0.0, self.XP, self.FP, left=t)
        with pytest.raises(ShapeError, match=r"interp: xp \(4,\) and fp \(3,\)"):
            np.interp(t, self.XP, self.FP[1:])


def assign(t: Any, index: Any, value: Any) -> None:
    t[index] = value


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: t[3], IndexingError, r"getitem: \(2, 3\) float64: index 3 is out of bounds"),
        (lambda t: t[1.5], IndexingError, "getitem: .*only integers"),
        (lambda t: t[np.ones(5, bool)], IndexingError, "getitem: .*boolean index"),
        (lambda t: assign(t * 1.0, 5, 1.0), IndexingError, "setitem: .*index 5"),
        (lambda t: assign(t * 1.0, 0, [1.0, 2]), ShapeError, "setitem: .*could not broadcast"),
        (lambda t: assign(t, 0, 1.0), GraphError, r"t\[index\] = value on a leaf.*no_grad"),
        (
            lambda t: assign(gg.Tensor([1, 2]), 0, t[0, 0]),
            DtypeError,
            r"setitem: writing float64 into int64.*astype\(float\)",
        ),
        (lambda t: np.take(t, 9), IndexingError, "take: .*index 9 is out of bounds"),
        (lambda t: np.choose([2], [t, t]), IndexingError, "choose: index 2 is out of bounds"),
        (lambda t: np.bincount([0], t), ShapeError, r"bincount: 1 numbers, weights .*\(2, 3\)"),
    ],
)
def test_errors_name_the_op_the_remedy_and_this_line(
    call: Callable[[Any], Any], error: type[Exception], message: str
) -> None:
    t = leaf(whole((2, 3)))
    with pytest.raises(error, match=message) as caught:
        call(t)
    assert "test_index.py:" in str(caught.value)


def test_a_failed_assignment_leaves_the_tensor_as_it_was() -> None:
    x = leaf([1.0, 2.0])
    t = x * 1.0
    with pytest.raises(IndexingError):
        t[7] = 0.0
    np.testing.assert_array_equal(t.numpy(), [1, 2])
    t.backward([1.0, 10.0])
    np.testing.assert_array_equal(x.grad, [1, 10])
