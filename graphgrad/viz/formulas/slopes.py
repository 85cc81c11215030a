"""Slopes: the derivative of an op on single numbers, by its rules, from what its node kept."""

import math
import weakref
from typing import Any

import numpy as np

from graphgrad.engine.accumulate import Scatter
from graphgrad.engine.errstate import ignore_warnings, restore_warnings
from graphgrad.engine.graph import Absent, Freed, Node
from graphgrad.engine.memory import overwritten
from graphgrad.engine.plan import asked_by

_asked: weakref.WeakKeyDictionary[Any, list[str]] = weakref.WeakKeyDictionary()


def asked_of(rule: Any) -> list[str]:
    """Name what a rule needs, while it lives once: large pictures ask often."""
    found = _asked.get(rule)
    if found is None:
        found = _asked[rule] = asked_by(rule)
    return found


def local_numbers(node: Node) -> tuple[float | None, ...]:
    """Compute the derivative in each input of an op on single numbers, by its rules, for g = 1.

    None where input or output are no single numbers, no gradient is wanted, or what the rule
    needs was not kept or was overwritten.
    """
    parents = node.parents
    numbers: list[float | None] = [None] * len(parents)
    if node.shape is None or math.prod(node.shape) != 1 or node.plan.op.outputs > 1 or _stale(node):
        return tuple(numbers)
    op, values = node.plan.op, _kept_values(node)
    before = ignore_warnings()
    try:
        g = np.ones(node.shape, node.dtype)[()]
        for i in node.plan.wants:
            rule: Any = op.joint or op.rules[i]
            asked: list[str] = asked_of(rule)
            if math.prod(parents[i].shape) == 1 and all(n in values for n in asked):
                c = rule(g, *(values[n] for n in asked))
                c = c[i] if op.joint else c
                c = c.values if isinstance(c, Scatter) else c
                numbers[i] = float(np.asarray(c).item())
    except Exception:  # noqa: BLE001 - the sweep tells what is wrong with a rule
        return (None,) * len(parents)
    finally:
        restore_warnings(before)
    return tuple(numbers)


def _stale(node: Node) -> bool:
    """Whether a value that the rules may need was overwritten after the op had used it."""
    values = [node, *(p for p in node.parents if isinstance(p, Node))]
    return any(overwritten(value, value.value, node.serial) for value in values)


def _kept_values(node: Node) -> dict[str, Any]:
    """Return what a node still has of all that rules may ask for, by name."""
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
