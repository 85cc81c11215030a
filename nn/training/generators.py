"""The random generators that a model or a loss draws from, wherever it keeps them."""

import functools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from types import FunctionType, MethodType
from typing import Any

import numpy as np

from graphgrad.errors import DtypeError
from graphgrad.nn.module import Module
from graphgrad.node import here


def generators_of(name: str, holder: Any) -> dict[str, np.random.Generator]:
    """Find the generators of a module or a callable, by the way that leads to them.

    Looked into are the attributes of modules and of the holder itself, lists, tuples, dicts,
    partial functions, default arguments and closures.

    Raises
    ------
    DtypeError
        If there is a ``RandomState``, NumPy's old kind, whose state no checkpoint keeps.
    """
    found: dict[str, np.random.Generator] = {}
    seen: set[int] = set()
    pending: deque[tuple[str, Any]] = deque([(name, holder)])
    while pending:
        path, value = pending.popleft()
        if isinstance(value, np.random.Generator):
            found[path] = value
        elif isinstance(value, np.random.RandomState):
            message = f"Trainer: {path} is a RandomState; use a numpy.random.Generator"
            raise DtypeError(f"{message}, whose state checkpoints keep (at {here()})")
        elif id(value) not in seen:
            seen.add(id(value))
            inner = _inside(value, itself=value is holder)
            pending += [(f"{path}.{key}", below) for key, below in inner]
    return found


def _inside(value: Any, *, itself: bool) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Module):
        yield from value.named_children()  # by the names of their parameters
        yield from vars(value).items()
    elif isinstance(value, Mapping):
        yield from ((str(key), x) for key, x in value.items())
    elif isinstance(value, list | tuple):
        yield from _numbered("", value)
    elif isinstance(value, functools.partial):
        yield "func", value.func
        yield from _numbered("", value.args)
        yield from value.keywords.items()
    elif isinstance(value, MethodType):
        yield "__func__", value.__func__
        yield from getattr(value.__self__, "__dict__", {}).items()
    elif isinstance(value, FunctionType):
        names = value.__code__.co_freevars
        cells = [_content(cell) for cell in value.__closure__ or ()]
        yield from zip(names, cells, strict=True)
        yield from _numbered("default", value.__defaults__ or ())
        yield from (value.__kwdefaults__ or {}).items()
    elif itself:
        yield from getattr(value, "__dict__", {}).items()


def _numbered(name: str, values: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    return ((f"{name}{i}", x) for i, x in enumerate(values))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # of a name that has no value yet
        return None
