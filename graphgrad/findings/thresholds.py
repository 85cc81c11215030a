"""Thresholds of the findings, shared by sentences and pictures, with their sources.

For layers and weights, in watched steps:

- Updates are about 1e-3 of the weights (CS231n, "Neural Networks Part 3", ratio of weights to
  updates). Healthy runs differ from that by a factor of ten, so the band is a factor of 30 to
  either side (ours).
- A rate that is too high can kill 40 % of the ReLUs (CS231n, "Neural Networks Part 1"): half of
  that is reported (ours).
- Activations of tanh should fill [−1, 1], not saturate at its ends (CS231n, part 3): reported if
  most are saturated (ours).
- From the last layer with weights to the first a factor of 1000 in the spread of gradients, or of
  activations, is reported (ours). Healthy initial values keep both about equal: Glorot and
  Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.

For a history, in epochs (CS231n, part 3, reads the same curves by eye; the numbers are ours). The
total fall is the difference between the training loss at the start and its minimum:

- A network that guesses among C classes has a loss of ln C and an accuracy of 1 / C. It guesses
  while its loss is within 2 % of ln C and its accuracy below 1.5 / C and 1 / C + 5 %, if the
  medians are within 1 % of ln C and 25 % of 1 / C. At the end it is no better than guessing while
  its accuracy is 1 / C and its loss from 2 % below to 10 % above ln C.
- A loss that fell by less than 3 % is stuck; one that fell by less than 10 %, but in nine of ten
  epochs, is slow. On a plateau it falls by less than 2 % of the total fall, for at least five
  epochs and a quarter of all, and by 15 % of the total fall later.
- A training run diverges if the loss ends 25 % above the first batch or 5 % above the first epoch,
  if it rises again by 30 % of the total fall, or if a batch has ten times the usual loss.
- It oscillates if the loss turns about every other epoch, by 15 % of the total fall.
- It overfits if the validation loss ends 20 % above its minimum, and by three times its noise,
  while the training loss fell, or if the validation accuracy is 10 points lower.
"""

import math
from dataclasses import dataclass


def short(value: float) -> str:
    """Write a number with one digit: "0.03", "3e−5", "2e3"."""
    text = f"{value:.1g}" if value < 1 else f"{value:.0f}" if value < 1000 else f"{value:.0e}"
    return text.replace("e-0", "e−").replace("e-", "e−").replace("e+0", "e").replace("e+", "e")


@dataclass(frozen=True, slots=True)
class Band:
    """The range of usual values."""

    low: float
    high: float

    def __str__(self) -> str:
        """Return "low to high"."""
        return f"{short(self.low)} to {short(self.high)}"

    def side(self, value: float | None) -> int:
        """Return 1 above the band, −1 below it, else 0; also 0 unless 0 < value < ∞."""
        if value is None or not 0 < value < math.inf:
            return 0
        return int(value > self.high) - int(value < self.low)


UPDATE = 1e-3  # of the weight
UPDATES = Band(UPDATE / 30, UPDATE * 30)
DEAD = 0.2  # the share of units
SATURATED = 0.5  # the share of values
SPREAD = 1000.0  # from layer to layer

GUESSING, CHANCE = 0.02, 0.25  # deviations from ln C and from 1 / C, relative
ABOVE_GUESSING = 0.1  # the loss of a network that does not learn may exceed ln C by, relative
STUCK = 0.03  # a fall, relative to the loss at the start
SLOW, STEADY = 0.1, 0.9  # such a fall; the share of epochs in which the loss falls
PLATEAU_FALL = 0.02  # relative to the total fall: the fall on a plateau,
LATER_FALL = 0.15  # the fall after it,
RISE_AGAIN = 0.3  # and a later rise
MIN_SHARE, MIN_EPOCHS = 0.25, 5  # a run of epochs: relative to all, and in number
ABOVE_BATCH, ABOVE_EPOCH = 0.25, 0.05  # the end above the first batch, or epoch, relative
UNTRAINED = 0.9  # the first epoch of an untrained network, divided by the first batch
SPIKE = 10.0  # the loss of a batch, divided by the usual one
OSCILLATION, TURNS = (
    0.15,
    0.5,
)  # from epoch to epoch, relative to the total fall; the share of turns
RISE, NOISE = 1.2, 3.0  # the end of the validation loss, by its minimum; its rise, by its noise
ACCURACY_GAP = 0.1  # of accuracies
