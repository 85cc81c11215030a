"""The snapshot: what a graph holds at one moment, as plain data that never changes.

Every picture is made from it and from nothing else. Nodes are numbered from 1 in order of
creation, so the same program gives the same snapshot. Arrays are kept as numbers where
they have few elements, else as mean, deviation and norm.
"""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from graphgrad.errors import GraphgradError
from graphgrad.node import (
    KEPT_ELEMENTS,
    Freed,
    Node,
    ancestors,
    history,
    kept_arrays,
    source_line,
)
from graphgrad.record import OUTPUT
from graphgrad.sweep import Sweep
from graphgrad.tensor import Tensor

Kind = Literal[
    "leaf",  # a value of the user's that wants a gradient
    "constant",  # one that does not
    "op",  # what an op computed
    "output",  # one of several results of an op, which is its only input
]


@dataclass(frozen=True, slots=True)
class Numbers:
    """An array in a few numbers."""

    elements: tuple[float, ...] | None  # in C order; None where there are more than a few
    mean: float
    std: float
    norm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One node of the graph: a value, and how it came about."""

    id: int
    kind: Kind
    name: str | None = None
    op: str | None = None  # the name of the op that computed it
    symbol: str | None = None
    inputs: tuple[int, ...] = ()  # the ids of the op's inputs, in order; repeated if used twice
    output: int | None = None  # which of its op's several outputs it is, if still known
    shape: tuple[int, ...] | None = ()  # None: of an op whose several outputs follow
    dtype: str | None = None  # None also for a Python scalar, which takes its partner's
    needs: bool = False  # whether it takes part in differentiation
    numbers: Numbers | None = None  # None where the value was too large to be kept
    changed: bool = False  # whether it was written in place after the graph had used it
    gradient: Numbers | None = None  # None where there is none, or none was kept
    line: str | None = None  # the user's source line, as "file.py:18"
    module: str | None = None  # path of the nn.Module that computed it; "": the outermost one
    contributions: tuple[Numbers | None, ...] = ()  # per input: the gradient that is sent there
    formula: str | None = None  # the op in mathematics: "x · y"
    local: tuple[str | None, ...] = ()  # per input: what its rule sends there: "g · cos(x)"
    local_numbers: tuple[float | None, ...] = ()  # per input: the local derivative of scalars


@dataclass(frozen=True, slots=True)
class ModuleNote:
    """A module of the network whose graph this is."""

    path: str  # "features.0"; "": the outermost one
    kind: str  # the name of its class


@dataclass(frozen=True, slots=True)
class Step:
    """One op, on the way forward or on the way back."""

    direction: Literal["forward", "backward"]
    id: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A graph at one moment. The last value is the one that was asked for."""

    values: tuple[Value, ...]
    note: str | None  # what to know about the gradients, if anything
    modules: tuple[ModuleNote, ...] = ()  # outermost first; none where nothing was traced
    steps: tuple[Step, ...] = ()  # the ops as forward made them, then as backward visits them

    @property
    def result(self) -> Value:
        """The value whose graph this is."""
        return self.values[-1]


def take(tensor: Tensor) -> Snapshot:
    """Take a snapshot of everything that a tensor was computed from."""
    root = tensor._node
    if root is None:  # nothing has used it yet
        data = tensor._data
        kind, numbers = data.dtype.name, summarize(data)
        value = Value(id=1, kind="constant", shape=data.shape, dtype=kind, numbers=numbers)
        return Snapshot((value,), None)
    nodes = history(root)
    gradients, note = _gradients(root, nodes, tensor._data)
    arrays = kept_arrays(nodes)
    arrays[root] = tensor._data
    changed = _changed(nodes)
    outputs = _output_numbers(nodes)
    line = functools.cache(source_line)  # few lines build many nodes
    dtype = functools.cache(lambda dtype: np.dtype(dtype).name)
    ids: dict[Node, int] = {}
    values: list[Value] = []
    for node in nodes:
        where = line(node.code, node.instruction)
        inputs = []
        for parent in node.parents:
            if isinstance(parent, Node):
                inputs.append(ids[parent])
            else:
                values.append(_scalar(len(values) + 1, parent, where))
                inputs.append(len(values))
        ids[node] = len(values) + 1
        op = None if node.plan is None else node.plan.op
        several = op is not None and op.outputs > 1
        array = arrays.get(node)
        values.append(
            Value(
                id=ids[node],
                kind=_kind(node),
                name=node.name,
                op=None if op is None else op.name,
                symbol=None if op is None else op.symbol,
                inputs=tuple(inputs),
                output=outputs.get(node),
                shape=None if several else node.shape,
                dtype=None if several else dtype(node.dtype),
                needs=node.needs,
                numbers=None if array is None else summarize(array),
                changed=node in changed,
                gradient=gradients.get(node.serial),
                line=where,
            )
        )
    return Snapshot(tuple(values), note)


def _kind(node: Node) -> Kind:
    if node.plan is None:
        return "leaf" if node.needs else "constant"
    return "output" if node.plan.op is OUTPUT else "op"


def summarize(array: Any) -> Numbers:
    """Describe an array by a few numbers."""
    size = array.size
    if size > KEPT_ELEMENTS:
        with np.errstate(all="ignore"):
            wide = array.astype(np.float64)
            norm = float(np.sqrt(np.sum(wide * wide)))
            return Numbers(None, float(wide.mean()), float(wide.std()), norm)
    if size == 1:
        x = array.item()
        return Numbers((x,), x, 0.0, abs(x))
    elements = tuple(array.ravel().tolist())
    mean = sum(elements) / size if size else math.nan
    variance = sum((x - mean) * (x - mean) for x in elements) / size if size else math.nan
    return Numbers(elements, mean, math.sqrt(variance), math.hypot(*elements))


def _scalar(number: int, x: Any, line: str) -> Value:
    """Describe a scalar that stood as an operand."""
    dtype, numbers = None, Numbers((x,), x, 0.0, abs(x))
    if isinstance(x, np.generic):
        dtype, numbers = x.dtype.name, summarize(x)
    return Value(id=number, kind="constant", dtype=dtype, numbers=numbers, line=line)


def _changed(nodes: list[Node]) -> set[Node]:
    """Find the values that were overwritten in place after an op had used them."""
    last: dict[Node, int] = {}  # when the memory of a node was last written
    changed = set()
    for node in nodes:
        last[node] = node.changed
        for parent in node.parents:
            if isinstance(parent, Node) and last[parent] > node.serial:
                changed.add(parent)
        if node.is_view and isinstance(node.parents[0], Node):
            last[node] = max(last[node], last[node.parents[0]])
    return changed


def _output_numbers(nodes: list[Node]) -> dict[Node, int]:
    """Say which output of its op each output is, as far as a freed graph still tells."""
    outputs: dict[Node, list[Node]] = {}
    for node in nodes:
        if node.plan is not None and node.plan.op is OUTPUT:
            outputs.setdefault(node.parents[0], []).append(node)
    numbers: dict[Node, int] = {}
    for parent, siblings in outputs.items():
        complete = len(siblings) == parent.plan.op.outputs
        for place, node in enumerate(siblings):
            if not isinstance(node.values, Freed):
                numbers[node] = node.values[0]
            elif complete:
                numbers[node] = place
    return numbers


def _gradients(
    root: Node, nodes: list[Node], data: Any
) -> tuple[Mapping[int, Numbers], str | None]:
    """Return the gradients by serial number, and what to say about them.

    Those that ``backward()`` kept, if it kept all; else those of a sweep of the picture's
    own, which touches no ``.grad`` and runs no hooks.
    """
    if not root.needs:
        return {}, None
    wanted = {n for n in ancestors([root]) if n.dtype is not None}
    kept: dict[int, Any] = root.flow or {}
    note = None
    if any(n.serial not in kept for n in wanted):
        seed = kept.get(root.serial)
        if seed is None:
            seed = np.ones_like(data)
            if data.size != 1:
                note = "∂ of the sum of the result"
        try:
            found = Sweep({root: seed}, targets=wanted, hooks=False).run().results
        except GraphgradError as error:
            freed = next((n.values for n in nodes if isinstance(n.values, Freed)), None)
            note = f"No ∂: {error}"
            if freed is not None:
                note = (
                    f"∂ – was not kept: the graph was freed by {freed.by}. To see it, draw before "
                    "that, or call with retain_graph=True."
                )
        else:
            kept = {node.serial: g for node, g in found.items()}
    return {serial: summarize(g) for serial, g in kept.items()}, note
