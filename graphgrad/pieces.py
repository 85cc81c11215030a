"""Large arrays in pieces that stay in the processor's cache: how large they are, where to cut.

A size is the bytes of one array in a piece. All were measured on one core with 2 MiB of
second-level cache.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from graphgrad.typing import Array

# A dozen arrays at once: steps of optimizers with state, elementwise functions of thirty steps,
# which take a third of the time of whole arrays. Adam on 10 million float32: 64 KiB 35.0 ms,
# 128 KiB 32.9, 256 KiB 35.0, 1 MiB 47.5; momentum 16.6, 15.0, 14.5, 18.4.
MANY_ARRAYS = 1 << 17
# Two or three at once: pooling, statistics, random numbers, plain descent. Batch norm forward and
# backward on 6 MB: 128 KiB 7.6 ms, 256 KiB 6.5, 512 KiB 6.1, 1 MiB 6.3; SGD on 10 million float32:
# 128 KiB 6.8 ms, 256 KiB 6.6, 512 KiB 6.3, 1 MiB 6.7.
FEW_ARRAYS = 1 << 19
# The columns of a convolution with their products. 32 → 32 channels, 3 × 3 on 14 × 14, forward:
# 256 KiB 12.1 ms, 512 KiB 9.7, 1 MiB 9.2, 2 MiB 7.9, 4 MiB 8.5.
COLUMNS = 1 << 21


def spans(length: int, step: int) -> list[slice]:
    """Cut an axis into pieces of ``step`` elements, at least 1; the last may be shorter."""
    ends = range(0, length, max(1, step))
    return list(map(slice, ends, (*ends[1:], length)))


def pieces(arrays: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Cut arrays of one shape at the same places, into views of about ``size`` bytes of the first.

    The views are flat where all arrays are contiguous.
    """
    if all(a.flags.c_contiguous for a in arrays):
        arrays = [a.reshape(-1) for a in arrays]
    first = arrays[0]
    row = first.itemsize * math.prod(first.shape[1:])
    for span in spans(len(first), size // max(1, row)):
        parts = [a[span] for a in arrays]
        if row > size and first.ndim > 1:
            yield from pieces([part[0] for part in parts], size)
        else:
            yield parts


def flat_pieces(array: Array, dtype: Any) -> Iterator[Any]:
    """Yield all elements, in the order of the memory, in flat pieces converted to a dtype."""
    flat = np.ravel(array, order="K")
    for span in spans(flat.size, MANY_ARRAYS // np.dtype(dtype).itemsize):
        yield flat[span].astype(dtype, copy=False)


def in_pieces(function: Callable[..., Any], *arrays: Array) -> Array:
    """Return ``function(*arrays)`` for a function that works element by element.

    It is called with a piece of each array at a time, where they are of one shape and large.
    """
    first = arrays[0]
    if first.nbytes <= MANY_ARRAYS or any(a.shape != first.shape for a in arrays):
        return function(*arrays)
    flat = [a.reshape(-1) for a in arrays]
    out = None
    for span in spans(first.size, MANY_ARRAYS // first.itemsize):
        part = function(*[a[span] for a in flat])
        if out is None:
            out = np.empty_like(flat[0], dtype=part.dtype)
        out[span] = part
    return out.reshape(first.shape)  # type: ignore[union-attr]
