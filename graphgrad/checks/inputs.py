"""The inputs of a checked function: which are differentiated, and their names."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphgrad.engine.operands import as_array
from graphgrad.engine.trees import flatten
from graphgrad.typing import Array


def listed(x: Array) -> Array:
    """Turn a list of plain numbers into an array; leave containers of arrays."""
    if isinstance(x, list | tuple):
        leaves, _ = flatten(x)
        if leaves and all(isinstance(v, float | int) and not isinstance(v, bool) for v in leaves):
            array = np.array(x)
            return array if array.dtype.kind == "f" else x
    return x


def is_floating(x: Array) -> bool:
    """Whether this is differentiated: a float, or an array of them."""
    if isinstance(x, float):
        return True
    if getattr(getattr(x, "dtype", None), "kind", "") == "c" or isinstance(x, complex):
        as_array(x)  # raises for complex numbers
    return getattr(getattr(x, "dtype", None), "kind", "") == "f"


def names_of(f: Callable[..., Any], inputs: Sequence[Any]) -> list[str]:
    """Name each leaf of the inputs by f's parameters."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):  # no signature, as of some functions in C
        parameters = []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    known = getattr(f, "order", None) or [p.name for p in parameters if p.kind in positional]
    labels: list[str] = []
    for i, x in enumerate(inputs):
        label = known[i] if i < len(known) else f"input {i}"
        count = len(flatten(listed(x))[0])
        labels += [f"{label} ({k})" for k in range(count)] if count > 1 else [label] * count
    return labels
