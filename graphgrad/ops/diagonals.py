"""Diagonals and triangles of matrices."""

import numpy as np

from graphgrad.engine.composite import composed
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.op import Op, op
from graphgrad.engine.tensor import Tensor
from graphgrad.ops.shape import ravel
from graphgrad.typing import Array


def _from_diagonal(
    values: Array, shape: tuple[int, ...], offset: int = 0, axis1: int = 0, axis2: int = 1
) -> Array:
    out = np.zeros_like(values, shape=shape)
    rows, columns = max(-offset, 0), max(offset, 0)
    steps = np.arange(values.shape[-1])
    np.moveaxis(out, (axis1, axis2), (-2, -1))[..., steps + rows, steps + columns] = values
    return out


from_diagonal: Op[Tensor] = op(
    _from_diagonal,
    lambda g, offset, axis1, axis2: np.diagonal(g, offset, axis1, axis2),
    name="from_diagonal",
    symbol="from_diagonal",
    domain=Cases(
        lambda r: call(r(2), (2, 3)),
        lambda r: call(r(2), (3, 3), 1),
        lambda r: call(r(4, 2), (3, 4, 2), -1, 0, 2),
        lambda r: call(r(0), (2, 2), offset=5),
    ),
    doc="Zeros of a shape but for one diagonal. Gradient: that diagonal of g.",
)
diagonal: Op[Tensor] = op(
    np.diagonal,
    lambda g, a_shape, offset, axis1, axis2: from_diagonal(g, a_shape, offset, axis1, axis2),
    view=True,
    symbol="diagonal",
    domain=Cases(
        lambda r: call(r(3, 3)),
        lambda r: call(r(2, 4), 1),
        lambda r: call(r(4, 2), offset=-1),
        lambda r: call(r(2, 3, 4), 0, 2, 1),
        lambda r: call(r(2, 3, 4), 1, axis1=-1, axis2=0),
        lambda r: call(r(2, 2), 3),
        lambda r: call(r(0, 2)),
    ),
    doc="A diagonal, along a new last axis. Gradient: g on that diagonal of zeros.",
)


def _diag_rule(g: Array, v_shape: tuple[int, ...], k: int) -> Array:
    return np.diagonal(g, k) if len(v_shape) == 1 else from_diagonal(g, v_shape, k)


diag: Op[Tensor] = op(
    np.diag,
    _diag_rule,
    symbol="diag",
    domain=Cases(
        lambda r: call(r(3)),
        lambda r: call(r(3), 1),
        lambda r: call(r(2), k=-2),
        lambda r: call(r(3, 3)),
        lambda r: call(r(2, 4), 1),
        lambda r: call(r(4, 2), -1),
        lambda r: call(r(0)),
    ),
    doc="A vector put on a diagonal, or a diagonal taken. Gradient: the other one, of g.",
)


@composed(
    np.diagflat, domain=Cases(lambda r: call(r(2, 2)), lambda r: call(r(3), 1), lambda r: call(r()))
)
def diagflat(v: Array, k: int = 0) -> Tensor:
    """Put all elements on a diagonal."""
    return diag(ravel(v), k)


def _trace_rule(g: Array, a_shape: tuple[int, ...], offset: int, axis1: int, axis2: int) -> Array:
    rows, columns = a_shape[axis1] + min(offset, 0), a_shape[axis2] - max(offset, 0)
    length = max(min(rows, columns), 0)
    values = np.broadcast_to(np.expand_dims(g, -1), (*np.shape(g), length))
    return from_diagonal(values, a_shape, offset, axis1, axis2)


trace: Op[Tensor] = op(
    np.trace,
    _trace_rule,
    forward=lambda a, offset=0, axis1=0, axis2=1: np.trace(a, offset, axis1, axis2),
    symbol="tr",
    domain=Cases(
        lambda r: call(r(3, 3)),
        lambda r: call(r(2, 4), 1),
        lambda r: call(r(4, 2), offset=-1),
        lambda r: call(r(2, 3, 4), 0, 2, 1),
        lambda r: call(r(2, 2), 3),
        lambda r: call(r(0, 2)),
    ),
    doc="The sum of a diagonal. Gradient: g along it, zeros elsewhere.",
)

_TRIANGLES = Cases(
    lambda r: call(r(3, 3)),
    lambda r: call(r(2, 4), 1),
    lambda r: call(r(2, 4, 3), k=-1),
    lambda r: call(r(3)),
    lambda r: call(r(0, 2)),
)
tril: Op[Tensor] = op(
    np.tril,
    lambda g, k: np.tril(g, k),
    broadcasts=True,  # a vector is repeated as rows
    symbol="tril",
    domain=_TRIANGLES,
    doc="Zeros above the k-th diagonal. Gradient: g with the same zeros.",
)
triu: Op[Tensor] = op(
    np.triu,
    lambda g, k: np.triu(g, k),
    broadcasts=True,
    symbol="triu",
    domain=_TRIANGLES,
    doc="Zeros below the k-th diagonal. Gradient: g with the same zeros.",
)


# ------------------------------------------- np.linalg's own, of the last two axes at once

_MATRICES = Cases(
    lambda r: call(r(3, 3)),
    lambda r: call(r(4, 2, 3)),
    lambda r: call(r(2, 3), offset=1),
)


@composed(np.linalg.diagonal, domain=_MATRICES)
def matrix_diagonal(x: Array, offset: int = 0) -> Tensor:
    """Take a diagonal of each matrix."""
    return diagonal(x, offset, -2, -1)


@composed(np.linalg.trace, domain=_MATRICES)
def matrix_trace(x: Array, offset: int = 0) -> Tensor:
    """Sum a diagonal of each matrix."""
    return trace(x, offset, -2, -1)
