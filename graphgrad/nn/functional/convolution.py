"""Convolutions, as every network library means them: the kernel is not flipped."""

from typing import Any

from graphgrad.arguments import guarded, size as size_of
from graphgrad.engine.op import Op
from graphgrad.engine.operands import as_array
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError, ShapeError
from graphgrad.nn.functional.docstrings import like
from graphgrad.nn.functional.matrix_products import bias_of
from graphgrad.nn.kernels.convolution import CONV2D, CONV_TRANSPOSE2D, Pair
from graphgrad.nn.kernels.geometry import LAYOUTS, numbers_of, windows_on
from graphgrad.typing import Array


@guarded
def conv2d(
    x: Array,
    weight: Array,
    bias: Array = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Correlate images with a kernel: y[n, o, i, j] = b[o] + Σ W[o, c, k, l] x[n, c, …, …].

    The element of x is that of row stride · i + dilation · k − padding, and its column likewise;
    outside of x it is 0. The output has ⌊(H + 2 padding − dilation (kh − 1) − 1) / stride⌋ + 1
    rows. The columns of im2col are made by blocks that fit the cache, and never kept.

    Parameters
    ----------
    x
        (N, C, H, W), or (C, H, W) for a single image.
    weight
        (O, C / groups, kh, kw).
    bias
        (O,), or None.
    stride, dilation
        A number, or one for each axis, above 0.
    padding
        Zeros at both ends: a number, or one for each axis; "valid" for none, "same" for an
        output of the size of x (stride 1 only; where the sum is odd the end gets one more).
    groups
        Into how many parts channels and outputs are split, each part seeing only its own.

    Raises
    ------
    ArgumentError
        If a number is too small.
    ShapeError
        If the arguments do not fit, or the kernel is larger than the padded image.
    DtypeError
        If a number is not whole.
    """
    return _convolution(2, x, weight, bias, stride, padding, dilation, groups)


@like(conv2d)
@guarded
def conv1d(
    x: Array,
    weight: Array,
    bias: Array = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Correlate sequences with a kernel: y[n, o, i] = b[o] + Σ W[o, c, k] x[n, c, …].

    It is `conv2d` on images of one row.

    Parameters
    ----------
    x
        (N, C, L), or (C, L) for a single sequence.
    weight
        (O, C / groups, k).
    """
    return _convolution(1, x, weight, bias, stride, padding, dilation, groups)


@like(conv2d)
@guarded
def conv_transpose2d(
    x: Array,
    weight: Array,
    bias: Array = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Spread each element of x over its neighbourhood: the gradient of `conv2d` in its input.

    The output has (H − 1) stride − 2 padding + dilation (kh − 1) + output_padding + 1 rows.

    Parameters
    ----------
    weight
        (C, O / groups, kh, kw): that of the `conv2d` from O to C channels.
    padding
        What is cut off at both ends: a number, or one for each axis.
    output_padding
        What is added at the end, less than stride or dilation: with a stride, a convolution gives
        inputs of several sizes the same output; this chooses among them.

    Raises
    ------
    ArgumentError
        If a number is too small, or output_padding too large.
    ShapeError
        If the arguments do not fit, or nothing of the output is left.
    """
    return _transposed(2, x, weight, bias, stride, padding, output_padding, groups, dilation)


@like(conv1d, conv_transpose2d)
@guarded
def conv_transpose1d(
    x: Array,
    weight: Array,
    bias: Array = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Spread each element of x over its neighbourhood: the gradient of `conv1d` in its input.

    It is `conv_transpose2d` on images of one row.

    Parameters
    ----------
    x
        (N, C, L), or (C, L) for a single sequence.
    weight
        (C, O / groups, k): that of the `conv1d` from O to C channels.
    """
    return _transposed(1, x, weight, bias, stride, padding, output_padding, groups, dilation)


# ------------------------------------------------------------------------ checked, then run


def _convolution(
    axes: int,
    x: Array,
    weight: Array,
    bias: Array,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Tensor:
    name = f"conv{axes}d"
    x, weight = _arrays(name, x, weight, axes)
    groups = size_of(name, "groups", groups)
    stride = numbers_of(name, "stride", stride, 1, axes)
    dilation = numbers_of(name, "dilation", dilation, 1, axes)
    paddings = padding_of(name, padding, weight.shape[2:], stride, dilation)
    _check_channels(name, x, weight, groups, len(weight), weight.shape[1] * groups, axes)
    bias = bias_of(name, bias, weight.shape, (len(weight),))
    windows_on(name, x.shape, weight.shape[2:], stride, paddings, dilation)
    return _on_images(CONV2D, x, weight, bias, (stride, paddings, dilation), groups)


def _transposed(
    axes: int,
    x: Array,
    weight: Array,
    bias: Array,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Tensor:
    name = f"conv_transpose{axes}d"
    x, weight = _arrays(name, x, weight, axes)
    groups = size_of(name, "groups", groups)
    stride = numbers_of(name, "stride", stride, 1, axes)
    padding = numbers_of(name, "padding", padding, 0, axes)
    extra = numbers_of(name, "output_padding", output_padding, 0, axes)
    dilation = numbers_of(name, "dilation", dilation, 1, axes)
    check_output_padding(name, extra, stride, dilation)
    _check_channels(name, x, weight, groups, len(weight), len(weight), axes)
    bias = bias_of(name, bias, weight.shape, (weight.shape[1] * groups,))
    lengths = zip(x.shape[-axes:], weight.shape[2:], stride, padding, extra, dilation, strict=True)
    size = tuple((n - 1) * s - 2 * p + d * (k - 1) + e + 1 for n, k, s, p, e, d in lengths)
    if min(size) < 1:
        message = f"{name}: x {x.shape}, weight {weight.shape}: padding={padding} leaves {size}"
        raise ShapeError(f"{message}: pad less")
    # A convolution of what comes out reaches no further than x: of output_padding only what is
    # less than a stride stays in its remainder.
    steps = zip(padding, extra, stride, strict=True)
    paddings = tuple((p, p - e // s * s) for p, e, s in steps)
    return _on_images(CONV_TRANSPOSE2D, x, weight, bias, (size, stride, paddings, dilation), groups)


def _on_images(
    op: Op[Tensor], x: Array, weight: Array, bias: Array, per_axis: tuple[Any, ...], groups: int
) -> Tensor:
    """Call an op that takes many images: one is a batch of one, a sequence an image of one row."""
    axes = weight.ndim - 2
    single = x.ndim == axes + 1
    x = x[None] if single else x
    if axes == 1:
        x, weight = x[:, :, None], weight[:, :, None]
        per_axis = tuple(((0, 0) if isinstance(v[0], tuple) else 1, *v) for v in per_axis)
    out: Any = op(x, weight, bias, *per_axis, groups)
    if axes == 1:
        out = out[:, :, 0]
    return out[0] if single else out  # type: ignore[no-any-return]


# -------------------------------------------------------------------------------- checking


def padding_of(
    name: str, padding: Any, kernel: Array, stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[Pair, ...]:
    """Return the zeros before and after, per axis, or say what is wrong."""
    if not isinstance(padding, str):
        return tuple((p, p) for p in numbers_of(name, "padding", padding, 0, len(kernel)))
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding != "same":
        message = f'{name}: padding={padding!r} is neither a number nor "same" or "valid"'
        raise ArgumentError(message)
    if max(stride) > 1:
        message = f'{name}: padding="same" keeps the size, which stride={stride} does not'
        raise ArgumentError(f"{message}: give a number")
    totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)


def check_output_padding(
    name: str, extra: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> None:
    """Refuse more rows at the end than one step makes."""
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        message = f"{name}: output_padding={extra} must be smaller than stride={stride} or dilation"
        raise ArgumentError(f"{message}={dilation}")


def _arrays(name: str, x: Array, weight: Array, axes: int) -> tuple[Array, Array]:
    x, weight = as_array(x), as_array(weight)
    if x.ndim - axes not in (1, 2) or weight.ndim != axes + 2 or 0 in weight.shape:
        message = (
            f"{name}: x {x.shape}, weight {weight.shape}; x must be {LAYOUTS[axes]}, and weight "
            f"have {axes + 2} axes, none of them 0"
        )
        raise ShapeError(message)
    return x, weight


def _check_channels(
    name: str, x: Array, weight: Array, groups: int, divided: int, wanted: int, axes: int
) -> None:
    if divided % groups:
        message = f"{name}: groups={groups} must divide the {divided} of weight {weight.shape}"
        raise ShapeError(message)
    channels = x.shape[-axes - 1]
    if channels != wanted:
        within = f" in {groups} groups" if groups > 1 else ""
        message = f"{name}: x {x.shape} has {channels} channels, weight {weight.shape}{within} "
        raise ShapeError(f"{message}wants {wanted}")
