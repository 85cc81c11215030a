"""Texts of a picture: numbers, summaries of arrays, and names of the user, escaped."""

import unicodedata
from collections.abc import Sequence
from html import escape

from graphgrad.viz.formulas.number_format import number
from graphgrad.viz.snapshots.snapshot import ModuleNote, Numbers, Value

FONT_SIZE = 11
NARROW = frozenset(" !'()[],./:;\\|-fijlrt")
WIDE = frozenset("#%&+<=>@^~×…mw")
ROW_LENGTH = 4  # elements of a small array that are written in a row


def value_lines(value: Value) -> list[str]:
    """Describe a value in a few short lines."""
    shape = value.shape or ()
    now = "now " if value.changed else ""
    if value.numbers is not None and (lines := _elements(value.numbers, shape)):
        return [now + lines[0], *lines[1:]]
    lines = [f"{now}{'×'.join(map(str, shape)) or 1} {value.dtype}"]
    if value.numbers is not None and 0 not in shape:
        lines.append(f"μ {number(value.numbers.mean)}\u2003σ {number(value.numbers.std)}")
    return lines


def gradient_lines(value: Value) -> list[str]:
    """Describe the gradient of a value in a few short lines; "–" if there is none."""
    if value.gradient is None:
        return ["∂ –"]
    if lines := _elements(value.gradient, value.shape or ()):
        return [f"∂ {lines[0]}", *(f"\u2003{line}" for line in lines[1:])]
    return [f"‖∂‖ {number(value.gradient.norm)}"]


def _elements(numbers: Numbers, shape: tuple[int, ...]) -> list[str]:
    """Write the elements row by row; nothing if they are too many or have more than two axes."""
    if numbers.elements is None or not numbers.elements or len(shape) > 2:
        return []
    texts = list(map(number, numbers.elements))
    if not shape:
        return texts
    if shape[-1] > ROW_LENGTH:
        return []
    rows = [texts[i : i + shape[-1]] for i in range(0, len(texts), shape[-1])]
    lines = [f"[{', '.join(row)}]" for row in rows]
    if len(shape) == 2:
        lines[0] = "[" + lines[0]
        lines[-1] += "]"
    return lines


def text_width(text: str, *, bold: bool = False) -> float:
    """Estimate the width in points, rather too large, since the font is not known."""
    total = 0.0
    for c in text:
        if c in NARROW:
            total += 0.42
        elif c.isupper() or c in WIDE or unicodedata.east_asian_width(c) in "WF":
            total += 1.0
        else:
            total += 0.68
    return total * FONT_SIZE * (1.12 if bold else 1)


def module_title(modules: Sequence[ModuleNote], length: int) -> str:
    """Return the title of a module, or of several equal ones: "Block × 12"."""
    first, times = modules[0], len(modules)
    title = readable(first.kind or first.path or "module", length)
    return title + (f" × {times}" if times > 1 else "")


def readable(text: str, length: int) -> str:
    """Return a text of the user as one line of visible characters, elided in the middle.

    Control characters, which XML forbids, and those that change the direction of writing are
    replaced.
    """
    if len(text) <= length and text.isascii() and text.isprintable():
        return text  # the usual case
    if len(text) > length:
        head = 2 * length // 3
        text = f"{text[:head]}…{text[head + 1 - length :]}"
    return "".join(c if _visible(c) else " " if c.isspace() else "\ufffd" for c in text)


def _visible(c: str) -> bool:
    return unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")


def escape_html(text: str) -> str:
    """Escape a text for an HTML label; Graphviz reads backslashes there too."""
    return escape(text).replace("\\", "\\\\")


def escape_attribute(text: str) -> str:
    """Escape a text for a quoted attribute, in which Graphviz reads entities and escapes."""
    return escape(text).replace("\\", "\\" * 4)
