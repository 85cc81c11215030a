"""Products of vectors, matrices and tensors: all are linear in each operand."""

import operator
from typing import Any

import numpy as np

from graphgrad.registry import Cases, Op, call, op
from graphgrad.tensor import Tensor

# ------------------------------------------------------------------------------ matmul
#
# In the gradients a vector operand is a matrix of one row (left) or one column (right).


def _matmul_x(g: Any, y: Any, x_shape: tuple[int, ...]) -> Any:
    if y.ndim == 2 and len(x_shape) <= 2:
        return g @ y.T
    if y.ndim == 1:
        return g[..., None] * y
    if len(x_shape) == 1:
        return (y @ g[..., None])[..., 0]
    if len(x_shape) == 2:  # one matrix for the whole batch: sum over the batch in one product
        batch = tuple(range(y.ndim - 2))
        return np.tensordot(g, y, ((*batch, -1), (*batch, -1)))
    return g @ y.swapaxes(-1, -2)


def _matmul_y(g: Any, x: Any, y_shape: tuple[int, ...]) -> Any:
    if x.ndim == 2 and len(y_shape) <= 2:
        return x.T @ g
    if x.ndim == 1:
        return x * g if len(y_shape) == 1 else x[:, None] * g[..., None, :]
    if len(y_shape) <= 2:  # sum over the batch in one product
        batch = tuple(range(x.ndim - 1))
        return np.tensordot(x, g, (batch, batch))
    return x.swapaxes(-1, -2) @ g


matmul: Op[Tensor] = op(
    np.matmul,
    _matmul_x,
    _matmul_y,
    forward=operator.matmul,
    broadcasts=True,
    symbol="@",
    domain=Cases(
        lambda r: call(r(2, 3), r(3, 4)),
        lambda r: call(r(3), r(3)),
        lambda r: call(r(2, 3), r(3)),
        lambda r: call(r(3), r(3, 2)),
        lambda r: call(r(4, 2, 3), r(3)),
        lambda r: call(r(3), r(4, 3, 2)),
        lambda r: call(r(5, 2, 3), r(3, 4)),
        lambda r: call(r(2, 3), r(5, 3, 4)),
        lambda r: call(r(2, 1, 2, 3), r(5, 3, 1)),
        lambda r: call(r(1, 2, 3), r(1, 3, 2)),
        lambda r: call(r(2, 0), r(0, 3)),
        lambda r: call(r(0, 2, 3), r(3, 2)),
        lambda r: call(r(0), r(0)),
    ),
    doc="The matrix product x @ y, batched. Gradients: g @ yᵀ and xᵀ @ g.",
)
