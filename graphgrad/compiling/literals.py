"""Constants written as Python: exact, and short where an array is regular."""

import base64
import zlib
from typing import Any

import numpy as np

from graphgrad.typing import Array

_MOST_WRITTEN = 200  # elements; larger arrays are packed
_WIDTH = 88  # of a line of a packed array


def dtype_text(dtype: np.dtype[Any]) -> str:
    """Write a dtype as ``np.float64``."""
    known = getattr(np, dtype.name, None)
    if dtype.isnative and isinstance(known, type) and np.dtype(known) == dtype:
        return f"np.{dtype.name}"
    return f"np.dtype({dtype.str!r})"


def number_text(x: complex) -> str:
    """Write a Python number; infinity and NaN by NumPy's names."""
    if isinstance(x, float) and x != x:  # noqa: PLR0124
        return "np.nan"
    if isinstance(x, float) and x in (np.inf, -np.inf):
        return "np.inf" if x > 0 else "-np.inf"
    return repr(x)


def scalar_text(x: np.generic) -> str:
    """Write a NumPy scalar."""
    if not _exact_as_numbers(np.asarray(x)):
        return f"{array_text(np.reshape(x, (1,)))}[0]"
    if isinstance(x, np.bool_):
        return f"np.{x!s}_"
    return f"{dtype_text(x.dtype)}({_short(x.item(), x.dtype)})"


def array_text(array: Array) -> str:
    """Write an array as an expression that makes it, with the same order in memory."""
    order = _order(array)
    if order is not None and order != tuple(range(array.ndim)):
        inverse = tuple(int(k) for k in np.argsort(order))
        inner = array_text(array.transpose(order))
        return f"{inner}.T" if order == (1, 0) else f"{inner}.transpose{inverse}"
    if array.size and array.ndim and 0 in array.strides and array.size > 1:
        core = array[tuple(slice(0, 1) if s == 0 else slice(None) for s in array.strides)]
        if core.size < array.size:
            shape = array.shape[0] if array.ndim == 1 else array.shape
            inner = scalar_text(core.reshape(-1)[0]) if core.size == 1 else array_text(core)
            return f"np.broadcast_to({inner}, {shape})"
    return _regular(array) or _listed(array)


def _order(array: Array) -> tuple[int, ...] | None:
    """Return the axes from the outermost to the innermost; None if memory has gaps."""
    order = tuple(sorted(range(array.ndim), key=lambda k: -abs(array.strides[k])))
    return order if array.transpose(order).flags.c_contiguous and array.size else None


def _regular(array: Array) -> str | None:
    """Write an array that NumPy makes from a few numbers."""
    if not array.size:
        return f"np.zeros({_shape(array)}{_dtype_after(array, np.float64)})"
    if array.dtype.kind not in "fiub" or not _exact_as_numbers(array):
        return None
    return _uniform(array) or _progression(array)


def _shape(array: Array) -> str:
    return str(array.shape[0]) if array.ndim == 1 else str(array.shape)


def _dtype_after(array: Array, *usual: Any) -> str:
    """Write a dtype as a further argument, unless it is the usual one."""
    return "" if array.dtype in usual else f", {dtype_text(array.dtype)}"


def _uniform(array: Array) -> str | None:
    first = array.reshape(-1)[0]
    if array.size == 1 or not (_bits(array) == _bits(np.full(1, first))).all():
        return None
    name = {0: "zeros", 1: "ones"}.get(first.item())
    if name is not None and not (array.dtype.kind == "f" and np.signbit(first)):
        return f"np.{name}({_shape(array)}{_dtype_after(array, np.float64)})"
    of = _dtype_after(array, np.float64, np.int64, np.bool_)
    return f"np.full({_shape(array)}, {_short(first.item(), array.dtype)}{of})"


def _progression(array: Array) -> str | None:
    if array.ndim != 1 or array.dtype.kind not in "iu" or array.size <= 2:
        return None
    start, step = int(array[0]), int(array[1]) - int(array[0])
    stop = start + array.size * step
    if not step or array.tolist() != list(range(start, stop, step)):
        return None
    words = [str(start)] * (start != 0 or step != 1) + [str(stop)] + [str(step)] * (step != 1)
    of = "" if array.dtype == np.int64 else f", dtype={dtype_text(array.dtype)}"
    return f"np.arange({', '.join(words)}{of})"


def _bits(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(-1, 1).view(np.uint8)


def _exact_as_numbers(array: Array) -> bool:
    """Whether Python's numbers hold the elements exactly, NaNs included."""
    if array.dtype.kind in "biu":
        return True
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        return False
    nans = array[np.isnan(array)]
    return not nans.size or bool((_bits(nans) == _bits(np.full(1, np.nan, array.dtype))).all())


def _listed(array: Array) -> str:
    plain = array.dtype in (np.float64, np.int64, np.bool_)
    of = "" if plain else f", {dtype_text(array.dtype)}"
    if _exact_as_numbers(array) and array.size <= _MOST_WRITTEN:
        return f"np.array({_nested(array.tolist(), array.dtype)}{of})"
    packed = base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 9)).decode()
    if len(packed) > _WIDTH:
        lines = [packed[k : k + _WIDTH] for k in range(0, len(packed), _WIDTH)]
        words = "\n    " + "\n    ".join(f'"{line}"' for line in lines) + "\n"
    else:
        words = f'"{packed}"'
    shape = "" if array.ndim == 1 else f".reshape{array.shape}"
    return (
        f"np.frombuffer(zlib.decompress(base64.b64decode({words})), "
        f"{dtype_text(array.dtype)}){shape}"
    )


def _nested(x: Any, dtype: np.dtype[Any]) -> str:
    if isinstance(x, list):
        return f"[{', '.join(_nested(part, dtype) for part in x)}]"
    return _short(x, dtype)


def _short(x: Any, dtype: np.dtype[Any]) -> str:
    """Write a number as shortly as its dtype allows."""
    if dtype.kind == "f" and dtype.itemsize < 8:
        short = float(str(dtype.type(x)))
        if dtype.type(short) == x:
            return number_text(short)
    return number_text(x)
