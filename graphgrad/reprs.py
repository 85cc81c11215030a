"""The repr of objects: the call that made them, and their state."""

import inspect
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

_NOT_KEPT = object()


class Described:
    """Base class with a repr of the arguments of ``__init__``, and of the state if there is one.

    Shown are arguments that the object stores under their names: numbers, strings, functions and
    other objects of this class, but no arrays or optimizers, and no arguments that are None, False
    or 0 by default and were not given.
    """

    def _state(self) -> str:
        """Return the state as text; "" for none."""
        return ""

    def __repr__(self) -> str:
        """Show the call and the state."""
        call, state = call_of(self), self._state()
        return f"<{call} {state}>" if state else call


def call_of(x: Described) -> str:
    """Return the call that made an object: ``StepLR(step_size=30, gamma=0.1)``."""
    parts = []
    for name, parameter in inspect.signature(type(x)).parameters.items():
        value = getattr(x, name, _NOT_KEPT)
        text = _shown(value)
        if text is not None and (parameter.default or value):
            parts.append(f"{name}={text}")
    return f"{type(x).__name__}({', '.join(parts)})"


def _shown(value: Any) -> str | None:
    """Return an argument as Python source; None if it should not be shown."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str | int | None):
        return repr(value)
    if isinstance(value, Described):
        return call_of(value)
    if inspect.isroutine(value):
        return str(value.__name__)
    if isinstance(value, Sequence):
        items = [_shown(item) for item in value]
        return None if None in items else f"[{', '.join(map(str, items))}]"
    return None


def described(x: Any) -> str:
    """Return shape and dtype of an array: ``(1437, 64) float32``; else the type."""
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        return f"{x.shape} {x.dtype}"
    return type(x).__name__


def counted(count: int, one: str, several: str | None = None) -> str:
    """Return a count with a noun: ``1 leaf``, ``12,000 leaves``."""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def public(module: str, *more: str) -> list[str]:
    """Return the public names of a module, for its ``__dir__``: what we define, and ``more``."""
    names = {
        name
        for name, value in vars(sys.modules[module]).items()
        if not name.startswith("_")
        and not isinstance(value, ModuleType)
        and getattr(value, "__module__", "").startswith("graphgrad")
    }
    return sorted({*names, *more})
