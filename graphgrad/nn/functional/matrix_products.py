"""Matrix products of a batch: the fully connected layer."""

import math

import numpy as np

from graphgrad.engine.domains import Cases, call
from graphgrad.engine.graph import Absent
from graphgrad.engine.op import Op, op
from graphgrad.engine.operands import shape_of
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ShapeError
from graphgrad.typing import Array


def _rows(x: Array) -> Array:
    """See every axis but the last as one: a single matrix product for any batch shape."""
    return x if x.ndim == 2 else np.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


def _linear(x: Array, weight: Array, bias: Array) -> Array:
    out = _rows(x) @ weight.T
    if getattr(bias, "ndim", 0):
        out += bias
    return out if x.ndim == 2 else out.reshape(*x.shape[:-1], len(weight))


_LINEAR: Op[Tensor] = op(
    _linear,
    lambda g, weight: g @ weight,
    lambda g, x: _rows(g).T @ _rows(x),
    lambda g: _rows(g).sum(axis=0),
    name="linear",
    symbol="x Wᵀ + b",
    domain=Cases(
        lambda r: call(r(2, 3), r(2, 3), r(2)),
        lambda r: call(r(2, 1, 3), r(2, 3), r(2)),
        lambda r: call(r(3), r(1, 3), r(1)),
        lambda r: call(r(0, 3), r(2, 3), r(2)),
        lambda r: call(r(1, 2), r(1, 2), r(1)),
    ),
    doc="x Wᵀ + b. Gradients: g W, gᵀ x, and Σ g over the batch.",
)


def linear(x: Array, weight: Array, bias: Array = None) -> Tensor:
    """Return x Wᵀ + b.

    Parameters
    ----------
    x
        (…, inputs), any batch shape.
    weight
        (outputs, inputs).
    bias
        (outputs,), or None.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    """
    x_shape, shape = shape_of(x, "linear"), shape_of(weight, "linear")
    if not x_shape or len(shape) != 2 or x_shape[-1] != shape[1]:
        message = (
            f"linear: x {x_shape}, weight {shape}; the last axis of x must be the second of "
            "weight (outputs, inputs): flatten x, or transpose the weight?"
        )
        raise ShapeError(message)
    return _LINEAR(x, weight, bias_of("linear", bias, shape, shape[:1]))


def bias_of(name: str, bias: Array, weight: tuple[int, ...], wanted: tuple[int, ...]) -> Array:
    """Return a bias, zero for None, or say that it does not fit the shape of its weight."""
    if bias is None:
        return Absent(0.0)
    if shape_of(bias, name) != wanted:
        raise ShapeError(f"{name}: bias {shape_of(bias)}; weight {weight} needs {wanted}")
    return bias


affine = linear  # its name in Saito's book
