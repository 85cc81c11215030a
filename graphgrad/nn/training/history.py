"""What happened while a model learned: numbers by epoch, and the loss of every batch."""

import math
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphgrad.errors import ShapeError
from graphgrad.judging.histories import Findings, findings

HIGH = 0.8  # an accuracy that is always above is shown by itself


class History(Mapping[str, list[float]]):
    """Columns by name, one number per epoch: ``history["validation_loss"][-1]``.

    ``loss``, ``accuracy`` and their like are means over the batches of an epoch, taken while the
    model learns: with dropout, of augmented samples, before each step. So they may be worse than
    those of the validation; ``trainer.evaluate(train)`` is how it reads its training samples.

    Print it for a table. ``losses`` has the loss of every batch, of all epochs.
    """

    def __init__(self) -> None:
        self.columns: dict[str, list[float]] = {}
        self.losses: list[float] = []
        self.epochs = 0

    def append(self, row: Mapping[str, float]) -> None:
        """Add an epoch.

        Raises
        ------
        ShapeError
            If the columns are not those of the epochs before.
        """
        if self.epochs and row.keys() != self.columns.keys():
            message = f"History: columns {sorted(row)} after epochs with {sorted(self.columns)}"
            raise ShapeError(f"{message}; use one set of them")
        for name, value in row.items():
            self.columns.setdefault(name, []).append(float(value))
        self.epochs += 1

    def best(self, column: str) -> int:
        """Return the number, from 0, of the epoch with the lowest loss or highest other value.

        Of equal ones the first; epochs with NaN count only if there are no others.

        Raises
        ------
        ShapeError
            If there is no such column or no epoch yet.
        """
        if column not in self.columns:
            message = f"History: no column {column!r}; there are {sorted(self.columns)}"
            raise ShapeError(message)
        sign = 1 if column.endswith("loss") else -1
        values = [math.inf if math.isnan(v) else sign * v for v in self.columns[column]]
        return values.index(min(values))

    def findings(self) -> Findings:
        """Say in words what is unusual, in which epochs, and what helps; [] if nothing is.

        A loss that stays where it began, stands on a plateau, rises, swings or is NaN; validation
        that parts from the training loss. The limits stand in ``graphgrad/judging/limits.py``.

        ::

            print(history.findings())  # "nothing unusual", or a finding to a line
        """
        return findings(self.columns, self.losses)

    def plot(self, path: str | Path) -> Path:
        """Draw each kind of column over the epochs, training and validation in one.

        The loss has a logarithmic axis of a factor of ten at least, so that one that hardly moves
        looks flat; the accuracy one from 0 to 100 %, but where it is always high. Below stands
        what is unusual.

        Needs matplotlib (extra: train).

        Raises
        ------
        ShapeError
            If there is no epoch yet.
        """
        from graphgrad.viz import plots

        if not self.epochs:
            raise ShapeError("History: no epoch to draw yet")
        kinds: dict[str, dict[str, list[float]]] = {}
        for name, values in self.columns.items():
            kind = name.removeprefix("validation_")
            label = "training, while learning" if kind == name else "validation"
            label = "_" if kind == "lr" else label  # no name in the legend
            kinds.setdefault(kind, {})[label] = values
        width = 4.2 * len(kinds)
        figure = plots.figure(width, 3.4)
        for axes, (kind, series) in zip(
            np.atleast_1d(figure.subplots(1, len(kinds))), kinds.items(), strict=True
        ):
            title = "learning rate" if kind == "lr" else kind
            share = kind == "accuracy"
            plots.show_curves(axes, series, title=title, log=kind == "loss", percent=share)
            if kind == "loss":
                axes.set_ylim(_at_least_a_decade(*axes.get_ylim()))
            elif share and not min(map(min, series.values())) > HIGH:  # not so of NaN either
                axes.set_ylim(-0.02, 1.02)
        said = [textwrap.fill(finding.text, int(14 * width)) for finding in self.findings()]
        if said:
            figure.supxlabel("\n".join(said), x=0.01, ha="left", fontsize=9)
        return plots.save(figure, path)

    def state_dict(self) -> dict[str, Any]:
        """Return copies of everything, for a checkpoint."""
        columns = {name: list(values) for name, values in self.columns.items()}
        return {"epochs": self.epochs, "columns": columns, "losses": np.array(self.losses)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Be what ``state_dict`` was taken of.

        Raises
        ------
        ShapeError
            If columns have other lengths than the number of epochs; nothing changed then.
        """
        columns = {str(name): [float(v) for v in vs] for name, vs in state["columns"].items()}
        lengths = {name: len(values) for name, values in columns.items()}
        if any(length != state["epochs"] for length in lengths.values()):
            message = f"History: columns of {lengths} in a state of {state['epochs']} epochs"
            raise ShapeError(message)
        losses = [float(loss) for loss in state["losses"]]
        self.epochs, self.columns, self.losses = int(state["epochs"]), columns, losses

    def __getitem__(self, column: str) -> list[float]:
        return self.columns[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __repr__(self) -> str:
        """Show a table, an epoch to a line."""
        if not self.epochs:
            return "<History of no epoch>"
        names = list(self.columns)
        lines = ["  ".join(["epoch", *names])]
        for epoch in range(self.epochs):
            cells = [f"{self.columns[name][epoch]:.4g}".rjust(len(name)) for name in names]
            lines.append("  ".join([f"{epoch + 1:5}", *cells]))
        return "\n".join(lines)


def _at_least_a_decade(low: float, high: float) -> tuple[float, float]:
    """Widen the limits of a logarithmic axis, as far above as below."""
    wider = max(1.0, math.sqrt(10 * low / high))
    return low / wider, high * wider
