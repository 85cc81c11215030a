"""Attention: weighted means of values, the weights by likeness of queries and keys."""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import guarded, share
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.graph import Absent
from graphgrad.engine.op import Op, op
from graphgrad.engine.operands import as_array, as_floating, unwrapped
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import DtypeError, ShapeError
from graphgrad.nn.functional.docstrings import like
from graphgrad.nn.functional.dropouts import dropout
from graphgrad.typing import Array

Shape = tuple[int, ...]


def _weights(scores: Array) -> Array:
    """Turn scores into their softmax, in place; a row of −∞ becomes zeros."""
    largest = np.maximum.reduce(scores, axis=-1, keepdims=True, initial=-np.inf)
    largest = np.where(largest == -np.inf, largest.dtype.type(0), largest)
    scores -= largest
    np.exp(scores, out=scores)
    total = np.add.reduce(scores, -1, np.promote_types(scores.dtype, np.float32), keepdims=True)
    scores /= np.where(total == 0, total.dtype.type(1), total).astype(scores.dtype, copy=False)
    return scores


def _attention(
    q: Array, k: Array, v: Array, mask: Array, dropped: Array = None, scale: float = 1.0
) -> tuple[Array, Array]:
    """Return the means and the weights, (…, L, E) and (…, L, S)."""
    scores = (q * scale) @ np.swapaxes(k, -1, -2)
    if np.ndim(mask):
        if mask.dtype == bool:
            scores = np.where(mask, scores, scores.dtype.type(-np.inf))
        else:
            scores = scores + mask
    weights = _weights(scores)
    return (weights if dropped is None else weights * dropped) @ v, weights


def _attention_rule(
    g: Array, q: Array, k: Array, v: Array, out: Array, dropped: Array, scale: float, wanted: Any
) -> Array:
    weights = out[1]
    dout, dweights = g
    dv = None
    if dout is not None:
        if wanted[2]:
            used = weights if dropped is None else weights * dropped
            dv = np.swapaxes(used, -1, -2) @ dout
        through = dout @ np.swapaxes(v, -1, -2)
        through = through if dropped is None else through * dropped
        dweights = through if dweights is None else through + dweights
    dscores = weights * (dweights - np.sum(dweights * weights, axis=-1, keepdims=True))
    dq = dscores @ k * scale if wanted[0] else None
    dk = np.swapaxes(dscores, -1, -2) @ (q * scale) if wanted[1] else None
    return dq, dk, dv, dscores


_ATTENTION: Op[Any] = op(
    _attention,
    joint=_attention_rule,
    inputs=4,
    outputs=2,
    broadcasts=True,
    name="attention",
    symbol="softmax(QKᵀ)V",
    domain=Cases(
        lambda r: call(r(2, 3), r(4, 3), r(4, 2), 0.0, None, 0.5),
        lambda r: call(r(1, 2), r(1, 2), r(1, 2), 0.0),
        lambda r: call(r(2, 2, 2), r(2, 3, 2), r(2, 3, 1), r(2, 3)),
        lambda r: call(r(2, 1, 2), r(3, 2), r(3, 1), np.array([True, False, True])),
        lambda r: call(r(2, 2), r(2, 2), r(2, 1), np.array([[True, False], [False, False]])),
        lambda r: call(r(2, 2), r(2, 2), r(2, 2), 0.0, np.array([[2.0, 0.0], [0.0, 2.0]])),
        lambda r: call(r(2, 2), r(0, 2), r(0, 2), 0.0),
    ),
    doc="softmax(q kᵀ · scale + mask) v, and the softmax. Gradients: of both products.",
)


@guarded
def causal_mask(queries: int, keys: int) -> Array:
    """Return a bool mask (queries, keys) that is True up to the own place: no look ahead."""
    return np.tri(queries, keys, dtype=bool)


@guarded
def scaled_dot_product_attention(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    *,
    rng: np.random.Generator | None = None,
) -> Tensor:
    """Return softmax(q kᵀ · scale + mask) v: for each query a weighted mean of the values.

    Vaswani et al., "Attention Is All You Need", 2017, equation 1. A query that the mask lets
    see no key has weights, output and gradient 0: a sum over nothing.

    Parameters
    ----------
    query, key, value
        (…, L, E), (…, S, E) and (…, S, V); the axes before broadcast. The result is (…, L, V).
    attn_mask
        Broadcasts to (…, L, S). Bool: True where a key takes part. Floating: added to the
        scores, and differentiated.
    dropout_p
        The share of weights set to 0, the others divided by 1 − p.
    is_causal
        Let no query see a key behind its own place; on top of ``attn_mask``.
    scale
        None is 1 / √E.
    rng
        For dropout. None is the package's default generator.

    Raises
    ------
    ArgumentError
        If ``dropout_p`` is not from 0 to 1.
    ShapeError
        If shapes do not fit.
    DtypeError
        If the mask is neither bool nor floating.
    """
    return attention_weights(query, key, value, attn_mask, dropout_p, is_causal, scale, rng=rng)[0]


@like(scaled_dot_product_attention)
@guarded
def attention_weights(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    *,
    rng: np.random.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Return `scaled_dot_product_attention` together with its weights, (…, L, S).

    The weights are those that multiplied the values: after dropout.
    """
    query, key, value = as_floating("attention", query, "query"), as_array(key), as_array(value)
    mask = _mask(query, key, value, attn_mask)
    share("attention", "dropout_p", dropout_p)
    length, size = query.shape[-2:]
    if is_causal:
        ahead = causal_mask(length, key.shape[-2])
        if mask is None:
            mask = ahead
        elif mask.dtype == bool:
            mask = mask & ahead
        else:
            mask = np.where(ahead, mask, mask.dtype.type(-np.inf))
    dropped = None
    if dropout_p:
        batch = np.broadcast_shapes(
            query.shape[:-2], key.shape[:-2], () if mask is None else mask.shape[:-2]
        )
        ones = np.ones((*batch, length, key.shape[-2]), query.dtype)
        dropped = unwrapped(dropout(ones, dropout_p, rng=rng))
        dropped.flags.writeable = False  # so that no graph copies it
    factor = (1 / math.sqrt(size) if size else 1.0) if scale is None else float(scale)
    mask = Absent(0.0) if mask is None else mask
    out, weights = _ATTENTION(query, key, value, mask, dropped, factor)
    return out, weights if dropped is None else weights * dropped


def _mask(query: Array, key: Array, value: Array, mask: Array) -> Array:
    """Refuse what does not fit; return the mask as a plain bool array or floating."""
    shapes = tuple(x.shape for x in (query, key, value))
    problem = _problem(*shapes)
    if not problem and mask is not None:
        mask = as_array(mask, "attention")
        if mask.dtype.kind not in "bf":
            message = f"attention: attn_mask is {mask.dtype}; give bool (True: take part) or floats"
            raise DtypeError(message)
        wanted = (*_batch(*shapes), shapes[0][-2], shapes[1][-2])
        if mask.ndim == 0 or not _fits(mask.shape, wanted):
            problem = f"attn_mask {mask.shape} must broadcast to {wanted}"
    if problem:
        q, k, v = shapes
        message = f"attention: {problem}: query {q}, key {k}, value {v}"
        raise ShapeError(message)
    if mask is None or mask.dtype == query.dtype:
        return mask
    # a float64 mask does not widen float32
    return unwrapped(mask) if mask.dtype == bool else mask.astype(query.dtype)


def _problem(query: Shape, key: Shape, value: Shape) -> str:
    """Say what is wrong with the shapes; "" if nothing is."""
    if min(len(query), len(key), len(value)) < 2:
        return "each needs two axes, (length, size)"
    if query[-1] != key[-1]:
        return "queries and keys must have one size, their last axis"
    if key[-2] != value[-2]:
        return "there must be a value for each key"
    try:
        _batch(query, key, value)
    except ValueError:
        return "the axes before the last two must be equal or 1"
    return ""


def _batch(*shapes: Shape) -> Shape:
    return np.broadcast_shapes(*(shape[:-2] for shape in shapes))


def _fits(shape: Shape, wanted: Shape) -> bool:
    try:
        return np.broadcast_shapes(shape, wanted) == wanted
    except ValueError:
        return False


@guarded
def sinusoidal_positions(length: int, size: int, dtype: DTypeLike = np.float32) -> Array:
    """Return waves by which a place in a sequence can be told, (length, size).

    Column 2i is sin(place / 10000^(2i / size)), column 2i + 1 the cosine of the same. Vaswani et
    al., "Attention Is All You Need", 2017, section 3.5.
    """
    rates = 10000.0 ** (-np.arange(0, size, 2) / size)
    angles = np.arange(length)[:, None] * rates
    waves = np.stack((np.sin(angles), np.cos(angles)), axis=2)
    return waves.reshape(length, 2 * len(rates))[:, :size].astype(dtype)
