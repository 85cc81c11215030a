"""Ignoring floating-point warnings during a sweep.

`np.errstate` is as slow as a small op, but only sets one context variable. We find that variable
once, by comparing contexts, and set it directly. If NumPy has no such variable, we use the slower
`np.seterr`.
"""

import contextvars
from functools import partial
from typing import Any

import numpy as np


def _context_variable() -> tuple[contextvars.ContextVar[Any] | None, Any]:
    """Return NumPy's context variable, and its value under ``np.errstate(all="ignore")``."""
    before = contextvars.copy_context()
    with np.errstate(all="ignore"):
        after = contextvars.copy_context()
    changed = [(v, x) for v, x in after.items() if before.get(v) is not x]
    return changed[0] if len(changed) == 1 else (None, None)


CONTEXT_VARIABLE = _context_variable()


def _switch(variable: contextvars.ContextVar[Any] | None, ignoring: Any) -> tuple[Any, Any]:
    if variable is None:
        return partial(np.seterr, all="ignore"), lambda before: np.seterr(**before)
    return partial(variable.set, ignoring), variable.reset


# `ignore_warnings()` returns a token for `restore_warnings(token)`, in the same thread
ignore_warnings, restore_warnings = _switch(*CONTEXT_VARIABLE)
