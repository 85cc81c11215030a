"""The ratios update / weight over watched steps, and those outside the usual band."""

from collections.abc import Sequence
from typing import Any

from graphgrad.findings.thresholds import UPDATES, short

NAMED = 3  # weights; further ones are counted


def ratios(records: Sequence[Any]) -> dict[str, list[float | None]]:
    """Return update / weight of each weight matrix per record; None where it was missing."""
    names = {name: None for r in records for name, p in r.parameters.items() if p.matrix}
    return {
        name: [r.parameters[name].ratio if name in r.parameters else None for r in records]
        for name in names
    }


def updates_outside_band(records: Sequence[Any]) -> list[str]:
    """Return sentences on updates that were outside the usual band in any watched step.

    Unlike a finding, which needs most of the newest steps.
    """
    rows = ratios(records)
    sentences = []
    for side, word, limit, worst in (
        (1, "above", UPDATES.high, max),
        (-1, "below", UPDATES.low, min),
    ):
        places = {
            name: [i for i, value in enumerate(row) if UPDATES.side(value) == side]
            for name, row in rows.items()
        }
        names = [name for name, outside in places.items() if outside]
        if not names:
            continue
        values = [v for name in names for i in places[name] if (v := rows[name][i]) is not None]
        steps = sorted({records[i].step for name in names for i in places[name]})
        listed = ", ".join(names[:NAMED])
        listed += f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        when = f"step {steps[0]:,}" if len(steps) == 1 else f"steps {steps[0]:,} to {steps[-1]:,}"
        text = f"updates of {listed} were {word} {short(limit)} of the weights in {when}"
        text += f" ({len(steps):,} of {len(records):,} watched): {short(worst(values))}"
        sentences.append(f"{text} at the most" if side > 0 else f"{text} at the least")
    return sentences
