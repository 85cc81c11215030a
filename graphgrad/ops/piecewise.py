"""Elementwise functions made of pieces: kinks and jumps.

At a kink the gradient is the subgradient of smallest norm, at a jump it is 0. What is
piecewise constant has gradient 0 and stays in the graph.
"""

import operator
from typing import Any

import numpy as np

from graphgrad.engine.composite import composed
from graphgrad.engine.domains import Cases, call, elementwise
from graphgrad.engine.op import TABLE, Op, op
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ShapeError
from graphgrad.ops.choice import keep
from graphgrad.ops.elementwise import NOT_ZERO, Elementary
from graphgrad.typing import Array

APART = elementwise((-3.0, 3.0), (-3.0, 3.0), distinct=True)
HALVES = tuple(n / 2 for n in range(-7, 8))
STEPS = elementwise((-3.4, 3.4), avoid=HALVES)


def _zero(g: Array) -> Array:
    return np.zeros_like(g)


# ---------------------------------------------------------------------------------- kinks

absolute: Elementary = op(
    np.absolute,
    lambda g, x: g * np.sign(x),
    forward=operator.abs,
    chooses=lambda x: np.sign(x),
    symbol="|x|",
    domain=NOT_ZERO,
    doc="|x|. Gradient: g · sign x, 0 at 0.",
)
abs = absolute  # noqa: A001 - NumPy's name
fabs: Elementary = op(
    np.fabs,
    lambda g, x: g * np.sign(x),
    chooses=lambda x: np.sign(x),
    symbol="|x|",
    domain=NOT_ZERO,
    doc="|x|, floating. Gradient: g · sign x, 0 at 0.",
)
relu: Elementary = op(
    lambda x: np.maximum(x, 0),
    lambda g, out: keep(g, out > 0),
    elementwise=True,
    chooses=lambda x: np.sign(x),
    name="relu",
    symbol="relu",
    domain=NOT_ZERO,
    doc="max(x, 0). Gradient: g where x > 0, else 0, at 0 too (maximum(x, 0) gives ½ there).",
)
TABLE["relu"] = relu


def _larger(g: Array, x: Array, y: Array) -> Array:
    """Return the gradient of x: g where x is larger, half of it at a tie."""
    return keep(g, x > y) + keep(0.5 * g, x == y)


def _chosen(g: Array, x: Array, y: Array, out: Array) -> Array:
    """Return the gradient of x: g where x was chosen, also over a NaN; half of it at a tie."""
    return keep(g, (x == out) & (x != y)) + keep(0.5 * g, x == y)


maximum: Elementary = op(
    np.maximum,
    lambda g, x, y: _larger(g, x, y),
    lambda g, x, y: _larger(g, y, x),
    chooses=lambda x, y: np.sign(np.subtract(x, y)),
    symbol="max",
    domain=APART,
    doc="The larger of x and y; NaN if one is. Gradients: g to the larger, half each at a tie.",
)
minimum: Elementary = op(
    np.minimum,
    lambda g, x, y: _larger(g, y, x),
    lambda g, x, y: _larger(g, x, y),
    chooses=lambda x, y: np.sign(np.subtract(x, y)),
    symbol="min",
    domain=APART,
    doc="The smaller of x and y; NaN if one is. Gradients: g to the smaller, half each at a tie.",
)
fmax: Elementary = op(
    np.fmax,
    lambda g, x, y, out: _chosen(g, x, y, out),
    lambda g, x, y, out: _chosen(g, y, x, out),
    chooses=lambda x, y: np.sign(np.subtract(x, y)),
    symbol="fmax",
    domain=APART,
    doc="The larger of x and y, NaN ignored. Gradients: g to the larger, half each at a tie.",
)
fmin: Elementary = op(
    np.fmin,
    lambda g, x, y, out: _chosen(g, x, y, out),
    lambda g, x, y, out: _chosen(g, y, x, out),
    chooses=lambda x, y: np.sign(np.subtract(x, y)),
    symbol="fmin",
    domain=APART,
    doc="The smaller of x and y, NaN ignored. Gradients: g to the smaller, half each at a tie.",
)


def _place_between(a: Array, low: Array, high: Array) -> Array:
    """Give each place a number: below, at, between or above two bounds, which may cross."""
    below, above = np.sign(np.subtract(a, low)), np.sign(np.subtract(a, high))
    return below + 3 * above + 9 * np.sign(np.subtract(high, low))


CLIP = "Gradients: g to x strictly inside, to a bound where that is the output, at a tie as well."
clip_low: Elementary = op(
    lambda a, low: np.maximum(a, low),
    lambda g, a, low: keep(g, a > low),
    lambda g, a, low: keep(g, a <= low),
    elementwise=True,
    chooses=lambda a, low: np.sign(np.subtract(a, low)),
    name="clip_low",
    symbol="clip",
    domain=APART,
    doc=f"a limited from below. {CLIP}",
)
clip_high: Elementary = op(
    lambda a, high: np.minimum(a, high),
    lambda g, a, high: keep(g, a < high),
    lambda g, a, high: keep(g, a >= high),
    elementwise=True,
    chooses=lambda a, high: np.sign(np.subtract(a, high)),
    name="clip_high",
    symbol="clip",
    domain=APART,
    doc=f"a limited from above. {CLIP}",
)
# Where the bounds cross, the upper one wins, as in NumPy.
clip_both: Elementary = op(
    lambda a, low, high: np.clip(a, low, high),
    lambda g, a, low, high: keep(g, (a > low) & (a < high)),
    lambda g, a, low, high: keep(g, (a <= low) & (low < high)),
    lambda g, a, low, high: keep(g, (a >= high) | (low >= high)),
    elementwise=True,
    chooses=lambda a, low, high: _place_between(a, low, high),
    name="clip",
    symbol="clip",
    domain=elementwise((-3.0, 3.0), (-2.0, -0.5), (0.5, 2.0), distinct=True),
    doc=f"a limited to an interval. {CLIP}",
)


@composed(
    np.clip,
    domain=Cases(
        lambda r: call(r(2, 3), -0.5, 0.5),
        lambda r: call(r(2, 3), None, 0.5),
        lambda r: call(r(2, 3), 0.1, None),
        lambda r: call(r(3), a_min=r(2, 3) - 2, a_max=r() + 2),
        lambda r: call(r(), r(2), r(3, 1)),
        lambda r: call(r(0, 2), -1, 1),
    ),
)
def clip(
    a: Array,
    a_min: Array = None,
    a_max: Array = None,
    min: Array = None,  # noqa: A002 - NumPy's name
    max: Array = None,  # noqa: A002
) -> Tensor:
    """Limit to an interval. Gradients: 0 for a at a bound; g to a bound where it is active."""
    if (a_min is not None and min is not None) or (a_max is not None and max is not None):
        raise ShapeError("clip: give a_min or min, and a_max or max, not both")
    low = min if a_min is None else a_min
    high = max if a_max is None else a_max
    if low is None:
        return TABLE[np.positive](a) if high is None else clip_high(a, high)
    return clip_low(a, low) if high is None else clip_both(a, low, high)


copysign: Elementary = op(
    np.copysign,
    lambda g, x, out: g * (np.sign(x) * np.sign(out)),
    _zero,
    chooses=lambda x, y: np.sign(x) + 3 * np.signbit(y),
    symbol="copysign",
    domain=elementwise((-3.0, 3.0), (-3.0, 3.0), avoid=(0.0,)),
    doc="|x| with the sign of y. Gradients: g · sign x · sign y, 0 at x = 0; and 0.",
)

# ---------------------------------------------------------------------------------- jumps

sign: Elementary = op(
    np.sign,
    _zero,
    chooses=lambda x: np.sign(x),
    symbol="sign",
    domain=NOT_ZERO,
    doc="−1, 0 or 1. Gradient: 0.",
)
heaviside: Elementary = op(
    np.heaviside,
    _zero,
    lambda g, x: keep(g, np.equal(x, 0)),
    chooses=lambda x: np.sign(x),
    symbol="H",
    domain=elementwise((-3.0, 3.0), (-3.0, 3.0), avoid=(0.0,)),
    doc="0 for x < 0, y for x = 0, 1 for x > 0. Gradients: 0; and g where x = 0.",
)
floor: Elementary = op(
    np.floor,
    _zero,
    chooses=lambda out: out,
    symbol="⌊x⌋",
    domain=STEPS,
    doc="The integer below. Gradient: 0.",
)
ceil: Elementary = op(
    np.ceil,
    _zero,
    chooses=lambda out: out,
    symbol="⌈x⌉",
    domain=STEPS,
    doc="The integer above. Gradient: 0.",
)
trunc: Elementary = op(
    np.trunc,
    _zero,
    chooses=lambda out: out,
    symbol="trunc",
    domain=STEPS,
    doc="The integer towards 0. Gradient: 0.",
)
fix: Elementary = op(
    np.fix,
    _zero,
    forward=lambda x: np.trunc(x),
    elementwise=True,
    chooses=lambda out: out,
    symbol="fix",
    domain=STEPS,
    doc="The integer towards 0. Gradient: 0.",
)
rint: Elementary = op(
    np.rint,
    _zero,
    chooses=lambda out: out,
    symbol="rint",
    domain=STEPS,
    doc="The nearest integer. Gradient: 0.",
)
round: Elementary = op(  # noqa: A001 - NumPy's name
    np.round,
    _zero,
    forward=lambda a, decimals=0: np.round(a, decimals),
    elementwise=True,
    chooses=lambda out: out,
    symbol="round",
    domain=STEPS,
    doc="Rounded to so many decimals. Gradient: 0.",
)
around = TABLE[np.around] = round
floor_divide: Elementary = op(
    np.floor_divide,
    _zero,
    _zero,
    forward=operator.floordiv,
    chooses=lambda out: out,
    symbol="⌊÷⌋",
    domain=elementwise((2.1, 2.4), (0.85, 1.0)),
    doc="⌊x / y⌋. Gradients: 0 and 0.",
)
spacing: Elementary = op(
    np.spacing,
    _zero,
    chooses=lambda out: out,
    symbol="spacing",
    domain=elementwise((1.1, 1.9)),
    doc="The distance to the next number. Gradient: 0.",
)
nextafter: Elementary = op(
    np.nextafter,
    lambda g: g,
    _zero,
    symbol="nextafter",
    domain=APART,
    doc="The number next to x, towards y. Gradients: g and 0.",
)

# ----------------------------------------------------------------- functions of two results


def _frexp(x: Array) -> Array:
    parts = np.frexp(x)
    return tuple(parts), -parts[1]


modf: Op[tuple[Tensor, Tensor]] = op(
    np.modf,
    joint=lambda g: (np.zeros_like(g[1]) if g[0] is None else g[0],),
    inputs=1,
    outputs=2,
    chooses=lambda x: np.trunc(x),
    symbol="modf",
    domain=STEPS,
    doc="The fraction of x and its integer, both with the sign of x. Gradients: g and 0.",
)
frexp: Op[tuple[Tensor, Any]] = op(
    np.frexp,
    joint=lambda g, saved: (np.ldexp(g[0], saved),),
    forward=_frexp,
    inputs=1,
    outputs=2,
    chooses=lambda x: np.frexp(x)[1],
    symbol="frexp",
    domain=elementwise((1.1, 1.9)),
    doc="x as mantissa · 2 to an integer exponent. Gradients: g · 2^−exponent; the other is plain.",
)


@composed(
    np.divmod,
    domain=Cases(
        lambda r: call(2.2 + 0.01 * np.tanh(r(2, 3)), 0.9 + 0.01 * np.tanh(r(3))),
        lambda r: call(-2.2 + 0.01 * np.tanh(r()), 0.9 + 0.01 * np.tanh(r(2))),
    ),
)
def divmod(x: Array, y: Array) -> tuple[Array, Array]:  # noqa: A001 - NumPy's name
    """Return (x // y, x % y). Gradients: 0 and 0; g and −g · ⌊x / y⌋."""
    return TABLE[np.floor_divide](x, y), TABLE[np.remainder](x, y)
