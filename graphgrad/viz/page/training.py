"""The page of a training run: its history, and what each layer did."""

import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphgrad.arguments import guarded
from graphgrad.errors import DtypeError, GraphError, ShapeError
from graphgrad.findings.history import criteria, findings
from graphgrad.findings.update_ratios import updates_outside_band
from graphgrad.viz.drawing.texts import readable
from graphgrad.viz.formulas.number_format import signed
from graphgrad.viz.page.document import checked_path, document, write
from graphgrad.viz.page.epochs import charts, facts
from graphgrad.viz.page.layers import limits_text, watched_data

_WHO = "training_page"


@guarded
def training_page(
    history: Any,
    path: str | os.PathLike[str],
    *,
    diagnosis: Any = None,
    title: str = "Training",
) -> Path:
    """Write a page about a training run: one HTML file, which needs no network.

    ::

        watch = nn.Diagnosis(model)
        trainer = nn.Trainer(model, optimizer, batches, validation=held, diagnosis=watch)
        gg.viz.training_page(trainer.fit(20), "training.html", diagnosis=watch)

    It has curves of the loss (of epochs, and of batches behind them), of accuracy and every other
    column, and of the learning rate. With a diagnosis also update / weight ratios, dead units and
    saturated values over time, and histograms of each layer's activations and gradients in each
    watched step. Findings from the history (see `nn.History.findings`) and from the newest watched
    steps are listed, and their epochs marked in the curves. Curves of more than 1200 numbers show
    minimum, mean and maximum of bins, and say so.

    Parameters
    ----------
    history
        An `nn.History`, or any mapping of columns to numbers, one for each epoch; the loss of
        each batch is taken from its attribute ``losses``, if there is one.
    path
        The file, ending in .html. An old file is replaced atomically.
    diagnosis
        The `nn.Diagnosis` that watched the training.
    title
        The heading.

    Raises
    ------
    ShapeError
        If there is nothing to draw yet, or columns differ in length.
    DtypeError
        If the history is no mapping of names to real numbers, or `diagnosis` no Diagnosis.
    GraphError
        If the diagnosis has watched no step.
    PictureError
        If the path does not end in .html or cannot be written.
    """
    path = checked_path(Path(path), _WHO)
    columns, losses = _checked_history(history)
    records = _checked_records(diagnosis)
    if not (any(columns.values()) or losses or records):
        message = f"{_WHO}: no epoch, no batch and no watched step to draw yet; train first"
        raise ShapeError(message)
    columns = columns if any(columns.values()) else {}
    found = findings(columns, losses)
    data: dict[str, Any] = {"charts": charts(columns, losses, found)}
    sentences = list(map(str, found))
    if records:
        data["watched"] = watched_data(records, diagnosis.resting_shares())
        sentences += diagnosis.findings()
    heading = readable(str(title), 200)
    tiles = facts(columns, losses, len(records))
    notes = _notes(diagnosis, history=bool(columns or losses))
    body = signed(_body(heading, tiles, sentences, updates_outside_band(records), notes))
    text = document(heading, body, data, style="training.css", script="training.js")
    return write(path, text, _WHO)


def _checked_history(history: Any) -> tuple[dict[str, list[float]], list[float]]:
    if not isinstance(history, Mapping):
        message = f"{_WHO}: a history is a mapping of columns to numbers, as nn.History, not"
        raise DtypeError(f"{message} {type(history).__name__}")
    columns = {str(name): _checked_row(str(name), row) for name, row in history.items()}
    lengths = {name: len(row) for name, row in columns.items()}
    if len(set(lengths.values())) > 1:
        message = f"{_WHO}: columns of {lengths} epochs; give one number for each epoch"
        raise ShapeError(message)
    return columns, _checked_row("losses", getattr(history, "losses", ()))


def _checked_row(name: str, row: Any) -> list[float]:
    try:
        numbers = np.asarray(row, float)
    except (TypeError, ValueError) as error:
        message = f"{_WHO}: '{readable(name, 80)}' is no row of real numbers: {error}"
        raise DtypeError(message) from error
    if numbers.ndim != 1:
        message = f"{_WHO}: '{readable(name, 80)}' is {numbers.shape}; give a row of numbers"
        raise ShapeError(message)
    values: list[float] = numbers.tolist()
    return values


def _checked_records(diagnosis: Any) -> Sequence[Any]:
    if diagnosis is None:
        return []
    if not hasattr(diagnosis, "records"):
        message = f"{_WHO}: diagnosis is a {type(diagnosis).__name__}; give an nn.Diagnosis"
        raise DtypeError(message)
    if not diagnosis.records:
        message = f"{_WHO}: the diagnosis has watched no step; run them inside `with watch.step():`"
        raise GraphError(f"{message}, or pass it to nn.Trainer")
    return list(diagnosis.records)


def _notes(diagnosis: Any, *, history: bool) -> list[str]:
    """Return notes on what the findings look for."""
    texts = [criteria()] if history else []
    if diagnosis is None:
        return texts
    judged = min(len(diagnosis.records), getattr(diagnosis, "window", len(diagnosis.records)))
    steps = f"last {judged} watched steps" if judged > 1 else "last watched step"
    note = f"In the {steps} we look for {limits_text()}."
    shares = [
        share for row in diagnosis.resting_shares() for share in row.values() if share is not None
    ]
    if shares and not any(shares):
        note += " In none of all watched steps was a unit dead or a value saturated."
    return [*texts, note]


def _body(
    heading: str,
    tiles: Sequence[tuple[str, str, str]],
    sentences: Sequence[str],
    updates_outside_band: Sequence[str],
    notes: Sequence[str],
) -> str:
    """Return the parts of the page that need no script."""
    described = "\n".join(
        f'<div class="tile"><dt>{html.escape(what)}</dt><dd><b>{html.escape(value)}</b> '
        f"<span>{html.escape(detail)}</span></dd></div>"
        for value, what, detail in tiles
    )
    items = "\n".join(f"<li>{html.escape(readable(text, 1000))}</li>" for text in sentences)
    quiet = "Nothing unusual on the whole." if updates_outside_band else "Nothing unusual."
    texts = f'<ol type="A">\n{items}\n</ol>' if items else f"<p>{quiet}</p>"
    for text in updates_outside_band:
        texts += f"\n<p>{html.escape(readable(text[0].upper() + text[1:], 1000))}.</p>"
    for note in notes:
        texts += f'\n<p class="about">{html.escape(note)}</p>'
    return (
        f"<header>\n<h1>{html.escape(heading)}</h1>\n<dl>\n{described}\n</dl>\n</header>\n"
        f'<main>\n<section id="findings"{"" if items else " class=quiet"}>\n'
        f"<h2>Findings</h2>\n{texts}\n</section>\n"
        '<section id="charts" aria-label="Curves"></section>\n'
        '<section id="layers" aria-label="Layers"></section>\n'
        "<noscript><p>The pictures are drawn by a script, which is switched off here.</p>"
        "</noscript>\n</main>"
    )
