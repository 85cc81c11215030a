"""Images under a kernel, on plain arrays: the loops behind convolutions.

The columns of im2col are made for one block of images, or of rows of one, multiplied, and
forgotten; the gradients make them again. There are two ways to do it:

- by windows: a column for each element of the kernel, for any stride; a product per image, which
  is written where it belongs. For few channels, strides, and kernels of one element, whose
  columns are the image itself.
- by lines, stride 1: the images lie one behind the other with the padding between their rows, so
  that all that meets one element of the kernel ("tap") is a slice of one array. Only the taps of
  one row of the kernel have columns. One product multiplies them with all its rows, and its parts
  are added up, each moved by its lines: 3 × 3 taps cost 2 copies and 2 additions, both long.

Which way, and how large the blocks are, was measured on float32 on one core against PyTorch:
batch 100, 1 → 30 channels, 5 × 5 on 28 × 28 by windows 1.0 times as long and by lines 1.8; 32 → 32,
3 × 3 on 14 × 14 by windows 2.7 and by lines 1.7.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from graphgrad.pieces import COLUMNS, spans
from graphgrad.typing import Array

# Of a block at least, for the weight is packed anew for each. 512 → 512 channels: with 160 places
# 196 ms, with 680 111.
LEAST_PLACES = 768
FEW_PLACES = 64  # of an output, below which a product per image is too small


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
        """How far behind the first tap the last one is."""
        return self.dilation * (self.kernel - 1)

    def length(self, outputs: int) -> int:
        """Return how many elements so many outputs next to each other meet."""
        return self.stride * (outputs - 1) + self.reach + 1

    @property
    def shared(self) -> int:
        """How many zeros stand both for the end of one line and for the start of the next."""
        after = self.length(self.out) - self.size - self.before
        return max(0, min(self.before, after, self.reach))

    def is_inside(self) -> bool:
        """Say whether no output needs zeros from outside of the image."""
        return self.before <= 0 and self.length(self.out) <= self.size + self.before

    def overlap(self, first: int, count: int) -> tuple[slice, slice]:
        """Return which of ``count`` places, of output ``first`` on, are in the image, and where."""
        start = self.stride * first - self.before
        low = max(0, -start)
        high = max(low, min(count, self.size - start))
        return slice(low, high), slice(start + low, start + high)


def correlate(
    x: Array, weight: Array, bias: Array, out: Array, down: Axis, across: Axis, groups: int
) -> None:
    """Write the correlation of x (N, C, H, W) with weight (O, C / groups, kh, kw) into ``out``."""
    dtype = _working_dtype(x, weight)
    weight = weight.astype(dtype, copy=False)
    bias = bias.astype(dtype).reshape(groups, -1, 1) if np.ndim(bias) else None
    way = _by_lines if _lines_are_better(weight.shape, groups, down, across) else _by_windows
    way(x, weight.reshape(groups, -1, *weight.shape[1:]), bias, out, down, across)


def correlate_with(x: Array, g: Array, down: Axis, across: Axis, groups: int) -> Array:
    """Return the correlation of x (N, C, H, W) with g (N, O, H', W'): (O, C / groups, kh, kw).

    It is the gradient of ⟨g, correlation of x with a weight⟩ in the weight.
    """
    shape = (g.shape[1], x.shape[1] // groups, down.kernel, across.kernel)
    total = np.zeros_like(x, _working_dtype(x, g), shape=(groups, shape[0] // groups, *shape[1:]))
    lines = _lines_are_better(shape, groups, down, across)
    (_lines_with if lines else _windows_with)(x, g, total, down, across)
    return total.reshape(shape)


def _working_dtype(x: Array, y: Array) -> Array:
    dtype = np.result_type(x.dtype, y.dtype)
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def _lines_are_better(shape: tuple[int, ...], groups: int, down: Axis, across: Axis) -> bool:
    """Choose by what is moved: columns of a row of the kernel, or parts of the output."""
    if down.stride > 1 or across.stride > 1:
        return False
    if down.kernel == across.kernel == 1:
        return down.out * across.out < FEW_PLACES
    return across.kernel * shape[1] >= shape[0] // groups


def _grouped(images: Array, groups: int) -> Array:
    """See images (N, C, H, W) as (groups, C / groups, N, H, W)."""
    n, channels, height, width = images.shape
    split = images.reshape(n, groups, channels // groups, height, width)
    return split.transpose(1, 2, 0, 3, 4)


class Block(NamedTuple):
    """Some images, or some rows of the output of one."""

    images: slice
    rows: slice  # of the output
    number: int  # of images
    height: int  # of the rows


def _blocks(images: int, rows: int, places: int, bytes_per_place: int) -> Iterator[Block]:
    """Divide images of so many places, or the rows of each, into blocks of about one size."""
    most = max(COLUMNS // bytes_per_place, LEAST_PLACES)
    at_once = min(images, max(1, most // places))
    at_once = -(-images // -(-images // at_once)) if images else 1
    parts = min(rows, -(-places // most)) if at_once == 1 else 1
    height = -(-rows // parts)
    for some in spans(images, at_once):
        for lines in spans(rows, height):
            yield Block(some, lines, some.stop - some.start, lines.stop - lines.start)


# ------------------------------------------------------------------------------ by windows


def _windows(
    x: Array, groups: int, dtype: Any, down: Axis, across: Axis, outputs: int
) -> Iterator[tuple[Block, Any]]:
    """Yield blocks and their columns: (images, groups, channels · taps, places)."""
    n, channels, _, _ = x.shape
    kh, kw = down.kernel, across.kernel
    taps = channels // groups * kh * kw
    places = down.out * across.out
    blocks = list(_blocks(n, down.out, places, dtype.itemsize * (groups * taps + outputs)))
    if not blocks:
        return
    count, height = blocks[0].number, blocks[0].height  # none is larger
    width = across.length(across.out)
    padded = columns = None  # where there is no need of them
    if not (down.is_inside() and across.is_inside()):
        padded = np.zeros_like(x, dtype, shape=(count, channels, down.length(height), width))
    if not kh == kw == down.stride == across.stride == 1:
        columns = np.empty_like(x, dtype, shape=(count, channels, kh, kw, height, across.out))
    there_across, cut = across.overlap(0, width)
    for block in blocks:
        lines = down.length(block.height)
        there, rows = down.overlap(block.rows.start, lines)
        images = x[block.images, :, rows, cut]
        if padded is not None:
            if block.height < down.out:
                padded[...] = 0  # the block before had others
            padded[: block.number, :, there, there_across] = images
            images = padded[: block.number, :, :lines]
        if columns is None:
            part = images.astype(dtype, copy=False)
        else:
            seen = sliding_window_view(images, (down.reach + 1, across.reach + 1), (2, 3))
            seen = seen[:, :, :: down.stride, :: across.stride]
            seen = seen[..., :: down.dilation, :: across.dilation]
            part = columns[: block.number, ..., : block.height, :]
            part[...] = seen.transpose(0, 1, 4, 5, 2, 3)
        yield block, part.reshape(block.number, groups, taps, block.height * across.out)


def _by_windows(x: Array, weight: Array, bias: Array, out: Array, down: Axis, across: Axis) -> None:
    groups, outputs = weight.shape[:2]
    matrix = weight.reshape(groups, outputs, -1)
    for block, columns in _windows(x, groups, weight.dtype, down, across, groups * outputs):
        target = out[block.images, :, block.rows]
        shape = (block.number, groups, outputs, columns.shape[-1])
        direct = target.flags.c_contiguous and target.dtype == weight.dtype
        product = target.reshape(shape) if direct else np.empty_like(columns, shape=shape)
        np.matmul(matrix, columns, out=product)
        if bias is not None:
            product += bias
        if not direct:
            target[...] = product.reshape(target.shape)


def _windows_with(x: Array, g: Array, total: Array, down: Axis, across: Axis) -> None:
    groups, outputs, channels, kh, kw = total.shape
    taps = channels * kh * kw
    matrix = total.reshape(groups, outputs, taps)
    for block, columns in _windows(x, groups, total.dtype, down, across, groups * outputs):
        above = g[block.images, :, block.rows].astype(total.dtype, copy=False)
        above = above.reshape(block.number, groups, outputs, -1)
        if taps > outputs:  # the larger one first: 34 instead of 20 GFLOP/s, 144 × 16
            found = np.add.reduce(columns @ above.swapaxes(-1, -2), axis=0).swapaxes(-1, -2)
        else:
            found = np.add.reduce(above @ columns.swapaxes(-1, -2), axis=0)
        matrix += found


# -------------------------------------------------------------------------------- by lines


def _lines(
    x: Array, groups: int, dtype: Any, down: Axis, across: Axis, outputs: int
) -> Iterator[tuple[Block, Any, tuple[int, int, int], int]]:
    """Yield blocks and their columns (groups, taps of a row · channels, places).

    Beside them come the grid of the places (images, lines, width), and the number of places up to
    the last output; the columns go on as far as the other rows of the kernel reach.
    """
    n, channels, _, _ = x.shape
    channels //= groups
    kw = across.kernel
    width = across.out + across.reach - across.shared
    whole = down.out + down.reach - down.shared
    bytes_per_place = dtype.itemsize * groups * (kw * channels + down.kernel * outputs)
    blocks = list(_blocks(n, down.out, whole * width, bytes_per_place))
    if not blocks:
        return
    reach = down.reach * width
    first = blocks[0]
    most = ((first.number - 1) * whole + first.height) * width + reach + across.reach
    buffer = np.zeros_like(x, dtype, shape=(groups, kw, channels, most))
    places, cut = across.overlap(0, width)
    for block in blocks:
        lines = whole if block.height == down.out else block.height + down.reach
        there, rows = down.overlap(block.rows.start, lines)
        grid = (block.number, lines, width)
        length = ((block.number - 1) * lines + block.height) * width
        if block.height < down.out:
            buffer[:, 0] = 0  # the block before had other padding
        images = _grouped(x[block.images, :, rows, cut], groups)
        _on_grid(buffer[:, 0], grid)[..., there, places] = images
        for tap in range(1, kw):
            ahead = across.dilation * tap
            buffer[:, tap, :, : length + reach] = buffer[:, 0, :, ahead : ahead + length + reach]
        columns = buffer.reshape(groups, kw * channels, most)[..., : length + reach]
        yield block, columns, grid, length


def _on_grid(buffer: Any, grid: tuple[int, int, int]) -> Array:
    """See the places of a buffer (groups, channels, places) as images, lines and columns."""
    count, lines, width = grid
    return buffer[..., : count * lines * width].reshape(*buffer.shape[:2], *grid)


def _by_lines(x: Array, weight: Array, bias: Array, out: Array, down: Axis, across: Axis) -> None:
    groups, outputs, channels, kh, kw = weight.shape
    # all rows of the kernel on top of each other; stored as the transpose, with which the
    # product is up to a fifth faster
    matrix = weight.transpose(0, 4, 2, 3, 1).reshape(groups, kw * channels, kh * outputs)
    matrix = matrix.swapaxes(-1, -2)
    products = None
    for block, columns, grid, length in _lines(x, groups, weight.dtype, down, across, outputs):
        if products is None:
            products = np.empty_like(columns, shape=(groups, kh * outputs, columns.shape[-1]))
        np.matmul(matrix, columns, out=products[..., : columns.shape[-1]])
        total = products[:, :outputs]
        for row in range(1, kh):
            moved = down.dilation * row * grid[2]
            part = products[:, row * outputs : (row + 1) * outputs, moved : moved + length]
            total[..., :length] += part
        if bias is not None:
            total[..., :length] += bias
        target = _grouped(out[block.images, :, block.rows], groups)
        target[...] = _on_grid(total, grid)[..., : block.height, : across.out]


def _lines_with(x: Array, g: Array, total: Array, down: Axis, across: Axis) -> None:
    groups, outputs, channels, kh, kw = total.shape
    buffer = None
    found: Any = 0
    for block, columns, grid, length in _lines(x, groups, total.dtype, down, across, outputs):
        end = columns.shape[-1]
        if buffer is None:
            buffer = np.zeros_like(columns, shape=(groups, kh * outputs, end))
        first = buffer[:, :outputs]
        source = _grouped(g[block.images, :, block.rows], groups)
        _on_grid(first, grid)[..., : block.height, : across.out] = source
        first[..., length:end] = 0
        for row in range(1, kh):
            moved = down.dilation * row * grid[2]
            part = buffer[:, row * outputs : (row + 1) * outputs]
            part[..., moved : moved + length] = first[..., :length]
            part[..., moved + length : end] = 0
        above = buffer[..., :end]
        if kh * outputs >= kw * channels:  # the larger one first
            found = found + above @ columns.swapaxes(-1, -2)
        else:
            found = found + (columns @ above.swapaxes(-1, -2)).swapaxes(-1, -2)
    if np.ndim(found):
        parts = found.reshape(groups, kh, outputs, kw, channels)
        total += parts.transpose(0, 2, 4, 1, 3)
