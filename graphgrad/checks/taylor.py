"""A second opinion on a gradient, without a step to choose: Taylor's theorem.

Along any direction d the remainder |f(x + h d) − f(x) − h ⟨g, d⟩| falls with h² if g is the
gradient, and with h if it is not, however small the fault.
"""

from dataclasses import dataclass

import numpy as np

from graphgrad.checks.differences import Path

LARGEST = 0.25  # of the steps, in units of the direction; each is half the last
FEW, MANY = 10, 20  # steps: to show orders, and to see where noise takes over
TAIL, PLATEAU = 6, 0.5  # if so many remainders fall with an order below it, they are noise
CLEAR = 30  # times the noise: remainders above it count
SECOND, FIRST = 1.8, 1.3  # orders from which, and up to which, the remainder counts as that


@dataclass(frozen=True)
class Remainders:
    """The remainders for steps that are halved."""

    sizes: tuple[float, ...]
    noise: tuple[float, ...]  # the rounding error of a remainder

    @property
    def orders(self) -> list[float]:
        """The order of each halving, largest step first, until noise dominates."""
        floor = self._floor
        found = []
        pairs = zip(self.sizes, self.sizes[1:], self.noise[1:], strict=False)
        for wide, narrow, noise in pairs:
            if not (np.isfinite(wide) and np.isfinite(narrow)):
                continue
            if narrow <= CLEAR * max(noise, floor):
                break
            found.append(float(np.log2(wide / narrow)))
        return found

    @property
    def _floor(self) -> float:
        """The noise of f beyond rounding: the size at which the remainder stops falling, or 0."""
        last = [s for s in self.sizes[-TAIL:] if np.isfinite(s) and s > 0]
        if len(last) < TAIL or len(self.sizes) < MANY:
            return 0.0
        falls = -np.polyfit(range(TAIL), np.log2(last), 1)[0]
        return float(np.median(last)) if falls < PLATEAU else 0.0

    @property
    def order(self) -> float | None:
        """The order for the smallest steps above the noise; None if there are none."""
        last = self.orders[-2:]
        return min(last) if len(last) == 2 else None

    @property
    def vanishes(self) -> bool:
        """Whether f is linear along the direction: the remainder is rounding at every step."""
        return all(s <= CLEAR * n < np.inf for s, n in zip(self.sizes, self.noise, strict=True))

    def __str__(self) -> str:
        """Show the orders."""
        if self.vanishes:
            return "f is linear along a random direction, as the gradients say"
        seen = " ".join(f"{order:.2f}" for order in self.orders[-5:])
        if not seen:
            return "Taylor remainder along a random direction: lost in rounding"
        return f"Taylor remainder along a random direction falls with order {seen}; 2 is right"


class Expansion:
    """f along a direction, against its slope there by the gradients."""

    def __init__(self, path: Path, slope: float) -> None:
        self.path, self.slope = path, slope
        self.start = path.at(0.0)
        self.sizes: list[float] = []
        self.noise: list[float] = []

    def remainders(self, count: int = FEW) -> Remainders:
        """Return the remainders for decreasing steps."""
        for k in range(len(self.sizes), count):
            step = LARGEST / 2**k
            level = self.path.difference(self.path.at(step), self.start)
            self.sizes.append(abs(level.slope - self.slope) * step)
            self.noise.append(level.noise * step + 1e-16 * abs(self.slope) * step)
        return Remainders(tuple(self.sizes[:count]), tuple(self.noise[:count]))

    @property
    def falls_fast(self) -> bool:
        """Whether the remainder falls with the square of the step until noise dominates."""
        order = self.remainders(MANY).order
        return order is not None and order >= SECOND
