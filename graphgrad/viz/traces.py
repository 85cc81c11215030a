"""Tracing: what a picture wants to know and training does not pay for.

While a trace is on, each op's node gets a note: the module that it ran in, and its value in
numbers. A note holds neither arrays nor modules, and goes when its node goes.
"""

import contextlib
import weakref
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from graphgrad.node import Node, recording
from graphgrad.registry import Op
from graphgrad.viz.contributions import WatchedSweep
from graphgrad.viz.digest import Numbers, summarize


class Root:
    """An outermost module that was called, and the kinds of the modules in it."""

    __slots__ = ("kinds", "reference")

    def __init__(self, module: Any) -> None:
        """Remember which module it is, without keeping it alive."""
        self.reference = weakref.ref(module)
        self.kinds = {"": type(module).__name__}  # by path; lists that are no modules have none


class LeafNote:
    """What is known about a leaf: where it belongs and what it is called there."""

    __slots__ = ("name", "numbers", "path", "root")

    def __init__(self) -> None:
        """Start with nothing known."""
        self.root: Root | None = None
        self.path: str | None = None  # of the module that it belongs to
        self.name: str | None = None  # in the outermost module: "hidden.weight"
        self.numbers: Numbers | None = None


class CallNote:
    """One call of a module, which may be called several times."""

    __slots__ = ("outer", "path", "root")

    def __init__(self, root: Root, path: str, outer: "CallNote | None") -> None:
        """Write down which module it was, and in which call this one lay."""
        self.root = root
        self.path = path
        self.outer = outer


class Note:
    """What a trace wrote down about an op."""

    __slots__ = ("call", "leaves", "numbers", "told")

    def __init__(
        self,
        leaves: "weakref.WeakKeyDictionary[Node, LeafNote]",
        call: CallNote | None,
        numbers: Numbers | None,
    ) -> None:
        """Write it down."""
        self.leaves = leaves
        self.call = call
        self.numbers = numbers
        self.told: Told | None = None


class _Telling(WatchedSweep):
    """The sweep of a traced ``backward()``: what it sends stays known after the arrays go."""

    private = False

    def run(self) -> "_Telling":
        """Send the gradients, and leave what was seen of them with the nodes of the seeds."""
        seeds = list(self.grads)
        super().run()
        for node in seeds:
            note = note_of(node)
            if note is not None:
                note.told = Told(self)
        return self


class Told:
    """The gradients and contributions of one ``backward()``, in numbers."""

    __slots__ = ("contributions", "flows", "gradients")

    def __init__(self, sweep: WatchedSweep) -> None:
        """Take them over from the sweep, which may then be forgotten."""
        self.flows = sweep.flows  # tells whether this is still the last backward() from there
        self.gradients = sweep.gradients
        self.contributions = sweep.contributions


class _Call:
    """A module whose forward is running."""

    __slots__ = ("module", "names", "note", "path", "root", "strangers")

    def __init__(self, module: Any, root: Root, path: str, outer: CallNote | None) -> None:
        self.module = module
        self.root = root
        self.path = path
        self.note = CallNote(root, path, outer)
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


class Trace:
    """One ``with tracing():``."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.calls: list[_Call] = []  # outermost first
        self.roots: dict[int, Root] = {}  # by id, which is looked at only while that one lives
        self.leaves: weakref.WeakKeyDictionary[Node, LeafNote] = weakref.WeakKeyDictionary()

    def call(self, module: Any, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Run a module's forward, and write down that it was this one."""
        call = self._enter(module)
        self.calls.append(call)
        try:
            return module.forward(*inputs, **options)
        finally:
            self.calls.pop()
            if not self.calls:
                self._name_members(module, call.root)

    def _enter(self, module: Any) -> _Call:
        if not self.calls:
            root = self.roots.get(id(module))
            if root is None or root.reference() is not module:
                root = self.roots[id(module)] = Root(module)
            return _Call(module, root, "", None)
        for outer in reversed(self.calls):
            name = outer.name_of(module)
            if name is not None:
                break
        else:
            outer = self.calls[-1]
            name = outer.new_name(module)
        path = joined(outer.path, name)
        outer.root.kinds.setdefault(path, type(module).__name__)
        return _Call(module, outer.root, path, self.calls[-1].note)

    def _name_members(self, outermost: Any, root: Root) -> None:
        """Call parameters and buffers by the attributes that lead to them."""
        for path, module in outermost.named_modules():
            root.kinds.setdefault(path, type(module).__name__)
        for members in (outermost.named_parameters(), outermost.named_buffers()):
            for name, tensor in members:
                if tensor._node is not None:
                    note = self._leaf(tensor._node)
                    note.root, note.name = root, name
                    note.path = _owner(name, root.kinds)

    def _leaf(self, node: Node) -> LeafNote:
        note = self.leaves.get(node)
        if note is None:
            note = self.leaves[node] = LeafNote()
        return note

    def see(self, op: Op[Any], results: list[Any], arrays: list[Any]) -> None:
        """Write a note about each node that an op made."""
        call = self.calls[-1].note if self.calls else None
        for tensor in results:
            node = tensor._node
            numbers = summarize(tensor._data) if node.value is None else None
            node.note = Note(self.leaves, call, numbers)
        node = results[0]._node
        if op.outputs > 1:
            node = node.parents[0]
            node.note = Note(self.leaves, call, None)
        for parent, array in zip(node.parents, arrays, strict=False):
            large = isinstance(parent, Node) and parent.plan is None and parent.value is None
            if large and self._leaf(parent).numbers is None:
                self._leaf(parent).numbers = summarize(array)

    def sweep(self, seeds: Mapping[Node, Any]) -> WatchedSweep:
        """Return the sweep that a ``backward()`` shall run."""
        return _Telling(seeds)


def joined(path: str, name: str) -> str:
    """Join two parts of the way to a module."""
    return f"{path}.{name}" if path and name else path or name


def _owner(name: str, kinds: Mapping[str, str]) -> str:
    """Return the path of the module that a parameter belongs to."""
    while name not in kinds:
        name = name.rpartition(".")[0]
    return name


def note_of(node: Node) -> Note | None:
    """Return what a trace wrote down about an op, if one was on."""
    return getattr(node, "note", None)


@contextlib.contextmanager
def tracing() -> Iterator[None]:
    """Write down for pictures what training does not pay for, in this thread.

    Around the forward pass, it gives ``gg.graph`` the module of each op, names of parameters as
    ``hidden.weight`` and the numbers of large values; around ``backward()``, those of gradients
    and of what each use contributed to them, which stay though the graph is freed::

        with gg.viz.tracing():
            loss = nn.cross_entropy(net(x), t)
            loss.backward()
        gg.graph(loss).render("loss.svg")
    """
    before = recording.trace, recording.watchers
    recording.trace = trace = Trace()
    others = tuple(w for w in recording.watchers if w is not before[0])
    recording.watchers = (*others, trace)
    try:
        yield
    finally:
        recording.trace, recording.watchers = before


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
        self.calls_of: dict[Node, int] = {}
        self.numbers_of_calls: dict[CallNote, int] = {}  # from 1, outer ones first
        books: dict[int, weakref.WeakKeyDictionary[Node, LeafNote]] = {}
        for node in nodes:
            note = note_of(node)
            if note is not None:
                books.setdefault(id(note.leaves), note.leaves)
                if note.call is not None:
                    self.nodes[node] = (note.call.root, note.call.path)
                    self._number(note.call)
                    self.calls_of[node] = self.numbers_of_calls[note.call]
                if note.numbers is not None:
                    self.numbers[node] = note.numbers
        for node in nodes if books else ():
            if node.plan is not None:
                continue
            for book in books.values():
                leaf = book.get(node)
                if leaf is not None:
                    self._read_leaf(node, leaf)
        self._name_roots(nodes)

    def _number(self, call: CallNote | None) -> None:
        new = []
        while call is not None and call not in self.numbers_of_calls:
            new.append(call)
            call = call.outer
        for inner in reversed(new):
            self.numbers_of_calls[inner] = len(self.numbers_of_calls) + 1

    def calls(self) -> list[tuple[str, int | None]]:
        """List the calls of modules: the path, and the number of the call around it."""
        return [
            (
                joined(self.prefixes[id(call.root.reference)], call.path),
                None if call.outer is None else self.numbers_of_calls[call.outer],
            )
            for call in self.numbers_of_calls
        ]

    def _read_leaf(self, node: Node, leaf: LeafNote) -> None:
        if leaf.numbers is not None:
            self.numbers[node] = leaf.numbers
        if leaf.root is not None and leaf.path is not None:
            self.leaves.setdefault(node, leaf)
            self.nodes.setdefault(node, (leaf.root, leaf.path))

    def _name_roots(self, nodes: list[Node]) -> None:
        used = [self.nodes[node][0] for node in nodes if node in self.nodes]
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
        leaf = self.leaves.get(node)
        if leaf is None or leaf.root is None or leaf.name is None:
            return None
        if leaf.name not in self.ambiguous:
            return leaf.name
        return joined(self.prefixes[id(leaf.root.reference)], leaf.name)

    def modules(self, nodes: list[Node]) -> dict[str, str]:
        """List the modules that the nodes belong to and those around them: kinds by path."""
        found: dict[str, str] = {}
        seen: set[tuple[int, str]] = set()
        for node in sorted(nodes, key=lambda node: node.plan is None):  # in the order of calls
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


def _around(path: str) -> Iterator[str]:
    """Yield the paths from the outermost module to this one."""
    yield ""
    if path:
        for place, character in enumerate(path):
            if character == ".":
                yield path[:place]
        yield path
