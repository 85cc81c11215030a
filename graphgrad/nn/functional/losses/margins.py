"""Losses of margins: support vector machines."""

from typing import Annotated, Any

import numpy as np

from graphgrad.arguments import CALLED, Limit, guarded, whole
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.op import Op, op
from graphgrad.engine.operands import as_array, as_plain
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError, ShapeError
from graphgrad.nn.functional.losses.checks import (
    Reduction,
    check_labels,
    class_weights,
    facts,
    in_dtype_of,
    labels_of,
    matched,
    mean_factor,
    reduced,
)
from graphgrad.ops.choice import keep
from graphgrad.ops.elementwise import square
from graphgrad.ops.piecewise import relu
from graphgrad.ops.reduce import sum as total
from graphgrad.typing import Array


def _margins(scores: Array, labels: Array, delta: float = 1.0) -> tuple[Array, Array]:
    """Return max(0, s − s_label + Δ), 0 at the label itself, and where that is above 0."""
    right = labels[..., None]
    out = scores - np.take_along_axis(scores, right, -1)
    out += delta
    np.put_along_axis(out, right, 0, -1)
    violated = out > 0
    return np.maximum(out, 0, out=out), violated


def _margins_rule(g: Array, saved: Any, labels: Array, scores_shape: tuple[int, ...]) -> Array:
    """Give each class that violates the margin its g, and the label the rest of a sum of 0."""
    kept = keep(g, saved)
    right = np.arange(scores_shape[-1]) == labels[..., None]
    return kept - keep(np.sum(kept, axis=-1, keepdims=True) * np.ones_like(kept), right)


_MARGINS: Op[Tensor] = op(
    _margins,
    _margins_rule,
    chooses=lambda saved: saved,
    name="margins",
    symbol="margins",
    domain=Cases(
        lambda r: call(r(3), np.array(1), 0.5),
        lambda r: call(r(4, 3), np.array([0, 2, 2, 1])),
        lambda r: call(r(2, 3), np.array([2, 0]), delta=10.0),
        lambda r: call(r(2, 1), np.array([0, 0])),
        lambda r: call(r(0, 2), np.zeros(0, int)),
    ),
    doc=(
        "max(0, s − s_label + Δ), 0 at the label. Gradient: g where above 0, and minus the sum "
        "of those at the label."
    ),
)


def _violations(scores: Array, labels: Array, delta: float, reduction: str) -> Array:
    """Check the arguments and return the margins that are violated, (N, C) or (C,)."""
    labels, scores = labels_of(labels), as_array(scores)
    shape = scores.shape
    if len(shape) not in (1, 2) or not shape[-1] or labels.shape != shape[:-1]:
        wanted = "scores (N, C) want labels (N,), scores (C,) one label"
        raise ShapeError(f"{CALLED}: {wanted}: {facts(shape, labels)}")
    check_labels(labels, shape)
    if reduction == "mean":
        mean_factor(np.ones(labels.shape))
    if scores.dtype.kind != "f":
        scores = scores.astype(float)
    return _MARGINS(scores, labels, float(delta))


@guarded
def hinge_loss(
    scores: Array,
    labels: Array,
    *,
    delta: float = 1.0,
    squared: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return the multiclass hinge loss Σ_j max(0, s_j − s_label + Δ), j not the label.

    The sum over the classes, as the CS231n notes have it (linear classification, "Multiclass
    Support Vector Machine loss"; Weston and Watkins, 1999). PyTorch's
    :func:`multi_margin_loss` is this divided by C. At a margin that is just kept, the
    gradient is 0, and of the squared form the second derivative too.

    Parameters
    ----------
    scores
        (N, C), or (C,) for a single sample.
    labels
        Class numbers 0 … C−1, integers of shape (N,), or one.
    delta
        Δ, how far the right score must be ahead.
    squared
        Whether each term is squared (L2-SVM), which punishes large violations more.
    reduction
        "mean" over the samples, "sum", or "none": the loss of each sample.

    Raises
    ------
    ShapeError
        If the shapes do not fit, a label is outside 0 … C−1, or there is nothing to take the
        mean of.
    DtypeError
        If class numbers are not integers.
    """
    margins = _violations(scores, labels, delta, reduction)
    return reduced(total(square(margins) if squared else margins, -1), reduction)


def power(who: str, what: str, value: Any) -> None:
    """Require 1 or 2."""
    if whole(who, what, value) not in (1, 2):
        raise ArgumentError(f"{who}: {what}={value} is neither 1 nor 2")


Power = Annotated[int, Limit("1 or 2", power)]


@guarded
def multi_margin_loss(
    scores: Array,
    labels: Array,
    p: Power = 1,
    margin: float = 1.0,
    weight: Array = None,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return PyTorch's hinge loss w_label / C · Σ_j max(0, s_j − s_label + margin)^p.

    It divides by the number of classes C, where :func:`hinge_loss`, the one of the CS231n
    notes, sums.

    Parameters
    ----------
    scores
        (N, C), or (C,) for a single sample.
    labels
        Class numbers 0 … C−1, integers of shape (N,), or one.
    p
        1, or 2 for the squared form.
    margin
        How far the right score must be ahead.
    weight
        Of each class, (C,), taken at the label; the mean is divided by N all the same.
    reduction
        "mean" over the samples, "sum", or "none": the loss of each sample.

    Raises
    ------
    ShapeError
        As :func:`hinge_loss`.
    DtypeError
        If class numbers are not integers.
    """
    margins = _violations(scores, labels, margin, reduction)
    classes = margins.shape[-1]
    weight = class_weights(weight, margins, classes)
    losses = total(square(margins) if p == 2 else margins, -1) / classes
    if weight is not None:
        losses = losses * weight[labels_of(labels)]
    return reduced(losses, reduction)


@guarded
def attribute_hinge_loss(
    scores: Array,
    target: Array,
    *,
    delta: float = 1.0,
    squared: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return Σ_j max(0, Δ − t_j s_j) of each sample: a binary SVM for each attribute.

    The CS231n notes ("Attribute classification"): an image may have several tags, each there
    (t = 1) or not (t = −1). At a margin that is just kept, the gradient is 0, and of the
    squared form the second derivative too.

    Parameters
    ----------
    scores
        (A,), or (…, A) with the attributes last.
    target
        1 and −1, of the same shape.
    delta
        Δ, how far a score must be on its side of 0.
    squared
        Whether each term is squared.
    reduction
        "mean" over the samples, "sum", or "none": the loss of each sample.

    Raises
    ------
    ShapeError
        If the shapes differ, a target is neither 1 nor −1, or there is nothing to take the
        mean of.
    """
    target = as_plain(CALLED, target, "target")
    scores, target = matched(scores, target, reduction, "scores")
    if not scores.ndim or not np.all(np.abs(target) == 1):
        problem = "scores are (A,) or (…, A), targets 1 and −1 (from 0 and 1: 2 * target - 1)"
        message = (
            f"{CALLED}: {problem}: scores {scores.shape}, target {target.shape} {target.dtype}"
        )
        raise ShapeError(message)
    kept = relu(float(delta) - scores * in_dtype_of(scores, target))
    return reduced(total(square(kept) if squared else kept, -1), reduction)
