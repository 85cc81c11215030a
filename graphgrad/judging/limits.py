"""What is usual in a training: the limits that words, bands and marks share, and their sources.

Of layers and weights, in watched steps:

- Updates are about 1e-3 of the weights (CS231n, "Neural Networks Part 3", ratio of weights to
  updates). Healthy runs stray from that by a factor of ten, so the band is a factor of 30 to
  either side (ours).
- A rate that is too high can kill 40 % of the ReLUs (CS231n, "Neural Networks Part 1"): half of
  that is reported (ours).
- Activations of tanh should fill [−1, 1], not stand at its ends (CS231n, part 3): reported where
  most are saturated (ours).
- From the last layer with weights to the first a factor of 1000 in the spread of gradients, or of
  activations, is reported (ours). Healthy initial values keep both about equal: Glorot and
  Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.

Of a history, in epochs (CS231n, part 3, reads the same curves by eye; the numbers are ours).
"The fall" is how far the training loss came down in all:

- A network that guesses among C classes has a loss of ln C and is right once in C times. It
  guesses while its loss is within 2 % of ln C and its accuracy below 1.5 / C and 1 / C + 5 %, if
  the medians are within 1 % of ln C and 25 % of 1 / C. In the end it is no better than guessing
  while its loss is from 2 % below to 10 % above ln C, 1 / C being its accuracy.
- A loss that fell by less than 3 % in all is stuck; one that fell by less than 10 %, but in nine
  of ten epochs, is not stuck but slow. In a plateau it falls by less than 2 % of the
  fall, for a quarter of the epochs and five of them, with 15 % of the fall still to come.
- A training diverges where the loss ends a quarter above the first batch, or 5 % above the first
  epoch, or has lost 30 % of the fall again; or where a batch has ten times the usual loss.
- It swings where the loss turns about every other epoch, by 15 % of the fall.
- Validation parts from training where its loss ends a fifth above its lowest, and by three times
  its noise, while the training loss fell, or where its accuracy is 10 points lower.
"""

import math
from dataclasses import dataclass


def short(value: float) -> str:
    """Write a number with one digit: "0.03", "3e−5", "2e3"."""
    text = f"{value:.1g}" if value < 1 else f"{value:.0f}" if value < 1000 else f"{value:.0e}"
    return text.replace("e-0", "e−").replace("e-", "e−").replace("e+0", "e").replace("e+", "e")


@dataclass(frozen=True, slots=True)
class Band:
    """What is usual lies between two values."""

    low: float
    high: float

    def __str__(self) -> str:
        """Return both ends in words."""
        return f"{short(self.low)} to {short(self.high)}"

    def side(self, value: float | None) -> int:
        """Return 1 above the band, −1 below it, else 0; 0 too for what is not above 0."""
        if value is None or not 0 < value < math.inf:
            return 0
        return int(value > self.high) - int(value < self.low)


UPDATE = 1e-3  # of the weight
UPDATES = Band(UPDATE / 30, UPDATE * 30)
DEAD = 0.2  # the share of units
SATURATED = 0.5  # the share of values
SPREAD = 1000.0  # from layer to layer

GUESSING, CHANCE = 0.02, 0.25  # how far from ln C and from 1 / C, as shares of them
WORSE = 0.1  # how far above ln C, as a share of it, a network that does not learn may be
STUCK = 0.03  # a fall as a share of the loss at the start; so is the next one
SLOW, EVENLY = 0.1, 0.9  # of the epochs, how many fall
STANDING = 0.02  # a fall as a share of the whole fall; so are the next two
TO_COME = 0.15
LOST = 0.3
STRETCH, LEAST = 0.25, 5  # how long: a share of the epochs, and a number of them
ABOVE_BATCH, ABOVE_EPOCH = 0.25, 0.05  # how far the end is above, as a share of the start
UNTRAINED = 0.9  # an epoch that began where the first batch was, divided by that
BURST = 10.0  # a batch, divided by what is usual
SWING, TURNS = 0.15, 0.5  # from epoch to epoch, as a share of the whole fall; how often it turns
RISE, NOISE = 1.2, 3.0  # the end of the validation loss, divided by its lowest; by its noise
GAP = 0.1  # of accuracies
