"""Sorting, and order statistics: quantiles and the median."""

import math
from typing import Any

import numpy as np

from graphgrad.engine.domains import Cases, call
from graphgrad.engine.methods import Axis
from graphgrad.engine.op import Op, op
from graphgrad.engine.tensor import Tensor
from graphgrad.ops.reduce import as_last_axis, kept_shape, reduced_count, share_among_equal
from graphgrad.typing import Array


def _sort_rule(g: Array, a: Array, axis: int | None) -> Array:
    """Move each gradient back to the position of its element."""
    line = a.reshape(g.shape) if axis is None else a
    along = -1 if axis is None else axis
    places = np.argsort(np.argsort(line, axis=along, kind="stable"), axis=along)
    return np.take_along_axis(g, places, axis=along).reshape(a.shape)


sort: Op[Tensor] = op(
    np.sort,
    _sort_rule,
    forward=lambda a, axis=-1, kind=None, stable=None: np.sort(
        a, axis=axis, kind=kind, stable=stable
    ),
    chooses=lambda a, axis: np.argsort(a, axis=axis, kind="stable"),
    symbol="sort",
    domain=Cases(
        lambda r: call(r(5)),
        lambda r: call(r(3, 4)),
        lambda r: call(r(3, 4), axis=0),
        lambda r: call(r(2, 3, 4), -2),
        lambda r: call(r(2, 3), axis=None),
        lambda r: call(r(0, 3), axis=0, kind="stable"),
    ),
    doc="In ascending order along the axis. Gradient: g, put back; equals keep their order.",
)


def _order(a: Array, axis: Axis) -> Array:
    return np.argsort(as_last_axis(a, axis), axis=-1, kind="stable")


def _quantile_rule(g: Array, a: Array, out: Array, q: Array, axis: Axis, method: str) -> Array:
    """Distribute g over the elements that each quantile interpolates between.

    Every method of NumPy interpolates between two ranks; the quantile of 0, 1, 2, … gives the ranks
    and weights. Equal elements share the gradient evenly.
    """
    n = reduced_count(a.shape, axis)
    if a.size == 0:
        return np.zeros_like(a)
    levels = np.reshape(q, -1)
    places = np.quantile(np.arange(float(n)), levels, method=method).tolist()  # type: ignore[call-overload]
    parts = [
        (k, rank, weight)
        for k, place in enumerate(places)
        for rank, weight in (
            (math.floor(place), math.floor(place) + 1 - place),
            (math.floor(place) + 1, place - math.floor(place)),
        )
        if weight > 0
    ]
    shape = kept_shape(a.shape, axis)
    gs, outs = g.reshape(len(levels), *shape), out.reshape(len(levels), *shape)
    line = as_last_axis(a, axis)
    order = np.argpartition(line, sorted({rank for _, rank, _ in parts}), axis=-1)
    total: Any = 0
    for k, rank, weight in parts:
        element = np.take_along_axis(line, order[..., rank : rank + 1], axis=-1).reshape(shape)
        chosen = np.where(np.isnan(outs[k]), np.nan, element)
        total = total + share_among_equal(gs[k] * weight, a, chosen, axis)
    return total


def _quantile(
    a: Array, q: Array, axis: Axis = None, method: Any = "linear", keepdims: bool = False
) -> Array:
    return np.quantile(a, q, axis=axis, method=method, keepdims=keepdims)


def _percentile(
    a: Array, q: Array, axis: Axis = None, method: Any = "linear", keepdims: bool = False
) -> Array:
    return np.percentile(a, q, axis=axis, method=method, keepdims=keepdims)


quantile: Op[Tensor] = op(
    np.quantile,
    _quantile_rule,
    forward=_quantile,
    chooses=lambda a, axis: _order(a, axis),
    symbol="quantile",
    domain=Cases(
        lambda r: call(r(5), 0.3),
        lambda r: call(r(3, 4), 0.5, axis=0),
        lambda r: call(r(3, 4), [0.0, 0.9, 1.0], axis=-1, keepdims=True),
        lambda r: call(r(2, 3, 4), 0.25, axis=(0, 2)),
        lambda r: call(r(6), 0.4, method="nearest"),
        lambda r: call(r(6), [[0.4], [0.7]], method="hazen"),
    ),
    doc="The q-quantile over the axes. Gradient: g to the one or two elements it lies between.",
)
percentile: Op[Tensor] = op(
    np.percentile,
    lambda g, a, out, q, axis, method: _quantile_rule(
        g, a, out, np.true_divide(q, 100), axis, method
    ),
    forward=_percentile,
    chooses=lambda a, axis: _order(a, axis),
    symbol="percentile",
    domain=Cases(
        lambda r: call(r(5), 30),
        lambda r: call(r(3, 4), [0, 55.5, 100], axis=-1),
        lambda r: call(r(2, 3, 4), 25.0, axis=(0, -1), keepdims=True),
    ),
    doc="The q/100-quantile. Gradient: g to the one or two elements it lies between.",
)
median: Op[Tensor] = op(
    np.median,
    lambda g, a, out, axis: _quantile_rule(g, a, out, 0.5, axis, "linear"),
    forward=lambda a, axis=None, keepdims=False: np.median(a, axis=axis, keepdims=keepdims),
    chooses=lambda a, axis: _order(a, axis),
    symbol="median",
    domain=Cases(
        lambda r: call(r(5)),
        lambda r: call(r(3, 4)),
        lambda r: call(r(3, 4), axis=-1, keepdims=True),
        lambda r: call(r(2, 3, 4), (0, 2)),
        lambda r: call(r()),
        lambda r: call(r(0, 3), axis=1),
    ),
    doc="The middle element over the axes. Gradient: g to it, half each to the middle two.",
)
