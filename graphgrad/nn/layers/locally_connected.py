"""Layers that look at windows, with weights of their own at every place."""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import counts, guarded
from graphgrad.engine.tensor import Tensor
from graphgrad.nn.functional.local import locally_connected2d
from graphgrad.nn.kernels.geometry import numbers_of, window_sizes, windows_on
from graphgrad.nn.layers.function_layers import WeightedLayer, computes
from graphgrad.typing import Array


@computes(locally_connected2d)
class LocallyConnected2d(WeightedLayer):
    """A convolution that shares nothing: ``nn.functional.locally_connected2d``.

    For images in which every place has its own meaning, such as faces that were all brought into
    the same position; OH · OW times the parameters of a `Conv2d`. ``weight`` is
    (OH, OW, out_channels, in_channels, kh, kw) and ``bias`` (out_channels, OH, OW), both uniform
    in ±1/√(in_channels · kh · kw) at first, as in `Conv2d`; ``input_size`` is the one size of
    images that it takes, a number or (down, across). Taigman et al., "DeepFace: closing the gap
    to human-level performance in face verification", 2014, section 3.
    """

    by_name = ("input_size", "kernel_size")
    axes_of_sample = 3

    @guarded
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        input_size: Any,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        name = type(self).__name__
        in_channels, out_channels = counts(name, in_channels=in_channels, out_channels=out_channels)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.input_size = numbers_of(name, "input_size", input_size, 1, 2)
        sizes = window_sizes(name, 2, kernel_size, stride, padding)
        self.kernel_size, self.stride, self.padding, _ = sizes
        axes = windows_on(name, (in_channels, *self.input_size), *sizes)
        places = tuple(axis.out for axis in axes)
        kernel = (in_channels, *self.kernel_size)
        biases = (out_channels, *places) if bias else None
        self._draw((*places, out_channels, *kernel), biases, math.prod(kernel), rng, dtype)

    def forward(self, x: Array) -> Tensor:
        """Score every window with the kernel of its place."""
        return locally_connected2d(x, self.weight, self.bias, self.stride, self.padding)
