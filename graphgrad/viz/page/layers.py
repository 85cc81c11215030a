"""The watched steps on the page of a training run: histograms by layer, and curves."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphgrad.findings.thresholds import DEAD, SATURATED, SPREAD, UPDATE, UPDATES, short
from graphgrad.findings.update_ratios import ratios
from graphgrad.viz.drawing.texts import readable
from graphgrad.viz.page.curves import NAME_LENGTH, curve, json_number, number_axis

HISTOGRAMS = 8000  # in one page, about a megabyte; with more, some steps are left out
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
SHORT = 4  # digits of numbers that come in thousands


def limits_text() -> str:
    """Return a clause on what is unusual in watched steps."""
    return (
        f"updates outside {UPDATES} of the weights, layers with {DEAD:.0%} of their units dead or "
        f"{SATURATED:.0%} of their values saturated, gradients or activations whose spread differs "
        f"by a factor of {SPREAD:,.0f} from the first layer with weights to the last, and NaN"
    )


def watched_data(records: Sequence[Any], resting: Sequence[Mapping[str, float | None]]) -> Any:
    """Return the data of records: steps, layers, a cell for each step and layer, two charts."""
    layers = {name: m for record in records for name, m in record.layers.items()}
    chosen = _evenly_spaced(len(records), max(2, HISTOGRAMS // (2 * len(layers) or 1)))
    rest = "saturated", "dead"
    return {
        "recorded": len(records),
        "steps": [int(records[i].step) for i in chosen],
        "layers": [
            {
                "name": readable(name, NAME_LENGTH),
                "kind": m.kind,
                "weighted": bool(m.weighted),
                "rest": rest[m.saturated is None],
            }
            for name, m in layers.items()
        ],
        "records": [
            [_cell(records[i], name, resting[i].get(name)) for name in layers] for i in chosen
        ],
        "charts": [
            chart
            for chart in (_ratios(records), _resting(records, resting, layers))
            if chart["series"]
        ],
    }


def _evenly_spaced(count: int, most: int) -> list[int]:
    """Return indices of a row, evenly spaced, including the first and the last."""
    if count <= most:
        return list(range(count))
    return [int(place) for place in np.linspace(0, count - 1, most).round()]


def _cell(record: Any, name: str, rest: float | None) -> Any:
    m = record.layers.get(name)
    if m is None:
        return None
    ratios = [
        p.ratio
        for parameter, p in record.parameters.items()
        if p.matrix and parameter.rpartition(".")[0] == name
    ]
    return [
        _distribution(m.activations),
        None if m.gradients is None else _distribution(m.gradients),
        None if rest is None else json_number(rest, SHORT),
        json_number(ratios[0], SHORT) if ratios else None,
    ]


def _distribution(d: Any) -> list[Any]:
    numbers = [json_number(v, SHORT) for v in (d.mean, d.std, d.low, d.high, d.broken)]
    counts = np.asarray(d.counts)
    total = int(counts.sum())
    return [*numbers, total, _encoded(counts)]


def _encoded(counts: Any) -> str:
    """Encode counts relative to the largest in two base-64 digits each; only 0 becomes 0."""
    largest = int(counts.max(initial=0))
    if not largest:
        return ""
    levels = np.rint(counts / largest * 4095).astype(int)
    levels = np.maximum(levels, counts > 0)
    return "".join(DIGITS[level >> 6] + DIGITS[level & 63] for level in levels.tolist())


def _ratios(records: Sequence[Any]) -> dict[str, Any]:
    rows = ratios(records)
    return {
        "id": "ratios",
        "title": "Update / weight",
        "about": "Norm of what a step adds to a weight, by the norm of the weight. "
        f"About {short(UPDATE)} is usual; the band is {UPDATES}.",
        "log": True,
        "band": [json_number(UPDATES.low), json_number(UPDATES.high)],
        "xs": [number_axis("step", [int(r.step) for r in records])],
        "series": [curve(name, row, SHORT, look=i) for i, (name, row) in enumerate(rows.items())],
    }


def _resting(
    records: Sequence[Any],
    resting: Sequence[Mapping[str, float | None]],
    layers: Mapping[str, Any],
) -> dict[str, Any]:
    names = {name: None for row in resting for name, share in row.items() if share is not None}
    rows = {name: [row.get(name) for row in resting] for name in names}
    active = [name for name, row in rows.items() if any(row)]
    called = {name: layers[name].called(name) if name in layers else name for name in rows}
    about = "The share of units that did nothing in all steps of the window, or of values at the "
    about += f"flat ends of tanh and sigmoid. {DEAD:.0%} of units or {SATURATED:.0%} of values are "
    about += "unusual."
    return {
        "id": "resting",
        "title": "Dead units, saturated values",
        "about": about,
        "percent": True,
        "range": [0, 1],
        "quiet": [readable(called[name], NAME_LENGTH) for name in rows if name not in active],
        "xs": [number_axis("step", [int(r.step) for r in records])],
        "series": [curve(called[name], rows[name], SHORT, look=i) for i, name in enumerate(active)],
    }
