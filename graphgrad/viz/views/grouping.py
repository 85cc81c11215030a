"""Which values belong together: those of one module call, of closed and of repeated modules.

Values are in order of creation, so those that one call of a module made are consecutive. A graph
therefore stays acyclic however many calls are closed into one box each.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from graphgrad.viz.snapshots.snapshot import ModuleNote, Snapshot, Value

MANY_INPUTS = 3


@dataclass(frozen=True, slots=True)
class Region:
    """One call of a module, around the regions of the modules that it called."""

    number: int
    module: ModuleNote
    parent: int | None  # the number of the enclosing region, a smaller one
    depth: int  # how many regions enclose it


def find_regions(snapshot: Snapshot) -> tuple[list[Region], list[int | None]]:
    """Return the regions, and for each value the number of the innermost one around it."""
    kinds = {note.path: note.kind for note in snapshot.modules}
    regions: list[Region] = []
    for call in snapshot.calls:
        outer = None if call.outer is None else regions[call.outer - 1]
        parent, depth = (None, 0) if outer is None else (outer.number, outer.depth + 1)
        kind = kinds.get(call.path, "") if call.kind is None else call.kind
        note = ModuleNote(call.path, kind)
        regions.append(Region(len(regions), note, parent, depth))
    region_of = [None if value.call is None else value.call - 1 for value in snapshot.values]
    if regions:
        _place_leaves(snapshot.values, kinds, regions, region_of)
    return regions, region_of


def _place_leaves(
    values: Sequence[Value],
    paths: Collection[str],
    regions: list[Region],
    region_of: list[int | None],
) -> None:
    """Put the parameters and constants of a module into the innermost region of all their uses."""
    todo = {v.id for v in values if not v.inputs and v.call is None and _is_own(v, paths)}
    placed: set[int] = set()
    for value in values:
        for i in value.inputs:
            if i not in todo:
                continue
            place = region_of[value.id - 1]
            if i in placed:
                place = _common_region(regions, region_of[i - 1], place)
            placed.add(i)
            region_of[i - 1] = place


def _is_own(leaf: Value, paths: Collection[str]) -> bool:
    """Whether a leaf is a module's own, not an input that was passed to it."""
    owner = (leaf.name or "").rpartition(".")[0]
    number = leaf.kind == "constant" and leaf.name is None and leaf.shape == ()
    return leaf.module is not None or number or (bool(owner) and owner in paths)


def _common_region(regions: list[Region], one: int | None, other: int | None) -> int | None:
    """Return the innermost region around two."""
    while one != other:
        if one is None or other is None:
            return None
        if one > other:
            one = regions[one].parent
        else:
            other = regions[other].parent
    return one


def outermost_closed(
    regions: list[Region], is_closed: Callable[[Region], bool]
) -> list[int | None]:
    """Return for each region the outermost closed one that is or encloses it; None if open."""
    closed: list[int | None] = []
    for region in regions:
        outer = None if region.parent is None else closed[region.parent]
        closed.append(region.number if outer is None and is_closed(region) else outer)
    return closed


def regions_inside(
    regions: list[Region], region_of: Mapping[int, int | None], floor: int | None
) -> tuple[list[Region], dict[int, int | None]]:
    """Return the regions inside one, renumbered, and for each value the innermost of them."""
    kept: set[int] = set()
    for innermost in set(region_of.values()):
        number, path = innermost, []
        while number is not None and number != floor and number not in kept:
            path.append(number)
            number = regions[number].parent
        kept.update(path)
    numbers: dict[int | None, int] = {old: new for new, old in enumerate(sorted(kept))}
    found: list[Region] = []
    for old in sorted(kept):
        parent = numbers.get(regions[old].parent)
        depth = 0 if parent is None else found[parent].depth + 1
        found.append(replace(regions[old], number=len(found), parent=parent, depth=depth))
    return found, {i: numbers.get(number) for i, number in region_of.items()}


def find_repeats(
    values: Mapping[int, Value],
    shown: Collection[int],
    ends: Collection[int],
    regions: list[Region],
    box: dict[int, int | None],
) -> dict[int, int]:
    """Find repeats among closed regions, and return for each repeat the first of its chain.

    Regions form a chain if they are of one kind, hold the same ops on the same shapes, have the
    same parent, and each sends its outputs to the next one only.
    """
    inside: dict[int, list[Value]] = {}
    # by region: the regions that use its outputs
    users: dict[int | None, set[int | None]] = {box[i]: {None} for i in ends}
    for value in values.values():
        into = box[value.id]
        if value.id not in shown:
            into = None
        elif into is not None and value.inputs:
            inside.setdefault(into, []).append(value)
        for i in value.inputs:
            out = box[i]
            if out is not None and out != into:
                users.setdefault(out, set()).add(into)
    firsts: dict[int, int] = {}
    previous: int | None = None
    ops = {number: _structure(members, values, box) for number, members in inside.items()}
    for number in inside:  # in the order of their ops
        if previous is not None and users.get(previous) == {number}:
            one, other = regions[previous], regions[number]
            alike = one.module.kind == other.module.kind and one.parent == other.parent
            if alike and ops[previous] == ops[number]:
                firsts[number] = firsts.get(previous, previous)
        previous = number
    return firsts


def absorb_inputs(
    values: Mapping[int, Value],
    shown: Collection[int],
    box: dict[int, int | None],
    firsts: dict[int, int],
) -> frozenset[int]:
    """Move inputs that only one box uses into it, if they are many; return them.

    Such are the inputs of an unrolled recurrence, unnamed constants or x[t]: one wire each would
    hide everything else.
    """
    users: dict[int, set[int | None]] = {}
    for value in values.values():
        into = box[value.id]
        into = None if into is None or value.id not in shown else firsts.get(into, into)
        for i in value.inputs:
            if i in shown and box[i] is None and _is_preparation(values[i], values):
                users.setdefault(i, set()).add(into)
    found: dict[int, list[int]] = {}
    for i, boxes in users.items():
        (only, *others) = boxes
        if only is not None and not others:
            found.setdefault(only, []).append(i)
    many = {i: number for number, few in found.items() if len(few) > MANY_INPUTS for i in few}
    box.update(many)
    return frozenset(many)


def _is_preparation(value: Value, values: Mapping[int, Value]) -> bool:
    """Whether a value is an unnamed constant, or an unnamed op on nothing but leaves."""
    if value.name is not None or value.shape is None:
        return False
    if not value.inputs:
        return value.kind == "constant"
    return not any(values[i].inputs for i in value.inputs)


def _structure(
    members: list[Value], values: Mapping[int, Value], box: dict[int, int | None]
) -> list[object]:
    """Return a description of the ops of a region, equal for equal regions."""
    number = box[members[0].id]
    own = {value.id: place for place, value in enumerate(members)}
    others: dict[int, int] = {}  # numbered in order of first use
    found: list[object] = []
    for value in members:
        places = [own[i] if i in own else ~others.setdefault(i, len(others)) for i in value.inputs]
        found.append((value.op, value.output, value.shape, value.dtype, places))
    found.extend((values[i].shape, values[i].dtype, box[i] == number) for i in others)
    return found
