"""Scenes: a view of the whole graph, and one of the inside of each module that is closed there."""

from dataclasses import dataclass
from typing import Unpack

from graphgrad.viz.drawing.texts import module_title, readable
from graphgrad.viz.snapshots.snapshot import Snapshot
from graphgrad.viz.views.looks import Look
from graphgrad.viz.views.view import MOST, Node, View, view

TITLE_LENGTH = 32
SCENES = 2000  # values that may be visible in all of them


@dataclass(frozen=True, slots=True)
class Scene:
    """One of the views that lead into one another."""

    view: View
    title: str  # "Block × 12"; of the outermost one, of the graph
    path: str  # of the module, or "blocks.0 … blocks.11"; "" of the outermost one
    parent: int | None  # the place of the scene that holds its box
    box: str | None  # the id of that box there


def scenes(snapshot: Snapshot, *, limit: int = SCENES, **look: Unpack[Look]) -> list[Scene]:
    """Return the view of a graph, and of the inside of each closed module, outer ones first.

    Where no room is left, or one picture would be too large, a module has no scene.

    Parameters
    ----------
    limit
        How many values may be visible in all scenes together. The first is there in any case.
    look
        What may be said of a view, and is said of the first; the others follow it.
    """
    return scenes_of(view(snapshot, **look), limit)


def scenes_of(seen: View, limit: int = SCENES) -> list[Scene]:
    """Return a view as the first scene, and those of what is closed in it, likewise."""
    title = readable(seen.snapshot.title, TITLE_LENGTH)
    found = [Scene(seen, title, "", None, None)]
    left = limit - seen.size
    for place, scene in enumerate(found):  # grows on the way
        for box in scene.view.nodes:
            # at least what leaves it is visible in it
            if not box.modules or len(box.outputs) > left:
                continue
            inside = scene.view.inside(box)
            if inside.size <= min(left, MOST):
                left -= inside.size
                title = module_title(box.modules, TITLE_LENGTH)
                found.append(Scene(inside, title, path_of(box), place, box.id))
    return found


def path_of(box: Node) -> str:
    """Return the path of a closed module, of repeated ones those of the first and the last."""
    return " … ".join(dict.fromkeys((box.modules[0].path, box.modules[-1].path)))
