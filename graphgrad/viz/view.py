"""The view: what is to be seen of a snapshot, between it and the writers.

Large graphs are made small enough to be read: modules are closed into one box, repeated
ones become "Block × 12", all but the neighbourhood of one value is left out. Every value of
the snapshot is then in exactly one node or hidden. Pure: nothing of the snapshot changes.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypedDict, get_args

from graphgrad.errors import PictureError
from graphgrad.node import here
from graphgrad.viz.digest import Numbers, total
from graphgrad.viz.focus import near
from graphgrad.viz.grouping import Part, chains, close, find_parts, gather
from graphgrad.viz.heat import Heat, heat_of
from graphgrad.viz.snapshot import ModuleNote, Snapshot, Value

Direction = Literal["both", "forward", "backward"]
Collapse = int | Callable[[ModuleNote], bool] | None

MANY = 150  # with more visible values modules are closed, if the caller does not say
USES_OF_A_LEAF = 3  # with more it is drawn at each: many long wires cannot be laid out


class Look(TypedDict, total=False):
    """What may be said about a picture, to every writer, by keyword."""

    collapse: Collapse
    focus: int | str | None
    radius: int
    direction: Direction
    heat: bool | tuple[float, float]
    merge: bool | None


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

    id: str  # "v3" of a leaf, "o7" of an op, "m7" of a module whose first op is 7
    members: tuple[int, ...]  # the values that it stands for
    inputs: tuple[Use, ...] = ()  # of an op in order, repeated if used twice; of a module once
    outputs: tuple[int, ...]  # the values that leave it, each drawn as a wire
    modules: tuple[ModuleNote, ...] = ()  # of a closed module; several where it is repeated
    part: int | None = None  # the number of the open part that it lies in
    cut: bool = False  # whether it has inputs that are left out
    norm: float | None = None  # of the gradient of what leaves it


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is to be drawn."""

    snapshot: Snapshot
    nodes: tuple[Node, ...]  # in the order in which the values were computed
    parts: tuple[Part, ...] = ()  # the runs of open modules that hold a node, outermost first
    shared: frozenset[int] = frozenset()  # leaves that are drawn again at their uses
    leads_on: frozenset[int] = frozenset()  # values with uses that are left out
    hidden: frozenset[int] = frozenset()  # values in no node
    direction: Direction = "both"
    heat: Heat | None = None
    note: str | None = None

    @property
    def size(self) -> int:
        """How many values are visible."""
        return sum(len(node.outputs) for node in self.nodes)

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
) -> View:
    """Choose what is to be seen of a snapshot.

    Parameters
    ----------
    collapse
        Which modules are closed into one box: from a depth on (0 is the outermost module, 1
        those that it calls), with the modules above that call no others; a depth that none has
        opens all. Or those for which a function of the :class:`ModuleNote`, with its ``path``
        and ``kind``, says so. None closes as few as make at most 150 values visible, and none
        if there are no more anyway.
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

    Raises
    ------
    PictureError
        For anything that makes no sense.
    """
    limits = _checked(collapse, focus, radius, direction, heat)
    values = snapshot.values
    shown: Collection[int] = range(1, len(values) + 1)
    if direction == "backward":
        shown = {v.id for v in values if v.needs} or {values[-1].id}
    kept = shown if focus is None else near(snapshot, shown, focus, radius)
    parts, at = find_parts(snapshot)
    merge = not heat if merge is None else merge
    building = _Building(snapshot, kept, frozenset(shown).difference(kept), parts, at, merge)
    nodes, note = building.collapsed(collapse)

    notes = [snapshot.note] if snapshot.note and direction != "forward" else []
    scale = None
    if heat:
        scale = heat_of((node.norm for node in nodes if node.norm is not None), limits)
        if scale is None:
            notes.append("no ∂ that heat could show")
    if note:
        notes.append(note)
    uses = Counter(use.source for node in nodes for use in node.inputs)
    leaves = {node.outputs[0] for node in nodes if node.id[0] == "v"}
    shared = frozenset(i for i in leaves if uses[i] > USES_OF_A_LEAF)
    leads_on = building.leads_on()
    forks = leads_on.union(i for i, times in uses.items() if times > 1)
    return View(
        snapshot=snapshot,
        nodes=_with_uses(nodes, values, shared, forks),
        parts=_around(nodes, parts),
        shared=shared,
        leads_on=leads_on,
        hidden=frozenset(range(1, len(values) + 1)).difference(kept),
        direction=direction,
        heat=scale,
        note="; ".join(notes) or None,
    )


# --------------------------------------------------------------------------------- nodes


@dataclass(frozen=True, slots=True)
class _Building:
    """What nodes are built from."""

    snapshot: Snapshot
    shown: Collection[int]
    cut: frozenset[int]  # would be shown but for the focus
    parts: list[Part]
    at: list[int | None]
    merge: bool

    def collapsed(self, collapse: Collapse) -> tuple[list[Node], str | None]:
        """Build with modules closed as was asked for, or as few as will do; say if of itself."""
        if isinstance(collapse, int):
            return self.nodes(_from_depth(self.parts, collapse)), None
        if collapse is not None:
            return self.nodes(lambda part: bool(collapse(part.module))), None
        nodes = self.nodes(lambda _: False)
        if _size(nodes) <= MANY or not self.parts:
            return nodes, None
        # the outermost module alone would leave nothing to be seen; of several it may do
        several = sum(part.parent is None for part in self.parts) > 1
        best, level = nodes, None
        for depth in range(0 if several else 1, 1 + max(part.depth for part in self.parts)):
            closed = self.nodes(_from_depth(self.parts, depth))
            if level is not None and _size(closed) > MANY:
                break
            best, level = closed, depth
        if level is None or _size(best) == _size(nodes):
            return nodes, None
        return best, f"modules are closed from depth {level} on; collapse={level + 1} opens more"

    def nodes(self, closes: Callable[[Part], bool]) -> list[Node]:
        """Build the nodes with some modules closed."""
        values, parts = self.snapshot.values, self.parts
        closed = close(parts, closes)
        box = {
            v.id: None if part is None else closed[part]
            for v, part in zip(values, self.at, strict=True)
        }
        alive = {box[v.id] for v in values if v.inputs and v.id in self.shown}
        box = {i: number if number in alive else None for i, number in box.items()}
        firsts: dict[int, int] = {}
        if alive != {None}:
            firsts = chains(values, self.shown, parts, box) if self.merge else {}
            gather(values, self.shown, box, firsts)
        key: dict[int, int] = {}  # by value: the id of an op or leaf, or ~ the number of a part
        members: dict[int, list[int]] = {}
        order: dict[int, None] = {}  # the keys by their first op
        for v in values:
            if v.id in self.shown:
                number = box[v.id]
                if number is not None:
                    key[v.id] = ~firsts.get(number, number)
                else:
                    key[v.id] = v.inputs[0] if v.kind == "output" else v.id
                members.setdefault(key[v.id], []).append(v.id)
                if v.inputs or number is None:
                    order.setdefault(key[v.id])
        out = {i for v in values for i in v.inputs if key.get(i) != key.get(v.id)}
        out.add(values[-1].id)  # the values that leave their nodes
        repeats: dict[int, list[int]] = {}
        for number in sorted({n for n in box.values() if n is not None}):
            repeats.setdefault(~firsts.get(number, number), []).append(number)
        return [self._node(k, members[k], key, out, repeats.get(k, [])) for k in order]

    def _node(
        self, k: int, members: list[int], key: dict[int, int], out: set[int], numbers: list[int]
    ) -> Node:
        values = self.snapshot.values
        inner = [values[m - 1] for m in members]
        sources = [i for v in inner for i in v.inputs] if len(inner) > 1 else inner[0].inputs
        inputs: Iterable[int] = [i for i in sources if i in key and key[i] != k]
        made = tuple(v for v in inner if v.shape is not None and (k > 0 or v.id in out))
        if k > 0:
            name, part = f"{'o' if sources else 'v'}{k}", self.at[k - 1]
        else:
            first = next(v.id for v in inner if v.inputs)
            name, part = f"m{first}", self.parts[~k].parent
            inputs = dict.fromkeys(inputs)
        return Node(
            id=name,
            members=tuple(members),
            inputs=tuple(map(Use, inputs)),
            outputs=tuple([v.id for v in made]),
            modules=tuple([self.parts[number].module for number in numbers]),
            part=part,
            cut=not self.cut.isdisjoint(sources),
            norm=_norm(made),
        )

    def leads_on(self) -> frozenset[int]:
        """Name the shown computed values that something cut off uses."""
        values = self.snapshot.values
        used = (i for v in values if v.id in self.cut for i in v.inputs)
        return frozenset(i for i in used if i in self.shown and values[i - 1].inputs)


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


# ------------------------------------------------------------------------------ arguments


def _checked(
    collapse: object, focus: object, radius: object, direction: object, heat: object
) -> tuple[float, float] | None:
    """Refuse what makes no sense; return the limits of the heat, if there are."""
    at = f"(at {here()})"
    if isinstance(collapse, bool) or not (
        collapse is None or callable(collapse) or (isinstance(collapse, int) and collapse >= 0)
    ):
        raise PictureError(
            f"collapse: takes a depth from 0 on, or a function of a module's note, such as "
            f"lambda m: m.kind == 'Block', not {collapse!r} {at}"
        )
    if isinstance(focus, bool) or not (focus is None or isinstance(focus, (str, int))):
        raise PictureError(
            f"focus: takes the name or id of a value, or the path of a module, not {focus!r} {at}"
        )
    if isinstance(radius, bool) or not isinstance(radius, int) or radius < 0:
        raise PictureError(f"radius: takes a number of ops from 0 on, not {radius!r} {at}")
    if direction not in get_args(Direction):
        raise PictureError(
            f"direction: takes 'both', 'forward' or 'backward', not {direction!r} {at}"
        )
    if heat and direction == "forward":
        raise PictureError(f"heat: shows gradients, direction='forward' has none: take 'both' {at}")
    if isinstance(heat, bool):
        return None
    match heat:
        case (float() | int() as low, float() | int() as high) if 0 < low < high < math.inf:
            return low, high
    raise PictureError(
        f"heat: takes True, or the norms at the ends of the scale, such as (1e-6, 1), not "
        f"{heat!r} {at}"
    )
