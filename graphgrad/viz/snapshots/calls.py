"""Running a function for its picture."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from graphgrad.errors import DtypeError
from graphgrad.node import enable_grad, here
from graphgrad.record import as_array, constant
from graphgrad.tensor import Tensor
from graphgrad.viz.snapshots.traces import tracing


def traced(f: Callable[..., Any], args: tuple[Any, ...]) -> Tensor:
    """Call a function under a trace, with leaves for its plain floating arguments."""
    names = _names(f, len(args))
    leaves = [_leaves(x, name) for x, name in zip(args, names, strict=True)]
    with enable_grad(), tracing():
        result = f(*leaves)
    if isinstance(result, Tensor):
        return result
    kind = type(result).__name__
    if isinstance(result, tuple | list | dict) or result is None:
        message = (
            f"graph: {_name(f)} returned a {kind}; write a function that returns the one Tensor "
            f"whose graph you want, e.g. lambda *args: f(*args)[0] (at {here()})"
        )
        raise DtypeError(message)
    return constant(as_array(result))  # type: ignore[no-any-return]


def _name(f: Any) -> str:
    return getattr(f, "__name__", type(f).__name__)


def _names(f: Any, count: int) -> list[str | None]:
    """Name the first positional arguments as f does; a module is called by its forward."""
    try:
        parameters = list(inspect.signature(getattr(f, "forward", f)).parameters.values())
    except (TypeError, ValueError):  # of something that Python cannot look into
        return [None] * count
    names: list[str | None] = []
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}[{i}]" for i in range(count - len(names))]
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
    return (names + [None] * count)[:count]


def _leaves(x: Any, name: str | None) -> Any:
    """Make leaves of the floating arrays and numbers in an argument, also in containers."""
    if isinstance(x, dict):
        return {key: _leaves(y, _part(name, key)) for key, y in x.items()}
    if isinstance(x, list | tuple):
        parts = [_leaves(y, _part(name, i)) for i, y in enumerate(x)]
        make: Callable[[list[Any]], Any] = getattr(type(x), "_make", type(x))
        return make(parts)
    if isinstance(x, float):
        return Tensor(np.float64(x), requires_grad=True, name=name)
    dtype = getattr(x, "dtype", None)
    if isinstance(x, Tensor) or getattr(dtype, "kind", "") != "f":
        return x
    return Tensor(x, requires_grad=True, name=name)


def _part(name: str | None, key: Any) -> str | None:
    return None if name is None else f"{name}[{key!r:.40}]"
