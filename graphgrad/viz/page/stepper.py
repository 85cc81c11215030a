"""The page that steps through a graph, forward and backward, and opens its modules."""

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

from graphgrad.viz.drawing.json_writer import json_ready, value_fields
from graphgrad.viz.drawing.svg_writer import svgs
from graphgrad.viz.drawing.texts import module_title, readable
from graphgrad.viz.page.document import document
from graphgrad.viz.snapshots.snapshot import Snapshot
from graphgrad.viz.views.scenes import Scene, path_of
from graphgrad.viz.views.steps import SceneStep, steps
from graphgrad.viz.views.view import Node, View

NAME_LENGTH = 80
TEXT_LENGTH = 300  # of formulas

ICONS = {
    "first": '<path d="M3 3v10M13 3v10L6 8z"/>',
    "back": '<path d="M12 3v10L4 8z"/>',
    "play": '<path class="one" d="M4.5 2.5v11l9-5.5z"/>'
    '<path class="two" d="M4 3h2v10H4zM10 3h2v10h-2z"/>',
    "next": '<path d="M4 3v10l8-5z"/>',
    "last": '<path d="M13 3v10M3 3v10l7-5z"/>',
}
TITLES = {
    "first": "to the start (Home)",
    "back": "step back (←)",
    "play": "play (space)",
    "next": "step forward (→)",
    "last": "to the end (End)",
}


def stepper(scenes: list[Scene], timeout: float) -> str:
    """Return the page: the first scene is visible, the others are in templates."""
    snapshot = scenes[0].view.snapshot
    title = readable(snapshot.title, NAME_LENGTH)
    pictures = svgs([scene.view for scene in scenes], timeout, page=True)
    kinds, values = _without_repetition([_value(snapshot, i) for i in sorted(_drawn(scenes))])
    data = {
        "ends": snapshot.ends,
        "kinds": kinds,
        "values": values,
        "scenes": [_scene(scene) for scene in scenes],
    }
    body = _body(pictures)
    return document(title, body, data, style="stepper.css", script="stepper.js")


# -------------------------------------------------------------------------------- the data


def _drawn(scenes: Iterable[Scene]) -> set[int]:
    """Return the ids of the values that a scene shows or mentions."""
    drawn: set[int] = set()
    for scene in scenes:
        for node in scene.view.nodes:
            drawn.update(node.outputs, (use.source for use in node.inputs))
            drawn.add(int(node.id[1:]))  # the op, if it has several outputs
    return drawn


PER_VALUE = (
    *("id", "name", "inputs", "output", "numbers", "gradient", "contributions"),
    *("local_numbers", "in_numbers", "local_in_numbers"),
)
OMITTED = ("call", "order", "rule")


def _without_repetition(
    rows: list[dict[str, Any]],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the distinct sets of fields that values share, and the values, each with its set.

    An op in a loop has the same formula, line and shape each time.
    """
    kinds: dict[str, int] = {}
    values = []
    for row in rows:
        common = {name: x for name, x in row.items() if name not in PER_VALUE}
        own = {name: x for name, x in row.items() if name in PER_VALUE}
        kind = kinds.setdefault(json.dumps(common), len(kinds))
        values.append({"like": kind} | own)
    return list(map(json.loads, kinds)), values


def _value(snapshot: Snapshot, number: int) -> dict[str, Any]:
    """Return the fields of a value as in the JSON of a graph, but shorter.

    Of small arrays only the elements; True for a contribution that is the whole gradient.
    """
    value = snapshot.values[number - 1]
    fields = value_fields(value)
    for name in ("numbers", "gradient"):
        if name in fields:
            fields[name] = _elements_or_summary(fields[name])
    if value.kind == "op":  # implied by its inputs
        del fields["kind"]
    if "contributions" in fields:
        fields["contributions"] = [
            (sent is not None and sent == snapshot.values[i - 1].gradient)
            or _elements_or_summary(json_ready(sent))
            for i, sent in zip(value.inputs, value.contributions, strict=True)
        ]
    return {name: _compact(x) for name, x in fields.items() if x != [] and name not in OMITTED}


def _elements_or_summary(numbers: dict[str, Any] | None) -> Any:
    return numbers if numbers is None else numbers.get("elements", numbers)


def _compact(x: Any) -> Any:
    """Make texts readable and write whole numbers as integers, also in lists."""
    if isinstance(x, str):
        return readable(x, TEXT_LENGTH)
    if isinstance(x, float) and x.is_integer() and abs(x) < 1e15:
        return int(x)
    return list(map(_compact, x)) if isinstance(x, list) else x


def _scene(scene: Scene) -> dict[str, Any]:
    return {
        "title": readable(scene.title, NAME_LENGTH),
        "path": readable(scene.path, NAME_LENGTH),
        "parent": scene.parent,
        "box": scene.box,
        "nodes": [_node(node, scene.view) for node in scene.view.nodes],
        "steps": list(map(_step, steps(scene.view))),
    }


def _node(node: Node, view: View) -> dict[str, Any] | str:
    """Return the fields of a node; of a leaf or simple op only the id, if nothing is hidden."""
    fields: dict[str, Any] = {
        "id": node.id,
        "inputs": [use.source for use in node.inputs],
        "outputs": node.outputs,
    }
    if not node.modules:
        number = int(node.id[1:])
        inputs = list(view.value(number).inputs) if node.id[0] == "o" else []
        alone = fields["inputs"] == inputs and node.outputs == (number,)
        return node.id if alone else fields
    values = [view.value(i) for i in node.members]
    return fields | {
        "title": module_title(node.modules, NAME_LENGTH),
        "kind": readable(node.modules[0].kind, NAME_LENGTH),
        "path": readable(path_of(node), NAME_LENGTH),
        "ops": sum(v.kind == "op" for v in values),
        "parameters": sum(math.prod(v.shape or ()) for v in values if v.kind == "leaf"),
        "shares": [
            None if use.contribution is None else _elements_or_summary(json_ready(use.contribution))
            for use in node.inputs
        ],
    }


def _step(step: SceneStep) -> list[Any]:
    """Return a step as a row: direction (f, s, b), node, time, and what appears or arrives."""
    if step.direction == "forward":
        return ["f", step.node, step.time, step.shows]
    arrivals = [[a.value, a.use, a.lines] for a in step.arrivals]
    return [step.direction[0], step.node, step.time, [_trimmed(a) for a in arrivals]]


def _trimmed(row: list[Any]) -> list[Any]:
    while row and row[-1] is None:
        row.pop()
    return row


# -------------------------------------------------------------------------------- the page


def _icon(inner: str) -> str:
    return f'<svg viewBox="0 0 16 16">{inner}</svg>'


def _button(name: str, label: str, inner: str) -> str:
    return f'<button id="{name}" title="{label}">{_icon(inner)}</button>'


def _body(pictures: list[str]) -> str:
    controls = "\n".join(_button(name, TITLES[name], icon) for name, icon in ICONS.items())
    path = '<path d="M8 13V3M3.5 7.5 8 3l4.5 4.5"/>'
    zooms = "".join(
        (
            _button("smaller", "smaller (-)", '<path d="M3 8h10"/>'),
            _button(
                "fit", "fit the window (0)", '<path d="M2 6V2h4M14 10v4h-4M2 2l4 4M14 14l-4-4"/>'
            ),
            _button("larger", "larger (+)", '<path d="M3 8h10M8 3v10"/>'),
        )
    )
    closer = _button("closer", "close (Escape)", '<path d="M4 4l8 8M12 4l-8 8"/>')
    return f"""\
<header>
<nav aria-label="Where in the graph">{_button("out", "out of this module (Backspace)", path)}
<ol id="path"></ol><span id="kind"></span></nav>
<div id="search"><input id="query" type="text" role="combobox" placeholder="Search" \
aria-label="search names, operations, modules and lines" aria-expanded="false" \
aria-controls="hits" aria-autocomplete="list" autocomplete="off" spellcheck="false"><kbd>/</kbd>
<ul id="hits" role="listbox" aria-label="found" hidden></ul></div>
</header>
<main>
<div id="canvas" tabindex="-1" role="group" aria-label="The graph">{pictures[0]}</div>
<div id="zoom" role="group" aria-label="Zoom">{zooms}</div>
</main>
<aside id="panel" tabindex="-1" aria-label="Details" hidden>{closer}<div id="about"></div></aside>
<footer>
<p id="words" role="status" aria-live="polite"><span></span></p>
<div role="group" aria-label="Steps">
{controls}
<input id="slider" type="range" min="0" value="0" aria-label="step">
<span id="count"></span>
</div>
</footer>
{"".join(_templates(pictures[1:]))}"""


def _templates(pictures: list[str]) -> Iterator[str]:
    for number, picture in enumerate(pictures, start=1):
        yield f'<template id="scene{number}">{picture}</template>\n'
