"""Places for the items of drawings, by Graphviz: boxes of fixed size go in, points come out.

All in points, with y downwards. What is drawn in a box is not Graphviz's business, so
the picture does not depend on the fonts that it finds.
"""

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphgrad.viz.drawing.dot_writer import NAME_HEIGHT, over, rankdir, statements
from graphgrad.viz.drawing.items import (
    IN_A_CIRCLE,
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
from graphgrad.viz.drawing.layout import run
from graphgrad.viz.drawing.texts import FONT_SIZE, text_width

DIAMETER, PILL_HEIGHT = 28, 26
SMALL = 9 / 11  # the size of small print to that of the rest
STACKED = 3  # how far the box behind one that is repeated peeps out
ALMOST = 2  # points that an edge may be off a straight line
ARROW = 14  # how far the line of the result goes on
GAP = 5  # from such a line to the texts beside it

Point = tuple[float, float]

HEAD = """\
digraph graphgrad {
  graph [rankdir=%s, ranksep=0.2, nodesep=0.16, pad=0]
  node [shape=box, fixedsize=true, label=""]
  edge [weight=4, arrowhead=none]
"""


@dataclass(frozen=True, slots=True)
class Placed:
    """A drawing with its places."""

    drawing: Drawing
    width: float
    height: float
    corners: dict[str, Point]  # by item: its upper left corner
    paths: tuple[
        tuple[Point, ...], ...
    ]  # by edge: a start, then an end or three points per Bézier curve
    frames: dict[int, tuple[Point, Point]]  # by cluster: upper left and lower right corner


@dataclass(frozen=True, slots=True)
class Extent:
    """The size of an item; of a wire also where in it the line is."""

    width: int
    height: int
    front: int = 0  # how far to the right in it the line begins
    above: int = 0  # how far down


def extent(item: Item) -> Extent:
    """Return the room that an item needs."""
    match item:
        case Wire():
            return _wire_down(item) if item.down else _wire(item)
        case Circle():
            if len(item.symbol) <= IN_A_CIRCLE:
                return Extent(DIAMETER, DIAMETER)
            return Extent(math.ceil(text_width(item.symbol)) + 16, PILL_HEIGHT)
        case Box():
            title = text_width(item.title, bold=True) + text_width(f"  {item.path}")
            small = max(text_width(item.counts), text_width(item.gradient)) * SMALL
            lines = 2 + bool(item.gradient)
            behind = STACKED * item.repeated
            height = lines * LINE_HEIGHT + 10 + behind
            return Extent(math.ceil(max(title, small)) + 20 + behind, height)
        case Dots():
            return Extent(18, 14)


def _wire(wire: Wire) -> Extent:
    front = 0
    if wire.in_front and wire.named:
        front = math.ceil(text_width(wire.name, bold=True)) + 10
    above = (len(wire.above) + (wire.named and not wire.in_front)) * LINE_HEIGHT + 3
    below = len(wire.below) * LINE_HEIGHT + 4
    length = math.ceil(wire.length) + 4 + ARROW * wire.ends
    return Extent(front + length, above + below + 1, front, above)


def _wire_down(wire: Wire) -> Extent:
    front = over(wire)
    above = NAME_HEIGHT if front else 0
    length = math.ceil(wire.length) + 4 + ARROW * wire.ends
    beside = max(front, math.ceil(wire.texts) + GAP)
    return Extent(front + 1 + beside, above + length, front, above)


def line_of(wire: Wire, corner: Point) -> tuple[Point, Point]:
    """Return where the line of a wire begins and ends."""
    room, (x, y) = extent(wire), corner
    start = x + room.front, y + room.above
    if wire.down:
        return (start[0] + 0.5, start[1]), (start[0] + 0.5, y + room.height)
    return (start[0], start[1] + 0.5), (x + room.width, start[1] + 0.5)


def place(drawings: Sequence[Drawing], timeout: float) -> list[Placed]:
    """Lay drawings out, all by one process.

    Raises
    ------
    PictureError
        Without Graphviz, if it fails, or when the time is over.
    """
    told = run([_boxes(drawn) for drawn in drawings], "json0", timeout).decode()
    found = []
    decoder = json.JSONDecoder(strict=False)
    for drawn in drawings:
        graph, end = decoder.raw_decode(told)
        told = told[end:].lstrip()
        found.append(_read(drawn, graph))
    return found


def _boxes(drawn: Drawing) -> str:
    """Write a drawing as DOT: boxes of fixed size, each with the number of its item."""
    return "".join(
        [HEAD % rankdir(drawn), *statements(drawn, _fixed, _heading, lambda _: []), "}\n"]
    )


def _fixed(item: Item) -> str:
    room = extent(item)
    if isinstance(item, Wire):
        wide, high = room.width - room.front, room.height - room.above
        if item.down:
            side = _cell(room.front, high) if room.front else ""
            line = _cell(1, high, ' PORT="w"')
            rows = [side + line + _cell(wide - 1, high)]
            if room.above:
                rows.insert(0, _cell(room.width, room.above, ' COLSPAN="3"'))
        else:
            side = _cell(room.front, room.height, ' ROWSPAN="3"') if room.front else ""
            rows = [
                side + _cell(wide, room.above),
                _cell(wide, 1, ' PORT="w"'),
                _cell(wide, high - 1),
            ]
        label = "".join(f"<TR>{row}</TR>" for row in rows)
        return f"shape=plain, fixedsize=false, label=<{TABLE}{label}</TABLE>>"
    shape = "shape=circle, " if room.width == room.height == DIAMETER else ""
    ordering = ", ordering=in" if isinstance(item, Circle) else ""
    return f"{shape}width={room.width / 72:.4f}, height={room.height / 72:.4f}{ordering}"


TABLE = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">'


def _cell(width: int, height: int, more: str = "") -> str:
    return f'<TD FIXEDSIZE="TRUE" WIDTH="{width}" HEIGHT="{height}"{more}></TD>'


def _heading(part: Cluster) -> str:
    text = text_width(part.title, bold=True) + text_width(f"  {part.path}")
    room = _cell(math.ceil(text * 10 / FONT_SIZE), LINE_HEIGHT)
    return f"labelloc=t, labeljust=l, margin=8, label=<{TABLE}<TR>{room}</TR></TABLE>>"


# ----------------------------------------------------------------------- what comes back


def _read(drawn: Drawing, graph: dict[str, Any]) -> Placed:
    left, bottom, right, top = _numbers(graph["bb"])

    def point(x: float, y: float) -> Point:
        return x - left, top - y

    corners: dict[str, Point] = {}
    frames: dict[int, tuple[Point, Point]] = {}
    for told in graph.get("objects", ()):
        name = told["name"]
        if name.startswith("cluster_"):
            x0, y0, x1, y1 = _numbers(told["bb"])
            frames[int(name.removeprefix("cluster_"))] = point(x0, y1), point(x1, y0)
        else:
            corners[name] = point(*_numbers(told["pos"]))
    for item in drawn.items:
        room, (x, y) = extent(item), corners[item.id]
        corners[item.id] = x - room.width / 2, y - room.height / 2
    edges = graph.get("edges", ())
    names = {told["_gvid"]: told["name"] for told in graph.get("objects", ())}
    curves: dict[tuple[str, str], list[tuple[Point, ...]]] = {}
    for told in sorted(edges, key=lambda told: told["_gvid"]):
        numbers = _numbers(told["pos"].replace(" ", ","))
        path = tuple(itertools.starmap(point, zip(numbers[::2], numbers[1::2], strict=True)))
        curves.setdefault((names[told["tail"]], names[told["head"]]), []).append(path)
    lines = {i.id: line_of(i, corners[i.id]) for i in drawn.items if isinstance(i, Wire)}
    across = 0 if drawn.down else 1  # the coordinate that is the same all along a straight line
    paths = tuple(_joined(curves[e.tail, e.head].pop(0), e, lines, across) for e in drawn.edges)
    return Placed(drawn, right - left, top - bottom, corners, paths, frames)


def _joined(
    path: tuple[Point, ...], edge: Edge, lines: dict[str, tuple[Point, Point]], across: int
) -> tuple[Point, ...]:
    """Let an edge meet the lines at its ends, which Graphviz misses by up to a point or two."""
    start = lines[edge.tail][1] if edge.tail in lines else path[0]
    end = lines[edge.head][0] if edge.head in lines else path[-1]
    if all(abs(point[across] - start[across]) <= ALMOST for point in path):
        if edge.head not in lines:  # the rim of an op: a little off its middle is not seen
            end = _level(end, start, across)
        elif edge.tail not in lines:
            start = _level(start, end, across)
        return start, end
    return start, *path[1:-1], end


def _level(point: Point, other: Point, across: int) -> Point:
    """Move a point to where another is across a line."""
    return (point[0], other[1]) if across else (other[0], point[1])


def _numbers(text: str) -> list[float]:
    return [float(x) for x in text.split(",")]
