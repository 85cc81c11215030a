"""Scenes: a view of the whole graph, and one of the inside of each closed module."""

from dataclasses import dataclass
from typing import Unpack

from graphgrad.viz.drawing.texts import module_title, readable
from graphgrad.viz.snapshots.snapshot import Snapshot
from graphgrad.viz.views.options import ViewOptions
from graphgrad.viz.views.view import LAYOUT_LIMIT, Node, View, view

TITLE_LENGTH = 32
SCENES = 2000  # values that may be visible in all scenes together


@dataclass(frozen=True, slots=True)
class Scene:
    """One of the views that open into one another."""

    view: View
    title: str  # "Block × 12"; of the outermost scene: of the graph
    path: str  # of the module, or "blocks.0 … blocks.11"; "" in the outermost scene
    parent: int | None  # the index of the scene that holds its box
    box: str | None  # the id of that box there


def scenes(
    snapshot: Snapshot, *, limit: int = SCENES, **options: Unpack[ViewOptions]
) -> list[Scene]:
    """Return the view of a graph and of the inside of each closed module, outer ones first.

    A module has no scene if that would exceed the limit, or be too large for one picture.

    Parameters
    ----------
    limit
        How many values may be visible in all scenes together, not counting the first.
    options
        Those of the first view; the others inherit them.
    """
    return scenes_of(view(snapshot, **options), limit)


def scenes_of(seen: View, limit: int = SCENES) -> list[Scene]:
    """Return the scenes for a view that was already made."""
    title = readable(seen.snapshot.title, TITLE_LENGTH)
    found = [Scene(seen, title, "", None, None)]
    remaining = limit - seen.size
    for place, scene in enumerate(found):  # grows in the loop
        for box in scene.view.nodes:
            # its outputs, at least, are visible inside
            if not box.modules or len(box.outputs) > remaining:
                continue
            inside = scene.view.inside(box)
            if inside.size <= min(remaining, LAYOUT_LIMIT):
                remaining -= inside.size
                title = module_title(box.modules, TITLE_LENGTH)
                found.append(Scene(inside, title, path_of(box), place, box.id))
    return found


def path_of(box: Node) -> str:
    """Return the path of a closed module; of repeated ones those of the first and the last."""
    return " … ".join(dict.fromkeys((box.modules[0].path, box.modules[-1].path)))
