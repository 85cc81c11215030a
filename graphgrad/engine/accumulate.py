"""Preparing contributions for the sum: un-broadcasting, NaN after `where`, and scatter-add.

A rule returns the gradient of the broadcast input, or a `Scatter`.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from graphgrad.engine.graph import Node
from graphgrad.engine.reductions import reduce_axis
from graphgrad.errors import ShapeError
from graphgrad.typing import Array


class Scatter(NamedTuple):
    """May be returned by a rule instead of an array: ``zeros(shape)[index] += values``."""

    index: Any
    values: Any


def gather_outputs(grads: dict[Node, Any], parent: Node, contribution: tuple[int, Any]) -> None:
    """Add the gradient of one output to the list of gradients for its op."""
    number, g = contribution
    gs = grads.setdefault(parent, [None] * parent.plan.op.outputs)
    before = gs[number]  # a recorded sweep may make several nodes for one output
    gs[number] = g if before is None else before + g


def fitted_contribution(
    c: Array, node: Node, parent: Node, g: Array, *, after_where: bool, recorded: bool = False
) -> Array:
    """Return the contribution of a rule in its input's shape, 0 in branches not taken."""
    if after_where and node.plan.op.elementwise:
        c = without_untaken_nans(c, g, recorded=recorded)
    return c if c.shape == parent.shape else _unbroadcast_or_raise(c, node, parent, g)


def without_untaken_nans(c: Array, g: Array, *, recorded: bool = False) -> Array:
    """Replace NaN by 0 in branches that `where` did not take.

    There g is 0, and a local derivative that is not finite gives 0 · inf = NaN. Masking by g == 0
    alone would lose second derivatives. If the gradient is recorded, `np.where` is always applied,
    since a higher derivative may be infinite where this one is not.
    """
    nan: Any = np.isnan(c)
    if not (recorded or nan.any()):
        return c
    return np.where(nan & (g == 0), np.zeros((), c.dtype), c)


def unshared(c: Array, g: Array, values: tuple[Array, ...]) -> Array:
    """Copy a leaf's gradient if it may share memory, since the user may write to it."""
    if isinstance(c, np.generic):
        return c
    if c is g or c.base is not None:
        return c.copy()
    for value in values:
        if c is value:
            return c.copy()
        # searching a long list of inputs would take longer than copying
        if value.__class__ is tuple and (len(value) > 8 or any(c is v for v in value)):
            return c.copy()
    return c


def unbroadcast(c: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the axes along which its input was broadcast."""
    axes = _broadcast_axes(c.shape, shape)
    if axes:
        c = reduce_axis(np.add, c, axes)
    return c if c.shape == shape else np.reshape(c, shape)


@functools.lru_cache(maxsize=1024)
def _broadcast_axes(shape: tuple[int, ...], original: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes along which an array was broadcast."""
    extra = len(shape) - len(original)
    return tuple(
        i for i, n in enumerate(shape) if i < extra or (original[i - extra] == 1 and n != 1)
    )


def _unbroadcast_or_raise(c: Array, node: Node, parent: Node, g: Array) -> Array:
    """Un-broadcast a contribution; raise ShapeError if the rule returned a wrong shape."""
    op = node.plan.op
    shape = parent.shape
    if (op.broadcasts or c.shape == getattr(g, "shape", None)) and _broadcasts_to(shape, c.shape):
        return unbroadcast(c, shape)
    if op.elementwise and _broadcasts_to(c.shape, g.shape):  # such as a rule that returns 0
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
    """Whether an index is basic in NumPy's sense, so that it has no duplicates."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        p is None
        or p is Ellipsis
        or (isinstance(p, slice | int | np.integer) and not isinstance(p, bool))
        for p in parts
    )


def scatter_add(buffer: Any, index: Any, values: Array) -> None:
    """``buffer[index] += values``, with duplicates summed."""
    if is_basic(index):
        buffer[index] += values
        return
    indices = None
    if buffer.ndim > 1 and np.size(values) > 1000 and buffer.flags.c_contiguous:
        if _is_integers(index):  # rows of a table
            buffer, values = _in_pairs(buffer, values)
        indices = _flat_indices(index, buffer.shape, np.size(values))
    if indices is None:
        np.add.at(buffer, index, values)
    else:  # np.add.at is several times faster on one axis
        values = np.broadcast_to(values, indices.shape)
        np.add.at(buffer.reshape(-1), indices.reshape(-1), values.reshape(-1))


def _is_integers(index: Any) -> bool:
    return getattr(getattr(index, "dtype", None), "kind", None) in ("i", "u")


def _in_pairs(buffer: Array, values: Array) -> tuple[Array, Array]:
    """View pairs of neighbours as complex numbers, if possible: half as many numbers to add."""
    pair = {np.dtype(np.float32): np.complex64, np.dtype(np.float64): np.complex128}.get(
        buffer.dtype
    )
    alike = (
        type(values) is np.ndarray
        and values.dtype == buffer.dtype
        and values.shape[-1:] == buffer.shape[-1:]
    )
    if pair is None or not alike or values.shape[-1] % 2:
        return buffer, values
    return buffer.view(pair), np.ascontiguousarray(values).view(pair)


def _flat_indices(index: Any, shape: tuple[int, ...], count: int) -> Array:
    """Return flat indices for an index; None if computing them costs too much."""
    size = math.prod(shape)
    if _is_integers(index):
        row = math.prod(shape[1:])
        rows = index.astype(np.intp)[..., None] * row + np.arange(row)
        return rows.reshape(index.shape + shape[1:])
    return np.arange(size).reshape(shape)[index] if count > size // 4 else None
