"""Functions of a network: an output and its gradient, no state."""

import math
from typing import Any

import numpy as np

from graphgrad.errors import DtypeError, ShapeError, UnsupportedError
from graphgrad.node import here, recording
from graphgrad.registry import Cases, Op, call, op
from graphgrad.tensor import Tensor


def _softmax(logits: Any) -> Any:
    exp = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return exp / np.sum(exp, axis=-1, keepdims=True)


softmax: Op[Tensor] = op(
    _softmax,
    lambda g, out: out * (g - np.sum(g * out, axis=-1, keepdims=True)),
    name="softmax",
    symbol="softmax",
    domain=Cases(lambda r: call(r(4)), lambda r: call(r(2, 3)), lambda r: call(r(2, 1, 3))),
    doc="e^x / Σ e^x along the last axis, without overflow. Gradient: y (g − Σ g y).",
)


def _mean_cross_entropy(logits: Any, labels: Any) -> Any:
    shifted = logits - np.max(logits, axis=-1, keepdims=True)
    total = np.log(np.sum(np.exp(shifted), axis=-1))
    if labels.ndim == logits.ndim:  # where a target is 0, a logit of −∞ costs nothing
        chosen = np.sum(labels * np.where(labels == 0, 0, shifted), axis=-1)
    else:
        chosen = np.take_along_axis(shifted, labels[..., None], axis=-1)[..., 0]
    return np.mean(total - chosen)


def _targets(labels: Any, shape: tuple[int, ...]) -> Any:
    """Return one-hot rows of the shape of the logits."""
    return labels if labels.ndim == len(shape) else labels[..., None] == np.arange(shape[-1])


_CROSS_ENTROPY: Op[Tensor] = op(
    _mean_cross_entropy,
    lambda g, logits, logits_shape, labels: (
        (softmax(logits) - _targets(labels, logits_shape)) * (g / math.prod(logits_shape[:-1]))
    ),
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
    where = f"logits {shape}, labels {labels.shape} {labels.dtype} (at {here()})"
    if len(shape) not in (1, 2) or 0 in shape:
        message = f"cross_entropy: logits must be (N, C) or (C,), none of them 0: {where}"
        raise ShapeError(message)
    if labels.shape == shape:
        if np.any(labels < 0) or np.any(np.abs(np.sum(labels, axis=-1) - 1) > 1e-3):
            message = f"cross_entropy: each row of labels must be ≥ 0 and sum to 1: {where}"
            raise ShapeError(message)
    elif labels.shape != shape[:-1]:
        message = f"cross_entropy: labels must be {shape[:-1]} classes or {shape} one-hot: {where}"
        raise ShapeError(message)
    elif labels.dtype.kind not in "iu":
        message = f"cross_entropy: class numbers must be integers, use .astype(int): {where}"
        raise DtypeError(message)
    elif np.min(labels) < 0 or np.max(labels) >= shape[-1]:
        message = (
            f"cross_entropy: class numbers from {np.min(labels)} to {np.max(labels)}, "
            f"allowed are 0 to {shape[-1] - 1}: {where}"
        )
        raise ShapeError(message)
