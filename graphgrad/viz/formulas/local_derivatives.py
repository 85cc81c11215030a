"""Local derivatives of an op on scalars, computed by its rules from what its node kept."""

import math
import weakref
from typing import Any

import numpy as np

from graphgrad.engine.accumulate import Scatter
from graphgrad.engine.errstate import ignore_warnings, restore_warnings
from graphgrad.engine.graph import Absent, Freed, Node
from graphgrad.engine.memory import overwritten
from graphgrad.engine.plan import rule_arguments

_arguments: weakref.WeakKeyDictionary[Any, list[str]] = weakref.WeakKeyDictionary()


def cached_rule_arguments(rule: Any) -> list[str]:
    """Return the names of a rule's arguments; cached, since large pictures ask often."""
    names = _arguments.get(rule)
    if names is None:
        names = _arguments[rule] = rule_arguments(rule)
    return names


def local_derivatives(node: Node) -> tuple[float | None, ...]:
    """Compute the derivative of a scalar op with respect to each input: its rules with g = 1.

    None where the input or the output has several elements, no gradient is wanted, or a value
    that the rule needs was not kept or was overwritten.
    """
    parents = node.parents
    numbers: list[float | None] = [None] * len(parents)
    if (
        node.shape is None
        or math.prod(node.shape) != 1
        or node.plan.op.outputs > 1
        or _overwritten(node)
    ):
        return tuple(numbers)
    op, values = node.plan.op, _kept_values(node)
    before = ignore_warnings()
    try:
        g = np.ones(node.shape, node.dtype)[()]
        for i in node.plan.wants:
            rule: Any = op.joint or op.rules[i]
            needed = cached_rule_arguments(rule)
            if math.prod(parents[i].shape) == 1 and all(n in values for n in needed):
                c = rule(g, *(values[n] for n in needed))
                c = c[i] if op.joint else c
                c = c.values if isinstance(c, Scatter) else c
                numbers[i] = float(np.asarray(c).item())
    except Exception:  # noqa: BLE001 - the sweep reports what is wrong with a rule
        return (None,) * len(parents)
    finally:
        restore_warnings(before)
    return tuple(numbers)


def _overwritten(node: Node) -> bool:
    """Whether a value that the rules may need was overwritten after the op had used it."""
    values = [node, *(p for p in node.parents if isinstance(p, Node))]
    return any(overwritten(value, value.value, node.serial) for value in values)


def _kept_values(node: Node) -> dict[str, Any]:
    """Return the values that a node still has of those that rules may take, by name."""
    op, parents = node.plan.op, node.parents
    known: dict[str, Any] = {"wanted": node.plan.wanted}
    small = [p.value if isinstance(p, Node | Absent) else p for p in parents]
    shapes = tuple(p.shape if isinstance(p, Node | Absent) else () for p in parents)
    if op.variadic:
        known["inputs_shape"] = shapes
    else:
        known |= {n: v for n, v in zip(op.order, small, strict=False) if v is not None}
        known |= {f"{n}_shape": s for n, s in zip(op.order, shapes, strict=False)}
    if not any(v is None for v in small):
        known["inputs"] = tuple(small)
    if node.value is not None:
        known["out"] = node.value
    if not isinstance(node.values, Freed):
        known |= zip(node.plan.kept_names, node.values, strict=True)
    return known
