"""Fallbacks: simpler and simpler views of a graph that cannot be laid out in time."""

from collections.abc import Iterator

import numpy as np

from graphgrad.viz.snapshots.snapshot import Snapshot
from graphgrad.viz.views.grouping import find_regions
from graphgrad.viz.views.options import ViewOptions
from graphgrad.viz.views.view import view

ALWAYS_IN_TIME = 20  # visible values that are always laid out in time
RADII: tuple[int, ...] = (16, 8, 4, 2, 1, 0)


def simpler(snapshot: Snapshot, options: ViewOptions) -> Iterator[tuple[ViewOptions, str]]:
    """Yield options that show less and less, each with a note on what they show.

    First modules are closed, from lower and lower depths on; then only the neighbourhood of the
    result is left, or a smaller one of the focus. Each view has at most two thirds of the values
    of the one before, so there are few. Lazy: a view is made when it is asked for.
    """
    size = view(snapshot, **options).size
    for fewer, note in _options(snapshot, options):
        if size <= ALWAYS_IN_TIME:
            return
        visible = view(snapshot, **fewer).size
        if 3 * visible <= 2 * size:
            size = visible
            yield fewer, note


def _options(snapshot: Snapshot, options: ViewOptions) -> Iterator[tuple[ViewOptions, str]]:
    collapse, focus = options.get("collapse"), options.get("focus")
    depth = max((region.depth for region in find_regions(snapshot)[0]), default=-1) + 1
    if isinstance(collapse, int | np.integer):
        depth = min(depth, collapse)
    for closed in reversed(range(depth)):
        note = f"modules are closed from depth {closed} on"
        yield {**options, "collapse": closed}, note
        yield {**options, "collapse": closed, "merge": True}, f"{note}, and repeats are one box"
    if focus is None:
        focus, around, radii = snapshot.result.id, "result", RADII
    else:
        around, radii = "focus", tuple(reversed(range(options.get("radius", 2))))
    for radius in radii:
        ops = f"only what is up to {radius} ops away from" if radius > 1 else "little more than"
        yield {**options, "focus": focus, "radius": radius}, f"{ops} the {around} is shown"
