"""From placed drawings to SVG, in half of the bytes of Graphviz's own.

Every item is a group with the id of the item, which the stepper uses. Style is in classes: a
standalone file contains its style sheet, a page has another, light and dark.
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
    ARROW_LENGTH,
    DIAMETER,
    SMALL_TEXT,
    STACK_OFFSET,
    TEXT_GAP,
    Placed,
    Point,
    extent,
    line_of,
    place,
)
from graphgrad.viz.drawing.texts import text_width
from graphgrad.viz.views.heat import LEGEND, Heat, text_color
from graphgrad.viz.views.view import View

PAD = 8
GROUP_SIZE = 32  # elements in a group, see `_groups`
TO_BASELINE = 3.5  # from the middle of a line of text down to its baseline
STYLE = Path(__file__).with_name("picture.css")
ARROWHEAD = (
    '<defs><marker id="head" viewBox="0 0 6 6" refX="5.6" refY="3" markerWidth="6" '
    'markerHeight="6" markerUnits="userSpaceOnUse" orient="auto-start-reverse">'
    '<path d="M0 0.4L6 3L0 5.6z"/></marker></defs>'
)


def svgs(views: Sequence[View], timeout: float, *, page: bool = False) -> list[str]:
    """Draw views, by one layout; for a page without style, but with the ends of edges.

    Raises
    ------
    PictureError
        Without Graphviz, if it fails, or if it takes too long.
    """
    placed = place([drawing(view) for view in views], timeout)
    return [_Writer(one, page=page).text() for one in placed]


class _Writer:
    """Writes one SVG."""

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
        background = f'<rect fill="#fff" x="{-PAD}" y="{top:g}" width="100%" height="100%"/>\n'
        style = f"<style>{STYLE.read_text('utf-8')}</style>\n{background}"
        kind = f"gg {self.drawn.direction}{' down' * self.drawn.down}"
        parts = [
            f'<svg class="{kind}" viewBox="{box}"{"" if self.page else alone}>\n',
            "" if self.page else style,
            f"{ARROWHEAD}\n",
            *self.edges(),
            *map(self.cluster, self.drawn.clusters),
            *_groups(list(map(self.item, self.drawn.items)), "items"),
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
                size = extent(item)
                text = _text("dots", "…", x + size.width / 2, y + size.height / 2)
                return f'<g id="{item.id}">{text}</g>\n'

    def circle(self, op: Circle, x: float, y: float) -> str:
        size = extent(op)
        middle = x + size.width / 2, y + size.height / 2
        fill = _fill(op.fill)
        if size.width == DIAMETER:
            cx, cy = map(_coordinate, middle)
            shape = f'<circle cx="{cx}" cy="{cy}" r="{DIAMETER // 2}"{fill}/>'
        else:
            shape = _rect(x, y, size.width, size.height, f' rx="{size.height // 2}"{fill}')
        kind = "symbol big" if len(op.symbol) == 1 else "symbol"
        text = _text(kind, op.symbol, *middle, on=op.fill)
        return self.group("op", op.id, shape + text, op.tooltip)

    def box(self, box: Box, x: float, y: float) -> str:
        size = extent(box)
        behind = STACK_OFFSET * box.repeated
        width, height = size.width - behind, size.height - behind
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
        kind = kinds[wire.kind] + (" leaf" if wire.name_in_front else "")
        return self.group(kind, wire.id, "".join(parts))

    def line_right(self, wire: Wire, x: float, y: float, name: str) -> list[str]:
        """Write a horizontal line, texts above and below it, a leaf's name to its left."""
        size = extent(wire)
        (start, line), (end, _) = line_of(wire, (x, y))
        middle = (start + end - ARROW_LENGTH * wire.is_result) / 2
        parts, top = [], line - 3 - LINE_HEIGHT / 2
        if name and wire.name_in_front:
            if wire.fill:
                background = f' rx="3" fill="{wire.fill}"'
                parts.append(_rect(x, line - 10, size.line_x - 2, 20, background))
            parts.append(
                _text("name", name, x + size.line_x / 2 - 1, line, on=wire.fill, escaped=True)
            )
        elif name:
            parts.append(
                _text("name", name, middle, top - len(wire.above) * LINE_HEIGHT, escaped=True)
            )
        parts.append(
            _line(wire, f"M{_coordinate(start - 0.5)} {_coordinate(line)}H{_coordinate(end + 0.5)}")
        )
        lines = enumerate(reversed(wire.above))
        above = [_text("number", text, middle, top - i * LINE_HEIGHT) for i, text in lines]
        parts += reversed(above)
        top = line + 3.5 + LINE_HEIGHT / 2
        for i, text in enumerate(wire.below):
            parts.append(_text("gradient", text, middle, top + i * LINE_HEIGHT))
        return parts

    def line_down(self, wire: Wire, x: float, y: float, name: str) -> list[str]:
        """Write a vertical line, texts beside it, a leaf's name above it."""
        size = extent(wire)
        (line, start), (_, end) = line_of(wire, (x, y))
        parts, texts = [], [("number", text) for text in wire.above]
        texts += [("gradient", text) for text in wire.below]
        beside, top = line + TEXT_GAP, start + 2 + LINE_HEIGHT / 2
        if name and wire.name_in_front:
            middle = y + NAME_HEIGHT / 2
            if wire.fill:
                background = f' rx="3" fill="{wire.fill}"'
                parts.append(_rect(x, y, 2 * size.line_x + 1, NAME_HEIGHT, background))
            parts.append(_text("name", name, line, middle, on=wire.fill, escaped=True))
        elif name:
            parts.append(_text("name", name, beside, top, escaped=True))
            top += LINE_HEIGHT
        parts.append(
            _line(wire, f"M{_coordinate(line)} {_coordinate(start - 0.5)}V{_coordinate(end + 0.5)}")
        )
        for i, (kind, text) in enumerate(texts):
            parts.append(_text(kind, text, beside, top + i * LINE_HEIGHT))
        return parts

    def group(self, kind: str, name: str, inside: str, tooltip: str = "") -> str:
        """Write a group; without tooltip in a page, whose panel says the same."""
        if tooltip and not self.page:
            inside = f"<title>{escape(tooltip)}</title>{inside}"
        return f'<g class="{kind}" id="{name}">{inside}</g>\n'

    # ------------------------------------------------------------------- around the items

    def edges(self) -> Iterator[str]:
        """Write the edges, grouped by kind; in a page with the ids of their ends."""
        kinds: dict[str, list[str]] = {}
        for edge, path in zip(self.drawn.edges, self.placed.paths, strict=True):
            ends = f' data-ends="{edge.tail} {edge.head}"' if self.page else ""
            curve = f"{'L' if len(path) == 2 else 'C'}{' '.join(map(_point, path[1:]))}"
            line = f'<path{ends} d="M{_point(path[0])}{curve}"/>'
            kinds.setdefault(edge.kind, []).append(line)
        for kind, lines in kinds.items():
            yield from _groups(lines, f"edge {kind}")

    def cluster(self, region: Cluster) -> str:
        (x, y), (right, bottom) = self.placed.frames[region.number]
        shape = _rect(x, y, right - x, bottom - y, ' rx="8"')
        text = _text(
            "title",
            _titled(region.title, region.path),
            x + 8,
            y + 8 + LINE_HEIGHT / 2,
            escaped=True,
        )
        kind = "part gradients" if region.backward else "part"
        return f'<g class="{kind}" id="p{region.number}">{shape}{text}</g>\n'

    def caption(self) -> tuple[str, float, float]:
        """Return the legend of the heat and the note, with their width and height.

        Below the graph, or above one that leads down: a tall picture is read from its top.
        """
        heat, note = self.drawn.heat, self.drawn.note
        if heat is None and not note:
            return "", 0.0, 0.0
        height = 6.0 + (LINE_HEIGHT + 6) * (heat is not None) + LINE_HEIGHT * len(note)
        y = -height if self.drawn.down else self.placed.height + 6
        parts, widths = [], [text_width(line) * SMALL_TEXT for line in note]
        if heat is not None:
            legend, width = _legend(heat, y)
            parts.append(legend)
            widths.append(width)
            y += LINE_HEIGHT + 6
        for i, line in enumerate(note):
            parts.append(_text("words small", line, 0, y + (i + 0.5) * LINE_HEIGHT))
        return f'<g class="note">{"".join(parts)}</g>\n', max(widths), height


def _legend(heat: Heat, y: float) -> tuple[str, float]:
    x = text_width(LEGEND) * SMALL_TEXT + 8
    parts = [_text("words small", LEGEND, 0, y + LINE_HEIGHT / 2)]
    for color, text in heat.legend():
        width = text_width(text) * SMALL_TEXT + 10
        parts.append(_rect(x, y, width, LINE_HEIGHT, f' fill="{color}"'))
        parts.append(_text("small", text, x + width / 2, y + LINE_HEIGHT / 2, on=color))
        x += width
    return "".join(parts), x


# ----------------------------------------------------------------------------- elements


def _groups(elements: list[str], kind: str) -> Iterator[str]:
    """Group elements, so that a browser skips groups outside the window."""
    for start in range(0, len(elements), GROUP_SIZE):
        yield f'<g class="{kind}">{"".join(elements[start : start + GROUP_SIZE])}</g>\n'


def _text(kind: str, text: str, x: float, y: float, *, on: str = "", escaped: bool = False) -> str:
    """Write a text centred at the height y; on a fill in black or white."""
    if not text:
        return ""
    if on:
        kind += " white" if text_color(on) == "#FFFFFF" else " black"
    text = text if escaped else escape(text)
    place = f'x="{_coordinate(x)}" y="{_coordinate(y + TO_BASELINE)}"'
    return f'<text class="{kind}" {place}>{text}</text>'


def _line(wire: Wire, curve: str) -> str:
    """Write the line of a value, with an arrow if it is a result."""
    return f'<path class="line{" end" * wire.is_result}" d="{curve}"/>'


def _titled(title: str, path: str) -> str:
    """Write the class of a module and its path."""
    return escape(title) + (f'<tspan class="path">  {escape(path)}</tspan>' if path else "")


def _rect(x: float, y: float, width: float, height: float, more: str) -> str:
    return (
        f'<rect x="{_coordinate(x)}" y="{_coordinate(y)}" width="{_coordinate(width)}" '
        f'height="{_coordinate(height)}"{more}/>'
    )


def _fill(color: str) -> str:
    return f' fill="{color}"' if color else ""


def _point(point: Point) -> str:
    return " ".join(map(_coordinate, point))


def _coordinate(x: float) -> str:
    """Write a coordinate to a tenth of a point."""
    return f"{round(x, 1) or 0:g}" if abs(x) < 1e5 else f"{x:.0f}"
