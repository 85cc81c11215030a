"""The graph: what a node is, and how to walk it. No maths here.

A node stands for a value: a leaf, or the output of an op (if it has several, all of them). It
refers to the nodes that the value was computed from, never the other way round, so dropping the
last tensor of a graph frees all of it by reference counting. Nodes have serial numbers; an op's
inputs exist before its output, so the order of creation is a topological order and no walk
recurses.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator
from operator import attrgetter
from types import CodeType
from typing import Any

import numpy as np

from graphgrad.engine.source import source_line
from graphgrad.typing import Array

KEPT_ELEMENTS = 8  # an output of up to this many elements stays readable in its graph

tick = itertools.count(1).__next__  # the clock of the engine: serial numbers and times of writes


class Recorded:
    """The base class of Tensor: a value that may have a node in the graph."""

    __slots__ = ("_array", "_node")
    _class: "type[Any]"  # Tensor, which is defined in a later module
    _array: Any
    _node: "Node | None"


def is_tensor(x: Recorded) -> bool:
    """Whether this is a Tensor, not a symbol of a formula."""
    return isinstance(x, Recorded._class)


class Absent:
    """A placeholder for an input that was not given: a number, or an array full of it.

    Ops compute with it; it is not a value of the graph, so pictures do not show it.
    """

    __slots__ = ("number", "value")

    def __init__(
        self, number: float, shape: tuple[int, ...] | None = None, dtype: Any = None
    ) -> None:
        """Take the neutral number, and the shape if an array is needed."""
        self.number = number
        self.value: Any = number if shape is None else np.full(shape, number, dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value."""
        return np.shape(self.value)


class Freed:
    """Replaces a node's ``values`` after a sweep has released them."""

    __slots__ = ("code", "instruction", "what")

    def __init__(self, what: str, code: CodeType | None, instruction: int) -> None:
        """Take the call that released them, and its line."""
        self.what, self.code, self.instruction = what, code, instruction

    @property
    def by(self) -> str:
        """The call that released the values, and its line."""
        return f"{self.what} at {source_line(self.code, self.instruction)}"


class Node:
    """One value of the graph, and how it was computed."""

    __slots__ = (
        "__weakref__",
        "changed",  # when the value was last overwritten in place (see tick); 0: never
        "code",  # with `instruction`: where in the user's code the node was built
        "dtype",
        "grad",  # the value of Tensor.grad
        "hooks",  # gradient hooks, or None
        "instruction",
        "name",
        "needs",  # whether it needs a gradient
        "note",  # of a trace; not set without one
        "parents",  # per input a Node, a plain scalar, or an Absent
        "plan",  # op and wanted inputs (plan.Plan); None for a leaf
        "retain",  # whether `grad` is kept for a node that is not a leaf
        "serial",
        "shape",
        "small_gradients",  # after backward() from this node: small gradients, by serial number
        "value",  # the array, if small or of a leaf that needs a gradient
        "values",  # the kept values that the rules need, or Freed
    )

    parents: tuple[Any, ...]
    small_gradients: dict[int, Any] | None
    grad: Any
    hooks: dict[int, Any] | None
    name: str | None

    def __init__(  # positional and flat: this is the hottest constructor of the package
        self,
        plan: Any,
        parents: tuple[Any, ...],
        values: Array,
        shape: tuple[int, ...],
        dtype: Any,
        value: Array,
        needs: bool,
        code: CodeType | None,
        instruction: int,
    ) -> None:
        self.plan = plan
        self.parents = parents
        self.values = values
        self.shape = shape
        self.dtype = dtype
        self.value = value
        self.needs = needs
        self.code = code
        self.instruction = instruction
        self.serial = tick()
        self.changed = 0
        self.small_gradients = None
        self.grad = None
        self.hooks = None
        self.name = None
        self.retain = False

    @property
    def is_leaf(self) -> bool:
        """Whether this value was made by the user, not by an op."""
        return self.plan is None

    @property
    def is_view(self) -> bool:
        """Whether the value may share memory with the first parent's."""
        return self.plan is not None and self.plan.op.view

    @property
    def line(self) -> str:
        """The user's source line that built the node, as ``file.py:18``."""
        return source_line(self.code, self.instruction)

    def describe(self) -> str:
        """Describe the node for error messages."""
        what = "leaf" if self.plan is None else self.plan.op.name
        label = f" '{self.name}'" if self.name else ""
        facts = "" if self.dtype is None else f" {self.shape} {self.dtype}"  # several outputs
        return f"{what}{label}{facts} (built at {self.line})"

    def __repr__(self) -> str:
        """Show serial number and description."""
        return f"<Node {self.serial}: {self.describe()}>"


# ------------------------------------------- for pictures, optimizers and the ops of layers


def node_of(tensor: Recorded) -> Node | None:
    """Return the node of a tensor; None if it has none yet."""
    return tensor._node


def array_of(tensor: Recorded) -> Array:
    """Return the array of a tensor, for code that does not write to it; users have ``t.data``.

    A 0-d value may be a NumPy scalar. ``t.data`` makes an array of it, and detects writes to it,
    which takes time.
    """
    return tensor._array


# ------------------------------------------------------------------------------- walking


def ancestors(roots: Iterable[Node], floor: int = 0, ends: Collection[Node] = ()) -> list[Node]:
    """List the nodes through which gradients from the roots flow, newest first.

    Nodes with a serial number below ``floor`` are left out, except those in ``ends``, which are
    listed but not entered.
    """
    found = set(roots)
    stack = list(found)
    while stack:
        node = stack.pop()
        if node.plan is None or node.serial < floor:
            continue
        parents = node.parents
        for position in node.plan.wants:
            parent = parents[position]
            if parent not in found and (parent.serial >= floor or parent in ends):
                found.add(parent)
                stack.append(parent)
    return sorted(found, key=attrgetter("serial"), reverse=True)


def paths_to(
    roots: Collection[Node], targets: Collection[Node], floor: int
) -> tuple[set[Node], set[Node]]:
    """Return the nodes from which a target is reached, and the targets that reach no other.

    Nodes older than every target are skipped: they were not computed from one. So a transform
    inside a loop walks over its own part of the graph only.
    """
    floor = max(floor, min([target.serial for target in targets], default=floor))
    nodes = ancestors(roots, floor, targets)
    useful = {node for node in nodes if node in targets}
    ends = set(useful)
    for node in reversed(nodes):
        if node.plan is None or node.serial < floor:
            continue
        for i in node.plan.wants:
            if node.parents[i] in useful:
                useful.add(node)
                ends.discard(node)
                break
    return useful, ends


def reaches_below(roots: Iterable[Node], floor: int) -> bool:
    """Whether a node older than ``floor`` is among the nodes through which gradients flow."""
    seen = set(roots)
    stack = list(seen)
    while stack:
        node = stack.pop()
        if node.serial < floor:
            return True
        if node.plan is not None:
            for i in node.plan.wants:
                parent = node.parents[i]
                if parent not in seen:
                    seen.add(parent)
                    stack.append(parent)
    return False


def boundary(roots: Iterable[Node], floor: int) -> list[Node]:
    """List the nodes older than ``floor`` that are inputs of newer ones."""
    outside: dict[Node, None] = {}
    for node in ancestors(roots, floor):
        if node.serial < floor:
            outside[node] = None
        elif node.plan is not None:
            for position in node.plan.wants:
                if node.parents[position].serial < floor:
                    outside[node.parents[position]] = None
    return list(outside)


def memory_owners(node: Node) -> Iterator[Node]:
    """Yield the node and, while it may be a view, the node that it is a view of."""
    yield node
    while node.is_view:
        node = node.parents[0]
        if not isinstance(node, Node):
            return
        yield node


def graph_nodes(*roots: Node) -> list[Node]:
    """List all nodes of the graphs of some nodes, with constants, in order of creation."""
    found = set(roots)
    stack = list(roots)
    while stack:
        for parent in stack.pop().parents:
            if isinstance(parent, Node) and parent not in found:
                found.add(parent)
                stack.append(parent)
    return sorted(found, key=lambda node: node.serial)


def kept_arrays(nodes: list[Node]) -> dict[Node, Any]:
    """Return the values that nodes still have, as such or saved for the rules of ops."""
    arrays: dict[Node, Any] = {}
    for node in nodes:
        if node.plan is None or isinstance(node.values, Freed):
            continue
        for value, source in zip(node.values, node.plan.sources, strict=True):
            if source == "out" and node.shape is not None and not isinstance(value, tuple):
                arrays[node] = value
            elif source == "inputs":
                arrays.update(_of_nodes(zip(node.parents, value, strict=True)))
            elif isinstance(source, int):
                arrays.update(_of_nodes([(node.parents[source], value)]))
    arrays.update((node, node.value) for node in nodes if node.value is not None)
    return arrays


def _of_nodes(pairs: Any) -> dict[Node, Any]:
    return {parent: value for parent, value in pairs if isinstance(parent, Node)}
