"""Rows of a table by their numbers."""

from typing import Any

import numpy as np

from graphgrad.arguments import guarded, whole
from graphgrad.engine.accumulate import Scatter
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.integers import as_intp
from graphgrad.engine.memory import frozen
from graphgrad.engine.op import Op, op
from graphgrad.engine.operands import as_plain, shape_of
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError, DtypeError, IndexingError, ShapeError
from graphgrad.ops.choice import keep
from graphgrad.typing import Array


def _embedding(
    weight: Array,
    index: Any,
    padding_idx: int | None = None,  # noqa: ARG001 - for the rule
) -> tuple[Array, Array]:
    return np.take(weight, index, axis=0), frozen(index)


def _embedding_rule(g: Array, saved: Any, padding_idx: int | None) -> Array:
    if padding_idx is not None:
        g = keep(g, (saved != padding_idx)[..., None])
    return Scatter(saved, g)


_EMBEDDING: Op[Tensor] = op(
    _embedding,
    _embedding_rule,
    name="embedding",
    symbol="rows",
    domain=Cases(  # a row of padding is a constant that only looks like an input: not sampled
        lambda r: call(r(4, 2), np.array([0, 3, 0])),
        lambda r: call(r(3, 2), np.array([[2, 1], [1, 1]], np.uint8)),
        lambda r: call(r(3, 2), np.array(2)),
        lambda r: call(r(3, 2), np.zeros((2, 0), int)),
    ),
    doc="Rows of the weight. Gradient: g added to these rows, 0 for the row of padding.",
)


@guarded
def embedding(index: Any, weight: Array, padding_idx: int | None = None) -> Tensor:
    """Return the rows of the weight with the given numbers.

    The gradient of a row is the sum over all places where it was used; the row
    ``padding_idx`` gets none.

    Parameters
    ----------
    index
        Integers from 0 to V − 1, of any shape.
    weight
        (V, D). The result has the shape of the index with an axis D behind.
    padding_idx
        The number of a row that is not learned; counted from the end if negative.

    Raises
    ------
    DtypeError
        If the index does not hold integers.
    IndexingError
        If a number is outside 0 … V − 1.
    ArgumentError
        If ``padding_idx`` is none of the rows.
    ShapeError
        If the weight has not two axes.
    """
    index = as_plain("embedding", index, "index")
    shape = shape_of(weight, "embedding")
    if len(shape) != 2:
        raise ShapeError(f"embedding: weight {shape} must be (V, D)")
    if index.dtype.kind not in "iu" and index.size:
        message = f"embedding: index is {index.dtype}; give integers, .astype(int)"
        raise DtypeError(message)
    index = as_intp("embedding: index", index, IndexingError)  # an empty list too
    if index.size:
        low, high = index.min(), index.max()
        if low < 0 or high >= shape[0]:
            message = f"embedding: numbers from {low} to {high}, weight {shape} has the rows 0 to"
            raise IndexingError(f"{message} {shape[0] - 1}")
    if padding_idx is not None:
        padding_idx = _row(padding_idx, shape[0])
    return _EMBEDDING(weight, index, padding_idx)


def _row(padding_idx: int, rows: int) -> int:
    """Count a row from the front."""
    padding_idx = whole("embedding", "padding_idx", padding_idx)
    if not -rows <= padding_idx < rows:
        message = f"embedding: padding_idx {padding_idx} is none of {rows} rows"
        raise ArgumentError(message)
    return padding_idx % rows
