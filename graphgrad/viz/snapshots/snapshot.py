"""The snapshot: the contents of a graph at one moment, as immutable plain data.

Every picture is made from a snapshot alone. Nodes are numbered from 1 in order of creation, so the
same program gives the same snapshot. Of arrays it has the elements if they are few, else mean,
standard deviation and norm.
"""

import functools
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Literal

import numpy as np

from graphgrad.engine.anomaly import Anomaly
from graphgrad.engine.graph import (
    Absent,
    Freed,
    Node,
    ancestors,
    array_of,
    graph_nodes,
    kept_arrays,
    node_of,
)
from graphgrad.engine.memory import written_since
from graphgrad.engine.record import OUTPUT
from graphgrad.engine.recording import switches
from graphgrad.engine.source import source_line
from graphgrad.engine.sweep import Sweep
from graphgrad.engine.tensor import Tensor
from graphgrad.engine.variables import IDENTITY
from graphgrad.errors import GraphgradError
from graphgrad.reprs import counted
from graphgrad.typing import Array
from graphgrad.viz.formulas.node_formulas import KnownValue, formulas_of
from graphgrad.viz.formulas.symbols import NoFormula
from graphgrad.viz.snapshots.contributions import Contributions, replay
from graphgrad.viz.snapshots.notes import note_of
from graphgrad.viz.snapshots.numbers import Numbers as Numbers, summarize as summarize
from graphgrad.viz.snapshots.traces import TraceReader

Kind = Literal[
    "leaf",  # an input that requires a gradient
    "constant",  # an input that does not
    "op",  # what an op computed
    "output",  # one of several results of an op, which is its only input
]


MAX_VALUES_WITH_FORMULAS = 5000  # formulas take most of the time, and nobody reads more
MAX_INPUTS_OF_FORMULA = 200  # inputs of an op above which it has no formula


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One node of the graph: a value, and how it was computed."""

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
    # path of the nn.Module whose forward computed it, or whose parameter it is; "": the
    # outermost one; None: of none, or not traced
    module: str | None = None
    contributions: tuple[Numbers | None, ...] = ()  # per input: the gradient that is sent there
    # what the op computes: "x · y"; None in graphs of thousands of values
    formula: str | None = None
    in_numbers: str | None = None  # the same with numbers: "200 + 450 = 650"
    local: tuple[str | None, ...] = ()  # per input: what its rule sends there: "g · cos(x)"
    local_numbers: tuple[float | None, ...] = ()  # per input: the local derivative of scalars
    local_in_numbers: tuple[str | None, ...] = ()  # per input of scalars: "1.1 × 650"
    call: int | None = None  # which of the snapshot's calls it was computed in, from 1
    # 0: of the forward pass; 1: of a recorded sweep over that; and so on
    order: int = 0
    rule: int | None = None  # the id of the op whose gradient rule computed it, if in this graph


@dataclass(frozen=True, slots=True)
class ModuleNote:
    """A module of the network whose graph this is."""

    path: str  # "features.0"; "": the outermost one
    kind: str  # the name of its class


@dataclass(frozen=True, slots=True)
class ModuleCall:
    """One call of a module.

    Or what a recorded sweep computed: all of it, through one call of a module, or by the rule of
    one op.
    """

    path: str  # of the module; of a sweep or an op: the user's line
    outer: int | None  # the number of the enclosing call, from 1
    kind: str | None = None  # of what a sweep computed: "∂ backward", "∂ of Linear", "∂ of sin"


@dataclass(frozen=True, slots=True)
class OpStep:
    """One op in the forward or the backward pass."""

    direction: Literal["forward", "backward"]
    id: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A graph at one moment. The last value is the one that was asked for."""

    values: tuple[Value, ...]
    note: str | None  # on the gradients
    modules: tuple[ModuleNote, ...] = ()  # outermost first; none where nothing was traced
    steps: tuple[OpStep, ...] = ()  # the ops in the order of forward, then of backward
    calls: tuple[ModuleCall, ...] = ()  # of modules, in order
    ends: tuple[int, ...] = (1,)  # the ids of the values that were asked for
    name: str | None = None  # of the function whose results they are, or the user's for the result

    @property
    def result(self) -> Value:
        """The value whose graph this is; of several the latest."""
        return self.values[-1]

    def __repr__(self) -> str:
        """Summarize: the fields would fill pages."""
        found = counted(len(self.values), "value"), counted(len(self.steps), "step")
        return f"<Snapshot of {', '.join(found)}, {counted(len(self.modules), 'module')}>"

    @property
    def title(self) -> str:
        """The title: the user's name for it, else the class of the model, else the op."""
        result = self.result
        known = self.name or result.name
        if known:
            return known
        models = self.models
        for model in models:
            if result.module is not None and f"{result.module}.".startswith(_inside(model.path)):
                return model.kind
        op = result.op or "graph"
        return f"{op} of {models[0].kind}" if len(models) == 1 else op

    @property
    def models(self) -> list[ModuleNote]:
        """The modules that are in no other one."""
        found: list[ModuleNote] = []
        for module in self.modules:
            if not any(module.path.startswith(_inside(outer.path)) for outer in found):
                found.append(module)
        return found


def _inside(path: str) -> str:
    """Return the prefix of all paths inside a module."""
    return f"{path}." if path else ""


def take_snapshot(*tensors: Tensor, name: str | None = None, names: Sequence[str] = ()) -> Snapshot:
    """Take a snapshot of everything that tensors were computed from.

    Parameters
    ----------
    tensors
        The results. A single one may be outside any graph.
    name
        The user's name for the graph.
    names
        Names for results that have none.
    """
    roots = {node: array_of(t) for t in tensors if (node := node_of(t)) is not None}
    if not roots:
        return Snapshot((_constant(array_of(tensors[0])),), None, name=name)
    nodes = graph_nodes(*roots)
    outputs = _output_numbers(nodes)
    backward = _gradients(roots, nodes, outputs)
    uses = Counter(n.parents[i] for n in nodes if n.plan is not None for i in n.plan.wants)
    trace = TraceReader(nodes)
    result_names = {node_of(t): text for t, text in zip(tensors, names, strict=False)}
    names_of = _names(nodes, trace, result_names)
    taken, with_formulas = set(names_of.values()), len(nodes) <= MAX_VALUES_WITH_FORMULAS
    arrays = kept_arrays(nodes)
    arrays.update(roots)
    changed = _overwritten_nodes(nodes)
    line = functools.cache(source_line)  # many nodes share few lines
    dtype = functools.cache(lambda dtype: np.dtype(dtype).name)
    ids: dict[Node, int] = {}
    by_serial: dict[int, int] = {}  # the same ids
    values: list[Value] = []
    for node in nodes:
        if _is_variable(node) and node not in roots:
            ids[node] = by_serial[node.serial] = ids[node.parents[0]]
            continue
        origin = trace.origins.get(node)
        rule = None if origin is None else origin.rule
        place = node if rule is None else rule
        where = line(place.code, place.instruction)
        inputs = []
        given = [not isinstance(parent, Absent) for parent in node.parents]
        for parent in compress(node.parents, given):
            if isinstance(parent, Node):
                inputs.append(ids[parent])
            else:
                values.append(_scalar(len(values) + 1, parent, where, trace.path(node)))
                inputs.append(len(values))
        ids[node] = by_serial[node.serial] = len(values) + 1
        op = None if node.plan is None else node.plan.op
        several = op is not None and op.outputs > 1
        # the numbers of a trace do not hold for values that were overwritten since
        traced = None if node in changed else trace.numbers.get(node)
        numbers = summarize(arrays[node]) if node in arrays else traced
        shape = None if several else node.shape
        gradient = backward.gradients.get(node.serial)
        result = _known_value(shape, numbers, changed=node in changed)
        upstream = _known_value(shape, gradient, changed=False)
        sources = [values[i - 1] for i in inputs]
        formulas = _formulas(node, sources, result, upstream, taken) if with_formulas else {}
        values.append(
            Value(
                id=ids[node],
                kind=_kind(node),
                name=names_of[node],
                op=None if op is None else op.name,
                symbol=None if op is None else op.symbol,
                inputs=tuple(inputs),
                output=outputs.get(node),
                shape=shape,
                dtype=None if several else dtype(node.dtype),
                needs=node.needs,
                numbers=numbers,
                changed=node in changed,
                gradient=gradient,
                line=where,
                module=trace.path(node),
                call=trace.calls_of.get(node),
                order=0 if origin is None else origin.order,
                rule=None if rule is None else by_serial.get(rule.serial),
                contributions=tuple(compress(backward.contributions_of(node, uses), given)),
                **formulas,
            )
        )
    modules = tuple(itertools.starmap(ModuleNote, trace.modules(nodes).items()))
    calls = tuple(itertools.starmap(ModuleCall, trace.calls()))
    ends = tuple(sorted({ids[root] for root in roots}))
    steps = _steps(values, ids, roots)
    return Snapshot(tuple(values), backward.note, modules, steps, calls, ends, name)


def _constant(data: Array) -> Value:
    """Return the only value of a graph without ops."""
    kind, numbers = data.dtype.name, summarize(data)
    return Value(id=1, kind="constant", shape=data.shape, dtype=kind, numbers=numbers)


def _names(
    nodes: list[Node], trace: TraceReader, given: Mapping[Node | None, str]
) -> dict[Node, str | None]:
    """Return the names: those of the user, of parameters, and ∂ with a name for gradients.

    Results without one get the given names.
    """
    names = {node: str(node.name) if node.name else trace.name(node) for node in nodes}
    if trace.gradient_targets:
        by_serial = {node.serial: name for node, name in names.items()}
        for node in trace.gradient_targets:
            names[node] = names[node] or trace.name_of_gradient(node, by_serial)
    for result, text in given.items():
        if result is not None:
            names[result] = names[result] or text
    return names


def _is_variable(node: Node) -> bool:
    """Whether a node is the variable of a transform such as grad: the identity of its input."""
    return node.plan is not None and node.plan.op is IDENTITY and node.name is None


def _kind(node: Node) -> Kind:
    if node.plan is None:
        return "leaf" if node.needs else "constant"
    return "output" if node.plan.op is OUTPUT else "op"


def _formulas(
    node: Node,
    inputs: list[Value],
    result: KnownValue,
    upstream: KnownValue,
    taken: set[str | None],
) -> dict[str, Any]:
    """Return the fields of an op's formulas.

    An input without a name gets that of the op's parameter, unless a value of the graph has it.
    """
    if node.plan is None or node.plan.op is OUTPUT or len(inputs) > MAX_INPUTS_OF_FORMULA:
        return {}
    clash = not taken.isdisjoint(node.plan.op.order)
    names: list[str | float | None] = []
    known: list[KnownValue] = []
    given = [not isinstance(parent, Absent) for parent in node.parents]
    rest = iter(inputs)
    for parent in node.parents:
        if isinstance(parent, Absent):
            names.append(parent.number)
            known.append(KnownValue((), None))
            continue
        value = next(rest)
        name: str | float | None = value.name
        if name is None and value.kind == "constant" and value.numbers is not None:
            elements = value.numbers.elements
            name = elements[0] if elements is not None and len(elements) == 1 else None
        if name is None and clash:
            name = f"#{value.id}"
        names.append(name)
        known.append(_known_value(value.shape, value.numbers, changed=value.changed))
    try:
        formulas = formulas_of(node, names, [*known, result, upstream])
    except NoFormula:  # too long to be read
        return {}
    numbers = formulas.numbers if any(x is not None for x in formulas.numbers) else ()
    return {
        "formula": formulas.formula,
        "in_numbers": formulas.in_numbers,
        "local": tuple(compress(formulas.gradients, given)),
        "local_in_numbers": tuple(compress(formulas.gradients_in_numbers, given)),
        "local_numbers": tuple(compress(numbers, given)),
    }


def _known_value(
    shape: tuple[int, ...] | None, numbers: Numbers | None, *, changed: bool
) -> KnownValue:
    """Return the shape and elements of a value; no elements if it was overwritten since."""
    return KnownValue(shape, None if changed or numbers is None else numbers.elements)


def _scalar(number: int, x: Any, line: str, module: str | None) -> Value:
    """Return the value of a Python or NumPy scalar among the operands."""
    dtype, numbers = None, Numbers((x,), x, 0.0, abs(x))
    if isinstance(x, np.generic):
        dtype, numbers = x.dtype.name, summarize(x)
    return Value(id=number, kind="constant", dtype=dtype, numbers=numbers, line=line, module=module)


def _overwritten_nodes(nodes: list[Node]) -> set[Node]:
    """Return the values that were overwritten in place after an op had used them."""
    last: dict[Node, int] = {}  # when the memory of a node was last written
    changed = set()
    for node in nodes:
        last[node] = node.changed
        for parent in node.parents:
            if isinstance(parent, Node) and (
                last[parent] > node.serial or written_since(parent.value, node.serial)
            ):
                changed.add(parent)
        if node.is_view and isinstance(node.parents[0], Node):
            last[node] = max(last[node], last[node.parents[0]])
    return changed


def _output_numbers(nodes: list[Node]) -> dict[Node, int]:
    """Return for each output its number, as far as a freed graph still has it."""
    outputs: dict[Node, list[Node]] = {}
    for node in nodes:
        if node.plan is not None and node.plan.op is OUTPUT:
            outputs.setdefault(node.parents[0], []).append(node)
    numbers: dict[Node, int] = {}
    for parent, siblings in outputs.items():
        count = parent.plan.op.outputs
        # not if a recorded sweep has made some of them again
        complete = len(siblings) == count == siblings[-1].serial - siblings[0].serial + 1
        for place, node in enumerate(siblings):
            if not isinstance(node.values, Freed):
                numbers[node] = node.values[0]
            elif complete:
                numbers[node] = place
    return numbers


@dataclass(slots=True)
class _Gradients:
    """The gradients of a graph."""

    gradients: dict[int, Numbers]  # by serial number
    contributions: dict[int, dict[int, Numbers]]  # by serial number and input
    note: str | None = None

    def contributions_of(self, node: Node, uses: Counter[Node]) -> tuple[Numbers | None, ...]:
        """Return the gradient that an op sends to each of its inputs, if known."""
        if node.plan is None:
            return ()
        found = self.contributions.get(node.serial, {})
        sent = [found.get(place) for place in range(len(node.parents))]
        for place in node.plan.wants:
            parent = node.parents[place]
            if sent[place] is None and uses[parent] == 1 and not parent.hooks:
                sent[place] = self.gradients.get(parent.serial)  # the only contribution
        return tuple(sent)


def _gradients(
    roots: Mapping[Node, Any], nodes: list[Node], outputs: dict[Node, int]
) -> _Gradients:
    """Return the gradients: those of a trace, or those that ``backward()`` kept, if it kept all.

    Else, and for several results, those of a separate sweep, which changes no ``.grad`` and runs no
    hooks.
    """
    roots = {root: data for root, data in roots.items() if root.needs}
    if not roots:
        return _Gradients({}, {})
    (root, data), *others = roots.items()
    note_of_root = None if others else note_of(root)
    traced = None if note_of_root is None else note_of_root.backward
    if traced is not None and traced.small_gradients is root.small_gradients:
        return _Gradients(traced.gradients, traced.contributions)
    wanted = [n for n in ancestors(roots) if n.dtype is not None]
    small_gradients = {} if others else root.small_gradients or {}
    kept = {n: small_gradients[n.serial] for n in wanted if n.serial in small_gradients}
    note = None
    if len(kept) < len(wanted):
        seeds = {root: kept.get(root, np.ones_like(data)) for root, data in roots.items()}
        if others:
            note = "∂ of the sum of the results"
        elif root not in kept and data.size != 1:
            note = "∂ of the sum of the result"
        recorder = Contributions()
        checks = [x for x in switches().observers if isinstance(x, Anomaly)]
        try:
            Sweep(seeds, hooks=False, observers=[*checks, recorder]).run()
        except GraphgradError as error:
            freed = next((n.values for n in nodes if isinstance(n.values, Freed)), None)
            note = f"No ∂: {error.message}"
            if freed is not None:
                note = (
                    f"∂ – was not kept: the graph was freed by {freed.by}. To see it, draw before "
                    "that, or call with retain_graph=True."
                )
        else:
            return _Gradients(recorder.gradients, recorder.contributions, note)
    replayed = replay(kept, outputs)
    return _Gradients(replayed.gradients, replayed.contributions, note)


def _steps(
    values: list[Value], ids: dict[Node, int], roots: Mapping[Node, Any]
) -> tuple[OpStep, ...]:
    """List the ops in the order of forward, then in that of the sweep: newest first."""
    steps = [OpStep("forward", v.id) for v in values if v.kind == "op"]
    back = (ids[node] for node in ancestors([root for root in roots if root.needs]))
    steps += [OpStep("backward", i) for i in back if values[i - 1].kind == "op"]
    return tuple(steps)
