"""Windows with weights of their own at every place.

Three maps, each linear in either input and each other's gradients, so that the family is closed
to every order: x, W → y (scores of windows), y, W → x (its transpose), x, y → W.
"""

from typing import Any

import numpy as np

from graphgrad.engine.domains import Cases, call
from graphgrad.engine.graph import Absent
from graphgrad.engine.op import Op, op
from graphgrad.engine.operands import shape_of
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ShapeError
from graphgrad.nn.functional.matrix_products import bias_of
from graphgrad.nn.functional.windows import windows_added, windows_of
from graphgrad.nn.kernels.correlation import Axis
from graphgrad.nn.kernels.geometry import image_of, window_sizes, windows_on
from graphgrad.typing import Array

# Of arrays: x (N, C, H, W), y (N, O, OH, OW), weight (OH, OW, O, C, KH, KW). A product per place.


def _by_place(y: Array, wide: Array) -> Array:
    """See outputs (N, O, OH, OW) as (OH · OW, N, O)."""
    n, channels, height, width = y.shape
    return y.transpose(2, 3, 0, 1).reshape(height * width, n, channels).astype(wide, copy=False)


def _rows(x: Array, down: Axis, across: Axis, wide: Array) -> Array:
    """Write windows as rows, place by place: (OH · OW, N, C · KH · KW)."""
    n, channels = x.shape[:2]
    seen = windows_of(x, down, across).transpose(2, 3, 0, 1, 4, 5)
    row = channels * down.kernel * across.kernel
    return seen.reshape(down.out * across.out, n, row).astype(wide, copy=False)


def _matrices(weight: Array, wide: Array) -> Array:
    """See the weight as a matrix for each place: (OH · OW, O, C · KH · KW)."""
    height, width, outputs, channels, kh, kw = weight.shape
    shape = (height * width, outputs, channels * kh * kw)
    return weight.reshape(shape).astype(wide, copy=False)


def _wide(*arrays: Array) -> tuple[Array, Array]:
    """Return the dtype of the result and that of the sums, single precision for halves."""
    dtype = np.result_type(*arrays)
    return dtype, np.promote_types(dtype, np.float32)


def _locally_connected2d(x: Array, weight: Array, bias: Array, down: Axis, across: Axis) -> Array:
    dtype, wide = _wide(x, weight, bias)
    rows = _rows(x, down, across, wide)
    found = rows @ _matrices(weight, wide).swapaxes(-1, -2)
    out = found.reshape(down.out, across.out, *found.shape[1:]).transpose(2, 3, 0, 1) + bias
    return out.astype(dtype, copy=False)


def _transposed(y: Array, weight: Array, down: Axis, across: Axis) -> Array:
    dtype, wide = _wide(y, weight)
    height, width, _, channels, kh, kw = weight.shape
    rows = _by_place(y, wide) @ _matrices(weight, wide)
    windows = rows.reshape(height, width, len(y), channels, kh, kw).transpose(2, 3, 0, 1, 4, 5)
    return windows_added(windows, down, across).astype(dtype, copy=False)


def _weight_grad(x: Array, y: Array, down: Axis, across: Axis) -> Array:
    dtype, wide = _wide(x, y)
    found = _by_place(y, wide).swapaxes(-1, -2) @ _rows(x, down, across, wide)
    shape = (down.out, across.out, y.shape[1], x.shape[1], down.kernel, across.kernel)
    return found.reshape(shape).astype(dtype, copy=False)


def _over_images(g: Array) -> Array:
    return np.sum(g, axis=0)


Kind = tuple[tuple[int, ...], int, Axis, Axis]  # x, outputs, down, across
_KINDS: tuple[Kind, ...] = (
    ((2, 2, 3, 3), 2, Axis(3, 2, 2), Axis(3, 2, 2)),
    ((1, 2, 5, 4), 1, Axis(5, 2, 3, 2), Axis(4, 3, 2)),
    ((2, 1, 3, 4), 3, Axis(3, 3, 3, 1, 1, 1), Axis(4, 2, 2, 3, 1, 1)),
    ((1, 1, 1, 3), 1, Axis(1, 1, 1), Axis(3, 2, 2)),
    ((0, 1, 3, 3), 2, Axis(3, 2, 2), Axis(3, 2, 2)),
)


def _cases(make: Any) -> Cases:
    """Make a typical call for each kind, from arrays x, y and weight, and the axes."""

    def case(r: Array, kind: Kind) -> Array:
        shape, outputs, down, across = kind
        places = down.out, across.out
        y = r(shape[0], outputs, *places)
        weight = r(*places, outputs, shape[1], down.kernel, across.kernel)
        return call(*make(r(*shape), y, weight), down, across)

    return Cases(*[lambda r, k=kind: case(r, k) for kind in _KINDS])


_LOCALLY_CONNECTED2D: Op[Tensor] = op(
    _locally_connected2d,
    lambda g, weight, down, across: _LOCALLY_CONNECTED2D_TRANSPOSED(g, weight, down, across),
    lambda g, x, down, across: _LOCALLY_CONNECTED2D_WEIGHT_GRAD(x, g, down, across),
    _over_images,
    name="locally_connected2d",
    symbol="local",
    domain=_cases(lambda x, _, weight: (x, weight, weight[..., 0, 0, 0].transpose(2, 0, 1))),
    doc="Windows times the weights of their place, + bias. Gradients: the other two maps.",
)
_LOCALLY_CONNECTED2D_TRANSPOSED: Op[Tensor] = op(
    _transposed,
    lambda g, weight, down, across: _LOCALLY_CONNECTED2D(g, weight, Absent(0.0), down, across),
    lambda g, y, down, across: _LOCALLY_CONNECTED2D_WEIGHT_GRAD(g, y, down, across),
    name="locally_connected2d_transposed",
    symbol="localᵀ",
    domain=_cases(lambda _, y, weight: (y, weight)),
    doc="The gradient of locally_connected2d in x. Gradients: the other two maps.",
)
_LOCALLY_CONNECTED2D_WEIGHT_GRAD: Op[Tensor] = op(
    _weight_grad,
    lambda g, y, down, across: _LOCALLY_CONNECTED2D_TRANSPOSED(y, g, down, across),
    lambda g, x, down, across: _LOCALLY_CONNECTED2D(x, g, Absent(0.0), down, across),
    name="locally_connected2d_weight_grad",
    symbol="local ∂W",
    domain=_cases(lambda x, y, _: (x, y)),
    doc="The gradient of locally_connected2d in the weight. Gradients: the other two maps.",
)


def locally_connected2d(
    x: Array, weight: Array, bias: Array = None, stride: Any = 1, padding: Any = 0
) -> Tensor:
    """Correlate images with a kernel of its own at every place: `conv2d` without shared weights.

    y[n, o, i, j] = b[o, i, j] + Σ W[i, j, o, c, k, l] x[n, c, stride · i + k − padding, …], where
    x is 0 outside. As one kernel serves one place, an image must have the size that gives as
    many places as the weight has.

    Parameters
    ----------
    x
        (N, C, H, W), or (C, H, W) for a single image.
    weight
        (OH, OW, O, C, KH, KW): ``weight[i, j]`` is what a `conv2d` takes for its weight.
    bias
        (O, OH, OW), or None.
    stride
        A number, or one for each axis, above 0.
    padding
        Zeros at both ends: a number, or one for each axis.

    Returns
    -------
    Tensor
        (N, O, OH, OW) with OH = ⌊(H + 2 padding − KH) / stride⌋ + 1.

    Raises
    ------
    ShapeError
        If the arguments do not fit.
    DtypeError
        If a number is not whole.
    """
    name = "locally_connected2d"
    x = image_of(name, x)
    shape = shape_of(weight, name)
    if len(shape) != 6 or 0 in shape:
        message = f"{name}: weight {shape} must be (OH, OW, O, C, KH, KW), none of them 0"
        raise ShapeError(message)
    if x.shape[-3] != shape[3]:
        message = f"{name}: x {x.shape} has {x.shape[-3]} channels, weight {shape} wants"
        raise ShapeError(f"{message} {shape[3]}")
    sizes = window_sizes(name, 2, shape[4:], stride, padding)
    down, across = windows_on(name, x.shape, *sizes)
    if (down.out, across.out) != shape[:2]:
        message = (
            f"{name}: x {x.shape} has {down.out} × {across.out} places, weight {shape} one kernel "
            f"for each of {shape[0]} × {shape[1]}: it serves one size of image"
        )
        raise ShapeError(message)
    bias = bias_of(name, bias, shape, (shape[2], *shape[:2]))
    single = x.ndim == 3
    out = _LOCALLY_CONNECTED2D(x[None] if single else x, weight, bias, down, across)
    return out[0] if single else out
