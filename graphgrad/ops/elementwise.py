"""Elementwise arithmetic, powers and conversions: NumPy's ufuncs, each declared once.

At a kink the gradient is the subgradient of smallest norm; at a one-sided singularity it
is the limit. Rules never branch on values in Python: `np.where` does.
"""

import operator
from typing import Any

import numpy as np

from graphgrad.engine.domains import Cases, call, elementwise
from graphgrad.engine.op import TABLE, Op, op
from graphgrad.engine.operands import as_array, unwrapped
from graphgrad.engine.tensor import Tensor
from graphgrad.ops.ranges import has_value
from graphgrad.typing import Array

REAL = elementwise((-3.0, 3.0))
PAIR = elementwise((-3.0, 3.0), (-3.0, 3.0))
POSITIVE = elementwise((0.2, 4.0))
NOT_ZERO = elementwise((-3.0, 3.0), avoid=(0.0,))

Elementary = Op[Tensor]

# ---------------------------------------------------------------------------- arithmetic

add: Elementary = op(
    np.add,
    lambda g: g,
    lambda g: g,
    forward=operator.add,
    symbol="+",
    domain=PAIR,
    doc="x + y. Gradients: g and g.",
)
subtract: Elementary = op(
    np.subtract,
    lambda g: g,
    lambda g: -g,
    forward=operator.sub,
    symbol="−",
    domain=PAIR,
    doc="x − y. Gradients: g and −g.",
)
multiply: Elementary = op(
    np.multiply,
    lambda g, y: g * y,
    lambda g, x: g * x,
    forward=operator.mul,
    symbol="×",
    domain=PAIR,
    doc="x · y. Gradients: g · y and g · x.",
)
divide: Elementary = op(
    np.divide,
    lambda g, y: g / y,
    lambda g, y, out: -g * out / y,
    forward=operator.truediv,
    symbol="÷",
    domain=elementwise((-3.0, 3.0), (0.3, 3.0)),
    doc="x / y. Gradients: g / y and −g · x / y².",
)
true_divide = divide
negative: Elementary = op(
    np.negative,
    lambda g: -g,
    forward=operator.neg,
    symbol="−",
    domain=REAL,
    doc="−x. Gradient: −g.",
)
positive: Elementary = op(
    np.positive,
    lambda g: g,
    forward=operator.pos,
    symbol="+",
    domain=REAL,
    doc="x, as a copy. Gradient: g.",
)
reciprocal: Elementary = op(
    np.reciprocal,
    lambda g, out: -g * out * out,
    symbol="1/x",
    domain=elementwise((0.3, 3.0)),
    doc="1 / x. Gradient: −g / x².",
)
# The quotients stay between two integers in these domains: at an integer both functions jump.
remainder: Elementary = op(
    np.remainder,
    lambda g: g,
    lambda g, x, y: -g * np.floor_divide(x, y),
    forward=operator.mod,
    chooses=lambda x, y: np.floor_divide(x, y),
    symbol="mod",
    domain=elementwise((2.1, 2.4), (0.85, 1.0)),
    doc="x − y · ⌊x / y⌋, the sign of y. Gradients: g and −g · ⌊x / y⌋; at a jump, one side's.",
)
mod = remainder
fmod: Elementary = op(
    np.fmod,
    lambda g: g,
    lambda g, x, y, out: -g * np.rint((x - out) / y),
    chooses=lambda x, y, out: np.rint((x - out) / y),
    symbol="fmod",
    domain=elementwise((-2.4, -2.1), (0.85, 1.0)),
    doc="x − y · trunc(x / y), the sign of x. Gradients: g and −g · trunc(x / y).",
)

# -------------------------------------------------------------------------------- powers


def _falling(y: Array, n: int) -> tuple[Array, Array]:
    """Return y (y−1) … (y−n+1) and its derivative in y, for n ≥ 1."""
    product, slope = y, 1.0
    for k in range(1, n):
        product, slope = product * (y - k), product + slope * (y - k)
    return product, slope


def _power_derivative(x: Array, y: Array, n: int) -> Array:
    dtype = np.result_type(x, y)
    if y.dtype != dtype:  # small integers would overflow below
        y = y.astype(dtype)
    product, _ = _falling(y, n)
    # x to the power of 0 is 1 even where x is 0, infinite or NaN: 0 · 1 is exactly 0
    return product * x ** np.where(product == 0, 0, y - n)


def _like(x: Array, g: Array) -> Array:
    """Give x the dtype of the output, in which the whole rule is computed."""
    return x.astype(g.dtype) if hasattr(x, "dtype") and x.dtype != g.dtype else x


def _power_derivative_in_y(g: Array, x: Array, y: Array, n: int) -> Array:
    x = _like(x, g)
    product, slope = _falling(y, n)
    inner = g * x ** (y - n) * (slope + product * np.log(x))
    return np.where((x == 0) & (y >= 0), 0, inner)


power_derivative: Elementary = op(
    _power_derivative,
    lambda g, x, y, n: g * power_derivative(x, y, n + 1),
    _power_derivative_in_y,
    name="power_derivative",
    symbol="∂ⁿxʸ",
    elementwise=True,
    domain=Cases(
        lambda r: call(1.5 + np.tanh(r(2, 3)), r(2, 3), 1),
        lambda r: call(1.5 + np.tanh(r(2, 1)), r(3), 2),
        lambda r: call(1.5 + np.tanh(r()), np.array(3.0), 3),
    ),
    doc=(
        "The n-th derivative of xʸ in x: y (y−1) … (y−n+1) x^(y−n), exactly 0 where a factor "
        "is, also at x = 0. Gradients: g times the next derivative; g times that in y, 0 at x = 0 "
        "for y ≥ 0."
    ),
)


def _power(x: Array, y: Array) -> Array:
    # the operator is faster for a Python number; older NumPys let it drop a 0-d array's dtype
    return x**y if type(y) in (int, float) else np.power(x, y)


def _power_in_x(g: Array, x: Array, y: Array) -> Array:
    """Differentiate in x. A Python number is a static exponent: cheap forms, readable pictures."""
    if not isinstance(y, int | float):
        return g * power_derivative(x, y, 1)
    if y == 0:
        return np.zeros_like(g)
    if y == 1:
        return g
    x = _like(x, g)
    return g * (y * x if y == 2 else y * x ** (y - 1))


def _power_in_y(g: Array, x: Array, y: Array, out: Array) -> Array:
    # a Python number stays one, so that its logarithm does not turn float32 into float64
    log = float(np.log(x)) if type(x) in (int, float) else np.log(_like(x, g))
    return np.where((x == 0) & (y >= 0), 0, g * out * log)


POWER = (
    "Gradients: g · y · x^(y−1), 0 everywhere for y = 0; and g · xʸ · log x, which is 0 for "
    "x = 0, y ≥ 0, and NaN for negative x."
)
power: Elementary = op(
    np.power,
    _power_in_x,
    _power_in_y,
    forward=_power,
    symbol="xʸ",
    domain=elementwise((0.2, 3.0), (-2.0, 3.0)),
    doc=f"x ** y. {POWER}",
)
pow = power  # noqa: A001 - NumPy's other name for it
float_power: Elementary = op(
    np.float_power,
    _power_in_x,
    _power_in_y,
    symbol="xʸ",
    domain=elementwise((0.2, 3.0), (-2.0, 3.0)),
    doc=f"x ** y, computed in float64. {POWER}",
)
square: Elementary = op(
    np.square,
    lambda g, x: g * (2 * x),
    symbol="x²",
    domain=REAL,
    doc="x². Gradient: 2 g · x.",
)
sqrt: Elementary = op(
    np.sqrt,
    lambda g, out: g / (2 * out),
    symbol="√",
    domain=POSITIVE,
    doc="√x. Gradient: g / (2 √x), infinite at 0.",
)
cbrt: Elementary = op(
    np.cbrt,
    lambda g, out: g / 3 / out / out,  # 3 · out² would make 0 · ∞ of the second derivative at 0
    symbol="∛",
    domain=elementwise((0.2, 4.0)),
    doc="∛x. Gradient: g / (3 ∛x²), infinite at 0.",
)


def _by_hypotenuse(g: Array, a: Array, b: Array, out: Array) -> Array:
    if has_value(out) and np.isinf(unwrapped(out)).any():  # up to √2 beyond the largest number
        a = a / 2
        out = np.hypot(a, b / 2)
    return np.where(out == 0, 0, g * (a / out))


hypot: Elementary = op(
    np.hypot,
    lambda g, x, y, out: _by_hypotenuse(g, x, y, out),
    lambda g, x, y, out: _by_hypotenuse(g, y, x, out),
    chooses=lambda out: out == 0,
    symbol="hypot",
    domain=elementwise((0.3, 3.0), (-3.0, 3.0)),
    doc="√(x² + y²). Gradients: g · x / out and g · y / out, both 0 at (0, 0).",
)

# --------------------------------------------------------------- conversions and scalings

deg2rad: Elementary = op(
    np.deg2rad,
    lambda g: np.deg2rad(g),
    symbol="deg2rad",
    domain=REAL,
    doc="π x / 180. Gradient: π g / 180.",
)
radians: Elementary = op(
    np.radians,
    lambda g: np.radians(g),
    symbol="radians",
    domain=REAL,
    doc="π x / 180. Gradient: π g / 180.",
)
rad2deg: Elementary = op(
    np.rad2deg,
    lambda g: np.rad2deg(g),
    symbol="rad2deg",
    domain=REAL,
    doc="180 x / π. Gradient: 180 g / π.",
)
degrees: Elementary = op(
    np.degrees,
    lambda g: np.degrees(g),
    symbol="degrees",
    domain=REAL,
    doc="180 x / π. Gradient: 180 g / π.",
)
ldexp: Elementary = op(
    np.ldexp,
    lambda g, y: np.ldexp(g, y),
    None,
    symbol="x·2ʸ",
    domain=Cases(
        lambda r: call(r(2, 3), 3),
        lambda r: call(r(2, 3), np.array([-1, 0, 2])),
        lambda r: call(r(), np.array([[1], [-2]])),
    ),
    doc="x · 2ʸ for an integer y. Gradients: g · 2ʸ; none for y.",
)
conjugate: Elementary = op(
    np.conjugate,
    lambda g: g,
    symbol="conj",
    domain=REAL,
    doc="x itself, for x is real. Gradient: g.",
)
conj = conjugate
real: Elementary = op(
    np.real,
    lambda g: g,
    forward=lambda val: np.positive(val),
    elementwise=True,
    symbol="re",
    domain=REAL,
    doc="x itself, for x is real. Gradient: g.",
)
copy: Elementary = op(
    np.copy,
    lambda g: g,
    forward=lambda a: np.array(a),
    elementwise=True,
    symbol="copy",
    domain=REAL,
    doc="A copy, which shares no memory with x. Gradient: g.",
)


def _astype(x: Array, dtype: Any) -> Array:
    return x.astype(as_array(np.empty(0, dtype)).dtype)  # as_array: not to complex or objects


astype: Elementary = op(
    _astype,
    lambda g: g,
    elementwise=True,
    name="astype",
    symbol="astype",
    domain=Cases(
        lambda r: call(r(2, 3), np.float64),
        lambda r: call(r(), float),
        lambda r: call(r(0, 2), "f8"),
    ),
    doc=(
        "x in another dtype. Gradient: g, cast back to the dtype of x; a dtype that is not "
        "floating leaves the graph."
    ),
)
TABLE["astype"] = astype
if hasattr(np, "astype"):  # since NumPy 2.1
    TABLE[np.astype] = astype
