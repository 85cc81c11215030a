"""Losses of regression: how far numbers are from numbers."""

from typing import Any

import numpy as np

from graphgrad.arguments import PositiveFloat, guarded
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.op import op
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ShapeError
from graphgrad.nn.functional.losses.checks import Reduction, matched, reduced
from graphgrad.ops.elementwise import Elementary, square
from graphgrad.ops.piecewise import absolute
from graphgrad.ops.reduce import sum as total
from graphgrad.typing import Array


@guarded
def mse_loss(x: Array, target: Array, *, reduction: Reduction = "mean") -> Tensor:
    """Return the mean of (x − target)², over all elements.

    Its gradient is 2 (x − target) / count; that of :func:`half_squared_error` has no 2, and N
    in place of the count.

    Parameters
    ----------
    x, target
        Arrays of one shape, any; nothing is broadcast. Differentiable in both.
    reduction
        "mean", "sum" (the L2 loss ‖x − target‖² of CS231n), or "none": each element's.

    Raises
    ------
    ShapeError
        If the shapes differ, or there is nothing to take the mean of.
    """
    x, target = matched(x, target, reduction)
    return reduced(square(x - target), reduction)


@guarded
def half_squared_error(x: Array, target: Array, *, reduction: Reduction = "mean") -> Tensor:
    """Return ½ Σ (x − target)² of each sample, averaged over the batch.

    The sum runs over the last axis, the features; all others count samples. The gradient is
    (x − target) / N, like that of softmax with cross-entropy. Saito, "Deep Learning from
    Scratch", section 4.2.1.

    Parameters
    ----------
    x, target
        Arrays of one shape, (D,) or (…, D); nothing is broadcast. Differentiable in both.
    reduction
        "mean" over the samples, "sum", or "none": the loss of each sample.

    Raises
    ------
    ShapeError
        If the shapes differ or are (), or there is nothing to take the mean of.
    """
    x, target = matched(x, target, reduction)
    if not x.ndim:
        message = "half_squared_error: a number has no features to sum over; give (D,) or (…, D)"
        raise ShapeError(message)
    return reduced(0.5 * total(square(x - target), -1), reduction)


@guarded
def l1_loss(x: Array, target: Array, *, reduction: Reduction = "mean") -> Tensor:
    """Return the mean of |x − target|, over all elements.

    The gradient is sign(x − target) / count, 0 where they are equal.

    Parameters
    ----------
    x, target
        Arrays of one shape, any; nothing is broadcast. Differentiable in both.
    reduction
        "mean", "sum" (the L1 loss ‖x − target‖₁ of CS231n), or "none": each element's.

    Raises
    ------
    ShapeError
        If the shapes differ, or there is nothing to take the mean of.
    """
    x, target = matched(x, target, reduction)
    return reduced(absolute(x - target), reduction)


def _huber(d: Any, delta: float) -> Array:
    near = np.clip(d, -delta, delta)
    return near * (d - 0.5 * near)


_HUBER: Elementary = op(
    _huber,
    lambda g, d, delta: g * np.clip(d, -delta, delta),
    elementwise=True,
    chooses=lambda d, delta: np.sign(d - delta) + np.sign(d + delta),
    name="huber",
    symbol="Huber",
    domain=Cases(
        lambda r: call(r(2, 3), 0.95),
        lambda r: call(r(3), 10.0),
        lambda r: call(r(), 0.01),
    ),
    doc="½ d² up to |d| = δ, then δ (|d| − δ / 2). Gradient: g · d, limited to ±δ.",
)


@guarded
def huber_loss(
    x: Array, target: Array, *, reduction: Reduction = "mean", delta: PositiveFloat = 1.0
) -> Tensor:
    """Return the mean of ½ d² where |d| ≤ δ, else δ (|d| − ½ δ), with d = x − target.

    Outliers pull with the force δ, not more: the gradient is d limited to ±δ, over the count.
    Its own derivative at |d| = δ is 0. Huber, "Robust Estimation of a Location Parameter", 1964.

    Parameters
    ----------
    x, target
        Arrays of one shape, any; nothing is broadcast. Differentiable in both.
    reduction
        "mean", "sum", or "none": each element's.
    delta
        δ, above 0.

    Raises
    ------
    ShapeError
        If the shapes differ, or there is nothing to take the mean of.
    """
    x, target = matched(x, target, reduction)
    return reduced(_HUBER(x - target, float(delta)), reduction)
