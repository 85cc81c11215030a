"""The gradient that each op sends to each of its inputs, for pictures."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphgrad.engine.accumulate import Scatter, fitted_contribution, gather_outputs, scatter_add
from graphgrad.engine.graph import Absent, Freed, Node, ancestors
from graphgrad.engine.memory import check_values, overwritten
from graphgrad.engine.plan import call_rule, joint_rules
from graphgrad.engine.record import OUTPUT
from graphgrad.engine.recording import Observer
from graphgrad.engine.sweep import Sweep
from graphgrad.errors import GraphError, GraphgradError
from graphgrad.typing import Array
from graphgrad.viz.snapshots.numbers import Numbers, summarize


class Contributions(Observer):
    """Records every gradient and every contribution of one sweep, as numbers."""

    def __init__(self) -> None:
        self.gradients: dict[int, Numbers] = {}  # by serial number
        self.contributions: dict[int, dict[int, Numbers]] = {}  # by serial number and input
        self._reached: set[Node] = set()  # nodes with a contribution or a seed
        self._sole: dict[Node, tuple[Any, Numbers]] = {}  # by node: its only contribution so far

    def sweeping(self, sweep: Sweep) -> Observer:
        """Note the seeds."""
        self._reached.update(sweep.grads)
        return self

    def complete(self, node: Node, g: Any) -> None:
        """Record a gradient."""
        sent, numbers = self._sole.pop(node, (None, None))
        if numbers is None or sent is not g or node.hooks is not None:
            numbers = summarize(g if g.dtype == node.dtype else g.astype(node.dtype))
        self.gradients[node.serial] = numbers

    def sent(self, node: Node, position: int, contribution: Array, g: Any) -> None:
        """Record a contribution; one that equals a gradient is summarized once."""
        parent = node.parents[position]
        whole = contribution
        if contribution.__class__ is Scatter:
            whole = np.zeros(parent.shape, parent.dtype)
            scatter_add(whole, contribution.index, contribution.values)
        elif contribution.__class__ is tuple:  # to one of several outputs of an op
            whole = contribution[1]
        if parent.dtype is not None and whole.dtype != parent.dtype:
            whole = whole.astype(parent.dtype)
        numbers = self.gradients[node.serial] if whole is g else summarize(whole)
        self.contributions.setdefault(node.serial, {})[position] = numbers
        if parent in self._reached:
            self._sole.pop(parent, None)
        elif whole is contribution:
            self._sole[parent] = contribution, numbers
        self._reached.add(parent)


class _NotKeptError(GraphError):
    """A value that the rules of a node need was not kept."""


def replay(known: Mapping[Node, Any], outputs: Mapping[Node, int]) -> Contributions:
    """Recompute the contributions of a `backward()` from the gradients that it kept.

    A freed graph still has its small values, from which many rules can run again; nodes whose
    rules cannot are skipped.

    Parameters
    ----------
    known
        The gradients that ``backward()`` kept.
    outputs
        By node: which of the outputs of its op it is.
    """
    found = Contributions()
    gathered: dict[Node, list[Any]] = {}  # for ops of several outputs
    incomplete: set[Node] = set()  # whose gradients are incomplete
    after_where = False
    for node in ancestors(known):
        g = known.get(node)
        if g is not None:
            found.complete(node, g)
        if node.plan is None:
            continue
        if node.dtype is None and node not in incomplete:
            g = gathered.get(node)
        try:
            for place, c in _rerun_rules(node, g, outputs):
                parent = node.parents[place]
                if c.__class__ is tuple:
                    gather_outputs(gathered, parent, c)
                elif c.__class__ is not Scatter:
                    array = c if hasattr(c, "shape") else np.asarray(c)
                    c = fitted_contribution(array, node, parent, g, after_where=after_where)  # noqa: PLW2901
                found.sent(node, place, c, g)
        except GraphgradError:
            incomplete.update(node.parents[place] for place in node.plan.wants)
        after_where = after_where or node.plan.op.masks
    return found


def _rerun_rules(node: Node, g: Any, outputs: Mapping[Node, int]) -> list[tuple[int, Any]]:
    """Run the rules of a node again; return input numbers with contributions."""
    if g is None:
        raise _NotKeptError
    if isinstance(node.values, Freed):
        values = _rebuild_values(node, outputs)
    else:
        check_values(node)
        values = node.values
    try:
        with np.errstate(all="ignore"):
            rules = node.plan.rules or joint_rules(node, g, values)
            return [(place, call_rule(rule, i, j, g, values)) for place, rule, i, j in rules]
    except Exception as error:
        raise _NotKeptError from error


def _rebuild_values(node: Node, outputs: Mapping[Node, int]) -> tuple[Any, ...]:
    """Collect what the rules of a freed node need from the values that were kept."""
    if node.plan.op is OUTPUT and node in outputs:
        return (outputs[node],)

    def value(of: Any) -> Array:
        if not isinstance(of, Node):
            return of.value if isinstance(of, Absent) else of
        if of.value is None or overwritten(of, of.value, node.serial):
            raise _NotKeptError
        return of.value

    values: list[Any] = []
    for source in node.plan.sources:
        if source == "out":
            values.append(value(node))
        elif source == "inputs":
            values.append(tuple(map(value, node.parents)))
        elif isinstance(source, int):
            values.append(value(node.parents[source]))
        else:  # a parameter of the call, or a saved value
            raise _NotKeptError
    return tuple(values)
