"""What a search for hyper-parameters found."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphgrad.arguments import PositiveFloat, PositiveInt, guarded
from graphgrad.nn.tuning.ranges import Choice, Range
from graphgrad.typing import Array


@dataclass(frozen=True)
class TrialResult:
    """One point that was tried.

    Attributes
    ----------
    number
        From 0, in the order in which the points were drawn.
    point
        The hyper-parameters by name.
    state
        ``"complete"``, ``"pruned"`` or ``"failed"``.
    value
        What the objective returned; where pruned, what it reported last; where failed, None.
    reports
        What it reported, by step.
    error, traceback
        Why it failed; else None.
    folder
        Its checkpoints, where the search was given a place for them.
    """

    number: int
    point: dict[str, Any]
    state: str
    value: float | None
    reports: dict[int, float]
    error: str | None
    traceback: str | None
    folder: Path | None

    def __str__(self) -> str:
        shown = f"{self.value:.4f}" if self.value is not None else "failed"
        cells = ", ".join(f"{name} {_shown(value)}" for name, value in self.point.items())
        return f"{shown} ({cells}{', pruned' * (self.state == 'pruned')})"

    def __repr__(self) -> str:
        return f"<TrialResult {self.number}: {self}>"


@dataclass(frozen=True)
class SearchResult:
    """What a search found; print it for a table of the best points.

    Attributes
    ----------
    space
        The ranges that were searched.
    maximize
        Whether high values are the good ones.
    trials
        All points: first those that came to their end, best first; then pruned, then failed ones.
    """

    space: Mapping[str, Range | Choice]
    maximize: bool
    trials: tuple[TrialResult, ...]

    @property
    def best(self) -> TrialResult:
        """The best point that came to its end."""
        return self.trials[0]

    @property
    def warnings(self) -> list[str]:
        """What to mind: each range on whose border the best point lies, within a tenth of it."""
        found = []
        for name, range_ in self.space.items():
            value = self.best.point[name]
            border = range_.border(value)
            if border:
                found.append(
                    f"the best {name}, {_shown(value)}, lies on the {border} border of {range_}: "
                    "better ones may lie outside; see narrowed(beyond=True)"
                )
        return found

    @guarded
    def narrowed(
        self, best: PositiveInt = 5, *, margin: PositiveFloat = 0.1, beyond: bool = False
    ) -> dict[str, Range | Choice]:
        """Return the ranges that hold the best points, for a finer search.

        What matters becomes narrow, for the best points agree on it; what does not stays wide.

        Parameters
        ----------
        best
            How many points; 1 gives ranges about the best one.
        margin
            Added at both ends, as a share of the range, on its own scale.
        beyond
            Whether the margin may lead out of the first range.
        """
        points = [trial.point for trial in self.trials if trial.state == "complete"][:best]
        return {
            name: range_.around([point[name] for point in points], margin, beyond=beyond)
            for name, range_ in self.space.items()
        }

    def __str__(self) -> str:
        counts = {
            state: sum(trial.state == state for trial in self.trials)
            for state in ("complete", "pruned", "failed")
        }
        names = list(self.space)
        rows = [["trial", "value", *names]]
        for trial in self.trials[: min(10, counts["complete"])]:
            values = [_shown(trial.point[name]) for name in names]
            rows.append([str(trial.number), f"{trial.value:.4f}", *values])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [", ".join(f"{count} {state}" for state, count in counts.items() if count)]
        lines += [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        ]
        lines += [f"warning: {warning}" for warning in self.warnings]
        failed = [trial for trial in self.trials if trial.state == "failed"]
        lines += [f"trial {trial.number} failed: {trial.error}" for trial in failed[:3]]
        return "\n".join(lines)

    __repr__ = __str__


def _shown(value: Array) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
