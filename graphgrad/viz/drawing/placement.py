"""Positions of the items of drawings, by Graphviz: boxes of fixed size go in, positions come out.

All in points, with y downwards. Graphviz sees no text, so the picture does not depend on the fonts
of the machine.
"""

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphgrad.viz.drawing.dot_writer import NAME_HEIGHT, name_overhang, rankdir, statements
from graphgrad.viz.drawing.items import (
    CIRCLE_SYMBOL_LENGTH,
    LINE_HEIGHT,
    Box,
    Circle,
    Cluster,
    Dots,
    Drawing,
    Edge,
    Item,
    Wire,
)
from graphgrad.viz.drawing.layout import run_graphviz
from graphgrad.viz.drawing.texts import FONT_SIZE, text_width

DIAMETER, PILL_HEIGHT = 28, 26
SMALL_TEXT = 9 / 11  # font size of small text, relative to the rest
STACK_OFFSET = 3  # offset of the second box behind a repeated one
STRAIGHT_TOLERANCE = 2  # deviation up to which an edge is drawn straight
ARROW_LENGTH = 14  # extra length of a result's line
TEXT_GAP = 5  # from a vertical line to the texts beside it

Point = tuple[float, float]

HEAD = """\
digraph graphgrad {
  graph [rankdir=%s, ranksep=0.2, nodesep=0.16, pad=0]
  node [shape=box, fixedsize=true, label=""]
  edge [weight=4, arrowhead=none]
"""


@dataclass(frozen=True, slots=True)
class Placed:
    """A drawing with its positions."""

    drawing: Drawing
    width: float
    height: float
    corners: dict[str, Point]  # by item: the upper left corner
    paths: tuple[
        tuple[Point, ...], ...
    ]  # by edge: start and end, or start and three points per Bézier curve
    frames: dict[int, tuple[Point, Point]]  # by cluster: upper left and lower right corner


@dataclass(frozen=True, slots=True)
class Extent:
    """The size of an item; of a wire also the position of the line in it."""

    width: int
    height: int
    line_x: int = 0
    line_y: int = 0


def extent(item: Item) -> Extent:
    """Return the size of an item."""
    match item:
        case Wire():
            return _wire_down(item) if item.down else _wire(item)
        case Circle():
            if len(item.symbol) <= CIRCLE_SYMBOL_LENGTH:
                return Extent(DIAMETER, DIAMETER)
            return Extent(math.ceil(text_width(item.symbol)) + 16, PILL_HEIGHT)
        case Box():
            title = text_width(item.title, bold=True) + text_width(f"  {item.path}")
            small = max(text_width(item.counts), text_width(item.gradient)) * SMALL_TEXT
            lines = 2 + bool(item.gradient)
            behind = STACK_OFFSET * item.repeated
            height = lines * LINE_HEIGHT + 10 + behind
            return Extent(math.ceil(max(title, small)) + 20 + behind, height)
        case Dots():
            return Extent(18, 14)


def _wire(wire: Wire) -> Extent:
    front = 0
    if wire.name_in_front and wire.has_name:
        front = math.ceil(text_width(wire.name, bold=True)) + 10
    above = (len(wire.above) + (wire.has_name and not wire.name_in_front)) * LINE_HEIGHT + 3
    below = len(wire.below) * LINE_HEIGHT + 4
    length = math.ceil(wire.length) + 4 + ARROW_LENGTH * wire.is_result
    return Extent(front + length, above + below + 1, front, above)


def _wire_down(wire: Wire) -> Extent:
    front = name_overhang(wire)
    above = NAME_HEIGHT if front else 0
    length = math.ceil(wire.length) + 4 + ARROW_LENGTH * wire.is_result
    beside = max(front, math.ceil(wire.texts_width) + TEXT_GAP)
    return Extent(front + 1 + beside, above + length, front, above)


def line_of(wire: Wire, corner: Point) -> tuple[Point, Point]:
    """Return the start and the end of the line of a wire."""
    size, (x, y) = extent(wire), corner
    start = x + size.line_x, y + size.line_y
    if wire.down:
        return (start[0] + 0.5, start[1]), (start[0] + 0.5, y + size.height)
    return (start[0], start[1] + 0.5), (x + size.width, start[1] + 0.5)


def place(drawings: Sequence[Drawing], timeout: float) -> list[Placed]:
    """Lay out drawings, by a single process.

    Raises
    ------
    PictureError
        Without Graphviz, if it fails, or if it takes too long.
    """
    output = run_graphviz([_boxes(drawn) for drawn in drawings], "json0", timeout).decode()
    found = []
    decoder = json.JSONDecoder(strict=False)
    for drawn in drawings:
        graph, end = decoder.raw_decode(output)
        output = output[end:].lstrip()
        found.append(_read(drawn, graph))
    return found


def _boxes(drawn: Drawing) -> str:
    """Write a drawing as DOT: boxes of fixed size, named by the ids of the items."""
    return "".join(
        [
            HEAD % rankdir(drawn),
            *statements(drawn, _box_attributes, _cluster_attributes, lambda _: []),
            "}\n",
        ]
    )


def _box_attributes(item: Item) -> str:
    size = extent(item)
    if isinstance(item, Wire):
        wide, high = size.width - size.line_x, size.height - size.line_y
        if item.down:
            side = _cell(size.line_x, high) if size.line_x else ""
            line = _cell(1, high, ' PORT="w"')
            rows = [side + line + _cell(wide - 1, high)]
            if size.line_y:
                rows.insert(0, _cell(size.width, size.line_y, ' COLSPAN="3"'))
        else:
            side = _cell(size.line_x, size.height, ' ROWSPAN="3"') if size.line_x else ""
            rows = [
                side + _cell(wide, size.line_y),
                _cell(wide, 1, ' PORT="w"'),
                _cell(wide, high - 1),
            ]
        label = "".join(f"<TR>{row}</TR>" for row in rows)
        return f"shape=plain, fixedsize=false, label=<{TABLE}{label}</TABLE>>"
    shape = "shape=circle, " if size.width == size.height == DIAMETER else ""
    ordering = ", ordering=in" if isinstance(item, Circle) else ""
    return f"{shape}width={size.width / 72:.4f}, height={size.height / 72:.4f}{ordering}"


TABLE = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">'


def _cell(width: int, height: int, more: str = "") -> str:
    return f'<TD FIXEDSIZE="TRUE" WIDTH="{width}" HEIGHT="{height}"{more}></TD>'


def _cluster_attributes(region: Cluster) -> str:
    text = text_width(region.title, bold=True) + text_width(f"  {region.path}")
    size = _cell(math.ceil(text * 10 / FONT_SIZE), LINE_HEIGHT)
    return f"labelloc=t, labeljust=l, margin=8, label=<{TABLE}<TR>{size}</TR></TABLE>>"


# ------------------------------------------------------------------------- Graphviz's JSON


def _read(drawn: Drawing, graph: dict[str, Any]) -> Placed:
    left, bottom, right, top = _numbers(graph["bb"])

    def point(x: float, y: float) -> Point:
        return x - left, top - y

    corners: dict[str, Point] = {}
    frames: dict[int, tuple[Point, Point]] = {}
    for entry in graph.get("objects", ()):
        name = entry["name"]
        if name.startswith("cluster_"):
            x0, y0, x1, y1 = _numbers(entry["bb"])
            frames[int(name.removeprefix("cluster_"))] = point(x0, y1), point(x1, y0)
        else:
            corners[name] = point(*_numbers(entry["pos"]))
    for item in drawn.items:
        size, (x, y) = extent(item), corners[item.id]
        corners[item.id] = x - size.width / 2, y - size.height / 2
    edges = graph.get("edges", ())
    names = {entry["_gvid"]: entry["name"] for entry in graph.get("objects", ())}
    curves: dict[tuple[str, str], list[tuple[Point, ...]]] = {}
    for entry in sorted(edges, key=lambda entry: entry["_gvid"]):
        numbers = _numbers(entry["pos"].replace(" ", ","))
        path = tuple(itertools.starmap(point, zip(numbers[::2], numbers[1::2], strict=True)))
        curves.setdefault((names[entry["tail"]], names[entry["head"]]), []).append(path)
    lines = {i.id: line_of(i, corners[i.id]) for i in drawn.items if isinstance(i, Wire)}
    across = 0 if drawn.down else 1  # the coordinate that is the same all along a straight line
    paths = tuple(_connected(curves[e.tail, e.head].pop(0), e, lines, across) for e in drawn.edges)
    return Placed(drawn, right - left, top - bottom, corners, paths, frames)


def _connected(
    path: tuple[Point, ...], edge: Edge, lines: dict[str, tuple[Point, Point]], across: int
) -> tuple[Point, ...]:
    """Move the ends of an edge onto the lines, which Graphviz misses by up to two points."""
    start = lines[edge.tail][1] if edge.tail in lines else path[0]
    end = lines[edge.head][0] if edge.head in lines else path[-1]
    if all(abs(point[across] - start[across]) <= STRAIGHT_TOLERANCE for point in path):
        if edge.head not in lines:  # at the rim of an op a small shift does not show
            end = _aligned(end, start, across)
        elif edge.tail not in lines:
            start = _aligned(start, end, across)
        return start, end
    return start, *path[1:-1], end


def _aligned(point: Point, other: Point, across: int) -> Point:
    """Give a point the coordinate of another across the line."""
    return (point[0], other[1]) if across else (other[0], point[1])


def _numbers(text: str) -> list[float]:
    return [float(x) for x in text.split(",")]
