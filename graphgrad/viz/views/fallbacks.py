"""Retreat: ever simpler pictures of a graph, for one that cannot be laid out in time."""

from collections.abc import Iterator

import numpy as np

from graphgrad.viz.snapshots.snapshot import Snapshot
from graphgrad.viz.views.grouping import find_parts
from graphgrad.viz.views.looks import Look
from graphgrad.viz.views.view import view

FEW = 20  # so many visible values are always laid out in time
RADII: tuple[int, ...] = (16, 8, 4, 2, 1, 0)


def simpler(snapshot: Snapshot, look: Look) -> Iterator[tuple[Look, str]]:
    """Yield looks that show less and less, and say of each in words what it shows.

    First modules are closed, from lower and lower depths on; then only the neighbourhood of the
    result is left, or a smaller one of the focus. Each shows at most two thirds of what the
    one before did, so they are few; nothing is worked out before it is asked for.
    """
    size = view(snapshot, **look).size
    for tried, note in _looks(snapshot, look):
        if size <= FEW:
            return
        fewer = view(snapshot, **tried).size
        if 3 * fewer <= 2 * size:
            size = fewer
            yield tried, note


def _looks(snapshot: Snapshot, look: Look) -> Iterator[tuple[Look, str]]:
    collapse, focus = look.get("collapse"), look.get("focus")
    depth = max((part.depth for part in find_parts(snapshot)[0]), default=-1) + 1
    if isinstance(collapse, int | np.integer):
        depth = min(depth, collapse)
    for closed in reversed(range(depth)):
        note = f"modules are closed from depth {closed} on"
        yield {**look, "collapse": closed}, note
        yield {**look, "collapse": closed, "merge": True}, f"{note}, and repeats are one box"
    if focus is None:
        focus, around, radii = snapshot.result.id, "result", RADII
    else:
        around, radii = "focus", tuple(reversed(range(look.get("radius", 2))))
    for radius in radii:
        ops = f"only what is up to {radius} ops away from" if radius > 1 else "little more than"
        yield {**look, "focus": focus, "radius": radius}, f"{ops} the {around} is shown"
