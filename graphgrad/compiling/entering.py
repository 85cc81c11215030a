"""The way into a program: one Python function that compares all it must, and reads the inputs."""

import builtins
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphgrad.compiling.program import Effect, Source, Var
from graphgrad.compiling.reach import InTuple, Place, Reach, differs, recording_state
from graphgrad.compiling.sources import ArrayOf, At, GradOf, Known, Leaf
from graphgrad.engine.graph import Recorded, array_of
from graphgrad.engine.in_place import mark_changed, set_array

MISS = object()  # returned where another program, or none, fits the call
_MISSES = "(KeyError, IndexError, ValueError, AttributeError, TypeError)"


def structure(tree: Any) -> Any:
    """Return how lists, tuples and dicts are nested, as something to compare."""
    if isinstance(tree, dict):
        return (type(tree), tuple(tree), *map(structure, tree.values()))
    if isinstance(tree, list | tuple):
        return (type(tree), *map(structure, tree))
    return None


def signature(leaf: Any) -> Any:
    """Return what a program depends on of a leaf of the arguments."""
    if isinstance(leaf, Recorded):
        array = array_of(leaf)
        return (type(leaf), array.shape, array.dtype, recording_state(leaf), array.strides)
    if isinstance(leaf, np.ndarray | np.generic):
        return (type(leaf), leaf.shape, leaf.dtype, leaf.strides)
    if isinstance(leaf, np.random.Generator):
        return type(leaf)
    try:
        hash(leaf)
    except TypeError:
        return id(leaf)
    return (type(leaf), repr(leaf) if isinstance(leaf, float) else leaf)


def rebuilder(tree: Any, tensors: Sequence[bool]) -> tuple[str, dict[str, Any]] | None:
    """Return the text that builds a result from ``v[0], v[1] …``, and the types that it names.

    ``tree`` has numbers in the places of values; some values become tensors.
    """
    types: dict[str, Any] = {}

    def text(x: Any) -> str | None:
        if type(x) is int:
            return f"tensor(v[{x}])" if tensors[x] else f"v[{x}]"
        known = type(x) in (list, tuple) or (isinstance(x, tuple) and hasattr(x, "_make"))
        if not known and (type(x) is not dict or any(type(k) is not str for k in x)):
            return None
        parts = [text(part) for part in (x.values() if type(x) is dict else x)]
        if None in parts:
            return None
        if type(x) is dict:
            return "{" + "".join(f"{k!r}: {t}, " for k, t in zip(x, parts, strict=True)) + "}"
        inner = "".join(f"{t}, " for t in parts)
        if type(x) is list:
            return f"[{inner}]"
        name = "" if type(x) is tuple else f"k{len(types)}"
        types.update({name: type(x)} if name else {})
        return f"{name}({inner})"

    found = text(tree)
    return None if found is None else (found, types)


class Entrance:
    """Writes the function that leads into a program."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any], reach: Reach) -> None:
        self._lines: list[str] = []
        self._globals: dict[str, Any] = {
            "MISS": MISS,
            "differs": differs,
            "same": _same_leaf,
            "mark_changed": mark_changed,
            "set_array": set_array,
        }
        self._names: dict[int, str] = {}
        self._alive: list[Any] = []
        self._read: dict[int, str] = {}
        self._count = 0
        self.leaves: list[str] = []
        self._check(f"len(args) != {len(args)} or len(kwargs) != {len(kwargs)}")
        for k, x in enumerate(args):
            self._tree(f"args[{k}]", x)
        for key, x in kwargs.items():
            self._tree(f"kwargs[{key!r}]", x)
        if kwargs:
            self._check(f"tuple(kwargs) != {tuple(kwargs)!r}")
        for place, value in reach.plain:
            self._plain(place, value)
        for place, state in reach.states:
            name = self._place(place)
            self._check(f"type({name}) is not {self._object(state[0])}")
            self._state(name, state)
        for container, size, _ in reach.sizes:
            self._check(f"len({self._object(container)}) != {size}")

    def inputs(self, inputs: Sequence[tuple[Var, Source]]) -> list[str]:
        """Read and compare the inputs of the program; return their names."""
        names = []
        for var, source in inputs:
            name = self._source(source.read)
            if var.shape is not None:
                kind = var.dtype.type if var.scalar else np.ndarray
                checked = isinstance(source.read, Leaf)
                if not checked:
                    self._array(name, kind, var.shape, var.dtype, var.strides)
            names.append(name)
        return names

    def effects(self, effects: Sequence[Effect], first: int) -> list[str]:
        """Return the lines that change tensors; values for them begin at ``first``."""
        lines = []
        for effect in effects:
            tensor = self._source(effect.tensor.read)
            if effect.kind == "changed":
                lines.append(f"mark_changed({tensor})")
                continue
            value = "None"
            if effect.value is not None:
                value, first = f"v[{first}]", first + 1
            if effect.kind == "grad":
                lines.append(f"{tensor}._node.grad = {value}")
            else:
                lines += [f"set_array({tensor}, {value})", f"mark_changed({tensor})"]
        return lines

    def function(
        self, inputs: Sequence[str], end: Sequence[str], **known: Any
    ) -> Callable[..., Any]:
        """Make the function ``(args, kwargs)``; ``end`` are the lines after ``inputs`` are read."""
        head = ["def enter(args, kwargs):", "    try:"]
        body = [f"        {line}" for line in self._lines] or ["        pass"]
        after = [f"    except {_MISSES}:", "        return MISS"]
        text = "\n".join([*head, *body, *after, *(f"    {line}" for line in end)])
        text = text.replace("INPUTS", ", ".join(inputs)).replace(
            "LEAVES", "".join(f"{x}, " for x in self.leaves)
        )
        namespace = {**self._globals, **known}
        exec(builtins.compile(text, "<entrance>", "exec"), namespace)  # noqa: S102
        return namespace["enter"]  # type: ignore[no-any-return]

    # ------------------------------------------------------------------------- checks

    def _check(self, wrong: str) -> None:
        self._lines.append(f"if {wrong}: return MISS")

    def _name(self, expression: str) -> str:
        name = f"x{self._count}"
        self._count += 1
        self._lines.append(f"{name} = {expression}")
        return name

    def _object(self, x: Any) -> str:
        if x is None or x is True or x is False:
            return repr(x)
        name = self._names.get(id(x))
        if name is None:
            name = self._names[id(x)] = f"c{len(self._names)}"
            self._globals[name] = x
            self._alive.append(x)
        return name

    def _array(self, name: str, kind: Any, shape: Any, dtype: Any, strides: Any) -> None:
        wrong = f"type({name}) is not {self._object(kind)}"
        if kind is np.ndarray:
            wrong += f" or {name}.shape != {shape!r} or {name}.dtype != {self._object(dtype)}"
            wrong += f" or {name}.strides != {strides!r}"
        self._check(wrong)

    def _tree(self, expression: str, x: Any) -> None:
        name = self._name(expression)
        if isinstance(x, dict):
            keys = self._object(tuple(x))
            self._check(f"type({name}) is not {self._object(type(x))} or tuple({name}) != {keys}")
            for key, value in x.items():
                self._tree(f"{name}[{self._object(key)}]", value)
        elif isinstance(x, list | tuple):
            self._check(f"type({name}) is not {self._object(type(x))} or len({name}) != {len(x)}")
            for k, value in enumerate(x):
                self._tree(f"{name}[{k}]", value)
        else:
            self.leaves.append(name)
            self._leaf(name, x)

    def _leaf(self, name: str, x: Any) -> None:
        if isinstance(x, Recorded):
            self._tensor(name, x)
        elif isinstance(x, np.ndarray | np.generic):
            self._array(name, type(x), x.shape, x.dtype, x.strides)
        elif x is None or x is True or x is False:
            self._check(f"{name} is not {x!r}")
        elif type(x) in (int, str):
            self._check(f"type({name}) is not {self._object(type(x))} or {name} != {x!r}")
        else:
            expected = self._object(signature(x))
            self._check(f"{name} is not {self._object(x)} and not same({name}, {expected})")

    def _tensor(self, name: str, x: Any) -> None:
        self._check(f"type({name}) is not {self._object(type(x))}")
        array = self._name(f"{name}._array")
        self._check(f"{array}.shape != {x.shape!r} or {array}.dtype != {self._object(x.dtype)}")
        self._state(name, recording_state(x))

    def _state(self, name: str, state: Any) -> None:
        _, needs, leaf, hooks = state
        node = self._name(f"{name}._node")
        if not needs:
            self._check(f"{node} is not None and {node}.needs")
            return
        plan = "is not" if leaf else "is"
        wrong = f"{node} is None or not {node}.needs or {node}.plan {plan} None"
        self._check(f"{wrong} or {'not ' if hooks else ''}{node}.hooks")

    def _plain(self, place: Place, value: Any) -> None:
        name = self._place(place)
        known = self._object(value)
        if value is None or value is True or value is False:
            self._check(f"{name} is not {known}")
        else:
            self._check(f"{name} is not {known} and differs({name}, {known})")

    # ------------------------------------------------------------------------- reading

    def _source(self, read: Any) -> str:
        if isinstance(read, Leaf):
            return self.leaves[read.number]
        if isinstance(read, At):
            return self._place(read.place)
        if isinstance(read, Known):
            return self._object(read.value)
        if isinstance(read, ArrayOf):
            return self._name(f"{self._source(read.tensor)}._array")
        if isinstance(read, GradOf):
            return self._name(f"{self._source(read.tensor)}._node.grad")
        return self._name(f"{self._object(read)}(({''.join(f'{x}, ' for x in self.leaves)}))")

    def _place(self, place: Place) -> str:
        found = self._read.get(id(place))
        if found is None:
            found = self._read[id(place)] = self._name(self._expression(place))
        return found

    def _expression(self, place: Place) -> str:
        if type(place) is Place:
            of = self._object(place.of)
            return (
                f"{of}.cell_contents" if place.key is None else f"{of}[{self._object(place.key)}]"
            )
        if type(place) is InTuple:
            return f"{self._place(place.of)}[{place.key}]"
        return f"{self._object(place)}.read()"


def _same_leaf(x: Any, expected: Any) -> bool:
    return bool(signature(x) == expected)
