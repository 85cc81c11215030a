"""Reductions along a short last axis.

NumPy's loop runs along the last axis: of (10000, 10) it finds the maxima in 670 µs, of the
transposed copy in 50. Sums are taken pair by pair, in fewer roundings than NumPy takes.
"""

from typing import Any

import numpy as np

from graphgrad.engine.recording import one_call
from graphgrad.typing import Array

_LONGEST = 32
_LEAST: dict[Any, int] = {np.add: 4096, np.maximum: 256, np.minimum: 256}  # elements
_PIECE = 1 << 16  # elements that stay in the cache


def reduce_axis(
    ufunc: np.ufunc, a: Array, axis: Any, *, keepdims: bool = False, dtype: Any = None
) -> Any:
    """Return ``ufunc.reduce(a, axis, dtype, keepdims=keepdims)``."""
    if a.__class__ is not np.ndarray or a.size < _LEAST[ufunc] or not _is_short(a, axis, dtype):
        if dtype is None:
            return ufunc.reduce(a, axis, keepdims=keepdims)
        return ufunc.reduce(a, axis, dtype, keepdims=keepdims)
    return reduce_short_axis(ufunc, a, keepdims, dtype)


@one_call
def reduce_short_axis(ufunc: np.ufunc, a: Array, keepdims: bool, dtype: Any) -> Array:
    """Reduce along the last axis, by whole slices of a transposed copy."""
    shape = (*a.shape[:-1], 1) if keepdims else a.shape[:-1]
    out = np.empty(shape, dtype or a.dtype)
    rows, flat, step = a.reshape(-1, a.shape[-1]), out.reshape(-1), _PIECE // a.shape[-1]
    for i in range(0, len(rows), step):
        columns: Any = np.ascontiguousarray(rows[i : i + step].T, dtype)
        while ufunc is np.add and len(columns) > 2:
            half = len(columns) // 2
            rest = columns[2 * half :]
            columns = columns[:half] + columns[half : 2 * half]
            columns[: len(rest)] += rest
        ufunc.reduce(columns, 0, out=flat[i : i + step])
    return out


def _is_short(a: Array, axis: Any, dtype: Any) -> bool:
    return (
        (axis.__class__ is int or (axis.__class__ is tuple and len(axis) == 1))
        and axis in (-1, a.ndim - 1, (-1,), (a.ndim - 1,))
        and 1 < a.shape[-1] <= _LONGEST
        # float16 is added up in single precision along the last axis only
        and (a.dtype.char in "fd" or (a.dtype.char == "?" and dtype is not None))
        and a.ndim > 1
    )
