"""SiLU and GELU: x times a distribution function of x.

They keep x alone, and compute what their slope needs again.
"""

import math

import numpy as np

from graphgrad.arguments import choice, guarded
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.op import op
from graphgrad.engine.tensor import Tensor
from graphgrad.ops.elementwise import REAL, Elementary
from graphgrad.ops.gaussian import bell, for_all_floats, past_underflow, scaled_erfc
from graphgrad.ops.transcendental import sigmoid
from graphgrad.pieces import in_pieces
from graphgrad.typing import Array

_FAR = 1000.0  # where the logistic function is 0 or 1 in every dtype
_NEAR = 22.0  # below −22, that of GELU's polynomial is 0; float16 has the square of 22
_ONE = 9.0  # above, it is 1; up to here its exponential does not overflow


@for_all_floats
def _silu(x: Array) -> Array:
    def piece(x: Array) -> Array:
        below = np.maximum(x, -_FAR)
        y = np.exp(-below)
        y += 1
        return below / y

    with np.errstate(over="ignore"):
        return in_pieces(piece, x)


@for_all_floats
def _silu_slope(x: Array) -> Array:
    def piece(x: Array) -> Array:
        x = np.clip(x, -_FAR, _FAR)
        s = np.exp(-x)  # may overflow: at most denormal numbers are lost
        s += 1
        s = 1 / s
        y = 1 - s
        y *= x
        y += 1
        y *= s
        return y

    with np.errstate(over="ignore"):
        return in_pieces(piece, x)


def _silu_curvature(x: Array) -> Array:
    x = np.clip(x, -_FAR, _FAR)  # x itself would make 0 · ∞ at ±∞
    s, rest = sigmoid(x), sigmoid(-x)
    return s * rest * (2 + x * (rest - s))


_SILU_SLOPE: Elementary = op(
    _silu_slope,
    lambda g, x: g * _silu_curvature(x),
    elementwise=True,
    name="silu_slope",
    symbol="silu′",
    domain=REAL,
    doc="σ (1 + x (1 − σ)). Gradient: g · σ (1 − σ) (2 + x (1 − 2σ)).",
)
_SILU: Elementary = op(
    _silu,
    lambda g, x: g * _SILU_SLOPE(x),
    elementwise=True,
    name="silu",
    symbol="silu",
    domain=REAL,
    doc="x σ(x). Gradient: g · σ (1 + x (1 − σ)).",
)


def silu(x: Array) -> Tensor:
    """Return x · σ(x), also called swish; 0 at −∞, where its slope is 0.

    Elfwing et al., "Sigmoid-Weighted Linear Units", 2017, equation 5.
    """
    return _SILU(x)


_ROOT_HALF = math.sqrt(0.5)
_PEAK = 1 / math.sqrt(2 * math.pi)  # of the normal density
_CUBE = 0.044715
_SCALE = math.sqrt(8 / math.pi)


def _normal_tail(x: Array) -> tuple[Array, Array, Array]:
    """Return a = |x| no larger than makes a difference, erfc(a/√2) exp(a²/2) and exp(−a²/2)."""
    a = np.minimum(np.abs(x), past_underflow(x.dtype) / _ROOT_HALF)
    e = a * a
    e *= -0.5
    return a, scaled_erfc(a * _ROOT_HALF), np.exp(e)


def _gelu_piece(x: Array) -> Array:
    a, y, e = _normal_tail(x)
    y *= a
    y *= e
    y *= -0.5
    y += np.maximum(x, 0)
    return y


def _gelu_slope_piece(x: Array) -> Array:
    a, y, e = _normal_tail(x)
    y *= 0.5
    a *= _PEAK
    y -= a
    y *= e  # the slope at −|x|; that at |x| is 1 less it
    right = (x > 0).astype(x.dtype)
    y *= 1 - 2 * right
    y += right
    return y


def _tanh_gelu_piece(x: Array) -> Array:
    """Return x σ(z): of the left tail of ½ (1 + tanh ½ z), which is the same, no digit is left."""
    t = np.clip(x, -_NEAR, _ONE)
    y = t * t
    y *= _CUBE
    y += 1
    y *= t
    y *= _SCALE
    y = np.exp(y)
    y /= y + 1
    y *= np.clip(x, -_NEAR, np.inf)
    return y


def _tanh_gelu_slope_piece(x: Array) -> Array:
    x = np.clip(x, -_NEAR, _ONE)
    square = x * x
    square *= _CUBE
    x *= _SCALE
    e = np.exp(x * (1 + square))
    square *= 3
    square += 1
    square *= x
    y = 1 + e
    e /= y  # σ(z)
    y = 1 / y  # 1 − σ(z)
    y *= square
    y += 1
    y *= e
    return y


@for_all_floats
def _gelu(x: Array, approximate: str) -> Array:
    return in_pieces(_gelu_piece if approximate == "none" else _tanh_gelu_piece, x)


@for_all_floats
def _gelu_slope(x: Array, approximate: str) -> Array:
    return in_pieces(_gelu_slope_piece if approximate == "none" else _tanh_gelu_slope_piece, x)


def _gelu_curvature(x: Array, approximate: str) -> Array:
    if approximate == "none":
        x = np.clip(x, -40, 40)  # x² itself would make 0 · ∞ at ±∞
        return bell(_ROOT_HALF * x) * (2 - x * x) * _PEAK
    x = np.clip(x, -_NEAR, _NEAR)
    z = _SCALE * x * (1 + _CUBE * x * x)  # σ(z) with its slopes by the chain rule
    first, second = _SCALE * (1 + 3 * _CUBE * x * x), (6 * _SCALE * _CUBE) * x
    s, rest = sigmoid(z), sigmoid(-z)
    peak = s * rest  # first of all, for without it float16 overflows
    return peak * (2 * first) + peak * x * ((rest - s) * first * first + second)


FORMS = ("none", "tanh")
_CASES = Cases(
    lambda r: call(r(2, 3), "none"),
    lambda r: call(r(2, 3), "tanh"),
    lambda r: call(3 * r(5), "none"),
    lambda r: call(r(), "tanh"),
    lambda r: call(r(0, 2), "none"),
)
_GELU_SLOPE: Elementary = op(
    _gelu_slope,
    lambda g, x, approximate: g * _gelu_curvature(x, approximate),
    elementwise=True,
    name="gelu_slope",
    symbol="gelu′",
    domain=_CASES,
    doc="Φ(x) + x φ(x), or the slope of the approximation. Gradient: g · φ(x) (2 − x²), or its.",
)
_GELU: Elementary = op(
    _gelu,
    lambda g, x, approximate: g * _GELU_SLOPE(x, approximate),
    elementwise=True,
    name="gelu",
    symbol="gelu",
    domain=_CASES,
    doc="x Φ(x), or its approximation by tanh. Gradient: g · (Φ(x) + x φ(x)), or its.",
)


@guarded
def gelu(x: Array, approximate: str = "none") -> Tensor:
    """Return x · Φ(x), Φ the normal distribution function; 0 at −∞, where its slope is 0.

    Hendrycks & Gimpel, "Gaussian Error Linear Units", 2016. Exact for negative x too, where
    ½ (1 + erf) cancels.

    Parameters
    ----------
    x
        Any shape.
    approximate
        "none", or "tanh" for ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))).

    Raises
    ------
    ArgumentError
        If ``approximate`` is neither.
    """
    return _GELU(x, choice("gelu", "approximate", approximate, FORMS))
