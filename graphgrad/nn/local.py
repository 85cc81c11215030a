"""Layers that look at windows, with weights of their own at every place."""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import counts, guarded
from graphgrad.engine.tensor import Tensor
from graphgrad.nn.functional.geometry import numbers_of, windows_on
from graphgrad.nn.functional.local import locally_connected2d
from graphgrad.nn.module import Module, Parameter
from graphgrad.randomness import default_generator


class LocallyConnected2d(Module):
    """A convolution that shares nothing: a kernel of its own at every place of the image.

    y[n, o, i, j] = b[o, i, j] + Σ W[i, j, o, c, k, l] x[n, c, stride · i + k − padding, …]

    For images in which every place has its own meaning, such as faces that were all brought into
    the same position; OH · OW times the parameters of a `Conv2d`. ``weight`` is
    (OH, OW, out_channels, in_channels, kh, kw) and ``bias`` (out_channels, OH, OW), both uniform
    in ±1/√(in_channels · kh · kw) at first, as in `Conv2d`. Taigman et al., "DeepFace: closing
    the gap to human-level performance in face verification", 2014, section 3.

    Shapes: x (N, in_channels, H, W) or (in_channels, H, W), of the one size given; the output
    (N, out_channels, OH, OW) with OH = ⌊(H + 2 padding − kh) / stride⌋ + 1.

    Parameters
    ----------
    in_channels, out_channels
        Numbers of channels, above 0.
    input_size
        Height and width of the images: a number or (down, across), above 0.
    kernel_size, stride
        A number or (down, across), above 0.
    padding
        Zeros around the image: a number or (down, across).
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
    DtypeError
        If a number is not whole.
    """

    bias: Parameter | None

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
        """Draw the initial values."""
        name = type(self).__name__
        in_channels, out_channels = counts(name, in_channels=in_channels, out_channels=out_channels)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.input_size = numbers_of(name, "input_size", input_size, 1, 2)
        self.kernel_size = numbers_of(name, "kernel_size", kernel_size, 1, 2)
        self.stride = numbers_of(name, "stride", stride, 1, 2)
        self.padding = numbers_of(name, "padding", padding, 0, 2)
        image = (in_channels, *self.input_size)
        axes = windows_on(name, image, self.kernel_size, self.stride, self.padding, (1, 1))
        places = tuple(axis.out for axis in axes)
        rng = default_generator(rng)
        bound = 1 / math.sqrt(in_channels * math.prod(self.kernel_size))
        shape = (*places, out_channels, in_channels, *self.kernel_size)
        self.weight = Parameter(rng.uniform(-bound, bound, shape).astype(dtype))
        self.bias = None
        if bias:
            draw = rng.uniform(-bound, bound, (out_channels, *places))
            self.bias = Parameter(draw.astype(dtype))

    def forward(self, x: Any) -> Tensor:
        """Score every window with the kernel of its place."""
        return locally_connected2d(x, self.weight, self.bias, self.stride, self.padding)

    def extra_repr(self) -> str:
        """Return the arguments, those that have their defaults left out."""
        how = {name: getattr(self, name) for name in ("input_size", "kernel_size", "stride")}
        how |= {"padding": self.padding}
        defaults = {"stride": (1, 1), "padding": (0, 0)}
        shown = [f"{name}={_short(v)}" for name, v in how.items() if v != defaults.get(name)]
        without = [] if self.bias is not None else ["bias=False"]
        return ", ".join([f"{self.in_channels}, {self.out_channels}", *shown, *without])

    def multiply_adds(self, inputs: tuple[Any, ...], output: Any) -> int:  # noqa: ARG002
        """Count one for each weight and image."""
        return int(self.weight.size * math.prod(output[:-3]))


def _short(pair: tuple[int, ...]) -> Any:
    """Return the one number of a pair of equal ones."""
    return pair[0] if len(set(pair)) == 1 else pair
