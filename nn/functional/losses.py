"""Losses: how far an output is from what it should be."""

import math
from typing import Any

import numpy as np

from graphgrad.domains import Cases, call
from graphgrad.errors import DtypeError, ShapeError, UnsupportedError
from graphgrad.node import Recorded, here, recording
from graphgrad.ops.likelihood import softmax
from graphgrad.registry import Op, op
from graphgrad.tensor import Tensor


def _one_hot(labels: Any, shape: tuple[int, ...]) -> Any:
    return labels if labels.ndim == len(shape) else np.arange(shape[-1]) == labels[..., None]


def _cross_entropy_rule(g: Any, logits: Any, saved: Any, labels: Any, logits_shape: Any) -> Any:
    """Take y − t from the forward; a graph of the gradient needs it as a function of the logits."""
    residual = saved
    if isinstance(logits, Recorded):
        residual = softmax(logits) - _one_hot(labels, logits_shape)
    return residual * (g / math.prod(logits_shape[:-1]))


def _mean_cross_entropy(logits: Any, labels: Any) -> tuple[Any, Any]:
    """Return the loss and, for the gradient, softmax(logits) − one-hot labels."""
    shifted = logits - np.maximum.reduce(logits, axis=-1, keepdims=True)
    y = np.exp(shifted)
    total = np.add.reduce(y, axis=-1, keepdims=True)
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


def cross_entropy(logits: Any, labels: Any) -> Tensor:
    """Return the mean over the batch of −log softmax(logits) at the label.

    Softmax and logarithm are one operation, exact for logits of any size. The gradient is
    (y − t) / N with y = softmax(logits) and one-hot t.

    Parameters
    ----------
    logits
        Scores before any softmax, (N, C), or (C,) for a single sample.
    labels
        Either class numbers 0 … C−1, integers of shape (N,), or one row of probabilities per
        sample, (N, C): one-hot, or any that sum to 1.

    Raises
    ------
    ShapeError
        If the shapes do not fit, the batch is empty, a label is outside 0 … C−1, or a row is
        no distribution.
    DtypeError
        If class numbers are not integers.
    """
    if isinstance(labels, Tensor):
        if labels.requires_grad and recording.enabled:
            message = f"cross_entropy: not differentiable in labels; use .detach() (at {here()})"
            raise UnsupportedError(message)
        labels = labels.numpy()
    logits = logits if hasattr(logits, "dtype") else np.asarray(logits)
    labels = labels if hasattr(labels, "dtype") else np.asarray(labels)
    _check(labels, logits.shape)
    if labels.ndim == logits.ndim and logits.dtype.kind == "f":  # float32 stays float32
        labels = labels.astype(logits.dtype, copy=False)
    return _CROSS_ENTROPY(logits, labels)


def _check(labels: Any, shape: tuple[int, ...]) -> None:
    """Refuse labels that do not fit logits of a shape."""
    error: type[Exception] = ShapeError
    if len(shape) not in (1, 2) or 0 in shape:
        problem = "logits must be (N, C) or (C,), none of them 0"
    elif labels.shape == shape:
        if labels.min() >= 0 and np.abs(labels.sum(axis=-1) - 1).max() <= 1e-5:
            return
        problem = "each row of labels must be ≥ 0 and sum to 1"
    elif labels.shape != shape[:-1]:
        problem = f"labels must be {shape[:-1]} classes or {shape} one-hot"
    elif labels.dtype.kind not in "iu":
        problem, error = "class numbers must be integers, use .astype(int)", DtypeError
    else:
        low, high = labels.min(), labels.max()
        if low >= 0 and high < shape[-1]:
            return
        problem = f"class numbers from {low} to {high}, allowed are 0 to {shape[-1] - 1}"
    facts = f"logits {shape}, labels {labels.shape} {labels.dtype} (at {here()})"
    raise error(f"cross_entropy: {problem}: {facts}")
