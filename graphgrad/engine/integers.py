"""Integer arguments: axes, shapes, indices, labels, counts.

NumPy's small and unsigned integers overflow in arithmetic: −x of an unsigned x, 4 · 100 in eight
bits. So each argument becomes a Python int, or an array of ``np.intp``, before anything computes
with it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphgrad.errors import ArgumentError, GraphgradError, IndexingError
from graphgrad.typing import Array

_INDEX_NAMES = frozenset(("index", "indices", "obj"))
# names of op parameters that are integers, unlike values (q, ord, weights)
_NAMES = """
    axis axis1 axis2 axes source destination start shape size window_shape pad_width shift k offset
    n ddof correction repeats reps decimals minlength indices_or_sections edge_order bins optimize
    padding_idx groups stride padding dilation kernel
"""
NAMES = _INDEX_NAMES.union(_NAMES.split())
# our ops that compute with integers; for others these are converted to floating point
_EXACT = """
    astype cross from_diagonal getitem im2col max_pool pick relu scatter setitem unpool vecdot
"""
EXACT = frozenset(_EXACT.split())
_FLOATING = frozenset((float, np.float64, np.float32))
_OTHER_TYPES = frozenset((int, bool, float, str, slice, type(None), type(Ellipsis), np.bool_))


def as_whole_numbers(who: str, name: str, x: Array) -> Array:
    """Convert integers to ints and arrays of ``np.intp``; leave anything else.

    A 0-d array becomes an int, except as an index, where an array makes a copy and an int a view.

    Raises
    ------
    ArgumentError, IndexingError
        If an unsigned number is 2⁶³ or more.
    """
    if x.__class__ in _OTHER_TYPES:
        return x
    if isinstance(x, list | tuple):
        if {int}.issuperset(map(type, x)):
            return x
        parts = [as_whole_numbers(who, name, part) for part in x]
        return parts if isinstance(x, list) else getattr(type(x), "_make", tuple)(parts)
    dtype = getattr(x, "dtype", None)
    if dtype is None or dtype.kind not in "iu":
        return x
    converted = as_intp(
        f"{who}: {name}", x, IndexingError if name in _INDEX_NAMES else ArgumentError
    )
    if not x.ndim and (name not in _INDEX_NAMES or isinstance(x, np.generic)):
        return int(converted)
    return converted


def as_floats(arrays: Sequence[Any], positions: Sequence[int]) -> Sequence[Any]:
    """Convert integer arrays at some positions to floating point.

    To the dtype that they promote to with the other floating arrays; without any, to float64, since
    NumPy would compute the exponential of eight bits in float16.
    """
    for i in positions:  # hot: every call of our ops
        x = arrays[i]
        if x.__class__ not in _FLOATING and _is_integer(x):
            break
    else:
        return arrays
    dtypes = [x.dtype for x in arrays if hasattr(x, "dtype") and x.dtype.kind in "iuf"]
    floating = any(dtype.kind == "f" for dtype in dtypes)
    dtype = np.result_type(*dtypes) if floating else np.dtype(float)
    return [
        x.astype(dtype) if i in positions and _is_integer(x) else x for i, x in enumerate(arrays)
    ]


def _is_integer(x: Array) -> bool:
    return hasattr(x, "dtype") and x.dtype.kind in "iu"


def as_intp(what: str, x: Array, error: type[GraphgradError] = ArgumentError) -> Array:
    """Convert an array of integers to ``np.intp``; raise for numbers that do not fit."""
    if x.dtype == np.intp:
        return x
    if x.dtype.kind == "u" and x.dtype.itemsize >= np.intp(0).itemsize and x.size:
        most = int(np.max(x))
        if most > np.iinfo(np.intp).max:
            raise error(f"{what} holds {most}, which is too large; give numbers below 2**63")
    return x.astype(np.intp)
