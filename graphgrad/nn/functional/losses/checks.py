"""What every loss asks of its arguments, and how it puts the samples together."""

from typing import Any, Literal

import numpy as np

from graphgrad.arguments import CALLED
from graphgrad.engine.graph import Recorded
from graphgrad.engine.integers import as_intp
from graphgrad.engine.operands import as_array, as_plain, needs_gradient
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import DtypeError, ShapeError
from graphgrad.ops.index import getitem
from graphgrad.ops.reduce import mean, sum as total
from graphgrad.typing import Array

Reduction = Literal["mean", "sum", "none"]


def labels_of(labels: Array) -> Array:
    """Return class numbers as integers that can be computed with; other targets as they are."""
    labels = as_plain(CALLED, labels, "labels")
    return as_intp(f"{CALLED}: labels", labels) if labels.dtype.kind in "iu" else labels


def in_dtype_of(x: Array, array: Array) -> Array:
    """Cast what is plain to the dtype of x, so that float32 stays float32."""
    if x.dtype.kind != "f" or array.dtype == x.dtype:
        return array
    tensor = array  # a second name, for type checkers think that a Recorded has no astype
    if isinstance(tensor, Recorded) and needs_gradient(tensor):
        return array
    return array.astype(x.dtype)


def reduced(losses: Any, reduction: str, factor: float = 1.0) -> Tensor:
    """Take the mean, times a factor, or the sum, or neither."""
    if reduction == "none":
        return losses  # type: ignore[no-any-return]
    if reduction == "sum":
        return total(losses)
    return mean(losses) if factor == 1 else mean(losses) * factor


def matched(x: Array, target: Array, reduction: str, name: str = "x") -> tuple[Array, Array]:
    """Return two arrays of one shape, or say how to give them one: nothing is broadcast here."""
    x, target = as_array(x), as_array(target)
    if x.shape != target.shape:
        message = f"{CALLED}: {name} {x.shape}, target {target.shape}: the shapes must be equal"
        if x.shape == (*target.shape, 1):
            message += f"; use {name}[..., 0], or target[..., None]"
        elif target.shape == (*x.shape, 1):
            message += f"; use target[..., 0], or {name}[..., None]"
        else:
            message += "; nothing is broadcast, use gg.broadcast_to where that is meant"
        raise ShapeError(message)
    if not x.size and "mean" in reduction:
        message = f"{CALLED}: {name} {x.shape} is empty, and the mean of nothing is undefined"
        raise ShapeError(f"{message}; leave the batch out, or use reduction='sum'")
    return x, in_dtype_of(x, target)


def check_labels(labels: Array, shape: tuple[int, ...], ignore_index: int | None = None) -> Array:
    """Refuse class numbers that do not fit scores of a shape; return the mask of the ignored.

    The classes stand on axis 1, or on the only one. None means that none is ignored.
    """
    classes = shape[1 if len(shape) > 1 else 0]
    error: type[Exception] = ShapeError
    if labels.dtype.kind not in "iu":
        problem, error = "class numbers must be integers, use .astype(int)", DtypeError
    elif not labels.size:
        return None
    else:
        low, high = labels.min(), labels.max()
        ignored = None
        if ignore_index is not None and low <= ignore_index <= high:
            ignored = labels == ignore_index
            counted = labels[~ignored]
            low, high = (counted.min(), counted.max()) if counted.size else (0, 0)
        if low >= 0 and high < classes:
            return ignored
        problem = f"class numbers from {low} to {high}, allowed are 0 to {classes - 1}"
    raise error(f"{CALLED}: {problem}: {facts(shape, labels)}")


def facts(shape: tuple[int, ...], labels: Array) -> str:
    """Name the shapes, for an error."""
    return f"scores {shape}, labels {labels.shape} {labels.dtype}"


def class_weights(weight: Array, x: Array, classes: int) -> Array:
    """Return the weights of the classes as an array of the dtype of x; None stays None."""
    if weight is None:
        return None
    weight = in_dtype_of(x, as_plain(CALLED, weight, "weight"))
    if weight.shape != (classes,):
        message = f"{CALLED}: weight {weight.shape}, for {classes} classes it is ({classes},)"
        raise ShapeError(message)
    return weight


def share_of(weight: Array, labels: Array, dtype: Any) -> Array:
    """Look up how much each label counts: its weight or 1, and 0 for the ignored, which are −1."""
    counted = (labels >= 0).astype(dtype)
    return counted if weight is None else counted * getitem(weight, np.maximum(labels, 0))


def mean_factor(shares: Any) -> float:
    """Return what turns the mean of losses into their sum over the sum of their shares."""
    count = np.sum(shares, dtype=np.float64).item()
    if count:
        return shares.size / count  # type: ignore[no-any-return]
    message = (
        f"{CALLED}: no sample counts, as the batch is empty or each label ignored or of weight 0"
    )
    remedy = "leave the batch out, or use reduction='sum'"
    raise ShapeError(f"{message}; the mean of nothing is undefined: {remedy}")
