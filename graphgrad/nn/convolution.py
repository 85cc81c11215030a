"""Layers that convolve: one kernel for all places."""

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import counts, guarded
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError
from graphgrad.nn.function_layers import Layer, computes
from graphgrad.nn.functional.convolution import (
    check_output_padding,
    conv1d,
    conv2d,
    conv_transpose1d,
    conv_transpose2d,
    margins_of,
)
from graphgrad.nn.functional.geometry import numbers_of
from graphgrad.nn.init import uniform_parameter
from graphgrad.nn.module import Parameter
from graphgrad.randomness import default_generator


class _Convolution(Layer):
    """What the layers share: arguments, initial values, repr."""

    axes: ClassVar[int] = 2
    transposed: ClassVar[bool] = False
    by_name = ("kernel_size",)
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
        if isinstance(padding, str) and not self.transposed:
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
        self.bias = uniform_parameter((outputs,), bound, rng=rng, dtype=dtype) if bias else None

    def multiply_adds(self, inputs: tuple[Any, ...], output: Any) -> int:
        """Count one for each weight and each place where the kernel is laid."""
        places = inputs[0] if self.transposed else output
        return int(self.weight.size * math.prod(places) // places[-self.axes - 1])


class _Correlation(_Convolution):
    """What Conv1d and Conv2d share."""

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

    def forward(self, x: Any) -> Tensor:
        """Convolve."""
        convolve = conv1d if self.axes == 1 else conv2d
        how = (self.stride, self.padding, self.dilation, self.groups)
        return convolve(x, self.weight, self.bias, *how)


@computes(conv1d)
class Conv1d(_Correlation):
    """A kernel of weights slid along sequences: ``nn.functional.conv1d``.

    ``weight`` is (out_channels, in_channels / groups, kernel_size) and ``bias`` (out_channels,),
    both uniform in ±1/√(in_channels / groups · kernel_size) at first.
    """

    axes = 1


@computes(conv2d)
class Conv2d(_Correlation):
    """A kernel of weights slid over images: ``nn.functional.conv2d``.

    ``weight`` is (out_channels, in_channels / groups, kh, kw) and ``bias`` (out_channels,), both
    uniform in ±1/√(in_channels / groups · kh · kw) at first, as in PyTorch; see `nn.init` for
    others. ``groups=in_channels`` is a depthwise convolution. LeCun et al., "Gradient-based
    learning applied to document recognition", 1998, II.
    """


class _Transposed(_Convolution):
    """What ConvTranspose1d and ConvTranspose2d share."""

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
        name, axes = type(self).__name__, self.axes
        self.output_padding = numbers_of(name, "output_padding", output_padding, 0, axes)
        how = {
            "kernel_size": kernel_size,
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
        }
        steps = (numbers_of(name, what, how[what], 1, axes) for what in ("stride", "dilation"))
        check_output_padding(name, self.output_padding, *steps)
        self._build((in_channels, out_channels), how, groups, bias, rng, dtype)

    def forward(self, x: Any) -> Tensor:
        """Spread x."""
        spread = conv_transpose1d if self.axes == 1 else conv_transpose2d
        how = (self.stride, self.padding, self.output_padding, self.groups, self.dilation)
        return spread(x, self.weight, self.bias, *how)


@computes(conv_transpose1d)
class ConvTranspose1d(_Transposed):
    """The gradient of a `Conv1d` in its input, as a layer: ``nn.functional.conv_transpose1d``.

    ``weight`` is (in_channels, out_channels / groups, kernel_size) and ``bias`` (out_channels,),
    both uniform in ±1/√(out_channels / groups · kernel_size) at first, as in PyTorch.
    """

    axes = 1


@computes(conv_transpose2d)
class ConvTranspose2d(_Transposed):
    """The gradient of a `Conv2d` in its input, as a layer: ``nn.functional.conv_transpose2d``.

    ``weight`` is (in_channels, out_channels / groups, kh, kw) and ``bias`` (out_channels,), both
    uniform in ±1/√(out_channels / groups · kh · kw) at first, as in PyTorch. Dumoulin & Visin,
    "A guide to convolution arithmetic for deep learning", 2016, section 4.
    """
