"""Whole numbers that users give: axes, shapes, indices, labels, counts.

What NumPy holds in a few bits overflows or wraps where it is negated, multiplied or compared:
−x of an unsigned x, 4 · 100 in eight bits. So each becomes an int of Python's, or an array of
``np.intp``, before anything computes with it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphgrad.errors import ArgumentError, GraphgradError, IndexingError
from graphgrad.typing import Array

_PLACES = frozenset(("index", "indices", "obj"))  # in an array
# the parameters of ops that are whole numbers, by their names; values (q, ord, weights) are none
_NAMES = """
    axis axis1 axis2 axes source destination start shape size window_shape pad_width shift k offset
    n ddof correction repeats reps decimals minlength indices_or_sections edge_order bins optimize
    padding_idx groups stride padding dilation kernel
"""
NAMES = _PLACES.union(_NAMES.split())
# ops of ours that compute with integers as they are; elsewhere these become floating numbers
_EXACT = """
    astype cross from_diagonal getitem im2col max_pool pick relu scatter setitem unpool vecdot
"""
EXACT = frozenset(_EXACT.split())
_FLOATING = frozenset((float, np.float64, np.float32))
_UNCHANGING = frozenset((int, bool, float, str, slice, type(None), type(Ellipsis), np.bool_))


def as_whole_numbers(who: str, name: str, x: Array) -> Array:
    """Return the same numbers as ints and arrays of ``np.intp``; what is no integer stays.

    A 0-d array becomes an int, but where it indexes: there it makes a copy, an int a view.

    Raises
    ------
    ArgumentError, IndexingError
        If an unsigned number is 2⁶³ or more.
    """
    if x.__class__ in _UNCHANGING:
        return x
    if isinstance(x, list | tuple):
        if {int}.issuperset(map(type, x)):
            return x
        parts = [as_whole_numbers(who, name, part) for part in x]
        return parts if isinstance(x, list) else getattr(type(x), "_make", tuple)(parts)
    dtype = getattr(x, "dtype", None)
    if dtype is None or dtype.kind not in "iu":
        return x
    fitting = as_intp(f"{who}: {name}", x, IndexingError if name in _PLACES else ArgumentError)
    if not x.ndim and (name not in _PLACES or isinstance(x, np.generic)):
        return int(fitting)
    return fitting


def as_floats(arrays: Sequence[Any], places: Sequence[int]) -> Sequence[Any]:
    """Return arrays of which the integers at some places are floating numbers.

    Of the dtype that NumPy gives to them and the floating arrays beside them; float64 where there
    are none, for to NumPy alone e¹⁰⁰ of eight bits would be a half.
    """
    for i in places:  # every call of an op of ours comes by here
        x = arrays[i]
        if x.__class__ not in _FLOATING and _is_integer(x):
            break
    else:
        return arrays
    dtypes = [x.dtype for x in arrays if hasattr(x, "dtype") and x.dtype.kind in "iuf"]
    floating = any(dtype.kind == "f" for dtype in dtypes)
    dtype = np.result_type(*dtypes) if floating else np.dtype(float)
    return [x.astype(dtype) if i in places and _is_integer(x) else x for i, x in enumerate(arrays)]


def _is_integer(x: Array) -> bool:
    return hasattr(x, "dtype") and x.dtype.kind in "iu"


def as_intp(what: str, x: Array, error: type[GraphgradError] = ArgumentError) -> Array:
    """Return an array of integers as one of ``np.intp``; a number that does not fit is an error."""
    if x.dtype == np.intp:
        return x
    if x.dtype.kind == "u" and x.dtype.itemsize >= np.intp(0).itemsize and x.size:
        most = int(np.max(x))
        if most > np.iinfo(np.intp).max:
            raise error(f"{what} holds {most}, which is out of all range")
    return x.astype(np.intp)
