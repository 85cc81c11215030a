"""Windows as the rows of a matrix, and back: a convolution as one matrix product."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from graphgrad.arguments import sizes
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.op import Op, op
from graphgrad.engine.operands import as_array, shape_of
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ShapeError
from graphgrad.nn.functional.docstrings import like
from graphgrad.nn.kernels.correlation import Axis
from graphgrad.nn.kernels.geometry import (
    crop,
    image_of,
    pad,
    padded_size,
    tap_of,
    window_sizes,
    windows_on,
)
from graphgrad.typing import Array


def windows_of(x: Array, down: Axis, across: Axis) -> Array:
    """See every window of images (…, H, W): (…, OH, OW, KH, KW), a view but for the padding."""
    padded = pad(x, down, across)
    seen = sliding_window_view(padded, (down.reach + 1, across.reach + 1), (-2, -1))
    seen = seen[..., : down.stride * (down.out - 1) + 1 : down.stride, :, :, :]
    seen = seen[..., : across.stride * (across.out - 1) + 1 : across.stride, :, :]
    return seen[..., :: down.dilation, :: across.dilation]


def windows_added(windows: Array, down: Axis, across: Axis) -> Array:
    """Add windows (…, OH, OW, KH, KW) up where they meet: the adjoint of `windows_of`."""
    wide = np.promote_types(windows.dtype, np.float32)
    padded = np.zeros_like(windows, wide, shape=(*windows.shape[:-4], *padded_size(down, across)))
    for i in range(down.kernel):
        for j in range(across.kernel):
            padded[..., tap_of(down, i), tap_of(across, j)] += windows[..., i, j]
    return crop(padded, down, across).astype(windows.dtype, copy=False)


def _im2col(x: Array, down: Axis, across: Axis) -> Array:
    seen = np.moveaxis(windows_of(x, down, across), -5, -3)
    row = x.shape[-3] * down.kernel * across.kernel
    rows = len(x) if x.ndim == 4 else 1
    return seen.reshape(rows * down.out * across.out, row)


def _col2im(columns: Any, shape: tuple[int, ...], down: Axis, across: Axis) -> Array:
    places = down.out, across.out
    seen = columns.reshape(*shape[:-3], *places, shape[-3], down.kernel, across.kernel)
    return windows_added(np.moveaxis(seen, -3, -5), down, across)


_KINDS = (
    ((2, 2, 3, 4), Axis(3, 2, 2), Axis(4, 2, 3)),
    ((1, 2, 5, 4), Axis(5, 2, 3, 2), Axis(4, 2, 2, 2)),
    ((1, 1, 3, 5), Axis(3, 3, 2, 2, 2, 2), Axis(5, 2, 2, 3, 1, 1)),
    ((2, 3, 2), Axis(3, 1, 3), Axis(2, 2, 1)),
    ((0, 2, 3, 3), Axis(3, 2, 2), Axis(3, 2, 2)),
    ((1, 1, 2, 3), Axis(2, 1, 2), Axis(3, 2, 2)),
)


def _columns_shape(shape: tuple[int, ...], down: Axis, across: Axis) -> tuple[int, int]:
    rows = (shape[0] if len(shape) == 4 else 1) * down.out * across.out
    return rows, shape[-3] * down.kernel * across.kernel


_IM2COL: Op[Tensor] = op(
    _im2col,
    lambda g, x_shape, down, across: _COL2IM(g, x_shape, down, across),
    name="im2col",
    symbol="im2col",
    domain=Cases(*[lambda r, k=k: call(r(*k[0]), *k[1:]) for k in _KINDS]),
    doc="Every window as a row. Gradient: the rows of g added up where windows meet.",
)
_COL2IM: Op[Tensor] = op(
    _col2im,
    lambda g, down, across: _IM2COL(g, down, across),
    name="col2im",
    symbol="col2im",
    domain=Cases(*[lambda r, k=k: call(r(*_columns_shape(*k)), *k) for k in _KINDS]),
    doc="Rows put back as windows, added up where they meet. Gradient: the windows of g as rows.",
)


def im2col(
    x: Array, kernel_size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1
) -> Tensor:
    """Write every window of images as a row: (N, C, H, W) becomes (N · OH · OW, C · KH · KW).

    Rows go image by image, from the top left to the bottom right; within a row the elements go
    channel by channel. So a convolution is one product: the rows of
    ``im2col(x, (KH, KW)) @ W.reshape(O, -1).T`` are the outputs at one place each. Here `conv2d`
    itself makes such columns by blocks, and keeps none of them.

    OH = ⌊(H + 2 padding − dilation (KH − 1) − 1) / stride⌋ + 1.

    Parameters
    ----------
    x
        (N, C, H, W), or (C, H, W) for a single image.
    kernel_size, stride, dilation
        A number, or one for each axis, above 0.
    padding
        Zeros at both ends: a number, or one for each axis.

    Raises
    ------
    ArgumentError
        If a number is too small.
    ShapeError
        If x does not have these axes, or the kernel is larger than it.
    DtypeError
        If a number is not whole.
    """
    x = image_of("im2col", x)
    sizes = window_sizes("im2col", 2, kernel_size, stride, padding, dilation)
    return _IM2COL(x, *windows_on("im2col", x.shape, *sizes))


@like(im2col)
def col2im(
    columns: Any,
    image_shape: tuple[int, ...],
    kernel_size: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
) -> Tensor:
    """Put the rows of `im2col` back as windows of images, added up where windows meet.

    It is the adjoint of `im2col`, not its inverse: an element of three windows comes back three
    times as large. What lies in the padding is dropped.

    Parameters
    ----------
    columns
        (N · OH · OW, C · KH · KW).
    image_shape
        (N, C, H, W), or (C, H, W).

    Returns
    -------
    Tensor
        Of ``image_shape``.

    Raises
    ------
    ShapeError
        If the columns are not those of such windows on such images.
    """
    shape = sizes("col2im", "image_shape", image_shape, 0)
    if len(shape) not in (3, 4):
        message = f"col2im: image_shape={image_shape} must be (N, C, H, W) or (C, H, W)"
        raise ShapeError(message)
    sizes_of = window_sizes("col2im", 2, kernel_size, stride, padding, dilation)
    axes = windows_on("col2im", shape, *sizes_of)
    columns = as_array(columns, "col2im")
    wanted = _columns_shape(shape, *axes)
    if shape_of(columns) != wanted:
        message = (
            f"col2im: columns {shape_of(columns)}; these windows on images {shape} make {wanted}, "
            "(N · OH · OW, C · KH · KW)"
        )
        raise ShapeError(message)
    return _COL2IM(columns, shape, *axes)
