"""Elementwise exponentials, logarithms, trigonometric and hyperbolic functions.

Where the output is a cheap way to the derivative, the rule keeps the output, not the input.
"""

import numpy as np

from graphgrad.engine.domains import Cases, call, elementwise
from graphgrad.engine.graph import Recorded
from graphgrad.engine.op import TABLE, op
from graphgrad.ops.elementwise import PAIR, POSITIVE, REAL, Elementary
from graphgrad.ops.gaussian import for_all_floats
from graphgrad.pieces import in_pieces
from graphgrad.typing import Array

LN2 = float(np.log(2.0))
LOG10_E = 1 / float(np.log(10.0))
INSIDE = elementwise((-0.9, 0.9))

# -------------------------------------------------------------- exponentials, logarithms

exp: Elementary = op(
    np.exp,
    lambda g, out: g * out,
    symbol="exp",
    domain=REAL,
    doc="eˣ. Gradient: g · eˣ.",
)
exp2: Elementary = op(
    np.exp2,
    lambda g, out: g * out * LN2,
    symbol="2ˣ",
    domain=REAL,
    doc="2ˣ. Gradient: g · 2ˣ · ln 2.",
)
expm1: Elementary = op(
    np.expm1,
    lambda g, x: g * np.exp(x),  # 1 + out would lose all digits for very negative x
    symbol="expm1",
    domain=REAL,
    doc="eˣ − 1, accurate near 0. Gradient: g · eˣ.",
)
log: Elementary = op(
    np.log,
    lambda g, x: g / x,
    symbol="log",
    domain=POSITIVE,
    doc="Natural logarithm. Gradient: g / x, infinite at 0.",
)
log2: Elementary = op(
    np.log2,
    lambda g, x: g / (LN2 * x),
    symbol="log2",
    domain=POSITIVE,
    doc="Logarithm to base 2. Gradient: g / (x · ln 2).",
)
log10: Elementary = op(
    np.log10,
    lambda g, x: g * LOG10_E / x,
    symbol="log10",
    domain=POSITIVE,
    doc="Logarithm to base 10. Gradient: g / (x · ln 10).",
)
log1p: Elementary = op(
    np.log1p,
    lambda g, x: g / (1 + x),
    symbol="log1p",
    domain=elementwise((-0.7, 3.0)),
    doc="log(1 + x), accurate near 0. Gradient: g / (1 + x).",
)


def _difference(x: Array, y: Array) -> Array:
    """Return x − y, and 0 for equal infinities."""
    return np.where((x == y) & np.isinf(x), 0, x - y)


logaddexp: Elementary = op(
    np.logaddexp,
    lambda g, x, y: g * sigmoid(_difference(x, y)),
    lambda g, x, y: g * sigmoid(_difference(y, x)),
    symbol="logaddexp",
    domain=PAIR,
    doc=(
        "log(eˣ + eʸ). Gradients: g · σ(x − y) and g · σ(y − x); half each where both are the "
        "same infinity."
    ),
)
logaddexp2: Elementary = op(
    np.logaddexp2,
    lambda g, x, y: g * sigmoid(LN2 * _difference(x, y)),
    lambda g, x, y: g * sigmoid(LN2 * _difference(y, x)),
    symbol="logaddexp2",
    domain=PAIR,
    doc=(
        "log2(2ˣ + 2ʸ). Gradients: g · 2ˣ / (2ˣ + 2ʸ) and g · 2ʸ / (2ˣ + 2ʸ); half each where "
        "both are the same infinity."
    ),
)

# ---------------------------------------------------------------------- the logistic family


_ONE = 40.0  # where the logistic function is 1 in every dtype, and its exponential still finite


@for_all_floats
def _sigmoid(x: Array) -> Array:
    def piece(x: Array) -> Array:
        y = np.exp(np.minimum(x, _ONE))
        y /= y + 1
        return y

    return in_pieces(piece, x)


@for_all_floats
def _softplus(x: Array) -> Array:
    return in_pieces(lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), x)


@for_all_floats
def _logsigmoid(x: Array) -> Array:
    return in_pieces(lambda x: np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))), x)


sigmoid: Elementary = op(
    _sigmoid,
    lambda g, out: g * (out * (1 - out)),
    elementwise=True,
    name="sigmoid",
    symbol="σ",
    domain=REAL,
    doc="1 / (1 + e⁻ˣ), for x of any size. Gradient: g · σ (1 − σ).",
)
softplus: Elementary = op(
    _softplus,
    lambda g, x: g * sigmoid(x),
    elementwise=True,
    name="softplus",
    symbol="softplus",
    domain=REAL,
    doc="log(1 + eˣ), for x of any size. Gradient: g · σ(x).",
)
logsigmoid: Elementary = op(
    _logsigmoid,
    lambda g, x: g * sigmoid(-x),
    elementwise=True,
    name="logsigmoid",
    symbol="log σ",
    domain=REAL,
    doc="log(1 / (1 + e⁻ˣ)), for x of any size. Gradient: g · σ(−x).",
)
TABLE.update(sigmoid=sigmoid, softplus=softplus, logsigmoid=logsigmoid)

# -------------------------------------------------------------------------- trigonometry

sin: Elementary = op(
    np.sin,
    lambda g, x: g * np.cos(x),
    symbol="sin",
    domain=REAL,
    doc="Sine. Gradient: g · cos x.",
)
cos: Elementary = op(
    np.cos,
    lambda g, x: -g * np.sin(x),
    symbol="cos",
    domain=REAL,
    doc="Cosine. Gradient: −g · sin x.",
)
tan: Elementary = op(
    np.tan,
    lambda g, out: g * (1 + out * out),
    symbol="tan",
    domain=elementwise((-1.3, 1.3)),
    doc="Tangent. Gradient: g · (1 + tan² x).",
)
# Exact near ±1, unlike 1 - x * x. A separate op: the product rule on the two factors would give
# 0 · ∞ for second derivatives at ±1.
one_minus_square: Elementary = op(
    lambda x: (1 - x) * (1 + x),
    lambda g, x: g * (-2 * x),
    elementwise=True,
    name="one_minus_square",
    symbol="1−x²",
    domain=REAL,
    doc="1 − x². Gradient: −2 g · x.",
)
arcsin: Elementary = op(
    np.arcsin,
    lambda g, x: g / np.sqrt(one_minus_square(x)),
    symbol="arcsin",
    domain=INSIDE,
    doc="Inverse sine. Gradient: g / √(1 − x²), infinite at ±1.",
)
arccos: Elementary = op(
    np.arccos,
    lambda g, x: -g / np.sqrt(one_minus_square(x)),
    symbol="arccos",
    domain=INSIDE,
    doc="Inverse cosine. Gradient: −g / √(1 − x²), infinite at ±1.",
)
arctan: Elementary = op(
    np.arctan,
    lambda g, x: g / (1 + x * x),
    symbol="arctan",
    domain=REAL,
    doc="Inverse tangent. Gradient: g / (1 + x²).",
)


def _by_radius(g: Array, a: Array, x: Array, y: Array) -> Array:
    """Return g · a / (x² + y²) without squaring, and 0 at (0, 0)."""
    radius = np.hypot(x, y)
    return np.where(radius == 0, 0, g * (a / radius) / radius)


arctan2: Elementary = op(
    np.arctan2,
    lambda g, x, y: _by_radius(g, y, x, y),
    lambda g, x, y: -_by_radius(g, x, x, y),
    chooses=lambda x, y: np.where(y <= 0, np.sign(x), 2),
    symbol="arctan2",
    domain=elementwise((-3.0, 3.0), (0.3, 3.0)),
    doc=(
        "The angle of the point whose ordinate is x and whose abscissa is y. Gradients: "
        "g · y / (x² + y²) and −g · x / (x² + y²), both 0 at (0, 0)."
    ),
)


def _sinc_derivative(x: Array, n: int) -> Array:
    """Compute the n-th derivative of sin z / z at z = π x, times πⁿ.

    Far from 0 by z sₙ = sin⁽ⁿ⁾ z − n sₙ₋₁ (the product rule on z s₀ = sin z), whose division
    by z loses digits near 0; there by the series, which loses them far from 0. Sine and cosine
    are those of x less an integer, for π x is rounded.
    """
    x, dtype = x.astype(float), x.dtype
    z = np.pi * x
    border = max(2, n)
    near = np.abs(z) < border
    inner, outer = np.where(near, z, 0), np.where(near, border, z)
    first = (n + 1) // 2
    term = inner if n % 2 else np.ones_like(inner)
    series = np.zeros_like(inner)
    for k in range(first, first + 2 * n + 11):  # Σ (−1)ᵏ zᵖ / ((2k + 1) p!), p = 2k − n
        p = 2 * k - n
        series = series + (-1) ** k * term / (2 * k + 1)
        term = term * inner * inner / ((p + 1) * (p + 2))
    whole = np.rint(x)
    half = 0.5 * whole
    sign = 1 - 4 * np.abs(half - np.rint(half))  # of whole turns or half ones
    rest = x - whole
    sine, cosine = sign * np.sin(np.pi * rest), sign * np.sin(np.pi * (0.5 - np.abs(rest)))
    far = sine / outer
    for k in range(1, n + 1):
        far = ((sine, cosine, -sine, -cosine)[k % 4] - k * far) / outer
    return (np.pi**n * np.where(near, series, far)).astype(dtype)[()]


sinc: Elementary = op(
    np.sinc,
    lambda g, x: g * sinc_derivative(x, 1),
    elementwise=True,
    symbol="sinc",
    domain=REAL,
    doc="sin(πx) / (πx), 1 at 0. Gradient: its true derivative, to every order also at 0.",
)
sinc_derivative: Elementary = op(
    _sinc_derivative,
    lambda g, x, n: g * sinc_derivative(x, n + 1),
    elementwise=True,
    name="sinc_derivative",
    symbol="sinc⁽ⁿ⁾",
    domain=Cases(
        lambda r: call(r(2, 3), 1),
        lambda r: call(4 * r(3), 2),
        lambda r: call(r(), 3),
        lambda r: call(0 * r(2), 2),
    ),
    doc="The n-th derivative of sinc. Gradient: g times the next one.",
)

# ---------------------------------------------------------------------------- hyperbolic

sinh: Elementary = op(
    np.sinh,
    lambda g, x: g * np.cosh(x),
    symbol="sinh",
    domain=REAL,
    doc="Hyperbolic sine. Gradient: g · cosh x.",
)
cosh: Elementary = op(
    np.cosh,
    lambda g, x: g * np.sinh(x),
    symbol="cosh",
    domain=REAL,
    doc="Hyperbolic cosine. Gradient: g · sinh x.",
)
tanh: Elementary = op(
    np.tanh,
    lambda g, out: g * (1 - out * out),
    symbol="tanh",
    domain=REAL,
    doc="Hyperbolic tangent. Gradient: g · (1 − tanh² x).",
)
arcsinh: Elementary = op(
    np.arcsinh,
    lambda g, x: g / np.hypot(x, 1),  # √(1 + x²) would overflow, in float16 from 256 on
    symbol="arcsinh",
    domain=REAL,
    doc="Inverse hyperbolic sine. Gradient: g / √(1 + x²).",
)


def _over_leg(g: Array, x: Array, out: Array) -> Array:
    """Return g / √(x² − 1), which neither overflows nor loses digits as sinh(out) does."""
    leg = np.tanh(out)
    if isinstance(x, Recorded):  # at 1, a quotient has its second derivative, a product has not
        return g / x / leg
    leg *= x
    return g / leg


arccosh: Elementary = op(
    np.arccosh,
    lambda g, x, out: _over_leg(g, x, out),
    symbol="arccosh",
    domain=elementwise((1.2, 4.0)),
    doc="Inverse hyperbolic cosine. Gradient: g / √(x² − 1), infinite at 1.",
)
arctanh: Elementary = op(
    np.arctanh,
    lambda g, out: g * np.cosh(out) ** 2,  # as 1 / (1 − x²), but does not cancel near ±1
    symbol="arctanh",
    domain=INSIDE,
    doc="Inverse hyperbolic tangent. Gradient: g / (1 − x²), infinite at ±1.",
)

# NumPy's other names
acos, asin, atan, atan2 = arccos, arcsin, arctan, arctan2
acosh, asinh, atanh = arccosh, arcsinh, arctanh
