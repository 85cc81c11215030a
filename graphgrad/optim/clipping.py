"""Gradients held within bounds, between ``backward()`` and ``step()``."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any

import numpy as np

from graphgrad.arguments import CALLED, Limit, PositiveFloat, guarded, number, positive
from graphgrad.engine.recording import outside_traces
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import GraphError, NonFiniteError
from graphgrad.optim.arguments import tensors_of
from graphgrad.pieces import flat_pieces
from graphgrad.typing import Array


def _power(who: str, what: str, value: Any) -> None:
    if number(who, what, value, infinite=True) != math.inf:
        positive(who, what, value)


@outside_traces
@guarded
def clip_grad_norm(
    params: Tensor | Iterable[Tensor],
    max_norm: PositiveFloat,
    norm_type: Annotated[float, Limit("> 0, or inf", _power)] = 2.0,
) -> float:
    """Scale all gradients by one factor so that their norm, taken together, is ≤ max_norm.

    g ← g · max_norm / n where n = (Σ |g|^p)^(1/p) over all elements of all gradients is above
    max_norm, else nothing changes. The direction stays, which `clip_grad_value` does not
    promise. PyTorch's ``clip_grad_norm_`` divides by n + 1e-6 and so ends a little below.
    Pascanu et al., "On the difficulty of training recurrent neural networks", 2013.

    Parameters
    ----------
    params
        Tensors after ``backward()``; those without a gradient are passed over.
    max_norm
        The bound, > 0.
    norm_type
        p > 0, also ``math.inf`` for the largest element.

    Returns
    -------
    float
        The norm before clipping; it is never lost to overflow or underflow of the powers.

    Raises
    ------
    GraphError
        If no parameter has a gradient.
    NonFiniteError
        If a gradient holds NaN or infinity. Nothing has changed then, so that the step can be
        left out.
    """
    grads = _gradients(params)
    norm = _norm(list(grads.values()), float(norm_type))
    if not math.isfinite(norm):
        raise NonFiniteError(f"{CALLED}: {_culprit(list(grads))}; nothing was changed")
    if norm > max_norm:
        factor = max_norm / norm
        for g in grads.values():
            np.multiply(g, factor, out=g)
    return norm


@outside_traces
@guarded
def clip_grad_value(params: Tensor | Iterable[Tensor], clip_value: PositiveFloat) -> None:
    """Move every element of the gradients into [−clip_value, clip_value]; NaN stays NaN.

    Raises
    ------
    GraphError
        If no parameter has a gradient.
    """
    for g in _gradients(params).values():
        np.clip(g, -clip_value, clip_value, out=g)


def _gradients(params: Tensor | Iterable[Tensor]) -> dict[Tensor, Any]:
    """Return the gradients there are; they belong to their tensors alone."""
    tensors = tensors_of(params)
    grads = {t: t.grad for t in tensors if t.grad is not None}
    if not grads:
        message = (
            f"{CALLED}: none of {len(tensors)} parameters has a gradient; call it after "
            "loss.backward() and before zero_grad()"
        )
        raise GraphError(message)
    return grads


def _culprit(tensors: list[Tensor]) -> str:
    """Say why the norm is not finite."""
    for t in tensors:
        if not math.isfinite(_largest(t.grad)):
            label = f"'{t.name}' " if t.name else ""
            return (
                f"the gradient of parameter {label}{t.shape} holds NaN or infinity: leave out this "
                "step, or find the cause with gg.detect_anomaly()"
            )
    return "the norm is beyond the range of numbers: divide the loss, or use norm_type=math.inf"


# ---------------------------------------------------------------------------------- norms


def square_sum(array: Array) -> float:
    """Add up all squares: a piece in the array's own precision, the pieces in double."""
    with np.errstate(all="ignore"):
        return math.fsum(float(np.dot(piece, piece)) for piece in _widened_pieces(array))


def absolute_sum(array: Array) -> float:
    """Add up all absolute values, likewise."""
    return math.fsum(float(np.sum(np.abs(piece))) for piece in _widened_pieces(array))


def _widened_pieces(array: Array) -> Iterator[Any]:
    return flat_pieces(array, np.promote_types(array.dtype, np.float32))


def _largest(array: Array) -> float:
    return max(float(np.max(array)), -float(np.min(array))) if array.size else 0.0


def _norm(arrays: list[Any], p: float) -> float:
    """Return the p-norm of all elements; NaN or infinity if one of them is."""
    if p == 2:
        total = sum(map(square_sum, arrays))
        if 1e-20 < total < math.inf:  # no square has left the range of single precision
            return math.sqrt(total)
    scale = _largest_of(arrays)
    if p == math.inf or scale == 0 or not math.isfinite(scale):
        return scale
    power: Callable[[Any], Any] = np.square if p == 2 else lambda x: np.power(x, p)
    parts = (
        float(np.sum(power(np.abs(piece / scale))))
        for array in arrays
        for piece in flat_pieces(array, np.float64)
    )
    return float(scale * math.fsum(parts) ** (1 / p))


def _largest_of(arrays: list[Any]) -> float:
    """Return the largest size of an element, NaN if there is one: Python's max may lose it."""
    sizes = [_largest(array) for array in arrays]
    return math.nan if any(map(math.isnan, sizes)) else max(sizes)
