"""Lettering: how numbers are written, and how tightly a written text holds together."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

# how tightly a text holds together: one that is looser than its place asks gets parentheses
LOOSE, SUM, CHAIN, PRODUCT, TIGHT, ATOM = range(6)  # a chain: of matrix products

UPSTREAM = "\uf8f0"  # stands for the gradient that arrives, as long as it has no name
LETTER = re.compile("[\ue000-\uf8ff]")  # what stands for names, and for what has none yet
_CONSTANTS = {
    math.log(2): "ln 2",
    math.log(10): "ln 10",
    math.pi: "π",
    2 / math.sqrt(math.pi): "2/√π",
    math.sqrt(0.5): "√½",
    1 / math.sqrt(2 * math.pi): "1/√(2π)",
    0.5: "½",
}


# what a number with a sign may follow without parentheses, and what binds what it follows
_BEFORE = ("(", "[", "|", "‖", "⌊", "⌈", ", ", " if ", " else ", "> ", "< ", "≥ ", "≤ ", "= ", "≠ ")
_TIGHT_BEFORE, _TIGHT_AFTER = tuple("√∛^−"), tuple("⁰¹²³⁴⁵⁶⁷⁸⁹⁻^ᵀ[")


class Written(NamedTuple):
    """A text and how tightly it holds together."""

    text: str
    level: int

    def at(self, least: int) -> str:
        """Return the text for a place that asks for a level."""
        return self.text if self.level >= least else f"({self.text})"


def number(x: Any, digits: int = 4) -> str:
    """Write a number as all pictures and pages do: with so many digits, and −0 as 0."""
    if isinstance(x, bool | np.bool_):
        return str(x)
    text = f"{x + 0:.{digits}g}"
    return text.replace("-", "−").replace("inf", "∞").replace("nan", "NaN")


def signed(text: str) -> str:
    """Write the signs of the numbers in a sentence as those of :func:`number`."""
    return re.sub(r"(?<![\w).-])-(?=\.?\d)|(?<=\de)-(?=\d)", "−", text)


def size(x: Any) -> str:
    """Write the size of a number that stands in a formula, which is not negative."""
    for value, name in _CONSTANTS.items():
        if x == value or math.isclose(x, value, rel_tol=1e-15):
            return name
    return number(x, 6)


def array(shape: Sequence[int], elements: Sequence[float] | None) -> str:
    """Write an array: its elements, row by row; without them its shape, as 4×3 or (3,)."""
    if elements is None:
        return f"({shape[0]},)" if len(shape) == 1 else "×".join(map(str, shape))
    if not shape:
        return number(elements[0])
    size = len(elements) // shape[0] if shape[0] else 0
    rows = (elements[i * size : (i + 1) * size] for i in range(shape[0]))
    return f"[{', '.join(array(shape[1:], row) for row in rows)}]"


def put_in(text: str, letters: Mapping[str, str]) -> str:
    """Put numbers, and shapes, in the place of letters, in parentheses where they need them."""

    def placed(letter: re.Match[str]) -> str:
        known = letters.get(letter[0])
        if known is None:
            return letter[0]
        before, after = text[: letter.start()], text[letter.end() :]
        negative = known[0] == "−"
        several = known[0] not in "[(" and any(sign in known for sign in ("×", "e+", "e−"))
        torn = before.endswith(_TIGHT_BEFORE) or after.startswith(_TIGHT_AFTER)
        misread = negative and before != "" and not before.endswith(_BEFORE)
        return f"({known})" if misread or ((negative or several) and torn) else known

    return LETTER.sub(placed, text)


def as_number(x: Any) -> Any:
    """Return a plain number for what is one, else None."""
    if isinstance(x, np.ndarray) and x.ndim == 0:
        x = x.item()
    if isinstance(x, bool | np.bool_) or not isinstance(x, int | float | np.number):
        return None
    return x.item() if isinstance(x, np.number) else x
