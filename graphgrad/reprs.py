"""What objects look like at the prompt: the call that made them, and where they stand."""

import inspect
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

_NOT_KEPT = object()


class Described:
    """An object that shows its arguments by name, and its state where it has one.

    The arguments are those of ``__init__`` that the object keeps under their names. Numbers,
    words, functions and other described objects are shown, arrays and optimizers are not; what
    is off by default (None, False, 0) and was left so is not shown either.
    """

    def _state(self) -> str:
        """Say where it stands; nothing for what has no state."""
        return ""

    def __repr__(self) -> str:
        """Show the call and the state."""
        call, state = call_of(self), self._state()
        return f"<{call} {state}>" if state else call


def call_of(x: Described) -> str:
    """Write the call that made an object: ``StepLR(step_size=30, gamma=0.1)``."""
    parts = []
    for name, parameter in inspect.signature(type(x)).parameters.items():
        value = getattr(x, name, _NOT_KEPT)
        text = _shown(value)
        if text is not None and (parameter.default or value):
            parts.append(f"{name}={text}")
    return f"{type(x).__name__}({', '.join(parts)})"


def _shown(value: Any) -> str | None:
    """Write an argument as one would type it; None for what would fill pages."""
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
    """Say what an array is: ``(1437, 64) float32``; of anything else its type."""
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        return f"{x.shape} {x.dtype}"
    return type(x).__name__


def counted(count: int, one: str, several: str | None = None) -> str:
    """Write how many there are: ``1 leaf``, ``12,000 leaves``."""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def public(module: str, *more: str) -> list[str]:
    """Name what a module exports, for its ``__dir__``: what is ours, and of modules those said."""
    names = {
        name
        for name, value in vars(sys.modules[module]).items()
        if not name.startswith("_")
        and not isinstance(value, ModuleType)
        and getattr(value, "__module__", "").startswith("graphgrad")
    }
    return sorted({*names, *more})
