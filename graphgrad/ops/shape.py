"""Changing shapes: axes are added, dropped, permuted or broadcast, elements stay."""

from typing import Any

import numpy as np

from graphgrad.engine.composite import composed
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.op import TABLE, Op, op
from graphgrad.engine.operands import unwrapped
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ShapeError, UnsupportedError
from graphgrad.typing import Array

AXES = Cases(
    lambda r: call(r(2, 3)),
    lambda r: call(r(3)),
    lambda r: call(r()),
    lambda r: call(r(2, 0, 3)),
    lambda r: call(r(2, 1, 3, 2)),
)


def _memory_order(order: Any, who: str) -> Array:
    """Check an order: those that depend on the memory layout are refused."""
    if order not in ("C", "F"):
        message = f"{who}: order={order!r} is not supported; use 'C' or 'F'"
        raise UnsupportedError(message)
    return order


def _reshape(a: Array, shape: Any, order: str = "C") -> Array:
    return np.reshape(a, shape, _memory_order(order, "reshape"))


reshape: Op[Tensor] = op(
    np.reshape,
    lambda g, a_shape, order: np.reshape(g, a_shape, order),
    forward=_reshape,
    view=True,
    symbol="reshape",
    domain=Cases(
        lambda r: call(r(2, 3), (3, 2)),
        lambda r: call(r(2, 3), -1),
        lambda r: call(r(6), (2, -1)),
        lambda r: call(r(2, 3, 2), (4, 3), order="F"),
        lambda r: call(r(), (1, 1)),
        lambda r: call(r(1), ()),
        lambda r: call(r(0, 3), (3, 0)),
    ),
    doc="The same elements in another shape. Gradient: g in the shape of a.",
)


def _ravel(a: Array, order: str = "C") -> Array:
    return np.ravel(a, _memory_order(order, "ravel"))


ravel: Op[Tensor] = op(
    np.ravel,
    lambda g, a_shape, order: np.reshape(g, a_shape, order),
    forward=_ravel,
    view=True,
    symbol="ravel",
    domain=Cases(*AXES.calls, lambda r: call(r(2, 3), order="F")),
    doc="All elements along one axis. Gradient: g in the shape of a.",
)


def _inverse(axes: Any, ndim: int) -> Array:
    """Return the permutation that undoes ``axes``."""
    return None if axes is None else tuple(np.argsort([int(i) % ndim for i in axes]).tolist())


transpose: Op[Tensor] = op(
    np.transpose,
    lambda g, a_shape, axes: np.transpose(g, _inverse(axes, len(a_shape))),
    view=True,
    symbol="ᵀ",
    domain=Cases(
        *AXES.calls,
        lambda r: call(r(2, 3, 4), (2, 0, 1)),
        lambda r: call(r(2, 3, 4), (-1, 0, -2)),
        lambda r: call(r(2, 3), axes=(0, 1)),
    ),
    doc="The axes reversed or permuted. Gradient: g with its axes permuted back.",
)
permute_dims = transpose  # NumPy's other name for it
swapaxes: Op[Tensor] = op(
    np.swapaxes,
    lambda g, axis1, axis2: np.swapaxes(g, axis1, axis2),
    view=True,
    symbol="swapaxes",
    domain=Cases(
        lambda r: call(r(2, 3), 0, 1),
        lambda r: call(r(2, 3, 4), -1, 0),
        lambda r: call(r(3), 0, 0),
        lambda r: call(r(2, 0), 0, 1),
    ),
    doc="Two axes swapped. Gradient: g with them swapped back.",
)
expand_dims: Op[Tensor] = op(
    np.expand_dims,
    lambda g, a_shape: np.reshape(g, a_shape),
    view=True,
    symbol="expand_dims",
    domain=Cases(
        lambda r: call(r(2, 3), 1),
        lambda r: call(r(2, 3), -1),
        lambda r: call(r(2, 3), (0, 3)),
        lambda r: call(r(), 0),
        lambda r: call(r(2, 0), axis=0),
    ),
    doc="New axes of length 1. Gradient: g without them.",
)
broadcast_to: Op[Tensor] = op(
    np.broadcast_to,
    lambda g: g,
    forward=lambda array, shape: np.broadcast_to(array, shape),
    broadcasts=True,
    view=True,
    symbol="broadcast",
    domain=Cases(
        lambda r: call(r(3), (2, 3)),
        lambda r: call(r(2, 1), (2, 4)),
        lambda r: call(r(), (2, 2)),
        lambda r: call(r(2, 1, 3), (4, 2, 5, 3)),
        lambda r: call(r(1), (0,)),
        lambda r: call(r(2, 3), (2, 3)),
        lambda r: call(r(1), 3),
    ),
    doc="Repeated along new axes and axes of length 1. Gradient: g summed over them.",
)
moveaxis: Op[Tensor] = op(
    np.moveaxis,
    lambda g, source, destination: np.moveaxis(g, destination, source),
    view=True,
    symbol="moveaxis",
    domain=Cases(
        lambda r: call(r(2, 3, 4), 0, -1),
        lambda r: call(r(2, 3, 4), (0, 1), (-1, 0)),
        lambda r: call(r(2, 3), 1, 1),
        lambda r: call(r(2, 0, 3), 2, 0),
    ),
    doc="Axes moved to other places. Gradient: g with them moved back.",
)
squeeze: Op[Tensor] = op(
    np.squeeze,
    lambda g, a_shape: np.reshape(g, a_shape),
    view=True,
    symbol="squeeze",
    domain=Cases(
        lambda r: call(r(1, 3, 1)),
        lambda r: call(r(1, 3, 1), 0),
        lambda r: call(r(1, 3, 1), axis=(0, -1)),
        lambda r: call(r(2, 3)),
        lambda r: call(r()),
        lambda r: call(r(1, 0)),
    ),
    doc="Axes of length 1 dropped. Gradient: g with them back.",
)


@composed(
    np.rollaxis,
    domain=Cases(lambda r: call(r(2, 3, 4), 2), lambda r: call(r(2, 3, 4), 0, start=3)),
)
def rollaxis(a: Array, axis: int, start: int = 0) -> Tensor:
    """Move one axis before another."""
    place = axis + a.ndim if axis < 0 else axis
    start = start + a.ndim if start < 0 else start
    return moveaxis(a, axis, start - 1 if start > place else start)


_MATRICES = Cases(lambda r: call(r(2, 3)), lambda r: call(r(4, 2, 3)), lambda r: call(r(0, 3)))


@composed(np.matrix_transpose, domain=_MATRICES)
def matrix_transpose(x: Array) -> Tensor:
    """Swap the last two axes."""
    return swapaxes(x, -1, -2)


TABLE[np.linalg.matrix_transpose] = matrix_transpose


# ------------------------------------------------------------------- the order of elements

flip: Op[Tensor] = op(
    np.flip,
    lambda g, axis: np.flip(g, axis),
    view=True,
    symbol="flip",
    domain=Cases(
        *AXES.calls,
        lambda r: call(r(2, 3), 1),
        lambda r: call(r(2, 3, 2), axis=(0, -1)),
        lambda r: call(r(2, 3), ()),
    ),
    doc="The order of elements reversed along axes. Gradient: g flipped back.",
)
fliplr: Op[Tensor] = op(
    np.fliplr,
    lambda g: np.fliplr(g),
    view=True,
    symbol="fliplr",
    domain=_MATRICES,
    doc="The second axis reversed. Gradient: g flipped back.",
)
flipud: Op[Tensor] = op(
    np.flipud,
    lambda g: np.flipud(g),
    view=True,
    symbol="flipud",
    domain=Cases(*_MATRICES.calls, lambda r: call(r(3))),
    doc="The first axis reversed. Gradient: g flipped back.",
)
rot90: Op[Tensor] = op(
    np.rot90,
    lambda g, k, axes: np.rot90(g, -k, axes),
    view=True,
    symbol="rot90",
    domain=Cases(
        *_MATRICES.calls,
        lambda r: call(r(2, 3), 2),
        lambda r: call(r(2, 3), -1),
        lambda r: call(r(2, 3, 4), k=3, axes=(2, 0)),
    ),
    doc="Turned by k right angles in the plane of two axes. Gradient: g turned back.",
)
roll: Op[Tensor] = op(
    np.roll,
    lambda g, saved, axis: np.roll(g, saved, axis),
    forward=lambda a, shift, axis=None: (np.roll(a, shift, axis), np.negative(shift)),
    symbol="roll",
    domain=Cases(
        lambda r: call(r(2, 3), 1),
        lambda r: call(r(2, 3), -4, axis=1),
        lambda r: call(r(2, 3), (1, 2), axis=(0, -1)),
        lambda r: call(r(3, 2), 1, axis=(0, 1)),
        lambda r: call(r(), 2),
        lambda r: call(r(0, 2), 1, 0),
    ),
    doc="Elements moved along axes, coming in again at the other end. Gradient: g moved back.",
)


# --------------------------------------------------------------------------- compositions


@composed(
    np.broadcast_arrays,
    domain=Cases(
        lambda r: call(r(3), r(2, 1)),
        lambda r: call(r(), r(2, 3), r(1, 3)),
        lambda r: call(r(2, 3)),
    ),
)
def broadcast_arrays(*args: Any) -> tuple[Array, ...]:
    """Broadcast arrays against one another."""
    shape = np.broadcast_shapes(*map(np.shape, args))
    return tuple(x if np.shape(x) == shape else broadcast_to(x, shape) for x in args)


_LIFTED = Cases(
    lambda r: call(r()),
    lambda r: call(r(3)),
    lambda r: call(r(2, 3)),
    lambda r: call(r(2, 3, 1)),
    lambda r: call(r(2, 1, 3, 2)),
    lambda r: call(r(), r(2)),
)


def _all_or_one(results: list[Any]) -> Array:
    """Return a single result alone and several as a tuple, as NumPy's atleast functions do."""
    return results[0] if len(results) == 1 else tuple(results)


@composed(np.atleast_1d, domain=_LIFTED)
def atleast_1d(*arys: Any) -> Array:
    """Add an axis to 0-d arrays."""
    return _all_or_one([reshape(x, (1,)) if np.ndim(x) == 0 else x for x in arys])


@composed(np.atleast_2d, domain=_LIFTED)
def atleast_2d(*arys: Any) -> Array:
    """Add axes in front until there are two."""
    return _all_or_one(
        [x if np.ndim(x) > 1 else reshape(x, (1,) * (2 - np.ndim(x)) + np.shape(x)) for x in arys]
    )


@composed(np.atleast_3d, domain=_LIFTED)
def atleast_3d(*arys: Any) -> Array:
    """Add axes until there are three: (N,) becomes (1, N, 1), (M, N) becomes (M, N, 1)."""

    def lifted(x: Array) -> Array:
        shape = np.shape(x)
        if len(shape) > 2:
            return x
        return reshape(x, (*shape, 1) if len(shape) == 2 else (1, *(shape or (1,)), 1))

    return _all_or_one([lifted(x) for x in arys])


@composed(
    np.meshgrid,
    domain=Cases(
        lambda r: call(r(3), r(2)),
        lambda r: call(r(3), r(2), r(4), indexing="ij"),
        lambda r: call(r(3), r(2), sparse=True),
        lambda r: call(r(3), r(), copy=False),
        lambda r: call(r(3)),
    ),
)
def meshgrid(
    *xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy"
) -> tuple[Array, ...]:
    """Return the coordinate arrays of a grid: each vector repeated along the other axes."""
    if indexing not in ("xy", "ij"):
        raise ShapeError(f"meshgrid: indexing={indexing!r}; it is 'xy' or 'ij'")
    places = list(range(len(xi)))
    if indexing == "xy" and len(xi) > 1:
        places[:2] = 1, 0  # the first vector runs along the columns
    full = [0] * len(xi)
    vectors = []
    for x, place in zip(xi, places, strict=True):
        full[place] = np.size(x)
        vectors.append(reshape(x, (1,) * place + (-1,) + (1,) * (len(xi) - place - 1)))
    grids = vectors if sparse else [broadcast_to(v, tuple(full)) for v in vectors]
    return tuple(np.copy(v) for v in grids) if copy else tuple(grids)


@composed(
    np.full_like,
    domain=Cases(
        lambda r: call(np.zeros((2, 3)), r()),
        lambda r: call(np.zeros((2, 3)), r(3)),
        lambda r: call(np.zeros(3), r(2, 1), shape=(2, 4)),
    ),
)
def full_like(a: Array, fill_value: Any, dtype: Any = None, shape: Any = None) -> Array:
    """Return a filled array like another; plain unless the fill value is a Tensor."""
    if not isinstance(fill_value, Tensor):
        return np.full_like(unwrapped(a), unwrapped(fill_value), dtype=dtype, shape=shape)
    filled = broadcast_to(fill_value, np.shape(a) if shape is None else shape)
    return filled.astype(np.result_type(a) if dtype is None else dtype)
