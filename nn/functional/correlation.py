"""Images under a kernel, on plain arrays: the loops behind convolutions.

A block of images is laid out once with its margins, each row of an image behind the one above
it. There every element that meets one element of the kernel ("tap") is one slice of memory,
``reach`` longer than the block: the columns of im2col are long copies, or no copies at all where
another row of the kernel sees the same columns further on. They are multiplied and forgotten:
a block fits into the cache, and nothing of it is kept for the gradients.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

BLOCK_BYTES = 1 << 19  # of columns in a block
VIEWED_ROWS = 24  # columns per row of the kernel, from which each row is a product of its own


class Axis(NamedTuple):
    """One axis of the image: output o and tap k meet at stride · o + dilation · k − before."""

    size: int
    out: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0  # zeros in front; below 0, elements that are cut off

    @property
    def reach(self) -> int:
        """How many places behind an output its last tap is."""
        return self.dilation * (self.kernel - 1) // self.stride

    @property
    def shared(self) -> int:
        """How many zeros stand both for the end of one line and for the start of the next."""
        if self.stride > 1:
            return 0
        after = self.out + self.reach - self.size - self.before
        return max(0, min(self.before, after, self.reach))

    def leads(self) -> list[int]:
        """Name for each tap the first one that meets the same elements, only further on."""
        first: dict[int, int] = {}
        phases = [self.dilation * k % self.stride for k in range(self.kernel)]
        return [first.setdefault(phase, k) for k, phase in enumerate(phases)]

    def met(self, tap: int, first: int, count: int) -> tuple[slice, slice]:
        """Return which of ``count`` places from ``first`` on meet the image, and where."""
        start = self.stride * first + self.dilation * tap - self.before
        low = max(0, -(start // self.stride))
        high = max(low, min(count, (self.size - 1 - start) // self.stride + 1))
        stride = self.stride
        return slice(low, high), slice(start + stride * low, max(0, start + stride * high), stride)


class Block(NamedTuple):
    """Some images, or some rows of one: all their outputs, on a grid of whole lines."""

    images: slice
    rows: slice  # of the output
    grid: tuple[int, int, int]  # images, rows and columns, with the margins that lines share
    length: int  # of the grid up to the last output


def _blocks(images: int, down: Axis, across: Axis, bytes_per_place: int) -> Iterator[Block]:
    width = across.out + across.reach - across.shared
    height = down.out + down.reach - down.shared
    places = BLOCK_BYTES // bytes_per_place
    at_once = max(1, places // (height * width))
    at_once = -(-images // max(1, -(-images // at_once)))  # blocks of about one size
    rows = down.out if places >= height * width else max(1, places // width - down.reach)
    for first in range(0, images, max(1, at_once)):
        count = min(at_once, images - first)
        for top in range(0, down.out, rows):
            bottom = min(top + rows, down.out)
            lines = height if rows == down.out else bottom - top + down.reach
            length = ((count - 1) * lines + bottom - top) * width
            grid = (count, lines, width)
            yield Block(slice(first, first + count), slice(top, bottom), grid, length)


def correlate(
    x: Any,
    down: Axis,
    across: Axis,
    groups: int,
    weight: Any = None,
    out: Any = None,
    bias: Any = None,
    g: Any = None,
) -> Any:
    """Write the correlation of x (N, C, H, W) with weight (O, C/groups, kh, kw) into ``out``.

    With an array g of the shape of the output, also or instead return the correlation of x with
    g: the gradient of ⟨g, correlation⟩ in the weight.
    """
    like = x if weight is None else weight
    dtype = np.result_type(x.dtype, like.dtype, *(() if g is None else (g.dtype,)))
    if dtype == np.float16:
        dtype = np.dtype(np.float32)
    outputs = (len(weight) if g is None else g.shape[1]) // groups
    channels = x.shape[1] // groups
    kh, kw = down.kernel, across.kernel
    # Where a row of the kernel makes enough columns for a fast product, the other rows see the
    # same columns some lines further on.
    views = 1 if kw * channels < VIEWED_ROWS else kh
    down_leads, across_leads = down.leads(), across.leads()
    copied_rows = range(kh) if views == 1 else sorted(set(down_leads))
    taps = [(i, j) for i in copied_rows for j in range(kw)]
    width = across.out + across.reach - across.shared

    def ahead(axis: Axis, leads: list[int], tap: int) -> int:
        return axis.dilation * (tap - leads[tap]) // axis.stride

    offsets = (
        [
            (ahead(down, down_leads, i) * width, copied_rows.index(down_leads[i]) * kw)
            for i in range(kh)
        ]
        if views > 1
        else [(0, 0)]
    )
    blocks = list(_blocks(len(x), down, across, len(taps) * x.shape[1] * dtype.itemsize))
    slack = down.reach * width + across.reach
    longest = max((math.prod(b.grid) for b in blocks), default=0)

    def empty(*shape: int) -> Any:
        return np.zeros_like(x, dtype, shape=shape)

    columns = empty(groups, len(taps), channels, longest + slack)
    per_view = len(taps) if views == 1 else kw
    if weight is not None:
        matrices = (
            weight.reshape(groups, outputs, channels, views, kh // views, kw)
            .transpose(3, 0, 1, 4, 5, 2)
            .reshape(views, groups, outputs, -1)
            .astype(dtype)
        )
        products = empty(2, groups, outputs, longest)
        if bias is not None and np.ndim(bias):
            bias = bias.astype(dtype).reshape(-1, 1, 1)
    if g is not None:
        total = empty(views, groups, outputs, per_view * channels)
        part = total[0].copy()
        upstream = empty(groups, outputs, longest)
    for block in blocks:
        count, lines, _ = block.grid
        length = block.length
        places = math.prod(block.grid)
        top, bottom = block.rows.start, block.rows.stop
        for slot, (i, j) in enumerate(taps):
            lead = (down_leads[i], across_leads[j])
            if lead == (i, j):
                line_count = bottom - top + down.reach
                there, image_rows = down.met(i, top, min(lines, line_count))
                place, image_columns = across.met(j, 0, width)
                grid = columns[:, slot, :, :places].reshape(groups, channels, *block.grid)
                if bottom - top < down.out:
                    columns[:, slot] = 0
                source = x[block.images, :, image_rows, image_columns]
                source = source.reshape(count, groups, channels, *source.shape[2:])
                grid[..., there, place] = source.transpose(1, 2, 0, 3, 4)
            else:
                d = ahead(down, down_leads, i) * width + ahead(across, across_leads, j)
                size = length + (slack if views > 1 else 0)
                if views > 1:
                    size = length + slack - d
                columns[:, slot, :, :size] = columns[:, taps.index(lead), :, d : d + size]
        if g is not None:
            grid = upstream[..., :places].reshape(groups, outputs, *block.grid)
            source = g[block.images, :, block.rows]
            source = source.reshape(count, groups, outputs, *source.shape[2:])
            grid[..., : bottom - top, : across.out] = source.transpose(1, 2, 0, 3, 4)
        for view, (offset, slot) in enumerate(offsets):
            seen = columns[:, slot : slot + per_view].reshape(groups, -1, columns.shape[-1])
            seen = seen[..., offset : offset + length]
            if weight is not None:
                product = products[1 if view else 0, ..., :length]
                np.matmul(matrices[view], seen, out=product)
                if view:
                    products[0, ..., :length] += product
            if g is not None:
                np.matmul(upstream[..., :length], seen.swapaxes(-1, -2), out=part)
                total[view] += part
        if weight is not None:
            grid = products[0, ..., :places].reshape(-1, *block.grid).transpose(1, 0, 2, 3)
            grid = grid[:, :, : bottom - top, : across.out]
            target = out[block.images, :, block.rows]
            if bias is None:
                np.copyto(target, grid, casting="same_kind")
            else:
                np.add(grid, bias, out=target, casting="same_kind")
    if g is None:
        return None
    return (
        total.reshape(views, groups, outputs, kh // views, kw, channels)
        .transpose(1, 2, 5, 0, 3, 4)
        .reshape(groups * outputs, channels, kh, kw)
    )
