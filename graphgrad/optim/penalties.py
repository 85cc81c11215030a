"""Weights kept small: penalties to add to a loss, and a bound on their norm."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from graphgrad.arguments import CALLED, NonNegativeFloat, PositiveFloat, guarded
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.op import Op, op
from graphgrad.engine.record import record
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ShapeError
from graphgrad.optim.arguments import leaves_of, tensors_of
from graphgrad.optim.clipping import absolute_sum, square_sum
from graphgrad.typing import Array


def _penalty(arrays: Array, l1: float, l2: float) -> Array:
    """One number for all arrays, in their common dtype."""
    total = 0.0
    for x in arrays:
        total += l1 * absolute_sum(x) if l1 else 0.0
        total += l2 / 2 * square_sum(x) if l2 else 0.0
    return np.result_type(np.float16, *[x.dtype for x in arrays]).type(total)


def _penalty_rule(g: Array, inputs: Any, l1: float, l2: float, wanted: Any) -> Array:
    def gradient(x: Array) -> Array:
        if not l1:
            return (g * l2) * x
        pull = (g * l1) * np.sign(x)
        return pull + (g * l2) * x if l2 else pull

    return tuple(gradient(x) if wants else None for x, wants in zip(inputs, wanted, strict=True))


PENALTY: Op[Tensor] = op(
    _penalty,
    joint=_penalty_rule,
    variadic=True,
    chooses=lambda inputs: np.concatenate([np.sign(np.ravel(w)) for w in inputs]),
    name="penalty",
    symbol="λ₁Σ|w|+½λ₂Σw²",
    domain=Cases(
        lambda r: call([r(2, 3), r(4)], 0.0, 0.3),
        lambda r: call([r(2, 1, 2)], 0.3, 0.0),
        lambda r: call([r(3), r(), r(0, 2)], 0.2, 0.5),
        lambda r: call([r(2)], 0.0, 0.0),
    ),
    doc="l1 Σ|w| + l2/2 Σw² over several arrays. Gradient: g (l1 sign(w) + l2 w).",
)


@guarded
def elastic_penalty(
    params: Tensor | Iterable[Tensor], l1: NonNegativeFloat, l2: NonNegativeFloat
) -> Tensor:
    """Return l1 Σ|w| + ½ l2 Σw² over all elements of all parameters, to add to a loss.

    The elastic net: the sum of `l1_penalty` and `l2_penalty`, in one node of the graph. Its
    gradient is l1 sign(w) + l2 w, with sign(0) = 0. The CS231n notes write λ₂w² without the
    half here: their λ₂ is half of ours. Zou and Hastie, 2005.

    Parameters
    ----------
    params
        One tensor or several; usually the weights without the biases:
        ``[p for p in model.parameters() if p.ndim > 1]``.
    l1, l2
        The strengths, ≥ 0.

    Raises
    ------
    GraphError
        If there are no parameters.
    """
    return _penalise(params, l1, l2)


@guarded
def l2_penalty(params: Tensor | Iterable[Tensor], strength: NonNegativeFloat) -> Tensor:
    """Return ½ λ Σw² over all elements of all parameters, to add to a loss.

    Its gradient is λw, hence the half. For plain SGD, with momentum or without, that is the
    same as ``weight_decay=λ``. For Adam and all that divide by the size of the gradient it is
    not: there λw is divided as well, so that weights with large gradients shrink less;
    AdamW's weight_decay shrinks all alike. Loshchilov and Hutter, "Decoupled Weight Decay
    Regularization", 2019.

    Parameters and errors are those of `elastic_penalty`.
    """
    return _penalise(params, 0.0, strength)


@guarded
def l1_penalty(params: Tensor | Iterable[Tensor], strength: NonNegativeFloat) -> Tensor:
    """Return λ Σ|w| over all elements of all parameters, to add to a loss.

    Its gradient is λ sign(w), 0 at w = 0: it pulls small weights as hard as large ones, to
    zero, and leaves few. Steps of gradient descent jump to and fro across zero by lr · λ,
    so that "zero" is a weight of that size.

    Parameters and errors are those of `elastic_penalty`.
    """
    return _penalise(params, strength, 0.0)


def _penalise(params: Tensor | Iterable[Tensor], l1: float, l2: float) -> Tensor:
    strengths = (float(l1), float(l2))
    return record(PENALTY, tuple(tensors_of(params)), strengths)  # type: ignore[no-any-return]


@guarded
def max_norm_(
    params: Tensor | Iterable[Tensor],
    limit: PositiveFloat,
    axis: int | tuple[int, ...] | None = None,
) -> None:
    """Pull the weight vector of every unit back into the ball of radius ``limit``, in place.

    w ← w · limit / ‖w‖ where ‖w‖ > limit. Called after ``optimizer.step()``; the update
    itself is not changed. Even at too high a learning rate the weights cannot explode. The
    CS231n notes name limits of 3 or 4.

    Parameters
    ----------
    params
        One tensor or several, of two or more axes: ``[p for p in model.parameters() if
        p.ndim > 1]``.
    limit
        The largest norm, > 0.
    axis
        The axes along which the weights of one unit lie. None: all but the first, which fits
        (out, in) and (out, in, height, width). For the matrix of ``x @ W`` it is 0, for a
        transposed convolution (0, 2, 3).

    Raises
    ------
    GraphError
        If a parameter is no leaf, or there are none.
    ShapeError
        If a parameter has no such axis; nothing has changed then.
    """
    tensors = leaves_of(params)
    factors = [_within(p, limit, _unit_axes(p, axis, i)) for i, p in enumerate(tensors)]
    for p, factor in zip(tensors, factors, strict=True):
        if factor is not None:
            p.data *= factor  # backward() notices


def _unit_axes(p: Tensor, axis: Any, i: int) -> tuple[int, ...]:
    """Return the axes of one unit's weights."""
    if axis is None and p.ndim < 2:
        message = (
            f"{CALLED}: parameter {i} {p.shape} has no axis of inputs; leave out the biases: "
            "[p for p in model.parameters() if p.ndim > 1]"
        )
        raise ShapeError(message)
    given = tuple(range(1, p.ndim)) if axis is None else axis
    try:
        return np.lib.array_utils.normalize_axis_tuple(given, p.ndim)
    except (ValueError, OverflowError) as error:
        message = f"{CALLED}: parameter {i} {p.shape}: axis {axis}: {error}"
        raise ShapeError(message) from error


def _within(p: Tensor, limit: float, axes: tuple[int, ...]) -> Array:
    """Return the factor for each unit, or None where all are within the limit."""
    wide = np.promote_types(p.dtype, np.float32)
    norms = np.sqrt(np.sum(np.square(p.data, dtype=wide), axis=axes, keepdims=True))
    if np.max(norms, initial=0.0) <= limit:
        return None
    return (limit / np.maximum(norms, limit)).astype(p.dtype)
