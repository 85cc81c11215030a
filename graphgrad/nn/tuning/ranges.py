"""What a hyper-parameter may be: a range on its own scale, or one of several values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from graphgrad.arguments import CALLED, guarded
from graphgrad.errors import ArgumentError, DtypeError
from graphgrad.typing import Array

BORDER = 0.1  # a tenth of the scale: who lies closer to an end lies on the border


@dataclass(frozen=True, init=False)
class Range:
    """Every number from ``low`` to ``high``, both included: ``Range(1e-6, 1e-2, log=True)``.

    Parameters
    ----------
    low, high
        The ends.
    log
        Whether ratios count rather than differences, as for rates and strengths, whose effect
        on training is multiplied: each power of ten is as likely as the next.
    whole
        Whether only whole numbers are meant.

    Raises
    ------
    DtypeError
        If an end is no number, or for ``whole`` no whole one.
    ArgumentError
        If ``low`` is not below ``high``, one of them is infinite or NaN, or ``low`` of a
        logarithmic range is not positive.
    """

    low: float
    high: float
    log: bool
    whole: bool

    @guarded
    def __init__(self, low: float, high: float, log: bool = False, whole: bool = False) -> None:
        for end in (low, high) if whole else ():
            if not isinstance(end, Integral):
                message = f"Range({low!r}, {high!r}): the ends must be whole numbers, not {end!r}"
                raise DtypeError(message)
        object.__setattr__(self, "low", int(low) if whole else float(low))
        object.__setattr__(self, "high", int(high) if whole else float(high))
        object.__setattr__(self, "log", bool(log))
        object.__setattr__(self, "whole", bool(whole))
        if not self.low < self.high:
            raise ArgumentError(f"{self}: low must be below high")
        if self.log and self.low <= 0:
            message = f"{self}: on a logarithmic scale low must be above 0"
            raise ArgumentError(message)

    def share(self, value: float) -> float:
        """Return where a value lies on the scale: 0 at ``low``, 1 at ``high``."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def value(self, share: float) -> float:
        """Return what lies at a share of the scale, the inverse of ``share``."""
        if share in (0, 1):
            return self.high if share else self.low  # exactly
        if self.log:
            return float(self.low * (self.high / self.low) ** share)
        return self.low + (self.high - self.low) * share

    def part(self, first: float, last: float) -> "Range":
        """Return the range between two shares of the scale; whole ends are rounded outwards."""
        low, high = self.value(first), self.value(last)
        if self.whole:
            low, high = math.floor(low), math.ceil(high)
            if self.log:
                low = max(low, 1)
            if first >= 0:
                low = max(low, self.low)  # rounding errors lead out of it too
            if last <= 1:
                high = min(high, self.high)
        return Range(low, high, self.log, self.whole)

    def around(self, values: Sequence[float], margin: float, *, beyond: bool) -> "Range":
        """Return the part that holds the values, and a margin on either side of them."""
        shares = [self.share(value) for value in values]
        first, last = min(shares) - margin, max(shares) + margin
        return self.part(first, last) if beyond else self.part(max(first, 0), min(last, 1))

    def border(self, value: float) -> str | None:
        """Name the border that a value lies on: within a tenth of the scale."""
        share = self.share(value)
        if min(share, 1 - share) > BORDER:
            return None
        return "lower" if share < 0.5 else "upper"

    def distribution(self, optuna: Any) -> Any:
        """Return the same for Optuna."""
        kind = "IntDistribution" if self.whole else "FloatDistribution"
        return getattr(optuna.distributions, kind)(self.low, self.high, log=self.log)

    def __str__(self) -> str:
        scale = "".join([", log=True" * self.log, ", whole=True" * self.whole])
        low, high = (f"{end:d}" if self.whole else f"{end:.3g}" for end in (self.low, self.high))
        return f"Range({low}, {high}{scale})"


@dataclass(frozen=True, init=False)
class Choice:
    """One of several values: ``Choice(["relu", "tanh"])``.

    Parameters
    ----------
    values
        Strings, numbers, booleans or None, for they are kept in a file.

    Raises
    ------
    DtypeError
        If there is another kind of value.
    ArgumentError
        If there is no value, or one twice, or NaN or infinity.
    """

    values: tuple[Any, ...]

    @guarded
    def __init__(self, values: Sequence[Any]) -> None:
        if isinstance(values, str):
            message = f"{CALLED}: {values!r} is one string; give a list of values"
            raise DtypeError(message)
        values = tuple(values)
        for value in values:
            if not isinstance(value, str | int | float | None):
                message = f"{CALLED}: {value!r} is no string, number, bool or None; give a name, "
                raise DtypeError(f"{message}and let the objective look it up")
        numbers = [value for value in values if isinstance(value, float)]
        if not values or len(set(values)) < len(values) or not all(map(math.isfinite, numbers)):
            message = f"{CALLED}: {values} must be at least one value, each once, and finite"
            raise ArgumentError(message)
        object.__setattr__(self, "values", values)

    def around(self, values: Sequence[Any], margin: float, *, beyond: bool) -> "Choice":
        """Return the choice among those of its values that are there."""
        del margin, beyond  # there is no scale
        return Choice([value for value in self.values if value in values])

    def border(self, value: Array) -> None:
        """Return None: a choice has no border."""

    def distribution(self, optuna: Any) -> Any:
        """Return the same for Optuna."""
        return optuna.distributions.CategoricalDistribution(self.values)

    def __str__(self) -> str:
        return f"Choice({list(self.values)!r})"
