"""Heat: colours for the norms of gradients, which show where they vanish and explode.

One hue that darkens with the logarithm of the norm, so that colour-blind readers see it too. 0
and values that are not finite, which have no place on the scale, are blue and violet.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from graphgrad.viz.formulas.number_format import number

SCALE = ("#FFF4E5", "#FFD9AB", "#FDB55F", "#E97D22", "#C4560D", "#8F3708", "#5A1F00")
ZERO, NOT_FINITE = "#B6E0FF", "#6226B0"
LEGEND = "fill: ‖∂‖ of what leaves a node"
TICKS = 6
MIN_DECADES = 3  # on a shorter scale small differences would look large


@dataclass(frozen=True, slots=True)
class Heat:
    """The scale of colours: norms from 10^low to 10^high, and whether 0, NaN or ∞ occur."""

    low: float
    high: float
    zero: bool = False
    not_finite: bool = False

    def ticks(self) -> list[float]:
        """Return norms at equal distances on the scale, including its ends."""
        span = self.high - self.low
        steps = round(span / _step(span)) if span == round(span) else TICKS
        return [10 ** (self.low + span * i / steps) for i in range(steps + 1)]

    def legend(self) -> list[tuple[str, str]]:
        """Return the colours of the scale, each with the text of its norm."""
        cells = [(self.color(norm), number(float(f"{norm:.1g}"), 6)) for norm in self.ticks()]
        return cells + [(ZERO, "0")] * self.zero + [(NOT_FINITE, "NaN, ∞")] * self.not_finite

    def color(self, norm: float) -> str:
        """Return the colour of a norm."""
        if not math.isfinite(norm):
            return NOT_FINITE
        if norm == 0:
            return ZERO
        place = (math.log10(norm) - self.low) / (self.high - self.low) * (len(SCALE) - 1)
        place = min(max(place, 0.0), len(SCALE) - 1)
        first = min(int(place), len(SCALE) - 2)
        return _mix(SCALE[first], SCALE[first + 1], place - first)


def heat_scale(norms: Iterable[float], limits: tuple[float, float] | None = None) -> Heat | None:
    """Return the scale for norms: whole decades, or the limits given; None without norms."""
    norms = list(norms)
    if not norms:
        return None
    zero = 0.0 in norms
    not_finite = not all(map(math.isfinite, norms))
    if limits is not None:
        return Heat(math.log10(limits[0]), math.log10(limits[1]), zero, not_finite)
    logs = [math.log10(norm) for norm in norms if norm and math.isfinite(norm)] or [0.0]
    high = math.ceil(max(logs))
    span = max(high - math.floor(min(logs)), MIN_DECADES)
    span = math.ceil(span / _step(span)) * _step(span)
    return Heat(high - span, high, zero, not_finite)


def _step(span: float) -> int:
    """Return the number of decades between two ticks."""
    return math.ceil(span / TICKS)


def text_color(fill: str) -> str:
    """Return black or white, whichever contrasts more with a fill (WCAG 2.2, contrast ratio)."""
    shares = [c / 255 for c in _rgb(fill)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares)
    light = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#000000" if (light + 0.05) ** 2 > 1.05 * 0.05 else "#FFFFFF"


def _mix(one: str, other: str, share: float) -> str:
    mixed = zip(_rgb(one), _rgb(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02X}" for a, b in mixed)


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
