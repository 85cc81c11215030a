"""Activations: what follows the product of a layer, element by element, and softmax.

At a kink the gradient is the subgradient of smallest norm.
"""

from typing import Any

import numpy as np

from graphgrad.arguments import CALLED, PositiveFloat, guarded
from graphgrad.engine.domains import Cases, call, elementwise
from graphgrad.engine.op import op
from graphgrad.engine.operands import as_array, operand, shape_of, unwrapped
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError, ShapeError
from graphgrad.ops.choice import keep, where
from graphgrad.ops.elementwise import Elementary
from graphgrad.ops.gaussian import widened
from graphgrad.ops.likelihood import log_softmax as log_softmax, softmax as softmax
from graphgrad.ops.piecewise import clip, heaviside, relu as relu
from graphgrad.ops.reduce import max as largest
from graphgrad.ops.shape import reshape
from graphgrad.ops.transcendental import (
    logsigmoid as logsigmoid,
    sigmoid as sigmoid,
    softplus as _softplus,
    tanh as tanh,
)
from graphgrad.pieces import in_pieces
from graphgrad.typing import Array

# -------------------------------------------------------------------------------- the simplest


def step(x: Array) -> Tensor:
    """Return 1 where x > 0, else 0, at 0 too; NaN stays NaN. Gradient: 0 everywhere."""
    return heaviside(x, 0.0)


def identity(x: Array) -> Array:
    """Return x itself."""
    return operand(x, "identity")


@guarded
def hardtanh(x: Array, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """Return x limited to an interval. Gradient: g strictly inside, else 0.

    Parameters
    ----------
    x
        Any shape.
    min_val, max_val
        The ends of the interval, the first below the second.

    Raises
    ------
    ArgumentError
        If they are not in this order.
    """
    check_interval(min_val, max_val)
    return clip(operand(x, "hardtanh"), min_val, max_val)


def check_interval(min_val: float, max_val: float) -> None:
    """Refuse an interval without an inside."""
    if not min_val < max_val:
        raise ArgumentError(f"{CALLED}: min_val={min_val} must be below max_val={max_val}")


def relu6(x: Array) -> Tensor:
    """Return min(max(x, 0), 6). Gradient: g strictly between, else 0."""
    return clip(operand(x, "relu6"), 0.0, 6.0)


@guarded
def softplus(x: Array, beta: PositiveFloat = 1.0, threshold: float | None = None) -> Tensor:
    """Return log(1 + exp(βx)) / β, exact for x of any size. Gradient: g · σ(βx).

    Parameters
    ----------
    x
        Any shape.
    beta
        How sharply it bends, above 0; for large β it is nearly relu.
    threshold
        Where βx is larger than this, return x. PyTorch has 20, which is wrong by 2e-9 there; no
        number needs it.
    """
    beta = float(beta)
    out: Any = _softplus(x) if beta == 1 else _softplus(beta * as_array(x)) / beta
    if threshold is None:
        return out  # type: ignore[no-any-return]
    return where(beta * unwrapped(as_array(x)) > threshold, x, out)


# ------------------------------------------------------------------------ two slopes and a kink


def _least(slope: Any) -> Array:
    """Return the number of smallest size between a slope and 1."""
    return np.clip(0, np.minimum(slope, 1), np.maximum(slope, 1))


def _leaky_slope(out: Array, negative_slope: float) -> Array:
    """Return 1 where out > 0, else a: by arithmetic, for that takes less time than a choice."""
    slope = (out > 0).astype(out.dtype)
    slope *= 1 - out.dtype.type(negative_slope)  # adding a rounds to 1 again, whatever a is
    slope += negative_slope
    return slope


_LEAKY: Elementary = op(
    lambda x, negative_slope: np.maximum(x, negative_slope * x),
    lambda g, out, negative_slope: g * _leaky_slope(out, negative_slope),
    elementwise=True,
    chooses=lambda x: np.sign(x),
    name="leaky_relu",
    symbol="leaky relu",
    domain=Cases(
        lambda r: call(r(2, 3), 0.01),
        lambda r: call(r(), 0.5),
        lambda r: call(r(0, 2), 0.2),
    ),
    doc="max(x, a x) for 0 < a ≤ 1. Gradient: g where x > 0, else a g, at 0 too.",
)


@guarded
def leaky_relu(x: Array, negative_slope: float = 0.01) -> Tensor:
    """Return x where x > 0, else a · x with a fixed slope a.

    Gradient: g where x > 0, a · g where x < 0; at 0 the smaller of both slopes, and 0 if their
    signs differ.
    """
    if negative_slope == 0:
        return relu(x)
    if 0 < negative_slope <= 1:
        return _LEAKY(x, negative_slope)
    return _PRELU(x, float(negative_slope))


def _prelu_in_x(g: Array, x: Array, weight: Array) -> Array:
    at_zero = _least(unwrapped(weight))  # a constant, else the second derivatives would not commute
    return keep(g, x > 0) + keep(g, x < 0) * weight + keep(g, x == 0) * at_zero


_PRELU: Elementary = op(
    lambda x, weight: np.maximum(x, 0) + weight * np.minimum(x, 0),
    _prelu_in_x,
    lambda g, x: g * keep(x, np.logical_not(x >= 0)),  # as min(x, 0), but flat at 0
    elementwise=True,
    chooses=lambda x: np.sign(x),
    name="prelu",
    symbol="prelu",
    domain=elementwise((-3.0, 3.0), (-2.0, 2.0), avoid=(0.0,)),
    doc=(
        "x where x > 0, else w x. Gradients: g where x > 0, w g where x < 0, at 0 the smaller "
        "slope, 0 if the signs differ; and g min(x, 0)."
    ),
)


@guarded
def prelu(x: Array, weight: Array) -> Tensor:
    """Return x where x > 0, else w · x with a slope w that is learnt.

    He et al., "Delving Deep into Rectifiers", 2015, equation 1. Gradients: as of
    :func:`leaky_relu`, and for w the sum of g · min(x, 0).

    Parameters
    ----------
    x
        (N, C, …), or any shape for a single slope.
    weight
        (1,) or (), one slope for all, or (C,), one for each channel.

    Raises
    ------
    ShapeError
        If there are several slopes, but not one for each channel.
    """
    shape, slopes = shape_of(x, "prelu"), shape_of(weight, "prelu")
    if slopes in ((), (1,)) and shape:
        return _PRELU(x, weight)
    if not slopes or (slopes == (1,) and not shape):
        return _PRELU(x, reshape(weight, ()))
    channels = shape[1] if len(shape) > 1 else None
    if slopes != (channels,):
        message = (
            f"{CALLED}: x {shape}, weight {slopes}; there must be one slope, or one for each "
            "channel of x (N, C, …)"
        )
        raise ShapeError(message)
    return _PRELU(x, reshape(weight, (channels, *(1,) * (len(shape) - 2))))


# ---------------------------------------------------------------------------- exponential units


@widened
def _elu(x: Array, alpha: float) -> Array:
    def piece(x: Array) -> Array:
        y = np.expm1(np.clip(x, -np.inf, 0))  # takes less time than minimum with a number
        y *= alpha
        y += np.clip(x, 0, np.inf)
        return y

    return in_pieces(piece, x)


@widened
def _elu_slope(x: Array, alpha: float) -> Array:
    def piece(x: Array) -> Array:
        y = np.exp(np.clip(x, -np.inf, 0))
        if alpha != 1:
            right = (x >= 0 if alpha > 1 else x > 0).astype(x.dtype)
            y *= alpha
            y *= 1 - right
            y += right
        return y * (x != 0) if alpha < 0 else y

    return in_pieces(piece, x)


_ELU_SLOPE: Elementary = op(
    _elu_slope,
    lambda g, x, alpha: g * keep(alpha * np.exp(np.minimum(x, 0)), x < 0),
    elementwise=True,
    chooses=lambda x: np.sign(x),
    name="elu_slope",
    symbol="elu′",
    domain=Cases(
        lambda r: call(r(2, 3), 1.0),
        lambda r: call(r(2, 3), 0.5),
        lambda r: call(r(), -0.5),
    ),
    doc="1 where x > 0, a eˣ where x < 0, at 0 the smaller. Gradient: g · a eˣ where x < 0.",
)
_ELU: Elementary = op(
    _elu,
    lambda g, x, alpha: g * _ELU_SLOPE(x, alpha),
    elementwise=True,
    chooses=lambda x: np.sign(x),
    name="elu",
    symbol="elu",
    domain=Cases(
        lambda r: call(r(2, 3), 1.0),
        lambda r: call(r(2, 3), 0.5),
        lambda r: call(r(), -0.5),
        lambda r: call(r(0, 2), 1.0),
    ),
    doc="x where x > 0, else a (eˣ − 1). Gradient: g where x > 0, else g · a eˣ.",
)


@guarded
def elu(x: Array, alpha: float = 1.0) -> Tensor:
    """Return x where x > 0, else α (eˣ − 1).

    Clevert et al., "Fast and Accurate Deep Network Learning by Exponential Linear Units", 2016,
    equation 15. Gradient: g where x > 0, g · α eˣ where x < 0; at 0 the smaller of both slopes,
    1 for α = 1, and 0 if their signs differ.
    """
    return _ELU(x, float(alpha))


def selu(x: Array) -> Tensor:
    """Return λ · elu(x, α) with the numbers that keep mean 0 and variance 1 from layer to layer.

    Klambauer et al., "Self-Normalizing Neural Networks", 2017, equation 2. Gradient at 0: λ.
    """
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


# --------------------------------------------------------------------------- largest of several


@guarded
def maxout(x: Array, pieces: int, axis: int = -1) -> Tensor:
    """Return the largest of each group of neighbours along an axis, which gets shorter.

    Goodfellow et al., "Maxout Networks", 2013. Gradient: g to the largest, in equal shares where
    several are.

    Parameters
    ----------
    x
        (…, C, …), C along the axis.
    pieces
        The size k of a group. The output is (…, C / k, …).
    axis
        -1 for the output of ``linear``, 1 for that of a convolution.

    Raises
    ------
    ShapeError
        If the axis is not there, or k does not divide C.
    """
    shape = shape_of(x, "maxout")
    if not -len(shape) <= axis < len(shape) or pieces < 1 or shape[axis] % pieces:
        message = (
            f"{CALLED}: x {shape}, pieces={pieces}, axis={axis}; the length of that axis must be "
            "a multiple of pieces"
        )
        raise ShapeError(message)
    axis %= len(shape)
    groups = (*shape[:axis], shape[axis] // pieces, pieces, *shape[axis + 1 :])
    return largest(reshape(x, groups), axis=axis + 1)
