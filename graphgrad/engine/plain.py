"""NumPy functions without a gradient: they return plain arrays, or are refused with a remedy."""

from collections.abc import Callable
from typing import Any

import numpy as np

from graphgrad.arguments import flag, shown
from graphgrad.engine.graph import Recorded
from graphgrad.engine.operands import as_array
from graphgrad.engine.recording import latest, show_answer
from graphgrad.errors import DtypeError, translate
from graphgrad.typing import Array

PLAIN: set[Any] = set()  # NumPy functions whose results are plain arrays
OF_CONSTANTS: set[Any] = set()  # those of PLAIN whose floating results depend on floating arguments
REMEDIES: dict[Any, str] = {}  # by NumPy function without a rule: what to do instead


def is_numpys(function: Any) -> bool:
    """Whether a function is one of NumPy's own."""
    module = getattr(function, "__module__", None) or ""  # ufuncs have none before NumPy 2.2
    return isinstance(function, np.ufunc) or module.startswith("numpy")


def call_plain(function: Callable[..., Any], x: Array, axis: Any, **others: Any) -> Any:
    """Call a function of NumPy on the array of a tensor; raise its errors as ours.

    ``others`` are flags.
    """
    who = function.__name__
    array = x._array if isinstance(x, Recorded) else as_array(x, who)
    others = {name: flag(who, name, value) for name, value in others.items()}
    try:
        answer = function(array, axis=axis, **others)
    except (TypeError, ValueError, OverflowError) as error:
        kind = translate(error) or DtypeError
        of = f"{np.shape(array)} {array.dtype}"
        raise kind(f"{who}: {of}, axis={shown(axis)}: {error}") from error
    return show_answer(who, answer) if latest().observers and isinstance(x, Recorded) else answer
