"""Calls written as Python expressions, with the parentheses that they need and no others."""

import builtins
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from graphgrad.compiling.literals import dtype_text, number_text, scalar_text
from graphgrad.compiling.program import Call, Constant, Function, Var, variables


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
    "np.sum": "sum", "np.add.reduce": "sum", "np.multiply.reduce": "prod",
    "np.maximum.reduce": "max", "np.minimum.reduce": "min",
    "np.logical_and.reduce": "all", "np.logical_or.reduce": "any",
}  # fmt: skip
_REDUCTIONS = {*_METHODS.values(), "mean"}
_TRANSPOSES = ("np.transpose", "np.swapaxes", "np.matrix_transpose")
_SIGNS = {
    "np.add": "+", "np.subtract": "-", "np.multiply": "*", "np.divide": "/", "np.matmul": "@",
    "np.greater": ">", "np.greater_equal": ">=", "np.less": "<", "np.less_equal": "<=",
    "np.equal": "==", "np.not_equal": "!=",
}  # fmt: skip

_REDUCE = {"axis", "keepdims", "dtype"}
_TWO = 2


class Expressions:
    """Writes calls; ``read`` writes a Var, and ``other`` constants and objects."""

    def __init__(self, read: Callable[[Var], Text], other: Callable[[Any], str]) -> None:
        self._read, self._other = read, other
        self._exact = False  # whether dtypes must be objects of np.dtype
        self._styles: dict[str, Callable[..., Text]] = {
            "unary": self._unary, "binary": self._binary, "in place": self._inside,
            "index": self._element, "assign": self._assign, "attribute": self._attribute,
        }  # fmt: skip
        self._plainer: dict[str, Callable[..., Text | None]] = {
            **dict.fromkeys(_METHODS, self._reduction), **dict.fromkeys(_SIGNS, self._sign),
            **dict.fromkeys(_TRANSPOSES, self._transposed), "np.negative": self._negative,
            "np.reshape": self._reshaped, "np.zeros": self._zeros, "np.add.at": self._added_at,
        }  # fmt: skip

    # ------------------------------------------------------------------------- values

    def value(self, x: Any) -> Text:
        """Write a value."""
        if isinstance(x, Var):
            return self._read(x)
        if isinstance(x, Constant):
            number = not x.array.shape and x.array.dtype != object
            return self.value(x.array[()]) if number else Text(self._other(x.array), ATOM)
        text = self._container(x) or self._numpys(x) or self._pythons(x) or self._other(x)
        return Text(text, UNARY if text.startswith("-") else ATOM)

    def _container(self, x: Any) -> str | None:
        if isinstance(x, slice):
            return f"slice({', '.join(map(self.text, (x.start, x.stop, x.step)))})"
        if isinstance(x, tuple) and type(x) is not tuple and any(variables(x)):
            return f"{self._other(type(x))}({', '.join(map(self.text, x))})"
        if type(x) is not tuple and type(x) is not list:
            return None
        inner = ", ".join(map(self.text, x))
        if type(x) is list:
            return f"[{inner}]"
        return f"({inner},)" if len(x) == 1 else f"({inner})"

    def _numpys(self, x: Any) -> str | None:
        if isinstance(x, np.generic) and x.dtype.kind in "biuf":
            return scalar_text(x)
        if isinstance(x, np.dtype):
            return f"np.dtype({dtype_text(x)})" if self._exact else dtype_text(x)
        return f"np.{x.__name__}" if isinstance(x, type) and issubclass(x, np.generic) else None

    @staticmethod
    def _pythons(x: Any) -> str | None:
        if isinstance(x, type):
            known: Any = getattr(builtins, x.__name__, None)
            return x.__name__ if known is x else None
        if x is Ellipsis:
            return "..."
        if x is None or type(x) in (bool, str):
            return repr(x)
        return number_text(x) if type(x) in (int, float) else None

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
        function, kwargs = call.function, dict(call.kwargs)
        if function.style == "name":
            return self._named(function, call.args, kwargs)
        if function.style == "method":
            return self._method(function.text, call.args, kwargs)
        return self._styles[function.style](function.text, *call.args)

    def _unary(self, sign: str, x: Any) -> Text:
        return Text(f"{sign}{self._at(x, UNARY)}", UNARY)

    def _binary(self, sign: str, x: Any, y: Any) -> Text:
        level = _LEVELS[sign]
        if sign != "**":  # whose result may depend on the type of the exponent
            x, y = _plain_number(x, y), _plain_number(y, x)
        left = level + 1 if sign == "**" or level == _COMPARES else level
        right = UNARY if sign == "**" else level + 1
        return Text(f"{self._at(x, left)} {sign} {self._at(y, right)}", level)

    def _inside(self, sign: str, x: Any, y: Any) -> Text:
        return Text(f"{self.text(x)} {sign} {self.text(_plain_number(y, x))}", 0)

    def _element(self, _: str, x: Any, index: Any) -> Text:
        return Text(f"{self._base(x)}[{self._index(index)}]", ATOM)

    def _assign(self, sign: str, x: Any, index: Any, value: Any) -> Text:
        left = self._element("", x, index).text
        return Text(f"{left} {sign or '='} {self.text(_plain_number(value, x))}", 0)

    def _attribute(self, word: str, x: Any) -> Text:
        return Text(f"{self._base(x)}.{word}", ATOM)

    def _method(self, word: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Text:
        of, rest = args[0], args[1:]
        if word in _REDUCTIONS and not rest:
            kwargs = _without_defaults(kwargs)
        if word == "reshape" and len(rest) == 1 and type(rest[0]) is tuple and rest[0]:
            rest = rest[0]
        return Text(f"{self._base(of)}.{word}({self._arguments(rest, kwargs)})", ATOM)

    def _named(self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Text:
        word = function.text
        if function.module:
            word = self._other(function)
            self._exact = True
        else:
            plainer = self._plainer.get(word)
            found = None if plainer is None else plainer(word, args, kwargs)
            if found is not None:
                return found
        text = f"{word}({self._arguments(args, kwargs)})"
        self._exact = False
        return Text(text, ATOM)

    def _arguments(self, args: Any, kwargs: dict[str, Any]) -> str:
        return ", ".join(
            [*map(self.text, args), *(f"{k}={self.text(v)}" for k, v in kwargs.items())]
        )

    # ------------------------------- functions of NumPy as methods or operators that do the same

    def _reduction(self, word: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Text | None:
        method = _METHODS[word]
        if len(args) != 1 or not _is_array(args[0]) or kwargs.keys() - _REDUCE:
            return None
        if method in {"all", "any"} and args[0].dtype != bool:
            return None
        axis = None if word == "np.sum" else 0
        return self._method(method, args, {"axis": axis, **kwargs})

    def _sign(self, word: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Text | None:
        plain = len(args) == _TWO and not kwargs and _has_array(args)
        return self._binary(_SIGNS[word], *args) if plain else None

    def _negative(self, _: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Text | None:
        return None if kwargs or not _is_array(args[0]) else self._unary("-", args[0])

    def _transposed(self, word: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Text | None:
        if kwargs or not _is_array(args[0]) or len(args[0].shape) != _TWO:
            return None
        return self._attribute("T", args[0]) if _turns(word, args[1:]) else None

    def _reshaped(self, _: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Text | None:
        plain = len(args) == _TWO and not kwargs and _is_array(args[0])
        return self._method("reshape", args, {}) if plain else None

    def _zeros(self, word: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Text | None:
        if len(args) == _TWO and args[1] in (np.float64, float):
            args = args[:1]
        if type(args[0]) is tuple and len(args[0]) == 1:
            args = args[0][0], *args[1:]
        return Text(f"{word}({self._arguments(args, kwargs)})", ATOM)

    def _added_at(self, word: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Text | None:
        if kwargs or getattr(args[-1], "dtype", None) != np.float64:
            return None
        *others, value = args
        return Text(
            f"{word}({self._arguments([*others, _plain_number(value, args[0])], {})})", ATOM
        )

    def in_place(self, call: Call) -> str | None:
        """Write ``np.add(x, y, out=x)`` as ``x += y``."""
        sign = _SIGNS.get(call.function.text, "")
        if sign not in {"+", "-", "*", "/"} or call.kwargs.keys() != {"out"}:
            return None
        x, y = call.args
        same = call.kwargs["out"] is x and _is_array(x) and x.shape != ()
        return self._inside(f"{sign}=", x, y).text if same else None

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


def _is_array(x: Any) -> bool:
    return isinstance(x, Var) and x.shape is not None and not x.scalar


def _without_defaults(kwargs: dict[str, Any]) -> dict[str, Any]:
    defaults = {"axis": None, "keepdims": False, "dtype": None}
    axis = kwargs.get("axis")
    if type(axis) is tuple and len(axis) == 1:
        kwargs = {**kwargs, "axis": axis[0]}
    return {k: v for k, v in kwargs.items() if k not in defaults or v is not defaults[k]}


def _has_array(args: tuple[Any, ...]) -> bool:
    """Whether a Var is an array, so that an operator calls the ufunc."""
    return any(isinstance(x, Var) and x.shape and not x.scalar for x in args) and all(
        isinstance(x, Var | Constant | np.generic | int | float) for x in args
    )


def _turns(word: str, rest: tuple[Any, ...]) -> bool:
    if word == "np.swapaxes":
        return sorted(k % 2 for k in rest) == [0, 1]
    axes = rest[0] if rest else None
    return axes is None or (type(axes) is tuple and tuple(k % 2 for k in axes) == (1, 0))


def _plain_number(x: Any, other: Any) -> Any:
    """Return a NumPy scalar as a number of Python's, if the other operand gives it its dtype."""
    if isinstance(x, Constant) and not x.array.shape:
        x = x.array[()]
    if (
        isinstance(x, np.generic)
        and x.dtype.kind in "if"
        and x.dtype.itemsize <= 8
        and isinstance(other, Var)
        and other.dtype == x.dtype
        and np.isfinite(x)
    ):
        return x.item()
    return x
