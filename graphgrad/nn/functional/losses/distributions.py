"""Binary cross-entropy on logits, and the divergence of distributions."""

from typing import Any, Literal

import numpy as np

from graphgrad.arguments import CALLED, guarded
from graphgrad.engine.domains import elementwise
from graphgrad.engine.graph import Absent, Recorded
from graphgrad.engine.op import op
from graphgrad.engine.operands import as_plain, unwrapped
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError, ShapeError
from graphgrad.nn.functional.losses.checks import Reduction, in_dtype_of, matched, reduced
from graphgrad.ops.choice import keep
from graphgrad.ops.elementwise import Elementary
from graphgrad.ops.reduce import sum as total
from graphgrad.ops.transcendental import sigmoid
from graphgrad.typing import Array

# ------------------------------------------------------------------------------ two classes


def _is_one(pos_weight: Array) -> bool:
    """Whether it is the number 1, which stands for none."""
    return isinstance(pos_weight, float) and pos_weight == 1


def _binary_cross_entropy(x: Array, target: Array, pos_weight: Array) -> Array:
    """Return w t softplus(−x) + (1 − t) softplus(x): no digit is lost in a difference."""
    tail = np.log1p(np.exp(-np.abs(x)))
    with np.errstate(invalid="ignore"):
        if _is_one(pos_weight):
            out = x * ((x > 0).astype(x.dtype) - target) + tail  # above − x t would cancel
        else:
            above = np.maximum(x, 0)
            out = pos_weight * target * (above - x + tail) + (1 - target) * (above + tail)
        if np.isnan(np.add.reduce(out, axis=None)):  # 0 · ∞: what is excluded costs nothing
            yes = np.where(target == 0, 0, pos_weight * target * (np.maximum(-x, 0) + tail))
            no = np.where(target == 1, 0, (1 - target) * (np.maximum(x, 0) + tail))
            out = yes + no
    return out


def _binary_rule(g: Array, x: Array, target: Array, pos_weight: Array) -> Array:
    """Return g ((1 − t) σ(x) − w t σ(−x)); σ(x) − t would lose the digits of a sure answer."""
    tensor = x  # a second name, for type checkers think that a Recorded has no minus
    if isinstance(tensor, Recorded):
        yes, no = sigmoid(-x), sigmoid(x)
    else:  # both sigmoids at the cost of one
        yes, no = np.exp(np.minimum(-x, 0)), np.exp(np.minimum(x, 0))
        g = g / (1 + yes * no)  # of which one is 1, the other e^−|x|
    if not _is_one(pos_weight):
        yes = yes * pos_weight
    return g * ((1 - target) * no - target * yes)


_BINARY: Elementary = op(
    _binary_cross_entropy,
    _binary_rule,
    None,
    None,
    elementwise=True,
    name="binary_cross_entropy_with_logits",
    symbol="BCE",
    domain=elementwise((-3.0, 3.0), (0.0, 1.0), (0.5, 2.0)),
    doc="w t softplus(−x) + (1 − t) softplus(x). Gradient: g ((1 − t) σ(x) − w t σ(−x)).",
)


@guarded
def binary_cross_entropy_with_logits(
    logits: Array,
    target: Array,
    weight: Array = None,
    *,
    reduction: Reduction = "mean",
    pos_weight: Array = None,
) -> Tensor:
    """Return the mean of −t log σ(x) − (1 − t) log σ(−x), exact for logits of any size.

    Each logit is a question of its own: the logistic loss of one class against the other, or
    of several attributes. The gradient is (σ(x) − t) / count.

    Parameters
    ----------
    logits
        Scores before any sigmoid, of any shape.
    target
        Probabilities, 0 … 1, of the same shape; 0 and 1 are the two classes.
    weight
        A factor for each loss, of a shape that broadcasts to the logits; the mean is divided
        by the number of losses all the same.
    reduction
        "mean", "sum", or "none": the loss of each logit.
    pos_weight
        A factor for the losses of t = 1, of a shape that broadcasts to the logits.

    Raises
    ------
    ArgumentError
        If a target is outside 0 … 1.
    ShapeError
        If the shapes do not fit, or there is nothing to take the mean of.
    """
    target = as_plain(CALLED, target, "target")
    x, target = matched(logits, target, reduction, "logits")
    if target.size and not (target.min() >= 0 and target.max() <= 1):
        problem = f"targets from {target.min()} to {target.max()}, allowed are 0 to 1"
        raise ArgumentError(f"{CALLED}: {problem}")
    factors = []
    for name, factor in (("weight", weight), ("pos_weight", pos_weight)):
        array: Any = (
            Absent(1.0) if factor is None else in_dtype_of(x, as_plain(CALLED, factor, name))
        )
        if factor is not None and not _fits(array.shape, x.shape):
            problem = f"{name} {array.shape} does not broadcast to the logits {x.shape}"
            raise ShapeError(f"{CALLED}: {problem}")
        factors.append(array)
    losses = _BINARY(x, target, factors[1])
    return reduced(losses if weight is None else losses * factors[0], reduction)


def _fits(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    pairs = zip(reversed(shape), reversed(to), strict=False)
    return len(shape) <= len(to) and all(n in (1, m) for n, m in pairs)


# ------------------------------------------------------------------------------- divergence


def _divergence(x: Array, target: Array) -> Array:
    """Return t (log t − x), 0 where t is: also for an x of −∞."""
    nothing = target == 0
    with np.errstate(invalid="ignore"):
        return np.where(nothing, 0, target * (np.log(np.where(nothing, 1, target)) - x))


def _log_divergence(x: Array, target: Array) -> Array:
    """Return e^t (t − x), 0 where t is −∞: also for an x of −∞."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isneginf(target), 0, np.exp(target) * (target - x))


_DIVERGENCE: Elementary = op(
    _divergence,
    lambda g, target: -g * target,
    lambda g, x, target: g * (np.log(target) + 1 - x),
    elementwise=True,
    name="kl_div",
    symbol="KL",
    domain=elementwise((-3.0, 0.0), (0.1, 0.9)),
    doc="t (log t − x). Gradients: −g t, and g (log t + 1 − x): infinite at t = 0.",
)
_LOG_DIVERGENCE: Elementary = op(
    _log_divergence,
    lambda g, target: -g * np.exp(target),
    lambda g, x, target: g * keep(np.exp(target) * (target + 1 - x), target > -np.inf),
    elementwise=True,
    name="kl_div of logarithms",
    symbol="KL",
    domain=elementwise((-3.0, 0.0), (-3.0, 0.0)),
    doc="e^t (t − x). Gradients: −g e^t, and g e^t (t + 1 − x).",
)


KLReduction = Literal["mean", "sum", "none", "batchmean"]


@guarded
def kl_div(
    log_probabilities: Array,
    target: Array,
    *,
    reduction: KLReduction = "mean",
    log_target: bool = False,
) -> Tensor:
    """Return how far a distribution is from the target: t (log t − x), element by element.

    Summed over a distribution this is the Kullback-Leibler divergence Σ t log(t / eˣ). Note
    the order of the arguments, and that "mean" divides by the number of elements, both as in
    PyTorch; "batchmean" is the divergence itself, averaged over the batch.

    Parameters
    ----------
    log_probabilities
        x, the logarithms of the distribution to judge, of any shape (N, …).
    target
        t, the distribution that is right, of the same shape, ≥ 0; differentiable too.
    reduction
        "batchmean": the sum over N; "mean": the sum over the number of elements; "sum"; "none".
    log_target
        Whether the target is given as logarithms.

    Raises
    ------
    ArgumentError
        If a target is negative.
    ShapeError
        If the shapes differ, or there is nothing to take the mean of.
    """
    x, target = matched(log_probabilities, target, reduction)
    if not log_target and target.size and not np.min(unwrapped(target)) >= 0:
        raise ArgumentError(f"{CALLED}: targets below 0; for logarithms say log_target=True")
    losses = (_LOG_DIVERGENCE if log_target else _DIVERGENCE)(x, target)
    if reduction == "batchmean":
        return total(losses) / (x.shape[0] if x.ndim else 1)
    return reduced(losses, reduction)
