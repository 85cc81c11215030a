"""A program: a flat list of calls, from inputs to results. The only arrays in it are constants."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import Any, Literal, NamedTuple

from graphgrad.engine.trees import as_tuple
from graphgrad.typing import Array

Section = Literal["forward", "backward"]
UNGUARDED = object()


class Function(NamedTuple):
    """What a call calls, and how that is written."""

    call: Callable[..., Any]
    style: Literal["binary", "unary", "in place", "index", "assign", "attribute", "method", "name"]
    text: str  # an operator, the name of a method or attribute, or a dotted name such as np.exp
    module: str = ""  # where a dotted name that is not NumPy's is imported from


@dataclass(eq=False, slots=True)
class Var:
    """A value of a program: an input, or part of what a call returned."""

    number: int
    shape: tuple[int, ...] | None = None  # None for anything but arrays
    dtype: Any = None
    scalar: bool = False  # a NumPy scalar, not an array
    strides: tuple[int, ...] | None = None  # of an array, in the trace
    name: str | None = None
    root: "Var | None" = None  # the first value in the same memory; None for itself
    gradient_of: "Var | None" = None

    @property
    def memory(self) -> "Var":
        """The first value in the same memory."""
        first = self
        while first.root is not None:
            first = first.root
        return first


class Constant(NamedTuple):
    """An array that is the same in every run."""

    array: Array


@dataclass(eq=False, slots=True)
class Call:
    """One statement: a call, what it writes into, and where it comes from."""

    function: Function
    args: tuple[Any, ...]  # of Vars, Constants, Python values; may be nested
    kwargs: Mapping[str, Any]
    out: Any  # a Var, or a tuple of Vars and others
    mutates: tuple[Var, ...] = ()
    section: Section = "forward"
    code: CodeType | None = None
    instruction: int = 0
    guard: Any = UNGUARDED  # the result that the program was traced with
    pure: bool = True  # without effects outside, such as drawing a number
    draws: bool = False  # random numbers, its only effect

    def outputs(self) -> Iterator[Var]:
        """Yield the values that it makes."""
        yield from variables(self.out)

    def inputs(self) -> Iterator[Var]:
        """Yield the values that it reads."""
        yield from variables(self.args)
        yield from variables(tuple(self.kwargs.values()))


class Source(NamedTuple):
    """Where an input comes from: reads it anew at each call."""

    name: str
    read: Callable[[Sequence[Any]], Any]  # from the leaves of the arguments


class Effect(NamedTuple):
    """What a program changes outside, once all of it is computed."""

    kind: Literal["array", "grad", "changed"]
    tensor: Source
    value: Any  # a Var, or None


class AsTensor(NamedTuple):
    """A result that is returned as a Tensor."""

    value: Any  # a Var or a Constant


@dataclass(eq=False)
class Program:
    """A function of its inputs as a list of calls."""

    inputs: list[tuple[Var, Source]]
    calls: list[Call]
    results: list[Any]  # Vars, Constants and Python values, one per leaf of the result
    effects: list[Effect] = field(default_factory=list)
    kept: list[Var] = field(default_factory=list)  # for the backward part of it

    def constants(self) -> Iterator[Constant]:
        """Yield its constants."""
        for call in self.calls:
            yield from _constants((call.args, dict(call.kwargs)))
        yield from _constants((self.results, self.effects))

    def needed(self) -> Iterator[Var]:
        """Yield what must be computed: results, and the values of effects."""
        yield from variables(tuple(self.results))
        yield from variables(tuple(effect.value for effect in self.effects))
        yield from self.kept


def leaves_of(tree: Any) -> Iterator[Any]:
    """Yield what stands in nested tuples, lists, dicts and slices."""
    if isinstance(tree, Constant) or not isinstance(tree, tuple | list | dict | slice):
        yield tree
        return
    if isinstance(tree, slice):
        tree = (tree.start, tree.stop, tree.step)
    for part in tree.values() if isinstance(tree, dict) else tree:
        yield from leaves_of(part)


def variables(tree: Any) -> Iterator[Var]:
    """Yield the Vars in a tree."""
    return (x for x in leaves_of(tree) if isinstance(x, Var))


def _constants(tree: Any) -> Iterator[Constant]:
    return (x for x in leaves_of(tree) if isinstance(x, Constant))


def mapped(tree: Any, change: Callable[[Any], Any]) -> Any:
    """Return a tree with its Vars and Constants replaced."""
    if isinstance(tree, Var | Constant):
        return change(tree)
    if isinstance(tree, tuple | list):
        parts = [mapped(part, change) for part in tree]
        if isinstance(tree, list):
            return parts
        kind: Any = type(tree)
        return as_tuple(kind, parts)
    if isinstance(tree, dict):
        return {key: mapped(value, change) for key, value in tree.items()}
    if isinstance(tree, slice):
        return slice(*(mapped(p, change) for p in (tree.start, tree.stop, tree.step)))
    return tree
