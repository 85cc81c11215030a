"""Ignoring floating-point warnings for the length of a sweep.

Entering `np.errstate` costs as much as a small op. It sets one context variable, which is found
here by watching it do so; setting that costs next to nothing. A NumPy that keeps its error
state elsewhere is served by `np.seterr`, slower.
"""

import contextvars
from typing import Any

import numpy as np


def _context_variable() -> tuple[contextvars.ContextVar[Any] | None, Any]:
    """Return NumPy's context variable, and its value under ``np.errstate(all="ignore")``."""
    before = contextvars.copy_context()
    with np.errstate(all="ignore"):
        after = contextvars.copy_context()
    changed = [(v, x) for v, x in after.items() if before.get(v) is not x]
    return changed[0] if len(changed) == 1 else (None, None)


_VARIABLE, _IGNORING = _context_variable()


def ignore_warnings() -> Any:
    """Ignore floating-point warnings in this thread; returns what `restore_warnings` takes."""
    return np.seterr(all="ignore") if _VARIABLE is None else _VARIABLE.set(_IGNORING)


def restore_warnings(before: Any) -> None:
    """Undo `ignore_warnings`."""
    if _VARIABLE is None:
        np.seterr(**before)
    else:
        _VARIABLE.reset(before)
