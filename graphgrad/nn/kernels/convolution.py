"""Convolutions, as every network library means them: the kernel is not flipped.

Three maps, each linear in either input and each other's gradients, so that the family is closed
to every order: x, W → y (convolution), y, W → x (transposed convolution), x, y → W.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from graphgrad.engine.domains import Cases, call
from graphgrad.engine.graph import Absent
from graphgrad.engine.op import Op, op
from graphgrad.engine.tensor import Tensor
from graphgrad.nn.kernels.correlation import Axis, correlate, correlate_with
from graphgrad.nn.kernels.geometry import windows_on
from graphgrad.typing import Array

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]  # (top, bottom), (left, right)

# ------------------------------------------------------------------------------ three maps


def _axes(
    sizes: Any, outs: Any, kernel: Array, stride: Pair, padding: Padding, dilation: Pair
) -> list[Axis]:
    return [
        Axis(sizes[i], outs[i], kernel[i], stride[i], dilation[i], padding[i][0]) for i in (0, 1)
    ]


def _conv2d(
    x: Array,
    weight: Array,
    bias: Array,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Array:
    down, across = windows_on("conv2d", x.shape, weight.shape[2:], stride, padding, dilation)
    dtype = np.result_type(x, weight, bias)
    out = np.empty_like(x, dtype, shape=(len(x), len(weight), down.out, across.out))
    correlate(x, weight, bias, out, down, across, groups)
    return out


def _phases(axis: Axis) -> list[tuple[slice, slice, Axis]]:
    """Split the elements of an axis by the taps that they meet, as many kinds as the stride.

    For each kind, in the image and in the reversed kernel, return its places and the correlation,
    of stride 1, by which the upstream gradient reaches them.
    """
    kinds = []
    step = axis.stride // math.gcd(axis.stride, axis.dilation)
    for phase in range(axis.stride):
        taps = [k for k in range(axis.kernel) if (axis.dilation * k - phase) % axis.stride == 0]
        first = (phase - axis.before) % axis.stride  # element of the image
        count = len(range(first, axis.size, axis.stride))
        if not count:
            continue
        ahead = (axis.dilation * taps[-1] - phase) // axis.stride if taps else 0
        before = ahead - (first + axis.before - phase) // axis.stride
        dilation = axis.dilation * step // axis.stride
        kinds.append(
            (
                slice(first, None, axis.stride),
                slice(axis.kernel - 1 - taps[-1], None, step) if taps else slice(0),
                Axis(axis.out, count, len(taps), 1, dilation, before),
            )
        )
    return kinds


def _conv_transpose2d(
    y: Array,
    weight: Array,
    bias: Array,
    size: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Array:
    kernel = weight.shape[2:]
    channels = weight.shape[1]
    down, across = _axes(size, y.shape[2:], kernel, stride, padding, dilation)
    dtype = np.result_type(y, weight, bias)
    out = np.empty_like(y, dtype, shape=(len(y), channels * groups, *size))
    turned = (
        weight.reshape(groups, -1, channels, *kernel)[..., ::-1, ::-1]
        .swapaxes(1, 2)
        .reshape(groups * channels, -1, *kernel)
    )
    for rows, taps_down, axis_down in _phases(down):
        for columns, taps_across, axis_across in _phases(across):
            target = out[:, :, rows, columns]
            if axis_down.kernel and axis_across.kernel:
                part = turned[:, :, taps_down, taps_across]
                correlate(y, part, bias, target, axis_down, axis_across, groups)
            else:
                target[...] = bias.reshape(-1, 1, 1) if np.ndim(bias) else bias
    return out


def _conv2d_weight_grad(
    x: Array, y: Array, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> Array:
    down, across = _axes(x.shape[2:], y.shape[2:], kernel, stride, padding, dilation)
    return correlate_with(x, y, down, across, groups).astype(np.result_type(x, y), copy=False)


def _over_images(g: Array) -> Array:
    return np.sum(g, axis=(0, 2, 3))


class _Kind(NamedTuple):
    """The shapes of a convolution, and how it is done."""

    x: tuple[int, ...]
    weight: tuple[int, ...]
    stride: Pair = (1, 1)
    padding: Padding = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def y(self) -> tuple[int, ...]:
        """The shape of the output."""
        down, across = windows_on("conv2d", self.x, self.weight[2:], *self[2:5])
        return (self.x[0], self.weight[0], down.out, across.out)


_KINDS = (
    _Kind((2, 1, 3, 3), (2, 1, 2, 2)),
    _Kind((1, 2, 4, 3), (1, 2, 2, 3), (2, 1), ((1, 1), (1, 1))),
    _Kind((1, 2, 3, 5), (2, 1, 2, 2), (1, 2), ((0, 1), (1, 0)), (2, 3), 2),
    _Kind((2, 2, 2, 3), (1, 2, 1, 1)),
    _Kind((1, 2, 5, 5), (2, 2, 1, 2), (3, 3), ((0, 0), (2, 2)), (1, 2)),
    _Kind((0, 1, 3, 3), (1, 1, 2, 2)),
    _Kind((1, 1, 2, 2), (1, 1, 1, 2)),
)


def _cases(make: Any) -> Cases:
    """Make a typical call for each kind of convolution."""
    return Cases(*[lambda r, k=k: call(*make(r, k), *k[2:]) for k in _KINDS])


CONV2D: Op[Tensor] = op(
    _conv2d,
    lambda g, weight, x_shape, stride, padding, dilation, groups: CONV_TRANSPOSE2D(
        g, weight, Absent(0.0), x_shape[2:], stride, padding, dilation, groups
    ),
    lambda g, x, weight_shape, stride, padding, dilation, groups: CONV2D_WEIGHT_GRAD(
        x, g, weight_shape[2:], stride, padding, dilation, groups
    ),
    _over_images,
    name="conv2d",
    symbol="conv2d",
    domain=_cases(lambda r, k: (r(*k.x), r(*k.weight), r(k.weight[0]))),
    doc="x correlated with the weight, + bias. Gradients: the other two maps of the family.",
)
CONV_TRANSPOSE2D: Op[Tensor] = op(
    _conv_transpose2d,
    lambda g, weight, stride, padding, dilation, groups: CONV2D(
        g, weight, Absent(0.0), stride, padding, dilation, groups
    ),
    lambda g, y, weight_shape, stride, padding, dilation, groups: CONV2D_WEIGHT_GRAD(
        g, y, weight_shape[2:], stride, padding, dilation, groups
    ),
    _over_images,
    name="conv_transpose2d",
    symbol="conv2dᵀ",
    domain=_cases(lambda r, k: (r(*k.y), r(*k.weight), r(k.weight[1] * k.groups), k.x[2:])),
    doc="The gradient of conv2d in x, + bias. Gradients: conv2d, and its gradient in the weight.",
)
CONV2D_WEIGHT_GRAD: Op[Tensor] = op(
    _conv2d_weight_grad,
    lambda g, y, x_shape, stride, padding, dilation, groups: CONV_TRANSPOSE2D(
        y, g, Absent(0.0), x_shape[2:], stride, padding, dilation, groups
    ),
    lambda g, x, stride, padding, dilation, groups: CONV2D(
        x, g, Absent(0.0), stride, padding, dilation, groups
    ),
    name="conv2d_weight_grad",
    symbol="conv2d ∂W",
    domain=_cases(lambda r, k: (r(*k.x), r(*k.y), k.weight[2:])),
    doc="The gradient of conv2d in the weight. Gradients: conv2d and conv_transpose2d with g.",
)
