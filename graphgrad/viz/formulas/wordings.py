"""Wordings: what ops of the package are called in mathematics, where that is not their name.

An op that is written out in other words stands there as a function of symbols; the tests of
the formulas compare each with what the op computes.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphgrad.engine.op import TABLE
from graphgrad.ops.elementwise import power
from graphgrad.viz.formulas.symbols import NoFormula, Symbol, is_ours, symbol_of

# what a keyword of these tells is seen elsewhere, or of no weight
SILENT = frozenset(("keepdims", "kind", "stable", "dtype", "method"))
FUNCTIONS = {  # the names of functions, where they are not those of the ops
    "sigmoid": "σ",
    "maximum": "max",
    "minimum": "min",
    "sum": "Σ",
    "nansum": "Σ",
    "prod": "Π",
    "cofactors": "cof",
    "arctan2": "atan2",
    "fix": "trunc",
    "remainder": "mod",
    "gelu_slope": "gelu′",
}
AROUND = {
    "absolute": ("|", "|"),
    "fabs": ("|", "|"),
    "norm": ("‖", "‖"),
    "floor": ("⌊", "⌋"),
    "ceil": ("⌈", "⌉"),
}
BEFORE = {"sqrt": "√", "cbrt": "∛"}


def _leaf(name: str, *arguments: Any) -> Any:
    return Symbol(name, arguments)


_WORDS: dict[str, Callable[..., Any]] = {
    "reciprocal": lambda x: 1 / x,
    "square": lambda x: x**2,
    "hypot": lambda x, y: np.sqrt(x**2 + y**2),
    "ldexp": lambda x, y: x * 2**y,
    "expm1": lambda x: np.exp(x) - 1,
    "exp2": lambda x: power(2, x),
    "log1p": lambda x: np.log(1 + x),
    "logaddexp": lambda x, y: np.log(np.exp(x) + np.exp(y)),
    "logaddexp2": lambda x, y: np.log2(power(2, x) + power(2, y)),
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "logsigmoid": lambda x: np.log(_leaf("sigmoid", x)),
    "one_minus_square": lambda x: 1 - x**2,
    "bell": lambda x: np.exp(-(x**2)),
    "deg2rad": lambda x: x * math.pi / 180,
    "radians": lambda x: x * math.pi / 180,
    "rad2deg": lambda x: x * 180 / math.pi,
    "degrees": lambda x: x * 180 / math.pi,
    "float_power": lambda x, y: x**y,
    "relu": lambda x: np.maximum(x, 0),
    "clip_low": np.maximum,
    "clip_high": np.minimum,
    "leaky_relu": lambda x, negative_slope: np.maximum(x, negative_slope * x),
    "prelu": lambda x, weight: np.maximum(x, 0) + weight * np.minimum(x, 0),
    "silu": lambda x: x * _leaf("sigmoid", x),
    "silu_slope": lambda x: _leaf("sigmoid", x) * (1 + x * (1 - _leaf("sigmoid", x))),
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * (np.exp(x) - 1)),
    "elu_slope": lambda x, alpha: np.where(x > 0, 1, alpha * np.exp(x)),
    "gelu": lambda x, approximate: (
        x * _leaf("Φ", x)
        if approximate == "none"
        else 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    ),
    "gelu_slope": lambda x, approximate: (
        _leaf("Φ", x) + x * _leaf("φ", x) if approximate == "none" else None
    ),
    "power_derivative": lambda x, y, n: y * x ** (y - 1) if n == 1 else None,
    "sinc_derivative": lambda x, n: _leaf("sinc" + "′" * n, x) if n <= 3 else None,
    "exp": lambda x: symbol_of(
        TABLE["softmax"], (_inside(x, "log_softmax"),), tuple(x.parameters.values())
    ),
    "sinh": lambda x: np.sqrt(_inside(x, "arccosh") ** 2 - 1),
    "cosh": lambda x: 1 / np.sqrt(1 - _inside(x, "arctanh") ** 2),
    "dropout": lambda x, mask, scale: _leaf("masked", x, mask) * scale,
    "positive": lambda x: x,
    "conjugate": lambda x: x,
    "real": lambda x: x,
    "copy": lambda x: x,
    "astype": lambda x, _: x,
    "linear": lambda x, weight, bias: x @ weight.T + bias,
    "kl_div": lambda x, target: target * (np.log(target) - x),
    "kl_div of logarithms": lambda x, target: np.exp(target) * (target - x),
    "binary_cross_entropy_with_logits": lambda x, target, pos_weight: (
        pos_weight * target * _leaf("softplus", -x) + (1 - target) * _leaf("softplus", x)
    ),
    "over_gap": lambda x, gap: x / gap,
}


def in_other_words(e: Symbol) -> Any:
    """Return what an op of the package is, written out; None where its name says it best."""
    words = _WORDS.get(e.head)
    if words is None or e.op is None or not is_ours(e.op):
        return None
    try:
        return words(*(e.arguments or ()), *e.parameters.values())
    except (TypeError, NoFormula):  # not all parameters are known
        return None


def _inside(x: Any, function: str) -> Any:
    """Return what a function is applied to."""
    if isinstance(x, Symbol) and x.head == function and x.arguments:
        return x.arguments[0]
    raise NoFormula(f"no {function}")
