"""What each op sends to each of its inputs, for pictures: at a fork every use has its own."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphgrad.engine.accumulate import Scatter, gather, scatter_add, settled
from graphgrad.engine.graph import Absent, Freed, Node, ancestors
from graphgrad.engine.memory import check_values, overwritten
from graphgrad.engine.plan import call_rule
from graphgrad.engine.record import OUTPUT
from graphgrad.engine.recording import Observer
from graphgrad.engine.sweep import Sweep, joint_rules
from graphgrad.errors import GraphError, GraphgradError
from graphgrad.typing import Array
from graphgrad.viz.snapshots.digest import Numbers, summarize


class Contributions(Observer):
    """Every gradient and every contribution of one sweep, in numbers."""

    def __init__(self) -> None:
        self.gradients: dict[int, Numbers] = {}  # by serial number
        self.contributions: dict[int, dict[int, Numbers]] = {}  # by the place of the input
        self._reached: set[Node] = set()  # what something was sent to, or where the sweep starts
        self._only: dict[Node, tuple[Any, Numbers]] = {}  # what was sent, where it is all so far

    def sweeping(self, sweep: Sweep) -> Observer:
        """Start with the seeds."""
        self._reached.update(sweep.grads)
        return self

    def complete(self, node: Node, g: Any) -> None:
        """Describe a gradient."""
        sent, numbers = self._only.pop(node, (None, None))
        if numbers is None or sent is not g or node.hooks is not None:
            numbers = summarize(g if g.dtype == node.dtype else g.astype(node.dtype))
        self.gradients[node.serial] = numbers

    def sent(self, node: Node, position: int, contribution: Array, g: Any) -> None:
        """Describe a contribution; much is what arrived, or all that arrives: described once."""
        parent = node.parents[position]
        whole = contribution
        if contribution.__class__ is Scatter:
            whole = np.zeros(parent.shape, parent.dtype)
            scatter_add(whole, contribution.index, contribution.values)
        elif contribution.__class__ is tuple:  # to one output of an op that has several
            whole = contribution[1]
        if parent.dtype is not None and whole.dtype != parent.dtype:
            whole = whole.astype(parent.dtype)
        numbers = self.gradients[node.serial] if whole is g else summarize(whole)
        self.contributions.setdefault(node.serial, {})[position] = numbers
        if parent in self._reached:
            self._only.pop(parent, None)
        elif whole is contribution:
            self._only[parent] = contribution, numbers
        self._reached.add(parent)


class _LostError(GraphError):
    """What the rules of a node need was not kept."""


def replayed(known: Mapping[Node, Any], outputs: Mapping[Node, int]) -> Contributions:
    """Describe what `backward()` sent, once more from the gradients that it kept.

    A freed graph still has its small values, and from them many rules can run again.
    Where one cannot, its node is passed over.

    Parameters
    ----------
    known
        The gradients that ``backward()`` kept.
    outputs
        Which output of its op a node is.
    """
    seen = Contributions()
    gathered: dict[Node, list[Any]] = {}  # for ops of several outputs
    cut: set[Node] = set()  # did not get all of their gradient
    where_passed = False
    for node in ancestors(known):
        g = known.get(node)
        if g is not None:
            seen.complete(node, g)
        if node.plan is None:
            continue
        if node.dtype is None and node not in cut:
            g = gathered.get(node)
        try:
            for place, c in _sent_again(node, g, outputs):
                parent = node.parents[place]
                if c.__class__ is tuple:
                    gather(gathered, parent, c)
                elif c.__class__ is not Scatter:
                    array = c if hasattr(c, "shape") else np.asarray(c)
                    c = settled(array, node, parent, g, where_passed=where_passed)  # noqa: PLW2901
                seen.sent(node, place, c, g)
        except GraphgradError:
            cut.update(node.parents[place] for place in node.plan.wants)
        where_passed = where_passed or node.plan.op.masks
    return seen


def _sent_again(node: Node, g: Any, outputs: Mapping[Node, int]) -> list[tuple[int, Any]]:
    """Run the rules of a node: the place of each input, and what is sent there."""
    if g is None:
        raise _LostError
    if isinstance(node.values, Freed):
        values = _rebuilt(node, outputs)
    else:
        check_values(node)
        values = node.values
    try:
        with np.errstate(all="ignore"):
            rules = node.plan.rules or joint_rules(node, g, values)
            return [(place, call_rule(rule, i, j, g, values)) for place, rule, i, j in rules]
    except Exception as error:
        raise _LostError from error


def _rebuilt(node: Node, outputs: Mapping[Node, int]) -> tuple[Any, ...]:
    """Gather what the rules of a freed node need from the values that stayed."""
    if node.plan.op is OUTPUT and node in outputs:
        return (outputs[node],)

    def value(of: Any) -> Array:
        if not isinstance(of, Node):
            return of.value if isinstance(of, Absent) else of
        if of.value is None or overwritten(of, of.value, node.serial):
            raise _LostError
        return of.value

    values: list[Any] = []
    for source in node.plan.sources:
        if source == "out":
            values.append(value(node))
        elif source == "inputs":
            values.append(tuple(map(value, node.parents)))
        elif isinstance(source, int):
            values.append(value(node.parents[source]))
        else:  # a parameter of the call, or what the forward had saved
            raise _LostError
    return tuple(values)
