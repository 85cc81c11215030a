"""Focus: the neighbourhood of one value, or of one module."""

import difflib
from collections.abc import Collection, Sequence

from graphgrad.errors import PictureError
from graphgrad.viz.drawing.texts import readable
from graphgrad.viz.snapshots.snapshot import Snapshot, Value


def neighbourhood(
    snapshot: Snapshot, shown: Collection[int], focus: int | str, radius: int
) -> frozenset[int]:
    """Return the values within a radius of the focus; paths do not go through shared leaves."""
    values = snapshot.values
    seeds = _seeds(values, focus)
    found = set(seeds & set(shown))
    if not found:
        raise PictureError(f"focus: {focus!r} takes no part in differentiation")
    users: dict[int, list[int]] = {}
    for v in values:
        for i in dict.fromkeys(v.inputs):
            users.setdefault(i, []).append(v.id)
    frontier = list(found)
    for _ in range(min(radius, len(values))):
        reached = []
        for i in frontier:
            if values[i - 1].inputs or i in seeds:
                for j in (*values[i - 1].inputs, *users.get(i, ())):
                    if j in shown and j not in found:
                        found.add(j)
                        reached.append(j)
        frontier = reached
    found.update(v.inputs[0] for v in values if v.id in found and v.kind == "output")
    leaves = {i for v in values if v.id in found for i in v.inputs if not values[i - 1].inputs}
    return frozenset(found.union(leaves & set(shown)))


def _seeds(values: Sequence[Value], focus: int | str) -> set[int]:
    if isinstance(focus, int):
        if not 1 <= focus <= len(values):
            raise PictureError(
                f"focus: the graph has no value {focus}; ids go from 1 to {len(values)}, "
                "graph.snapshot.values lists them"
            )
        return {focus}
    found = {v.id for v in values if v.name == focus}
    if found:
        return found
    inside = f"{focus}."
    found = {v.id for v in values if v.module is not None and f"{v.module}.".startswith(inside)}
    if found:
        return found
    names = list(dict.fromkeys(v.name for v in values if v.name))
    names += list(dict.fromkeys(v.module for v in values if v.module))
    close_to = difflib.get_close_matches(focus[:100], names[:1000], 3) or names[:3]
    some = ", ".join(f"'{readable(name, 40)}'" for name in close_to)
    hint = f"there is, for example, {some}" if some else "name a tensor by its .name"
    raise PictureError(
        f"focus: no value and no module is called '{readable(focus, 40)}'; {hint}; the id of a "
        "value does it too"
    )
