"""Plans: which values the nodes of an op keep, and how their rules are called."""

from collections.abc import Callable, Collection
from operator import itemgetter
from typing import Any

import numpy as np

from graphgrad.engine.binder import REQUIRED, parameters
from graphgrad.engine.memory import frozen
from graphgrad.typing import Array

Rule = Callable[..., Any]
HALF = np.dtype(np.float16)


class Plan:
    """The plan of an op and a set of wanted inputs, shared by all such nodes.

    ``pick`` selects the values to keep from the full tuple (inputs, out, saved, parameters, input
    shapes); ``rules`` are called with those.
    """

    __slots__ = (
        "float16_plan",
        "joint",
        "kept_names",
        "op",
        "pick",
        "rules",
        "sources",
        "wanted",
        "wants",
    )

    def __init__(self, op: Any, wants: tuple[int, ...], inputs: int) -> None:
        """Find which values the rules of the wanted inputs need."""
        self.op = op
        self.wants = wants
        self.float16_plan: Plan | None = None
        names = op.layout
        rules: list[Any] = [op.joint] if op.joint else [op.rules[i] for i in wants]
        needed = [rule_arguments(rule) for rule in rules]
        kept = sorted({names.index(n) for ask in needed for n in ask if n in names})
        if any("inputs" in ask for ask in needed) and not op.variadic:
            kept = sorted({*kept, *range(op.inputs)})
        self.pick: Callable[[tuple[Any, ...]], tuple[Any, ...]]
        if not kept:
            self.pick = _pick_none
        elif len(kept) == 1:
            self.pick = _pick_one(kept[0])
        else:
            self.pick = itemgetter(*kept)
        constants = set() if op.joint else {p for p, k in enumerate(kept) if k in op.constant}
        if constants:  # such as a condition, which the caller may change later
            pick = self.pick
            self.pick = lambda full: tuple(
                [frozen(v) if p in constants else v for p, v in enumerate(pick(full))]
            )
        self.kept_names = tuple(names[k] for k in kept)
        out_place = names.index("out")
        # the source of each kept value: an input's position, "inputs", "out", or None
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

        def index_of(name: str) -> Any:
            if name == "wanted":
                return name
            if name == "inputs" and not op.variadic:
                return tuple(places[n] for n in names[: op.inputs])
            return places[name]

        self.joint: Rule | None = None
        # per input: its position, its rule, and the indices of the values that the rule takes
        self.rules: tuple[tuple[int, Rule, Any, Any], ...] = ()
        if op.joint:
            joint, indices = op.joint, tuple(map(index_of, needed[0]))
            self.joint = lambda g, values, wanted: joint(g, *_values(indices, values, wanted))
        else:
            self.rules = tuple(
                (i, *_with_indices(rule, tuple(map(index_of, ask))))
                for i, rule, ask in zip(wants, rules, needed, strict=True)
            )

    def _copy(self) -> "Plan":
        new = object.__new__(Plan)
        for name in Plan.__slots__:
            setattr(new, name, getattr(self, name))
        new.float16_plan = None
        return new

    def for_inputs(self, wanted: tuple[bool, ...]) -> "Plan":
        """Return the plan of a variadic op for another list of inputs."""
        new = self._copy()
        new.wanted = wanted
        new.wants = tuple([i for i, want in enumerate(wanted) if want])
        return new

    def for_float16(self) -> "Plan":
        """Return the plan of float16 nodes: its rules get float32.

        Intermediate counts, squares and sums would overflow float16, or lose all digits, where the
        gradient itself does not.
        """
        if self.float16_plan is None:
            new = self._copy()
            new.rules = tuple((i, _in_float32(rule), *places) for i, rule, *places in self.rules)
            new.joint = None if self.joint is None else _in_float32(self.joint)
            self.float16_plan = new.float16_plan = new
        return self.float16_plan


def _in_float32(rule: Rule) -> Rule:
    return lambda g, *values: rule(_to_float32(g), *map(_to_float32, values))


def _to_float32(x: Array) -> Any:
    if getattr(x, "dtype", None) == HALF:
        return x.astype(np.float32)
    if isinstance(x, list):
        return list(map(_to_float32, x))
    if isinstance(x, tuple):
        kind = tuple if type(x) is tuple else type(x)._make  # type: ignore[attr-defined]
        return kind(map(_to_float32, x))
    return x


def rule_arguments(rule: Any) -> list[str]:
    """Return the names of a rule's parameters after ``g``; those with defaults are ignored."""
    others = list(parameters(rule).items())[1:]
    return [name for name, default in others if default is REQUIRED]


def _pick_none(_: tuple[Any, ...]) -> tuple[Any, ...]:
    return ()


def _pick_one(place: int) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    return lambda full: (full[place],)


def _with_indices(rule: Rule, places: tuple[Any, ...]) -> tuple[Rule, Any, Any]:
    """Return a rule with the indices of the two values that it takes after g, or None.

    A rule that takes more than two gets all values, and is wrapped to pick its own.
    """
    if not all(isinstance(place, int) for place in places):  # it takes tuples of values
        return lambda g, values: rule(g, *_values(places, values)), slice(None), None
    if len(places) > 2:
        return lambda g, values: rule(g, *[values[i] for i in places]), slice(None), None
    first, second = (*places, None, None)[:2]
    return rule, first, second


def call_rule(rule: Rule, first: Any, second: Any, g: Array, values: tuple[Any, ...]) -> Any:
    """Call one of the rules of a plan; the sweep repeats these lines for speed."""
    if first is None:
        return rule(g)
    return rule(g, values[first]) if second is None else rule(g, values[first], values[second])


def joint_rules(
    node: Any, g: Array, values: Array, useful: Collection[Any] | None = None
) -> list[tuple[int, Any, None, None]]:
    """Run a joint rule for the useful inputs; return constant rules with its gradients."""
    plan = node.plan
    if plan.joint is None:
        return []
    wanted = plan.wanted
    if useful is not None:
        wanted = tuple(w and p in useful for w, p in zip(wanted, node.parents, strict=True))
    gs = plan.joint(g, values, wanted)
    return [(i, lambda _, c=gs[i]: c, None, None) for i in plan.wants if gs[i] is not None]


def _values(places: tuple[Any, ...], values: tuple[Any, ...], wanted: Any = None) -> list[Any]:
    """List the arguments of a rule: kept values, tuples of them, and the wanted gradients."""

    def value(place: Any) -> Any:
        if isinstance(place, int):
            return values[place]
        return wanted if place == "wanted" else tuple(values[i] for i in place)

    return list(map(value, places))
