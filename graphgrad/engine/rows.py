"""Sweeps for many upstream gradients at once: the rows of a Jacobian.

Each gradient of such a sweep has one axis more, in front: a row for each upstream gradient. A rule
of an elementwise op works on all rows together, since the values that it takes are broadcast along
the first axis. Any other rule is called row by row.
"""

import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np

from graphgrad.engine.accumulate import (
    Scatter,
    fitted_contribution,
    is_basic,
    scatter_add,
    unbroadcast,
    without_untaken_nans,
)
from graphgrad.engine.graph import Node
from graphgrad.engine.hooks import run_hooks
from graphgrad.engine.op import Op, is_ours
from graphgrad.engine.plan import call_rule, joint_rules
from graphgrad.typing import Array

_ELEMENTS = 1 << 17  # of the largest gradient of a sweep: 1 MB in float64


def rows_at_once(nodes: Iterable[Node]) -> int:
    """Return how many rows a sweep over some nodes takes at once."""
    largest = max([math.prod(node.shape) for node in nodes], default=1)
    return max(1, _ELEMENTS // max(1, largest))


def unit_rows(count: int, step: int, dtype: Any) -> Iterator[Array]:
    """Yield the rows of an identity matrix, ``step`` at a time."""
    for start in range(0, count, step):
        yield np.eye(min(step, count - start), count, start, dtype)


def rules_for_rows(
    node: Node,
    g: Any,
    values: tuple[Any, ...],
    useful: Collection[Node] | None,
    *,
    after_where: bool,
) -> list[tuple[int, Any, None, None]]:
    """Run the rules of a node on all rows; return constant rules with the contributions."""
    plan = node.plan
    found: list[tuple[int, Any]] = []
    if _takes_rows(plan.op):
        for position, rule, first, second in plan.rules:
            parent = node.parents[position]
            if useful is None or parent in useful:
                c = call_rule(rule, first, second, g, values)
                found.append((position, _fitted_rows(c, parent, g, after_where=after_where)))
    else:
        by_input: dict[int, list[Any]] = {}
        for row in _rows(g):
            for position, rule, first, second in plan.rules or joint_rules(
                node, row, values, useful
            ):
                parent = node.parents[position]
                if useful is None or parent in useful:
                    c = call_rule(rule, first, second, row, values)
                    if not isinstance(c, Scatter | tuple):
                        c = np.asarray(c)
                        c = fitted_contribution(c, node, parent, row, after_where=after_where)
                    by_input.setdefault(position, []).append(c)
        found += [(position, _joined(cs)) for position, cs in by_input.items()]
    return [(position, lambda _, c=c: c, None, None) for position, c in found]


def hooks_for_rows(node: Node, g: Array) -> Array:
    """Call the hooks of a node for each row."""
    return np.stack([run_hooks(node, node.hooks or {}, row) for row in g])


def _takes_rows(op: Op[Any]) -> bool:
    """Whether rules are elementwise for certain; a user's may have fixed shapes in them."""
    return op.elementwise and op.joint is None and all(r is None or is_ours(r) for r in op.rules)


def _fitted_rows(c: Any, parent: Node, g: Array, *, after_where: bool) -> Array:
    """Do for all rows what `fitted_contribution` does for one."""
    if np.shape(c) != g.shape:  # such as a rule that returns 0
        c = c + np.zeros_like(g)
    if after_where:
        c = without_untaken_nans(c, g)
    ones = (1,) * (g.ndim - 1 - len(parent.shape))
    c = unbroadcast(c, (len(g), *ones, *parent.shape))
    return c.reshape(len(g), *parent.shape) if ones else c


def _rows(g: Any) -> Iterable[Any]:
    """Return the upstream gradients one by one; of several outputs lists of them."""
    if g.__class__ is not list:
        return g  # type: ignore[no-any-return]
    count = next(len(u) for u in g if u is not None)
    return ([None if u is None else u[i] for u in g] for i in range(count))


def _joined(contributions: list[Any]) -> Any:
    """Join the contributions of all rows to one input."""
    first = contributions[0]
    if first.__class__ is Scatter:
        return Scatter(first.index, np.stack([c.values for c in contributions]))
    if first.__class__ is tuple:  # the number of an output, and its gradient
        return first[0], np.stack([c for _, c in contributions])
    return np.stack(contributions)


def scatter_add_rows(buffer: Array, index: Any, values: Array) -> None:
    """Add into each row of a buffer, as `scatter_add` does."""
    every = (slice(None), *(index if isinstance(index, tuple) else (index,)))
    if is_basic(index) and buffer[every].shape == values.shape:
        buffer[every] += values
    else:
        for i, row in enumerate(values):
            scatter_add(buffer[i, ...], index, row)
