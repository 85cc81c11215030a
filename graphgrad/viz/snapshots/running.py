"""Running a function under a trace, for its picture."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from graphgrad.engine.operands import as_array
from graphgrad.engine.record import constant
from graphgrad.engine.recording import enable_grad
from graphgrad.engine.tensor import Tensor
from graphgrad.engine.transforms import DerivativeFunction
from graphgrad.engine.trees import flatten
from graphgrad.engine.variables import name_of
from graphgrad.errors import DtypeError
from graphgrad.viz.snapshots.snapshot import Snapshot, take_snapshot
from graphgrad.viz.snapshots.traces import tracing


def run_traced(f: Callable[..., Any], args: tuple[Any, ...]) -> Snapshot:
    """Call a function under a trace, with leaves for its plain floating arguments.

    Of several results, in tuples, lists and dicts, the snapshot has those that were recorded.

    Raises
    ------
    DtypeError
        If it returns nothing, or a container without recorded Tensors.
    """
    names = _names(f, len(args))
    leaves = [_leaves(x, name) for x, name in zip(args, names, strict=True)]
    with enable_grad(), tracing():
        result = f(*leaves)
    name = name_of(f)
    title = None if name == "<lambda>" or isinstance(f, DerivativeFunction) else name
    if isinstance(result, Tensor):
        return take_snapshot(result, name=title)
    if isinstance(result, tuple | list | dict):
        places = _named_items(result, "" if isinstance(result, dict) else "result")
        found = [(x, place) for x, place in places if isinstance(x, Tensor) and _recorded(x)]
        if found:
            tensors, names_of_results = zip(*found, strict=True)
            return take_snapshot(*tensors, name=title, names=names_of_results)
    if isinstance(result, tuple | list | dict) or result is None:
        what = "nothing" if result is None else f"a {type(result).__name__} of plain values"
        message = (
            f"graph: {name} returned {what}, so there is no graph to draw; return the Tensors "
            "that are computed from its arguments, without .numpy() or .item()"
        )
        raise DtypeError(message)
    return take_snapshot(constant(as_array(result)), name=title)


def _recorded(x: Tensor) -> bool:
    """Whether it is in a graph."""
    return x.requires_grad or not x.is_leaf


def _named_items(x: Any, name: str | None) -> list[tuple[Any, str | None]]:
    """List the items of nested containers, each with a name: ``x[1][0]``; ``loss`` of a dict."""
    if not isinstance(x, tuple | list | dict):
        return [(x, name)]
    items = x.items() if isinstance(x, dict) else enumerate(x)
    return [found for key, part in items for found in _named_items(part, _item_name(name, key))]


def _names(f: Any, count: int) -> list[str | None]:
    """Return the names of the first parameters of f; for a module those of its forward."""
    try:
        parameters = list(inspect.signature(getattr(f, "forward", f)).parameters.values())
    except (TypeError, ValueError):  # inspect finds no signature
        return [None] * count
    names: list[str | None] = []
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}[{i}]" for i in range(count - len(names))]
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
    return (names + [None] * count)[:count]


def _leaves(x: Any, name: str | None) -> Any:
    """Turn the floating arrays and numbers in an argument into leaves, also in containers."""
    _, rebuild = flatten(x)
    return rebuild([_leaf(part, place) for part, place in _named_items(x, name)])


def _leaf(x: Any, name: str | None) -> Any:
    if isinstance(x, float):
        return Tensor(np.float64(x), requires_grad=True, name=name)
    dtype = getattr(x, "dtype", None)
    if isinstance(x, Tensor) or getattr(dtype, "kind", "") != "f":
        return x
    return Tensor(x, requires_grad=True, name=name)


def _item_name(name: str | None, key: Any) -> str | None:
    if name is None:
        return None
    return f"{name}[{key!r:.40}]" if name else str(key)
