"""Joining, splitting and repeating arrays."""

import itertools
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from graphgrad.arguments import whole
from graphgrad.engine.accumulate import Scatter
from graphgrad.engine.composite import composed
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.op import Op, op
from graphgrad.engine.recording import one_call
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import DtypeError, ShapeError
from graphgrad.ops.index import getitem, take
from graphgrad.ops.shape import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    broadcast_to,
    moveaxis,
    ravel,
    reshape,
)
from graphgrad.typing import Array

# ---------------------------------------------------------------------------------- joining


def _along(axis: int, part: Any) -> tuple[Array, ...]:
    """Index one axis, counted from the front or the back."""
    return (slice(None),) * axis + (part,) if axis >= 0 else (..., part) + (slice(None),) * ~axis


def _apart(
    g: Array, inputs_shape: tuple[tuple[int, ...], ...], axis: int | None, wanted: tuple[bool, ...]
) -> tuple[Array, ...]:
    """Split a gradient into those of the arrays of ``concatenate``."""
    parts: list[Any] = []
    start = 0
    for shape, want in zip(inputs_shape, wanted, strict=True):
        stop = start + (int(np.prod(shape)) if axis is None else shape[axis])
        if not want:
            parts.append(None)
        elif axis is None:
            parts.append(np.reshape(g[start:stop], shape))
        else:
            parts.append(g[_along(axis, slice(start, stop))])
        start = stop
    return tuple(parts)


concatenate: Op[Tensor] = op(
    np.concatenate,
    joint=lambda g, inputs_shape, axis, wanted: _apart(g, inputs_shape, axis, wanted),
    forward=lambda arrays, axis=0: np.concatenate(arrays, axis=axis),
    variadic=True,
    symbol="concat",
    domain=Cases(
        lambda r: call((r(2, 3), r(1, 3))),
        lambda r: call([r(2, 3), r(2, 0), r(2, 2)], axis=-1),
        lambda r: call([r(2, 3), r(), r(2)], axis=None),
        lambda r: call([r(4)]),
        lambda r: call([r(2, 1, 2), r(2, 3, 2)], 1),
    ),
    doc="Arrays joined along an axis they have. Gradients: the parts of g.",
)
concat = concatenate  # NumPy's other name for it
stack: Op[Tensor] = op(
    np.stack,
    joint=lambda g, axis, wanted: tuple(
        g[_along(axis, i)] if want else None for i, want in enumerate(wanted)
    ),
    forward=lambda arrays, axis=0: np.stack(arrays, axis=axis),
    variadic=True,
    symbol="stack",
    domain=Cases(
        lambda r: call((r(2, 3), r(2, 3))),
        lambda r: call([r(2, 3), r(2, 3), r(2, 3)], axis=-1),
        lambda r: call([r(2, 3), r(2, 3)], axis=-2),
        lambda r: call([r(), r()]),
        lambda r: call([r(0, 2)], 1),
    ),
    doc="Arrays joined along a new axis. Gradients: the slices of g.",
)

_ROWS = Cases(
    lambda r: call([r(2, 3), r(1, 3)]),
    lambda r: call([r(3), r(3)]),
    lambda r: call([r(), r()]),
    lambda r: call([r(2, 3, 2), r(1, 3, 2)]),
)
_COLUMNS = Cases(
    lambda r: call([r(2, 3), r(2, 1)]),
    lambda r: call([r(3), r(2)]),
    lambda r: call([r(), r()]),
    lambda r: call([r(2, 3, 2), r(2, 1, 2)]),
)


@composed(np.vstack, domain=_ROWS)
def vstack(tup: Any) -> Tensor:
    """Join arrays along the first axis, vectors as rows."""
    return concatenate([atleast_2d(x) for x in tup])


@composed(np.hstack, domain=_COLUMNS)
def hstack(tup: Any) -> Tensor:
    """Join arrays along the second axis, vectors along the first."""
    arrays = [atleast_1d(x) for x in tup]
    return concatenate(arrays, axis=0 if np.ndim(arrays[0]) == 1 else 1)


@composed(
    np.dstack,
    domain=Cases(
        lambda r: call([r(2, 3), r(2, 3)]),
        lambda r: call([r(3), r(3)]),
        lambda r: call([r(2, 3, 2), r(2, 3, 1)]),
    ),
)
def dstack(tup: Any) -> Tensor:
    """Join arrays along the third axis."""
    return concatenate([atleast_3d(x) for x in tup], axis=2)


@composed(
    np.column_stack,
    domain=Cases(lambda r: call([r(3), r(3, 2), r(3)]), lambda r: call([r(), r()])),
)
def column_stack(tup: Any) -> Tensor:
    """Join vectors as the columns of a matrix."""
    return concatenate([x if np.ndim(x) > 1 else reshape(x, (-1, 1)) for x in tup], axis=1)


@composed(
    np.append,
    domain=Cases(
        lambda r: call(r(2, 3), r(2)),
        lambda r: call(r(2, 3), r(1, 3), axis=0),
        lambda r: call(r(3), r()),
    ),
)
def append(arr: Array, values: Array, axis: int | None = None) -> Tensor:
    """Join two arrays at the end of the first."""
    return concatenate([arr, values], axis=axis)


@composed(
    np.block,
    domain=Cases(
        lambda r: call([[r(2, 2), r(2, 1)], [r(1, 3)]]),
        lambda r: call([r(3), r(), r(2)]),
        lambda r: call([[[r(2, 2)]], [[r(2, 2)]]]),
        lambda r: call(r(2, 3)),
    ),
)
def block(arrays: Any) -> Tensor:
    """Join nested lists of blocks: the innermost along the last axis, and so on outwards."""
    levels = _levels(arrays)
    return _joined(arrays, levels, max(levels, _most_axes(arrays)))


def _levels(arrays: Any) -> int:
    if isinstance(arrays, tuple):
        raise DtypeError("block: use nested lists, not tuples")
    if not isinstance(arrays, list):
        return 0
    depths = {_levels(a) for a in arrays}
    if len(depths) != 1:
        found = "an empty list" if not depths else f"depths {sorted(depths)}"
        message = f"block: all blocks must have the same depth in non-empty lists, not {found}"
        raise ShapeError(message)
    return 1 + depths.pop()


def _most_axes(arrays: Any) -> int:
    return max(map(_most_axes, arrays)) if isinstance(arrays, list) else np.ndim(arrays)


def _joined(arrays: Any, levels: int, ndim: int) -> Tensor:
    if levels:
        return concatenate([_joined(a, levels - 1, ndim) for a in arrays], axis=-levels)
    return reshape(arrays, (1,) * (ndim - np.ndim(arrays)) + np.shape(arrays))


@composed(
    np.insert,
    domain=Cases(
        lambda r: call(r(4), 1, r()),
        lambda r: call(r(4), [0, 4, -1], r(3)),
        lambda r: call(r(4), [2], r(2)),
        lambda r: call(r(3, 2), 1, r(2), axis=0),
        lambda r: call(r(3, 2), 1, r(2, 3), axis=1),
        lambda r: call(r(3, 2), [1], r(3, 2), axis=1),
        lambda r: call(r(3, 2), slice(0, 2), r(2), axis=0),
        lambda r: call(r(2, 2), 3, r()),
    ),
)
def insert(arr: Array, obj: Any, values: Array, axis: int | None = None) -> Tensor:
    """Insert values before indices along an axis; without an axis into the flattened array."""
    arr = arr if isinstance(arr, Tensor) else np.asarray(arr)
    if arr.dtype.kind != "f":
        message = (
            f"insert: values put into {arr.dtype} would lose their digits and their gradient; "
            "use .astype(float) on the array first"
        )
        raise DtypeError(message)
    if axis is None:
        arr, axis = ravel(arr), 0
    axis = normalize_axis_index(axis, arr.ndim)
    length = arr.shape[axis]
    count = np.insert(np.arange(length), obj, 0).size - length
    values = reshape(values, (1,) * (arr.ndim - np.ndim(values)) + np.shape(values))
    if np.ndim(obj) == 0 and not isinstance(obj, slice):
        values = moveaxis(values, 0, axis)
    if count == 1:
        count = np.shape(values)[axis]
    values = broadcast_to(values, (*arr.shape[:axis], count, *arr.shape[axis + 1 :]))
    places = np.insert(np.arange(length), obj, np.arange(length, length + count))
    joined = take(concatenate([arr, values], axis=axis), places, axis=axis)
    return joined if joined.dtype == arr.dtype else joined.astype(arr.dtype)


@composed(
    np.delete,
    domain=Cases(
        lambda r: call(r(4), 1),
        lambda r: call(r(3, 4), [0, -1], axis=1),
        lambda r: call(r(3, 4), slice(0, 2), axis=0),
        lambda r: call(r(2, 2), 3),
        lambda r: call(r(3), np.array([True, False, True])),
    ),
)
def delete(arr: Array, obj: Any, axis: int | None = None) -> Tensor:
    """Delete indices along an axis; without an axis from the flattened array."""
    if axis is None:
        arr, axis = ravel(arr), 0
    length = arr.shape[normalize_axis_index(axis, arr.ndim)]
    return take(arr, np.delete(np.arange(length), obj), axis=axis)


# --------------------------------------------------------------------------- taking apart


MOST_PIECES = 10**6  # each is an object


def _pieces(ary: Array, indices_or_sections: Any, axis: int, who: str, *, equal: bool) -> list[Any]:
    """Split into a number of sections, or before given indices."""
    axis = normalize_axis_index(axis, np.ndim(ary))
    length = np.shape(ary)[axis]
    if np.ndim(indices_or_sections):
        cuts = [0, *np.asarray(indices_or_sections).tolist(), length]
    else:
        sections = whole(who, "indices_or_sections", indices_or_sections, most=MOST_PIECES)
        if sections < 1 or (equal and length % sections):
            message = f"{who}: {length} elements along axis {axis} cannot be cut into {sections}"
            remedy = " equal sections; gg.array_split cuts into nearly equal ones" if equal else ""
            raise ShapeError(f"{message}{remedy}")
        size, longer = divmod(length, sections)
        cuts = [i * size + min(i, longer) for i in range(sections + 1)]
    return [getitem(ary, _along(axis, slice(a, b))) for a, b in itertools.pairwise(cuts)]


@composed(
    np.split,
    domain=Cases(
        lambda r: call(r(6), 3),
        lambda r: call(r(2, 4), [1, 3], axis=1),
        lambda r: call(r(2, 4), 2, axis=-1),
        lambda r: call(r(4), [3, 1, 9]),
    ),
)
def split(ary: Array, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Split an array into equal sections, or before given indices."""
    return _pieces(ary, indices_or_sections, axis, "split", equal=True)


@composed(
    np.array_split,
    domain=Cases(
        lambda r: call(r(7), 3),
        lambda r: call(r(2, 5), 2, axis=1),
        lambda r: call(r(2), 3),
        lambda r: call(r(5, 2), [2, 3]),
    ),
)
def array_split(ary: Array, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Split an array into sections of nearly equal length, or before given indices."""
    return _pieces(ary, indices_or_sections, axis, "array_split", equal=False)


def _needs_axes(ary: Array, least: int, who: str) -> None:
    if np.ndim(ary) < least:
        message = f"{who}: takes arrays of {least} or more axes, this one has {np.ndim(ary)}"
        raise ShapeError(message)


@composed(np.vsplit, domain=Cases(lambda r: call(r(4, 2), 2), lambda r: call(r(3, 2), [1])))
def vsplit(ary: Array, indices_or_sections: Any) -> list[Tensor]:
    """Split along the first axis."""
    _needs_axes(ary, 2, "vsplit")
    return _pieces(ary, indices_or_sections, 0, "vsplit", equal=True)


@composed(np.hsplit, domain=Cases(lambda r: call(r(2, 4), 2), lambda r: call(r(3), [1])))
def hsplit(ary: Array, indices_or_sections: Any) -> list[Tensor]:
    """Split along the second axis, a vector along the first."""
    _needs_axes(ary, 1, "hsplit")
    return _pieces(ary, indices_or_sections, min(np.ndim(ary) - 1, 1), "hsplit", equal=True)


@composed(np.dsplit, domain=Cases(lambda r: call(r(2, 1, 4), 2), lambda r: call(r(1, 2, 3), [1])))
def dsplit(ary: Array, indices_or_sections: Any) -> list[Tensor]:
    """Split along the third axis."""
    _needs_axes(ary, 3, "dsplit")
    return _pieces(ary, indices_or_sections, 2, "dsplit", equal=True)


def _unstack(x: Array, /, *, axis: int = 0) -> tuple[Array, ...]:
    """Stand in for np.unstack before NumPy 2.1."""
    return tuple(np.moveaxis(np.asarray(x), axis, 0))


@composed(
    getattr(np, "unstack", _unstack),
    domain=Cases(lambda r: call(r(3, 2)), lambda r: call(r(2, 3), axis=-1)),
)
def unstack(x: Array, axis: int = 0) -> tuple[Tensor, ...]:
    """Split an array along an axis, and drop the axis."""
    axis = normalize_axis_index(axis, np.ndim(x))
    return tuple(getitem(x, _along(axis, i)) for i in range(np.shape(x)[axis]))


# ------------------------------------------------------------------------------- repeating


def _tile(A: Any, reps: Any) -> Array:
    return np.tile(A, reps), tuple(np.atleast_1d(reps).tolist())


def _untiled(g: Array, A_shape: tuple[int, ...], saved: tuple[int, ...]) -> Array:
    """Sum over the copies, with each axis reshaped to (copies, length)."""
    ndim = max(len(A_shape), len(saved))
    lengths = (1,) * (ndim - len(A_shape)) + A_shape
    copies = (1,) * (ndim - len(saved)) + saved
    paired = tuple(n for pair in zip(copies, lengths, strict=True) for n in pair)
    return np.reshape(np.sum(np.reshape(g, paired), axis=tuple(range(0, 2 * ndim, 2))), A_shape)


tile: Op[Tensor] = op(
    np.tile,
    _untiled,
    forward=_tile,
    symbol="tile",
    domain=Cases(
        lambda r: call(r(3), 2),
        lambda r: call(r(2, 3), (2, 1)),
        lambda r: call(r(2, 3), (2, 1, 3)),
        lambda r: call(r(2, 3), 2),
        lambda r: call(r(), (2, 2)),
        lambda r: call(r(2), 0),
        lambda r: call(r(2, 3), ()),
    ),
    doc="Copies side by side. Gradient: g summed over the copies.",
)


def _repeat(a: Array, repeats: Any, axis: int | None = None) -> Array:
    counts = np.array(repeats)
    return np.repeat(a, counts, axis), counts.item() if counts.size == 1 else counts


@one_call
def _sources(count: int, repeats: Array) -> Array:
    """Return which element each copy is of."""
    return np.repeat(np.arange(count), repeats)


def _unrepeated(g: Array, a_shape: tuple[int, ...], axis: int | None, saved: Any) -> Array:
    """Sum over the copies of each element: equal counts by reshaping, others by scatter-add."""
    axis = axis if a_shape else None  # one number is a vector of one to NumPy
    shape = (int(np.prod(a_shape)),) if axis is None else a_shape
    place = 0 if axis is None else axis % len(a_shape)
    if isinstance(saved, int):
        runs = np.reshape(g, (*shape[: place + 1], saved, *shape[place + 1 :]))
        return np.reshape(np.sum(runs, axis=place + 1), a_shape)
    sources = _sources(shape[place], saved)
    if axis is None:
        return Scatter(np.unravel_index(sources, a_shape), g)
    return Scatter(_along(place, sources), g)


repeat: Op[Tensor] = op(
    np.repeat,
    _unrepeated,
    forward=_repeat,
    symbol="repeat",
    domain=Cases(
        lambda r: call(r(3), 2),
        lambda r: call(r(2, 3), 2),
        lambda r: call(r(2, 3), 2, axis=-1),
        lambda r: call(r(2, 3), [2, 0, 1], axis=1),
        lambda r: call(r(2, 2), [1, 0, 3, 1]),
        lambda r: call(r(2, 3), [2], axis=0),
        lambda r: call(r(), 3),
        lambda r: call(r(2), 0),
    ),
    doc="Each element several times in a row. Gradient: g summed over the repetitions.",
)
