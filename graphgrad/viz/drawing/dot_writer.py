"""From a drawing to DOT, the language of Graphviz, without Graphviz itself.

A wire is a table of three rows whose middle row is the line; of three columns where it leads down.
"""

from collections.abc import Callable, Iterator, Sequence
from math import ceil

from graphgrad.viz.drawing.items import (
    CIRCLE_SYMBOL_LENGTH,
    Box,
    Circle,
    Cluster,
    Dots,
    Drawing,
    Edge,
    Item,
    Wire,
    drawing,
)
from graphgrad.viz.drawing.texts import FONT_SIZE, escape_attribute, escape_html, text_width
from graphgrad.viz.views.heat import LEGEND, Heat, text_color
from graphgrad.viz.views.view import View

VALUE, GRADIENT, WIRE, FAINT, FILL = "#005A9C", "#B34700", "#57606A", "#6E7781", "#F6F8FA"
FONT = "DejaVu Sans, Verdana, sans-serif"

# The line is three cells, and edges meet the middle one: Graphviz ends some edges one point before
# their cell, which would show as a gap.
COLSPAN, ROWSPAN = ' COLSPAN="3"', ' ROWSPAN="3"'
LINE = f'CELLPADDING="0" BGCOLOR="{WIRE}"'
END = 2  # points
NAME_HEIGHT = 17  # of a name above a line that leads down

HEAD = f"""\
digraph graphgrad {{
  graph [rankdir=%s, ranksep=0.22, nodesep=0.16, bgcolor=white, pad=0.1]
  node [shape=plain, fontname="{FONT}", fontsize={FONT_SIZE}]
  edge [color="{WIRE}", arrowsize=0.6, weight=4]
"""
TABLE = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">'


def dot(view: View) -> str:
    """Write a view as DOT."""
    drawn = drawing(view)
    back = drawn.direction == "backward"
    lines = [HEAD % rankdir(drawn), _caption(drawn)]
    lines += statements(drawn, _item, _cluster, lambda edge: _arrows(edge, back=back))
    for item in drawn.items:
        if isinstance(item, Wire) and item.is_result:
            end = f"end{item.id[1:]}"
            lines.append(f'  {end} [shape=point, style=invis, width=0.02, label=""]\n')
            lines.append(f"  {item.id}:w:{'s' if drawn.down else 'e'} -> {end}\n")
    return "".join([*lines, "}\n"])


def rankdir(drawn: Drawing) -> str:
    """Return the value of Graphviz's attribute rankdir."""
    return "TB" if drawn.down else "LR"


def statements(
    drawn: Drawing,
    item: Callable[[Item], str],
    cluster: Callable[[Cluster], str],
    arrows: Callable[[Edge], list[str]],
) -> Iterator[str]:
    """Yield the nested clusters with their items, then the edges.

    ``item``, ``cluster`` and ``arrows`` write the attributes of each.
    """
    inside: dict[int | None, list[str]] = {c.number: [] for c in drawn.clusters}
    inside[None] = []
    for one in drawn.items:
        inside[one.region].append(f"  {one.id} [{item(one)}]\n")
    below: dict[int | None, list[Cluster | None]] = {}
    for inner in drawn.clusters:
        below.setdefault(inner.outer, []).append(inner)
    todo = below.get(None, [])[::-1]
    while todo:
        region = todo.pop()
        if region is None:
            yield "  }\n"
            continue
        yield f"  subgraph cluster_{region.number} {{\n  graph [{cluster(region)}]\n"
        yield from inside[region.number]
        todo += [None, *below.get(region.number, [])[::-1]]
    yield from inside[None]
    # edges last: one inside a cluster would pull its ends into it
    wires = {one.id for one in drawn.items if isinstance(one, Wire)}
    start, end = ("n", "s") if drawn.down else ("w", "e")  # of a line
    region_of = {one.id: one.region for one in drawn.items}
    regions_with_leaves = {
        one.region for one in drawn.items if isinstance(one, Wire) and one.name_in_front
    } - {None}
    for edge in drawn.edges:
        tail = f"{edge.tail}:w:{end}" if edge.tail in wires else edge.tail
        head = f"{edge.head}:w:{start}" if edge.head in wires else edge.head
        port = f":{edge.port}" if edge.port else ""
        attributes = arrows(edge) + ["weight=1"] * (not edge.straight)
        if (
            drawn.down
            and edge.kind == "in"
            and region_of[edge.tail] != region_of[edge.head] in regions_with_leaves
        ):
            attributes.append("minlen=2")  # so that parameters are below the inputs of their module
        listed = f" [{', '.join(attributes)}]" if attributes else ""
        yield f"  {tail} -> {head}{port}{listed}\n"


def _arrows(edge: Edge, *, back: bool) -> list[str]:
    """Write which ends have arrows; in a picture of gradients alone they point backward."""
    if edge.kind == "cut":
        return ["style=dashed", "arrowhead=none"]
    if edge.kind == "fork" or (edge.kind == "in") == back:
        return ["arrowhead=none"]
    return ["dir=back"] if back else []


# ------------------------------------------------------------------------------- items


def _item(item: Item) -> str:
    match item:
        case Wire():
            return f"label=<{_wire_down(item) if item.down else _wire(item)}>"
        case Circle():
            return _circle(item)
        case Box():
            return _box(item)
        case Dots():
            return f'label="…", fontcolor="{FAINT}"'


def _circle(op: Circle) -> str:
    size = 15 if len(op.symbol) <= 1 else FONT_SIZE
    shape = "circle, fixedsize=true, width=0.4, style=filled"
    if len(op.symbol) > CIRCLE_SYMBOL_LENGTH:
        shape = 'box, style="rounded,filled", height=0.36, width=0.4, margin="0.08,0.02"'
    return (
        f'shape={shape}, color="{WIRE}", {_fill_attributes(op.fill)}, fontsize={size}, '
        f'ordering=in, label=<{escape_html(op.symbol)}>, tooltip="{escape_attribute(op.tooltip)}"'
    )


def _box(box: Box) -> str:
    title = f"<B>{escape_html(box.title)}</B>" + (f"  {escape_html(box.path)}" if box.path else "")
    rows = [title, f'<FONT POINT-SIZE="9">{box.counts}</FONT>']
    if box.gradient:
        color = text_color(box.fill) if box.fill else GRADIENT
        rows.append(f'<FONT POINT-SIZE="9" COLOR="{color}"><I>{box.gradient}</I></FONT>')
    label = "".join(f'<TR><TD CELLPADDING="1">{row}</TD></TR>' for row in rows)
    peripheries = ", peripheries=2" if box.repeated else ""
    return (
        f'shape=box, style="rounded,filled,dashed", color="{WIRE}", {_fill_attributes(box.fill)}'
        f'{peripheries}, margin="0.1,0.04", label=<{TABLE}{label}</TABLE>>, '
        f'tooltip="{escape_attribute(box.tooltip)}"'
    )


def _wire(wire: Wire) -> str:
    """Write a table: value above the line, gradient below it, a leaf's name to its left."""
    rows = []
    name = f"<B>{escape_html(wire.name)}</B>" if wire.name else ""
    before = ""
    if not wire.name_in_front:
        if wire.output is not None:
            name = f'<FONT COLOR="{FAINT}">[{wire.output}]</FONT> {name}'.rstrip()
        if name:
            rows.append(f'<TR><TD{COLSPAN} CELLPADDING="1">{name}</TD></TR>')
    elif name:
        ground = ""
        if wire.fill:
            name = f'<FONT COLOR="{text_color(wire.fill)}">{name}</FONT>'
            ground = f' BGCOLOR="{wire.fill}"'
        before = f'<TD{ROWSPAN} CELLPADDING="4"{ground}>{name}</TD>'
    rows.append(f"<TR>{before}<TD{COLSPAN}>{_colored(wire.above, VALUE)}</TD></TR>")
    line = f'<TD PORT="w" WIDTH="{ceil(wire.length)}" HEIGHT="1" {LINE}></TD>'
    end = f'<TD WIDTH="{END}" HEIGHT="1" {LINE}></TD>'
    rows.append(f"<TR>{end}{line}{end}</TR>")
    below = f"<I>{_colored(wire.below, GRADIENT)}</I>" if wire.below else ""
    rows.append(f"<TR><TD{COLSPAN}>{below}</TD></TR>")
    return f"{TABLE}{''.join(rows)}</TABLE>"


def _wire_down(wire: Wire) -> str:
    """Write a table: texts beside the line, a leaf's name above it."""
    name = f"<B>{escape_html(wire.name)}</B>" if wire.name else ""
    if wire.output is not None:
        name = f'<FONT COLOR="{FAINT}">[{wire.output}]</FONT> {name}'.rstrip()
    rows, before = [], ""
    if wire.name_in_front and name:
        ground = ""
        if wire.fill:
            name = f'<FONT COLOR="{text_color(wire.fill)}">{name}</FONT>'
            ground = f' BGCOLOR="{wire.fill}"'
        # of fixed size: the cell around it is as wide as the texts beside the line
        size = f'FIXEDSIZE="TRUE" WIDTH="{2 * name_overhang(wire) + 1}" HEIGHT="{NAME_HEIGHT}"'
        table = TABLE.replace("TABLE", f'TABLE ALIGN="LEFT" {size}')
        name = f"{table}<TR><TD{ground}>{name}</TD></TR></TABLE>"
        rows.append(f'<TR><TD{COLSPAN} CELLPADDING="0">{name}</TD></TR>')
        before = f'<TD{ROWSPAN} WIDTH="{name_overhang(wire)}" CELLPADDING="0"></TD>'
        name = ""
    below = f"<I>{_colored(wire.below, GRADIENT)}</I>" if wire.below else ""
    texts = "<BR/>".join(filter(None, (name, _colored(wire.above, VALUE), below)))
    width = f'WIDTH="{name_overhang(wire)}" CELLPADDING="4"'
    texts = f'<TD{ROWSPAN} {width} ALIGN="LEFT" BALIGN="LEFT">{texts}</TD>'
    end = f'<TD WIDTH="1" HEIGHT="{END}" {LINE}></TD>'
    line = f'<TD PORT="w" WIDTH="1" HEIGHT="{ceil(wire.length)}" {LINE}></TD>'
    rows += [f"<TR>{before}{end}{texts}</TR>", f"<TR>{line}</TR>", f"<TR>{end}</TR>"]
    return f"{TABLE}{''.join(rows)}</TABLE>"


def name_overhang(wire: Wire) -> int:
    """Return how far the name above a vertical line reaches to either side of it."""
    return (
        ceil(text_width(wire.name, bold=True) / 2) + 3
        if wire.name_in_front and wire.has_name
        else 0
    )


def _fill_attributes(fill: str) -> str:
    """Return the attributes for the fill of a node."""
    return f'fillcolor="{fill}", fontcolor="{text_color(fill)}"' if fill else f'fillcolor="{FILL}"'


def _colored(lines: Sequence[str], color: str) -> str:
    return f'<FONT COLOR="{color}">{"<BR/>".join(map(escape_html, lines))}</FONT>' if lines else ""


# ------------------------------------------------------------------------ around the items


def _cluster(region: Cluster) -> str:
    label = f"<B>{escape_html(region.title)}</B>" + (
        f"  {escape_html(region.path)}" if region.path else ""
    )
    color = GRADIENT if region.backward else FAINT
    return (
        f'style="rounded,dashed", color="{color}", labelloc=t, labeljust=l, margin=8, '
        f'fontname="{FONT}", fontsize=10, label=<<FONT COLOR="{color}">{label}</FONT>>'
    )


def _caption(drawn: Drawing) -> str:
    """Write the note and the legend of the heat."""
    lines = "".join(f'{escape_html(line)}<BR ALIGN="LEFT"/>' for line in drawn.note)
    note = f'<FONT COLOR="{FAINT}">{lines}</FONT>' if lines else ""
    if drawn.heat is not None:
        below = f'<TR><TD ALIGN="LEFT">{note}</TD></TR>' if note else ""
        note = f"{TABLE}<TR><TD>{_legend(drawn.heat)}</TD></TR>{below}</TABLE>"
    if not note:
        return ""
    side = "t" if drawn.down else "b"  # a tall picture is read from its top
    return (
        f'  graph [label=<{note}>, labelloc={side}, labeljust=l, fontname="{FONT}", fontsize=9]\n'
    )


def _legend(heat: Heat) -> str:
    """Write the scale as a row of coloured cells with their norms."""
    row = "".join(
        f'<TD BGCOLOR="{color}"><FONT COLOR="{text_color(color)}"> {text} </FONT></TD>'
        for color, text in heat.legend()
    )
    return f"{TABLE}<TR><TD>{LEGEND} </TD>{row}</TR></TABLE>"
