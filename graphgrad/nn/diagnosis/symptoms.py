"""What the numbers of watched steps mean, in words; the limits are in `findings.thresholds`."""

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

import numpy as np

from graphgrad.findings.thresholds import DEAD, SATURATED, SPREAD, UPDATE, UPDATES, short
from graphgrad.nn.diagnosis.measurements import LayerMeasure, ParameterMeasure, Record
from graphgrad.typing import Array

TOLD = 3  # findings of one kind

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


class _Symptom(NamedTuple):
    """Something unusual at one place."""

    place: str  # a layer or parameter
    text: str
    remedy: str
    severity: float = 0.0


def findings(records: Sequence[Record]) -> list[str]:
    """Say what is unusual in these steps; what is so in many places is said once, for the worst."""
    if not records:
        return []
    symptoms: list[_Symptom] = []
    for name in records[-1].layers:
        measures = [r.layers[name] for r in records if name in r.layers]
        symptoms += _of_layer(_called(name), measures, dead_share(name, records))
    symptoms += _of_depth(records)
    updates = [p.update for r in records for p in r.parameters.values()]
    if updates and not any(updates):
        return [*_told(symptoms), "no weight changed: is optimizer.step() inside the block?"]
    for name in records[-1].parameters:
        symptoms += _of_parameter(
            name, [r.parameters[name] for r in records if name in r.parameters]
        )
    return _told(symptoms)


def _called(name: str) -> str:
    """Return what a layer is called in a sentence: of a Sequential the names are numbers only."""
    return f"layer {name}" if name[:1].isdigit() else name


def _told(symptoms: list[_Symptom]) -> list[str]:
    """Write them out; of more than three with one remedy only the worst."""
    groups: dict[str, list[_Symptom]] = {}
    for symptom in symptoms:
        groups.setdefault(symptom.remedy, []).append(symptom)
    lines = []
    for remedy, group in groups.items():
        told = group if len(group) <= TOLD else [max(group, key=lambda s: s.severity)]
        more = f" (and {len(group) - 1} more)" if len(group) > TOLD else ""
        lines += [f"{place}{more}: {text}: {remedy}" for place, text, _, _ in told]
    return lines


def _of_layer(name: str, measures: list[LayerMeasure], dead: float | None) -> list[_Symptom]:
    found = []
    for what in ("activations", "gradients"):
        broken = max((getattr(m, what).broken for m in measures if getattr(m, what)), default=0)
        if broken:
            text = f"up to {broken:.0%} of the {what} are NaN or infinite"
            remedy = "look at the inputs, and lower the learning rate"
            found.append(_Symptom(name, text, remedy, broken))
    if dead is not None and dead >= DEAD:
        remedy = (
            "lower the learning rate, start with smaller weights and biases at 0, or use LeakyReLU"
        )
        found.append(_Symptom(name, f"{dead:.0%} of the units are dead", remedy, dead))
    shares = [m.saturated for m in measures if m.saturated is not None]
    if shares and (share := median(shares)) >= SATURATED:
        remedy = "start with smaller weights, or lower the learning rate"
        found.append(_Symptom(name, f"{share:.0%} of the values are saturated", remedy, share))
    return found


def _of_depth(records: Sequence[Record]) -> list[_Symptom]:
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
            text = (
                f"at {_called(here)} their spread is {short(spread)} times that at {_called(there)}"
            )
            found.append(_Symptom(f"{what} {happens}", text, f"{_INITIAL}, {cure}"))
    return found


def _of_parameter(name: str, measures: list[ParameterMeasure]) -> list[_Symptom]:
    if not any(m.update for m in measures):
        if all(m.gradient is None for m in measures):
            remedy = "does the loss depend on it? If it must not learn, freeze it"
            return [_Symptom(name, "gets no gradient", remedy)]
        if any(m.gradient for m in measures):
            return [_Symptom(name, "never changes", "give it to the optimizer, or freeze it")]
    typical = _typical([m.ratio for m in measures])
    if not measures[-1].matrix:
        return []
    text = f"updates are {short(typical)} of the weights, about {short(UPDATE)} is usual"
    side = UPDATES.side(typical)
    if side > 0:
        return [_Symptom(name, text, "lower the learning rate", typical)]
    if side < 0:
        remedy = "raise the learning rate, unless the loss is at its end"
        return [_Symptom(name, text, remedy, -typical)]
    return []


def _quotient(a: Array, b: Array) -> float:
    if a is None or b is None or not b.std > 0:
        return math.nan
    return float(a.std / b.std)


def _typical(values: list[float]) -> float:
    """Return the median of those that are there; NaN, which nothing is above or below."""
    there = [v for v in values if not math.isnan(v)]
    return median(there) if there else math.nan
