"""Layers that convolve: one kernel for all places."""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import counts, guarded
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError
from graphgrad.nn.functional.convolution import (
    check_output_padding,
    conv1d,
    conv2d,
    conv_transpose2d,
    margins_of,
)
from graphgrad.nn.functional.geometry import numbers_of
from graphgrad.nn.init import uniform_parameter
from graphgrad.nn.module import Module, Parameter
from graphgrad.randomness import default_generator


class _Convolution(Module):
    """What the layers share: arguments, initial values, repr."""

    axes = 2
    transposed = False
    bias: Parameter | None

    def _build(
        self,
        channels: tuple[int, int],
        how: dict[str, Any],
        groups: int,
        bias: bool,
        rng: np.random.Generator | None,
        dtype: DTypeLike,
    ) -> None:
        """Check the arguments, then draw weights and bias, uniform in ±1/√fan_in."""
        name, axes = type(self).__name__, self.axes
        inputs, outputs, groups = counts(
            name, in_channels=channels[0], out_channels=channels[1], groups=groups
        )
        if inputs % groups or outputs % groups:
            message = (
                f"{name}: in_channels={inputs}, out_channels={outputs}, groups={groups}; groups "
                f"must divide both"
            )
            raise ArgumentError(message)
        self.in_channels, self.out_channels = inputs, outputs
        self.kernel_size = numbers_of(name, "kernel_size", how["kernel_size"], 1, axes)
        self.stride = numbers_of(name, "stride", how["stride"], 1, axes)
        self.dilation = numbers_of(name, "dilation", how["dilation"], 1, axes)
        padding = how["padding"]
        if isinstance(padding, str):
            margins_of(name, padding, self.kernel_size, self.stride, self.dilation)
            self.padding: Any = padding
        else:
            self.padding = numbers_of(name, "padding", padding, 0, axes)
        self.groups = groups
        rng = default_generator(rng)
        first, second = (inputs, outputs) if self.transposed else (outputs, inputs)
        shape = (first, second // groups, *self.kernel_size)
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        self.weight = uniform_parameter(shape, bound, rng=rng, dtype=dtype)
        self.bias = None
        if bias:
            self.bias = uniform_parameter((outputs,), bound, rng=rng, dtype=dtype)

    def extra_repr(self) -> str:
        """Return the arguments, those that have their defaults left out."""
        defaults = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1, "groups": 1}
        shown = [f"{self.in_channels}, {self.out_channels}, kernel_size={_short(self.kernel_size)}"]
        for name, default in defaults.items():
            value = _short(getattr(self, name, default))
            if value != default:
                shown.append(f"{name}={value!r}")
        return ", ".join(shown) + ("" if self.bias is not None else ", bias=False")

    def multiply_adds(self, inputs: tuple[Any, ...], output: Any) -> int:
        """Count one for each weight and each place where the kernel is laid."""
        places = inputs[0] if self.transposed else output
        return int(self.weight.size * math.prod(places) // places[-self.axes - 1])


def _short(value: Any) -> Any:
    """Return the one number of a tuple whose numbers are equal."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


class _Correlation(_Convolution):
    """What Conv1d and Conv2d share: the constructor."""

    @guarded
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        """Draw the initial values."""
        how = {
            "kernel_size": kernel_size,
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
        }
        self._build((in_channels, out_channels), how, groups, bias, rng, dtype)


class Conv1d(_Correlation):
    """A kernel of weights slid along sequences: `nn.functional.conv1d`, with its parameters.

    y[n, o, i] = b[o] + Σ W[o, c, k] x[n, c, stride · i + dilation · k − padding]

    ``weight`` is (out_channels, in_channels / groups, kernel_size) and ``bias`` (out_channels,),
    both uniform in ±1/√(in_channels / groups · kernel_size) at first.

    Shapes: x (N, in_channels, L) or (in_channels, L); the output
    (N, out_channels, ⌊(L + 2 padding − dilation (kernel_size − 1) − 1) / stride⌋ + 1).

    Parameters
    ----------
    in_channels, out_channels
        Numbers of channels, above 0.
    kernel_size, stride, dilation
        Numbers above 0.
    padding
        Zeros at both ends, or "same" or "valid".
    groups
        Into how many parts the channels are split, each part seeing only its own.
    bias
        Whether b is there.
    rng
        None is the package's default generator.
    dtype
        Of the parameters.

    Raises
    ------
    ArgumentError
        If arguments do not fit.
    ShapeError
        If an input does not fit.
    """

    axes = 1

    def forward(self, x: Any) -> Tensor:
        """Convolve."""
        return conv1d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class Conv2d(_Correlation):
    """A kernel of weights slid over images: `nn.functional.conv2d`, with its parameters.

    y[n, o, i, j] = b[o] + Σ W[o, c, k, l] x[n, c, stride · i + dilation · k − padding, …]

    ``weight`` is (out_channels, in_channels / groups, kh, kw) and ``bias`` (out_channels,), both
    uniform in ±1/√(in_channels / groups · kh · kw) at first, as in PyTorch; see `nn.init` for
    others. LeCun et al., "Gradient-based learning applied to document recognition", 1998, II.

    Shapes: x (N, in_channels, H, W) or (in_channels, H, W); the output (N, out_channels, H', W'),
    H' = ⌊(H + 2 padding − dilation (kh − 1) − 1) / stride⌋ + 1.

    Parameters
    ----------
    in_channels, out_channels
        Numbers of channels, above 0.
    kernel_size, stride, dilation
        A number or (down, across), above 0.
    padding
        Zeros around the image: a number or (down, across), or "same" (for stride 1) or "valid".
    groups
        Into how many parts the channels are split, each part seeing only its own;
        ``groups=in_channels`` is a depthwise convolution.
    bias
        Whether b is there.
    rng
        None is the package's default generator.
    dtype
        Of the parameters.

    Raises
    ------
    ArgumentError
        If arguments do not fit.
    ShapeError
        If an input does not fit.
    """

    def forward(self, x: Any) -> Tensor:
        """Convolve."""
        return conv2d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class ConvTranspose2d(_Convolution):
    """The gradient of a `Conv2d` in its input, as a layer: `nn.functional.conv_transpose2d`.

    Each x[n, c, i, j] adds W[c, o, k, l] to y[n, o, stride · i + dilation · k − padding, …].

    ``weight`` is (in_channels, out_channels / groups, kh, kw) and ``bias`` (out_channels,), both
    uniform in ±1/√(out_channels / groups · kh · kw) at first, as in PyTorch. Dumoulin & Visin,
    "A guide to convolution arithmetic for deep learning", 2016, section 4.

    Shapes: x (N, in_channels, H, W) or (in_channels, H, W); the output (N, out_channels, H', W'),
    H' = (H − 1) stride − 2 padding + dilation (kh − 1) + output_padding + 1.

    Parameters
    ----------
    in_channels, out_channels
        Numbers of channels, above 0.
    kernel_size, stride, dilation
        A number or (down, across), above 0.
    padding
        What is cut off around the output: a number or (down, across).
    output_padding
        Rows and columns to add at the end, fewer than stride or dilation.
    groups
        Into how many parts the channels are split, each part seeing only its own.
    bias
        Whether b is there.
    dilation
        Steps between the elements of the kernel.
    rng
        None is the package's default generator.
    dtype
        Of the parameters.

    Raises
    ------
    ArgumentError
        If arguments do not fit.
    ShapeError
        If an input does not fit.
    """

    transposed = True

    @guarded
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        """Draw the initial values."""
        name = type(self).__name__
        if isinstance(padding, str):
            message = f"{name}: padding={padding!r} must be a number or a pair"
            raise ArgumentError(message)
        self.output_padding = numbers_of(name, "output_padding", output_padding, 0, 2)
        how = {
            "kernel_size": kernel_size,
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
        }
        steps = (numbers_of(name, what, how[what], 1, 2) for what in ("stride", "dilation"))
        check_output_padding(name, self.output_padding, *steps)
        self._build((in_channels, out_channels), how, groups, bias, rng, dtype)

    def forward(self, x: Any) -> Tensor:
        """Spread x."""
        return conv_transpose2d(
            x,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.dilation,
        )
