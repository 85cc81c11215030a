"""The view: what is seen of a snapshot, between it and the writers.

Large graphs are made small enough to be read: modules are closed into one box, repeated
ones become "Block × 12", all but the neighbourhood of one value is left out. Every value of
the snapshot is then in exactly one node or hidden. Pure: nothing of the snapshot changes.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from graphgrad.engine.integers import as_whole_numbers
from graphgrad.reprs import counted
from graphgrad.viz.snapshots.digest import Numbers, total
from graphgrad.viz.snapshots.snapshot import ModuleNote, Snapshot, Value
from graphgrad.viz.views.focus import near
from graphgrad.viz.views.grouping import Part, chains, close, find_parts, gather, within
from graphgrad.viz.views.heat import Heat, heat_of
from graphgrad.viz.views.looks import (
    Collapse,
    Direction as Direction,
    Layout,
    Look as Look,
    checked,
)
from graphgrad.viz.views.times import Times

MANY = 150  # with more visible values modules are closed, if the caller does not say
FEW = 10  # with fewer there is not much to be seen
MOST = 500  # with more visible values a picture is no longer laid out in reasonable time
USES_OF_A_LEAF = 3  # with more it is drawn at each: many long wires cannot be laid out


@dataclass(frozen=True, slots=True)
class Use:
    """An input of a node."""

    source: int  # the id of the value
    again: bool = False  # whether the value, a shared leaf, is drawn once more for this use
    fork: bool = False  # whether the value has other uses, whose gradients are added to this one's
    share: Numbers | None = None  # the gradient that this use sends back, as far as it is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What is seen as one: a leaf, an op, or a closed module."""

    id: str  # "v3" of a leaf (or what enters an inside), "o7" of an op, "m7": a module from op 7 on
    members: tuple[int, ...]  # the values that it stands for
    inputs: tuple[Use, ...] = ()  # of an op in order, repeated if used twice; of a module once
    outputs: tuple[int, ...]  # the values that leave it, each drawn as a wire
    modules: tuple[ModuleNote, ...] = ()  # of a closed module; several where it is repeated
    closed: tuple[int, ...] = ()  # the numbers of the parts that a closed module stands for
    part: int | None = None  # the number of the open part that it lies in
    cut: bool = False  # whether it has inputs that are left out
    norm: float | None = None  # of the gradient of what leaves it


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is drawn."""

    snapshot: Snapshot
    nodes: tuple[Node, ...]  # in the order in which the values were computed
    parts: tuple[Part, ...] = ()  # the runs of open modules that hold a node, outermost first
    shared: frozenset[int] = frozenset()  # leaves that are drawn again at their uses
    leads_on: frozenset[int] = frozenset()  # values with uses that are left out
    elsewhere: Mapping[int, tuple[int, ...]] = field(default_factory=dict, hash=False)
    # ^ by value: the ops that use it and are left out
    direction: Direction = "both"
    heat: Heat | None = None
    note: str | None = None
    path: str = ""  # of the module whose inside this is; names may be shortened by it
    layout: Layout | None = None  # what was asked for
    building: "Building" = field(compare=False)

    def __repr__(self) -> str:
        """Say how much of the graph is seen; all of it would fill pages."""
        seen = f"{self.size:,} of {counted(len(self.snapshot.values), 'value')}"
        return f"<View of {seen}, direction={self.direction!r}, heat={self.heat is not None}>"

    @property
    def size(self) -> int:
        """How many values are visible."""
        return sum(len(node.outputs) for node in self.nodes)

    @property
    def down(self) -> bool:
        """Whether it is drawn from top to bottom, as networks are, not to the right, as circuits.

        All views of a graph with modules are, also those of a part of it that has none.
        """
        return bool(self.snapshot.modules) if self.layout is None else self.layout == "down"

    @property
    def hidden(self) -> frozenset[int]:
        """The values in no node."""
        shown = (i for node in self.nodes for i in node.members)
        return frozenset(range(1, len(self.snapshot.values) + 1)).difference(shown)

    def inside(self, box: Node) -> "View":
        """Open a closed module, and see nothing but what is in it.

        What enters it is seen as leaves are, even what an op outside computed. Modules in it are
        open, unless a function said which are closed, or too much would be visible; of one that
        is repeated each is a box of its own.
        """
        return self.building.inside(box, self.heat)

    def value(self, number: int) -> Value:
        """Return a value by its id."""
        return self.snapshot.values[number - 1]


def view(
    snapshot: Snapshot,
    *,
    collapse: Collapse = None,
    focus: int | str | None = None,
    radius: int = 2,
    direction: Direction = "both",
    heat: bool | tuple[float, float] = False,
    merge: bool | None = None,
    layout: Layout | None = None,
) -> View:
    """Choose what is seen of a snapshot.

    Parameters
    ----------
    collapse
        Which modules are closed into one box: from a depth on (0 is the outermost module, 1
        those that it calls), with the modules above that call no others; a depth that none has
        opens all. Or those for which a function of the :class:`ModuleNote`, with its ``path``
        and ``kind``, says so. None closes from the greatest depth on that makes at most 150 values
        visible, and nothing if there are no more anyway; the outermost modules only where ten
        values stay visible, or collapse=1 would leave more than 500.
    focus
        Show only what is near a value, by its name or id, or near a module, by its path.
    radius
        How many ops away from the focus; leaves of the ops that are shown come along.
    direction
        "both"; "forward": values only; "backward": gradients only, of what takes part in
        differentiation.
    heat
        Fill nodes by the norm of the gradient, on a logarithmic scale: True, or the norms at
        the ends of the scale, so that several pictures share one.
    merge
        Whether closed modules that follow one another, and hold the same ops on the same shapes,
        become one box; None: but for heat, which is there to tell them apart.
    layout
        "down" or "right": where the way forward leads. None: down in graphs with modules.

    Raises
    ------
    PictureError
        For anything that makes no sense.
    """
    limits = checked(collapse, focus, radius, direction, heat, layout)
    # one of NumPy's numbers is one of Python's from here on
    collapse, focus, radius = (as_whole_numbers("view", "", x) for x in (collapse, focus, radius))
    values = snapshot.values
    shown: Collection[int] = range(1, len(values) + 1)
    if direction == "backward":
        shown = {v.id for v in values if v.needs} or set(snapshot.ends)
    kept = shown if focus is None else near(snapshot, shown, focus, radius)
    parts, at = find_parts(snapshot)
    cut = frozenset(shown).difference(kept)
    elsewhere: dict[int, list[int]] = {}
    for user in sorted(cut):
        for i in values[user - 1].inputs:
            if i in kept:
                elsewhere.setdefault(i, []).append(user)
    building = Building(
        snapshot=snapshot,
        values={v.id: v for v in values},
        shown=kept,
        cut=cut,
        ends=frozenset(snapshot.ends),
        elsewhere={i: tuple(dict.fromkeys(users)) for i, users in elsewhere.items()},
        parts=parts,
        at={v.id: part for v, part in zip(values, at, strict=True)},
        collapse=collapse,
        direction=direction,
        layout=layout,
        merge=not heat if merge is None else merge,
        times=Times(snapshot.steps),
    )
    nodes, note = building.collapsed(collapse)
    scale = None
    if heat:
        scale = heat_of((node.norm for node in nodes if node.norm is not None), limits)
        no_heat = "no ∂ that heat could show"
        note = note if scale else f"{no_heat}; {note}" if note else no_heat
    return building.view(nodes, scale, note)


# --------------------------------------------------------------------------------- nodes


@dataclass(frozen=True, kw_only=True)
class Building:
    """What a view is built from: a whole graph, or the inside of a closed module."""

    snapshot: Snapshot
    values: Mapping[int, Value]  # in order; those that enter an inside have no inputs here
    shown: Collection[int]
    cut: frozenset[int]  # would be shown but for the focus
    ends: frozenset[int]  # the result, and what leaves an inside
    elsewhere: Mapping[int, tuple[int, ...]]  # by value: its users that are left out
    parts: list[Part]
    at: Mapping[int, int | None]  # by value: the innermost part around it
    collapse: Collapse
    direction: Direction
    layout: Layout | None
    merge: bool
    times: Times
    path: str = ""

    def collapsed(self, collapse: Collapse) -> tuple[list[Node], str | None]:
        """Build with modules closed as asked, or as few as will do; a note says if we chose."""
        if isinstance(collapse, int):
            return self.nodes(_from_depth(self.parts, collapse)), None
        if collapse is not None:
            return self.nodes(lambda part: bool(collapse(part.module))), None
        nodes = self.nodes(lambda _: False)
        if _size(nodes) <= MANY or not self.parts:
            return nodes, None
        # the greatest depth that leaves no more; the outermost modules are closed only where that
        # leaves something to be seen, or where all that they call could not be laid out
        outermost = _from_depth(self.parts, 0)
        few = _size(self.nodes(outermost, apart=True)) < FEW
        best, level = self.nodes(outermost), 0
        deepest = max(part.depth for part in self.parts)
        for depth in range(1, deepest + 2):
            closed = self.nodes(_from_depth(self.parts, depth))
            if _size(closed) > (MOST if few and depth == 1 else MANY):
                break
            best, level = closed, depth
        if level > deepest or _size(best) == _size(nodes):
            return nodes, None
        return best, f"modules are closed from depth {level} on; collapse={level + 1} opens more"

    def nodes(self, closes: Callable[[Part], bool], *, apart: bool = False) -> list[Node]:
        """Build the nodes with some modules closed, repeated ones in one box or each apart."""
        values, parts = self.values, self.parts
        closed = close(parts, closes)
        box = {i: None if part is None else closed[part] for i, part in self.at.items()}
        alive = {box[v.id] for v in values.values() if v.inputs and v.id in self.shown}
        box = {i: number if number in alive else None for i, number in box.items()}
        firsts: dict[int, int] = {}
        gathered: frozenset[int] = frozenset()
        if alive != {None}:
            if self.merge and not apart:
                firsts = chains(values, self.shown, self.ends, parts, box)
            gathered = gather(values, self.shown, box, firsts)
        key: dict[int, int] = {}  # by value: the id of an op or leaf, or ~ the number of a part
        members: dict[int, list[int]] = {}
        order: dict[int, int] = {}  # by key, in the order of the nodes: the first op of its own
        for v in values.values():
            if v.id in self.shown:
                number = box[v.id]
                if number is not None:
                    key[v.id] = ~firsts.get(number, number)
                else:
                    key[v.id] = v.inputs[0] if v.inputs and v.kind == "output" else v.id
                members.setdefault(key[v.id], []).append(v.id)
                if number is None or (v.inputs and v.id not in gathered):
                    order.setdefault(key[v.id], v.id)
        out = {i for v in values.values() for i in v.inputs if key.get(i) != key.get(v.id)}
        out |= self.ends  # the values that leave their nodes
        repeats: dict[int, list[int]] = {}
        for number in sorted({n for n in box.values() if n is not None}):
            repeats.setdefault(~firsts.get(number, number), []).append(number)
        return [
            self._node(k, first, members[k], key, out, repeats.get(k, []))
            for k, first in order.items()
        ]

    def _node(
        self,
        k: int,
        first: int,
        members: list[int],
        key: dict[int, int],
        out: set[int],
        numbers: list[int],
    ) -> Node:
        inner = [self.values[m] for m in members]
        sources = [i for v in inner for i in v.inputs] if len(inner) > 1 else inner[0].inputs
        inputs: Iterable[int] = [i for i in sources if i in key and key[i] != k]
        made = tuple(v for v in inner if v.shape is not None and (k > 0 or v.id in out))
        if k > 0:
            name, part = f"{'o' if sources else 'v'}{k}", self.at[k]
        else:
            name, part = f"m{first}", self.parts[~k].parent
            inputs = dict.fromkeys(inputs)
        return Node(
            id=name,
            members=tuple(members),
            inputs=tuple(map(Use, inputs)),
            outputs=tuple([v.id for v in made]),
            modules=tuple([self.parts[number].module for number in numbers]),
            closed=tuple(numbers),
            part=part,
            cut=not self.cut.isdisjoint(sources),
            norm=_norm(made),
        )

    @cached_property
    def users(self) -> dict[int, list[int]]:
        """By value: the ops that use it."""
        users: dict[int, list[int]] = {}
        for value in self.values.values():
            for i in dict.fromkeys(value.inputs):
                users.setdefault(i, []).append(value.id)
        return users

    def inside(self, box: Node, heat: Heat | None) -> View:
        """Build what is in a closed module, and in it alone."""
        own = frozenset(box.members)
        enter = {i for m in own for i in self.values[m].inputs}.difference(own)
        values = {
            i: self.values[i] if i in own else replace(self.values[i], inputs=())
            for i in sorted(own | enter)
        }
        shown = {i for i in values if i in self.shown}
        elsewhere = {}
        for i in sorted(shown):
            users = {*self.users.get(i, ()), *self.elsewhere.get(i, ())} - own
            if users:
                elsewhere[i] = tuple(sorted(users))
        repeated = len(box.closed) > 1
        first = self.parts[box.closed[0]]
        floor = first.parent if repeated else first.number
        parts, at = within(self.parts, {i: self.at[i] for i in sorted(own)}, floor)
        inner = replace(
            self,
            values=values,
            shown=shown,
            ends=frozenset(box.outputs),
            elsewhere=elsewhere,
            parts=parts,
            at=dict.fromkeys(values) | at,
            path=self.path if floor is None else self.parts[floor].module.path,
        )
        if repeated:
            nodes = inner.nodes(lambda _: True, apart=True)
        else:
            nodes, _ = inner.collapsed(self.collapse if callable(self.collapse) else None)
        return inner.view(nodes, heat, None)

    def view(self, nodes: list[Node], heat: Heat | None, note: str | None) -> View:
        """Say of the nodes how they hang together."""
        uses = Counter(use.source for node in nodes for use in node.inputs)
        leaves = {node.outputs[0] for node in nodes if node.id[0] == "v"}
        shared = frozenset(i for i in leaves if uses[i] > USES_OF_A_LEAF)
        forks = frozenset(i for i, times in uses.items() if times > 1).union(self.elsewhere)
        notes = [note] if note else []
        if self.snapshot.note and self.direction != "forward":
            notes.insert(0, self.snapshot.note)
        return View(
            snapshot=self.snapshot,
            nodes=_with_uses(nodes, self.snapshot.values, shared, forks),
            parts=_around(nodes, self.parts),
            shared=shared,
            leads_on=frozenset(i for i in self.elsewhere if self.values[i].inputs),
            elsewhere=self.elsewhere,
            direction=self.direction,
            heat=heat,
            note="; ".join(notes) or None,
            path=self.path,
            layout=self.layout,
            building=self,
        )


def _from_depth(parts: list[Part], depth: int) -> Callable[[Part], bool]:
    """Say which parts are closed: those from a depth on, and others without parts in them."""
    if all(part.depth < depth for part in parts):
        return lambda _: False
    outer = {part.parent for part in parts}
    return lambda part: part.depth >= depth or part.number not in outer


def _size(nodes: list[Node]) -> int:
    return sum(len(node.outputs) for node in nodes)


def _norm(values: Sequence[Value]) -> float | None:
    """Return the norm of several gradients together; None if there are none."""
    if len(values) == 1:
        return None if values[0].gradient is None else values[0].gradient.norm
    norms = [v.gradient.norm for v in values if v.gradient is not None]
    return math.hypot(*norms) if norms else None


def _with_uses(
    nodes: list[Node], values: Sequence[Value], shared: frozenset[int], forks: frozenset[int]
) -> tuple[Node, ...]:
    """Say of the uses of values that have several what each sends back.

    Shared leaves are drawn again at their uses after the first.
    """
    met: set[int] = set()
    told = []
    for node in nodes:
        if forks.isdisjoint(use.source for use in node.inputs):
            told.append(node)
            continue
        shares: dict[int, list[Numbers | None]] = {use.source: [] for use in node.inputs}
        for user in (values[m - 1] for m in node.members):
            for i, share in zip(user.inputs, user.contributions, strict=False):
                if i in shares:
                    shares[i].append(share)
        inputs = []
        for use in node.inputs:
            i, of_all = use.source, shares[use.source]
            if i in forks and values[i - 1].needs:
                # an op that takes a value twice has a use for each, a closed module one for all
                share = total(of_all) if node.modules else of_all.pop(0) if of_all else None
                inputs.append(Use(i, i in met, fork=True, share=share))
            else:
                inputs.append(Use(i, i in met))
            if i in shared:
                met.add(i)
        told.append(replace(node, inputs=tuple(inputs)))
    return tuple(told)


def _around(nodes: list[Node], parts: list[Part]) -> tuple[Part, ...]:
    """Return the parts that hold a node, and those around them."""
    numbers: set[int] = set()
    for node in nodes:
        number = node.part
        while number is not None and number not in numbers:
            numbers.add(number)
            number = parts[number].parent
    return tuple(parts[number] for number in sorted(numbers))
