"""From a snapshot to DOT, the language of Graphviz: text, made without Graphviz.

Drawn as the circuits of the book are: ops are circles; a value stands above its wire and
its gradient below. A wire is a node of its own, a table of three rows whose middle row is
the line, so the two texts cannot drift away from it.
"""

import textwrap
import unicodedata
from collections import Counter
from html import escape
from math import ceil

from graphgrad.viz.snapshot import Numbers, Snapshot, Value

VALUE, GRADIENT, WIRE, FAINT, FILL = "#005A9C", "#B34700", "#57606A", "#6E7781", "#F6F8FA"
FONT = "DejaVu Sans, Verdana, sans-serif"
FONT_SIZE = 11
NARROW = frozenset(" !'()[],./:;\\|-fijlrt")
BROAD = frozenset("#%&+<=>@^~×…mw")
NAME_LENGTH = 32
SYMBOL_LENGTH = 16
WIRES_OF_A_LEAF = 3  # with more uses it is drawn at each: many long wires cannot be laid out
IN_A_CIRCLE = 3  # longer symbols stand in a pill
IN_A_ROW = 4  # how many elements of a small array are written in a row

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


def dot(snapshot: Snapshot) -> str:
    """Write a snapshot as DOT."""
    parts = [HEAD]
    if snapshot.note:
        parts.append(_caption(snapshot.note))
    uses = Counter(i for value in snapshot.values for i in value.inputs)
    shared = {v.id: v for v in snapshot.values if not v.inputs and uses[v.id] > WIRES_OF_A_LEAF}
    met: set[int] = set()  # the shared leaves that have had a use already
    for value in snapshot.values:
        if value.symbol is not None and value.kind != "output":
            parts.append(_circle(value))
            for place, source in enumerate(value.inputs):
                name = f"v{source}"
                if source in met:
                    name = f"v{source}_{value.id}_{place}"
                    parts.append(f"  {name} [label=<{_wire(shared[source], again=True)}>]\n")
                elif source in shared:
                    met.add(source)
                # a value that an op takes twice forks in sight
                twice = source not in shared and value.inputs == (source, source)
                port = (":nw", ":sw")[place] if twice else ""
                # the way of the computed values is kept straight, not that of the leaves
                light = "" if snapshot.values[source - 1].inputs else " [weight=1]"
                parts.append(f"  {name}:w:e -> o{value.id}{port}{light}\n")
        if value.shape is None:  # its outputs follow, each by itself
            continue
        parts.append(f"  v{value.id} [label=<{_wire(value, shared=value.id in shared)}>]\n")
        if value.inputs:
            source = value.inputs[0] if value.kind == "output" else value.id
            parts.append(f"  o{source} -> v{value.id}:w:w [arrowhead=none]\n")
    parts.append('  end [shape=point, style=invis, width=0.02, label=""]\n')
    parts.append(f"  v{snapshot.result.id}:w:e -> end\n}}\n")
    return "".join(parts)


def _circle(value: Value) -> str:
    symbol = readable(value.symbol or "", SYMBOL_LENGTH)
    where = f"{value.op} at {value.line}" if value.line else value.op or ""
    size = 15 if len(symbol) <= 1 else FONT_SIZE
    shape = "circle, fixedsize=true, width=0.4"
    if len(symbol) > IN_A_CIRCLE:
        shape = 'box, style="rounded,filled", height=0.36, width=0.4, margin="0.08,0.02"'
    else:
        shape += ", style=filled"
    return (
        f'  o{value.id} [shape={shape}, color="{WIRE}", fillcolor="{FILL}", fontsize={size}, '
        f'ordering=in, label=<{html(symbol)}>, tooltip="{_quoted(readable(where, 80))}"]\n'
    )


def _wire(value: Value, *, shared: bool = False, again: bool = False) -> str:
    """Write the table of a wire: value above, line, gradient below; a leaf's name before it.

    A leaf with many uses is drawn in full at its first one, and without its gradient
    ``again`` at the others.
    """
    rows = []
    above = value_lines(value)
    below = gradient_lines(value) if value.needs and not again else []
    widths = [text_width(line) for line in above + below]
    label = readable(value.name or "", NAME_LENGTH)
    if shared or again:
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
        before = f'<TD ROWSPAN="3" CELLPADDING="4">{name}</TD>'
    rows.append(f"<TR>{before}<TD{ACROSS}>{_colored(above, VALUE)}</TD></TR>")
    line = f'<TD PORT="w" WIDTH="{ceil(max(widths))}" {LINE}></TD>'
    rows.append(f"<TR>{END}{line}{END}</TR>")
    gradient = f"<I>{_colored(below, GRADIENT)}</I>" if below else ""
    rows.append(f"<TR><TD{ACROSS}>{gradient}</TD></TR>")
    table = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">'
    return f"{table}{''.join(rows)}</TABLE>"


def _colored(lines: list[str], color: str) -> str:
    return f'<FONT COLOR="{color}">{"<BR/>".join(map(html, lines))}</FONT>'


def _caption(note: str) -> str:
    wrapped = textwrap.wrap(readable(note, 500), 100)
    lines = "".join(f'{html(line)}<BR ALIGN="LEFT"/>' for line in wrapped)
    return (
        f'  graph [label=<<FONT COLOR="{FAINT}">{lines}</FONT>>, labelloc=b, labeljust=l, '
        f'fontname="{FONT}", fontsize=9]\n'
    )


# ------------------------------------------------------------------------------- numbers


def value_lines(value: Value) -> list[str]:
    """Say what a value is, in a few short lines."""
    shape = value.shape or ()
    now = "now " if value.changed else ""
    if value.numbers is not None and (lines := _elements(value.numbers, shape)):
        return [now + lines[0], *lines[1:]]
    size = "×".join(map(str, shape)) if len(shape) > 1 else f"{shape[0] if shape else 1} ×"
    lines = [f"{now}{size} {value.dtype}"]
    if value.numbers is not None and 0 not in shape:
        lines.append(f"μ {number(value.numbers.mean)}\u2003σ {number(value.numbers.std)}")
    return lines


def gradient_lines(value: Value) -> list[str]:
    """Say what a gradient is, in a few short lines; "–" where there is none."""
    if value.gradient is None:
        return ["∂ –"]
    if lines := _elements(value.gradient, value.shape or ()):
        return [f"∂ {lines[0]}", *(f"\u2003{line}" for line in lines[1:])]
    return [f"‖∂‖ {number(value.gradient.norm)}"]


def _elements(numbers: Numbers, shape: tuple[int, ...]) -> list[str]:
    """Write the elements row by row, or nothing if they would not make a tidy block."""
    if numbers.elements is None or not numbers.elements or len(shape) > 2:
        return []
    texts = list(map(number, numbers.elements))
    if not shape:
        return texts
    if shape[-1] > IN_A_ROW:
        return []
    rows = [texts[i : i + shape[-1]] for i in range(0, len(texts), shape[-1])]
    lines = [f"[{', '.join(row)}]" for row in rows]
    if len(shape) == 2:
        lines[0] = "[" + lines[0]
        lines[-1] += "]"
    return lines


def number(x: float) -> str:
    """Write a number with four digits."""
    return str(x) if isinstance(x, bool) else f"{x:.4g}"


# ---------------------------------------------------------------------------------- text


def text_width(text: str, *, bold: bool = False) -> float:
    """Estimate the width in points, rather too much, so that it holds without the font."""
    total = 0.0
    for c in text:
        if c in NARROW:
            total += 0.42
        elif c.isupper() or c in BROAD or unicodedata.east_asian_width(c) in "WF":
            total += 1.0
        else:
            total += 0.68
    return total * FONT_SIZE * (1.12 if bold else 1)


def readable(text: str, length: int) -> str:
    """Make a text of the user's one line of visible characters, elided in the middle.

    Control characters and those that change the direction of writing are replaced: the
    former may not stand in XML, the latter would turn the text around it.
    """
    if len(text) <= length and text.isascii() and text.isprintable():
        return text  # as nearly all are
    if len(text) > length:
        head = 2 * length // 3
        text = f"{text[:head]}…{text[head + 1 - length :]}"
    return "".join(c if _visible(c) else " " if c.isspace() else "\ufffd" for c in text)


def _visible(c: str) -> bool:
    return unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")


def html(text: str) -> str:
    """Escape a text for an HTML label; Graphviz reads backslashes there too."""
    return escape(text).replace("\\", "\\\\")


def _quoted(text: str) -> str:
    """Escape a text for a quoted attribute, in which Graphviz reads entities and escapes."""
    return escape(text).replace("\\", "\\" * 4)
