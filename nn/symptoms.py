"""What the numbers of watched steps mean, in words.

The thresholds, and where they come from:

- Updates are about 1e-3 of the weights (CS231n, "Neural Networks Part 3", ratio of weights to
  updates). Healthy runs stray from that by a factor of ten, so a factor of 30 is reported (ours).
- A rate that is too high can kill 40 % of the ReLUs (CS231n, "Neural Networks Part 1"): half of
  that is reported (ours).
- Activations of tanh should fill [−1, 1], not stand at its ends (CS231n, part 3): reported where
  most are saturated (ours).
- From the last layer with weights to the first a factor of 1000 in the spread of gradients, or of
  activations, is reported (ours). Healthy initial values keep both about equal: Glorot and
  Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
"""

import math
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from graphgrad.nn.measurements import LayerMeasure, ParameterMeasure, Record

USUAL, FACTOR = 1e-3, 30.0  # of update / weight
DEAD = 0.2  # the share of units
SATURATED = 0.5  # the share of values
SPREAD = 1000.0  # from layer to layer

_INITIAL = "take Xavier's or He's initial weights, or batch normalisation"


def dead_share(name: str, records: Sequence[Record]) -> float | None:
    """Return the share of a layer's units that were dead in each of these steps."""
    flags = [r.layers[name].dead for r in records if name in r.layers]
    flags = [f for f in flags if f is not None]
    if not flags or not flags[-1].size:
        return None
    # where the layer was replaced meanwhile, only what came after counts
    alike = [f for f in flags if f.shape == flags[-1].shape]
    return float(np.logical_and.reduce(alike).mean())


def findings(records: Sequence[Record]) -> list[str]:
    """Say what is unusual in these steps."""
    if not records:
        return []
    found = []
    for name in records[-1].layers:
        measures = [r.layers[name] for r in records if name in r.layers]
        found += [f"{name}: {text}" for text in _of_layer(name, measures, records)]
    found += _of_depth(records)
    updates = [p.update for r in records for p in r.parameters.values()]
    if updates and not any(updates):
        return [*found, "no weight changed: is optimizer.step() inside the block?"]
    for name in records[-1].parameters:
        measured = [r.parameters[name] for r in records if name in r.parameters]
        text = _of_parameter(measured)
        found += [f"{name}: {text}"] if text else []
    return found


def _of_layer(name: str, measures: list[LayerMeasure], records: Sequence[Record]) -> list[str]:
    found = []
    for what in ("activations", "gradients"):
        broken = max((getattr(m, what).broken for m in measures if getattr(m, what)), default=0)
        if broken:
            found.append(f"up to {broken:.0%} of the {what} are NaN or infinite: lower the rate")
    dead = dead_share(name, records)
    if dead is not None and dead >= DEAD:
        found.append(
            f"{dead:.0%} of the units are dead: lower the learning rate, start with smaller "
            "weights and biases at 0, or use LeakyReLU"
        )
    shares = [m.saturated for m in measures if m.saturated is not None]
    if shares and median(shares) >= SATURATED:
        found.append(
            f"{median(shares):.0%} of the values are saturated: start with smaller weights, or "
            "lower the learning rate"
        )
    return found


def _of_depth(records: Sequence[Record]) -> list[str]:
    """Compare the first layer with weights and the last."""
    names = [name for name, m in records[-1].layers.items() if m.weighted]
    if len(names) < 2:
        return []
    first, last = names[0], names[-1]
    pairs = [(r.layers[first], r.layers[last]) for r in records if {first, last} <= r.layers.keys()]
    found = []
    back = _typical([_quotient(a.gradients, b.gradients) for a, b in pairs])
    forth = _typical([_quotient(b.activations, a.activations) for a, b in pairs])
    for what, here, there, spread, cure in (
        ("gradients", first, last, back, "or clip them" if back > 1 else "or use ReLU"),
        ("activations", last, first, forth, "and scale the inputs"),
    ):
        happens = "vanish" if spread < 1 / SPREAD else "explode" if spread > SPREAD else ""
        if happens:
            text = f"{what} {happens}: at {here} their spread is {spread:.0e} times that at {there}"
            found.append(f"{text}: {_INITIAL}, {cure}")
    return found


def _of_parameter(measures: list[ParameterMeasure]) -> str:
    if not any(m.update for m in measures):
        if all(m.gradient is None for m in measures):
            return "gets no gradient: does the loss depend on it? If it must not learn, freeze it"
        if any(m.gradient for m in measures):
            return "never changes: give it to the optimizer, or freeze it"
    typical = _typical([m.ratio for m in measures])
    if not measures[-1].matrix or not 0 < typical < math.inf:
        return ""
    text = f"updates are {typical:.0e} of the weights, about {USUAL:.0e} is usual"
    if typical > USUAL * FACTOR:
        return f"{text}: lower the learning rate"
    if typical < USUAL / FACTOR:
        return f"{text}: raise the learning rate, unless the loss is at its end"
    return ""


def _quotient(a: Any, b: Any) -> float:
    if a is None or b is None or not b.std > 0:
        return math.nan
    return float(a.std / b.std)


def _typical(values: list[float]) -> float:
    """Return the median of those that are there; NaN, which nothing is above or below."""
    there = [v for v in values if not math.isnan(v)]
    return median(there) if there else math.nan
