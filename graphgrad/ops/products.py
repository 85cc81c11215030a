"""Products of vectors, matrices and tensors: all are linear in each operand."""

import operator
from typing import Any

import numpy as np

from graphgrad.arguments import whole
from graphgrad.engine.composite import composed
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.op import Op, op
from graphgrad.engine.operands import as_array
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ShapeError
from graphgrad.ops.index import getitem
from graphgrad.ops.shape import moveaxis
from graphgrad.typing import Array

# ------------------------------------------------------------------------------ matmul
#
# In the gradients a vector operand is a matrix of one row (left) or one column (right).


def _matmul_x(g: Array, y: Array, x_shape: tuple[int, ...]) -> Array:
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


def _matmul_y(g: Array, x: Array, y_shape: tuple[int, ...]) -> Array:
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


def _matvec(x: Array, y: Array) -> Array:
    return np.matmul(x, y[..., None])[..., 0]


def _vecmat(x: Array, y: Array) -> Array:
    return np.matmul(x[..., None, :], y)[..., 0, :]


matvec: Op[Tensor] = op(  # NumPy has it from 2.2 on
    getattr(np, "matvec", _matvec),
    lambda g, y, x_shape: _matmul_x(g[..., None], y[..., None], x_shape),
    lambda g, x, y_shape: _matmul_y(g[..., None], x, (*y_shape, 1))[..., 0],
    forward=_matvec,
    broadcasts=True,
    name="matvec",
    symbol="@",
    domain=Cases(
        lambda r: call(r(2, 3), r(3)),
        lambda r: call(r(4, 2, 3), r(4, 3)),
        lambda r: call(r(2, 3), r(4, 3)),
        lambda r: call(r(4, 2, 3), r(3)),
        lambda r: call(r(2, 0), r(0)),
    ),
    doc="Matrices times vectors, batched. Gradients: g yᵀ and xᵀ g.",
)
vecmat: Op[Tensor] = op(
    getattr(np, "vecmat", _vecmat),
    lambda g, y, x_shape: _matmul_x(g[..., None, :], y, (*x_shape[:-1], 1, x_shape[-1]))[..., 0, :],
    lambda g, x, y_shape: _matmul_y(g[..., None, :], x[..., None, :], y_shape),
    forward=_vecmat,
    broadcasts=True,
    name="vecmat",
    symbol="@",
    domain=Cases(
        lambda r: call(r(3), r(3, 2)),
        lambda r: call(r(4, 3), r(4, 3, 2)),
        lambda r: call(r(4, 3), r(3, 2)),
        lambda r: call(r(3), r(4, 3, 2)),
        lambda r: call(r(0), r(0, 2)),
    ),
    doc="Vectors times matrices, batched. Gradients: y g and x gᵀ.",
)

_vecdot: Op[Tensor] = op(
    lambda x1, x2: np.vecdot(x1, x2),
    lambda g, x2: g[..., None] * x2,
    lambda g, x1: g[..., None] * x1,
    broadcasts=True,
    name="vecdot",
    symbol="·",
    domain=Cases(lambda r: call(r(2, 3), r(2, 3)), lambda r: call(r(3), r(4, 1, 3))),
    doc="Dot products along the last axis. Gradients: g times the other.",
)


@composed(
    np.vecdot,
    domain=Cases(
        lambda r: call(r(3), r(3)),
        lambda r: call(r(2, 3), r(3)),
        lambda r: call(r(3, 2), r(3, 1), axis=0),
        lambda r: call(r(0), r(0)),
    ),
)
def vecdot(x1: Array, x2: Array, axis: int = -1) -> Tensor:
    """Dot products along an axis, of stacks of vectors that broadcast."""
    x1, x2 = as_array(x1), as_array(x2)
    if whole("vecdot", "axis", axis) != -1:
        x1, x2 = np.moveaxis(x1, axis, -1), np.moveaxis(x2, axis, -1)
    return _vecdot(x1, x2)


# ------------------------------------------------------------------ NumPy's older family


def _dot_a(g: Array, b: Array, a_shape: tuple[int, ...]) -> Array:
    if not a_shape or np.ndim(b) == 0:
        return g * b
    if b.ndim == 2 and len(a_shape) <= 2:
        return g @ b.T
    free = [k for k in range(b.ndim) if k != max(b.ndim - 2, 0)]
    return np.tensordot(g, b, (range(len(a_shape) - 1, g.ndim), free))


def _dot_b(g: Array, a: Array, b_shape: tuple[int, ...]) -> Array:
    if not b_shape or np.ndim(a) == 0:
        return g * a
    if a.ndim == 2 and len(b_shape) <= 2:
        return a.T @ g
    rows = range(a.ndim - 1)
    c = np.tensordot(a, g, (rows, rows))
    return c if len(b_shape) == 1 else np.moveaxis(c, 0, -2)


dot: Op[Tensor] = op(
    np.dot,
    _dot_a,
    _dot_b,
    forward=lambda a, b: np.dot(a, b),
    broadcasts=True,  # a number times an array
    symbol="·",
    domain=Cases(
        lambda r: call(r(3), r(3)),
        lambda r: call(r(2, 3), r(3, 4)),
        lambda r: call(r(2, 3), r(3)),
        lambda r: call(r(3), r(3, 2)),
        lambda r: call(r(), r(2, 3)),
        lambda r: call(r(2, 3), r()),
        lambda r: call(r(), r()),
        lambda r: call(r(2, 2, 3), r(3)),
        lambda r: call(r(3), r(2, 3, 2)),
        lambda r: call(r(2, 2, 3), r(4, 3, 2)),
        lambda r: call(r(0), r(0)),
        lambda r: call(r(2, 0), r(0, 3)),
    ),
    doc=(
        "Sum over the last axis of a and the last but one of b. Gradients: g bᵀ and aᵀ g, "
        "summed over the other's free axes."
    ),
)


def _inner_b(g: Array, a: Array, b_shape: tuple[int, ...]) -> Array:
    if not b_shape or np.ndim(a) == 0:
        return g * a
    return np.tensordot(g, a, (range(a.ndim - 1), range(a.ndim - 1)))


def _inner_a(g: Array, b: Array, a_shape: tuple[int, ...]) -> Array:
    if not a_shape or np.ndim(b) == 0:
        return g * b
    return np.tensordot(g, b, (range(len(a_shape) - 1, g.ndim), range(b.ndim - 1)))


inner: Op[Tensor] = op(
    np.inner,
    _inner_a,
    _inner_b,
    forward=lambda a, b: np.inner(a, b),
    broadcasts=True,  # a number times an array
    symbol="·",
    domain=Cases(
        lambda r: call(r(3), r(3)),
        lambda r: call(r(2, 3), r(4, 3)),
        lambda r: call(r(2, 3), r(3)),
        lambda r: call(r(3), r(2, 2, 3)),
        lambda r: call(r(), r(2, 3)),
        lambda r: call(r(3), r()),
        lambda r: call(r(2, 0), r(3, 0)),
    ),
    doc="Sum over the last axes of both. Gradients: g b and gᵀ a over the free axes.",
)
vdot: Op[Tensor] = op(
    np.vdot,
    lambda g, b, a_shape: np.reshape(g * b, a_shape),
    lambda g, a, b_shape: np.reshape(g * a, b_shape),
    forward=lambda a, b: np.vdot(a, b),
    symbol="·",
    domain=Cases(
        lambda r: call(r(3), r(3)),
        lambda r: call(r(2, 3), r(2, 3)),
        lambda r: call(r(2, 3), r(6)),
        lambda r: call(r(), r()),
        lambda r: call(r(0), r(0)),
    ),
    doc="Sum of the products of all elements. Gradients: g · b and g · a.",
)
outer: Op[Tensor] = op(
    np.outer,
    lambda g, b, a_shape: np.reshape(g @ np.ravel(b), a_shape),
    lambda g, a, b_shape: np.reshape(np.ravel(a) @ g, b_shape),
    forward=lambda a, b: np.outer(a, b),
    symbol="⊗",
    domain=Cases(
        lambda r: call(r(3), r(2)),
        lambda r: call(r(2, 2), r(3)),
        lambda r: call(r(), r(3)),
        lambda r: call(r(2), r()),
        lambda r: call(r(0), r(2)),
    ),
    doc="All products of an element of a and one of b. Gradients: g b and gᵀ a.",
)

# --------------------------------------------------------------------------- tensordot


def _summed(axes: Any, a_ndim: int, b_ndim: int) -> tuple[list[int], list[int]]:
    """Return the axes of a and b that ``tensordot`` sums over, as non-negative numbers."""
    if np.ndim(axes) == 0 and not isinstance(axes, tuple | list):
        return list(range(a_ndim - int(axes), a_ndim)), list(range(int(axes)))
    a_axes, b_axes = ([k] if np.ndim(k) == 0 and not isinstance(k, range) else k for k in axes)
    return [k % a_ndim for k in a_axes], [k % b_ndim for k in b_axes]


def _tensordot_a(g: Array, b: Array, a_shape: tuple[int, ...], axes: Any) -> Array:
    a_axes, b_axes = _summed(axes, len(a_shape), np.ndim(b))
    a_free = [k for k in range(len(a_shape)) if k not in a_axes]
    b_free = [k for k in range(np.ndim(b)) if k not in b_axes]
    c = np.tensordot(g, b, (range(len(a_free), g.ndim), b_free))
    came_from = [*a_free, *(a_axes[b_axes.index(k)] for k in sorted(b_axes))]
    return np.transpose(c, np.argsort(came_from))


def _tensordot_b(g: Array, a: Array, b_shape: tuple[int, ...], axes: Any) -> Array:
    a_axes, b_axes = _summed(axes, np.ndim(a), len(b_shape))
    a_free = [k for k in range(np.ndim(a)) if k not in a_axes]
    b_free = [k for k in range(len(b_shape)) if k not in b_axes]
    c = np.tensordot(a, g, (a_free, range(len(a_free))))
    came_from = [*(b_axes[a_axes.index(k)] for k in sorted(a_axes)), *b_free]
    return np.transpose(c, np.argsort(came_from))


tensordot: Op[Tensor] = op(
    np.tensordot,
    _tensordot_a,
    _tensordot_b,
    forward=lambda a, b, axes=2: np.tensordot(a, b, axes),
    symbol="·",
    domain=Cases(
        lambda r: call(r(2, 3, 4), r(3, 4, 2)),
        lambda r: call(r(2, 3), r(3, 2), axes=1),
        lambda r: call(r(2), r(3), axes=0),
        lambda r: call(r(), r(2), axes=0),
        lambda r: call(r(2, 3), r(2, 3)),
        lambda r: call(r(2, 3, 4), r(4, 2), axes=([0, 2], [1, 0])),
        lambda r: call(r(2, 3, 4), r(2, 5, 4), axes=((-1, 0), (-1, 0))),
        lambda r: call(r(2, 3), r(4, 3), axes=(1, 1)),
        lambda r: call(r(2, 0), r(0, 3), axes=1),
    ),
    doc=(
        "Sum of products over pairs of axes. Gradients: g and the other operand, summed over "
        "the other's free axes."
    ),
)

# ------------------------------------------------------------------------ kron and cross


def _interleaved(
    a_shape: tuple[int, ...], b_shape: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], list[int]]:
    """Align both shapes, and return the shape in which a's and b's axes alternate."""
    ndim = max(len(a_shape), len(b_shape))
    a_full = (1,) * (ndim - len(a_shape)) + a_shape
    b_full = (1,) * (ndim - len(b_shape)) + b_shape
    return a_full, b_full, [n for pair in zip(a_full, b_full, strict=True) for n in pair]


def _kron_a(g: Array, b: Array, a_shape: tuple[int, ...]) -> Array:
    _, b_full, both = _interleaved(a_shape, np.shape(b))
    places = (range(1, len(both), 2), range(len(b_full)))
    return np.reshape(np.tensordot(np.reshape(g, both), np.reshape(b, b_full), places), a_shape)


def _kron_b(g: Array, a: Array, b_shape: tuple[int, ...]) -> Array:
    a_full, _, both = _interleaved(np.shape(a), b_shape)
    places = (range(len(a_full)), range(0, len(both), 2))
    return np.reshape(np.tensordot(np.reshape(a, a_full), np.reshape(g, both), places), b_shape)


kron: Op[Tensor] = op(
    np.kron,
    _kron_a,
    _kron_b,
    forward=lambda a, b: np.kron(a, b),
    symbol="⊗",
    domain=Cases(
        lambda r: call(r(2, 3), r(3, 2)),
        lambda r: call(r(2), r(3)),
        lambda r: call(r(2, 2), r(3)),
        lambda r: call(r(3), r(2, 1, 2)),
        lambda r: call(r(), r(2, 2)),
        lambda r: call(r(), r()),
        lambda r: call(r(0, 2), r(2, 2)),
    ),
    doc="Every element of a times all of b. Gradients: g summed against b, and against a.",
)
_cross: Op[Tensor] = op(
    lambda a, b: np.cross(a, b),
    lambda g, b: np.cross(b, g),
    lambda g, a: np.cross(g, a),
    broadcasts=True,
    name="cross",
    symbol="⨯",
    domain=Cases(lambda r: call(r(3), r(3)), lambda r: call(r(2, 3), r(4, 1, 3))),
    doc="Cross products of 3-vectors along the last axis. Gradients: b ⨯ g and g ⨯ a.",
)


def _vectors(a: Array, axis: int) -> tuple[Any, bool]:
    """Move the axis of the vectors to the end; a 2-vector gets a third component, 0."""
    a = as_array(a)
    if a.ndim and axis != -1:
        a = np.moveaxis(a, axis, -1)
    if not a.ndim or a.shape[-1] not in (2, 3):
        message = f"cross: vectors of 2 or 3 numbers are needed, got shape {a.shape}"
        raise ShapeError(message)
    if a.shape[-1] == 3:
        return a, False
    return np.concatenate([a, np.zeros_like(a[..., :1])], axis=-1), True


@composed(
    np.cross,
    domain=Cases(
        lambda r: call(r(3), r(3)),
        lambda r: call(r(2, 3), r(3)),
        lambda r: call(r(3, 2), r(3, 2), axis=0),
        lambda r: call(r(3, 4), r(5, 4, 3), axisa=0, axisc=0),
        lambda r: call(r(0, 3), r(3)),
    ),
)
def cross(
    a: Array, b: Array, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Tensor:
    """Cross product of 3-vectors; of 2-vectors its third component, as a number."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, a_flat = _vectors(a, axisa)
    b, b_flat = _vectors(b, axisb)
    out = _cross(a, b)
    if a_flat and b_flat:
        return getitem(out, (Ellipsis, 2))
    return out if axisc == -1 else moveaxis(out, -1, axisc)
