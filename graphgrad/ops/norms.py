"""Norms of vectors and matrices. Every norm has gradient 0 where it is 0."""

from typing import Any

import numpy as np

from graphgrad.engine.composite import composed
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.op import Op, op
from graphgrad.engine.operands import as_array
from graphgrad.engine.plan import HALF
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ShapeError
from graphgrad.ops.decompositions import svdvals
from graphgrad.ops.linalg import inv
from graphgrad.ops.ranges import has_value, in_range, is_exact
from graphgrad.typing import Array

Axis = int | tuple[int, ...] | None


def _again(x: Array, axis: Any, keepdims: bool) -> Array:
    """Restore reduced axes with length 1; not needed after ``axis=None``."""
    return x if keepdims or axis is None else np.expand_dims(x, axis)


def _euclidean(x: Array, axis: Any, keepdims: bool) -> tuple[Any, bool]:
    by_vector = isinstance(axis, tuple) and len(axis) not in (1, 2)
    norm = np.linalg.vector_norm if by_vector else np.linalg.norm
    return norm(x, axis=axis, keepdims=keepdims), x.dtype == HALF


def _euclidean_rule(
    g: Array, x: Array, out: Array, saved: bool, axis: Any, keepdims: bool
) -> Array:
    if is_exact(out, saved):
        return x * (_again(g, axis, keepdims) / _again(out, axis, keepdims))
    if has_value(out):
        x, out = in_range(lambda x: euclidean(x, axis, keepdims), x, axis)
    g, length = _again(g, axis, keepdims), _again(out, axis, keepdims)
    # the inner `where` keeps 1/0 out of the second derivative, the outer one makes both 0
    return x * np.where(length == 0, 0.0, g / np.where(length == 0, 1.0, length))


euclidean: Op[Tensor] = op(
    _euclidean,
    _euclidean_rule,
    chooses=lambda out: out == 0,
    name="norm",
    symbol="‖·‖",
    domain=Cases(
        lambda r: call(r(3), None, False),
        lambda r: call(r(2, 3), (0, 1), True),
        lambda r: call(r(2, 3, 2, 2), (0, -1, 2), False),
        lambda r: call(r(2, 3), -1, False),
    ),
    doc="Square root of the sum of squares. Gradient: g x / ‖x‖, and 0 where ‖x‖ is 0.",
)


def _power_norm(x: Array, order: float, axis: Any, keepdims: bool) -> tuple[Any, bool]:
    return np.linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=order), x.dtype == HALF


def _power_norm_rule(
    g: Array, x: Array, out: Array, saved: bool, order: float, axis: Any, keepdims: bool
) -> Array:
    if has_value(out) and not is_exact(out, saved, order):
        x, out = in_range(lambda x: power_norm(x, order, axis, keepdims), x, axis)
    g, length = _again(g, axis, keepdims), _again(out, axis, keepdims)
    size = np.abs(x)
    flat = (size == 0) | (length == 0)
    part = np.where(flat, 1.0, size) / np.where(length == 0, 1.0, length)
    return np.where(flat, 0.0, g) * np.sign(x) * part ** (order - 1)


power_norm: Op[Tensor] = op(
    _power_norm,
    _power_norm_rule,
    chooses=lambda x: np.sign(x),
    name="norm_p",
    symbol="‖·‖ₚ",
    domain=Cases(
        lambda r: call(r(3), 3, 0, False),
        lambda r: call(r(2, 3), 2.5, (0, 1), True),
        lambda r: call(r(2, 3) + 3, -1, -1, False),
        lambda r: call(r(2, 3) + 3, 0.5, 0, True),
    ),
    doc=(
        "The p-th root of the sum of |x|ᵖ. Gradient: g sign(x) (|x| / ‖x‖)ᵖ⁻¹, and 0 for an "
        "element that is 0."
    ),
)

# ------------------------------------------------------------------- NumPy's three functions


def _of_vectors(x: Array, order: Any, axis: Axis, keepdims: bool) -> Array:
    if order is None or order == 2:
        return euclidean(x, axis, keepdims)
    if isinstance(order, str):
        message = f"norm: ord={order!r} is for matrices; give two axes, or a number"
        raise ShapeError(message)
    if order == np.inf and x.size:  # 0 if empty, as a sum
        return np.max(np.abs(x), axis=axis, keepdims=keepdims)
    if order == -np.inf:
        return np.min(np.abs(x), axis=axis, keepdims=keepdims)
    if order == 0:  # the number of elements that are not 0
        return np.sum(np.abs(np.sign(x)), axis=axis, keepdims=keepdims)
    if order in (1, np.inf):
        return np.sum(np.abs(x), axis=axis, keepdims=keepdims)
    if axis is None:
        axis = tuple(range(x.ndim))
    return power_norm(x, order, axis, keepdims)


def _of_matrices(x: Array, order: Any, axes: tuple[int, ...], keepdims: bool) -> Array:
    row, column = (k % x.ndim if -x.ndim <= k < x.ndim else k for k in axes)
    if row == column or max(row, column) >= x.ndim:
        message = f"norm: axes {axes} are not two axes of an array of shape {x.shape}"
        raise ShapeError(message)
    if order in (None, "fro", "f"):
        return euclidean(x, (row, column), keepdims)
    if order in ("nuc", 2, -2):
        s = svdvals(np.moveaxis(x, (row, column), (-2, -1)))
        reduce = {"nuc": np.sum, 2: np.max, -2: np.min}[order]
        out = reduce(s, axis=-1)  # type: ignore[operator]
    elif order in (1, -1, np.inf, -np.inf):
        first, second = (row, column) if abs(order) == 1 else (column, row)
        sums = np.sum(np.abs(x), axis=first)
        reduce = np.max if order > 0 else np.min
        out = reduce(sums, axis=second - (second > first))
    else:
        message = f"norm: ord={order!r} for matrices; give None, 'fro', 'nuc', ±1, ±2 or ±inf"
        raise ShapeError(message)
    return np.expand_dims(out, (row, column)) if keepdims else out


def _floating(x: Array) -> Array:
    x = as_array(x)
    return x if x.dtype.kind == "f" else x.astype(float)


@composed(
    np.linalg.norm,
    domain=Cases(
        lambda r: call(r(3)),
        lambda r: call(r()),
        lambda r: call(r(2, 3, 2)),
        lambda r: call(r(2, 3, 2), keepdims=True),
        lambda r: call(r(2, 3), axis=1),
        lambda r: call(r(2, 3), None, -2, True),
        lambda r: call(r(3), 3),
        lambda r: call(r(3), 1),
        lambda r: call(r(3), np.inf),
        lambda r: call(r(3), -np.inf),
        lambda r: call(r(3), 0),
        lambda r: call(r(2, 3) + 3, 0.5, axis=0),
        lambda r: call(r(2, 3) + 3, -1, axis=0, keepdims=True),
        lambda r: call(r(2, 3), "fro"),
        lambda r: call(r(2, 3), "nuc"),
        lambda r: call(r(3, 2), 2),
        lambda r: call(r(3, 2), -2, keepdims=True),
        lambda r: call(r(2, 3), 1),
        lambda r: call(r(2, 3), -1, keepdims=True),
        lambda r: call(r(2, 3), np.inf),
        lambda r: call(r(2, 3), -np.inf, axis=(1, 0)),
        lambda r: call(r(2, 3, 2), 1, axis=(0, -1), keepdims=True),
        lambda r: call(r(2, 3, 2), "nuc", axis=(2, 0)),
        lambda r: call(r(2, 3, 2), axis=(-1, 0)),
        lambda r: call(r(0)),
        lambda r: call(r(2, 0), axis=1),
    ),
)
def norm(x: Array, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Tensor:  # noqa: A002
    """Norm of vectors (one axis) or matrices (two axes), of any order NumPy has."""
    x = _floating(x)
    if axis is None:
        if ord is None:
            return euclidean(x, None, keepdims)
        axis = tuple(range(x.ndim))
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    if len(axes) == 1:
        out = _of_vectors(x, ord, axes[0], keepdims)
    elif len(axes) == 2:
        out = _of_matrices(x, ord, axes, keepdims)
    else:
        message = f"norm: shape {x.shape} with ord={ord!r} needs axis=, one axis or two"
        raise ShapeError(message)
    return out  # type: ignore[no-any-return]


@composed(
    np.linalg.vector_norm,
    domain=Cases(
        lambda r: call(r(2, 3)),
        lambda r: call(r(2, 3, 2), axis=(0, 2), ord=3),
        lambda r: call(r(2, 3), ord=3, keepdims=True),
        lambda r: call(r(2, 3), axis=-1, ord=np.inf),
    ),
)
def vector_norm(x: Array, axis: Axis = None, keepdims: bool = False, ord: Any = 2) -> Tensor:  # noqa: A002
    """Norm of the elements along all axes given, as of one vector."""
    return _of_vectors(_floating(x), ord, axis, keepdims)  # type: ignore[no-any-return]


@composed(
    np.linalg.matrix_norm,
    domain=Cases(lambda r: call(r(4, 2, 3)), lambda r: call(r(2, 3), keepdims=True, ord="nuc")),
)
def matrix_norm(x: Array, keepdims: bool = False, ord: Any = "fro") -> Tensor:  # noqa: A002
    """Norm of each matrix."""
    return _of_matrices(_floating(x), ord, (-2, -1), keepdims)  # type: ignore[no-any-return]


@composed(
    np.linalg.cond,
    domain=Cases(
        lambda r: call(r(3, 3) / 2 + np.diag([1.0, 3.0, 7.0])),
        lambda r: call(r(3, 2) / 2 + np.eye(3, 2) * [1.0, 4.0], -2),
        lambda r: call(r(2, 2, 2) / 2 + np.diag([1.0, 4.0]), 1),
        lambda r: call(r(2, 2) / 2 + np.diag([1.0, 4.0]), "fro"),
    ),
)
def cond(x: Array, p: Any = None) -> Tensor:
    """Condition number: largest over smallest singular value, or ‖x‖ ‖x⁻¹‖ in another norm."""
    if p in (None, 2, -2):
        s = svdvals(x)
        out = s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    else:
        out = _of_matrices(x, p, (-2, -1), False) * _of_matrices(inv(x), p, (-2, -1), False)
    return out
