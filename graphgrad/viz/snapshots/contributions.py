"""What each op sends to each of its inputs, for pictures: at a fork every use has its own."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphgrad.engine.accumulate import Scatter, fitted, scatter_add
from graphgrad.engine.graph import Absent, Freed, Node
from graphgrad.engine.memory import overwritten
from graphgrad.engine.record import OUTPUT
from graphgrad.engine.sweep import Sweep
from graphgrad.errors import GraphError, GraphgradError
from graphgrad.viz.snapshots.digest import Numbers, summarize


class WatchedSweep(Sweep):
    """A sweep that describes every gradient and every contribution on its way.

    Parameters
    ----------
    seeds
        The upstream gradient of each node to start from.
    """

    private = True  # runs for the picture alone

    def __init__(self, seeds: Mapping[Node, Any]) -> None:
        """Get ready: nothing runs yet."""
        super().__init__(seeds, hooks=not self.private)
        self.gradients: dict[int, Numbers] = {}  # by serial number
        self.contributions: dict[int, dict[int, Numbers]] = {}  # by the place of the input
        self._places: list[int] = []  # of the inputs that are still to be sent to, last first
        self._only: dict[Node, tuple[Any, Numbers]] = {}  # what was sent, where it is all so far

    def _arrived(self, node: Node, g: Any) -> Any:
        g = super()._arrived(node, g)
        sent, numbers = self._only.pop(node, (None, None))
        if numbers is None or sent is not g or node.hooks is not None:
            numbers = summarize(g if g.dtype == node.dtype else g.astype(node.dtype))
        self.gradients[node.serial] = numbers
        if self.private:
            self.results.clear()  # described is enough
        return g

    def _values(self, node: Node) -> Any:
        self._places = [place for place, _ in reversed(node.plan.steps)]
        return super()._values(node)

    def _joint_steps(self, node: Node, g: Any, values: Any) -> list[tuple[int, Any]]:
        steps = super()._joint_steps(node, g, values)
        self._places = [place for place, _ in reversed(steps)]
        return steps

    def _send(self, node: Node, parent: Node, c: Any, g: Any, values: Any) -> None:
        place = self._places.pop()
        if c.__class__ is Scatter:
            whole = np.zeros(parent.shape, parent.dtype)
            scatter_add(whole, c.index, c.values)
        elif c.__class__ is tuple:  # to one output of an op that has several
            whole = c[1]
        else:
            c = c if hasattr(c, "shape") else np.asarray(c)
            if self.careful:
                c = self._examined(node, c, g)
            if c.shape != parent.shape:
                c = fitted(c, node, parent, g)
            whole = c
        if parent.dtype is not None and whole.dtype != parent.dtype:
            whole = whole.astype(parent.dtype)
        # much of what is sent is what arrived, or all that arrives: it is described once
        numbers = self.gradients[node.serial] if whole is g else summarize(whole)
        self.contributions.setdefault(node.serial, {})[place] = numbers
        if parent in self.grads:
            self._only.pop(parent, None)
        elif whole is c:
            self._only[parent] = c, numbers
        super()._send(node, parent, c, g, values)


class _LostError(GraphError):
    """What the rules of a node need was not kept."""


class Retold(WatchedSweep):
    """What `backward()` did, told once more from the gradients that it kept.

    A freed graph still has its small values, and from them many rules can run again.
    Where one cannot, its node is passed over.

    Parameters
    ----------
    known
        The gradients that ``backward()`` kept.
    outputs
        Which output of its op a node is.
    """

    def __init__(self, known: Mapping[Node, Any], outputs: Mapping[Node, int]) -> None:
        """Get ready: nothing runs yet."""
        super().__init__(known)
        self.anomaly, self.careful = None, False
        self.known = known
        self.outputs = outputs
        self.cut: set[Node] = set()  # did not get all of their gradient

    def run(self) -> "Retold":
        """Run the rules of every node whose gradient and values are known."""
        while self.queue:
            try:
                super().run()
            except GraphgradError:
                continue  # with the next node: the queue stands as it was
        return self

    def _arrived(self, node: Node, g: Any) -> Any:
        return super()._arrived(node, self.known.get(node, g))

    def _values(self, node: Node) -> Any:
        try:
            if node in self.cut if node.dtype is None else node not in self.known:
                raise _LostError
            if not isinstance(node.values, Freed):
                return super()._values(node)
            values = self._rebuilt(node)
        except GraphgradError:
            self.cut.update(node.parents[place] for place in node.plan.wants)
            if node.plan.op.masks:
                self.where_passed = self.careful = True
            raise
        self._places = [place for place, _ in reversed(node.plan.steps)]
        return values

    def _rebuilt(self, node: Node) -> tuple[Any, ...]:
        """Gather what the rules of a freed node need from the values that stayed."""
        if node.plan.op is OUTPUT and node in self.outputs:
            return (self.outputs[node],)

        def value(of: Any) -> Any:
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
