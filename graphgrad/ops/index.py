"""Indexing and assignment, with every kind of index that NumPy has."""

import operator
from typing import Any

import numpy as np

from graphgrad.engine.accumulate import Scatter, scatter_add
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.memory import frozen
from graphgrad.engine.op import TABLE, Op, op
from graphgrad.engine.plan import HALF
from graphgrad.engine.recording import one_call
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import DtypeError
from graphgrad.typing import Array

INDEXING = (
    lambda r: call(r(3, 4), 1),
    lambda r: call(r(3, 4), (-1, 2)),
    lambda r: call(r(3, 4), (slice(None, None, -2), slice(1, 3))),
    lambda r: call(r(3, 4), (Ellipsis, None, 0)),
    lambda r: call(r(3, 4), ()),
    lambda r: call(r(), ()),
    lambda r: call(r(), None),
    lambda r: call(r(3, 4), [0, 2, 0]),
    lambda r: call(r(3, 4), np.array([[0, 1], [-1, 1]], np.int32)),
    lambda r: call(r(3, 4), ([0, 0, 2], [1, 1, -1])),
    lambda r: call(r(3, 4, 2), (np.array([1, 1], np.uint8), slice(None), [0, 1])),
    lambda r: call(r(3, 4), (slice(None), np.array([[0], [0]]))),
    lambda r: call(r(3, 4), np.arange(12).reshape(3, 4) % 3 == 0),
    lambda r: call(r(3, 4), (np.array([True, False, True]), slice(0, 2))),
    lambda r: call(r(3, 4), True),
    lambda r: call(r(3, 4), np.array(False)),
    lambda r: call(r(3, 4), np.array([], int)),
    lambda r: call(r(0, 3), slice(None)),
)


def _places(index: Any) -> Array:
    """List the numbers in an index, which may depend on the values: the places of maxima."""
    parts = index if isinstance(index, tuple) else (index,)
    return np.concatenate([np.zeros(0), *(np.ravel(p) for p in parts if np.ndim(p))])


def _getitem(x: Array, index: Any) -> Array:
    return x[index], frozen(index)


getitem: Op[Tensor] = op(
    operator.getitem,
    lambda g, saved: Scatter(saved, g),
    forward=_getitem,
    view=True,
    chooses=lambda saved: _places(saved),
    name="getitem",
    symbol="[ ]",
    domain=Cases(*INDEXING),
    doc="x[index]. Gradient: g added at the same places, duplicates summed.",
)


def _scattered(values: Array, index: Any, shape: tuple[int, ...]) -> Array:
    dtype = np.float32 if values.dtype == HALF else values.dtype
    out = np.zeros_like(values, shape=shape, dtype=dtype)
    scatter_add(out, index, values)
    return out.astype(values.dtype, copy=False), frozen(index)


scatter: Op[Tensor] = op(
    _scattered,
    lambda g, saved: g[saved],
    name="scatter",
    symbol="scatter",
    domain=Cases(
        lambda r: call(r(2, 4), slice(0, 2), (3, 4)),
        lambda r: call(r(), (0, 1), (2, 2)),
        lambda r: call(r(3, 2), [0, 1, 0], (4, 2)),
        lambda r: call(r(2, 3), (slice(None), np.array([2, 2, 0])), (2, 3)),
        lambda r: call(r(2), np.array([True, False, True]), (3,)),
    ),
    doc="zeros(shape)[index] += values, duplicates summed. Gradient: g[index].",
)
TABLE["scatter"] = scatter  # what a recorded sweep calls for a rule that returned a Scatter


def _setitem(x: Array, value: Array, index: Any) -> Array:
    if x.dtype.kind != "f" and getattr(value, "dtype", x.dtype).kind == "f":
        message = (
            f"setitem: writing {value.dtype} into {x.dtype} would cut off its digits and its "
            "gradient; use .astype(float) on the tensor first"
        )
        raise DtypeError(message)
    out = np.array(x)
    index = frozen(index)
    out[index] = np.ascontiguousarray(value).reshape(np.shape(value))
    return out[()], index


@one_call
def _not_overwritten(index: Any, shape: tuple[int, ...]) -> Array:
    """Return a mask of the elements of ``x[index] = value`` that no later duplicate overwrote."""
    last = np.zeros(shape, np.intp)
    count = last[index].size
    order = np.arange(count).reshape(last[index].shape)
    last[index] = order
    return last[index] == order


def _assigned(g: Array, value_shape: tuple[int, ...], saved: Any) -> Array:
    """Return the gradient of an assigned value: g where it was not overwritten by a duplicate."""
    c = g[saved] * _not_overwritten(saved, g.shape)
    return np.reshape(c, (1,) * (len(value_shape) - c.ndim) + c.shape)  # value may have more axes


setitem: Op[Tensor] = op(
    operator.setitem,
    lambda g, saved: setitem(g, 0.0, saved),
    _assigned,
    forward=_setitem,
    broadcasts=True,
    name="setitem",
    symbol="[ ]=",
    domain=Cases(
        lambda r: call(r(3, 4), r(4), 1),
        lambda r: call(r(3, 4), r(), (slice(None), 2)),
        lambda r: call(r(3, 4), r(2, 1), slice(None, None, 2)),
        lambda r: call(r(3, 4), r(3, 4), [0, 2, 0]),
        lambda r: call(r(3, 4), r(4), np.array([1, 1])),
        lambda r: call(r(3, 4), r(1, 2), ([1, 1], [2, 2])),
        lambda r: call(r(2, 3), r(3), np.array([[True, False, True], [False, False, True]])),
        lambda r: call(r(2, 3), r(1, 1, 2, 1), Ellipsis),
        lambda r: call(r(), r(), ()),
    ),
    doc=(
        "A copy of x with x[index] = value. Gradients: g with zeros at index; g[index], and "
        "0 for a value that a later duplicate overwrote."
    ),
)

# ------------------------------------------------------------------- taking along one axis


def _take(a: Array, indices: Array, axis: int | None = None, mode: str = "raise") -> Array:
    shape = np.shape(a)
    axis = axis if shape else None  # one number is a vector of one to NumPy
    out = np.take(a, indices, axis=axis, mode=mode)  # type: ignore[call-overload]
    places = np.array(indices, dtype=np.intp)
    size = int(np.prod(shape)) if axis is None else shape[axis]
    places = np.clip(places, 0, max(size - 1, 0)) if mode == "clip" else places % max(size, 1)
    if axis is None:
        return out, np.unravel_index(places, shape) if shape else ()
    place = axis % len(shape)
    return out, ((slice(None),) * place + (places if places.ndim else places.item(),))


take: Op[Tensor] = op(
    np.take,
    lambda g, a_shape, saved: Scatter(saved, g) if a_shape else np.sum(g),
    forward=_take,
    chooses=lambda saved: _places(saved),
    symbol="take",
    domain=Cases(
        lambda r: call(r(3, 4), [0, 2, 0], axis=0),
        lambda r: call(r(3, 4), np.array([[0, -1], [1, 1]]), axis=1),
        lambda r: call(r(3, 4), 2, axis=-1),
        lambda r: call(r(3, 4), [0, 11, 0, -1]),
        lambda r: call(r(3, 4), 5),
        lambda r: call(r(3), [4, -5], axis=0, mode="wrap"),
        lambda r: call(r(3), [4, -5], mode="clip"),
        lambda r: call(r(3), np.array([], int)),
        lambda r: call(r(), [0, 0]),
    ),
    doc="Elements by their places along an axis. Gradient: g added at those places.",
)


def _along_axis(arr: Array, indices: Array, axis: int | None = -1) -> Array:
    out = np.take_along_axis(arr, indices, axis)
    if axis is None:
        return out, np.unravel_index(np.array(indices), np.shape(arr))
    ndim = arr.ndim
    full: list[Any] = [
        np.arange(n).reshape(-1, *[1] * (ndim - i - 1)) for i, n in enumerate(arr.shape)
    ]
    full[axis] = np.array(indices)
    return out, tuple(full)


take_along_axis: Op[Tensor] = op(
    np.take_along_axis,
    lambda g, saved: Scatter(saved, g),
    forward=_along_axis,
    chooses=lambda saved: _places(saved),
    symbol="take_along",
    domain=Cases(
        lambda r: call(r(2, 3), np.array([[0, 2], [1, 1]]), axis=1),
        lambda r: call(r(2, 3), np.array([[0, 1, 1]]), axis=0),
        lambda r: call(r(2, 3), np.array([[-1], [0]]), axis=-1),
        lambda r: call(r(2, 3), np.array([5, 0, 5]), axis=None),
        lambda r: call(r(1, 3), np.array([[0, 1], [2, 2]]), axis=1),
    ),
    doc="Elements by their places along an axis, row by row. Gradient: g added there.",
)
