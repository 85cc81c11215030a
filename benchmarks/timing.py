"""Timing on a noisy machine: contestants take turns, and only ratios within a round count."""

import statistics
import time
import timeit
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Self

Work = Callable[[], object]

SAMPLE = 0.001  # seconds that one contestant runs at a time, unless one call takes longer


class Ratio(NamedTuple):
    """Our time over another's, round by round."""

    median: float
    low: float  # the quartiles
    high: float

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> Self:
        """Divide pair by pair; the median of that, and its quartiles."""
        low, median, high = statistics.quantiles(
            [a / b for a, b in zip(ours, theirs, strict=True)], n=4
        )
        return cls(median, low, high)

    @property
    def unreliable(self) -> bool:
        """Whether the quartiles are further apart than a fifth of the median."""
        return self.high - self.low > self.median / 5

    def __str__(self) -> str:
        mark = " (?)" if self.unreliable else ""
        digits = 2 if self.median < 10 else 0
        return f"{self.median:.{digits}f} ({self.low:.{digits}f}–{self.high:.{digits}f}){mark}"


class Times:
    """Seconds per call of each contestant in every round."""

    def __init__(
        self,
        contestants: Mapping[str, Work],
        rounds: int,
        clock: Callable[[], float] = time.perf_counter,
        sample: float = SAMPLE,
    ) -> None:
        """Let the contestants take turns, the order reversed every other round.

        A turn takes ``sample`` seconds: where it is one call of a millisecond, each contestant
        finds the caches as another left them, which is not how a training loop runs.

        The garbage collector is off while a sample runs. What runs on one core is better timed
        by ``time.process_time``, on which other programs have less influence.
        """
        timers = {name: timeit.Timer(work, timer=clock) for name, work in contestants.items()}
        calls = {}
        for name, timer in timers.items():
            seconds = min(timer.timeit(10) for _ in range(5)) / 10
            calls[name] = max(1, round(sample / seconds))
        self.seconds: dict[str, list[float]] = {name: [] for name in timers}
        order = list(timers)
        for _ in range(rounds):
            for name in order:
                self.seconds[name].append(timers[name].timeit(calls[name]) / calls[name])
            order.reverse()

    def median(self, name: str) -> float:
        """Return the median seconds per call."""
        return statistics.median(self.seconds[name])

    def ratio(self, ours: str, theirs: str) -> Ratio:
        """Return the median of the per-round ratios, and their quartiles."""
        return Ratio.of(self.seconds[ours], self.seconds[theirs])


def duration(seconds: float) -> str:
    """Format a time with three digits."""
    factor, unit = next(
        (f, u) for f, u in ((1, "s"), (1e3, "ms"), (1e6, "µs"), (1e9, "ns")) if seconds * f >= 1
    )
    return f"{seconds * factor:.3g} {unit}"
