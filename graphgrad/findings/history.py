"""Findings in the history of a training run, each with its epochs and a remedy."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphgrad.findings import thresholds
from graphgrad.typing import Array

_ignore_warnings = np.errstate(all="ignore")  # losses may be near overflow
Columns = Mapping[str, Sequence[float]]

MAX_EPOCHS = 400  # epochs above which the means of bins are analysed
BINS = 200
NAME_LENGTH = 80  # characters of a name
MAX_NAMED_CLASSES = 50  # classes above which ln C is too close to ln (C + 1) to name C
MAX_END = 5  # epochs at most, whose median is the end of a curve


@dataclass(frozen=True, slots=True)
class Finding:
    """Something unusual in a column of a history, and a remedy.

    ``epochs`` are the first and the last, counted from 1; None if it concerns no epochs.
    """

    text: str
    remedy: str
    column: str
    epochs: tuple[int, int] | None = None

    def __str__(self) -> str:
        """Return the text with the remedy."""
        return f"{self.text}: {self.remedy}"


class Findings(list[Finding]):
    """A list of findings, printed as sentences."""

    def __repr__(self) -> str:
        """Return one line per finding."""
        return "\n".join(map(str, self)) or "nothing unusual"


def criteria() -> str:
    """Return a sentence on what ``findings`` looks for."""
    return (
        "In the history we look for values that are NaN or infinite; a loss that stays at its "
        f"start (falls by less than {thresholds.STUCK:.0%}) or is that of guessing (ln of the "
        "number of classes), stays on a plateau before it falls further, rises, or jumps up and "
        f"down; a validation loss that ends {thresholds.RISE - 1:.0%} above its minimum while the "
        "training loss falls; and a validation accuracy "
        f"{100 * thresholds.ACCURACY_GAP:.0f} points below that in training."
    )


@_ignore_warnings
def findings(columns: Columns, losses: Sequence[float] = ()) -> Findings:
    """Return the findings in a history; an empty list if nothing is unusual.

    It looks for values that are not finite; a training loss that stays at its start or on a
    plateau, rises or oscillates; and overfitting. The thresholds, which leave room for noise, are
    in ``graphgrad.findings.thresholds``.

    Parameters
    ----------
    columns
        By name, one number per epoch: ``loss``, and if available ``accuracy``,
        ``validation_loss`` and ``validation_accuracy``.
    losses
        The loss of every batch; the first is that of the untrained network.
    """
    found = _non_finite("the losses of batches", losses, "loss")
    for name, row in columns.items():
        found += _non_finite(
            name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…", row, name
        )
    found += _spike(losses)
    loss = _row(columns.get("loss", ()))
    if loss is not None:
        found += _training_loss(loss, _row(columns.get("accuracy", ())), losses)
    return Findings(found + _overfitting(columns, loss))


# ------------------------------------------------------------------------------------ rows


@dataclass(frozen=True, slots=True)
class _Curve:
    """The finite values of a column; ``first`` and ``last`` are the epochs of each, from 1."""

    values: Any  # (N,)
    first: Any
    last: Any

    @property
    def smooth(self) -> Array:
        """The medians of three neighbours, so that single epochs have no effect."""
        if self.values.size < MAX_END:
            return self.values
        padded = np.concatenate([self.values[:1], self.values, self.values[-1:]])
        return np.median(np.lib.stride_tricks.sliding_window_view(padded, 3), axis=1)

    @property
    def end(self) -> float:
        """The level of the last epochs."""
        many = max(1, min(MAX_END, self.values.size // 5))
        return float(np.median(self.values[-many:]))

    @property
    def noise(self) -> float:
        """The typical deviation of neighbours in the second half from a straight line."""
        bends = np.abs(np.diff(self.values[min(self.values.size - 3, self.values.size // 2) :], 2))
        return float(np.median(bends))

    def epochs(self, start: int, stop: int) -> tuple[int, int]:
        """Return the first and the last epoch of a slice."""
        return int(self.first[start]), int(self.last[stop - 1])


def _row(values: Sequence[float]) -> _Curve | None:
    """Return the finite values of a column; of a long one the means of bins."""
    row = np.asarray(values, float)
    epochs = np.flatnonzero(np.isfinite(row)) + 1
    row = row[epochs - 1]
    if not row.size:
        return None
    if row.size <= MAX_EPOCHS:
        return _Curve(row, epochs, epochs)
    starts = np.linspace(0, row.size, BINS, endpoint=False).astype(int)
    sizes = np.diff(np.append(starts, row.size))
    means = np.add.reduceat(row / np.repeat(sizes, sizes), starts)
    return _Curve(means, epochs[starts], epochs[starts + sizes - 1])


def _during(epochs: tuple[int, int]) -> str:
    first, last = epochs
    return f"in epoch {first:,}" if first == last else f"in epochs {first:,} to {last:,}"


# -------------------------------------------------------------------------- NaN, ∞, spikes


def _non_finite(name: str, row: Sequence[float], column: str) -> list[Finding]:
    places = np.flatnonzero(~np.isfinite(np.asarray(row, float)))
    if not places.size:
        return []
    text = f"{name}: {places.size:,} of {len(row):,} are NaN or infinite"
    return [Finding(text, "look at the inputs, and lower the learning rate", column)]


def _spike(losses: Sequence[float]) -> list[Finding]:
    """Find a batch whose loss was many times the median and that of the first batch."""
    row = np.asarray(losses, float)
    finite = row[np.isfinite(row)]
    if not finite.size or not math.isfinite(row[0]):
        return []
    usual = max(float(np.median(finite)), float(row[0]))
    peak = float(finite.max())
    if not peak > thresholds.SPIKE * usual > 0:
        return []
    text = f"the loss rose to {peak:.4g} in batch {int(np.argmax(row == peak)) + 1:,}"
    text += f", from {row[0]:.4g} in the first one"
    remedy = "lower the learning rate, warm it up, or clip the gradients (clip_norm=)"
    return [Finding(text, remedy, "loss")]


# ----------------------------------------------------------------------------- training loss


def _training_loss(loss: _Curve, accuracy: _Curve | None, losses: Sequence[float]) -> list[Finding]:
    values, smooth, count = loss.values, loss.smooth, loss.values.size
    if count < 2:
        return []
    start = float(values[0])  # of the untrained network, if known
    if len(losses) and math.isfinite(losses[0]):
        start = float(losses[0])
    fall = max(start, float(values[0])) - float(smooth.min())
    found = _guessing(loss, accuracy)
    if not found and values[0] >= thresholds.UNTRAINED * start:
        found = _stuck(loss)
    if not found or found[0].epochs != (1, loss.last[-1]):
        found = _no_better_than_guessing(loss, accuracy) or found
    rose = _diverging(loss, start, fall)
    if rose or (found and found[-1].epochs == (loss.first[0], loss.last[-1])):
        return found + rose
    found = found or _plateaus(loss, start)
    swings = _oscillating(loss, start, fall)
    return found + (swings or _rising_again(loss, start, fall))


def _guessing(loss: _Curve, accuracy: _Curve | None) -> list[Finding]:
    """Find the longest run of epochs whose loss and accuracy are those of guessing."""
    if accuracy is None or accuracy.values.shape != loss.values.shape:
        return []
    values, right = loss.values, accuracy.values
    classes = np.exp(values.clip(0, 30)).round()
    near = (classes > 1) & _guesses(values, right, classes)
    if not near.any():
        return []
    chosen = float(np.median(classes[near]).round())
    start, stop = _longest(_guesses(values, right, chosen))
    if stop - start < _min_length(values.size, 3):
        return []
    level, share = float(np.median(values[start:stop])), float(np.median(right[start:stop]))
    off = abs(level / math.log(chosen) - 1)
    if off > thresholds.GUESSING / 2 or abs(share * chosen - 1) > thresholds.CHANCE:
        return []
    epochs = loss.epochs(start, stop)
    name = (
        f"ln {chosen:.0f}"
        if chosen < MAX_NAMED_CLASSES
        else f"about ln {float(f'{chosen:.1g}'):.0f}"
    )
    began = ", where it began," if start == 0 else ""
    text = f"the loss stood at {level:.4g}{began} {_during(epochs)}: that is {name}, "
    text += f"and {share:.1%} were right, so the network guesses"
    if stop < values.size and values[-1] < values[start:stop].min():
        text += f"; it fell to {values[-1]:.4g} in the end"
    return [Finding(text, _TOO_LOW if _falls_slowly(values) else _NO_START, "loss", epochs)]


def _falls_slowly(values: Any) -> bool:
    """Whether a loss falls slowly but steadily until the end."""
    fall = values[0] - values[-1]
    return bool(
        0 < fall < thresholds.SLOW * values[0] and _mean(np.diff(values) < 0) >= thresholds.STEADY
    )


def _mean(flags: Any) -> float:
    return float(flags.mean()) if flags.size else 0.0


def _no_better_than_guessing(loss: _Curve, accuracy: _Curve | None) -> list[Finding]:
    """Find a network that may have learned, but is no better than guessing at the end.

    With far too large weights all answers are the same, and the loss fluctuates above that of
    guessing.
    """
    if accuracy is None or accuracy.values.shape != loss.values.shape or accuracy.end <= 0:
        return []
    classes = round(1 / accuracy.end)
    if classes < 2 or abs(accuracy.end * classes - 1) > thresholds.CHANCE:
        return []
    theory, values = math.log(classes), loss.values
    near = (values >= (1 - thresholds.GUESSING) * theory) & (
        values <= (1 + thresholds.ABOVE_GUESSING) * theory
    )
    near &= accuracy.values <= min(1.5 / classes, 1 / classes + 0.05)
    start = int(np.flatnonzero(np.append(True, ~near))[-1])  # after the last epoch that is better
    if values.size - start < _min_length(values.size, 3):
        return []
    epochs = loss.epochs(start, values.size)
    text = f"the loss is about {loss.end:.3g} {_during(epochs)}, and {accuracy.end:.1%} are right: "
    text += "that is no better than guessing"
    remedy = "lower the learning rate; if that does not help, try nn.sanity_checks"
    return [Finding(text, remedy, "loss", epochs)]


_TOO_LOW = (
    "raise the learning rate: the loss falls evenly, but slowly; if that does not help, try "
    "other initial weights (He's, Xavier's), and nn.sanity_checks"
)
_NO_START = (
    "try other learning rates and initial weights (He's, Xavier's), and nn.sanity_checks; "
    "dead or saturated units and wrong labels look like this, too"
)


def _guesses(loss: Any, accuracy: Any, classes: Any) -> Any:
    theory = np.log(classes)
    most = np.minimum(1.5 / classes, 1 / classes + 0.05)
    return (np.abs(loss - theory) <= thresholds.GUESSING * theory) & (accuracy <= most)


def _longest(flags: Any) -> tuple[int, int]:
    """Return start and stop of the longest run of True."""
    if not flags.any():
        return 0, 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    runs = edges.reshape(-1, 2)
    start, stop = runs[np.diff(runs, axis=1).argmax()]
    return int(start), int(stop)


def _min_length(count: int, least: int = thresholds.MIN_EPOCHS) -> int:
    """Return the number of epochs from which a run is reported."""
    return max(least, math.ceil(thresholds.MIN_SHARE * count))


def _stuck(loss: _Curve) -> list[Finding]:
    first, lowest, count = float(loss.values[0]), float(loss.smooth.min()), loss.values.size
    if count < 3 or not first or first - lowest > thresholds.STUCK * abs(first):
        return []
    if loss.end > first + thresholds.STUCK * abs(first):
        return []  # it rises
    epochs = loss.epochs(0, count)
    text = f"the loss stayed at its start {_during(epochs)}: {first:.4g} at first, "
    text += f"{loss.values[-1]:.4g} at the end"
    remedy = "raise the learning rate; if that does not help, lower it, and try nn.sanity_checks"
    return [Finding(text, remedy, "loss", epochs)]


def _plateaus(loss: _Curve, start: float) -> list[Finding]:
    """Find runs of epochs without improvement, followed by improvement."""
    best = np.minimum.accumulate(loss.smooth)
    fall = float(best[0] - best[-1])
    found, here, count = [], 0, best.size
    while fall > thresholds.STUCK * abs(start) and here < count:
        # best decreases, so the values within the tolerance come first
        stop = int((best[here] - best <= thresholds.PLATEAU_FALL * fall).sum())
        if best[here] - best[-1] < thresholds.LATER_FALL * fall:
            break
        if stop - here < _min_length(count):
            here += 1
            continue
        epochs = loss.epochs(here, stop)
        level = float(np.median(loss.values[here:stop]))
        if here == 0 and level >= thresholds.UNTRAINED * start:
            text, remedy = f"the loss stood at {level:.4g}, where it began, ", _NO_START
        else:
            text = f"the loss stood at {level:.4g} on a plateau "
            remedy = "change the learning rate earlier (a schedule), or use momentum or Adam"
        text += f"{_during(epochs)}, and fell to about {best[-1]:.3g} later"
        found.append(Finding(text, remedy, "loss", epochs))
        here = stop
    return found


def _diverging(loss: _Curve, start: float, fall: float) -> list[Finding]:
    """Find a loss that ends above its start."""
    first, end = float(loss.values[0]), loss.end
    over_batch = end > start + thresholds.ABOVE_BATCH * abs(start)
    over_epoch = end > first + thresholds.ABOVE_EPOCH * abs(first)
    if not over_batch and (not over_epoch or fall > thresholds.STUCK * abs(start)):
        return []
    began = f"{start:.4g} of the first batch" if over_batch else f"{first:.4g} of the first epoch"
    if start == first:
        began = f"{first:.4g} at the start"
    text = f"the loss ends at about {end:.3g}, above the {began}: the training diverges"
    return [Finding(text, _LOWER, "loss", loss.epochs(0, loss.values.size))]


_LOWER = "lower the learning rate, or clip the gradients (clip_norm=)"


def _rising_again(loss: _Curve, start: float, fall: float) -> list[Finding]:
    """Find a loss that rises again after its minimum."""
    lowest, end = float(loss.smooth.min()), loss.end
    if end - lowest <= max(thresholds.RISE_AGAIN * fall, thresholds.ABOVE_EPOCH * abs(start)):
        return []
    place = int(loss.smooth.argmin())
    epochs = loss.epochs(min(place + 1, loss.values.size - 1), loss.values.size)
    text = f"the loss rises from about {lowest:.3g} to {end:.3g} {_during(epochs)}"
    return [Finding(text, _LOWER, "loss", epochs)]


def _oscillating(loss: _Curve, start: float, fall: float) -> list[Finding]:
    """Find a loss that jumps up and down in the second half."""
    half = loss.values.size // 2
    steps = np.diff(loss.values[half:])
    if steps.size < thresholds.MIN_EPOCHS:
        return []
    jump = float(np.median(np.abs(steps)))
    turns = float((steps[1:] * steps[:-1] < 0).mean())
    if turns < thresholds.TURNS or jump < max(
        thresholds.OSCILLATION * fall, thresholds.ABOVE_EPOCH * abs(start)
    ):
        return []
    epochs = loss.epochs(half, loss.values.size)
    text = f"the loss jumps up and down by about {jump:.2g} from epoch to epoch {_during(epochs)}"
    return [Finding(text, "lower the learning rate, or take larger batches", "loss", epochs)]


# ------------------------------------------------------------------- training and validation


def _overfitting(columns: Columns, loss: _Curve | None) -> list[Finding]:
    """Find overfitting: by the validation loss, and by the accuracies."""
    texts, epochs, column = [], None, ""
    validation = _row(columns.get("validation_loss", ()))
    if validation is not None and validation.values.size > 2:
        smooth = validation.smooth
        place, lowest = int(smooth.argmin()), float(smooth.min())
        rise = validation.end - lowest
        clear = rise > max(
            thresholds.PLATEAU_FALL * (smooth[0] - lowest), thresholds.NOISE * validation.noise
        )
        if clear and validation.end > thresholds.RISE * lowest > 0:
            since = int(validation.last[place])
            fell = _fell(loss, since)
            if fell:
                epochs = min(since + 1, int(validation.last[-1])), int(validation.last[-1])
                texts.append(
                    f"the validation loss rises from about {lowest:.3g} to {validation.end:.3g} "
                    f"{_during(epochs)}, while the training loss falls {fell}"
                )
                column = "validation_loss"
    ours, theirs = (_row(columns.get(f"{k}accuracy", ())) for k in ("", "validation_"))
    if ours is not None and theirs is not None and ours.end - theirs.end > thresholds.ACCURACY_GAP:
        texts.append(
            f"the accuracy ends at about {ours.end:.1%} in training, {theirs.end:.1%} in validation"
        )
        column = column or "accuracy"
    if not texts:
        return []
    remedy = "take more or augmented samples, decay the weights, use dropout, or end earlier"
    text = f"overfitting: {'; '.join(texts)}"
    return [Finding(text, f"{remedy} (patience=)", column, epochs)]


def _fell(loss: _Curve | None, since: int) -> str:
    """Return how the training loss fell since an epoch, as text; "" if it did not."""
    if loss is None or not (loss.last <= since).any():
        return ""
    then = float(loss.values[loss.last <= since][-1])
    return f"from {then:.3g} to {loss.end:.3g}" if loss.end < then else ""
