"""Operands: real numbers are converted exactly, anything else is refused with a remedy.

Accepted as they are: NumPy arrays of real numbers and bools, and types that implement both of
NumPy's protocols, ``__array_ufunc__`` and ``__array_function__``, and so follow its semantics.
Lists and Python numbers are converted. Refused: arrays whose operators differ or that hold more
than their data, and arrays of other libraries.
"""

from typing import Any

import numpy as np

from graphgrad.engine.graph import Recorded
from graphgrad.engine.integers import NAMES, as_whole_numbers
from graphgrad.engine.recording import switches
from graphgrad.errors import DtypeError, ShapeError, UnsupportedError
from graphgrad.typing import Array

_REAL = [np.dtype(code) for code in "?bBhHiIlLqQefdg"]
_REAL_DTYPES = frozenset(dtype.num for dtype in _REAL)  # of either byte order
SCALARS = frozenset([bool, int, float, *(dtype.type for dtype in _REAL)])
_PYTHON_NUMBERS = (int, float)
_PLAIN_TYPES = SCALARS | {str, slice, type(None), type(Ellipsis), range, np.dtype, type}
_UNCHECKED_TYPES = _PLAIN_TYPES - {dtype.type for dtype in _REAL if dtype.kind in "iu"}
# Attributes of arrays and tables, also of pandas, polars, PyTorch, …
_ARRAY_ATTRIBUTES = ("dtype", "__array_ufunc__", "__dlpack__", "to_numpy")


def as_array(x: Array, who: str = "Tensor") -> Array:
    """Return an operand as an array; a Tensor as it is.

    Raises
    ------
    DtypeError
        If it holds anything but real numbers and bools, or is an array of another kind.
    ShapeError
        For a ragged list.
    """
    if x.__class__ is not np.ndarray and not isinstance(x, Recorded | np.generic):
        x = _converted(x, who)
    dtype: Any = x.dtype  # pyright: ignore[reportAttributeAccessIssue] - a Tensor has one
    if dtype.num not in _REAL_DTYPES:
        message = f"{who}: dtype {dtype} is not supported; {_remedy_of(dtype)}"
        raise DtypeError(message)
    return x


def as_floating(who: str, x: Array, name: str = "x") -> Array:
    """Turn an operand into an array of floating numbers, or say that it is none."""
    x = as_array(x, who)
    if x.dtype.kind != "f":
        raise DtypeError(f"{who}: {name} is {x.dtype}; use .astype(np.float32)")
    return x


def operand(x: Array, who: str) -> Array:
    """Return an operand as `as_array` does, except for Python numbers.

    These do not widen the dtype of an array.
    """
    if x.__class__ is not np.ndarray and isinstance(x, _PYTHON_NUMBERS):
        return x
    return as_array(x, who)


def as_plain(who: str, x: Array, name: str) -> Array:
    """Return the plain array of an argument that gets no gradient."""
    if isinstance(x, Recorded):
        refuse_recorded(x, who, name)
        return x._array
    return as_array(x, who)


def refuse_recorded(x: Recorded, who: str, name: str) -> None:
    """Raise UnsupportedError if a recorded value would leave the graph silently."""
    if needs_gradient(x) and switches().enabled:
        message = f"{who}: not differentiable in '{name}'; pass .detach() of it"
        raise UnsupportedError(message)


def needs_gradient(tensor: Recorded) -> bool:
    """Whether ops on this tensor are recorded while recording is on."""
    return tensor._node is not None and tensor._node.needs


def plain_params(
    params: tuple[Any, ...], names: tuple[str, ...], who: str, whole: bool = False
) -> tuple[Any, ...]:
    """Replace Tensors by their arrays in parameters, which get no gradient.

    ``whole``: whether to convert parameters that `NAMES` lists (axis, shape, …) to whole numbers.
    """
    for p in params:
        if p.__class__ not in _UNCHECKED_TYPES:
            break
    else:
        return params
    if not whole and all(map(_is_plain, params)):
        return params
    plain = []
    for p, name in zip(params, names, strict=True):
        if isinstance(p, Recorded):
            refuse_recorded(p, who, name)
            p = p._array  # noqa: PLW2901
        else:
            check(p, f"{who}, '{name}'")
        plain.append(as_whole_numbers(who, name, p) if whole and name in NAMES else p)
    return tuple(plain)


def check(x: Array, who: str) -> None:
    """Raise if a value is an unsupported array, or has one in a list or tuple."""
    if _is_plain(x):
        return
    if isinstance(x, list | tuple):
        for part in x:
            check(part, who)
    elif _is_array(x):
        as_array(x, who)


def _is_plain(x: Array) -> bool:
    """Whether a value needs no check: a number, a NumPy array, or a list of these."""
    kind = x.__class__
    if kind is np.ndarray:
        return x.dtype.num in _REAL_DTYPES
    if kind in _PLAIN_TYPES:
        return True
    if not isinstance(x, tuple | list):
        return False
    return _PLAIN_TYPES.issuperset(map(type, x)) or all(map(_is_plain, x))


def unwrapped(x: Array) -> Array:
    """Replace Tensors by their arrays, also inside lists and tuples."""
    if isinstance(x, Recorded):
        return x._array
    if isinstance(x, list):
        return list(map(unwrapped, x))
    return tuple(map(unwrapped, x)) if isinstance(x, tuple) else x


def shape_of(x: Array, who: str = "Tensor") -> tuple[int, ...]:
    """Return the shape of an operand, faster than ``np.shape`` on a Tensor."""
    return x.shape if hasattr(x, "shape") else as_array(x, who).shape  # type: ignore[no-any-return]


def _is_array(x: Array) -> bool:
    return x.__class__ not in _PLAIN_TYPES and any(hasattr(x, sign) for sign in _ARRAY_ATTRIBUTES)


def _converted(x: Array, who: str) -> Array:
    kind = type(x)
    if issubclass(kind, np.matrix):
        problem, remedy = "its * is a matrix product", "use np.asarray(x), and @ for products"
    elif issubclass(kind, np.ma.MaskedArray):
        problem, remedy = (
            "a mask would be lost",
            "use x.filled(value), or gg.where(mask, …, x.data)",
        )
    elif all(getattr(kind, p, None) for p in ("__array_ufunc__", "__array_function__")):
        return x
    elif _is_array(x):
        problem, remedy = "it does not follow NumPy's protocols", f"use {_conversion(x)}"
    else:
        return _from_list(x, who)
    name = f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
    raise DtypeError(f"{who}: {name} is not supported, {problem}; {remedy}")


def _from_list(x: Array, who: str) -> Array:
    """Make an array of a list, a number, or another object that NumPy converts."""
    check(x, who)
    try:
        return np.asarray(x)
    except ValueError as error:  # a ragged list
        message = f"{who}: {error}; all rows must have one length"
        raise ShapeError(message) from error


def _conversion(x: Array) -> str:
    for method in ("toarray", "to_numpy"):
        if hasattr(x, method):
            return f"x.{method}()"
    return "x.detach().cpu().numpy()" if hasattr(x, "detach") else "np.asarray(x)"


def _remedy_of(dtype: Any) -> str:
    kind = getattr(dtype, "kind", None)
    if kind == "c":
        return "take the real and imaginary parts apart: graphgrad is for real numbers"
    if kind == "O":
        return "check for None, ragged lists or other objects among the numbers"
    if kind in ("M", "m"):
        return "count in a unit: (x - start) / np.timedelta64(1, 's')"
    if kind == "V" and dtype.names:
        return "take its fields one by one"
    return "convert it to numbers, by .astype(np.float32) where they are"
