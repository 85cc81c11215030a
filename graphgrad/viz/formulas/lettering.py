"""Lettering: how numbers are written, and how tightly a written text holds together."""

import math
from typing import Any, NamedTuple

import numpy as np

# how tightly a text holds together: one that is looser than its place asks gets parentheses
LOOSE, SUM, CHAIN, PRODUCT, TIGHT, ATOM = range(6)  # a chain: of matrix products

UPSTREAM = "\uf8f0"  # stands for the gradient that arrives, as long as it has no name
_CONSTANTS = {
    math.log(2): "ln 2",
    math.log(10): "ln 10",
    math.pi: "π",
    2 / math.sqrt(math.pi): "2/√π",
    math.sqrt(0.5): "√½",
    1 / math.sqrt(2 * math.pi): "1/√(2π)",
    0.5: "½",
    math.inf: "∞",
}


class Written(NamedTuple):
    """A text and how tightly it holds together."""

    text: str
    level: int

    def at(self, least: int) -> str:
        """Return the text for a place that asks for a level."""
        return self.text if self.level >= least else f"({self.text})"


def number(x: Any) -> str:
    """Write the size of a number, which is not negative."""
    if math.isnan(x):
        return "NaN"
    for value, name in _CONSTANTS.items():
        if x == value or (value not in (0.5, math.inf) and math.isclose(x, value, rel_tol=1e-15)):
            return name
    text = f"{x:.6g}"
    return text.replace("e+0", "e").replace("e+", "e").replace("e-0", "e−").replace("e-", "e−")


def as_number(x: Any) -> Any:
    """Return a plain number for what is one, else None."""
    if isinstance(x, np.ndarray) and x.ndim == 0:
        x = x.item()
    if isinstance(x, bool | np.bool_) or not isinstance(x, int | float | np.number):
        return None
    return x.item() if isinstance(x, np.number) else x
