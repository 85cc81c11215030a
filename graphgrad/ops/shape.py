"""Giving an array another shape: axes added, dropped, permuted or stretched, no new numbers."""

from typing import Any

import numpy as np

from graphgrad.errors import UnsupportedError
from graphgrad.node import here
from graphgrad.registry import Cases, Op, call, op
from graphgrad.tensor import Tensor

AXES = Cases(
    lambda r: call(r(2, 3)),
    lambda r: call(r(3)),
    lambda r: call(r()),
    lambda r: call(r(2, 0, 3)),
    lambda r: call(r(2, 1, 3, 2)),
)


def _memory_order(order: Any, who: str) -> Any:
    """Let through the orders that do not depend on how the memory happens to lie."""
    if order not in ("C", "F"):
        message = f"{who}: order={order!r} is not supported; use 'C' or 'F' (at {here()})"
        raise UnsupportedError(message)
    return order


def _reshape(a: Any, shape: Any, order: str = "C") -> Any:
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


def _ravel(a: Any, order: str = "C") -> Any:
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


def _inverse(axes: Any, ndim: int) -> Any:
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
