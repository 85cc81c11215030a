"""Tracing: what a picture wants to know and training does not pay for.

While a trace is on, each op's node gets a note: the module that it ran in, and its value in
numbers. A note holds neither arrays nor modules, and goes when its node goes.
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
from graphgrad.viz.snapshots.digest import Numbers, summarize
from graphgrad.viz.snapshots.notes import (
    CallNote,
    Group,
    LeafNote,
    Maker,
    Note,
    Root,
    SentBack,
    Slope,
    joined,
    nabla,
    note_of,
)
from graphgrad.viz.snapshots.rules import WhoseRule


class _BackwardSeen(Contributions):
    """What a traced ``backward()`` sends: it stays known after the arrays go."""

    def __init__(self, sweep: Sweep) -> None:
        super().__init__()
        self.flows = sweep.flows
        self.seeds = list(sweep.grads)
        self.sweeping(sweep)

    def ended(self, *, finished: bool) -> None:
        """Leave what was seen with the nodes of the seeds."""
        for node in self.seeds if finished else ():
            note = note_of(node)
            if note is not None:
                note.sent_back = SentBack(self.flows, self)


class _Running:
    """A module whose forward is running."""

    __slots__ = ("maker", "module", "names", "path", "root", "strangers")

    def __init__(self, module: Any, root: Root, path: str, maker: Maker) -> None:
        self.module = module
        self.root = root
        self.path = path
        self.maker = Maker(CallNote(root, path, maker.call), maker.rule, maker.order, maker.sweep)
        self.names: dict[int, str] = {}
        self.strangers: dict[str, int] = {}

    def name_of(self, module: Any) -> str | None:
        """Return the way from here to a module below, if there is one."""
        if id(module) not in self.names:
            self.names = {id(m): name for name, m in self.module.named_modules()}
        return self.names.get(id(module))

    def new_name(self, module: Any) -> str:
        """Make a name for a module that no attribute leads to."""
        kind = type(module).__name__
        count = self.strangers[kind] = self.strangers.get(kind, 0) + 1
        return kind if count == 1 else f"{kind}_{count}"


class Trace(Observer):
    """One ``with tracing():``."""

    kind = "trace"

    def __init__(self) -> None:
        self.calls: list[_Running] = []  # outermost first
        self.maker = Maker(None)
        self.last = tick()  # when an op was seen
        self.roots: dict[int, Root] = {}  # by id, which is looked at only while that one lives
        self.leaves: weakref.WeakKeyDictionary[Node, LeafNote] = weakref.WeakKeyDictionary()

    @contextlib.contextmanager
    def called(self, module: Any) -> Iterator[None]:
        """Write down that what is recorded now is the work of this module."""
        call = self._enter(module)
        self.calls.append(call)
        before, self.maker = self.maker, call.maker
        try:
            yield
        finally:
            self.calls.pop()
            self.maker = before
            if not self.calls:
                self._name_members(module, call.root)

    def _enter(self, module: Any) -> _Running:
        if not self.calls:
            root = self.roots.get(id(module))
            if root is None or root.reference() is not module:
                root = self.roots[id(module)] = Root(module)
            return _Running(module, root, "", self.maker)
        for outer in reversed(self.calls):
            name = outer.name_of(module)
            if name is not None:
                break
        else:
            outer = self.calls[-1]
            name = outer.new_name(module)
        path = joined(outer.path, name)
        outer.root.kinds.setdefault(path, type(module).__name__)
        return _Running(module, outer.root, path, self.maker)

    def _name_members(self, outermost: Any, root: Root) -> None:
        """Call parameters and buffers by the attributes that lead to them."""
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
        """Write a note about each node that an op made."""
        last, self.last = self.last, tick()
        for tensor in tensors:
            node: Any = node_of(tensor)
            numbers = summarize(array_of(tensor)) if node.value is None else None
            node.note = Note(self.leaves, self.maker, numbers)
        node = node_of(tensors[0])
        if op.outputs > 1:
            node = node.parents[0]
            node.note = Note(self.leaves, self.maker, None)
        for parent, array in zip(node.parents, arrays, strict=False):
            if not isinstance(parent, Node) or parent.plan is not None:
                continue
            if parent.value is None and self._leaf(parent).numbers is None:
                self._leaf(parent).numbers = summarize(array)
            if self.maker.sweep is not None and parent.serial > last:  # made for this op
                self._leaf(parent).maker = self.maker.sweep

    def sweeping(self, sweep: Sweep) -> Observer | None:
        """Observe a ``backward()``, and a sweep that records itself."""
        if sweep.wrap is not None:
            return WhoseRule(self, sweep)
        return _BackwardSeen(sweep) if sweep.targets is None else None

    def leaf_note(self, node: Node, *, new: bool = False) -> LeafNote | None:
        """Return what is known about a leaf; make a note if there is none."""
        return self._leaf(node) if new else self.leaves.get(node)


def _owner(name: str, kinds: Mapping[str, str]) -> str:
    """Return the path of the module that a parameter belongs to."""
    while name not in kinds:
        name = name.rpartition(".")[0]
    return name


@overload
def tracing(function: F) -> F: ...
@overload
def tracing() -> Block: ...
def tracing(function: F | None = None) -> F | Block:
    """Write down for pictures what training does not pay for, in a block or a function.

    Around the forward pass, it gives ``gg.graph`` the module of each op, names of parameters as
    ``hidden.weight`` and the numbers of large values; around ``backward()``, those of gradients
    and of what each use contributed to them, which stay though the graph is freed::

        with gg.viz.tracing():
            loss = nn.cross_entropy(net(x), t)
            loss.backward()
        gg.graph(loss).render("loss.svg")
    """
    return switched("observer", Trace, function)


class Places:
    """Modules and names of the nodes of one graph, as its notes tell them.

    Where several outermost modules were called, their kinds stand before their paths, and
    before names that would otherwise be those of two leaves.
    """

    def __init__(self, nodes: list[Node]) -> None:
        """Read the notes of the nodes, which stand in order of creation."""
        self.nodes: dict[Node, tuple[Root, str]] = {}
        self.leaves: dict[Node, LeafNote] = {}
        self.numbers: dict[Node, Numbers] = {}
        self.notes_of_calls: dict[Node, CallNote | Group] = {}
        self.calls_of: dict[Node, int] = {}
        self.numbers_of_calls: dict[CallNote | Group, int] = {}  # from 1, outer ones first
        self.makers: dict[Node, Maker] = {}
        self.slopes: dict[Node, Slope] = {}
        books: dict[int, weakref.WeakKeyDictionary[Node, LeafNote]] = {}
        for node in nodes:
            note = note_of(node)
            if note is None and node.plan is not None and node.plan.op is OUTPUT:
                note = note_of(node.parents[0])  # made once more by a recorded sweep
            if note is not None:
                books.setdefault(id(note.leaves), note.leaves)
                self._read(node, note)
        for node in nodes if books else ():
            if node.plan is not None:
                continue
            for book in books.values():
                leaf = book.get(node)
                if leaf is not None:
                    self._read_leaf(node, leaf)
        self._number_calls()
        self._name_roots(nodes)

    def _read(self, node: Node, note: Note) -> None:
        self._read_maker(node, note.maker, note.slope)
        if note.numbers is not None:
            self.numbers[node] = note.numbers

    def _read_maker(self, node: Node, maker: Maker, slope: Slope | None) -> None:
        call = maker.call
        if call is not None:
            self.notes_of_calls[node] = call
        while isinstance(call, Group):  # the module whose forward asked for a gradient
            call = call.outer
        if call is not None:
            self.nodes[node] = (call.root, call.path)
        if maker.order:
            self.makers[node] = maker
        if slope is not None:
            self.slopes[node] = slope

    def _number_calls(self) -> None:
        """Give numbers to calls, and to groups that tell more than the groups around them."""
        used = set(self.notes_of_calls.values())
        known: set[CallNote | Group | None] = {None}
        inner: Counter[CallNote | Group] = Counter()
        for call in used:
            around: CallNote | Group | None = call
            while around not in known and around is not None:
                known.add(around)
                if around.outer is not None:
                    inner[around.outer] += 1
                around = around.outer
        for node, call in self.notes_of_calls.items():
            outer = call.outer
            if isinstance(call, Group) and call.of is None and isinstance(outer, Group):
                # the only op of a module: what is sent back through both is the same
                alone = outer.of is not None and inner[outer] == 1 and outer not in used
                call = outer if alone else call  # noqa: PLW2901
            self._number(call)
            self.calls_of[node] = self.numbers_of_calls[call]

    def _number(self, call: CallNote | Group | None) -> None:
        new = []
        while call is not None and call not in self.numbers_of_calls:
            new.append(call)
            call = call.outer
        for inner in reversed(new):
            self.numbers_of_calls[inner] = len(self.numbers_of_calls) + 1

    def calls(self) -> list[tuple[str, int | None, str | None]]:
        """List the calls of modules: the path, the number of the call around it.

        Third, where it is no call but what was sent back through one, or by an op, what it is.
        """
        found = []
        for call in self.numbers_of_calls:
            module = call.of if isinstance(call, Group) else call
            if module is not None:
                path = joined(self.prefixes[id(module.root.reference)], module.path)
            else:
                path = call.line  # type: ignore[union-attr]
            outer = None if call.outer is None else self.numbers_of_calls[call.outer]
            found.append((path, outer, call.kind if isinstance(call, Group) else None))
        return found

    def _read_leaf(self, node: Node, leaf: LeafNote) -> None:
        if leaf.maker is not None:
            self._read_maker(node, leaf.maker, leaf.slope)
        if leaf.numbers is not None:
            self.numbers[node] = leaf.numbers
        if leaf.root is not None and leaf.path is not None:
            self.leaves.setdefault(node, leaf)
            self.nodes.setdefault(node, (leaf.root, leaf.path))

    def _name_roots(self, nodes: list[Node]) -> None:
        used = [self.nodes[node][0] for node in _in_order_of_calls(nodes) if node in self.nodes]
        groups = [call for call in self.numbers_of_calls if isinstance(call, Group)]
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
        """Return the path of the module that a node belongs to."""
        if node not in self.nodes:
            return None
        root, path = self.nodes[node]
        return joined(self.prefixes[id(root.reference)], path)

    def name(self, node: Node) -> str | None:
        """Return the name of a parameter or buffer."""
        return self._name_of_leaf(self.leaves.get(node))

    def _name_of_leaf(self, leaf: LeafNote | None) -> str | None:
        if leaf is None or leaf.root is None or leaf.name is None:
            return None
        if leaf.name not in self.ambiguous:
            return leaf.name
        return joined(self.prefixes.get(id(leaf.root.reference), ""), leaf.name)

    def name_of_gradient(self, node: Node, names: Mapping[int, str | None]) -> str | None:
        """Return ∂ and the name of the value whose gradient an op computed.

        Takes the names of values by serial number.
        """
        slope = self.slopes.get(node)
        if slope is None:
            return None
        name = slope.name or names.get(slope.serial) or self._name_of_leaf(slope.leaf)
        return nabla(self.makers[node].order, name) if name else None

    def modules(self, nodes: list[Node]) -> dict[str, str]:
        """List the modules that the nodes belong to and those around them: kinds by path."""
        found: dict[str, str] = {}
        seen: set[tuple[int, str]] = set()
        for node in _in_order_of_calls(nodes):
            if node not in self.nodes:
                continue
            root, path = self.nodes[node]
            prefix = self.prefixes[id(root.reference)]
            if (id(root), path) in seen:
                continue
            seen.add((id(root), path))
            for outer in _around(path):
                if outer in root.kinds:
                    found.setdefault(joined(prefix, outer), root.kinds[outer])
        return found


def _in_order_of_calls(nodes: list[Node]) -> list[Node]:
    """Put leaves last: they are older than the calls that use them, and know the last one."""
    return sorted(nodes, key=lambda node: node.plan is None)


def _around(path: str) -> Iterator[str]:
    """Yield the paths from the outermost module to this one."""
    yield ""
    if path:
        for place, character in enumerate(path):
            if character == ".":
                yield path[:place]
        yield path
