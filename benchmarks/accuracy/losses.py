"""Where more is lost than the bound allows, and why: each is listed in docs/accuracy.md.

What is beyond the bound and not declared here fails the test and the program.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.accuracy.cases import Case
from graphgrad.engine.op import TABLE

Where = Callable[..., Any]


class Loss(NamedTuple):
    """Cases that lose digits, in their value, their gradient or both, and at which points."""

    cases: str  # names, with commas between them
    what: str
    why: str
    where: Where = lambda *_: True
    limit: float = np.inf  # in ULP over the condition number


def _largest(xs: Any) -> Any:
    return np.max(np.abs(np.stack(xs)), axis=0)


def _huge(root: int) -> Where:
    """Select where a power of the largest input, with all sums of it, leaves the range."""

    def where(*xs: Any) -> Any:
        info = np.finfo(xs[0].dtype)
        low = (info.smallest_normal / info.eps) ** (1 / root) * 8
        return (_largest(xs) > info.max ** (1 / root) / 8) | (_largest(xs) < low)

    return where


def _products_leave(*xs: Any) -> Any:
    """Select where a product of some of the inputs overflows, or is denormal."""
    info = np.finfo(xs[0].dtype)
    a, b, c = (np.log2(np.abs(x)) for x in xs)
    sums = np.stack([a + b, a + c, b + c, a + b + c])
    return (sums.max(0) > info.maxexp - 1) | (sums.min(0) < info.minexp + 1)


def _first_leads(*xs: Any) -> Any:
    """Select where the first of several logits is the largest."""
    return xs[0] > _rest(xs)


def _rest(xs: Any) -> Any:
    return np.max(np.stack(xs[1:]), axis=0)


def _top(*xs: Any) -> Any:
    return np.max(np.stack(xs), axis=0)


LOSSES = [
    Loss(
        "sigmoid, tanh",
        "gradient",
        "The rule reads the rounded output, which nears 1 (docs/conventions.md).",
        lambda x: np.abs(x) > 0.5,
    ),
    Loss(
        "arctanh",
        "gradient",
        "cosh² of the rounded output; (1 − x)(1 + x) takes 8 % more time for 16 elements.",
        limit=5,
    ),
    Loss("cbrt", "gradient", "The square of NumPy's cube root, 1.9 ULP off in float32.", limit=7),
    Loss("sinc", "gradient", "The series near 0 alternates.", lambda x: np.abs(x) < 0.7, 6),
    Loss(
        "exp2",
        "gradient",
        "2ˣ overflows, 2ˣ ln 2 does not yet.",
        lambda x: x >= np.finfo(x.dtype).maxexp,
    ),
    Loss(
        "power",
        "gradient",
        "y − 1 is rounded in x^(y−1), and under- or overflows where y x^(y−1) does not.",
        lambda x, y: (np.abs(np.log(x)) > 4) | (np.abs(y) < 1e-3),
    ),
    Loss("arctan", "gradient", "1 + x² overflows; the slope is a denormal number.", _huge(2)),
    Loss("arctan2, hypot", "both", "√(x² + y²) overflows, or is denormal.", _huge(1)),
    Loss("gelu", "both", "The fit of erfc, and a sum of two terms of opposite sign.", limit=8),
    Loss("erfc", "value", "The fit, for small x.", limit=5),
    Loss("gelu by tanh", "both", "z is rounded; a sum of two terms of opposite sign.", limit=12),
    Loss(
        "silu",
        "both",
        "e⁻ˣ overflows; x σ(x) is not yet denormal.",
        lambda x: x < 0.01 - np.log(np.finfo(x.dtype).max),
    ),
    Loss(
        "kl_div of logarithms",
        "both",
        "eᵗ is denormal, its product with t − x is not.",
        lambda x, t: t < np.log(np.finfo(x.dtype).smallest_normal) + 1,
    ),
    Loss(
        "silu",
        "gradient",
        "1 − σ is rounded; for x > 0 the slope exceeds 1 by x times that.",
        lambda x: x > 2,
        limit=50,
    ),
    Loss("mean, multi_margin_loss", "both", "The sum overflows, the mean does not.", _huge(1)),
    Loss("half_squared_error", "both", "Twice the half overflows.", _huge(1)),
    Loss("half_squared_error", "value", "The square overflows, its half does not.", _huge(2)),
    Loss("prod", "both", "A product on the way leaves the range.", _products_leave),
    Loss("var", "both", "Squares, or the sum of the mean, leave the range.", _huge(2)),
    Loss("norm, std", "value", "Squares leave the range: NumPy's value.", _huge(2)),
    Loss("norm of order 3", "value", "Cubes leave the range: NumPy's value.", _huge(3)),
    Loss(
        "norm of order 3",
        "both",
        "NumPy's power of ⅓, which is rounded, of a sum far from 1.",
        lambda *xs: np.abs(np.log(_largest(xs))) > 0,
        limit=300,
    ),
    Loss(
        "std, var",
        "both",
        "The mean is rounded, and what is left after subtracting it is small.",
        lambda *xs: _largest(xs) > 2 * np.std(np.stack(xs), axis=0),
    ),
    Loss("std, var", "gradient", "An element is close to the mean of unequal ones."),
    Loss(
        "logsumexp",
        "value",
        "The largest is nearly 0, and 1 + the rest is rounded.",
        lambda *xs: np.abs(_top(*xs)) < 1,
    ),
    Loss(
        "log_softmax, cross_entropy",
        "both",
        "1 + the other exponentials is rounded, for a sure and right answer.",
        _first_leads,
    ),
    Loss("softmax", "gradient", "1 − the largest share is rounded.", _first_leads),
    Loss("softmax", "gradient", "A product of two rounded shares.", limit=8),
]


def of(case: str, what: str) -> list[Loss]:
    """Return the declared losses of the value or the gradient of a case."""
    return [x for x in LOSSES if case in x.cases.split(", ") and x.what in (what, "both")]


def undeclared(losses: list[Loss], points: list[Any], scaled: Any) -> Any:
    """Return which of these points no loss explains."""
    left = np.ones(len(scaled), bool)
    with np.errstate(all="ignore"):
        for x in losses:
            left &= ~(np.asarray(x.where(*points)) & (scaled <= x.limit))
    return left


NUMPYS = "NumPy's value."
EXP = ("exp", "softmax", "log_softmax", "cross_entropy", "logsumexp", "elu", "selu")


def behind(case: Case, what: str) -> str:
    """Say why a peer is better."""
    if what == "value" and TABLE.get(getattr(np, case.name, None)) is case.ours:
        return NUMPYS
    if declared := of(case.name, what):
        return " ".join(x.why for x in declared)
    return "NumPy's exp and log." if case.name in EXP else "**No reason is declared.**"
