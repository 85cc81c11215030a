"""Reductions that ignore NaN. A NaN gets no gradient, nor does a slice of NaNs only."""

from typing import Any

import numpy as np

from graphgrad.engine.composite import composed
from graphgrad.engine.domains import Reduction
from graphgrad.engine.methods import Axis
from graphgrad.engine.op import Op, op
from graphgrad.engine.tensor import Tensor
from graphgrad.ops.choice import keep
from graphgrad.ops.norms import euclidean
from graphgrad.ops.ranges import has_value, in_range, is_exact
from graphgrad.ops.reduce import deviation_by, kept_shape, reduced_count, spread, with_half
from graphgrad.typing import Array

_DOMAIN = Reduction()
_FILLED = Reduction(distinct=True, minimum=1)
_SEVERAL = Reduction(minimum=2)


def _among_numbers(g: Array, a: Array, axis: Axis) -> Array:
    return keep(spread(g.reshape(kept_shape(a.shape, axis)), a.shape, axis, True), ~np.isnan(a))


def _count(mask: Array, axis: Axis, dtype: Any) -> Array:
    """Count the True elements, at least 1."""
    return np.maximum(np.add.reduce(mask, axis, dtype, keepdims=True), 1)


nansum: Op[Tensor] = op(
    np.nansum,
    _among_numbers,
    forward=lambda a, axis=None, keepdims=False: np.nansum(a, axis=axis, keepdims=keepdims),
    symbol="Σ",
    domain=_DOMAIN,
    doc="Σ of the numbers over the axes. Gradient: g, and 0 to a NaN.",
)
nanmean: Op[Tensor] = op(
    np.nanmean,
    lambda g, a, axis: _among_numbers(
        g.reshape(kept_shape(a.shape, axis)) / _count(~np.isnan(a), axis, g.dtype), a, axis
    ),
    forward=lambda a, axis=None, keepdims=False: np.nanmean(a, axis=axis, keepdims=keepdims),
    symbol="mean",
    domain=Reduction(minimum=1),
    doc="Mean of the N numbers over the axes. Gradient: g / N, and 0 to a NaN.",
)


@composed(np.nanprod, domain=_DOMAIN)
def nanprod(a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the product over the axes, with NaN as 1; a NaN gets no gradient."""
    return np.prod(np.where(np.isnan(a), 1.0, a), axis=axis, keepdims=keepdims)


# ---------------------------------------------------------------------------- extremes


def _extreme_rule(g: Array, a: Array, out: Array, axis: Axis) -> Array:
    shape = kept_shape(a.shape, axis)
    mask = a == out.reshape(shape)
    return keep(spread(g.reshape(shape) / _count(mask, axis, g.dtype), a.shape, axis, True), mask)


nanmax: Op[Tensor] = op(
    np.nanmax,
    _extreme_rule,
    forward=lambda a, axis=None, keepdims=False: np.nanmax(a, axis=axis, keepdims=keepdims),
    chooses=lambda a, out, axis: a == out.reshape(kept_shape(a.shape, axis)),
    symbol="max",
    domain=_FILLED,
    doc="The largest number over the axes. Gradient: g to it, split evenly among ties.",
)
nanmin: Op[Tensor] = op(
    np.nanmin,
    _extreme_rule,
    forward=lambda a, axis=None, keepdims=False: np.nanmin(a, axis=axis, keepdims=keepdims),
    chooses=lambda a, out, axis: a == out.reshape(kept_shape(a.shape, axis)),
    symbol="min",
    domain=_FILLED,
    doc="The smallest number over the axes. Gradient: g to it, split evenly among ties.",
)

# ----------------------------------------------------------------------------- spreads


def _offsets(a: Array, axis: Axis) -> Array:
    """Return the numbers less their mean, and 0 for a NaN."""
    missing = np.isnan(a)
    axis = axis if a.shape else None
    mean = np.mean(np.where(missing, 0.0, a), axis=axis, keepdims=True)
    share = reduced_count(a.shape, axis) / _count(~missing, axis, a.dtype)
    return np.where(missing, 0.0, a - mean * share)


def _freedom(a: Array, axis: Axis, ddof: float, correction: float | None) -> Array:
    taken = ddof if correction is None else correction
    return np.maximum(_count(~np.isnan(a), axis, a.dtype) - taken, 0)


def _var_rule(g: Array, a: Array, axis: Axis, ddof: float, correction: float | None) -> Array:
    shape = kept_shape(a.shape, axis)
    return 2 * g.reshape(shape) / _freedom(a, axis, ddof, correction) * _offsets(a, axis)


def _std_rule(
    g: Array, a: Array, out: Array, saved: bool, axis: Axis, ddof: float, correction: float | None
) -> Array:
    if a.size == 0:
        return np.zeros_like(a)
    axis = axis if a.shape else None  # NumPy takes the first axis of a number
    freedom = _freedom(a, axis, ddof, correction)
    if has_value(out) and not is_exact(out, saved):

        def length(a: Array) -> Array:
            return euclidean(_offsets(a, axis), axis, True) / np.sqrt(freedom)

        a, out = in_range(length, a, axis)
    shape = kept_shape(a.shape, axis)
    missing = np.isnan(a)
    top = np.max(np.where(missing, -np.inf, a), axis=axis, keepdims=True)
    constant = np.all(missing | (a == top), axis=axis, keepdims=True)
    out = out.reshape(shape)
    below = np.where(constant, 1.0, out) * freedom
    return np.where(constant, 0.0, g.reshape(shape) / below) * _offsets(a, axis)


nanvar: Op[Tensor] = op(
    np.nanvar,
    _var_rule,
    forward=deviation_by(np.nanvar),
    symbol="σ²",
    domain=_SEVERAL,
    doc="Variance of the N numbers. Gradient: 2 g (a − mean) / (N − ddof), and 0 to a NaN.",
)
nanstd: Op[Tensor] = op(
    np.nanstd,
    _std_rule,
    forward=with_half(deviation_by(np.nanstd)),
    chooses=lambda out: out == 0,
    symbol="σ",
    domain=_SEVERAL,
    doc="√nanvar. Gradient: g (a − mean) / ((N − ddof) · std), 0 to a NaN and among equals.",
)
