"""Softmax and logsumexp, exact even if the exponentials overflow."""

import numpy as np

from graphgrad.arguments import flag
from graphgrad.engine.domains import Cases, Reduction, call
from graphgrad.engine.methods import Axis
from graphgrad.engine.op import TABLE, Op, op
from graphgrad.engine.reductions import reduce_axis
from graphgrad.engine.tensor import Tensor
from graphgrad.ops.reduce import kept_shape
from graphgrad.typing import Array


def _exponentials(a: Array, axis: Axis) -> tuple[Array, Array, Array, Array]:
    """Return m = max(a), a − m, exp(a − m) and its sum; equal infinities are 0 apart."""
    if a.dtype.kind != "f":
        a = a.astype(float)
    if a.size:
        largest = reduce_axis(np.maximum, a, axis, keepdims=True)
    else:
        largest = np.max(a, axis=axis, keepdims=True, initial=-np.inf)
    with np.errstate(all="ignore"):
        below = a - largest
        if not np.isfinite(largest).all():
            below = np.where(a == largest, below.dtype.type(0), below)
        e = np.exp(below)
    wide = np.promote_types(e.dtype, np.float32)  # float16 is summed in float32
    return largest, below, e, reduce_axis(np.add, e, axis, keepdims=True, dtype=wide)


def _logsumexp(a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    if keepdims.__class__ is not bool:
        flag("logsumexp", "keepdims", keepdims)
    largest, _, e, total = _exponentials(a, axis)
    with np.errstate(divide="ignore"):  # an empty sum: log 0 is −inf
        out = (np.log(total) + largest).astype(e.dtype, copy=False)
    return out if keepdims else np.squeeze(out, axis)[()]


def _softmax(a: Array, axis: Axis = -1) -> Array:
    _, _, e, total = _exponentials(a, axis)
    return np.divide(e, total, out=e) if e.ndim else (e / total).astype(e.dtype)


def _log_softmax(a: Array, axis: Axis = -1) -> Array:
    _, below, e, total = _exponentials(a, axis)
    total = np.where(total == 0, 1, total)  # of an empty axis
    return (below - np.log(total)).astype(e.dtype, copy=False)


_CASES = Cases(
    lambda r: call(r(5)),
    lambda r: call(r(3, 4)),
    lambda r: call(r(3, 4), axis=0),
    lambda r: call(r(2, 3, 4), axis=(0, -1)),
    lambda r: call(r(2, 3), axis=None),
    lambda r: call(r(0, 3)),
)
softmax: Op[Tensor] = op(
    _softmax,
    lambda g, out, axis: out * (g - np.sum(g * out, axis=axis, keepdims=True)),
    name="softmax",
    symbol="softmax",
    domain=_CASES,
    doc="exp(a) / Σ exp(a) along the axis; all −inf: equal shares. Gradient: out (g − Σ g out).",
)
log_softmax: Op[Tensor] = op(
    _log_softmax,
    lambda g, out, axis: g - np.exp(out) * np.sum(g, axis=axis, keepdims=True),
    name="log_softmax",
    symbol="log softmax",
    domain=_CASES,
    doc="a − logsumexp(a) along the axis. Gradient: g − softmax(a) · Σ g.",
)
logsumexp: Op[Tensor] = op(
    _logsumexp,
    lambda g, a, axis: g.reshape(kept_shape(a.shape, axis)) * softmax(a, axis),
    name="logsumexp",
    symbol="log Σ exp",
    domain=Reduction((-3.0, 3.0), minimum=1),
    doc="log Σ exp(a) over the axes. Gradient: g · softmax(a), equal shares where all are −inf.",
)
TABLE["softmax"] = softmax
TABLE["log_softmax"] = log_softmax
TABLE["logsumexp"] = logsumexp
