"""How numbers are written, and the operator precedence of a written text."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

# Precedence, lowest first: a text gets parentheses where its place requires a higher one.
LOWEST, SUM, MATRIX_PRODUCT, PRODUCT, POWER, ATOM = range(6)

UPSTREAM = "\uf8f0"  # the placeholder of the upstream gradient
PLACEHOLDER = re.compile("[\ue000-\uf8ff]")  # in place of names until the text is complete
_CONSTANTS = {
    math.log(2): "ln 2",
    math.log(10): "ln 10",
    math.pi: "π",
    2 / math.sqrt(math.pi): "2/√π",
    math.sqrt(0.5): "√½",
    1 / math.sqrt(2 * math.pi): "1/√(2π)",
    0.5: "½",
}


# after these a signed number needs no parentheses
_BEFORE = ("(", "[", "|", "‖", "⌊", "⌈", ", ", " if ", " else ", "> ", "< ", "≥ ", "≤ ", "= ", "≠ ")
# next to these a signed number, or a product, does
_BINDING_BEFORE, _BINDING_AFTER = tuple("√∛^−"), tuple("⁰¹²³⁴⁵⁶⁷⁸⁹⁻^ᵀ[")


class Written(NamedTuple):
    """A text and its operator precedence."""

    text: str
    precedence: int

    def at(self, precedence: int) -> str:
        """Return the text, in parentheses if its precedence is lower than its place requires."""
        return self.text if self.precedence >= precedence else f"({self.text})"


def number(x: Any, digits: int = 4) -> str:
    """Write a number, as all pictures and pages do: rounded to some digits, −0 as 0."""
    if isinstance(x, bool | np.bool_):
        return str(x)
    text = f"{x + 0:.{digits}g}"
    return text.replace("-", "−").replace("inf", "∞").replace("nan", "NaN")


def signed(text: str) -> str:
    """Replace the hyphens before numbers in a sentence by minus signs."""
    return re.sub(r"(?<![\w).-])-(?=\.?\d)|(?<=\de)-(?=\d)", "−", text)


def magnitude(x: Any) -> str:
    """Write a number ≥ 0 in a formula: constants such as π and ½ by their signs."""
    for value, name in _CONSTANTS.items():
        if x == value or math.isclose(x, value, rel_tol=1e-15):
            return name
    return number(x, 6)


def array_text(shape: Sequence[int], elements: Sequence[float] | None) -> str:
    """Write the elements of an array row by row; without them its shape, as 4×3 or (3,)."""
    if elements is None:
        return f"({shape[0]},)" if len(shape) == 1 else "×".join(map(str, shape))
    if not shape:
        return number(elements[0])
    size = len(elements) // shape[0] if shape[0] else 0
    rows = (elements[i * size : (i + 1) * size] for i in range(shape[0]))
    return f"[{', '.join(array_text(shape[1:], row) for row in rows)}]"


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Replace placeholders by numbers or shapes, in parentheses where these need them."""

    def replacement(placeholder: re.Match[str]) -> str:
        value = values.get(placeholder[0])
        if value is None:
            return placeholder[0]
        before, after = text[: placeholder.start()], text[placeholder.end() :]
        negative = value[0] == "−"
        several = value[0] not in "[(" and any(sign in value for sign in ("×", "e+", "e−"))
        bound = before.endswith(_BINDING_BEFORE) or after.startswith(_BINDING_AFTER)
        misread = negative and before != "" and not before.endswith(_BEFORE)
        return f"({value})" if misread or ((negative or several) and bound) else value

    return PLACEHOLDER.sub(replacement, text)


def as_number(x: Any) -> Any:
    """Return a number as Python's; None for anything else."""
    if isinstance(x, np.ndarray) and x.ndim == 0:
        x = x.item()
    if isinstance(x, bool | np.bool_) or not isinstance(x, int | float | np.number):
        return None
    return x.item() if isinstance(x, np.number) else x
