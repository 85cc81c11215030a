"""Means and variances of plain arrays, and what normalising by them sends back: no ops here.

Arrays are seen as (N, G, K, L): N samples of G groups of K channels of L places each. Batch
normalisation has G channels with K = 1, and statistics over N and L; the rest has statistics over
K and L. All goes over blocks that fit into the cache, and each sum over many numbers is a matrix
product. The memory of the inputs is contiguous and their dtype at least single precision.

A mean m is kept as two numbers, m = shift + rest. x − shift is exact where x is near it, rest is
the mean of that: with a mean of 10⁴ and a deviation of 10⁻² single precision has only three
digits for x itself, and a mean that is one number would cost two of them.

Where squares over- or underflow, all is done again with x / s, s a power of two for each group, as
(x − μ) / √(σ² + ε) is the same for x / s and ε / s².
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from graphgrad.engine.errstate import ignore_warnings, restore_warnings
from graphgrad.engine.recording import one_call
from graphgrad.ops.ranges import bounds, scale_of
from graphgrad.pieces import FEW_ARRAYS, spans
from graphgrad.typing import Array

BLOCK = FEW_ARRAYS // 4  # elements
_KEPT = 1 << 17  # ones, of each dtype
_LONG = 32  # places that are worth an inner loop of their own


class Moments(NamedTuple):
    """The mean, as shift + rest, and 1 / √(variance + ε)."""

    shift: Any
    rest: Any
    inverse: Any


def unit_of(inverse: Any, dtype: Any) -> Array:
    """Return powers of two near the deviations where these are far from 1, else 1; None for all 1.

    With x in these units no square leaves the range of the dtype.
    """
    low, _ = bounds(dtype, 2)
    usual = (inverse > low) & (inverse < 1 / low)
    if usual.all():
        return None
    known = (inverse > 0) & (inverse < np.inf) & ~usual
    return np.ldexp(1.0, np.where(known, -np.frexp(inverse)[1], 0)).astype(dtype)


def _tried(
    compute: Callable[..., tuple[Array, ...]], x: Array, *more: Any
) -> tuple[tuple[Array, ...], Any]:
    """Compute, and tell where a variance was infinite or has lost its digits; None: nowhere.

    A warning would be of what is done again.
    """
    before = ignore_warnings()
    try:
        found = compute(x, *more)
    finally:
        restore_warnings(before)
    inverse = found[1].inverse
    lost = ~((inverse > 0) & (inverse < 1 / bounds(x.dtype, 2)[0]))
    return found, lost if lost.any() else None


def _in_units(moments: Moments, unit: Any) -> Moments:
    return Moments(moments.shift / unit, moments.rest / unit, moments.inverse * unit)


class Layout(NamedTuple):
    """How an array is seen."""

    samples: int
    groups: int
    channels: int  # in a group
    places: int


def _blocks(layout: Layout) -> list[tuple[slice, slice]]:
    """Cut into pieces of whole samples or, where one is too large, of whole groups."""
    samples, groups, channels, places = layout
    size = channels * places
    step = BLOCK // max(1, groups * size)
    if step or not samples:
        return [(span, slice(0, groups)) for span in spans(samples, step)]
    return [(one, span) for one in spans(samples, 1) for span in spans(groups, BLOCK // size)]


def _buffer(layout: Layout, like: Array) -> Array:
    """Make a buffer for any block, shaped (N, G, K · L)."""
    first = _blocks(layout)[:1]
    samples, groups = (first[0][0].stop, first[0][1].stop) if first else (0, 0)
    return np.empty_like(like, shape=(samples, groups, layout.channels * layout.places))


def _piece(buffer: Any, like: Array) -> Array:
    """Return as much of a buffer as a block fills; only the last is smaller."""
    return buffer[: like.shape[0], : like.shape[1]]


def _spread(values: Array, places: int, dtype: Any) -> Array:
    """Give (C,) the shape (C, L) of a sample, or (C, 1) where that is larger than a block.

    Beside long rows NumPy computes with an array twice as fast as with a number for each row.
    """
    channels = len(values)
    values = values.astype(dtype, copy=False)
    if places > 1 and channels * places <= BLOCK:
        values = values.repeat(places)
    return values.reshape(channels, -1)


def _ones(length: int, dtype: Any) -> Array:
    """Return ones to multiply by; short ones are kept, of long ones the sum takes far longer."""
    return _kept_ones(dtype)[:length] if length <= _KEPT else np.ones(length, dtype)


@functools.lru_cache(maxsize=4)  # one for each floating dtype
def _kept_ones(dtype: Any) -> Array:
    ones = np.ones(_KEPT, dtype)
    ones.flags.writeable = False
    return ones


def _sum(x: Array) -> Array:
    """Add up (N, C, L) for each C."""
    n, c, places = x.shape
    if places >= _LONG:
        sums = x.reshape(n * c, places) @ _ones(places, x.dtype)
        return sums.reshape(n, c).sum(axis=0, dtype=float)
    return _over_places(_ones(n, x.dtype) @ x.reshape(n, c * places), c)


def _dot(x: Array, y: Array) -> Array:
    """Add up the products of two (N, C, L) for each C."""
    n, c, places = x.shape
    if places >= _LONG:
        return np.vecdot(x, y).sum(axis=0, dtype=float)
    shape = (n, c * places)
    return _over_places(np.einsum("nk,nk->k", x.reshape(shape), y.reshape(shape)), c)


def _over_places(sums: Any, channels: int) -> Array:
    if len(sums) == channels:
        return sums
    return sums.reshape(channels, -1).sum(axis=1, dtype=float)


# ------------------------------------------------------------------ over the batch, by channel


@one_call
def normalised_batch(x: Array, weight: Array, bias: Array, eps: float) -> tuple[Any, Moments, Any]:
    """Return (x − mean) / σ · weight + bias for (N, C, L), each channel's moments and variance."""
    (out, moments, variance), lost = _tried(_normalised_batch, x, weight, bias, eps)
    if lost is None:
        return out, moments, variance
    unit = np.where(lost, scale_of(x, (0, 2)).reshape(-1), 1)
    out, moments, variance = _normalised_batch(
        x / unit[:, None], weight, bias, np.square(math.sqrt(eps) / unit)
    )
    unit = unit.astype(float)
    with np.errstate(over="ignore"):
        return out, _in_units(moments, 1 / unit), variance * unit * unit


def _normalised_batch(x: Array, weight: Array, bias: Array, eps: Any) -> tuple[Any, Moments, Any]:
    n, c, places = x.shape
    count, dtype = n * places, x.dtype
    blocks = _blocks(Layout(n, c, 1, places))
    shift = (_sum(x) / count).astype(dtype)
    wide = _spread(shift, places, dtype)
    out = np.empty_like(x)
    sums, squares = np.zeros((2, c))
    for block in blocks:
        channels = block[1]
        below = np.subtract(x[block], wide[channels], out=out[block])
        sums[channels] += _sum(below)
        squares[channels] += _dot(below, below)
    rest = sums / count
    variance = np.maximum(squares / count - rest * rest, 0)
    inverse = 1 / np.sqrt(variance + eps)
    scale = inverse * weight
    offset = _spread(bias - rest * scale, places, dtype)
    scale = _spread(scale, places, dtype)
    for block in blocks:
        channels = block[1]
        piece = out[block]
        piece *= scale[channels]
        piece += offset[channels]
    return out, Moments(shift, rest, inverse), variance


def scaled(x: Array, weight: Array, bias: Array, moments: Moments) -> Array:
    """Return (x − mean) / σ · weight + bias for (N, C, L), with moments that are given."""
    n, c, places = x.shape
    scale = moments.inverse * weight
    wide = [
        _spread(v, places, x.dtype) for v in (moments.shift, scale, bias - moments.rest * scale)
    ]
    out = np.empty_like(x)
    for block in _blocks(Layout(n, c, 1, places)):
        shift, factor, offset = (v[block[1]] for v in wide)
        piece = np.subtract(x[block], shift, out=out[block])
        piece *= factor
        piece += offset
    return out


@one_call
def batch_gradients(
    g: Array, x: Array, weight: Array, moments: Moments, wanted: tuple[bool, ...]
) -> tuple[Array, Array, Array]:
    """Return the gradients of x, weight and bias, those of x in memory of their own.

    x is (N, C, …), g of its size.
    """
    n, c = x.shape[:2]
    unit = unit_of(moments.inverse, x.dtype)
    if unit is not None:
        each = unit.reshape(-1, *(1,) * (x.ndim - 2))
        dx, slope, total = batch_gradients(g, x / each, weight, _in_units(moments, unit), wanted)
        return dx if dx is None else dx / each, slope, total
    places = math.prod(x.shape[2:])
    whole = np.empty_like(x) if wanted[0] else None
    x, g = x.reshape(n, c, places), g.reshape(n, c, places)
    out = None if whole is None else whole.reshape(x.shape)
    layout = Layout(n, c, 1, places)
    shift, rest, inverse = moments
    shift = _spread(shift, places, x.dtype)
    blocks = _blocks(layout)
    buffer = _buffer(layout, x) if out is None else None
    total, slope = np.zeros((2, c))
    for block in blocks:
        piece, up, channels = x[block], g[block], block[1]
        into = _piece(buffer, piece) if out is None else out[block]
        below = np.subtract(piece, shift[channels], out=into)
        total[channels] += _sum(up)
        slope[channels] += _dot(up, below)
    slope = (slope - rest * total) * inverse  # Σ g x̂
    if out is None:
        return None, slope, total
    pull = inverse * slope / (n * places)
    offset = rest * pull - total / (n * places)
    pull, offset, scale = (_spread(v, places, x.dtype) for v in (-pull, offset, weight * inverse))
    for block in blocks:
        piece, channels = out[block], block[1]
        piece *= pull[channels]
        piece += g[block]
        piece += offset[channels]
        piece *= scale[channels]
    return whole, slope, total


# ----------------------------------------------------------------------- within each sample


def _means(rows: Array) -> Array:
    """Average over the last axis."""
    length = rows.shape[-1]
    return (rows @ _ones(length, rows.dtype)) / max(1, length)


def normalised_groups(x: Array, weight: Array, bias: Array, layout: Layout, eps: float) -> Array:
    """Return (x − mean) / σ · weight + bias, and the moments of each sample's groups."""
    found, lost = _tried(_normalised_groups, x, weight, bias, layout, eps)
    if lost is None:
        return found
    rows = x.reshape(*layout[:2], -1)
    unit = np.where(lost[..., None], scale_of(rows, -1), 1)
    unit = unit.astype(x.dtype)
    out, moments = _normalised_groups(
        rows / unit, weight, bias, layout, np.square(math.sqrt(eps) / unit[..., 0])
    )
    return out.reshape(x.shape), _in_units(moments, 1 / unit[..., 0])


def _normalised_groups(x: Array, weight: Array, bias: Array, layout: Layout, eps: Any) -> Array:
    samples, groups, channels, places = layout
    rows = x.reshape(samples, groups, channels * places)
    out = np.empty_like(rows)
    scale, offset = (_of_group(v, layout, x.dtype) for v in (weight, bias))
    moments = Moments(*np.empty_like(x, shape=(3, samples, groups)))
    for block in _blocks(layout):
        piece = rows[block]
        shift = _means(piece)
        below = np.subtract(piece, shift[..., None], out=out[block])
        rest = _means(below)
        below -= rest[..., None]
        variance = np.vecdot(below, below) / max(1, channels * places)
        inverse = 1 / np.sqrt(variance + (eps if isinstance(eps, float) else eps[block]))
        below *= inverse[..., None]
        seen = below.reshape(*below.shape[:2], channels, places)  # the same memory
        if scale is not None:
            seen *= scale[block[1]]
        if offset is not None:
            seen += offset[block[1]]
        for kept, found in zip(moments, (shift, rest, inverse), strict=True):
            kept[block] = found
    return out.reshape(x.shape), moments


def _of_group(values: Array, layout: Layout, dtype: Any) -> Array:
    """Spread numbers per channel, (G · K,) or for G = any (K,), over groups; None is none."""
    if not getattr(values, "ndim", 0):
        return None
    wide = _spread(values.reshape(-1), layout.places, dtype)
    return wide.reshape(-1, layout.channels, wide.shape[1])


@one_call
def group_gradients(
    g: Array, x: Array, weight: Array, moments: Moments, layout: Layout
) -> tuple[Array, Array, Array]:
    """Return the gradients of x, weight and bias, those of x in memory of their own."""
    samples, groups, channels, places = layout
    shape = (samples, groups, channels * places)
    unit = unit_of(moments.inverse, x.dtype)
    if unit is not None:
        unit = unit[..., None]
        near = (x.reshape(shape) / unit).reshape(x.shape)
        dx, slopes, totals = group_gradients(
            g, near, weight, _in_units(moments, unit[..., 0]), layout
        )
        return (dx.reshape(shape) / unit).reshape(x.shape), slopes, totals
    rows, up = x.reshape(shape), g.reshape(shape)
    whole = np.empty_like(x)
    out = whole.reshape(shape)
    buffer = _buffer(layout, x)
    scale = _of_group(weight, layout, x.dtype)
    slopes, totals = np.zeros((2, groups, channels))
    for block in _blocks(layout):
        below = np.subtract(rows[block], moments.shift[block][..., None], out=out[block])
        below -= moments.rest[block][..., None]
        inverse = moments.inverse[block][..., None]
        below *= inverse
        n, count, _ = below.shape
        ups = up[block].reshape(n, count * channels, places)
        slopes[block[1]] += _dot(ups, below.reshape(ups.shape)).reshape(count, channels)
        totals[block[1]] += _sum(ups).reshape(count, channels)
        pulled = up[block]
        if scale is not None:
            pulled = _piece(buffer, below)
            seen = (n, count, channels, places)
            np.multiply(up[block].reshape(seen), scale[block[1]], out=pulled.reshape(seen))
        mean = _means(pulled)
        below *= (-np.vecdot(pulled, below) / max(1, channels * places))[..., None]
        below += pulled
        below -= mean[..., None]
        below *= inverse
    return whole, slopes, totals
