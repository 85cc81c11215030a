"""Which values belong together: runs of a module's forward, closed modules, repeated ones.

Ops stand in the order in which they were made, so what one call of a module made stands
together. A run is such a stretch: values outside came before it or come after it. That is
why a graph stays free of cycles however many runs are closed into one box each.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from graphgrad.viz.snapshots.snapshot import ModuleNote, Snapshot, Value

MANY_INPUTS = 3


@dataclass(frozen=True, slots=True)
class Part:
    """One run of a module's forward; those of the modules it called lie in it."""

    number: int
    module: ModuleNote
    parent: int | None  # the number of the part around it, a smaller one
    depth: int  # how many parts lie around it


def find_parts(snapshot: Snapshot) -> tuple[list[Part], list[int | None]]:
    """Return the runs of modules, and for each value the number of the innermost around it."""
    kinds = {note.path: note.kind for note in snapshot.modules}
    parts: list[Part] = []
    for call in snapshot.calls:
        outer = None if call.outer is None else parts[call.outer - 1]
        parent, depth = (None, 0) if outer is None else (outer.number, outer.depth + 1)
        kind = kinds.get(call.path, "") if call.kind is None else call.kind
        note = ModuleNote(call.path, kind)
        parts.append(Part(len(parts), note, parent, depth))
    at = [None if value.call is None else value.call - 1 for value in snapshot.values]
    if parts:
        _place_leaves(snapshot.values, kinds, parts, at)
    return parts, at


def _place_leaves(
    values: Sequence[Value], paths: Collection[str], parts: list[Part], at: list[int | None]
) -> None:
    """Put the parameters of a module, and numbers written in it, where all their uses are."""
    todo = {v.id for v in values if not v.inputs and v.call is None and _belongs(v, paths)}
    met: set[int] = set()
    for value in values:
        for i in value.inputs:
            if i not in todo:
                continue
            place = at[value.id - 1]
            if i in met:
                place = _around(parts, at[i - 1], place)
            met.add(i)
            at[i - 1] = place


def _belongs(leaf: Value, paths: Collection[str]) -> bool:
    """Say whether a leaf is a module's own, and no input that was handed to it."""
    owner = (leaf.name or "").rpartition(".")[0]
    number = leaf.kind == "constant" and leaf.name is None and leaf.shape == ()
    return leaf.module is not None or number or (bool(owner) and owner in paths)


def _around(parts: list[Part], one: int | None, other: int | None) -> int | None:
    """Return the innermost part around two."""
    while one != other:
        if one is None or other is None:
            return None
        if one > other:
            one = parts[one].parent
        else:
            other = parts[other].parent
    return one


def close(parts: list[Part], closes: Callable[[Part], bool]) -> list[int | None]:
    """Return for each part the outermost closed one around it, itself counted; None if open."""
    closed: list[int | None] = []
    for part in parts:
        outer = None if part.parent is None else closed[part.parent]
        closed.append(part.number if outer is None and closes(part) else outer)
    return closed


def within(
    parts: list[Part], at: Mapping[int, int | None], floor: int | None
) -> tuple[list[Part], dict[int, int | None]]:
    """Return the parts in one part, numbered anew, and for each value the innermost of them."""
    kept: set[int] = set()
    for innermost in set(at.values()):
        number, way = innermost, []
        while number is not None and number != floor and number not in kept:
            way.append(number)
            number = parts[number].parent
        kept.update(way)
    numbers: dict[int | None, int] = {old: new for new, old in enumerate(sorted(kept))}
    found: list[Part] = []
    for old in sorted(kept):
        parent = numbers.get(parts[old].parent)
        depth = 0 if parent is None else found[parent].depth + 1
        found.append(replace(parts[old], number=len(found), parent=parent, depth=depth))
    return found, {i: numbers.get(number) for i, number in at.items()}


def chains(
    values: Mapping[int, Value],
    shown: Collection[int],
    ends: Collection[int],
    parts: list[Part],
    box: dict[int, int | None],
) -> dict[int, int]:
    """Find repeats among closed parts, and return for each repeat the first of its chain.

    Parts make a chain if they are of one kind, hold the same ops on the same shapes, lie in
    the same part, and everything that leaves one goes into the next; what is at the ends goes
    elsewhere.
    """
    inside: dict[int, list[Value]] = {}
    # where what leaves a part goes
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
            one, other = parts[previous], parts[number]
            alike = one.module.kind == other.module.kind and one.parent == other.parent
            if alike and ops[previous] == ops[number]:
                firsts[number] = firsts.get(previous, previous)
        previous = number
    return firsts


def gather(
    values: Mapping[int, Value],
    shown: Collection[int],
    box: dict[int, int | None],
    firsts: dict[int, int],
) -> frozenset[int]:
    """Take what prepares inputs into the only box that uses it, where it uses many; return it.

    Such are the inputs of an unrolled recurrence, unnamed constants or x[t]: one wire each would
    hide all else.
    """
    users: dict[int, set[int | None]] = {}
    for value in values.values():
        into = box[value.id]
        into = None if into is None or value.id not in shown else firsts.get(into, into)
        for i in value.inputs:
            if i in shown and box[i] is None and _prepares(values[i], values):
                users.setdefault(i, set()).add(into)
    found: dict[int, list[int]] = {}
    for i, boxes in users.items():
        (only, *others) = boxes
        if only is not None and not others:
            found.setdefault(only, []).append(i)
    many = {i: number for number, few in found.items() if len(few) > MANY_INPUTS for i in few}
    box.update(many)
    return frozenset(many)


def _prepares(value: Value, values: Mapping[int, Value]) -> bool:
    """Say whether a value is an unnamed constant, or an unnamed op on nothing but leaves."""
    if value.name is not None or value.shape is None:
        return False
    if not value.inputs:
        return value.kind == "constant"
    return not any(values[i].inputs for i in value.inputs)


def _structure(
    members: list[Value], values: Mapping[int, Value], box: dict[int, int | None]
) -> list[object]:
    """Describe the ops of a part so that equal ones have equal descriptions."""
    number = box[members[0].id]
    own = {value.id: place for place, value in enumerate(members)}
    others: dict[int, int] = {}  # by the order of their first uses
    found: list[object] = []
    for value in members:
        places = [own[i] if i in own else ~others.setdefault(i, len(others)) for i in value.inputs]
        found.append((value.op, value.output, value.shape, value.dtype, places))
    found.extend((values[i].shape, values[i].dtype, box[i] == number) for i in others)
    return found
