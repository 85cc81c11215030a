"""Updates by the norms of their weights, over watched steps: rows, and what leaves the band."""

from collections.abc import Sequence
from typing import Any

from graphgrad.judging.limits import UPDATES, short

NAMED = 3  # weights; of more, the number


def ratios(records: Sequence[Any]) -> dict[str, list[float | None]]:
    """Return update / weight of each weight matrix, one for each record; None where it was not."""
    names = {name: None for r in records for name, p in r.parameters.items() if p.matrix}
    return {
        name: [r.parameters[name].ratio if name in r.parameters else None for r in records]
        for name in names
    }


def excursions(records: Sequence[Any]) -> list[str]:
    """Say which updates were ever outside the usual band, how far, and in which steps.

    It tells of every single value; what is so in most of the newest steps is a finding.
    """
    rows = ratios(records)
    said = []
    for side, word, limit, extreme in (
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
        every = sorted({records[i].step for name in names for i in places[name]})
        listed = ", ".join(names[:NAMED])
        listed += f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        when = f"step {every[0]:,}" if len(every) == 1 else f"steps {every[0]:,} to {every[-1]:,}"
        text = f"updates of {listed} were {word} {short(limit)} of the weights in {when}"
        text += f" ({len(every):,} of {len(records):,} watched): {short(extreme(values))}"
        said.append(f"{text} at the most" if side > 0 else f"{text} at the least")
    return said
