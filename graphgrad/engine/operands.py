"""What an operand may be: real numbers of NumPy's, converted exactly, or refused with the remedy.

Taken as they are: NumPy's arrays of real numbers and bools, and every type that implements both
of NumPy's protocols, ``__array_ufunc__`` and ``__array_function__``, so follows its semantics.
Lists, Python's numbers and what else is no array become one. Refused: arrays whose operators
mean something else, or whose data are not all that they hold, and arrays of other libraries.
"""

from typing import Any

import numpy as np

from graphgrad.engine.graph import Recorded
from graphgrad.engine.integers import NAMES, as_whole_numbers
from graphgrad.engine.recording import switches
from graphgrad.errors import DtypeError, ShapeError, UnsupportedError
from graphgrad.typing import Array

_REAL = [np.dtype(code) for code in "?bBhHiIlLqQefdg"]
_NUMBERS = frozenset(dtype.num for dtype in _REAL)  # of either byte order
SCALARS = frozenset([bool, int, float, *(dtype.type for dtype in _REAL)])
_PYTHONS_NUMBERS = (int, float)
_HARMLESS = SCALARS | {str, slice, type(None), type(Ellipsis), range, np.dtype, type}
_SETTLED = _HARMLESS - {dtype.type for dtype in _REAL if dtype.kind in "iu"}
# What only an array has, or a table of them: beside NumPy's those of pandas, polars, PyTorch, …
_SIGNS_OF_AN_ARRAY = ("dtype", "__array_ufunc__", "__dlpack__", "to_numpy")


def as_array(x: Array, who: str = "Tensor") -> Array:
    """Turn an operand into an array that can be computed with, or say why it cannot.

    A Tensor is returned as it is.

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
    if dtype.num not in _NUMBERS:
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
    """Return what an op computes with: as `as_array`, but a Python number stays one.

    Beside an array such a number does not widen its dtype.
    """
    if x.__class__ is not np.ndarray and isinstance(x, _PYTHONS_NUMBERS):
        return x
    return as_array(x, who)


def as_plain(who: str, x: Array, name: str) -> Array:
    """Return the array of something that no gradient goes to."""
    if isinstance(x, Recorded):
        refuse_recorded(x, who, name)
        return x._array
    return as_array(x, who)


def refuse_recorded(x: Recorded, who: str, name: str) -> None:
    """Raise where a value would leave the graph in silence."""
    if needs_gradient(x) and switches().enabled:
        message = f"{who}: not differentiable in '{name}'; pass .detach() of it"
        raise UnsupportedError(message)


def needs_gradient(tensor: Recorded) -> bool:
    """Whether ops on this tensor are recorded while recording is on."""
    return tensor._node is not None and tensor._node.needs


def plain_params(
    params: tuple[Any, ...], names: tuple[str, ...], who: str, whole: bool = False
) -> tuple[Any, ...]:
    """Let a Tensor stand for its array where only a plain argument makes sense.

    ``whole``: whether to convert parameters that `NAMES` lists (axis, shape, …) to whole numbers.
    """
    for p in params:
        if p.__class__ not in _SETTLED:
            break
    else:
        return params
    if not whole and all(map(_is_plain, params)):
        return params
    plain = []
    for p, name in zip(params, names, strict=True):
        if isinstance(p, Recorded):
            refuse_recorded(p, who, name)
            p = p._array  # noqa: PLW2901 - what it stands for
        else:
            check(p, f"{who}, '{name}'")
        plain.append(as_whole_numbers(who, name, p) if whole and name in NAMES else p)
    return tuple(plain)


def check(x: Array, who: str) -> None:
    """Raise where a value is an array that no op takes, or holds one in a list or tuple."""
    if _is_plain(x):
        return
    if isinstance(x, list | tuple):
        for part in x:
            check(part, who)
    elif _is_array(x):
        as_array(x, who)


def _is_plain(x: Array) -> bool:
    """Whether nothing needs checking: a number, an array of NumPy's own, or a list of such."""
    kind = x.__class__
    if kind is np.ndarray:
        return x.dtype.num in _NUMBERS
    if kind in _HARMLESS:
        return True
    if not isinstance(x, tuple | list):
        return False
    return _HARMLESS.issuperset(map(type, x)) or all(map(_is_plain, x))


def unwrapped(x: Array) -> Array:
    """Replace Tensors by their arrays, also inside lists and tuples."""
    if isinstance(x, Recorded):
        return x._array
    if isinstance(x, list):
        return list(map(unwrapped, x))
    return tuple(map(unwrapped, x)) if isinstance(x, tuple) else x


def shape_of(x: Array, who: str = "Tensor") -> tuple[int, ...]:
    """Return the shape of an operand; ``np.shape`` takes a detour on a Tensor."""
    return x.shape if hasattr(x, "shape") else as_array(x, who).shape  # type: ignore[no-any-return]


def _is_array(x: Array) -> bool:
    return x.__class__ not in _HARMLESS and any(hasattr(x, sign) for sign in _SIGNS_OF_AN_ARRAY)


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
        problem, remedy = "it does not follow NumPy's protocols", f"use {_way_to_numpy(x)}"
    else:
        return _gathered(x, who)
    name = f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
    raise DtypeError(f"{who}: {name} is not supported, {problem}; {remedy}")


def _gathered(x: Array, who: str) -> Array:
    """Make an array of a list, a number, or whatever else NumPy takes for one."""
    check(x, who)
    try:
        return np.asarray(x)
    except ValueError as error:  # a ragged list
        message = f"{who}: {error}; all rows must have one length"
        raise ShapeError(message) from error


def _way_to_numpy(x: Array) -> str:
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
