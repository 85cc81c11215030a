"""Layers that convolve: one kernel for all places."""

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import counts, guarded
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError
from graphgrad.nn.functional.convolution import (
    check_output_padding,
    conv1d,
    conv2d,
    conv_transpose1d,
    conv_transpose2d,
    padding_of,
)
from graphgrad.nn.kernels.geometry import numbers_of
from graphgrad.nn.layers.function_layers import WeightedLayer, computes
from graphgrad.typing import Array


class _Convolution(WeightedLayer):
    """What the layers share: arguments, initial values, repr."""

    axes: ClassVar[int] = 2
    transposed: ClassVar[bool] = False
    by_name = ("kernel_size",)
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Any  # one number for each axis, or a word

    def _keep(self, in_channels: int, out_channels: int, groups: int, **sizes: Any) -> None:
        """Check the arguments and keep them, the sizes as one number for each axis."""
        name, axes = type(self).__name__, self.axes
        self.in_channels, self.out_channels, self.groups = counts(
            name, in_channels=in_channels, out_channels=out_channels, groups=groups
        )
        if in_channels % groups or out_channels % groups:
            message = (
                f"{name}: in_channels={in_channels}, out_channels={out_channels}, "
                f"groups={groups}; groups must divide both"
            )
            raise ArgumentError(message)
        for what, value in sizes.items():
            least = 0 if "padding" in what else 1
            setattr(self, what, numbers_of(name, what, value, least, axes))

    def _draw_kernel(self, bias: bool, rng: np.random.Generator | None, dtype: DTypeLike) -> None:
        inputs, outputs = self.in_channels, self.out_channels
        first, second = (inputs, outputs) if self.transposed else (outputs, inputs)
        kernel = (second // self.groups, *self.kernel_size)
        self._draw((first, *kernel), (outputs,) if bias else None, math.prod(kernel), rng, dtype)

    def multiply_adds(self, inputs: tuple[Array, ...], output: Array) -> int:
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
        sizes = {"kernel_size": kernel_size, "stride": stride, "dilation": dilation}
        self._keep(in_channels, out_channels, groups, **sizes)
        name = type(self).__name__
        pairs = padding_of(name, padding, self.kernel_size, self.stride, self.dilation)
        self.padding = padding if isinstance(padding, str) else tuple(before for before, _ in pairs)
        self._draw_kernel(bias, rng, dtype)

    def forward(self, x: Array) -> Tensor:
        """Convolve."""
        return self._function(  # type: ignore[no-any-return]
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


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
    output_padding: tuple[int, ...]

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
        sizes = {"kernel_size": kernel_size, "stride": stride, "dilation": dilation}
        paddings = {"padding": padding, "output_padding": output_padding}
        self._keep(in_channels, out_channels, groups, **sizes, **paddings)
        check_output_padding(type(self).__name__, self.output_padding, self.stride, self.dilation)
        self._draw_kernel(bias, rng, dtype)

    def forward(self, x: Array) -> Tensor:
        """Spread x."""
        return self._function(  # type: ignore[no-any-return]
            x,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.dilation,
        )


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
