"""What a history tells: findings in words, each with its epochs and with what to try."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphgrad.judging import limits
from graphgrad.typing import Array

_quiet = np.errstate(all="ignore")  # what is judged may be near overflow
Columns = Mapping[str, Sequence[float]]

LONG = 400  # epochs: more are judged by the means of bins
BINS = 200
LONGEST = 80  # characters of a name
PLAIN = 50  # classes: of more, neighbours' logarithms are too near to tell how many there are
LEVEL = 5  # epochs at most, of which the end of a row is the median


@dataclass(frozen=True, slots=True)
class Finding:
    """Something unusual: what, what helps, the column that shows it, and in which epochs.

    ``epochs`` are the first and the last, counted from 1; None if the epochs do not matter.
    """

    text: str
    remedy: str
    column: str
    epochs: tuple[int, int] | None = None

    def __str__(self) -> str:
        """Return both in one line."""
        return f"{self.text}: {self.remedy}"


class Findings(list[Finding]):
    """A list of findings that shows itself as sentences."""

    def __repr__(self) -> str:
        """Write a finding to a line."""
        return "\n".join(map(str, self)) or "nothing unusual"


def looked_for() -> str:
    """Say what ``findings`` looks for."""
    return (
        "In the history we look for values that are NaN or infinite; a loss that stays at its "
        f"start (falls by less than {limits.STUCK:.0%}) or is that of guessing (ln of the number "
        "of classes), stands on a plateau while better was to come, rises, or jumps up and down; "
        f"and a validation loss that ends {limits.RISE - 1:.0%} above its lowest while the "
        f"training loss falls, or an accuracy {100 * limits.GAP:.0f} points below that in training."
    )


@_quiet
def findings(columns: Columns, losses: Sequence[float] = ()) -> Findings:
    """Return what is unusual in a history; [] if nothing is.

    It looks for values that are not finite; a training loss that stays where it began, stands on
    a plateau, rises or swings; and a validation that parts from the training. The limits, which
    leave room for noise, are in ``graphgrad.judging.limits``.

    Parameters
    ----------
    columns
        One number for each epoch under ``loss``, and, where there are such, ``accuracy``,
        ``validation_loss``, ``validation_accuracy``.
    losses
        The loss of every batch; the first one is that of the untrained network.
    """
    found = _broken("the losses of batches", losses, "loss")
    for name, row in columns.items():
        found += _broken(name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…", row, name)
    found += _burst(losses)
    loss = _row(columns.get("loss", ()))
    if loss is not None:
        found += _of_loss(loss, _row(columns.get("accuracy", ())), losses)
    return Findings(found + _overfitting(columns, loss))


# ------------------------------------------------------------------------------------ rows


@dataclass(frozen=True, slots=True)
class _Row:
    """The finite values of a column; ``first`` and ``last`` are the epochs of each, from 1."""

    values: Any  # (N,)
    first: Any
    last: Any

    @property
    def smooth(self) -> Array:
        """The medians of three neighbours, so that one epoch alone decides nothing."""
        if self.values.size < LEVEL:
            return self.values
        padded = np.concatenate([self.values[:1], self.values, self.values[-1:]])
        return np.median(np.lib.stride_tricks.sliding_window_view(padded, 3), axis=1)

    @property
    def end(self) -> float:
        """The level of the last epochs."""
        many = max(1, min(LEVEL, self.values.size // 5))
        return float(np.median(self.values[-many:]))

    @property
    def noise(self) -> float:
        """How far neighbours in the second half are from lying on a line, typically."""
        bends = np.abs(np.diff(self.values[min(self.values.size - 3, self.values.size // 2) :], 2))
        return float(np.median(bends))

    def epochs(self, start: int, stop: int) -> tuple[int, int]:
        """Return the first and the last epoch of a slice."""
        return int(self.first[start]), int(self.last[stop - 1])


def _row(values: Sequence[float]) -> _Row | None:
    """Return a row without NaN and infinities, and of a long one the means of bins."""
    row = np.asarray(values, float)
    epochs = np.flatnonzero(np.isfinite(row)) + 1
    row = row[epochs - 1]
    if not row.size:
        return None
    if row.size <= LONG:
        return _Row(row, epochs, epochs)
    starts = np.linspace(0, row.size, BINS, endpoint=False).astype(int)
    sizes = np.diff(np.append(starts, row.size))
    means = np.add.reduceat(row / np.repeat(sizes, sizes), starts)
    return _Row(means, epochs[starts], epochs[starts + sizes - 1])


def _during(epochs: tuple[int, int]) -> str:
    first, last = epochs
    return f"in epoch {first:,}" if first == last else f"in epochs {first:,} to {last:,}"


# -------------------------------------------------------------------------- not finite, huge


def _broken(name: str, row: Sequence[float], column: str) -> list[Finding]:
    places = np.flatnonzero(~np.isfinite(np.asarray(row, float)))
    if not places.size:
        return []
    text = f"{name}: {places.size:,} of {len(row):,} are NaN or infinite"
    return [Finding(text, "look at the inputs, and lower the learning rate", column)]


def _burst(losses: Sequence[float]) -> list[Finding]:
    """Find a batch whose loss was many times the usual one, and the first one."""
    row = np.asarray(losses, float)
    finite = row[np.isfinite(row)]
    if not finite.size or not math.isfinite(row[0]):
        return []
    usual = max(float(np.median(finite)), float(row[0]))
    peak = float(finite.max())
    if not peak > limits.BURST * usual > 0:
        return []
    text = f"the loss rose to {peak:.4g} in batch {int(np.argmax(row == peak)) + 1:,}"
    text += f", from {row[0]:.4g} in the first one"
    remedy = "lower the learning rate, warm it up, or clip the gradients (clip_norm=)"
    return [Finding(text, remedy, "loss")]


# ----------------------------------------------------------------------------- training loss


def _of_loss(loss: _Row, accuracy: _Row | None, losses: Sequence[float]) -> list[Finding]:
    values, smooth, count = loss.values, loss.smooth, loss.values.size
    if count < 2:
        return []
    start = float(values[0])  # of the untrained network, as far as is known
    if len(losses) and math.isfinite(losses[0]):
        start = float(losses[0])
    fall = max(start, float(values[0])) - float(smooth.min())
    found = _guessing(loss, accuracy)
    if not found and values[0] >= limits.UNTRAINED * start:
        found = _stuck(loss)
    if not found or found[0].epochs != (1, loss.last[-1]):
        found = _no_better(loss, accuracy) or found
    rose = _risen(loss, start, fall)
    if rose or (found and found[-1].epochs == (loss.first[0], loss.last[-1])):
        return found + rose
    found = found or _plateaus(loss, start)
    swings = _swinging(loss, start, fall)
    return found + (swings or _lost(loss, start, fall))


def _guessing(loss: _Row, accuracy: _Row | None) -> list[Finding]:
    """Find the longest stretch in which loss and accuracy are those of guessing."""
    if accuracy is None or accuracy.values.shape != loss.values.shape:
        return []
    values, right = loss.values, accuracy.values
    classes = np.exp(values.clip(0, 30)).round()
    near = (classes > 1) & _guesses(values, right, classes)
    if not near.any():
        return []
    chosen = float(np.median(classes[near]).round())
    start, stop = _longest(_guesses(values, right, chosen))
    if stop - start < _enough(values.size, 3):
        return []
    level, share = float(np.median(values[start:stop])), float(np.median(right[start:stop]))
    off = abs(level / math.log(chosen) - 1)
    if off > limits.GUESSING / 2 or abs(share * chosen - 1) > limits.CHANCE:
        return []
    epochs = loss.epochs(start, stop)
    name = f"ln {chosen:.0f}" if chosen < PLAIN else f"about ln {float(f'{chosen:.1g}'):.0f}"
    began = ", where it began," if start == 0 else ""
    text = f"the loss stood at {level:.4g}{began} {_during(epochs)}: that is {name}, "
    text += f"and {share:.1%} were right, so the network guesses"
    if stop < values.size and values[-1] < values[start:stop].min():
        text += f"; it fell to {values[-1]:.4g} in the end"
    return [Finding(text, _TOO_LOW if _slow(values) else _NO_START, "loss", epochs)]


def _slow(values: Any) -> bool:
    """Whether it falls a little, but evenly, to the end."""
    fall = values[0] - values[-1]
    return bool(0 < fall < limits.SLOW * values[0] and _share(np.diff(values) < 0) >= limits.EVENLY)


def _share(flags: Any) -> float:
    return float(flags.mean()) if flags.size else 0.0


def _no_better(loss: _Row, accuracy: _Row | None) -> list[Finding]:
    """Find an end at which a network that may have learned is no better than one that guesses.

    The answers of a network whose weights are far too large are all the same, and its loss, which
    jumps, is above that of guessing.
    """
    if accuracy is None or accuracy.values.shape != loss.values.shape or accuracy.end <= 0:
        return []
    classes = round(1 / accuracy.end)
    if classes < 2 or abs(accuracy.end * classes - 1) > limits.CHANCE:
        return []
    theory, values = math.log(classes), loss.values
    near = (values >= (1 - limits.GUESSING) * theory) & (values <= (1 + limits.WORSE) * theory)
    near &= accuracy.values <= min(1.5 / classes, 1 / classes + 0.05)
    start = int(np.flatnonzero(np.append(True, ~near))[-1])  # after the last that is not
    if values.size - start < _enough(values.size, 3):
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
    return (np.abs(loss - theory) <= limits.GUESSING * theory) & (accuracy <= most)


def _longest(flags: Any) -> tuple[int, int]:
    """Return where the longest run of True begins, and the place after its end."""
    if not flags.any():
        return 0, 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    runs = edges.reshape(-1, 2)
    start, stop = runs[np.diff(runs, axis=1).argmax()]
    return int(start), int(stop)


def _enough(count: int, least: int = limits.LEAST) -> int:
    """Return how many epochs are a stretch worth telling of."""
    return max(least, math.ceil(limits.STRETCH * count))


def _stuck(loss: _Row) -> list[Finding]:
    first, lowest, count = float(loss.values[0]), float(loss.smooth.min()), loss.values.size
    if count < 3 or not first or first - lowest > limits.STUCK * abs(first):
        return []
    if loss.end > first + limits.STUCK * abs(first):
        return []  # it rises
    epochs = loss.epochs(0, count)
    text = f"the loss stayed at its start {_during(epochs)}: {first:.4g} at first, "
    text += f"{loss.values[-1]:.4g} at the end"
    remedy = "raise the learning rate; if that does not help, lower it, and try nn.sanity_checks"
    return [Finding(text, remedy, "loss", epochs)]


def _plateaus(loss: _Row, start: float) -> list[Finding]:
    """Find stretches without a new best, though better ones came later."""
    best = np.minimum.accumulate(loss.smooth)
    fall = float(best[0] - best[-1])
    found, here, count = [], 0, best.size
    while fall > limits.STUCK * abs(start) and here < count:
        # best falls, so those within reach come first
        stop = int((best[here] - best <= limits.STANDING * fall).sum())
        if best[here] - best[-1] < limits.TO_COME * fall:
            break
        if stop - here < _enough(count):
            here += 1
            continue
        epochs = loss.epochs(here, stop)
        level = float(np.median(loss.values[here:stop]))
        if here == 0 and level >= limits.UNTRAINED * start:
            text, remedy = f"the loss stood at {level:.4g}, where it began, ", _NO_START
        else:
            text = f"the loss stood at {level:.4g} on a plateau "
            remedy = "change the learning rate earlier (a schedule), or use momentum or Adam"
        text += f"{_during(epochs)}, and fell to about {best[-1]:.3g} later"
        found.append(Finding(text, remedy, "loss", epochs))
        here = stop
    return found


def _risen(loss: _Row, start: float, fall: float) -> list[Finding]:
    """Find an end above the beginning."""
    first, end = float(loss.values[0]), loss.end
    over_batch = end > start + limits.ABOVE_BATCH * abs(start)
    over_epoch = end > first + limits.ABOVE_EPOCH * abs(first)
    if not over_batch and (not over_epoch or fall > limits.STUCK * abs(start)):
        return []
    began = f"{start:.4g} of the first batch" if over_batch else f"{first:.4g} of the first epoch"
    if start == first:
        began = f"{first:.4g} at the start"
    text = f"the loss ends at about {end:.3g}, above the {began}: the training diverges"
    return [Finding(text, _LOWER, "loss", loss.epochs(0, loss.values.size))]


_LOWER = "lower the learning rate, or clip the gradients (clip_norm=)"


def _lost(loss: _Row, start: float, fall: float) -> list[Finding]:
    """Find a loss that rises again."""
    lowest, end = float(loss.smooth.min()), loss.end
    if end - lowest <= max(limits.LOST * fall, limits.ABOVE_EPOCH * abs(start)):
        return []
    place = int(loss.smooth.argmin())
    epochs = loss.epochs(min(place + 1, loss.values.size - 1), loss.values.size)
    text = f"the loss rises from about {lowest:.3g} to {end:.3g} {_during(epochs)}"
    return [Finding(text, _LOWER, "loss", epochs)]


def _swinging(loss: _Row, start: float, fall: float) -> list[Finding]:
    """Find a second half in which the loss jumps up and down."""
    half = loss.values.size // 2
    steps = np.diff(loss.values[half:])
    if steps.size < limits.LEAST:
        return []
    jump = float(np.median(np.abs(steps)))
    turns = float((steps[1:] * steps[:-1] < 0).mean())
    if turns < limits.TURNS or jump < max(limits.SWING * fall, limits.ABOVE_EPOCH * abs(start)):
        return []
    epochs = loss.epochs(half, loss.values.size)
    text = f"the loss jumps up and down by about {jump:.2g} from epoch to epoch {_during(epochs)}"
    return [Finding(text, "lower the learning rate, or take larger batches", "loss", epochs)]


# ------------------------------------------------------------------- training and validation


def _overfitting(columns: Columns, loss: _Row | None) -> list[Finding]:
    """Find a validation that parts from the training: by its loss, else by accuracies."""
    said, epochs, column = [], None, ""
    held = _row(columns.get("validation_loss", ()))
    if held is not None and held.values.size > 2:
        smooth = held.smooth
        place, lowest = int(smooth.argmin()), float(smooth.min())
        rise = held.end - lowest
        clear = rise > max(limits.STANDING * (smooth[0] - lowest), limits.NOISE * held.noise)
        if clear and held.end > limits.RISE * lowest > 0:
            since = int(held.last[place])
            fell = _fell(loss, since)
            if fell:
                epochs = min(since + 1, int(held.last[-1])), int(held.last[-1])
                said.append(
                    f"the validation loss rises from about {lowest:.3g} to {held.end:.3g} "
                    f"{_during(epochs)}, while the training loss falls {fell}"
                )
                column = "validation_loss"
    ours, theirs = (_row(columns.get(f"{k}accuracy", ())) for k in ("", "validation_"))
    if ours is not None and theirs is not None and ours.end - theirs.end > limits.GAP:
        said.append(
            f"the accuracy ends at about {ours.end:.1%} in training, {theirs.end:.1%} in validation"
        )
        column = column or "accuracy"
    if not said:
        return []
    remedy = "take more or augmented samples, decay the weights, use dropout, or end earlier"
    text = f"overfitting: {'; '.join(said)}"
    return [Finding(text, f"{remedy} (patience=)", column, epochs)]


def _fell(loss: _Row | None, since: int) -> str:
    """Say how the training loss fell since an epoch; "" if it did not."""
    if loss is None or not (loss.last <= since).any():
        return ""
    then = float(loss.values[loss.last <= since][-1])
    return f"from {then:.3g} to {loss.end:.3g}" if loss.end < then else ""
