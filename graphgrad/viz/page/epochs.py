"""The history on the page of a training run: charts over the epochs, and key figures."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphgrad.findings.history import Columns, Finding
from graphgrad.reprs import counted
from graphgrad.viz.drawing.texts import readable
from graphgrad.viz.page.curves import NAME_LENGTH, curve, index_axis, json_number, spans_decades

_TRAINING, _VALIDATION, _BATCHES = 0, 1, -1  # styles of curves


def charts(
    columns: Columns, losses: Sequence[float], found: Sequence[Finding] = ()
) -> list[dict[str, Any]]:
    """Return a chart for each kind of column: the loss first, the learning rate last.

    The epochs of a finding are marked by its letter in the chart of its column.
    """
    kinds: dict[str, dict[str, Sequence[float]]] = {}
    for name, values in columns.items():
        kind = name.removeprefix("validation_")
        kinds.setdefault(kind, {})[name] = values
    order = sorted(kinds, key=lambda kind: (kind == "lr") - (kind == "loss"))
    drawn = [_chart(kind, kinds[kind]) for kind in order]
    for chart, kind in zip(drawn, order, strict=True):
        chart["marks"] = [
            [*finding.epochs, list_marker(place)]
            for place, finding in enumerate(found, 1)
            if finding.epochs and finding.column.removeprefix("validation_") == kind
        ]
    if not losses:
        return drawn
    size = batches_per_epoch(columns, losses)
    batch_curve = curve("each batch", losses, look=_BATCHES)
    axis = index_axis("batch", len(losses), 1 / size if size else 1.0)
    if size:
        drawn[0]["xs"].append(axis)
        drawn[0]["series"].insert(0, batch_curve | {"x": 1})
        drawn[0]["log"] = spans_decades([*kinds["loss"].values(), losses])
    else:
        drawn.insert(
            1 if "loss" in kinds else 0,
            {
                "id": "batches",
                "title": "Loss of each batch",
                "log": spans_decades([losses]),
                "xs": [axis],
                "series": [batch_curve | {"look": _TRAINING}],
            },
        )
    return drawn


def list_marker(json_number: int) -> str:
    """Return the marker of an item in an ordered HTML list of type A: A, B, …, Z, AA."""
    text = ""
    while json_number:
        json_number, place = divmod(json_number - 1, 26)
        text = chr(ord("A") + place) + text
    return text


def batches_per_epoch(columns: Columns, losses: Sequence[float]) -> int | None:
    """Return the number of batches in an epoch, if one number explains the loss of every epoch.

    A history does not contain it, and may end in the middle of an epoch. The loss of an epoch is
    the mean of its batches; the last may be smaller, with a weight r < 1 that all epochs share.
    """
    epoch_losses = np.asarray(columns.get("loss", ()), float)
    batches = np.asarray(losses, float)
    epochs = epoch_losses.size
    if not epochs or batches.size < epochs or not np.isfinite(batches).all():
        return None
    sizes = np.arange(batches.size // (epochs + 1) + 1, batches.size // epochs + 1)
    ends = np.multiply.outer(sizes, np.arange(epochs + 1))
    last = batches[ends[:, 1:] - 1]
    before = np.diff(np.concatenate([[0.0], np.cumsum(batches)])[ends]) - last
    many = sizes[:, np.newaxis] - 1
    with np.errstate(all="ignore"):  # r by least squares; 0 / 0 is NaN, which fits nothing
        off = last - epoch_losses
        r = (off * (many * epoch_losses - before)).sum(axis=1) / np.square(off).sum(axis=1)
        exact = _fits(before, last, many, 1.0, epoch_losses)
        nearly = _fits(before, last, many, r[:, np.newaxis], epoch_losses) & (r > 0) & (r < 1)
    for fit in (exact, nearly):
        if fit.sum() == 1:
            return int(sizes[fit.argmax()])
    return None


def _fits(before: Any, last: Any, many: Any, r: Any, epoch_losses: Any) -> Any:
    means = (before + r * last) / (many + r)
    scale = np.abs(last).max(initial=0) + np.abs(epoch_losses)
    return (np.abs(means - epoch_losses) <= 1e-6 * scale).all(axis=1)


def _chart(kind: str, columns: Columns) -> dict[str, Any]:
    count = len(next(iter(columns.values())))
    series = []
    for name, values in columns.items():
        held = name.startswith("validation_")
        label = "validation" if held else "training" if kind != "lr" else "learning rate"
        series.append(curve(label, values, look=_VALIDATION if held else _TRAINING))
    share = kind.endswith("accuracy") and all(
        0 <= v <= 1 for values in columns.values() for v in values if math.isfinite(v)
    )
    log = kind in {"lr", "loss"} and spans_decades(list(columns.values()))
    return {
        "id": "loss" if kind == "loss" else "column",
        "title": title(kind),
        "percent": share,
        "log": log,
        "xs": [index_axis("epoch", count)],
        "series": series,
    }


def title(kind: str) -> str:
    """Return the heading of a kind of column."""
    if kind == "lr":
        return "Learning rate"
    words = readable(kind, NAME_LENGTH).replace("_", " ")
    return words[:1].upper() + words[1:]


# ---------------------------------------------------------------------------- key figures


def facts(columns: Columns, losses: Sequence[float], steps: int) -> list[tuple[str, str, str]]:
    """Return the key figures: each a number, its label, and a detail."""
    epochs = len(next(iter(columns.values()), ()))
    counts = (
        (epochs, "epoch", "epochs"),
        (len(losses), "batch", "batches"),
        (steps, "watched step", "watched steps"),
    )
    first, *rest = (counted(*count) for count in counts if count[0])
    count, _, word = first.partition(" ")
    found = [(count, word, ", ".join(rest))]
    for name, values in columns.items():
        kind = name.removeprefix("validation_")
        if kind in {"loss", "accuracy"} and (kind == name) != (f"validation_{kind}" in columns):
            found.append(_best(name, kind, values, columns.get(kind, ())))
    return found


def _best(
    name: str, kind: str, values: Sequence[float], training: Sequence[float]
) -> tuple[str, str, str]:
    lowest = kind == "loss"
    sign = 1 if lowest else -1
    ranks = [sign * v if math.isfinite(v) else math.inf for v in values]
    place = ranks.index(min(ranks))
    word = "lowest" if lowest else "highest"
    if place == len(values) - 1:
        detail = f"{word} in the last epoch"
    else:
        detail = f"{word} in epoch {place + 1:,}; {_value(kind, values[-1])} at the end"
    if name != kind and training:
        detail += f", training {_value(kind, training[-1])}"
    return _value(kind, values[place]), name.replace("_", " "), detail


def _value(kind: str, value: float) -> str:
    if kind == "accuracy" and 0 <= value <= 1:
        return f"{value:.2%}"
    return str(json_number(value, 4))
