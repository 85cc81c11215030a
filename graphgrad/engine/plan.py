"""What the nodes of one op share: which values they keep, and how their rules are called."""

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import numpy as np

from graphgrad.engine.binder import REQUIRED, parameters
from graphgrad.engine.memory import frozen
from graphgrad.typing import Array

Rule = Callable[..., Any]
HALF = np.dtype(np.float16)


class Plan:
    """How nodes of one op, with one set of wanted inputs, keep values and run rules.

    Shared by all such nodes. ``pick`` selects the values to keep from the full tuple
    (inputs, out, saved, parameters, input shapes); ``rules`` are called with those.
    """

    __slots__ = (
        "joint",
        "kept_names",
        "of_halves",
        "op",
        "pick",
        "rules",
        "sources",
        "wanted",
        "wants",
    )

    def __init__(self, op: Any, wants: tuple[int, ...], inputs: int) -> None:
        """Work out what the rules of the wanted inputs ask for by name."""
        self.op = op
        self.wants = wants
        self.of_halves: Plan | None = None
        names = op.layout
        rules: list[Any] = [op.joint] if op.joint else [op.rules[i] for i in wants]
        asked = [asked_by(rule) for rule in rules]
        kept = sorted({names.index(n) for ask in asked for n in ask if n in names})
        if any("inputs" in ask for ask in asked) and not op.variadic:
            kept = sorted({*kept, *range(op.inputs)})
        self.pick: Callable[[tuple[Any, ...]], tuple[Any, ...]]
        if not kept:
            self.pick = _nothing
        elif len(kept) == 1:
            self.pick = _single(kept[0])
        else:
            self.pick = itemgetter(*kept)
        constants = set() if op.joint else {p for p, k in enumerate(kept) if k in op.constant}
        if constants:  # a condition: the caller may change it later
            pick = self.pick
            self.pick = lambda full: tuple(
                [frozen(v) if p in constants else v for p, v in enumerate(pick(full))]
            )
        self.kept_names = tuple(names[k] for k in kept)
        out_place = names.index("out")
        # where each kept value comes from: an input's position, "inputs", "out", or neither
        self.sources: list[int | str | None] = [
            ("inputs" if op.variadic else k)
            if k < out_place
            else names[k]
            if k == out_place
            else None
            for k in kept
        ]
        self.wanted: tuple[bool, ...] = tuple(i in wants for i in range(inputs))
        places = {names[k]: place for place, k in enumerate(kept)}

        def place_of(name: str) -> Any:
            if name == "wanted":
                return name
            if name == "inputs" and not op.variadic:
                return tuple(places[n] for n in names[: op.inputs])
            return places[name]

        self.joint: Rule | None = None
        # of an input: its position, its rule, and the places of what the rule takes beside g
        self.rules: tuple[tuple[int, Rule, Any, Any], ...] = ()
        if op.joint:
            joint, asks = op.joint, tuple(map(place_of, asked[0]))
            self.joint = lambda g, values, wanted: joint(g, *_values(asks, values, wanted))
        else:
            self.rules = tuple(
                (i, *_placed(rule, tuple(map(place_of, ask))))
                for i, rule, ask in zip(wants, rules, asked, strict=True)
            )

    def _copy(self) -> "Plan":
        new = object.__new__(Plan)
        for name in Plan.__slots__:
            setattr(new, name, getattr(self, name))
        new.of_halves = None
        return new

    def among(self, wanted: tuple[bool, ...]) -> "Plan":
        """Return the plan of a variadic op for another list of inputs."""
        new = self._copy()
        new.wanted = wanted
        new.wants = tuple([i for i, want in enumerate(wanted) if want])
        return new

    def for_halves(self) -> "Plan":
        """Return the plan of nodes that are float16: its rules are fed float32.

        Counts, squares and sums soon leave the range of float16, or lose all digits, where the
        gradient that they are on the way to does not.
        """
        if self.of_halves is None:
            new = self._copy()
            new.rules = tuple((i, _widened(rule), *places) for i, rule, *places in self.rules)
            new.joint = None if self.joint is None else _widened(self.joint)
            self.of_halves = new.of_halves = new
        return self.of_halves


def _widened(rule: Rule) -> Rule:
    return lambda g, *values: rule(_wide(g), *map(_wide, values))


def _wide(x: Array) -> Any:
    if getattr(x, "dtype", None) == HALF:
        return x.astype(np.float32)
    if isinstance(x, list):
        return list(map(_wide, x))
    if isinstance(x, tuple):
        kind = tuple if type(x) is tuple else type(x)._make  # type: ignore[attr-defined]
        return kind(map(_wide, x))
    return x


def asked_by(rule: Any) -> list[str]:
    """Name what a rule needs beside ``g``; a parameter with a default is its own business."""
    others = list(parameters(rule).items())[1:]
    return [name for name, default in others if default is REQUIRED]


def _nothing(_: tuple[Any, ...]) -> tuple[Any, ...]:
    return ()


def _single(place: int) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    return lambda full: (full[place],)


def _placed(rule: Rule, places: tuple[Any, ...]) -> tuple[Rule, Any, Any]:
    """Return the rule and the places of the values that it takes beside g; None for none.

    A rule that takes more than two is given them all, and finds its own.
    """
    if not all(isinstance(place, int) for place in places):  # it asks for tuples of values
        return lambda g, values: rule(g, *_values(places, values)), slice(None), None
    if len(places) > 2:
        return lambda g, values: rule(g, *[values[i] for i in places]), slice(None), None
    first, second = (*places, None, None)[:2]
    return rule, first, second


def call_rule(rule: Rule, first: Any, second: Any, g: Array, values: tuple[Any, ...]) -> Any:
    """Call one of the rules of a plan; the sweep has these lines once more, for speed."""
    if first is None:
        return rule(g)
    return rule(g, values[first]) if second is None else rule(g, values[first], values[second])


def _values(places: tuple[Any, ...], values: tuple[Any, ...], wanted: Any = None) -> list[Any]:
    """List what a rule asks for: kept values, tuples of them, and which gradients are wanted."""

    def value(place: Any) -> Any:
        if isinstance(place, int):
            return values[place]
        return wanted if place == "wanted" else tuple(values[i] for i in place)

    return list(map(value, places))
