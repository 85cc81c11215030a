"""From placed drawings to SVG: half of the bytes of Graphviz's own, with ids to step through.

Every item is a group with the id of the item. Looks are in classes: a file of its own brings
its style along, a page has another, light and dark.
"""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from graphgrad.viz.drawing.dot_writer import NAME_HEIGHT
from graphgrad.viz.drawing.items import (
    LINE_HEIGHT,
    Box,
    Circle,
    Cluster,
    Dots,
    Item,
    Wire,
    drawing,
)
from graphgrad.viz.drawing.placement import (
    ARROW,
    DIAMETER,
    GAP,
    SMALL,
    STACKED,
    Placed,
    Point,
    extent,
    line_of,
    place,
)
from graphgrad.viz.drawing.texts import text_width
from graphgrad.viz.views.heat import LEGEND, Heat, ink
from graphgrad.viz.views.view import View

PAD = 8
BUNDLE = 32  # elements in a group
DOWN = 3.5  # from the middle of a line of text to its baseline
STYLE = Path(__file__).with_name("picture.css")
ARROWS = (
    '<defs><marker id="head" viewBox="0 0 6 6" refX="5.6" refY="3" markerWidth="6" '
    'markerHeight="6" markerUnits="userSpaceOnUse" orient="auto-start-reverse">'
    '<path d="M0 0.4L6 3L0 5.6z"/></marker></defs>'
)


def svgs(views: Sequence[View], timeout: float, *, page: bool = False) -> list[str]:
    """Draw views, all by one layout; for a page without style, but with what edges join.

    Raises
    ------
    PictureError
        Without Graphviz, if it fails, or when the time is over.
    """
    placed = place([drawing(view) for view in views], timeout)
    return [_Picture(one, page=page).text() for one in placed]


class _Picture:
    """One SVG."""

    def __init__(self, placed: Placed, *, page: bool) -> None:
        self.placed = placed
        self.page = page
        self.drawn = placed.drawing

    def text(self) -> str:
        caption, caption_width, caption_height = self.caption()
        width = max(self.placed.width, caption_width) + 2 * PAD
        height = self.placed.height + caption_height + 2 * PAD
        top = -PAD - self.drawn.down * caption_height
        box = f"{-PAD} {top:g} {width:.0f} {height:.0f}"
        alone = (
            f' xmlns="http://www.w3.org/2000/svg" width="{width:.0f}pt" height="{height:.0f}pt" '
            f'role="img" aria-label="computational graph of {escape(self.drawn.title)}"'
        )
        ground = f'<rect fill="#fff" x="{-PAD}" y="{top:g}" width="100%" height="100%"/>\n'
        style = f"<style>{STYLE.read_text('utf-8')}</style>\n{ground}"
        kind = f"gg {self.drawn.direction}{' down' * self.drawn.down}"
        parts = [
            f'<svg class="{kind}" viewBox="{box}"{"" if self.page else alone}>\n',
            "" if self.page else style,
            f"{ARROWS}\n",
            *self.edges(),
            *map(self.cluster, self.drawn.clusters),
            *_bundles(list(map(self.item, self.drawn.items)), "items"),
            caption,
            "</svg>\n",
        ]
        return "".join(parts)

    # ----------------------------------------------------------------------------- items

    def item(self, item: Item) -> str:
        x, y = self.placed.corners[item.id]
        match item:
            case Wire():
                return self.wire(item, x, y)
            case Circle():
                return self.circle(item, x, y)
            case Box():
                return self.box(item, x, y)
            case Dots():
                room = extent(item)
                text = _text("dots", "…", x + room.width / 2, y + room.height / 2)
                return f'<g id="{item.id}">{text}</g>\n'

    def circle(self, op: Circle, x: float, y: float) -> str:
        room = extent(op)
        middle = x + room.width / 2, y + room.height / 2
        fill = _fill(op.fill)
        if room.width == DIAMETER:
            cx, cy = map(_short, middle)
            shape = f'<circle cx="{cx}" cy="{cy}" r="{DIAMETER // 2}"{fill}/>'
        else:
            shape = _rect(x, y, room.width, room.height, f' rx="{room.height // 2}"{fill}')
        kind = "symbol big" if len(op.symbol) == 1 else "symbol"
        text = _text(kind, op.symbol, *middle, on=op.fill)
        return self.group("op", op.id, shape + text, op.tooltip)

    def box(self, box: Box, x: float, y: float) -> str:
        room = extent(box)
        behind = STACKED * box.repeated
        width, height = room.width - behind, room.height - behind
        shape = _rect(x + behind, y, width, height, ' rx="6"') if behind else ""
        y += behind
        shape += _rect(x, y, width, height, f' rx="6"{_fill(box.fill)}')
        middle, line = x + width / 2, y + 5 + LINE_HEIGHT / 2
        title = _titled(box.title, box.path)
        texts = [_text("title", title, middle, line, on=box.fill, escaped=True)]
        texts.append(_text("small", box.counts, middle, line + LINE_HEIGHT, on=box.fill))
        if box.gradient:
            line += 2 * LINE_HEIGHT
            texts.append(_text("gradient small", box.gradient, middle, line, on=box.fill))
        return self.group("box", box.id, shape + "".join(texts), box.tooltip)

    def wire(self, wire: Wire, x: float, y: float) -> str:
        name = escape(wire.name)
        if wire.output is not None:
            name = f'<tspan class="faint">[{wire.output}]</tspan> {name}'.rstrip()
        parts = (self.line_down if wire.down else self.line_right)(wire, x, y, name)
        kinds = {"value": "value", "again": "value again", "use": "use"}
        kind = kinds[wire.kind] + (" leaf" if wire.in_front else "")
        return self.group(kind, wire.id, "".join(parts))

    def line_right(self, wire: Wire, x: float, y: float, name: str) -> list[str]:
        """Write a line to the right, with texts above and below it, and a leaf's name before it."""
        room = extent(wire)
        (start, line), (end, _) = line_of(wire, (x, y))
        middle = (start + end - ARROW * wire.ends) / 2
        parts, top = [], line - 3 - LINE_HEIGHT / 2
        if name and wire.in_front:
            if wire.fill:
                ground = f' rx="3" fill="{wire.fill}"'
                parts.append(_rect(x, line - 10, room.front - 2, 20, ground))
            parts.append(
                _text("name", name, x + room.front / 2 - 1, line, on=wire.fill, escaped=True)
            )
        elif name:
            parts.append(
                _text("name", name, middle, top - len(wire.above) * LINE_HEIGHT, escaped=True)
            )
        parts.append(_line(wire, f"M{_short(start - 0.5)} {_short(line)}H{_short(end + 0.5)}"))
        lines = enumerate(reversed(wire.above))
        above = [_text("number", text, middle, top - i * LINE_HEIGHT) for i, text in lines]
        parts += reversed(above)
        top = line + 3.5 + LINE_HEIGHT / 2
        for i, text in enumerate(wire.below):
            parts.append(_text("gradient", text, middle, top + i * LINE_HEIGHT))
        return parts

    def line_down(self, wire: Wire, x: float, y: float, name: str) -> list[str]:
        """Write a line that leads down, with texts beside it, and a leaf's name above it."""
        room = extent(wire)
        (line, start), (_, end) = line_of(wire, (x, y))
        parts, texts = [], [("number", text) for text in wire.above]
        texts += [("gradient", text) for text in wire.below]
        beside, top = line + GAP, start + 2 + LINE_HEIGHT / 2
        if name and wire.in_front:
            middle = y + NAME_HEIGHT / 2
            if wire.fill:
                ground = f' rx="3" fill="{wire.fill}"'
                parts.append(_rect(x, y, 2 * room.front + 1, NAME_HEIGHT, ground))
            parts.append(_text("name", name, line, middle, on=wire.fill, escaped=True))
        elif name:
            parts.append(_text("name", name, beside, top, escaped=True))
            top += LINE_HEIGHT
        parts.append(_line(wire, f"M{_short(line)} {_short(start - 0.5)}V{_short(end + 0.5)}"))
        for i, (kind, text) in enumerate(texts):
            parts.append(_text(kind, text, beside, top + i * LINE_HEIGHT))
        return parts

    def group(self, kind: str, name: str, inside: str, tooltip: str = "") -> str:
        """Write a group; what a tooltip says, a page says itself, aloud too."""
        if tooltip and not self.page:
            inside = f"<title>{escape(tooltip)}</title>{inside}"
        return f'<g class="{kind}" id="{name}">{inside}</g>\n'

    # ------------------------------------------------------------------- around the items

    def edges(self) -> Iterator[str]:
        """Write the edges, those of a kind in a group; in a page with what they join."""
        kinds: dict[str, list[str]] = {}
        for edge, path in zip(self.drawn.edges, self.placed.paths, strict=True):
            ends = f' data-ends="{edge.tail} {edge.head}"' if self.page else ""
            way = f"{'L' if len(path) == 2 else 'C'}{' '.join(map(_point, path[1:]))}"
            line = f'<path{ends} d="M{_point(path[0])}{way}"/>'
            kinds.setdefault(edge.kind, []).append(line)
        for kind, lines in kinds.items():
            yield from _bundles(lines, f"edge {kind}")

    def cluster(self, part: Cluster) -> str:
        (x, y), (right, bottom) = self.placed.frames[part.number]
        shape = _rect(x, y, right - x, bottom - y, ' rx="8"')
        text = _text(
            "title", _titled(part.title, part.path), x + 8, y + 8 + LINE_HEIGHT / 2, escaped=True
        )
        kind = "part gradients" if part.backward else "part"
        return f'<g class="{kind}" id="p{part.number}">{shape}{text}</g>\n'

    def caption(self) -> tuple[str, float, float]:
        """Write the legend of the heat and the note, and say how large they are.

        Below all else, or above what leads down, for a tall picture is seen from its top.
        """
        heat, note = self.drawn.heat, self.drawn.note
        if heat is None and not note:
            return "", 0.0, 0.0
        height = 6.0 + (LINE_HEIGHT + 6) * (heat is not None) + LINE_HEIGHT * len(note)
        y = -height if self.drawn.down else self.placed.height + 6
        parts, widths = [], [text_width(line) * SMALL for line in note]
        if heat is not None:
            legend, width = _legend(heat, y)
            parts.append(legend)
            widths.append(width)
            y += LINE_HEIGHT + 6
        for i, line in enumerate(note):
            parts.append(_text("words small", line, 0, y + (i + 0.5) * LINE_HEIGHT))
        return f'<g class="note">{"".join(parts)}</g>\n', max(widths), height


def _legend(heat: Heat, y: float) -> tuple[str, float]:
    x = text_width(LEGEND) * SMALL + 8
    parts = [_text("words small", LEGEND, 0, y + LINE_HEIGHT / 2)]
    for color, text in heat.legend():
        width = text_width(text) * SMALL + 10
        parts.append(_rect(x, y, width, LINE_HEIGHT, f' fill="{color}"'))
        parts.append(_text("small", text, x + width / 2, y + LINE_HEIGHT / 2, on=color))
        x += width
    return "".join(parts), x


# ----------------------------------------------------------------------------- elements


def _bundles(elements: list[str], kind: str) -> Iterator[str]:
    """Group elements, some at a time: a browser then passes over those that are out of sight."""
    for start in range(0, len(elements), BUNDLE):
        yield f'<g class="{kind}">{"".join(elements[start : start + BUNDLE])}</g>\n'


def _text(kind: str, text: str, x: float, y: float, *, on: str = "", escaped: bool = False) -> str:
    """Write a text around the height y; on a colour of heat in black or white."""
    if not text:
        return ""
    if on:
        kind += " white" if ink(on) == "#FFFFFF" else " black"
    text = text if escaped else escape(text)
    return f'<text class="{kind}" x="{_short(x)}" y="{_short(y + DOWN)}">{text}</text>'


def _line(wire: Wire, way: str) -> str:
    """Write the line of a value, with an arrow where it is the result."""
    return f'<path class="line{" end" * wire.ends}" d="{way}"/>'


def _titled(title: str, path: str) -> str:
    """Write the class of a module and its path."""
    return escape(title) + (f'<tspan class="path">  {escape(path)}</tspan>' if path else "")


def _rect(x: float, y: float, width: float, height: float, more: str) -> str:
    return (
        f'<rect x="{_short(x)}" y="{_short(y)}" width="{_short(width)}" '
        f'height="{_short(height)}"{more}/>'
    )


def _fill(color: str) -> str:
    return f' fill="{color}"' if color else ""


def _point(point: Point) -> str:
    return " ".join(map(_short, point))


def _short(x: float) -> str:
    """Write a place to a tenth of a point."""
    return f"{round(x, 1) or 0:g}" if abs(x) < 1e5 else f"{x:.0f}"
