"""Layers that pool: one number for every window. They have no parameters."""

from typing import Any

from graphgrad.arguments import guarded
from graphgrad.engine.integers import as_whole_numbers
from graphgrad.engine.tensor import Tensor
from graphgrad.nn.functional.geometry import numbers_of
from graphgrad.nn.functional.pooling import (
    Numbers,
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    check_divisor,
    check_norm_type,
    global_avg_pool2d,
    global_max_pool2d,
    lp_pool2d,
    max_pool1d,
    max_pool2d,
)
from graphgrad.nn.module import Module


class _Pool(Module):
    """What layers over windows share: arguments and repr."""

    axes = 2

    def _build(self, kernel_size: Any, stride: Any, padding: Any = 0, dilation: Any = 1) -> None:
        """Check the arguments, and remember one number per axis."""
        name = type(self).__name__
        numbers = Numbers(name, self.axes, kernel_size, stride, padding, dilation)
        self.kernel_size = numbers.kernel
        self.stride = numbers.stride
        self.padding = numbers.padding
        self.dilation = numbers.dilation

    def extra_repr(self) -> str:
        """Return the arguments, those that have their defaults left out."""
        defaults = {
            "stride": _short(self.kernel_size),
            "padding": 0,
            "dilation": 1,
            "ceil_mode": False,
            "count_include_pad": True,
            "divisor_override": None,
        }
        shown = [f"{_short(self.kernel_size)}"]
        for name, default in defaults.items():
            value = _short(getattr(self, name, default))
            if value != default:
                shown.append(f"{name}={value!r}")
        return ", ".join(shown)


def _short(value: Any) -> Any:
    """Return the one number of a tuple whose numbers are equal."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


class MaxPool2d(_Pool):
    """The largest element of each window: `nn.functional.max_pool2d`.

    y[n, c, i, j] = max over k, l of x[n, c, stride · i + dilation · k − padding, …]

    Shapes: x (N, C, H, W) or (C, H, W); the output (N, C, OH, OW) with
    OH = ⌊(H + 2 padding − dilation (kernel_size − 1) − 1) / stride⌋ + 1.

    The gradient goes to the first of equal maxima, row by row. NaN counts as the largest.

    Parameters
    ----------
    kernel_size, stride, dilation
        A number or (down, across), above 0; a stride of None is the kernel size.
    padding
        Rows and columns of −∞ at both ends, at most half of the kernel.
    ceil_mode
        Whether a last window that is only partly over the image is there.

    Raises
    ------
    ArgumentError
        If a number is too small, or the padding over half of the window.
    ShapeError
        If the window is larger than an input.
    DtypeError
        If a number is not whole.
    """

    @guarded
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        *,
        ceil_mode: bool = False,
    ) -> None:
        """Check and remember the arguments."""
        self._build(kernel_size, stride, padding, dilation)
        self.ceil_mode = ceil_mode

    def forward(self, x: Any) -> Tensor:
        """Return the maxima."""
        return max_pool2d(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )


class MaxPool1d(_Pool):
    """The largest element of each window of sequences: `nn.functional.max_pool1d`.

    y[n, c, i] = max over k of x[n, c, stride · i + dilation · k − padding]

    Shapes: x (N, C, L) or (C, L); the output (N, C, OL) with
    OL = ⌊(L + 2 padding − dilation (kernel_size − 1) − 1) / stride⌋ + 1.

    The gradient goes to the first of equal maxima. NaN counts as the largest.

    Parameters
    ----------
    kernel_size, stride, dilation
        Numbers above 0; a stride of None is the kernel size.
    padding
        Elements of −∞ at both ends, at most half of the kernel.
    ceil_mode
        Whether a last window that is only partly over the sequence is there.

    Raises
    ------
    ArgumentError
        As `MaxPool2d`.
    ShapeError
        As `MaxPool2d`.
    DtypeError
        If a number is not whole.
    """

    axes = 1

    @guarded
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        *,
        ceil_mode: bool = False,
    ) -> None:
        """Check and remember the arguments."""
        self._build(kernel_size, stride, padding, dilation)
        self.ceil_mode = ceil_mode

    def forward(self, x: Any) -> Tensor:
        """Return the maxima."""
        return max_pool1d(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )


class AvgPool2d(_Pool):
    """The mean of each window: `nn.functional.avg_pool2d`.

    y[n, c, i, j] = Σ over k, l of x[n, c, stride · i + k − padding, …] / number of elements

    Shapes: x (N, C, H, W) or (C, H, W); the output (N, C, OH, OW) with
    OH = ⌊(H + 2 padding − kernel_size) / stride⌋ + 1.

    Parameters
    ----------
    kernel_size, stride
        A number or (down, across), above 0; a stride of None is the kernel size.
    padding
        Rows and columns of zeros at both ends, at most half of the kernel.
    ceil_mode
        Whether a last window that is only partly over the image is there.
    count_include_pad
        Whether the zeros of the padding count as elements.
    divisor_override
        What to divide the sum by instead of the number of elements.

    Raises
    ------
    ArgumentError
        As `MaxPool2d`, or if the divisor is 0.
    ShapeError
        As `MaxPool2d`.
    DtypeError
        If a number is not whole.
    """

    @guarded
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        """Check and remember the arguments."""
        check_divisor("AvgPool2d", divisor_override)
        self._build(kernel_size, stride, padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = as_whole_numbers("AvgPool2d", "divisor_override", divisor_override)

    def forward(self, x: Any) -> Tensor:
        """Return the means."""
        return avg_pool2d(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AvgPool1d(_Pool):
    """The mean of each window of sequences: `nn.functional.avg_pool1d`.

    y[n, c, i] = Σ over k of x[n, c, stride · i + k − padding] / number of elements

    Shapes: x (N, C, L) or (C, L); the output (N, C, OL) with
    OL = ⌊(L + 2 padding − kernel_size) / stride⌋ + 1.

    Parameters
    ----------
    kernel_size, stride
        Numbers above 0; a stride of None is the kernel size.
    padding
        Zeros at both ends, at most half of the kernel.
    ceil_mode
        Whether a last window that is only partly over the sequence is there.
    count_include_pad
        Whether the zeros of the padding count as elements.

    Raises
    ------
    ArgumentError
        As `MaxPool2d`.
    ShapeError
        As `MaxPool2d`.
    DtypeError
        If a number is not whole.
    """

    axes = 1

    @guarded
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        """Check and remember the arguments."""
        self._build(kernel_size, stride, padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, x: Any) -> Tensor:
        """Return the means."""
        how = (self.kernel_size, self.stride, self.padding, self.ceil_mode)
        return avg_pool1d(x, *how, self.count_include_pad)


class LPPool2d(_Pool):
    """The p-th root of the sum of xᵖ in each window: `nn.functional.lp_pool2d`.

    y = (Σ xᵖ)^(1/p); p = 2 is the length of a window (L2 pooling), p = 1 its sum.

    Shapes: x (N, C, H, W) or (C, H, W); the output (N, C, OH, OW) with
    OH = ⌊(H − kernel_size) / stride⌋ + 1.

    The gradient is xᵖ⁻¹ / yᵖ⁻¹, and 0 where y is 0.

    Parameters
    ----------
    norm_type
        p, a number from 1 on.
    kernel_size, stride
        A number or (down, across), above 0; a stride of None is the kernel size.
    ceil_mode
        Whether a last window that is only partly over the image is there.

    Raises
    ------
    ArgumentError
        As `MaxPool2d`, or if p is less than 1 or infinite.
    ShapeError
        As `MaxPool2d`.
    DtypeError
        If a size is not whole or p no number.
    """

    @guarded
    def __init__(
        self, norm_type: Any, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        """Check and remember the arguments."""
        self.norm_type = check_norm_type("LPPool2d", norm_type)
        self._build(kernel_size, stride)
        self.ceil_mode = ceil_mode

    def forward(self, x: Any) -> Tensor:
        """Return the lengths."""
        return lp_pool2d(x, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        """Return the arguments, those that have their defaults left out."""
        return f"{self.norm_type:g}, {super().extra_repr()}"


class _Adaptive(Module):
    """What layers over a given number of bins share."""

    def __init__(self, output_size: Any) -> None:
        """Check and remember the number of bins."""
        wanted = output_size if isinstance(output_size, tuple | list) else (output_size,) * 2
        name = type(self).__name__
        sizes = numbers_of(name, "output_size", [1 if n is None else n for n in wanted], 1, 2)
        self.output_size = tuple(
            [None if n is None else size for n, size in zip(wanted, sizes, strict=True)]
        )

    def extra_repr(self) -> str:
        """Return the argument."""
        return f"{_short(self.output_size)}"


class AdaptiveAvgPool2d(_Adaptive):
    """The means of bins that divide images of any size: `nn.functional.adaptive_avg_pool2d`.

    Bin i of n goes from row ⌊i · H / n⌋ to row ⌈(i + 1) · H / n⌉, the latter not included.

    Shapes: x (N, C, H, W) or (C, H, W); the output (N, C, *output_size).

    Parameters
    ----------
    output_size
        How many bins: a number or (down, across), above 0; None keeps the size of the input.

    Raises
    ------
    ArgumentError
        If a number is not above 0.
    ShapeError
        If an input is no image.
    DtypeError
        If a number is not whole.
    """

    def forward(self, x: Any) -> Tensor:
        """Return the means."""
        return adaptive_avg_pool2d(x, self.output_size)


class AdaptiveMaxPool2d(_Adaptive):
    """The maxima of bins that divide images of any size: `nn.functional.adaptive_max_pool2d`.

    The bins are those of `AdaptiveAvgPool2d`; the gradient goes to the first of equal maxima.

    Shapes: x (N, C, H, W) or (C, H, W); the output (N, C, *output_size).

    Parameters
    ----------
    output_size
        How many bins: a number or (down, across), above 0; None keeps the size of the input.

    Raises
    ------
    ArgumentError
        If a number is not above 0.
    ShapeError
        If an input is no image.
    DtypeError
        If a number is not whole.
    """

    def forward(self, x: Any) -> Tensor:
        """Return the maxima."""
        return adaptive_max_pool2d(x, self.output_size)


class GlobalAvgPool2d(Module):
    """The mean of each channel: `nn.functional.global_avg_pool2d`.

    Shapes: x (N, C, H, W) or (C, H, W); the output (N, C) or (C,).

    Source: Lin, Chen, Yan, Network In Network, 2013, section 3.2.
    """

    def forward(self, x: Any) -> Tensor:
        """Return the means."""
        return global_avg_pool2d(x)


class GlobalMaxPool2d(Module):
    """The largest element of each channel: `nn.functional.global_max_pool2d`.

    The gradient goes to the first of equal maxima.

    Shapes: x (N, C, H, W) or (C, H, W); the output (N, C) or (C,).
    """

    def forward(self, x: Any) -> Tensor:
        """Return the maxima."""
        return global_max_pool2d(x)
