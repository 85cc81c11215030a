"""Binding the arguments of a call, made ready once per op."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from graphgrad.errors import DtypeError, UnsupportedError
from graphgrad.names import KEYWORDS, nearest

REQUIRED = inspect.Parameter.empty
_NO_VALUE = getattr(np, "_NoValue", REQUIRED)


class Binder:
    """Turns the arguments of a call into a tuple in the order of our own parameters.

    Made once per op, because ``inspect.Signature.bind`` costs more than a small op. The
    positional order is NumPy's; its parameters that we lack are refused by name unless
    they carry their default.
    """

    def __init__(self, name: str, function: Callable[..., Any], reference: Any = None) -> None:
        """Read both signatures."""
        self.name = name
        own = inspect.signature(function).parameters
        self.star = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in own.values())
        self.own = tuple((n, p.default) for n, p in own.items())
        self.order = tuple(own)
        self.refused: dict[str, Any] = {}
        if reference is None:
            return
        try:
            theirs = inspect.signature(reference).parameters
        except ValueError:  # some functions written in C do not tell
            return
        self.refused = {n: p.default for n, p in theirs.items() if n not in own}
        if set(own) <= set(theirs):
            self.order = tuple(
                n for n, p in theirs.items() if p.kind is not inspect.Parameter.KEYWORD_ONLY
            ) + tuple(n for n, p in theirs.items() if p.kind is inspect.Parameter.KEYWORD_ONLY)

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
        """Raise for an argument we do not support, unless it has its default value."""
        for name, value in given.items():
            default = self.refused.get(name)
            if value is None or value is _NO_VALUE or (name == "where" and value is True):
                continue
            if isinstance(value, bool | int | str) and value == default:
                continue
            remedy = {
                "out": "assign the result instead",
                "where": "use gg.where on the result",
                "dtype": "call .astype(dtype) on the input or the result",
            }.get(name) or self._alike(name)
            if isinstance(value, bool) and name in ("dtype", "out"):  # PyTorch's t.sum(0, True)
                remedy = f"write keepdims={value}"
            message = f"{self.name}: argument '{name}' is not supported; {remedy}"
            raise UnsupportedError(message)

    def _alike(self, name: str) -> str:
        """Say which of our parameters may be meant."""
        own = [n for n, _ in self.own]
        if KEYWORDS.get(name) in own:
            return f"it is '{KEYWORDS[name]}' here, as in NumPy"
        near = nearest(name, own)
        return f"did you mean '{near}'?" if near else f"it takes {', '.join(own)}"
