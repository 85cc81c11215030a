"""Cross-entropy of class scores, and the negative log-likelihood of probabilities."""

import math
from typing import Any

import numpy as np

from graphgrad.arguments import CALLED, Fraction, guarded
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.graph import Recorded
from graphgrad.engine.op import Op, op
from graphgrad.engine.operands import as_array, unwrapped
from graphgrad.engine.reductions import reduce_axis
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ShapeError
from graphgrad.nn.functional.losses.checks import (
    Reduction,
    check_labels,
    class_weights,
    facts,
    labels_of,
    mean_factor,
    reduced,
    share_of,
)
from graphgrad.ops.choice import keep
from graphgrad.ops.index import take_along_axis
from graphgrad.ops.likelihood import softmax
from graphgrad.ops.shape import squeeze
from graphgrad.typing import Array

# ------------------------------------------------------- cross-entropy: the common case, fused


def _one_hot(labels: Array, shape: tuple[int, ...]) -> Array:
    return labels if labels.ndim == len(shape) else np.arange(shape[-1]) == labels[..., None]


def _cross_entropy_rule(
    g: Array, logits: Array, saved: Any, labels: Array, logits_shape: Any
) -> Array:
    """Take y − t from the forward; a graph of the gradient needs it as a function of the logits."""
    residual = saved
    if isinstance(logits, Recorded):
        residual = softmax(logits) - _one_hot(labels, logits_shape)
    return residual * (g / math.prod(logits_shape[:-1]))


def _mean_cross_entropy(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Return the loss and, for the gradient, softmax(logits) − one-hot labels."""
    shifted = logits - reduce_axis(np.maximum, logits, -1, keepdims=True)
    y = np.exp(shifted)
    total = reduce_axis(np.add, y, -1, keepdims=True)
    y /= total
    if labels.ndim == logits.ndim:  # where a target is 0, a logit of −∞ costs nothing
        chosen = np.sum(labels * np.where(labels == 0, 0, shifted), axis=-1)
        y -= labels
    else:
        index = (np.arange(len(labels)), labels) if labels.ndim else labels
        chosen = shifted[index]
        y[index] -= 1
    losses = np.log(total)[..., 0] - chosen
    # the mean of halves is taken in single precision
    mean = np.add.reduce(losses, axis=None, dtype=_WIDER.get(losses.dtype)) / losses.size
    return mean.astype(losses.dtype), y


_WIDER = {np.dtype(np.float16): np.float32}

_CROSS_ENTROPY: Op[Tensor] = op(
    _mean_cross_entropy,
    _cross_entropy_rule,
    name="cross_entropy",
    symbol="CE",
    domain=Cases(
        lambda r: call(r(3), np.array(1)),
        lambda r: call(r(4, 3), np.array([0, 2, 2, 1])),
        lambda r: call(r(2, 3), np.array([[0.0, 1.0, 0.0], [0.5, 0.25, 0.25]])),
    ),
    doc="Mean of −Σ t log softmax(x). Gradient: (softmax(x) − t) · g / N.",
)

# ----------------------------------------- cross-entropy: a loss for each sample, all the options


def _coefficients(labels: Array, weight: Array, smoothing: float, axis: int, like: Array) -> Array:
    """Return q, of which a sample's loss is −Σ q log softmax(x); rows of ignored labels are 0."""
    if labels.ndim == like.ndim:
        q = labels.astype(like.dtype)
        kept: Any = True
    else:
        q = np.zeros_like(unwrapped(like))
        marked = np.expand_dims(labels, axis)
        kept = marked >= 0
        np.put_along_axis(q, np.maximum(marked, 0), kept.astype(q.dtype), axis)
    if smoothing:
        q = q * (1 - smoothing) + kept * np.asarray(smoothing / like.shape[axis], q.dtype)
    return q if weight is None else q * _along(weight, axis, like.ndim)


def _along(weight: Array, axis: int, ndim: int) -> Array:
    """Lay the weights of the classes along their axis."""
    return weight.reshape([-1 if i == axis % ndim else 1 for i in range(ndim)])


def _each_cross_entropy(
    logits: Array, labels: Array, weight: Array = None, smoothing: float = 0.0, axis: int = -1
) -> tuple[Array, Array]:
    """Return the losses and, for the gradient, softmax(logits) · Σ q − q."""
    shifted = logits - reduce_axis(np.maximum, logits, axis, keepdims=True)
    y = np.exp(shifted)
    wide = np.promote_types(y.dtype, np.float32)
    total = reduce_axis(np.add, y, axis, keepdims=True, dtype=wide)
    y = np.divide(y, total, out=y, casting="same_kind")
    cost = np.log(total).astype(y.dtype, copy=False)  # of a class: cost − shifted
    if labels.ndim == logits.ndim:
        q = _coefficients(labels, weight, smoothing, axis, logits)
        losses = np.add.reduce(_product(q, cost - shifted), axis)
        y *= np.add.reduce(q, axis, keepdims=True)
        y -= q
        return losses, y
    places = _places(labels, axis)
    share = share_of(weight, labels, y.dtype) * (1 - smoothing)
    whole, ignored = share, labels < 0
    nothing = share == 0
    even = None
    losses = _product(share, np.squeeze(cost, axis) - shifted[places])
    if smoothing:  # besides the label, each class has a small target
        even = np.ones((), y.dtype) if weight is None else _along(weight, axis, y.ndim)
        even = even * np.asarray(smoothing / y.shape[axis], y.dtype)
        others = np.add.reduce(_product(even, cost - shifted), axis)
        losses = losses + np.where(ignored, 0, others)
        whole = share + np.add.reduce(np.broadcast_to(even, y.shape), axis)
        nothing = ignored
    if weight is not None or smoothing:
        y *= np.expand_dims(whole, axis)
    if even is not None:
        y -= even
    y[places] -= share
    if nothing.any():  # whatever the logits are there, be it NaN
        np.moveaxis(y, axis, -1)[nothing] = 0
    return losses, y


def _product(q: Array, cost: Any) -> Array:
    """Multiply; where a target is 0, a logit of −∞ costs nothing."""
    with np.errstate(invalid="ignore"):
        return np.where(q == 0, 0, q * cost)


def _places(labels: Array, axis: int) -> tuple[Array, ...]:
    """Index the element of each label, 0 for the ignored."""
    places = [np.maximum(labels, 0)]
    grid = list(np.ogrid[tuple(map(slice, labels.shape))]) if labels.ndim else []
    at = axis % (labels.ndim + 1)
    return (*grid[:at], *places, *grid[at:])


def _each_cross_entropy_rule(
    g: Array, logits: Array, saved: Any, labels: Array, weight: Array, smoothing: float, axis: int
) -> Array:
    residual = saved
    if isinstance(logits, Recorded):
        q = _coefficients(labels, weight, smoothing, axis, logits)
        counts = np.any(q, axis=axis, keepdims=True)
        residual = keep(softmax(logits, axis) * np.sum(q, axis=axis, keepdims=True) - q, counts)
    return np.expand_dims(g, axis) * residual


_EACH_CROSS_ENTROPY: Op[Tensor] = op(
    _each_cross_entropy,
    _each_cross_entropy_rule,
    name="cross_entropies",
    symbol="CE each",
    domain=Cases(
        lambda r: call(r(3), np.array(1)),
        lambda r: call(r(4, 3), np.array([0, -1, 2, 1]), np.array([0.5, 2.0, 1.0])),
        lambda r: call(r(2, 3), np.array([-1, 1]), None, 0.2),
        lambda r: call(r(2, 3), np.array([2, -1]), np.array([0.5, 2.0, 0.0]), 0.1),
        lambda r: call(r(2, 3, 2), np.array([[0, -1], [2, 1]]), axis=1),
        lambda r: call(r(2, 2, 2), r(2, 2, 2) ** 2, np.array([0.5, 2.0]), 0.3, axis=1),
    ),
    doc="−Σ q log softmax(x) of each sample. Gradient: (softmax(x) Σ q − q) · g.",
)


@guarded
def cross_entropy(
    logits: Array,
    labels: Array,
    weight: Array = None,
    *,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: Fraction = 0.0,
) -> Tensor:
    """Return the mean over the batch of −log softmax(logits) at the label.

    Softmax and logarithm are one operation, exact for logits of any size. The gradient is
    (y − t) / N with y = softmax(logits) and one-hot t.

    Parameters
    ----------
    logits
        Scores before any softmax, (N, C), (C,) for a single sample, or (N, C, …) with
        labels for every place of further axes.
    labels
        Either class numbers 0 … C−1, integers of shape (N,) or (N, …), or a distribution per
        sample, of the shape of the logits: one-hot, or any that sum to 1.
    weight
        Of each class, (C,). The mean over class numbers is divided by the sum of their
        weights, that over distributions by N.
    ignore_index
        Samples with this class number have loss and gradient 0 and do not count in the mean.
    reduction
        "mean", "sum", or "none": the loss of each sample.
    label_smoothing
        ε, 0 … 1: the targets are t (1 − ε) + ε / C. Szegedy et al., "Rethinking the Inception
        Architecture", 2016, section 7.

    Raises
    ------
    ShapeError
        If the shapes do not fit, a label is outside 0 … C−1, a row is no distribution, or there
        is nothing to take the mean of: an empty batch, or labels that are all ignored.
    DtypeError
        If class numbers are not integers.
    """
    labels = labels_of(labels)
    ignore_index = int(ignore_index)
    logits = as_array(logits)
    shape = logits.shape
    plain = weight is None and reduction == "mean" and not label_smoothing
    if plain and _is_usual(labels, shape, ignore_index):
        return _CROSS_ENTROPY(logits, labels)
    ignored = _check(labels, shape, ignore_index)
    dense = labels.ndim == len(shape)
    if dense and logits.dtype.kind == "f":  # float32 stays float32
        labels = labels.astype(logits.dtype, copy=False)
    if plain and ignored is None and len(shape) <= 2 and labels.size:
        return _CROSS_ENTROPY(logits, labels)
    return _optional_cross_entropy(
        logits, labels, weight, ignored, reduction, float(label_smoothing)
    )


def _is_usual(labels: Array, shape: tuple[int, ...], ignore_index: int) -> bool:
    """Whether there is nothing to check any more: a class for each row, none of them ignored."""
    return (
        ignore_index < 0
        and 1 <= len(shape) <= 2
        and labels.shape == shape[:-1]
        and labels.dtype.kind in "iu"
        and labels.size > 0
        # a negative number, read without its sign, is larger than any class
        and np.maximum.reduce(labels.view(np.uintp), axis=None) < shape[-1]
    )


def _optional_cross_entropy(
    logits: Array, labels: Array, weight: Array, ignored: Any, reduction: str, smoothing: float
) -> Tensor:
    """Return the cross-entropy with whatever option there is."""
    if logits.dtype.kind != "f":
        logits = logits.astype(float)
    axis = 1 if logits.ndim > 1 else 0
    weight = class_weights(weight, logits, logits.shape[axis])
    if ignored is not None:
        labels = np.where(ignored, -1, labels)
    factor = 1.0
    if reduction == "mean":
        dense = labels.ndim == logits.ndim
        shares = np.ones(len(labels)) if dense else share_of(weight, labels, logits.dtype)
        factor = mean_factor(shares)
    losses = _EACH_CROSS_ENTROPY(logits, labels, weight, smoothing, axis)
    return reduced(losses, reduction, factor)


def _check(labels: Array, shape: tuple[int, ...], ignore_index: int) -> Array:
    """Refuse labels that do not fit logits of a shape; return the mask of the ignored, or None."""
    if not shape or not shape[min(1, len(shape) - 1)]:
        problem = "logits must be (N, C), (C,) or (N, C, …) with some classes"
    elif labels.shape == shape:
        axis = 1 if len(shape) > 1 else 0
        sums = labels.sum(axis, np.float64)
        fine = 1e-2 if labels.dtype == np.float16 else 1e-5
        if not labels.size or (labels.min() >= 0 and np.abs(sums - 1).max() <= fine):
            return None
        problem = "each row of labels must be ≥ 0 and sum to 1"
    elif labels.shape == (shape[:1] + shape[2:] if len(shape) > 1 else ()):
        return check_labels(labels, shape, ignore_index)
    else:
        classes = shape[:1] + shape[2:] if len(shape) > 1 else ()
        problem = f"labels must be {classes} classes or {shape} one-hot"
    raise ShapeError(f"{CALLED}: {problem}: {facts(shape, labels)}")


# ---------------------------------------------------------------- negative log-likelihood


@guarded
def nll_loss(
    log_probabilities: Array,
    labels: Array,
    weight: Array = None,
    *,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return the mean over the batch of −log_probabilities at the label.

    With ``log_softmax`` before it, this is :func:`cross_entropy`; with the logarithm of
    probabilities, the cross-entropy of those.

    Parameters
    ----------
    log_probabilities
        Logarithms of probabilities, (N, C), (C,) for a single sample, or (N, C, …).
    labels
        Class numbers 0 … C−1, integers of shape (N,), or (N, …).
    weight, ignore_index, reduction
        As in :func:`cross_entropy`.

    Raises
    ------
    ArgumentError, ShapeError, DtypeError
        As :func:`cross_entropy`.
    """
    labels, x = labels_of(labels), as_array(log_probabilities)
    ignore_index = int(ignore_index)
    shape = x.shape
    places = shape[:1] + shape[2:] if len(shape) > 1 else ()
    if not shape or labels.shape != places:
        wanted = f"log-probabilities (N, C), (C,) or (N, C, …) want labels {places}"
        raise ShapeError(f"{CALLED}: {wanted}: {facts(shape, labels)}")
    ignored = check_labels(labels, shape, ignore_index)
    axis = 1 if len(shape) > 1 else 0
    weight = class_weights(weight, x, shape[axis])
    if ignored is not None:
        labels = np.where(ignored, -1, labels)
    share = share_of(weight, labels, x.dtype if x.dtype.kind == "f" else float)
    factor = mean_factor(share) if reduction == "mean" else 1.0
    index = np.maximum(np.expand_dims(labels, axis), 0)
    losses = -squeeze(take_along_axis(x, index, axis), axis)
    if weight is not None or ignored is not None:
        losses = keep(losses, share != 0) * share
    return reduced(losses, reduction, factor)
