"""Pooling: one number for every window of an image."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphgrad.arguments import guarded, number, whole
from graphgrad.engine.op import Op
from graphgrad.engine.operands import unwrapped
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError, DtypeError, ShapeError
from graphgrad.nn.functional.docstrings import like
from graphgrad.nn.kernels.geometry import (
    Axes,
    WindowSizes,
    image_of,
    numbers_of,
    window_sizes,
    windows_on,
)
from graphgrad.nn.kernels.pooling import (
    BIN_MEAN,
    LP_POOL,
    MAX_POOL,
    WINDOW_MEAN,
    bin_maxima,
    bins_of,
)
from graphgrad.typing import Array


@guarded
def max_pool2d(
    x: Array,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the largest element of each window.

    y[n, c, i, j] = max over k, l of x[n, c, stride · i + dilation · k − padding, …]; what lies
    outside of x is −∞. NaN counts as the largest. The gradient goes to the first of equal
    maxima, row by row; where windows overlap an element gets the sum.

    Parameters
    ----------
    x
        (N, C, H, W), or (C, H, W) for a single image.
    kernel_size, stride, dilation
        A number, or one for each axis, above 0; a stride of None is the kernel size.
    padding
        What is added at both ends: a number, or one for each axis, at most half of the kernel.
    ceil_mode
        Whether a last window that is only partly over the image is there.

    Returns
    -------
    Tensor
        (N, C, OH, OW) with OH = ⌊(H + 2 padding − dilation (kh − 1) − 1) / stride⌋ + 1.

    Raises
    ------
    ArgumentError
        If a number is too small.
    ShapeError
        If x does not have these axes, the kernel is larger than it, or the padding is over half of
        the kernel.
    DtypeError
        If a number is not whole.
    """
    name = "max_pool2d"
    sizes = pool_sizes(name, 2, kernel_size, stride, padding, dilation)
    return _pooled(name, MAX_POOL, x, sizes, ceil_mode)


@like(max_pool2d)
@guarded
def max_pool1d(
    x: Array,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the largest element of each window of sequences: `max_pool2d` on images of one row.

    Parameters
    ----------
    x
        (N, C, L), or (C, L) for a single sequence.
    """
    name = "max_pool1d"
    sizes = pool_sizes(name, 1, kernel_size, stride, padding, dilation)
    return _pooled(name, MAX_POOL, x, sizes, ceil_mode)


@like(max_pool2d)
@guarded
def avg_pool2d(
    x: Array,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Return the mean of each window; what lies outside of x is 0.

    Each element of a window gets the gradient over the number of elements.

    Parameters
    ----------
    count_include_pad
        Whether the zeros of the padding count as elements.
    divisor_override
        What to divide the sum by instead of the number of elements.

    Raises
    ------
    ArgumentError
        If a number is too small, or the divisor is 0.
    """
    name = "avg_pool2d"
    divisor = check_divisor(name, divisor_override)
    sizes = pool_sizes(name, 2, kernel_size, stride, padding)

    def count(windows: Axes) -> Array:
        return float(divisor) if divisor else _counts(windows, count_include_pad)

    return _pooled(name, WINDOW_MEAN, x, sizes, ceil_mode, count)


@like(avg_pool2d, max_pool1d)
@guarded
def avg_pool1d(
    x: Array,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the mean of each window of sequences: `avg_pool2d` on images of one row."""
    name = "avg_pool1d"
    sizes = pool_sizes(name, 1, kernel_size, stride, padding)
    return _pooled(
        name, WINDOW_MEAN, x, sizes, ceil_mode, lambda axes: _counts(axes, count_include_pad)
    )


@like(max_pool2d)
@guarded
def lp_pool2d(
    x: Array, norm_type: Any, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """Return (Σ xᵖ)^(1/p) of each window: for p = 2 its length, for p = 1 its sum.

    The sum is of xᵖ, not of |x|ᵖ: take ``abs(x)`` first where p is odd and x can be negative.
    The gradient is xᵖ⁻¹ / yᵖ⁻¹; where y is 0 it is 0, to every order (p = 1 apart, which has no
    kink).

    Parameters
    ----------
    norm_type
        p, a number from 1 on.

    Raises
    ------
    ArgumentError
        If a number is too small, or p is less than 1 or infinite.
    ShapeError
        If x does not have these axes, or the kernel is larger than it.
    """
    name = "lp_pool2d"
    power = check_norm_type(name, norm_type)
    sizes = pool_sizes(name, 2, kernel_size, stride)
    return _pooled(name, LP_POOL, x, sizes, ceil_mode, lambda _: power)


def adaptive_avg_pool2d(x: Array, output_size: Any) -> Tensor:
    """Return the means of bins that divide an image of any size into a given number.

    Bin i of n goes from row ⌊i · H / n⌋ to row ⌈(i + 1) · H / n⌉, the latter not included.

    Parameters
    ----------
    x
        (N, C, H, W), or (C, H, W) for a single image.
    output_size
        How many bins: a number, or one for each axis, above 0; None keeps the size of x.

    Raises
    ------
    ArgumentError
        If a number is not above 0.
    ShapeError
        If x does not have these axes, or no elements along one.
    DtypeError
        If a number is not whole.
    """
    x, (down, across) = _bins("adaptive_avg_pool2d", x, output_size)
    return BIN_MEAN(x, bins_of(x.shape[-2], down), bins_of(x.shape[-1], across))


@like(adaptive_avg_pool2d)
def adaptive_max_pool2d(x: Array, output_size: Any) -> Tensor:
    """Return the maxima of bins that divide an image of any size into a given number.

    The bins are those of `adaptive_avg_pool2d`; the gradient goes to the first of equal maxima.
    """
    x, (down, across) = _bins("adaptive_max_pool2d", x, output_size)
    height, width = x.shape[-2:]
    if height % down == 0 and width % across == 0:
        kernel = height // down, width // across
        windows = windows_on("adaptive_max_pool2d", x.shape, kernel, kernel, (0, 0), (1, 1))
        return MAX_POOL(x, *windows)
    places = bin_maxima(unwrapped(x), bins_of(height, down), bins_of(width, across))
    flat = places.reshape(*places.shape[:-2], down * across)
    found: Any = np.take_along_axis(x.reshape(*x.shape[:-2], height * width), flat, axis=-1)
    return found.reshape(places.shape)  # type: ignore[no-any-return]


def global_avg_pool2d(x: Array) -> Tensor:
    """Return the mean of each channel: (N, C) of images (N, C, H, W), (C,) of one, (C, H, W).

    Source: Lin, Chen, Yan, Network In Network, 2013, section 3.2.
    """
    out = adaptive_avg_pool2d(_image("global_avg_pool2d", x), 1)
    return out.reshape(out.shape[:-2])


def global_max_pool2d(x: Array) -> Tensor:
    """Return the largest element of each channel: (N, C) of images (N, C, H, W), (C,) of one.

    The gradient goes to the first of equal maxima.
    """
    out = adaptive_max_pool2d(_image("global_max_pool2d", x), 1)
    return out.reshape(out.shape[:-2])


# ------------------------------------------------------------------------ checked, then run


def pool_sizes(
    name: str, axes: int, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1
) -> WindowSizes:
    """Check the sizes of windows; each must hold some of x. A stride of None is the kernel size."""
    stride = kernel_size if stride is None else stride
    sizes = window_sizes(name, axes, kernel_size, stride, padding, dilation)
    if any(2 * p > k for p, k in zip(sizes.padding, sizes.kernel, strict=True)):
        raise ShapeError(
            f"{name}: padding={padding!r} is over half of kernel_size={kernel_size!r}: some "
            "windows would hold nothing of x; pad less"
        )
    return sizes


def check_norm_type(name: str, norm_type: Any) -> float:
    """Return p as a number, or say what is wrong."""
    norm_type = number(name, "norm_type", norm_type, infinite=True)
    if not 1 <= norm_type < math.inf:
        hint = "; for the largest element take max_pool2d" if norm_type == math.inf else ""
        message = f"{name}: norm_type={norm_type!r} must be 1 or more and finite{hint}"
        raise ArgumentError(message)
    return float(norm_type)


def check_divisor(name: str, divisor: Any) -> int | None:
    """Return it as an int, or say that it is 0."""
    if divisor is None:
        return None
    count = whole(name, "divisor_override", divisor)
    if count == 0:
        raise ArgumentError(f"{name}: divisor_override=0; nothing can be divided by it")
    return count


def bin_counts(name: str, output_size: Any) -> tuple[int | None, ...]:
    """Return how many bins there are, down and across; None stays for what the image has."""
    wanted = output_size if isinstance(output_size, tuple | list) else (output_size,) * 2
    counts = numbers_of(name, "output_size", [1 if n is None else n for n in wanted], 1, 2)
    return tuple(n if n is None else count for n, count in zip(wanted, counts, strict=True))


def _pooled(
    name: str,
    op: Op[Tensor],
    x: Array,
    sizes: WindowSizes,
    ceil_mode: bool,
    parameter: Callable[[Axes], Array] | None = None,
) -> Tensor:
    """Call an op with the windows and, where it takes one, a parameter that depends on them."""
    axes = len(sizes.kernel)
    x = _image(name, x, axes)
    windows = windows_on(name, x.shape, *sizes, ceil_mode=ceil_mode)
    params = windows if parameter is None else (*windows, parameter(windows))
    out: Any = op(x[..., None, :] if axes == 1 else x, *params)
    return out[..., 0, :] if axes == 1 else out  # type: ignore[no-any-return]


def _counts(windows: Axes, count_include_pad: bool) -> Array:
    """Return the number of elements of each window, one number if all have the same."""
    sizes = []
    for a in windows:
        start = a.stride * np.arange(a.out) - a.before
        beyond = a.before if count_include_pad else 0
        end = np.minimum(start + a.kernel, a.size + beyond)
        sizes.append(end - np.maximum(start, -beyond))
    if all((n == n[0]).all() for n in sizes):
        return float(sizes[0][0] * sizes[1][0])
    return np.outer(*sizes).astype(np.float32)  # whole numbers: exact, and float32 stays it


def _bins(name: str, x: Array, output_size: Any) -> tuple[Any, tuple[int, ...]]:
    x = _image(name, x)
    counts = zip(bin_counts(name, output_size), x.shape[-2:], strict=True)
    return x, tuple(size if count is None else count for count, size in counts)


def _image(name: str, x: Array, axes: int = 2) -> Array:
    x = image_of(name, x, axes)
    if x.dtype.kind not in "fiu":
        raise DtypeError(f"{name}: x is {x.dtype}, pooling takes real numbers")
    if 0 in x.shape[-axes:]:
        raise ShapeError(f"{name}: x {x.shape} has no elements to pool")
    return x
