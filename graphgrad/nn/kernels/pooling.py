"""Pooling on arrays of images, and the ops behind it: each family closed under differentiation.

Images are worked on in blocks that fit the cache, first the columns of every window and then its
rows, so that a window of 3 × 3 takes 2 + 2 comparisons. For the gradient of a maximum only the
number of the winner is kept, one byte to a window, not the image.
"""

import math
from typing import Any

import numpy as np

from graphgrad.engine.accumulate import scatter_add
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.op import Op, op
from graphgrad.engine.operands import unwrapped
from graphgrad.engine.tensor import Tensor
from graphgrad.nn.kernels.correlation import Axis
from graphgrad.nn.kernels.geometry import (
    crop,
    fits,
    overlaps,
    pad,
    padded_size,
    tap_of,
)
from graphgrad.ops.choice import keep
from graphgrad.ops.ranges import bounds, has_its_digits, has_value, scale_of
from graphgrad.pieces import FEW_ARRAYS, spans
from graphgrad.typing import Array

FEW_TAPS = 6  # up to which the gradient of windows side by side goes tap by tap
_WORDS = {2: np.int16, 4: np.int32, 8: np.int64}


def _planes(x: Array) -> Array:
    """See images and channels as one axis."""
    return x.reshape(-1, *x.shape[-2:]) if x.size else x.reshape(0, *x.shape[-2:])


def _blocks(planes: int, down: Axis, across: Axis, itemsize: int) -> list[slice]:
    return spans(planes, FEW_ARRAYS // (math.prod(padded_size(down, across)) * itemsize))


# ------------------------------------------------------------------------------- maximum


def _max_pool(x: Array, down: Axis, across: Axis) -> tuple[Array, Array]:
    """Return the largest of each window, and its number in the window, row by row."""
    planes = _planes(x)
    out = np.empty_like(x, shape=(len(planes), down.out, across.out))
    winners = np.empty_like(out, np.min_scalar_type(down.kernel * across.kernel - 1))
    floating = x.dtype.kind == "f"
    lowest = -np.inf if floating else np.iinfo(x.dtype).min
    for block in _blocks(len(planes), down, across, x.dtype.itemsize):
        padded = pad(planes[block], down, across, lowest)
        _max_of_block(padded, down, across, out[block], winners[block])
    if floating:
        # NaN is larger than any other; and where all are −∞ the winner is no padding
        odd = np.isnan(out) if fits(down, across) else ~(out > -np.inf)
        if odd.any():
            _find_again(planes, down, across, odd, winners)
    shape = (*x.shape[:-2], down.out, across.out)
    return out.reshape(shape), winners.reshape(shape)


def _max_of_block(padded: Any, down: Axis, across: Axis, out: Array, winners: Array) -> None:
    """Let the columns of each window compete, then its rows: the first of equals wins.

    A later tap has a larger number, so the last to have won is the maximum of all numbers
    times whether they won: by integer arithmetic, for branches on such masks are slow.
    """
    number = winners.dtype.type
    lines = padded[..., : down.length(down.out), :]
    best = np.ascontiguousarray(lines[..., tap_of(across, 0)])
    column = np.zeros_like(best, winners.dtype)
    for j in range(1, across.kernel):
        rival = np.ascontiguousarray(lines[..., tap_of(across, j)])
        won = (rival > best).astype(number)
        best = np.maximum(best, rival)
        won *= number(j)
        np.maximum(column, won, out=column)
    out[...] = best[..., tap_of(down, 0), :]
    winners[...] = column[..., tap_of(down, 0), :]
    for i in range(1, down.kernel):
        rows = tap_of(down, i)
        won = (best[..., rows, :] > out).astype(number)
        np.maximum(out, best[..., rows, :], out=out)
        won *= column[..., rows, :] + number(i * across.kernel)
        np.maximum(winners, won, out=winners)


def _find_again(planes: Any, down: Axis, across: Axis, odd: Any, winners: Array) -> None:
    """Correct some winners: the first NaN, or without one the first that is no padding."""
    plane, *places = np.nonzero(odd)
    axes = (down, across)
    met = [
        a.stride * p[:, None] + a.dilation * np.arange(a.kernel) - a.before
        for a, p in zip(axes, places, strict=True)
    ]
    rows, columns = met[0][:, :, None], met[1][:, None, :]
    inside = (rows >= 0) & (rows < down.size) & (columns >= 0) & (columns < across.size)
    values = planes[
        plane[:, None, None], np.clip(rows, 0, down.size - 1), np.clip(columns, 0, across.size - 1)
    ]
    rank = inside.astype(np.int8) + (inside & np.isnan(values))
    winners[odd] = rank.reshape(len(plane), -1).argmax(axis=1)


def _elements(winners: Array, down: Axis, across: Axis) -> Array:
    """Return where in a block of images, padding included, the winners stand."""
    height, width = padded_size(down, across)
    rows, columns = (
        down.dilation * np.arange(down.kernel),
        across.dilation * np.arange(across.kernel),
    )
    taps = (rows[:, None] * width + columns).reshape(-1)
    starts = down.stride * np.arange(down.out)[:, None] * width
    starts = starts + across.stride * np.arange(across.out)
    images = np.arange(len(winners))[:, None, None] * (height * width)
    found = np.take(taps, winners)
    found += images + starts
    return found


def _unpool(g: Array, winners: Array, down: Axis, across: Axis) -> Array:
    """Send each element to where its window had its maximum; the others are 0."""
    planes, numbers = _planes(g), _planes(winners)
    side_by_side = not (overlaps(down) or overlaps(across))
    by_taps = side_by_side and down.kernel * across.kernel <= FEW_TAPS
    out = np.empty_like(g, shape=(len(planes), down.size, across.size))
    for block in _blocks(len(planes), down, across, g.dtype.itemsize):
        part, number, target = planes[block], numbers[block], out[block]
        same = fits(down, across)
        padded = target if same else np.empty_like(g, shape=(len(part), *padded_size(down, across)))
        padded[...] = 0
        if by_taps:
            word = _WORDS[g.dtype.itemsize]
            bits = part.view(word)
            for k in range(down.kernel * across.kernel):
                i, j = divmod(k, across.kernel)
                met = padded[:, tap_of(down, i), tap_of(across, j)]
                np.multiply(bits, number == k, out=met.view(word))
        else:
            places = _elements(number, down, across).reshape(-1)
            scatter_add(padded.reshape(-1), places, part.reshape(-1))
        if not same:
            target[...] = crop(padded, down, across)
    return out.reshape(*g.shape[:-2], down.size, across.size)


def _pick(x: Array, winners: Array, down: Axis, across: Axis) -> Array:
    """Return of each window the element of a number; in the padding it is 0."""
    planes, numbers = _planes(x), _planes(winners)
    out = np.empty_like(x, shape=numbers.shape)
    for block in _blocks(len(planes), down, across, x.dtype.itemsize):
        padded = pad(planes[block], down, across)
        out[block] = np.take(padded.reshape(-1), _elements(numbers[block], down, across))
    return out.reshape(winners.shape)


# ------------------------------------------------------------------------------ averages


def _sums(x: Array, down: Axis, across: Axis) -> Array:
    """Add up the columns of every window, then its rows; in single precision for halves."""
    planes = _planes(x)
    wide = np.promote_types(x.dtype, np.float32)
    out = np.empty_like(x, wide, shape=(len(planes), down.out, across.out))
    for block in _blocks(len(planes), down, across, x.dtype.itemsize):
        lines = pad(planes[block], down, across)[..., : down.length(down.out), :]
        total = lines[..., tap_of(across, 0)].astype(out.dtype)
        for j in range(1, across.kernel):
            total += lines[..., tap_of(across, j)]
        target = out[block]
        target[...] = total[..., tap_of(down, 0), :]
        for i in range(1, down.kernel):
            target += total[..., tap_of(down, i), :]
    return out.reshape(*x.shape[:-2], down.out, across.out)


def _window_mean(x: Array, down: Axis, across: Axis, counts: Array) -> Array:
    total = _sums(x, down, across)
    total /= counts
    return total.astype(x.dtype, copy=False)


def _spread(g: Array, down: Axis, across: Axis, counts: Array) -> Array:
    """Give each element of a window its share, g over the count, added up where windows meet."""
    planes = _planes(g)
    out = np.empty_like(g, shape=(len(planes), down.size, across.size))
    height, width = padded_size(down, across)
    shares = counts if np.ndim(counts) else float(counts)
    for block in _blocks(len(planes), down, across, g.dtype.itemsize):
        share = planes[block] / shares
        lines = np.zeros_like(share, shape=(len(share), height, across.out))
        for i in range(down.kernel):
            lines[:, tap_of(down, i)] += share
        padded = np.zeros_like(share, shape=(len(share), height, width))
        for j in range(across.kernel):
            padded[..., tap_of(across, j)] += lines
        out[block] = crop(padded, down, across)
    return out.reshape(*g.shape[:-2], down.size, across.size)


def _power_mean(x: Array, down: Axis, across: Axis, power: float) -> Array:
    # the square of a half soon overflows
    wide = x.astype(np.promote_types(x.dtype, np.float32), copy=False)
    total = _sums(wide * wide if power == 2 else wide**power, down, across)
    root = np.sqrt(total) if power == 2 else total if power == 1 else total ** (1 / power)
    return root.astype(x.dtype, copy=False)


def _power_mean_rule(
    g: Array, x: Array, out: Array, down: Axis, across: Axis, power: float
) -> Array:
    """Return xᵖ⁻¹ Σ g / outᵖ⁻¹ over the windows of an element; 0 for those that are 0."""
    if power == 1:
        return SPREAD(g, down, across, 1.0)
    if has_value(out) and not has_its_digits(unwrapped(out), power):
        lengths, scale = unwrapped(out), scale_of(unwrapped(x), None)
        near = x / scale
        again = LP_POOL(near, down, across, power)
        if power == 2:  # of windows that differ much in size most have theirs
            low, high = bounds(lengths.dtype, power)
            out = np.where((lengths > low) & (lengths < high), out, scale * again)
        else:
            x, out = near, again
    flat = out == 0
    length = np.where(flat, 1.0, out)
    if power == 2:
        return x * SPREAD(keep(g / length, ~flat), down, across, 1.0)
    shares = SPREAD(keep(g / length ** (power - 1), ~flat), down, across, 1.0)
    if power == int(power):
        return x ** (power - 1) * shares
    zero = x == 0  # where the second derivative would be infinite, times 0
    return keep(np.where(zero, 1.0, x) ** (power - 1), ~zero) * shares


# ------------------------------------------------------------------ bins of different sizes

Bins = tuple[tuple[int, int], ...]  # where each starts and ends


def bins_of(size: int, out: int) -> Bins:
    """Divide an axis: bin i goes from ⌊i · size / out⌋ to ⌈(i + 1) · size / out⌉."""
    return tuple((i * size // out, -(-(i + 1) * size // out)) for i in range(out))


def _bin_mean(x: Array, down: Bins, across: Bins) -> Array:
    wide = np.promote_types(x.dtype, np.float32)
    if len(down) == len(across) == 1:  # one long sum is several times faster than two short ones
        size = down[0][1] * across[0][1]
        total = np.add.reduce(x.reshape(*x.shape[:-2], size), -1, wide) / size
        return total.astype(x.dtype, copy=False)[..., None, None]
    lines = np.empty_like(x, wide, shape=(*x.shape[:-2], len(down), x.shape[-1]))
    for i, (first, end) in enumerate(down):
        lines[..., i, :] = np.add.reduce(x[..., first:end, :], -2, wide) / (end - first)
    out = np.empty_like(x, shape=(*x.shape[:-2], len(down), len(across)))
    for j, (first, end) in enumerate(across):
        out[..., j] = np.add.reduce(lines[..., first:end], -1) / (end - first)
    return out


def _bin_spread(g: Array, down: Bins, across: Bins) -> Array:
    if len(down) == len(across) == 1:
        size = down[0][1] * across[0][1]
        out = np.empty_like(g, shape=(*g.shape[:-2], down[0][1], across[0][1]))
        out[...] = g / size
        return out
    lines = np.zeros_like(g, shape=(*g.shape[:-1], across[-1][1]))
    for j, (first, end) in enumerate(across):
        lines[..., first:end] += g[..., j, None] / (end - first)
    out = np.zeros_like(lines, shape=(*g.shape[:-2], down[-1][1], across[-1][1]))
    for i, (first, end) in enumerate(down):
        out[..., first:end, :] += lines[..., i, None, :] / (end - first)
    return out


def bin_maxima(x: Array, down: Bins, across: Bins) -> Array:
    """Return where in its plane each bin has its first maximum, NaN being the largest."""
    found = np.empty_like(x, np.intp, shape=(*x.shape[:-2], len(down), len(across)))
    for i, (top, bottom) in enumerate(down):
        for j, (left, right) in enumerate(across):
            part = x[..., top:bottom, left:right]
            size = (bottom - top) * (right - left)
            k = part.reshape(*part.shape[:-2], size).argmax(axis=-1)
            row, column = np.divmod(k, right - left)
            found[..., i, j] = (top + row) * x.shape[-1] + left + column
    return found


# ----------------------------------------------------------------------- their declarations

_KINDS = (  # image, windows
    ((2, 1, 4, 4), Axis(4, 2, 2, 2), Axis(4, 2, 2, 2)),
    ((1, 2, 5, 4), Axis(5, 2, 3, 2), Axis(4, 3, 2)),
    ((1, 1, 5, 3), Axis(5, 3, 3, 2, 1, 1), Axis(3, 3, 2, 1, 2, 1)),
    ((1, 2, 3, 5), Axis(3, 2, 2, 2), Axis(5, 2, 2, 3)),
    ((2, 1, 6, 3), Axis(6, 2, 4, 3, 1, 1), Axis(3, 3, 1)),
    ((2, 2, 6, 5), Axis(6, 2, 2, 3, 2, 1), Axis(5, 1, 3, 3, 2, 1)),  # padded, but no larger
    ((0, 2, 3, 3), Axis(3, 2, 2), Axis(3, 1, 3)),
    ((1, 1, 2, 3), Axis(2, 1, 2, 2), Axis(3, 2, 2)),
)


def _cases(make: Any) -> Cases:
    """Make a typical call for each kind of windows."""
    return Cases(*[lambda r, k=k: make(r, *k) for k in _KINDS])


def _result(shape: tuple[int, ...], down: Axis, across: Axis) -> tuple[int, ...]:
    return (*shape[:-2], down.out, across.out)


def _distinct(r: Array, shape: tuple[int, ...]) -> Array:
    """Draw numbers of which no two are close: equal ones are a kink."""
    order = np.argsort(r(*shape), axis=None).argsort()
    return order.reshape(shape) / 7.0


def _winners(shape: tuple[int, ...], down: Axis, across: Axis) -> Array:
    """Choose elements of the windows, other ones in every window."""
    shape = _result(shape, down, across)
    numbers = np.arange(np.prod(shape)) * 7 % (down.kernel * across.kernel)
    return numbers.reshape(shape).astype(np.uint8)


MAX_POOL: Op[Tensor] = op(
    _max_pool,
    lambda g, saved, down, across: UNPOOL(g, saved, down, across),
    chooses=lambda saved: saved,
    name="max_pool",
    symbol="max pool",
    domain=_cases(lambda r, shape, *axes: call(_distinct(r, shape), *axes)),
    doc="The largest of each window. Gradient: g to the first of them, added where windows meet.",
)
UNPOOL: Op[Tensor] = op(
    _unpool,
    lambda g, winners, down, across: PICK(g, winners, down, across),
    name="unpool",
    symbol="unpool",
    domain=_cases(
        lambda r, *kind: call(r(*_result(*kind)), _winners(*kind), *kind[1:]),
    ),
    doc="Elements sent to the winner of their window. Gradient: that of the winner.",
)
PICK: Op[Tensor] = op(
    _pick,
    lambda g, winners, down, across: UNPOOL(g, winners, down, across),
    name="pick",
    symbol="pick",
    domain=_cases(lambda r, *kind: call(r(*kind[0]), _winners(*kind), *kind[1:])),
    doc="Of each window the element with a given number. Gradient: g sent back to it.",
)
WINDOW_MEAN: Op[Tensor] = op(
    _window_mean,
    lambda g, down, across, counts: SPREAD(g, down, across, counts),
    name="avg_pool",
    symbol="mean pool",
    domain=_cases(lambda r, shape, *axes: call(r(*shape), *axes, _counts(*axes))),
    doc="The sum of each window over a count. Gradient: g over the count, to each element.",
)
SPREAD: Op[Tensor] = op(
    _spread,
    lambda g, down, across, counts: WINDOW_MEAN(g, down, across, counts),
    name="spread",
    symbol="spread",
    domain=_cases(lambda r, *kind: call(r(*_result(*kind)), *kind[1:], _counts(*kind[1:]))),
    doc="Shares for all elements of a window, added where windows meet. Gradient: their mean.",
)
LP_POOL: Op[Tensor] = op(
    _power_mean,
    _power_mean_rule,
    chooses=lambda out: out == 0,
    name="lp_pool",
    symbol="Lᵖ pool",
    domain=Cases(
        lambda r: call(r(2, 1, 4, 4), Axis(4, 2, 2, 2), Axis(4, 2, 2, 2), 2.0),
        lambda r: call(r(1, 2, 5, 3), Axis(5, 2, 3, 2), Axis(3, 2, 2), 2.0),
        lambda r: call(np.tanh(r(1, 2, 3, 4)) + 2, Axis(3, 2, 2), Axis(4, 2, 2, 2), 3.0),
        lambda r: call(np.tanh(r(1, 2, 3, 4)) + 2, Axis(3, 1, 2, 2), Axis(4, 3, 2), 1.5),
        lambda r: call(r(1, 1, 3, 4), Axis(3, 1, 2, 2), Axis(4, 3, 2), 1.0),
        lambda r: call(r(1, 1, 2, 3), Axis(2, 1, 2, 2), Axis(3, 2, 2), 2.0),
    ),
    doc="The p-th root of the sum of xᵖ. Gradient: xᵖ⁻¹ Σ g / outᵖ⁻¹, and 0 where out is 0.",
)
BIN_MEAN: Op[Tensor] = op(
    _bin_mean,
    lambda g, down, across: BIN_SPREAD(g, down, across),
    name="adaptive_avg_pool",
    symbol="mean pool",
    domain=Cases(
        lambda r: call(r(1, 2, 5, 3), bins_of(5, 3), bins_of(3, 2)),
        lambda r: call(r(2, 3), bins_of(2, 1), bins_of(3, 2)),
        lambda r: call(r(1, 2, 2), bins_of(2, 3), bins_of(2, 2)),
        lambda r: call(r(0, 1, 2, 2), bins_of(2, 1), bins_of(2, 2)),
    ),
    doc="The mean of each bin. Gradient: g over the size of the bin, to each element.",
)
BIN_SPREAD: Op[Tensor] = op(
    _bin_spread,
    lambda g, down, across: BIN_MEAN(g, down, across),
    name="bin_spread",
    symbol="spread",
    domain=Cases(
        lambda r: call(r(1, 2, 3, 2), bins_of(5, 3), bins_of(3, 2)),
        lambda r: call(r(1, 2), bins_of(2, 1), bins_of(3, 2)),
        lambda r: call(r(2, 3, 2), bins_of(2, 3), bins_of(2, 2)),
    ),
    doc="Each element shared out over its bin, added where bins meet. Gradient: the mean.",
)


def _counts(down: Axis, across: Axis) -> Array:
    """Return a number for square windows, for the others one for each, as with padding."""
    if down.kernel == across.kernel:
        return float(down.kernel**2)
    return 1.0 + np.arange(down.out * across.out).reshape(down.out, across.out)
