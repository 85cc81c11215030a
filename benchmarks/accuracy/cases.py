"""What is measured: each op with its formula, those of its derivatives, and where to look.

A formula is Python over the functions of :mod:`benchmarks.accuracy.exact` and those defined here;
its inputs are x, y and z.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import graphgrad as gg
from graphgrad import nn

Formula = Callable[..., Any]  # of the functions, wide or proof, and the inputs
F = nn.functional


class Input(NamedTuple):
    """The numbers that an input may be, and where something happens among them."""

    low: float = -float("inf")
    high: float = float("inf")
    near: tuple[float, ...] = (0.0,)
    usual: float = 32.0  # a third of the points is no larger than this
    varied: bool = True  # else it has no gradient


class Case(NamedTuple):
    """An op as a function of numbers, its exact value, and the exact derivative in each input."""

    name: str
    ours: Callable[..., Any]
    value: Formula
    slopes: tuple[Formula, ...]
    inputs: tuple[Input, ...]


# -------------------------------------------------------------------------- functions of formulas


def log_sum(m: Any, *xs: Any) -> Any:
    """Return log Σ eˣ."""
    *rest, top = m.sorted(xs)
    return top + m.log1p(sum(m.exp(x - top) for x in rest))


def sinc_slope(m: Any, x: Any) -> Any:
    """Return the derivative of sin(πx) / (πx); near 0 by its series, for the difference cancels."""
    near = m.absolute(x) < 0.3
    z = m.pi * m.where(near, x, 0 * x)
    term, series = -z / 6, -z / 3
    for k in range(2, 18):
        term = -term * z * z / (2 * k * (2 * k + 1))
        series = series + 2 * k * term
    far = m.where(near, 0 * x + 1, x)
    return m.where(near, m.pi * series, (m.cospi(far) - m.sinpi(far) / (m.pi * far)) / far)


DEFINED = {
    "sigmoid": "1 / (1 + exp(-x))",
    "bump": "1 / (2 + exp(x) + exp(-x))",  # σ(x) σ(−x)
    "softplus": "where(x > 0, x, 0 * x) + log1p(exp(-absolute(x)))",
    "share": "1 / (1 + exp(y - x) + exp(z - x))",
    "surprise": "log_sum(0 * x, y - x, z - x)",  # −log share
    "bell": "exp(-x * x) * 2 / sqrt(pi)",
    "normal": "erfc(-x / sqrt(2 + 0 * x)) / 2",
    "bent": "sqrt(8 / pi) * x * (1 + x * x * (44715 + 0 * x) / 1000000)",
    "bent_slope": "sqrt(8 / pi) * (1 + x * x * (134145 + 0 * x) / 1000000)",
    "variance": "((x - y) ** 2 + (y - z) ** 2 + (z - x) ** 2) / 9",
    "length": "sqrt(x * x + y * y + z * z)",
    "length3": "cbrt(absolute(x) ** 3 + absolute(y) ** 3 + absolute(z) ** 3)",
    "limited": "where(absolute(x) < 1, x, sign(x))",
    "excess": "where(x > -1, 1 + x, 0 * x)",
    "missed": "sign(excess(x))",
}


def formula(text: str, first: int = 0) -> Formula:
    """Compile a formula; the input that it calls x is the first, or another one."""
    code = compile(text, text, "eval")

    def evaluate(m: Any, *xs: Any) -> Any:
        inputs = zip("xyz", (xs[first], *xs[:first], *xs[first + 1 :]), strict=False)
        helpers = {name: partial(function, m) for name, function in FUNCTIONS.items()}
        return eval(code, {**vars(m), **helpers, **dict(inputs)})

    return evaluate


FUNCTIONS = {"log_sum": log_sum, "sinc_slope": sinc_slope}
FUNCTIONS |= {name: formula(text) for name, text in DEFINED.items()}


REAL = Input()
CASES: dict[str, Case] = {}


def case(
    name: str,
    value: str,
    *slopes: str,
    inputs: Input | Sequence[Input] = REAL,
    ours: Callable[..., Any] | None = None,
) -> None:
    """Declare a case; ``ours`` is graphgrad's function of that name unless it is given."""
    each = (inputs,) * len(slopes) if isinstance(inputs, Input) else tuple(inputs)
    function = ours or getattr(gg, name, None) or getattr(F, name)
    CASES[name] = Case(name, function, formula(value), tuple(map(formula, slopes)), each)


# --------------------------------------------------------------------------- arithmetic, powers

case("multiply", "x * y", "y", "x")
case("divide", "x / y", "1 / y", "-x / y / y")
case("reciprocal", "1 / x", "-1 / x / x")
case("square", "x * x", "2 * x")
case("sqrt", "sqrt(x)", "1 / sqrt(x) / 2", inputs=Input(0.0))
case("cbrt", "cbrt(x)", "1 / (3 * cbrt(x) ** 2)")
POWER = (Input(0.0, near=(0.0, 1.0)), Input(near=(0.0, 1.0)))
case("power", "power(x, y)", "y * power(x, y - 1)", "power(x, y) * log(x)", inputs=POWER)
RADIUS = "sqrt(x * x + y * y)"
case("hypot", RADIUS, f"x / {RADIUS}", f"y / {RADIUS}")
case("deg2rad", "x * pi / 180", "pi / 180 + 0 * x")
case("rad2deg", "x * 180 / pi", "180 / pi + 0 * x")

# ---------------------------------------------------------------- exponentials, logarithms

EXPONENT, FROM_0 = Input(usual=800.0), Input(0.0, near=(0.0, 1.0))
case("exp", "exp(x)", "exp(x)", inputs=EXPONENT)
case("exp2", "exp2(x)", "exp2(x) * ln2", inputs=EXPONENT)
case("expm1", "expm1(x)", "exp(x)", inputs=EXPONENT)
case("log", "log(x)", "1 / x", inputs=FROM_0)
case("log2", "log(x) / ln2", "1 / x / ln2", inputs=FROM_0)
case("log10", "log(x) / ln10", "1 / x / ln10", inputs=FROM_0)
case("log1p", "log1p(x)", "1 / (1 + x)", inputs=Input(-1.0, near=(-1.0, 0.0)))
case("logaddexp", "log_sum(x, y)", "sigmoid(x - y)", "sigmoid(y - x)")
LOG2_SUM = "where(x > y, x, y) + log1p(exp2(-absolute(x - y))) / ln2"
case("logaddexp2", LOG2_SUM, "1 / (1 + exp2(y - x))", "1 / (1 + exp2(x - y))")
case("sigmoid", "sigmoid(x)", "bump(x)")
case("softplus", "softplus(x)", "sigmoid(x)")
case("logsigmoid", "-softplus(-x)", "sigmoid(-x)")

# ---------------------------------------------------------- trigonometry, hyperbolic functions

BETWEEN = Input(-1.0, 1.0, near=(-1.0, 0.0, 1.0))
case("sin", "sin(x)", "cos(x)")
case("cos", "cos(x)", "-sin(x)")
case("tan", "tan(x)", "1 / cos(x) ** 2")
case("arcsin", "arcsin(x)", "1 / sqrt((1 - x) * (1 + x))", inputs=BETWEEN)
case("arccos", "arccos(x)", "-1 / sqrt((1 - x) * (1 + x))", inputs=BETWEEN)
case("arctan", "arctan(x)", "1 / (1 + x * x)")
case("arctan2", "arctan2(x, y)", "y / (x * x + y * y)", "-x / (x * x + y * y)")
WAVES = Input(near=(0.0, 0.5, 1.0, 1.5, -2.5, 1.4302966531242027))
case("sinc", "sinpi(x) / (pi * x)", "sinc_slope(x)", inputs=WAVES)
case("sinh", "sinh(x)", "cosh(x)", inputs=EXPONENT)
case("cosh", "cosh(x)", "sinh(x)", inputs=EXPONENT)
case("tanh", "tanh(x)", "1 / cosh(x) ** 2")
case("arcsinh", "arcsinh(x)", "1 / sqrt(1 + x * x)")
case("arccosh", "arccosh(x)", "1 / sqrt((x - 1) * (x + 1))", inputs=Input(1.0, near=(1.0,)))
case("arctanh", "arctanh(x)", "1 / ((1 - x) * (1 + x))", inputs=BETWEEN)

# ------------------------------------------------------------------ the bell curve, activations

case("erf", "erf(x)", "bell(x)")
case("erfc", "erfc(x)", "-bell(x)")
GELU = "normal(x) + x * exp(-x * x / 2) / sqrt(2 * pi)"
case("gelu", "x * normal(x)", GELU, inputs=Input(near=(0.0, -0.7517915)))
case(
    "gelu by tanh",
    "x * sigmoid(bent(x))",
    "sigmoid(bent(x)) + x * bump(bent(x)) * bent_slope(x)",
    inputs=Input(-1e30, 1e30, near=(0.0, -0.75246)),
    ours=lambda x: F.gelu(x, "tanh"),
)
SILU = Input(near=(0.0, -1.2784645))
case("silu", "x * sigmoid(x)", "sigmoid(x) + x * bump(x)", inputs=SILU)
case("elu", "where(x > 0, x, expm1(x))", "where(x > 0, 1 + 0 * x, exp(x))")
LAMBDA, BOTH = "1.0507009873554805", "1.0507009873554805 * 1.6732632423543772"
case(
    "selu",
    f"where(x > 0, {LAMBDA} * x, {BOTH} * expm1(x))",
    f"where(x > 0, {LAMBDA} + 0 * x, {BOTH} * exp(x))",
)

# ---------------------------------------------------------------------- reductions of three


def along(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of the last axis take the elements one by one."""
    return lambda *xs: function(gg.stack(xs, -1))


def reduction(name: str, value: str, slope: str, function: Callable[..., Any]) -> None:
    """Declare a symmetric function of three numbers by its derivative in x."""
    slopes = tuple(formula(slope, i) for i in range(3))
    CASES[name] = Case(name, along(function), formula(value), slopes, (REAL,) * 3)


LEFT = "((x - y) + (x - z))"  # three times x less the mean
reduction("sum", "x + y + z", "1 + 0 * x", lambda a: gg.sum(a, -1))
reduction("mean", "(x + y + z) / 3", "(1 + 0 * x) / 3", lambda a: gg.mean(a, -1))
reduction("prod", "x * y * z", "y * z", lambda a: gg.prod(a, -1))
reduction("var", "variance(x, y, z)", f"2 * {LEFT} / 9", lambda a: gg.var(a, -1))
STD = "sqrt(variance(x, y, z))"
reduction("std", STD, f"{LEFT} / 9 / {STD}", lambda a: gg.std(a, -1))
norm = gg.linalg.norm
reduction("norm", "length(x, y, z)", "x / length(x, y, z)", lambda a: norm(a, axis=-1))
CUBIC = "x * absolute(x) / length3(x, y, z) ** 2"
reduction("norm of order 3", "length3(x, y, z)", CUBIC, lambda a: norm(a, 3, axis=-1))
reduction("logsumexp", "log_sum(x, y, z)", "share(x, y, z)", lambda a: gg.logsumexp(a, -1))
OTHERS = "(share(y, x, z) + share(z, x, y))"
SOFTMAX = [f"share(x, y, z) * {s}" for s in (OTHERS, "-share(y, x, z)", "-share(z, x, y)")]
THREE = (REAL,) * 3
case(
    "softmax",
    "share(x, y, z)",
    *SOFTMAX,
    inputs=THREE,
    ours=along(lambda a: gg.softmax(a, -1)[..., 0]),
)
case(
    "log_softmax",
    "-surprise(x, y, z)",
    *(OTHERS, "-share(y, x, z)", "-share(z, x, y)"),
    inputs=THREE,
    ours=along(lambda a: gg.log_softmax(a, -1)[..., 0]),
)

# ---------------------------------------------------------------- losses, of one sample each


def of_first(loss: Callable[..., Any]) -> Callable[..., Any]:
    """Take the loss of three scores, of which the first is the right one."""
    return along(lambda a: loss(a, np.zeros(a.shape[:-1], int), reduction="none"))


def of_pair(loss: Callable[..., Any], **more: Any) -> Callable[..., Any]:
    """Take the loss of a number and its target."""
    return lambda x, y: loss(x, y, reduction="none", **more)


ENTROPY = (f"-{OTHERS}", "share(y, x, z)", "share(z, x, y)")
entropy = of_first(F.cross_entropy)
case("cross_entropy", "surprise(x, y, z)", *ENTROPY, inputs=THREE, ours=entropy)
case(
    "binary_cross_entropy",
    "y * softplus(-x) + (1 - y) * softplus(x)",
    "(1 - y) * sigmoid(x) - y * sigmoid(-x)",
    inputs=(REAL, Input(0.0, 1.0, near=(0.0, 0.5, 1.0), varied=False)),
    ours=of_pair(F.binary_cross_entropy_with_logits),
)
case(
    "kl_div",
    *("y * (log(y) - x)", "-y", "log(y) + 1 - x"),
    inputs=(Input(high=0.0), Input(0.0, 1.0, near=(0.0, 1.0))),
    ours=of_pair(F.kl_div),
)
case(
    "kl_div of logarithms",
    *("exp(y) * (y - x)", "-exp(y)", "exp(y) * (y + 1 - x)"),
    inputs=Input(high=0.0),
    ours=of_pair(F.kl_div, log_target=True),
)
case("mse_loss", "(x - y) ** 2", "2 * (x - y)", "2 * (y - x)", ours=of_pair(F.mse_loss))
case(
    "half_squared_error",
    *("(x - y) ** 2 / 2", "x - y", "y - x"),
    ours=lambda x, y: F.half_squared_error(x[:, None], y[:, None], reduction="none"),
)
case("l1_loss", "absolute(x - y)", "sign(x - y)", "sign(y - x)", ours=of_pair(F.l1_loss))
case(
    "huber_loss",
    "limited(x - y) * (x - y - limited(x - y) / 2)",
    *("limited(x - y)", "limited(y - x)"),
    ours=of_pair(F.huber_loss),
)
HINGE = ("-(missed(y - x) + missed(z - x))", "missed(y - x)", "missed(z - x)")
hinge, margin = of_first(F.hinge_loss), of_first(F.multi_margin_loss)
case("hinge_loss", "excess(y - x) + excess(z - x)", *HINGE, inputs=THREE, ours=hinge)
case(
    "multi_margin_loss",
    "(excess(y - x) + excess(z - x)) / 3",
    *(f"{slope} / 3" for slope in HINGE),
    inputs=THREE,
    ours=margin,
)
case(
    "attribute_hinge_loss",
    *("excess(-x)", "-missed(-x)"),
    ours=lambda x: F.attribute_hinge_loss(x[:, None], 1 + 0 * x.data[:, None], reduction="none"),
)
