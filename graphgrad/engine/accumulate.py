"""Before gradients are added: un-broadcasting, NaN behind `where`, and scatter-add.

A rule returns the gradient of the broadcast input, or a `Scatter`; the sweep adds what is made of
it here.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from graphgrad.engine.graph import Node
from graphgrad.errors import ShapeError
from graphgrad.typing import Array


class Scatter(NamedTuple):
    """What a rule may return instead of an array: ``zeros(shape)[index] += values``."""

    index: Any
    values: Any


def gather(grads: dict[Node, Any], parent: Node, contribution: tuple[int, Any]) -> None:
    """Add the gradient of one output to those of the others, in the list for their op."""
    number, g = contribution
    gs = grads.setdefault(parent, [None] * parent.plan.op.outputs)
    before = gs[number]  # a recorded sweep makes several nodes of one output
    gs[number] = g if before is None else before + g


def settled(
    c: Array, node: Node, parent: Node, g: Array, *, where_passed: bool, recorded: bool = False
) -> Array:
    """Return what a rule contributes: 0 in branches not taken, and of its input's shape."""
    if where_passed and node.plan.op.elementwise:
        c = _silenced(c, g, recorded=recorded)
    return c if c.shape == parent.shape else _fitted(c, node, parent, g)


def _silenced(c: Array, g: Array, *, recorded: bool) -> Array:
    """Let a branch that `where` did not take contribute exactly 0.

    There g is 0 and a local derivative that is not finite gives 0 · inf = NaN. Masking on
    g == 0 alone would lose second derivatives. When the gradient is itself recorded, the
    `np.where` is always applied, since a higher derivative may be infinite where this one
    is not.
    """
    broken: Any = np.isnan(c)
    if not (recorded or broken.any()):
        return c
    return np.where(broken & (g == 0), np.zeros((), c.dtype), c)


def unbroadcast(c: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the axes along which its input was broadcast."""
    stretched = _stretched(c.shape, shape)
    if stretched:
        c = np.add.reduce(c, stretched)
    return c if c.shape == shape else np.reshape(c, shape)


@functools.lru_cache(maxsize=1024)
def _stretched(shape: tuple[int, ...], original: tuple[int, ...]) -> tuple[int, ...]:
    """Name the axes along which broadcasting stretched an array to a shape."""
    extra = len(shape) - len(original)
    return tuple(
        i for i, n in enumerate(shape) if i < extra or (original[i - extra] == 1 and n != 1)
    )


def _fitted(c: Array, node: Node, parent: Node, g: Array) -> Array:
    """Un-broadcast a contribution, or say that the rule returned a wrong shape."""
    op = node.plan.op
    shape = parent.shape
    if (op.broadcasts or c.shape == getattr(g, "shape", None)) and _broadcasts_to(shape, c.shape):
        return unbroadcast(c, shape)
    if op.elementwise and _broadcasts_to(c.shape, g.shape):  # e.g. a rule that returns 0
        return unbroadcast(c + np.zeros_like(g), shape)
    message = (
        f"{node.describe()}: its gradient rule returned shape {c.shape} for an input of shape "
        f"{shape}; a rule returns a gradient of its input's shape"
    )
    raise ShapeError(message)


@functools.lru_cache(maxsize=1024)
def _broadcasts_to(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    pairs = zip(reversed(shape), reversed(to), strict=False)
    return len(shape) <= len(to) and all(n in (1, m) for n, m in pairs)


def is_basic(index: Any) -> bool:
    """Whether an index only slices, so that no element is met twice."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        p is None
        or p is Ellipsis
        or (isinstance(p, slice | int | np.integer) and not isinstance(p, bool))
        for p in parts
    )


def scatter_add(buffer: Any, index: Any, values: Array) -> None:
    """``buffer[index] += values``, duplicates summed: the one place that does it."""
    if is_basic(index):
        buffer[index] += values
        return
    places = None
    if buffer.ndim > 1 and np.size(values) > 1000 and buffer.flags.c_contiguous:
        places = _places(index, buffer.shape, np.size(values))
    if places is None:
        np.add.at(buffer, index, values)
    else:  # seen as one axis: NumPy adds there several times faster
        values = np.broadcast_to(values, places.shape)
        np.add.at(buffer.reshape(-1), places.reshape(-1), values.reshape(-1))


def _places(index: Any, shape: tuple[int, ...], count: int) -> Array:
    """Return where in flat memory the elements of an index lie; None where that costs too much."""
    size = math.prod(shape)
    if getattr(getattr(index, "dtype", None), "kind", None) in ("i", "u"):  # rows of a table
        row = math.prod(shape[1:])
        rows = index.astype(np.intp)[..., None] * row + np.arange(row)
        return rows.reshape(index.shape + shape[1:])
    return np.arange(size).reshape(shape)[index] if count > size // 4 else None
