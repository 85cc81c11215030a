"""Calls written as Python expressions, with the parentheses that they need and no others."""

import builtins
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from graphgrad.compiling.literals import dtype_text, number_text, scalar_text
from graphgrad.compiling.program import Call, Constant, Var


class Text(NamedTuple):
    """An expression, and how strongly it binds."""

    text: str
    level: int


ATOM, POWER, UNARY = 20, 15, 14
_LEVELS = {
    "**": POWER, "*": 13, "/": 13, "//": 13, "%": 13, "@": 13, "+": 12, "-": 12, "<<": 11, ">>": 11,
    "&": 10, "^": 9, "|": 8, "<": 7, "<=": 7, ">": 7, ">=": 7, "==": 7, "!=": 7,
}  # fmt: skip
_COMPARES = 7
# the methods of arrays that call these reductions, and nothing else
_METHODS = {
    "np.add.reduce": "sum", "np.multiply.reduce": "prod", "np.maximum.reduce": "max",
    "np.minimum.reduce": "min", "np.logical_and.reduce": "all", "np.logical_or.reduce": "any",
}  # fmt: skip
_SIGNS = {
    "np.add": "+", "np.subtract": "-", "np.multiply": "*", "np.divide": "/", "np.matmul": "@",
    "np.greater": ">", "np.greater_equal": ">=", "np.less": "<", "np.less_equal": "<=",
    "np.equal": "==", "np.not_equal": "!=",
}  # fmt: skip


class Expressions:
    """Writes calls; ``read`` writes a Var, and ``other`` constants and objects."""

    def __init__(self, read: Callable[[Var], Text], other: Callable[[Any], str]) -> None:
        self._read, self._other = read, other
        self._exact = False  # whether dtypes must be objects of np.dtype

    # ------------------------------------------------------------------------- values

    def value(self, x: Any) -> Text:
        """Write a value."""
        if isinstance(x, Var):
            return self._read(x)
        if isinstance(x, Constant):
            if not x.array.shape and x.array.dtype != object:
                return self.value(x.array[()])
            return Text(self._other(x.array), ATOM)
        if type(x) is tuple:
            inner = ", ".join(map(self.text, x))
            return Text(f"({inner},)" if len(x) == 1 else f"({inner})", ATOM)
        if type(x) is list:
            return Text(f"[{', '.join(map(self.text, x))}]", ATOM)
        if isinstance(x, slice):
            parts = x.start, x.stop, x.step
            return Text(f"slice({', '.join(map(self.text, parts))})", ATOM)
        if isinstance(x, np.generic) and x.dtype.kind in "biuf":
            return Text(scalar_text(x), ATOM)
        if isinstance(x, np.dtype):
            return Text(f"np.dtype({dtype_text(x)})" if self._exact else dtype_text(x), ATOM)
        if isinstance(x, type) and issubclass(x, np.generic):
            return Text(f"np.{x.__name__}", ATOM)
        if isinstance(x, type) and getattr(builtins, x.__name__, None) is x:
            return Text(x.__name__, ATOM)
        if x is None or x is Ellipsis or type(x) in (bool, str):
            return Text("..." if x is Ellipsis else repr(x), ATOM)
        if type(x) in (int, float):
            text = number_text(x)
            return Text(text, UNARY if text.startswith("-") else ATOM)
        return Text(self._other(x), ATOM)

    def text(self, x: Any) -> str:
        """Write a value where anything may stand."""
        return self.value(x).text

    def _at(self, x: Any, level: int) -> str:
        """Write a value where it must bind at least so strongly."""
        text, own = self.value(x)
        return text if own >= level else f"({text})"

    def _base(self, x: Any) -> str:
        """Write a value whose attribute or element follows."""
        text = self._at(x, ATOM)
        return f"({text})" if type(x) is int else text

    # -------------------------------------------------------------------------- calls

    def call(self, call: Call) -> Text:
        """Write a call."""
        function, args, kwargs = call.function, call.args, dict(call.kwargs)
        style, word = function.style, function.text
        if style == "name" and not function.module:
            found = self._plainer(call, word, args, kwargs)
            if found is not None:
                return found
        if style == "binary":
            return self._binary(word, *args)
        if style == "unary":
            return Text(f"{word}{self._at(args[0], UNARY)}", UNARY)
        if style == "in place":
            return Text(
                f"{self.text(args[0])} {word} {self.text(_plain_number(args[1], args[0]))}", 0
            )
        if style == "index":
            return Text(f"{self._base(args[0])}[{self._index(args[1])}]", ATOM)
        if style == "assign":
            left = f"{self._base(args[0])}[{self._index(args[1])}]"
            return Text(f"{left} {word or '='} {self.text(_plain_number(args[2], args[0]))}", 0)
        if style == "attribute":
            return Text(f"{self._base(args[0])}.{word}", ATOM)
        if style == "method":
            return self._method(word, args, kwargs)
        if function.module:
            word = self._other(function)
        self._exact = bool(function.module)
        text = self._arguments(args, kwargs)
        self._exact = False
        return Text(f"{word}({text})", ATOM)

    def _arguments(self, args: Any, kwargs: dict[str, Any]) -> str:
        return ", ".join(
            [*map(self.text, args), *(f"{k}={self.text(v)}" for k, v in kwargs.items())]
        )

    def _binary(self, sign: str, x: Any, y: Any) -> Text:
        level = _LEVELS[sign]
        if sign != "**":  # whose result may depend on the type of the exponent
            x, y = _plain_number(x, y), _plain_number(y, x)
        left = level + 1 if sign == "**" or level == _COMPARES else level
        right = UNARY if sign == "**" else level + 1
        return Text(f"{self._at(x, left)} {sign} {self._at(y, right)}", level)

    def _method(self, word: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Text:
        of, rest = args[0], args[1:]
        if word in {"sum", "prod", "max", "min", "all", "any", "mean"} and not rest:
            kwargs = _without_defaults(kwargs)
            axis = kwargs.get("axis")
            if type(axis) is tuple and len(axis) == 1:
                kwargs["axis"] = axis[0]
        if word == "reshape" and len(rest) == 1 and type(rest[0]) is tuple and rest[0]:
            rest = rest[0]
        return Text(f"{self._base(of)}.{word}({self._arguments(rest, kwargs)})", ATOM)

    def _plainer(
        self, call: Call, word: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Text | None:
        """Write a function of NumPy as a method or an operator, if that does the same."""
        first = args[0] if args else None
        array = isinstance(first, Var) and first.shape is not None and not first.scalar
        if word in _METHODS and len(args) == 1 and array and kwargs.keys() <= _REDUCE:
            assert isinstance(first, Var)
            if _METHODS[word] in {"all", "any"} and first.dtype != bool:
                return None
            return self._method(_METHODS[word], args, {"axis": 0, **kwargs})
        if word == "np.sum" and len(args) == 1 and array and kwargs.keys() <= _REDUCE:
            return self._method("sum", args, kwargs)
        if word in _SIGNS and not kwargs and len(args) == 2 and _has_array(args):  # noqa: PLR2004
            return self._binary(_SIGNS[word], *args)
        if word == "np.negative" and not kwargs and array:
            return Text(f"-{self._at(first, UNARY)}", UNARY)
        if word in {"np.transpose", "np.swapaxes", "np.matrix_transpose"} and array:
            assert isinstance(first, Var)
            assert first.shape is not None
            if len(first.shape) == 2 and not kwargs and _turns(word, args[1:]):  # noqa: PLR2004
                return Text(f"{self._base(first)}.T", ATOM)
        if word == "np.add.at" and len(args) == 3:  # noqa: PLR2004
            value = (
                _plain_number(args[2], first)
                if getattr(args[2], "dtype", None) == np.float64
                else args[2]
            )
            return Text(f"{word}({self._arguments((*args[:2], value), kwargs)})", ATOM)
        if word == "np.reshape" and array and len(args) == 2 and not kwargs:  # noqa: PLR2004
            return self._method("reshape", args, {})
        if word == "np.zeros":
            if len(args) == 2 and args[1] in (np.float64, float):  # noqa: PLR2004
                args = args[:1]
            shape = args[0]
            if type(shape) is tuple and len(shape) == 1:
                args = shape[0], *args[1:]
            return Text(f"np.zeros({self._arguments(args, kwargs)})", ATOM)
        return None

    def in_place(self, call: Call) -> str | None:
        """Write ``np.add(x, y, out=x)`` as ``x += y``."""
        sign = _SIGNS.get(call.function.text)
        kwargs = dict(call.kwargs)
        if sign in {"+", "-", "*", "/"} and kwargs.keys() == {"out"} and len(call.args) == 2:  # noqa: PLR2004
            x, y = call.args
            if isinstance(x, Var) and kwargs["out"] is x and not x.scalar and x.shape != ():
                return f"{self.text(x)} {sign}= {self.text(y)}"
        return None

    def _index(self, index: Any) -> str:
        if type(index) is tuple and index:
            inner = ", ".join(map(self._one_index, index))
            return f"{inner}," if len(index) == 1 else inner
        return self._one_index(index)

    def _one_index(self, index: Any) -> str:
        if not isinstance(index, slice):
            return self.text(index)
        start, stop, step = (
            "" if i is None else self._at(i, ATOM) if isinstance(i, Var) else self.text(i)
            for i in (index.start, index.stop, index.step)
        )
        return f"{start}:{stop}" + (f":{step}" if step else "")


_REDUCE = {"axis", "keepdims", "dtype"}


def _without_defaults(kwargs: dict[str, Any]) -> dict[str, Any]:
    defaults = {"axis": None, "keepdims": False, "dtype": None}
    return {k: v for k, v in kwargs.items() if k not in defaults or v is not defaults[k]}


def _has_array(args: tuple[Any, ...]) -> bool:
    """Whether a Var is an array, so that an operator calls the ufunc."""
    return any(isinstance(x, Var) and x.shape and not x.scalar for x in args) and all(
        isinstance(x, Var | Constant | np.generic | int | float) for x in args
    )


def _turns(word: str, rest: tuple[Any, ...]) -> bool:
    if word == "np.swapaxes":
        return sorted(k % 2 for k in rest) == [0, 1]
    return not rest or rest[0] is None or tuple(k % 2 for k in rest[0]) == (1, 0)


def _plain_number(x: Any, other: Any) -> Any:
    """Return a NumPy scalar as a number of Python's, if the other operand gives it its dtype."""
    if isinstance(x, Constant) and not x.array.shape:
        x = x.array[()]
    if (
        isinstance(x, np.generic)
        and x.dtype.kind in "if"
        and x.dtype.itemsize <= 8  # noqa: PLR2004
        and isinstance(other, Var)
        and other.dtype == x.dtype
        and np.isfinite(x)
    ):
        return x.item()
    return x
