"""Binding the arguments of a call to the parameters of an op."""

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from graphgrad.errors import DtypeError, UnsupportedError
from graphgrad.names import KEYWORD_HINTS, nearest

REQUIRED = inspect.Parameter.empty
_NO_VALUE = getattr(np, "_NoValue", REQUIRED)


def parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the default of each parameter.

    ``inspect.signature`` is many times slower, and `import graphgrad` reads some hundred functions.
    """
    stars = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
    plain = isinstance(function, FunctionType) and not vars(function)  # not wrapped
    if not plain or function.__code__.co_flags & stars:
        return {name: p.default for name, p in inspect.signature(function).parameters.items()}
    code, last = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    found = dict.fromkeys(names, REQUIRED)
    found.update(zip(names[code.co_argcount - len(last) : code.co_argcount], last, strict=True))
    found.update(function.__kwdefaults__ or {})
    return found


class Binder:
    """Turns the arguments of a call into a tuple in the order of our own parameters.

    Faster than ``inspect.Signature.bind``, which takes longer than a small op. The positional
    order is NumPy's; NumPy's parameters that we lack are refused unless they have their default.
    """

    def __init__(self, name: str, function: Callable[..., Any], reference: Any = None) -> None:
        """Read our signature; NumPy's is read when the first call needs it."""
        self.name = name
        self.own = tuple(parameters(function).items())
        code = getattr(function, "__code__", None)
        self.star = code is not None and bool(code.co_flags & inspect.CO_VARARGS)
        self._reference = reference

    @functools.cached_property
    def _reference_parameters(self) -> dict[str, inspect.Parameter]:
        try:
            signature = inspect.signature(self._reference)
        except (TypeError, ValueError):  # no reference, or no signature, as of some functions in C
            return {}
        return dict(signature.parameters)

    @functools.cached_property
    def order(self) -> tuple[str, ...]:
        """The parameters in the order of positional arguments."""
        own = tuple(n for n, _ in self.own)
        if not set(own) <= set(self._reference_parameters):
            return own
        last = [n for n, p in self._reference_parameters.items() if p.kind is p.KEYWORD_ONLY]
        return (*(n for n in self._reference_parameters if n not in last), *last)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """Return the values of our parameters, in order."""
        if len(args) > len(self.order):
            message = f"{self.name}: {len(args)} arguments given, takes {self.order}"
            raise DtypeError(message)
        given = dict(zip(self.order, args, strict=False))
        for name, value in kwargs.items():
            if name in given:
                raise DtypeError(f"{self.name}: two values for '{name}'")
            given[name] = value
        bound = []
        for name, default in self.own:
            value = given.pop(name, _NO_VALUE)
            if value is _NO_VALUE:
                value = default
                if value is REQUIRED:
                    raise DtypeError(f"{self.name}: argument '{name}' is missing")
            bound.append(value)
        if given:
            self.refuse(given)
        return tuple(bound)

    def refuse(self, given: dict[str, Any]) -> None:
        """Raise UnsupportedError for arguments that we lack, unless they have their defaults."""
        for name, value in given.items():
            default = (
                self._reference_parameters[name].default
                if name in self._reference_parameters
                else None
            )
            if value is None or value is _NO_VALUE or (name == "where" and value is True):
                continue
            if isinstance(value, bool | int | str) and value == default:
                continue
            remedy = {
                "out": "assign the result instead",
                "where": "use gg.where on the result",
                "dtype": "call .astype(dtype) on the input or the result",
            }.get(name) or self._suggestion(name)
            misplaced = isinstance(value, bool) and name in ("dtype", "out")
            if misplaced and "keepdims" in dict(self.own):  # PyTorch's t.sum(0, True)
                remedy = f"write keepdims={value}"
            message = f"{self.name}: argument '{name}' is not supported; {remedy}"
            raise UnsupportedError(message)

    def _suggestion(self, name: str) -> str:
        """Return a hint on which of our parameters may be meant."""
        own = [n for n, _ in self.own]
        if KEYWORD_HINTS.get(name) in own:
            return f"it is '{KEYWORD_HINTS[name]}' here, as in NumPy"
        near = nearest(name, own)
        return f"did you mean '{near}'?" if near else f"it takes {', '.join(own)}"
