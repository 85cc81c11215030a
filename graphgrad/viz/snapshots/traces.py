"""Tracing: what pictures show beyond the graph itself, recorded only on request.

While a trace is open, each op's node gets a note: the module that it ran in, and its value as
numbers. A note holds neither arrays nor modules, and lives as long as its node.
"""

import contextlib
import weakref
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, overload

from graphgrad.engine.graph import Node, array_of, node_of, tick
from graphgrad.engine.record import OUTPUT
from graphgrad.engine.recording import Block, F, Observer, switched
from graphgrad.engine.sweep import Sweep
from graphgrad.viz.snapshots.contributions import Contributions
from graphgrad.viz.snapshots.notes import (
    BackwardNumbers,
    CallNote,
    GradientTarget,
    LeafNote,
    OpNote,
    Origin,
    Root,
    SweepGroup,
    derivative_name,
    join_paths,
    note_of,
)
from graphgrad.viz.snapshots.numbers import Numbers, summarize
from graphgrad.viz.snapshots.recorded_sweeps import RuleTracker


class _BackwardTrace(Contributions):
    """The numbers of a traced ``backward()``, which outlive its arrays."""

    def __init__(self, sweep: Sweep) -> None:
        super().__init__()
        self.small_gradients = sweep.small_gradients
        self.seeds = list(sweep.grads)
        self.sweeping(sweep)

    def ended(self, *, finished: bool) -> None:
        """Attach the numbers to the nodes of the seeds."""
        for node in self.seeds if finished else ():
            note = note_of(node)
            if note is not None:
                note.backward = BackwardNumbers(self.small_gradients, self)


class _ActiveCall:
    """A module whose forward is running."""

    __slots__ = ("module", "names", "origin", "path", "root", "unnamed_counts")

    def __init__(self, module: Any, root: Root, path: str, origin: Origin) -> None:
        self.module = module
        self.root = root
        self.path = path
        self.origin = Origin(
            CallNote(root, path, origin.call), origin.rule, origin.order, origin.sweep
        )
        self.names: dict[int, str] = {}
        self.unnamed_counts: dict[str, int] = {}

    def name_of(self, module: Any) -> str | None:
        """Return the path from here to a module inside, if there is one."""
        if id(module) not in self.names:
            self.names = {id(m): name for name, m in self.module.named_modules()}
        return self.names.get(id(module))

    def new_name(self, module: Any) -> str:
        """Make a name for a module that is in no attribute."""
        kind = type(module).__name__
        count = self.unnamed_counts[kind] = self.unnamed_counts.get(kind, 0) + 1
        return kind if count == 1 else f"{kind}_{count}"


class Trace(Observer):
    """The observer of one ``with tracing():``."""

    kind = "trace"

    def __init__(self) -> None:
        self.calls: list[_ActiveCall] = []  # outermost first
        self.origin = Origin(None)
        self.last = tick()  # the time of the latest op
        self.roots: dict[int, Root] = {}  # by id of the module
        self.leaves: weakref.WeakKeyDictionary[Node, LeafNote] = weakref.WeakKeyDictionary()

    @contextlib.contextmanager
    def called(self, module: Any) -> Iterator[None]:
        """Attribute what is recorded inside the block to this module."""
        call = self._enter(module)
        self.calls.append(call)
        before, self.origin = self.origin, call.origin
        try:
            yield
        finally:
            self.calls.pop()
            self.origin = before
            if not self.calls:
                self._name_members(module, call.root)

    def _enter(self, module: Any) -> _ActiveCall:
        if not self.calls:
            root = self.roots.get(id(module))
            if root is None or root.reference() is not module:
                root = self.roots[id(module)] = Root(module)
            return _ActiveCall(module, root, "", self.origin)
        for outer in reversed(self.calls):
            name = outer.name_of(module)
            if name is not None:
                break
        else:
            outer = self.calls[-1]
            name = outer.new_name(module)
        path = join_paths(outer.path, name)
        outer.root.kinds.setdefault(path, type(module).__name__)
        return _ActiveCall(module, outer.root, path, self.origin)

    def _name_members(self, outermost: Any, root: Root) -> None:
        """Name parameters and buffers by the paths of their attributes."""
        for path, module in outermost.named_modules():
            root.kinds.setdefault(path, type(module).__name__)
        for members in (outermost.named_parameters(), outermost.named_buffers()):
            for name, tensor in members:
                node = node_of(tensor)
                if node is not None:
                    note = self._leaf(node)
                    note.root, note.name = root, name
                    note.path = _owner(name, root.kinds)

    def _leaf(self, node: Node) -> LeafNote:
        note = self.leaves.get(node)
        if note is None:
            note = self.leaves[node] = LeafNote()
        return note

    def recorded(
        self,
        op: Any,
        tensors: list[Any],
        arrays: list[Any],
        params: tuple[Any, ...],  # noqa: ARG002
    ) -> None:
        """Add a note to each node of an op."""
        last, self.last = self.last, tick()
        for tensor in tensors:
            node: Any = node_of(tensor)
            numbers = summarize(array_of(tensor)) if node.value is None else None
            node.note = OpNote(self.leaves, self.origin, numbers)
        node = node_of(tensors[0])
        if op.outputs > 1:
            node = node.parents[0]
            node.note = OpNote(self.leaves, self.origin, None)
        for parent, array in zip(node.parents, arrays, strict=False):
            if not isinstance(parent, Node) or parent.plan is not None:
                continue
            if parent.value is None and self._leaf(parent).numbers is None:
                self._leaf(parent).numbers = summarize(array)
            if self.origin.sweep is not None and parent.serial > last:  # new, made for this op
                self._leaf(parent).origin = self.origin.sweep

    def sweeping(self, sweep: Sweep) -> Observer | None:
        """Observe a ``backward()``, or a sweep that records itself."""
        if sweep.wrap is not None:
            return RuleTracker(self, sweep)
        return _BackwardTrace(sweep) if sweep.targets is None else None

    def leaf_note(self, node: Node, *, new: bool = False) -> LeafNote | None:
        """Return the note on a leaf; make one if ``new``."""
        return self._leaf(node) if new else self.leaves.get(node)


def _owner(name: str, kinds: Mapping[str, str]) -> str:
    """Return the path of the module of a parameter."""
    while name not in kinds:
        name = name.rpartition(".")[0]
    return name


@overload
def tracing(function: F) -> F: ...
@overload
def tracing() -> Block: ...
def tracing(function: F | None = None) -> F | Block:
    """Record for pictures what a graph does not hold, in a block or a decorated function.

    Around the forward pass: the module of each op, the names of parameters, as ``hidden.weight``,
    and summaries of large values. Around ``backward()``: summaries of gradients and of the
    contribution of each use, which remain when the graph is freed::

        with gg.viz.tracing():
            loss = nn.cross_entropy(net(x), t)
            loss.backward()
        gg.graph(loss).render("loss.svg")
    """
    return switched("observer", Trace, function)


class TraceReader:
    """Modules and names of the nodes of one graph, read from its notes.

    If several outermost modules were called, their classes are prefixes of paths, and of names
    that would be ambiguous.
    """

    def __init__(self, nodes: list[Node]) -> None:
        """Read the notes of the nodes, which are in order of creation."""
        self.nodes: dict[Node, tuple[Root, str]] = {}
        self.leaves: dict[Node, LeafNote] = {}
        self.numbers: dict[Node, Numbers] = {}
        self.notes_of_calls: dict[Node, CallNote | SweepGroup] = {}
        self.calls_of: dict[Node, int] = {}
        self.numbers_of_calls: dict[CallNote | SweepGroup, int] = {}  # from 1, outer ones first
        self.origins: dict[Node, Origin] = {}
        self.gradient_targets: dict[Node, GradientTarget] = {}
        tables: dict[int, weakref.WeakKeyDictionary[Node, LeafNote]] = {}
        for node in nodes:
            note = note_of(node)
            if note is None and node.plan is not None and node.plan.op is OUTPUT:
                note = note_of(node.parents[0])  # made again by a recorded sweep
            if note is not None:
                tables.setdefault(id(note.leaves), note.leaves)
                self._read(node, note)
        for node in nodes if tables else ():
            if node.plan is not None:
                continue
            for table in tables.values():
                leaf = table.get(node)
                if leaf is not None:
                    self._read_leaf(node, leaf)
        self._number_calls()
        self._name_roots(nodes)

    def _read(self, node: Node, note: OpNote) -> None:
        self._read_origin(node, note.origin, note.gradient_of)
        if note.numbers is not None:
            self.numbers[node] = note.numbers

    def _read_origin(self, node: Node, origin: Origin, gradient_of: GradientTarget | None) -> None:
        call = origin.call
        if call is not None:
            self.notes_of_calls[node] = call
        while isinstance(call, SweepGroup):  # out to the module whose forward ran the sweep
            call = call.outer
        if call is not None:
            self.nodes[node] = (call.root, call.path)
        if origin.order:
            self.origins[node] = origin
        if gradient_of is not None:
            self.gradient_targets[node] = gradient_of

    def _number_calls(self) -> None:
        """Assign numbers to calls, and to groups that are not all of the group around them."""
        used = set(self.notes_of_calls.values())
        known: set[CallNote | SweepGroup | None] = {None}
        inner: Counter[CallNote | SweepGroup] = Counter()
        for call in used:
            enclosing: CallNote | SweepGroup | None = call
            while enclosing not in known and enclosing is not None:
                known.add(enclosing)
                if enclosing.outer is not None:
                    inner[enclosing.outer] += 1
                enclosing = enclosing.outer
        for node, call in self.notes_of_calls.items():
            outer = call.outer
            if isinstance(call, SweepGroup) and call.of is None and isinstance(outer, SweepGroup):
                # for the only op of a module both groups are the same
                alone = outer.of is not None and inner[outer] == 1 and outer not in used
                call = outer if alone else call  # noqa: PLW2901
            self._number(call)
            self.calls_of[node] = self.numbers_of_calls[call]

    def _number(self, call: CallNote | SweepGroup | None) -> None:
        new = []
        while call is not None and call not in self.numbers_of_calls:
            new.append(call)
            call = call.outer
        for inner in reversed(new):
            self.numbers_of_calls[inner] = len(self.numbers_of_calls) + 1

    def calls(self) -> list[tuple[str, int | None, str | None]]:
        """List the calls: path and number of the enclosing call; of groups also the kind."""
        found = []
        for call in self.numbers_of_calls:
            module = call.of if isinstance(call, SweepGroup) else call
            if module is not None:
                path = join_paths(self.prefixes[id(module.root.reference)], module.path)
            else:
                path = call.line  # type: ignore[union-attr]
            outer = None if call.outer is None else self.numbers_of_calls[call.outer]
            found.append((path, outer, call.kind if isinstance(call, SweepGroup) else None))
        return found

    def _read_leaf(self, node: Node, leaf: LeafNote) -> None:
        if leaf.origin is not None:
            self._read_origin(node, leaf.origin, leaf.gradient_of)
        if leaf.numbers is not None:
            self.numbers[node] = leaf.numbers
        if leaf.root is not None and leaf.path is not None:
            self.leaves.setdefault(node, leaf)
            self.nodes.setdefault(node, (leaf.root, leaf.path))

    def _name_roots(self, nodes: list[Node]) -> None:
        used = [self.nodes[node][0] for node in _leaves_last(nodes) if node in self.nodes]
        groups = [call for call in self.numbers_of_calls if isinstance(call, SweepGroup)]
        used += [group.of.root for group in groups if group.of is not None]
        # several traces of one module make several roots with one reference
        kinds = {id(root.reference): root.kinds[""] for root in used}
        self.prefixes = dict.fromkeys(kinds, "")
        if len(kinds) > 1:
            counts: dict[str, int] = {}
            for key, kind in kinds.items():
                count = counts[kind] = counts.get(kind, 0) + 1
                self.prefixes[key] = kind if count == 1 else f"{kind}_{count}"
        names = Counter(leaf.name for leaf in self.leaves.values())
        self.ambiguous = {name for name, count in names.items() if count > 1}

    def path(self, node: Node) -> str | None:
        """Return the path of the module of a node."""
        if node not in self.nodes:
            return None
        root, path = self.nodes[node]
        return join_paths(self.prefixes[id(root.reference)], path)

    def name(self, node: Node) -> str | None:
        """Return the name of a parameter or buffer."""
        return self._name_of_leaf(self.leaves.get(node))

    def _name_of_leaf(self, leaf: LeafNote | None) -> str | None:
        if leaf is None or leaf.root is None or leaf.name is None:
            return None
        if leaf.name not in self.ambiguous:
            return leaf.name
        return join_paths(self.prefixes.get(id(leaf.root.reference), ""), leaf.name)

    def name_of_gradient(self, node: Node, names: Mapping[int, str | None]) -> str | None:
        """Return "∂" with the name of the value whose gradient an op computed.

        ``names`` has those of values by serial number.
        """
        gradient_of = self.gradient_targets.get(node)
        if gradient_of is None:
            return None
        name = (
            gradient_of.name
            or names.get(gradient_of.serial)
            or self._name_of_leaf(gradient_of.leaf)
        )
        return derivative_name(self.origins[node].order, name) if name else None

    def modules(self, nodes: list[Node]) -> dict[str, str]:
        """Return the classes of the modules of the nodes and of those around them, by path."""
        found: dict[str, str] = {}
        seen: set[tuple[int, str]] = set()
        for node in _leaves_last(nodes):
            if node not in self.nodes:
                continue
            root, path = self.nodes[node]
            prefix = self.prefixes[id(root.reference)]
            if (id(root), path) in seen:
                continue
            seen.add((id(root), path))
            for outer in _enclosing_paths(path):
                if outer in root.kinds:
                    found.setdefault(join_paths(prefix, outer), root.kinds[outer])
        return found


def _leaves_last(nodes: list[Node]) -> list[Node]:
    """Return the nodes with leaves last, since their notes are of their latest call."""
    return sorted(nodes, key=lambda node: node.plan is None)


def _enclosing_paths(path: str) -> Iterator[str]:
    """Yield the paths of the modules around a path, outermost first, and itself."""
    yield ""
    if path:
        for place, character in enumerate(path):
            if character == ".":
                yield path[:place]
        yield path
