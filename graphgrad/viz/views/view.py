"""The view: what a picture shows of a snapshot.

Large graphs are made small enough to be read: modules are closed into one box, repeated ones
become "Block × 12", everything but the neighbourhood of one value is hidden. Each value of the
snapshot is in exactly one node, or hidden. Pure: the snapshot does not change.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from graphgrad.engine.integers import as_whole_numbers
from graphgrad.reprs import counted
from graphgrad.viz.snapshots.numbers import Numbers, total
from graphgrad.viz.snapshots.snapshot import ModuleNote, Snapshot, Value
from graphgrad.viz.views.focus import neighbourhood
from graphgrad.viz.views.grouping import (
    Region,
    absorb_inputs,
    find_regions,
    find_repeats,
    outermost_closed,
    regions_inside,
)
from graphgrad.viz.views.heat import Heat, heat_scale
from graphgrad.viz.views.options import (
    Collapse,
    Direction as Direction,
    Layout,
    ViewOptions as ViewOptions,
    check_options,
)
from graphgrad.viz.views.timeline import Timeline

COLLAPSE_ABOVE = 150  # visible values above which modules are closed by default
MIN_VISIBLE = 10  # visible values below which a picture shows too little
LAYOUT_LIMIT = 500  # visible values above which a layout takes too long
MAX_WIRES_OF_LEAF = 3  # above which it is drawn at each: long wires are slow to lay out


@dataclass(frozen=True, slots=True)
class Use:
    """An input of a node."""

    source: int  # the id of the value
    redrawn: bool = False  # whether the value, a shared leaf, is drawn again for this use
    fork: bool = False  # whether the value has other uses, so that gradients are summed
    contribution: Numbers | None = None  # the gradient that this use sends back, if known


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A leaf, an op, or a closed module."""

    id: str  # a leaf or input of an inside: "v3"; an op: "o7"; a module whose first op is 7: "m7"
    members: tuple[int, ...]  # the ids of its values
    inputs: tuple[Use, ...] = ()  # of an op: in order, with repetitions; of a module: each once
    outputs: tuple[int, ...]  # values used outside it, each drawn as a wire
    modules: tuple[ModuleNote, ...] = ()  # of a closed module; several if repeated
    closed: tuple[int, ...] = ()  # of a closed module: the numbers of its regions
    region: int | None = None  # the number of the innermost open region around it
    has_hidden_inputs: bool = False  # whether some of its inputs are hidden
    norm: float | None = None  # of the gradient of its outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a picture shows of a snapshot, and how."""

    snapshot: Snapshot
    nodes: tuple[Node, ...]  # in the order in which the values were computed
    regions: tuple[Region, ...] = ()  # the open regions that hold a node, outermost first
    shared: frozenset[int] = frozenset()  # leaves that are drawn at each use
    used_outside: frozenset[int] = frozenset()  # computed values with hidden uses
    hidden_users: Mapping[int, tuple[int, ...]] = field(default_factory=dict, hash=False)
    # ^ by value: the hidden ops that use it
    direction: Direction = "both"
    heat: Heat | None = None
    note: str | None = None
    path: str = ""  # of the module whose inside this is; a prefix that names drop
    layout: Layout | None = None  # None: by default
    builder: "ViewBuilder" = field(compare=False)

    def __repr__(self) -> str:
        """Summarize: the fields would fill pages."""
        seen = f"{self.size:,} of {counted(len(self.snapshot.values), 'value')}"
        return f"<View of {seen}, direction={self.direction!r}, heat={self.heat is not None}>"

    @property
    def size(self) -> int:
        """How many values are visible."""
        return sum(len(node.outputs) for node in self.nodes)

    @property
    def down(self) -> bool:
        """Whether it is drawn from top to bottom, as networks are, not left to right, as circuits.

        By default if the graph has modules, even in a view of a part without any.
        """
        return bool(self.snapshot.modules) if self.layout is None else self.layout == "down"

    @property
    def hidden(self) -> frozenset[int]:
        """The values in no node."""
        shown = (i for node in self.nodes for i in node.members)
        return frozenset(range(1, len(self.snapshot.values) + 1)).difference(shown)

    def inside(self, box: Node) -> "View":
        """Return a view of the inside of a closed module alone.

        Its inputs look like leaves, even if ops outside computed them. Modules in it are open,
        unless `collapse` is a function or too much would be visible; each of the repeats of a
        repeated module is a box of its own.
        """
        return self.builder.inside(box, self.heat)

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
    """Return the view of a snapshot for some options.

    Parameters
    ----------
    collapse
        Which modules are closed into one box. A number: those from this depth on (0 is the
        outermost module, 1 those that it calls) and shallower ones that call no others; a depth
        that no module has opens all. A function of a :class:`ModuleNote`, with its ``path`` and
        ``kind``: those for which it returns True. None: from the greatest depth that leaves at
        most 150 values visible, or nothing if there are fewer anyway; the outermost modules only
        if ten values stay visible, or collapse=1 would leave more than 500.
    focus
        Show only the neighbourhood of a value, by its name or id, or of a module, by its path.
    radius
        How many ops away from the focus; leaves of visible ops are always visible.
    direction
        "both"; "forward": values only; "backward": gradients only, of what takes part in
        differentiation.
    heat
        Fill nodes by the norm of the gradient, on a logarithmic scale: True, or the norms at
        the ends of the scale, so that several pictures share one.
    merge
        Whether consecutive closed modules with the same ops on the same shapes become one box.
        None: yes, except with heat, which compares them.
    layout
        "down" or "right": the direction of the forward pass. None: down in graphs with modules.

    Raises
    ------
    PictureError
        For invalid options.
    """
    limits = check_options(collapse, focus, radius, direction, heat, layout)
    # NumPy's integers to Python's
    collapse, focus, radius = (as_whole_numbers("view", "", x) for x in (collapse, focus, radius))
    values = snapshot.values
    shown: Collection[int] = range(1, len(values) + 1)
    if direction == "backward":
        shown = {v.id for v in values if v.needs} or set(snapshot.ends)
    kept = shown if focus is None else neighbourhood(snapshot, shown, focus, radius)
    regions, region_of = find_regions(snapshot)
    out_of_focus = frozenset(shown).difference(kept)
    hidden_users: dict[int, list[int]] = {}
    for user in sorted(out_of_focus):
        for i in values[user - 1].inputs:
            if i in kept:
                hidden_users.setdefault(i, []).append(user)
    builder = ViewBuilder(
        snapshot=snapshot,
        values={v.id: v for v in values},
        shown=kept,
        out_of_focus=out_of_focus,
        ends=frozenset(snapshot.ends),
        hidden_users={i: tuple(dict.fromkeys(users)) for i, users in hidden_users.items()},
        regions=regions,
        region_of={v.id: region for v, region in zip(values, region_of, strict=True)},
        collapse=collapse,
        direction=direction,
        layout=layout,
        merge=not heat if merge is None else merge,
        times=Timeline(snapshot.steps),
    )
    nodes, note = builder.collapsed(collapse)
    scale = None
    if heat:
        scale = heat_scale((node.norm for node in nodes if node.norm is not None), limits)
        no_heat = "no ∂ that heat could show"
        note = note if scale else f"{no_heat}; {note}" if note else no_heat
    return builder.view(nodes, scale, note)


# --------------------------------------------------------------------------------- nodes


@dataclass(frozen=True, kw_only=True)
class ViewBuilder:
    """Builds a view of a whole graph, or of the inside of a closed module."""

    snapshot: Snapshot
    values: Mapping[int, Value]  # in order; inputs of an inside have no inputs themselves
    shown: Collection[int]
    out_of_focus: frozenset[int]  # hidden by the focus
    ends: frozenset[int]  # the results, or the outputs of an inside
    hidden_users: Mapping[int, tuple[int, ...]]  # by value: the hidden ops that use it
    regions: list[Region]
    region_of: Mapping[int, int | None]  # by value: the innermost region around it
    collapse: Collapse
    direction: Direction
    layout: Layout | None
    merge: bool
    times: Timeline
    path: str = ""

    def collapsed(self, collapse: Collapse) -> tuple[list[Node], str | None]:
        """Build nodes with modules closed as asked, or as few as necessary and a note on which."""
        if isinstance(collapse, int):
            return self.nodes(_from_depth(self.regions, collapse)), None
        if collapse is not None:
            return self.nodes(lambda region: bool(collapse(region.module))), None
        nodes = self.nodes(lambda _: False)
        if _size(nodes) <= COLLAPSE_ABOVE or not self.regions:
            return nodes, None
        # the greatest depth within the limit; the outermost modules are closed only if enough
        # stays visible then, or if what they call could not be laid out
        outermost = _from_depth(self.regions, 0)
        few = _size(self.nodes(outermost, unmerged=True)) < MIN_VISIBLE
        best, level = self.nodes(outermost), 0
        deepest = max(region.depth for region in self.regions)
        for depth in range(1, deepest + 2):
            closed = self.nodes(_from_depth(self.regions, depth))
            if _size(closed) > (LAYOUT_LIMIT if few and depth == 1 else COLLAPSE_ABOVE):
                break
            best, level = closed, depth
        if level > deepest or _size(best) == _size(nodes):
            return nodes, None
        return best, f"modules are closed from depth {level} on; collapse={level + 1} opens more"

    def nodes(self, is_closed: Callable[[Region], bool], *, unmerged: bool = False) -> list[Node]:
        """Build the nodes with some modules closed; repeats as one box, unless ``unmerged``."""
        values, regions = self.values, self.regions
        closed = outermost_closed(regions, is_closed)
        box = {
            i: None if region is None else closed[region] for i, region in self.region_of.items()
        }
        nonempty = {box[v.id] for v in values.values() if v.inputs and v.id in self.shown}
        box = {i: number if number in nonempty else None for i, number in box.items()}
        firsts: dict[int, int] = {}
        absorbed: frozenset[int] = frozenset()
        if nonempty != {None}:
            if self.merge and not unmerged:
                firsts = find_repeats(values, self.shown, self.ends, regions, box)
            absorbed = absorb_inputs(values, self.shown, box, firsts)
        key: dict[int, int] = {}  # by value: the id of an op or leaf, or ~ the number of a region
        members: dict[int, list[int]] = {}
        order: dict[int, int] = {}  # by key: its first op, in the order of the nodes
        for v in values.values():
            if v.id in self.shown:
                number = box[v.id]
                if number is not None:
                    key[v.id] = ~firsts.get(number, number)
                else:
                    key[v.id] = v.inputs[0] if v.inputs and v.kind == "output" else v.id
                members.setdefault(key[v.id], []).append(v.id)
                if number is None or (v.inputs and v.id not in absorbed):
                    order.setdefault(key[v.id], v.id)
        out = {i for v in values.values() for i in v.inputs if key.get(i) != key.get(v.id)}
        out |= self.ends  # values used outside their nodes
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
            name, region = f"{'o' if sources else 'v'}{k}", self.region_of[k]
        else:
            name, region = f"m{first}", self.regions[~k].parent
            inputs = dict.fromkeys(inputs)
        return Node(
            id=name,
            members=tuple(members),
            inputs=tuple(map(Use, inputs)),
            outputs=tuple([v.id for v in made]),
            modules=tuple([self.regions[number].module for number in numbers]),
            closed=tuple(numbers),
            region=region,
            has_hidden_inputs=not self.out_of_focus.isdisjoint(sources),
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
        """Build the view of the inside of a closed module."""
        own = frozenset(box.members)
        enter = {i for m in own for i in self.values[m].inputs}.difference(own)
        values = {
            i: self.values[i] if i in own else replace(self.values[i], inputs=())
            for i in sorted(own | enter)
        }
        shown = {i for i in values if i in self.shown}
        hidden_users = {}
        for i in sorted(shown):
            users = {*self.users.get(i, ()), *self.hidden_users.get(i, ())} - own
            if users:
                hidden_users[i] = tuple(sorted(users))
        repeated = len(box.closed) > 1
        first = self.regions[box.closed[0]]
        floor = first.parent if repeated else first.number
        regions, region_of = regions_inside(
            self.regions, {i: self.region_of[i] for i in sorted(own)}, floor
        )
        inner = replace(
            self,
            values=values,
            shown=shown,
            ends=frozenset(box.outputs),
            hidden_users=hidden_users,
            regions=regions,
            region_of=dict.fromkeys(values) | region_of,
            path=self.path if floor is None else self.regions[floor].module.path,
        )
        if repeated:
            nodes = inner.nodes(lambda _: True, unmerged=True)
        else:
            nodes, _ = inner.collapsed(self.collapse if callable(self.collapse) else None)
        return inner.view(nodes, heat, None)

    def view(self, nodes: list[Node], heat: Heat | None, note: str | None) -> View:
        """Build the view of nodes: their uses, open regions and notes."""
        uses = Counter(use.source for node in nodes for use in node.inputs)
        leaves = {node.outputs[0] for node in nodes if node.id[0] == "v"}
        shared = frozenset(i for i in leaves if uses[i] > MAX_WIRES_OF_LEAF)
        forks = frozenset(i for i, times in uses.items() if times > 1).union(self.hidden_users)
        notes = [note] if note else []
        if self.snapshot.note and self.direction != "forward":
            notes.insert(0, self.snapshot.note)
        return View(
            snapshot=self.snapshot,
            nodes=_with_uses(nodes, self.snapshot.values, shared, forks),
            regions=_open_regions(nodes, self.regions),
            shared=shared,
            used_outside=frozenset(i for i in self.hidden_users if self.values[i].inputs),
            hidden_users=self.hidden_users,
            direction=self.direction,
            heat=heat,
            note="; ".join(notes) or None,
            path=self.path,
            layout=self.layout,
            builder=self,
        )


def _from_depth(regions: list[Region], depth: int) -> Callable[[Region], bool]:
    """Return a predicate: regions from a depth on, and shallower ones that hold no others."""
    if all(region.depth < depth for region in regions):
        return lambda _: False
    outer = {region.parent for region in regions}
    return lambda region: region.depth >= depth or region.number not in outer


def _size(nodes: list[Node]) -> int:
    return sum(len(node.outputs) for node in nodes)


def _norm(values: Sequence[Value]) -> float | None:
    """Return the norm of several gradients together; None if there is none."""
    if len(values) == 1:
        return None if values[0].gradient is None else values[0].gradient.norm
    norms = [v.gradient.norm for v in values if v.gradient is not None]
    return math.hypot(*norms) if norms else None


def _with_uses(
    nodes: list[Node], values: Sequence[Value], shared: frozenset[int], forks: frozenset[int]
) -> tuple[Node, ...]:
    """Give each use of a value with several uses its contribution.

    Shared leaves are drawn again at their uses after the first.
    """
    drawn: set[int] = set()
    found = []
    for node in nodes:
        if forks.isdisjoint(use.source for use in node.inputs):
            found.append(node)
            continue
        contributions: dict[int, list[Numbers | None]] = {use.source: [] for use in node.inputs}
        for user in (values[m - 1] for m in node.members):
            for i, contribution in zip(user.inputs, user.contributions, strict=False):
                if i in contributions:
                    contributions[i].append(contribution)
        inputs = []
        for use in node.inputs:
            i, of_all = use.source, contributions[use.source]
            if i in forks and values[i - 1].needs:
                # an op that takes a value twice has two uses, a closed module one for all
                contribution = total(of_all) if node.modules else of_all.pop(0) if of_all else None
                inputs.append(Use(i, i in drawn, fork=True, contribution=contribution))
            else:
                inputs.append(Use(i, i in drawn))
            if i in shared:
                drawn.add(i)
        found.append(replace(node, inputs=tuple(inputs)))
    return tuple(found)


def _open_regions(nodes: list[Node], regions: list[Region]) -> tuple[Region, ...]:
    """Return the regions that hold a node, and those that enclose them."""
    numbers: set[int] = set()
    for node in nodes:
        number = node.region
        while number is not None and number not in numbers:
            numbers.add(number)
            number = regions[number].parent
    return tuple(regions[number] for number in sorted(numbers))
