"""Drawing watched steps: histograms per layer, and what changed over time. Needs matplotlib."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphgrad.findings.thresholds import UPDATES
from graphgrad.findings.update_ratios import ratios
from graphgrad.nn.diagnosis.measurements import Distribution, Record
from graphgrad.viz import plots

KINDS = "activations", "gradients"
LAYERS = 16  # drawn at most
CURVES = 12  # at most


def draw(
    records: Sequence[Record],
    resting: Sequence[Mapping[str, float | None]],
    path: Path,
    title: str = "",
) -> Path:
    """Draw the newest record, outlined by the first one, beside curves over all."""
    first, newest = records[0], records[-1]
    names, left_out = _chosen(newest)
    figure = plots.figure(13, max(5.0, 1.0 + 0.85 * len(names)))
    steps = f"filled: step {newest.step}, outlined: step {first.step}"
    parts = [title, steps, f"{left_out} more layers are not drawn" if left_out else ""]
    figure.suptitle("; ".join(filter(None, parts)))
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[1.5, 1])[0]
    grid = left.subplots(len(names), 2, squeeze=False)
    for row, name in zip(grid, names, strict=True):
        now, then = newest.layers[name], first.layers.get(name)
        for axes, what, colour in zip(
            row, ("activations", "gradients"), plots.COLOURS, strict=False
        ):
            _histogram(axes, getattr(now, what), getattr(then, what, None), colour)
        label = _label(name, newest)
        row[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=10)
    grid[0, 0].set_title("activations")
    grid[0, 1].set_title("gradients of the loss there")
    updates, rests = right.subplots(2, 1, height_ratios=[1.3, 1])
    _ratios(updates, records)
    _resting(rests, records, resting)
    return plots.save(figure, path)


def _chosen(record: Record) -> tuple[list[str], int]:
    names = list(record.layers)
    if len(names) > LAYERS:
        names = [name for name in names if record.layers[name].weighted] or names
    if len(names) > LAYERS:
        places = np.linspace(0, len(names) - 1, LAYERS).round().astype(int)
        names = [names[i] for i in places]
    return names, len(record.layers) - len(names)


def _label(name: str, record: Record) -> str:
    layer = record.layers.get(name)
    return name if layer is None else layer.called(name)


def _histogram(axes: Any, now: Distribution | None, then: Distribution | None, colour: str) -> None:
    """Draw shares of the values; the highest bar of each histogram reaches the top."""
    axes.set(yticks=[], ylim=(0, 1.08))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.locator_params(axis="x", nbins=5)
    axes.ticklabel_format(axis="x", scilimits=(-2, 4))
    axes.xaxis.get_offset_text().set_fontsize(8)
    if now is None or not now.counts.any():
        text = "no gradient" if now is None else "NaN or infinite"
        axes.text(0.5, 0.4, text, transform=axes.transAxes, ha="center")
        axes.set_xticks([])
        return
    axes.stairs(_heights(now), now.edges, fill=True, color=colour, alpha=0.45, lw=0)
    low, high = now.low, now.high
    if then is not None and then.counts.any():
        axes.stairs(_heights(then), then.edges, color=plots.BLACK, lw=0.9)
        low, high = min(low, then.low), max(high, then.high)
    axes.set_xlim(low, high)
    axes.text(
        y=0.8,
        s=f"std {plots.number(now.std, 2)}",
        transform=axes.transAxes,
        fontsize=8.5,
        **_free_place(now, low, high),
    )


def _heights(d: Distribution) -> Any:
    """Return counts per width, the largest 1."""
    return d.counts / d.counts.max()


def _free_place(d: Distribution, low: float, high: float) -> dict[str, Any]:
    """Return where no high bars are, of right, left and middle."""
    places = (d.edges[1:] + d.edges[:-1]) / 2
    share, heights = (places - low) / (high - low), _heights(d)
    thirds = [heights[share > 0.75], heights[share < 0.25], heights[abs(share - 0.5) < 0.15]]
    tops = [part.max(initial=0) for part in thirds]
    spots = {"right": 0.99, "left": 0.01, "center": 0.5}
    ha, x = list(spots.items())[int(np.argmin(np.maximum(tops, 0.6)))]
    return {"x": x, "ha": ha}


def _ratios(axes: Any, records: Sequence[Record]) -> None:
    steps = [record.step for record in records]
    rows = ratios(records)
    series = {
        name: [math.nan if ratio is None else ratio for ratio in rows[name]]
        for name in _spaced(list(rows))
    }
    axes.axhspan(UPDATES.low, UPDATES.high, color=plots.BLACK, alpha=0.1, lw=0)
    if series:
        plots.show_curves(axes, series, xlabel="", log=True, x=steps)
    axes.set(title=f"update / weight (grey: {UPDATES}, usual)", xlabel="step", yscale="log")
    values = [v for row in series.values() for v in row if v > 0]
    axes.set_ylim(min([UPDATES.low, *values]) / 1.5, max([UPDATES.high, *values]) * 1.5)
    axes.xaxis.get_major_locator().set_params(integer=True)
    _legend(axes)


def _resting(
    axes: Any, records: Sequence[Record], resting: Sequence[Mapping[str, float | None]]
) -> None:
    names = [name for name, share in resting[-1].items() if share is not None]
    names = [name for name in names if any(row.get(name) for row in resting)] or names
    series = {
        _label(name, records[-1]): [
            math.nan if (share := row.get(name)) is None else share for row in resting
        ]
        for name in _spaced(names)
    }
    if series:
        steps = [record.step for record in records]
        plots.show_curves(axes, series, xlabel="", x=steps, percent=True)
    axes.set(title="units dead, or values saturated", xlabel="step", ylim=(-0.03, 1.03))
    axes.xaxis.get_major_locator().set_params(integer=True)
    _legend(axes)


def _spaced(names: list[str]) -> list[str]:
    if len(names) <= CURVES:
        return names
    return [names[i] for i in np.linspace(0, len(names) - 1, CURVES).round().astype(int)]


def _legend(axes: Any) -> None:
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False, fontsize=8.5, ncols=2)
