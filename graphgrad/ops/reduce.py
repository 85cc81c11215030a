"""Reductions: sums, means, products, spreads, extremes.

Elements that tie for a maximum or minimum share the gradient evenly, at every order; a NaN
that makes the result NaN takes it, as it took the result.
"""

import functools
import math
from typing import Any

import numpy as np

from graphgrad.engine.composite import composed
from graphgrad.engine.domains import Cases, Reduction, call
from graphgrad.engine.methods import Axis
from graphgrad.engine.op import TABLE, Op, op
from graphgrad.engine.plan import HALF
from graphgrad.engine.reductions import reduce_axis
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ShapeError
from graphgrad.ops.choice import keep
from graphgrad.ops.ranges import has_value, in_range, is_exact
from graphgrad.typing import Array

# The names below are NumPy's, so the built-in `sum`, `max` and `min` are out of reach here.

# ------------------------------------------------------------------- axes, back and forth


def kept_shape(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """Return the shape that a reduction leaves when it keeps the axes, of length 1."""
    if axis is None or not shape:  # NumPy reduces a 0-d array along an axis
        return (1,) * len(shape)
    kept = list(shape)
    for i in axis if isinstance(axis, tuple) else (axis,):
        kept[i] = 1
    return tuple(kept)


def reduced_count(shape: tuple[int, ...], axis: Axis) -> int:
    """Return the number of elements per reduction."""
    if axis is None or not shape:
        return math.prod(shape)
    return math.prod(shape[i] for i in (axis if isinstance(axis, tuple) else (axis,)))


def as_last_axis(a: Array, axis: Axis) -> Array:
    """Merge the axes to be reduced into one last axis."""
    if axis is None or not a.shape:
        return a.reshape(reduced_count(a.shape, None))
    if not isinstance(axis, tuple):
        return np.moveaxis(a, axis, -1)
    moved = np.moveaxis(a, axis, range(-len(axis), 0))
    return moved.reshape((*moved.shape[: a.ndim - len(axis)], reduced_count(a.shape, axis)))


def put_back(x: Array, shape: tuple[int, ...], axis: Axis) -> Array:
    """Undo :func:`as_last_axis` for an array that had this shape."""
    if axis is None or not shape:
        return x.reshape(shape)
    if not isinstance(axis, tuple):
        return np.moveaxis(x, -1, axis)
    x = x.reshape((*x.shape[:-1], *(shape[i] for i in axis)))
    return np.moveaxis(x, range(-len(axis), 0), axis)


_NATIVE = (np.ndarray, np.float64, np.float32, np.float16)


def spread(g: Array, a_shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Array:
    """Broadcast a gradient over the axes that were reduced, as a read-only view.

    The gradient rule of a sum.
    """
    if axis is not None and not keepdims:
        g = g.reshape(kept_shape(a_shape, axis))
    if type(g) in _NATIVE and g.flags.c_contiguous:  # the same view in a third of the time
        steps = [0 if n == 1 else step for n, step in zip(g.shape, g.strides, strict=True)]
        strides = [0] * (len(a_shape) - g.ndim) + steps
        view: Any = np.ndarray(a_shape, g.dtype, g, 0, strides)
        view.flags.writeable = False
        return view
    return np.broadcast_to(g, a_shape)


# --------------------------------------------------------------------------------- sums


def _mean(a: Array, axis: Axis = None, keepdims: Any = False) -> Array:
    if a.dtype.char in "fd" and a.size and (axis is None or a.shape):  # faster than np.mean
        total = reduce_axis(np.add, a, axis, keepdims=keepdims)
        return total / reduced_count(a.shape, axis)
    return np.mean(a, axis=axis, keepdims=keepdims)


sum: Op[Tensor] = op(  # noqa: A001 - NumPy's name
    np.sum,
    spread,
    forward=lambda a, axis=None, keepdims=False: reduce_axis(np.add, a, axis, keepdims=keepdims),
    symbol="Σ",
    domain=Reduction(),
    doc="Σ a over the axes. Gradient: g, repeated over them.",
)
mean: Op[Tensor] = op(
    np.mean,
    lambda g, a_shape, axis, keepdims: spread(
        g / reduced_count(a_shape, axis), a_shape, axis, keepdims
    ),
    forward=_mean,
    symbol="mean",
    domain=Reduction(minimum=1),
    doc="Σ a / N over the axes. Gradient: g / N, repeated over them.",
)


def _ahead(x: Array) -> Array:
    """Return the product of the elements before each one, along the last axis."""
    return np.concatenate([np.ones_like(x[..., :1]), np.cumprod(x[..., :-1], axis=-1)], axis=-1)


def _prod_rule(g: Array, a: Array, axis: Axis, keepdims: bool) -> Array:
    """Multiply g by the product of all other elements: those before times those after."""
    if a.size == 0:
        return spread(g, a.shape, axis, keepdims)
    x = as_last_axis(a, axis)
    others = _ahead(x) * np.flip(_ahead(np.flip(x, -1)), -1)
    return g.reshape(kept_shape(a.shape, axis)) * put_back(others, a.shape, axis)


prod: Op[Tensor] = op(
    np.prod,
    _prod_rule,
    forward=lambda a, axis=None, keepdims=False: np.multiply.reduce(a, axis, keepdims=keepdims),
    symbol="Π",
    domain=Reduction(),
    doc="Π a over the axes. Gradient: g · Π of the others; exact at zeros, to every order.",
)

# ------------------------------------------------------------------------------- spreads


def _freedom(shape: tuple[int, ...], axis: Axis, ddof: float, correction: float | None) -> float:
    """Return the divisor of the sum of squares."""
    left = reduced_count(shape, axis) - (ddof if correction is None else correction)
    return left if left > 0 else 0  # noqa: FURB136 - max is NumPy's here


def deviation_by(function: Any) -> Array:
    """Return NumPy's var or std as a forward; ``correction`` is another name for ddof."""

    def forward(
        a: Array,
        axis: Axis = None,
        ddof: float = 0,
        keepdims: bool = False,
        correction: float | None = None,
    ) -> Array:
        more = {} if correction is None else {"correction": correction}
        return function(a, axis=axis, ddof=ddof, keepdims=keepdims, **more)

    return forward


def with_half(forward: Any) -> Array:
    """Decorate a forward to save whether it computed in float16."""

    @functools.wraps(forward)
    def both(a: Array, *args: Any, **kwargs: Any) -> tuple[Any, bool]:
        return forward(a, *args, **kwargs), a.dtype == HALF

    return both


def _var_rule(g: Array, a: Array, axis: Axis, ddof: float, correction: float | None) -> Array:
    scale = 2 * g.reshape(kept_shape(a.shape, axis)) / _freedom(a.shape, axis, ddof, correction)
    return scale * (a - np.mean(a, axis=axis, keepdims=True))


def _std_rule(
    g: Array, a: Array, out: Array, saved: bool, axis: Axis, ddof: float, correction: float | None
) -> Array:
    if has_value(out) and not is_exact(out, saved):
        how = {"axis": axis, "ddof": ddof, "keepdims": True, "correction": correction}
        a, out = in_range(lambda a: std(a, **how), a, axis)
    shape = kept_shape(a.shape, axis)
    # Constant slices are found by comparison: rounding can make their deviation 1e-17, not 0.
    first = a[tuple(slice(0, 1) if n == 1 else slice(None) for n in shape)]
    out = out.reshape(shape)
    constant = np.all(a == first, axis=axis, keepdims=True) & ~np.isnan(out) | (out == 0)
    below = np.where(constant, 1.0, out) * _freedom(a.shape, axis, ddof, correction)
    scale = np.where(constant, 0.0, g.reshape(shape) / below)
    return scale * (a - np.mean(a, axis=axis, keepdims=True))


_DEVIATIONS = Cases(
    lambda r: call(r(3, 4)),
    lambda r: call(r(2, 3, 4), axis=(0, -1), keepdims=True),
    lambda r: call(r(3, 4), axis=-1, ddof=1),
    lambda r: call(r(3, 4), axis=0, ddof=0.5, keepdims=True),
    lambda r: call(r(5, 1), 0, correction=1),
    lambda r: call(r(0, 3), axis=1),
)
var: Op[Tensor] = op(
    np.var,
    _var_rule,
    forward=deviation_by(np.var),
    symbol="σ²",
    domain=_DEVIATIONS,
    doc="Σ (a − mean)² / (N − ddof). Gradient: 2 g (a − mean) / (N − ddof).",
)
std: Op[Tensor] = op(
    np.std,
    _std_rule,
    forward=with_half(deviation_by(np.std)),
    chooses=lambda out: out == 0,
    symbol="σ",
    domain=_DEVIATIONS,
    doc="√var. Gradient: g (a − mean) / ((N − ddof) · std); 0 where all elements are equal.",
)

# ------------------------------------------------------------------------------ extremes


def share_among_equal(g: Array, a: Array, chosen: Any, axis: Axis) -> Array:
    """Share g evenly among the elements that equal the chosen one, or among NaNs.

    ``g`` and ``chosen`` keep the reduced axes; ``chosen`` is NaN if an element is.
    """
    mask = (a == chosen) | np.isnan(a)
    count = reduce_axis(np.add, mask, axis, keepdims=True, dtype=g.dtype)
    return keep(spread(g / count, a.shape, axis, True), mask)


def _extreme_rule(g: Array, a: Array, out: Array, axis: Axis) -> Array:
    shape = kept_shape(a.shape, axis)
    return share_among_equal(g.reshape(shape), a, out.reshape(shape), axis)


_DISTINCT = Reduction(distinct=True, minimum=1)
max: Op[Tensor] = op(  # noqa: A001 - NumPy's name
    np.max,
    _extreme_rule,
    forward=lambda a, axis=None, keepdims=False: reduce_axis(
        np.maximum, a, axis, keepdims=keepdims
    ),
    chooses=lambda a, out, axis: a == out.reshape(kept_shape(a.shape, axis)),
    symbol="max",
    domain=_DISTINCT,
    doc="The largest element over the axes. Gradient: g to it, split evenly among ties.",
)
min: Op[Tensor] = op(  # noqa: A001 - NumPy's name
    np.min,
    _extreme_rule,
    forward=lambda a, axis=None, keepdims=False: reduce_axis(
        np.minimum, a, axis, keepdims=keepdims
    ),
    chooses=lambda a, out, axis: a == out.reshape(kept_shape(a.shape, axis)),
    symbol="min",
    domain=_DISTINCT,
    doc="The smallest element over the axes. Gradient: g to it, split evenly among ties.",
)
TABLE[np.amax] = amax = max
TABLE[np.amin] = amin = min


@composed(np.ptp, domain=_DISTINCT)
def ptp(a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return max − min over the axes."""
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


# -------------------------------------------------------------------------- weighted mean


@composed(
    np.average,
    domain=Cases(
        lambda r: call(r(3, 4)),
        lambda r: call(r(3, 4), axis=(0, 1), keepdims=True),
        lambda r: call(r(3, 4), weights=np.exp(r(3, 4))),
        lambda r: call(r(3, 4), -1, weights=np.exp(r(4))),
        lambda r: call(r(3, 4, 2), axis=(2, 0), weights=np.exp(r(2, 3))),
    ),
)
def average(
    a: Array,
    axis: Axis = None,
    weights: Array = None,
    returned: bool = False,
    keepdims: bool = False,
) -> Array:
    """Return Σ w a / Σ w over the axes; differentiable in a and in the weights.

    With ``returned``, also the sum of the weights.

    Raises
    ------
    ShapeError
        If the weights fit neither ``a`` nor its axes, or sum to zero.
    """
    shape = np.shape(a)
    if weights is None:
        result = np.mean(a, axis=axis, keepdims=keepdims)
        total: Any = np.full_like(result, reduced_count(shape, axis))
        return (result, total) if returned else result
    axes = axis if isinstance(axis, tuple) else () if axis is None else (axis,)
    if np.shape(weights) != shape:
        lengths = tuple(shape[i] for i in axes)
        if np.shape(weights) != lengths or axis is None:
            message = (
                f"average: weights {np.shape(weights)} for an array {shape} and axis {axis}; "
                "they must have the array's shape, or with axis= its lengths there"
            )
            raise ShapeError(message)
        order = np.argsort([i % len(shape) for i in axes])
        kept = [n if i - len(shape) in axes or i in axes else 1 for i, n in enumerate(shape)]
        weights = np.reshape(np.transpose(weights, tuple(order.tolist())), kept)
        weights = np.broadcast_to(weights, shape)
    total = np.sum(weights, axis=axis, keepdims=keepdims)
    if np.any(np.equal(total, 0)):
        raise ShapeError("average: the weights sum to zero somewhere")
    result = np.sum(np.multiply(a, weights), axis=axis, keepdims=keepdims) / total
    return (result, total) if returned else result
