"""The random generators that a model or a loss draws from, wherever it keeps them."""

import functools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from types import BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from graphgrad.engine.tensor import Tensor
from graphgrad.nn.modules.module import Module
from graphgrad.typing import Array

Random = np.random.Generator | np.random.RandomState
# hold none, and may be large
_OTHERS = (type, ModuleType, Tensor, np.ndarray, np.generic, np.dtype)


def generators_of(name: str, holder: Any) -> dict[str, Random]:
    """Find the generators of a module or a callable, by the way that leads to them.

    Looked into are attributes, of instances and of their classes, lists, tuples, dicts, partial
    functions and methods; of functions the defaults, the closure, and the globals that they name.
    Not found are those in slots or behind a Python generator, and the one of ``np.random`` itself.
    """
    found: dict[str, Random] = {}
    seen: set[int] = set()
    pending: deque[tuple[str, Any]] = deque([(name, holder)])
    while pending:
        path, value = pending.popleft()
        if isinstance(value, Random):
            found[path] = value
        elif id(value) not in seen and not isinstance(value, _OTHERS):
            seen.add(id(value))
            pending += [(f"{path}.{key}", below) for key, below in _inside(value)]
    return found


def state_of(rng: Random) -> Any:
    """Return the state of a generator, new or old, in plain numbers, texts and arrays."""
    if isinstance(rng, np.random.RandomState):
        return rng.get_state(legacy=False)
    return rng.bit_generator.state


def restore(rng: Random, state: Any) -> None:
    """Let a generator go on from a state."""
    if isinstance(rng, np.random.RandomState):
        rng.set_state(state)
    else:
        rng.bit_generator.state = state


def _inside(value: Array) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Module):
        yield from value.named_children()  # by the names of their parameters
    if isinstance(value, Mapping):
        yield from ((str(key), x) for key, x in value.items())
    elif isinstance(value, list | tuple | deque):
        yield from _numbered("", value)
    elif isinstance(value, functools.partial):
        yield "func", value.func
        yield from _numbered("", value.args)
        yield from value.keywords.items()
    elif isinstance(value, MethodType):
        yield "__func__", value.__func__
        yield "__self__", value.__self__
    elif isinstance(value, BuiltinMethodType):
        yield "__self__", value.__self__
    elif isinstance(value, FunctionType):
        code = value.__code__
        yield from zip(code.co_freevars, map(_content, value.__closure__ or ()), strict=True)
        yield from _numbered("default", value.__defaults__ or ())
        yield from (value.__kwdefaults__ or {}).items()
        known = value.__globals__
        yield from ((n, known[n]) for n in code.co_names if isinstance(known.get(n), Random))
    else:
        yield from getattr(value, "__dict__", {}).items()
        for kind in type(value).__mro__:
            yield from ((n, x) for n, x in vars(kind).items() if isinstance(x, Random))


def _numbered(name: str, values: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    return ((f"{name}{i}", x) for i, x in enumerate(values))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # of a name that has no value yet
        return None
