"""From a view to DOT, the language of Graphviz: text, made without Graphviz.

Drawn as the circuits of the book are: ops are circles; a value stands above its wire and
its gradient below. A wire is a node of its own, a table of three rows whose middle row is
the line, so the two texts cannot drift away from it.
"""

import math
import textwrap
from math import ceil

from graphgrad.viz.heat import NOT_FINITE, ZERO, Heat, ink
from graphgrad.viz.snapshot import ModuleNote, Value
from graphgrad.viz.texts import (
    FONT_SIZE as FONT_SIZE,
    gradient_lines,
    html,
    number,
    quoted,
    readable as readable,
    text_width,
    value_lines as value_lines,
)
from graphgrad.viz.view import Node, View

VALUE, GRADIENT, WIRE, FAINT, FILL = "#005A9C", "#B34700", "#57606A", "#6E7781", "#F6F8FA"
FONT = "DejaVu Sans, Verdana, sans-serif"
NAME_LENGTH = 32
SYMBOL_LENGTH = 16
IN_A_CIRCLE = 3  # longer symbols stand in a pill

# The line is three cells, and wires meet the middle one: Graphviz lets some wires end one point
# before the cell they lead to, which would be seen as a gap.
ACROSS = ' COLSPAN="3"'
LINE = f'HEIGHT="1" CELLPADDING="0" BGCOLOR="{WIRE}"'
END = f'<TD WIDTH="2" {LINE}></TD>'

HEAD = f"""\
digraph graphgrad {{
  graph [rankdir=LR, ranksep=0.22, nodesep=0.16, bgcolor=white, pad=0.1]
  node [shape=plain, fontname="{FONT}", fontsize={FONT_SIZE}]
  edge [color="{WIRE}", arrowsize=0.6, weight=4]
"""
TABLE = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">'


def dot(view: View) -> str:
    """Write a view as DOT."""
    return "".join(_Writer(view).parts())


class _Writer:
    """The text of one view: a list of lines for each cluster, and one for all outside."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.modules = {part.number: part.module for part in view.parts}
        self.inside: dict[int | None, list[str]] = {part.number: [] for part in view.parts}
        self.inside[None] = []
        # in a picture of gradients alone the arrows say which way they flow
        back = view.direction == "backward"
        self.into = " [arrowhead=none]" if back else ""
        self.out = " [dir=back]" if back else " [arrowhead=none]"

    def parts(self) -> list[str]:
        """Write everything."""
        view = self.view
        for node in view.nodes:
            self.node(node)
        edges = self.inside[None]  # of clusters too: an edge would draw nodes into a cluster
        result = view.snapshot.result.id
        if result not in view.hidden:
            edges.append('  end [shape=point, style=invis, width=0.02, label=""]\n')
            edges.append(f"  v{result}:w:e -> end\n")
        return [HEAD, self.caption(), *self.clusters(), *edges, "}\n"]

    def node(self, node: Node) -> None:
        """Write an op with its inputs, and the wires that leave it."""
        view, lines, edges = self.view, self.inside[node.part], self.inside[None]
        op = view.value(int(node.id[1:])) if node.id[0] == "o" else None
        if op is not None:
            lines.append(self.circle(op, node))
        elif node.modules:
            lines.append(self.box(node))
        for place, use in enumerate(node.inputs):
            source = view.value(use.source)
            name = f"v{use.source}"
            if use.again:
                name = f"v{use.source}_{node.id[1:]}_{place}"
                lines.append(f"  {name} [label=<{self.wire(source, node.part, again=True)}>]\n")
            # a value that an op takes twice forks in sight
            twice = op is not None and use.source not in view.shared
            twice = twice and [u.source for u in node.inputs] == [use.source] * 2
            port = (":nw", ":sw")[place] if twice else ""
            # the way of the computed values is kept straight, not that of the leaves
            light = self.into if source.inputs else _joined(self.into, "weight=1")
            edges.append(f"  {name}:w:e -> {node.id}{port}{light}\n")
        if node.cut:
            lines.append(f'  c{node.id} [label="…", fontcolor="{FAINT}"]\n')
            edges.append(f"  c{node.id} -> {node.id} [style=dashed, arrowhead=none, weight=1]\n")
        for i in node.outputs:
            wire = self.wire(view.value(i), node.part, shared=i in view.shared)
            lines.append(f"  v{i} [label=<{wire}>]\n")
            if node.id[0] != "v":
                edges.append(f"  {node.id} -> v{i}:w:w{self.out}\n")
            if i in view.leads_on:
                lines.append(f'  e{i} [label="…", fontcolor="{FAINT}"]\n')
                edges.append(f"  v{i}:w:e -> e{i} [style=dashed, arrowhead=none, weight=1]\n")

    def circle(self, value: Value, node: Node) -> str:
        """Write an op."""
        symbol = readable(value.symbol or "", SYMBOL_LENGTH)
        where = f"{value.op} at {value.line}" if value.line else value.op or ""
        size = 15 if len(symbol) <= 1 else FONT_SIZE
        shape = "circle, fixedsize=true, width=0.4"
        if len(symbol) > IN_A_CIRCLE:
            shape = 'box, style="rounded,filled", height=0.36, width=0.4, margin="0.08,0.02"'
        else:
            shape += ", style=filled"
        return (
            f'  {node.id} [shape={shape}, color="{WIRE}", {self.fill(node)}, fontsize={size}, '
            f'ordering=in, label=<{html(symbol)}>, tooltip="{quoted(readable(where, 80))}"]\n'
        )

    def box(self, node: Node) -> str:
        """Write a closed module: its class and path, and what is in it."""
        values = [self.view.value(i) for i in node.members]
        ops = sum(v.kind == "op" for v in values)
        learned = [v for v in values if v.kind == "leaf"]
        size = sum(math.prod(v.shape or ()) for v in learned)
        first, last, times = node.modules[0], node.modules[-1], len(node.modules)
        title = _title(first)
        title += f" × {times}" if times > 1 else ""
        names = [self.within(module.path, node.part) for module in (first, last)]
        names = [readable(name, NAME_LENGTH) for name in dict.fromkeys(names)]
        path = "" if names[0] == first.kind else html(" … ".join(names))
        rows = [f"<B>{title}</B>" + (f"  {path}" if path else "")]
        arrays = sum(v.kind == "constant" and v.shape != () for v in values)
        counts = [(ops, "op"), (size, "parameter"), (arrays, "constant")]
        told = ", ".join(f"{n:,} {what}{'s' * (n != 1)}" for n, what in counts if n)
        rows.append(f'<FONT POINT-SIZE="9">{told}</FONT>')
        norms = [v.gradient.norm for v in learned if v.gradient is not None]
        if norms and self.view.direction != "forward":
            color = self.gradient_color(node)
            line = f"‖∂‖ of parameters {number(math.hypot(*norms))}"
            rows.append(f'<FONT POINT-SIZE="9" COLOR="{color}"><I>{line}</I></FONT>')
        label = "".join(f'<TR><TD CELLPADDING="1">{row}</TD></TR>' for row in rows)
        label = f"{TABLE}{label}</TABLE>"
        twice = ", peripheries=2" if times > 1 else ""
        tooltip = quoted(readable(f"{first.kind} {first.path}", 80))
        return (
            f'  {node.id} [shape=box, style="rounded,filled,dashed", color="{WIRE}", '
            f'{self.fill(node)}{twice}, margin="0.1,0.04", label=<{label}>, '
            f'tooltip="{tooltip}"]\n'
        )

    def wire(
        self, value: Value, part: int | None, *, shared: bool = False, again: bool = False
    ) -> str:
        """Write the table of a wire: value above, line, gradient below; a leaf's name before it.

        A leaf with many uses is drawn in full at its first one, and without its gradient
        ``again`` at the others.
        """
        rows = []
        direction = self.view.direction
        above = value_lines(value) if direction != "backward" else []
        gradient = value.needs and not again and direction != "forward"
        below = gradient_lines(value) if gradient else []
        widths = [text_width(line) for line in above + below]
        name = value.name or ""
        label = readable(self.within(name, part) if value.kind == "leaf" else name, NAME_LENGTH)
        heat = "" if value.kind == "op" else self.heat_of(value)
        if shared or again or heat:
            label = (label or f"#{value.id}") + (" ↗" if again else "")
        name = f"<B>{html(label)}</B>" if label else ""
        before = ""
        if value.kind not in ("leaf", "constant"):
            widths.append(text_width(label, bold=True))
            if value.output is not None:
                name = f'<FONT COLOR="{FAINT}">[{value.output}]</FONT> {name}'.rstrip()
                widths[-1] += text_width(f"[{value.output}] ")
            if name:
                rows.append(f'<TR><TD{ACROSS} CELLPADDING="1">{name}</TD></TR>')
        elif name:
            if heat:
                name = f'<FONT COLOR="{ink(heat)}">{name}</FONT>'
                heat = f' BGCOLOR="{heat}"'
            before = f'<TD ROWSPAN="3" CELLPADDING="4"{heat}>{name}</TD>'
        rows.append(f"<TR>{before}<TD{ACROSS}>{_colored(above, VALUE) if above else ''}</TD></TR>")
        line = f'<TD PORT="w" WIDTH="{ceil(max(widths, default=12))}" {LINE}></TD>'
        rows.append(f"<TR>{END}{line}{END}</TR>")
        text = f"<I>{_colored(below, GRADIENT)}</I>" if below else ""
        rows.append(f"<TR><TD{ACROSS}>{text}</TD></TR>")
        return f"{TABLE}{''.join(rows)}</TABLE>"

    def within(self, name: str, part: int | None) -> str:
        """Shorten a dotted name by the path of the module that it stands in."""
        path = "" if part is None else self.modules[part].path
        return name.removeprefix(f"{path}.") if path else name

    # ------------------------------------------------------------------------- heat

    def heat_of(self, value: Value) -> str:
        """Return the colour of a value's gradient; "" in a picture without heat."""
        if self.view.heat is None or value.gradient is None:
            return ""
        return self.view.heat.color(value.gradient.norm)

    def fill(self, node: Node) -> str:
        """Return the attributes of the ground of a node."""
        if self.view.heat is None or node.norm is None:
            return f'fillcolor="{FILL}"'
        color = self.view.heat.color(node.norm)
        return f'fillcolor="{color}", fontcolor="{ink(color)}"'

    def gradient_color(self, node: Node) -> str:
        """Return the colour of gradients, on a ground that may be dark itself."""
        if self.view.heat is None or node.norm is None:
            return GRADIENT
        return ink(self.view.heat.color(node.norm))

    # ------------------------------------------------------------- around the nodes

    def clusters(self) -> list[str]:
        """Write the open modules, one within the other; dashed, with their names."""
        below: dict[int | None, list[int]] = {}
        for inner in self.view.parts:
            below.setdefault(inner.parent, []).append(inner.number)
        lines: list[str] = []
        todo: list[int | None] = [*reversed(below.get(None, ()))]
        while todo:
            part = todo.pop()
            if part is None:
                lines.append("  }\n")
                continue
            module = self.modules[part]
            path = html(readable(module.path, NAME_LENGTH))
            title = _title(module)
            label = f"<B>{title}</B>" + (f"  {path}" if path not in ("", title) else "")
            lines.append(
                f"  subgraph cluster_{part} {{\n"
                f'  graph [style="rounded,dashed", color="{FAINT}", labelloc=t, labeljust=l, '
                f'margin=8, fontname="{FONT}", fontsize=10, '
                f'label=<<FONT COLOR="{FAINT}">{label}</FONT>>]\n'
            )
            lines += self.inside[part]
            todo += [None, *reversed(below.get(part, ()))]
        return lines

    def caption(self) -> str:
        """Write the note, and what the colours of the heat mean."""
        view = self.view
        wrapped = textwrap.wrap(readable(view.note, 500), 100) if view.note else []
        lines = "".join(f'{html(line)}<BR ALIGN="LEFT"/>' for line in wrapped)
        note = f'<FONT COLOR="{FAINT}">{lines}</FONT>' if lines else ""
        if view.heat is not None:
            below = f'<TR><TD ALIGN="LEFT">{note}</TD></TR>' if note else ""
            note = f"{TABLE}<TR><TD>{_legend(view.heat)}</TD></TR>{below}</TABLE>"
        if not note:
            return ""
        return f'  graph [label=<{note}>, labelloc=b, labeljust=l, fontname="{FONT}", fontsize=9]\n'


def _title(module: ModuleNote) -> str:
    return html(readable(module.kind or module.path or "module", NAME_LENGTH))


def _joined(attributes: str, more: str) -> str:
    return f"{attributes[:-1]}, {more}]" if attributes else f" [{more}]"


def _colored(lines: list[str], color: str) -> str:
    return f'<FONT COLOR="{color}">{"<BR/>".join(map(html, lines))}</FONT>'


def _legend(heat: Heat) -> str:
    """Write the scale as a row of coloured cells, with the norms that they stand for."""
    cells = [(heat.color(norm), f"{float(f'{norm:.1g}'):g}") for norm in heat.ticks()]
    cells += [(ZERO, "0")] * heat.zero + [(NOT_FINITE, "nan, inf")] * heat.not_finite
    row = "".join(
        f'<TD BGCOLOR="{color}"><FONT COLOR="{ink(color)}"> {text} </FONT></TD>'
        for color, text in cells
    )
    return f"{TABLE}<TR><TD>fill: ‖∂‖ of what leaves a node </TD>{row}</TR></TABLE>"
