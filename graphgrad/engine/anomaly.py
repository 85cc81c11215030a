"""Detecting anomalies: the origin of NaNs, and unnoticed writes to saved arrays."""

import weakref
from collections.abc import Iterator
from typing import Any, overload

import numpy as np

from graphgrad.engine.accumulate import Scatter
from graphgrad.engine.graph import Absent, Node, graph_nodes, kept_arrays
from graphgrad.engine.memory import checksum
from graphgrad.engine.recording import Block, F, Observer, switched
from graphgrad.errors import GraphError, NonFiniteError
from graphgrad.typing import Array


class Anomaly(Observer):
    """The checks of :func:`detect_anomaly`."""

    kind = "anomaly"

    def __init__(self) -> None:
        self.sums: weakref.WeakKeyDictionary[Node, list[int]] = weakref.WeakKeyDictionary()

    def recorded(
        self,
        op: Any,
        tensors: list[Any],
        arrays: list[Any],
        params: tuple[Any, ...],  # noqa: ARG002
    ) -> None:
        """Raise if an op computes a NaN from inputs without one; store checksums."""
        node = tensors[0]._node
        if op.outputs > 1:
            node = node.parents[0]
        made = any(np.isnan(tensor._array).any() for tensor in tensors)
        # without arrays: `recompute`, whose ops were checked one by one
        if made and arrays and not any(np.isnan(a).any() for a in arrays):
            message = f"{node.describe()} computed a NaN from inputs without one"
            raise NonFiniteError(message)
        self.sums[node] = self._sums(node)

    def sent(self, node: Node, position: int, contribution: Array, g: Array) -> None:  # noqa: ARG002
        """Raise if a rule computes a NaN from a gradient without one."""
        if contribution.__class__ is tuple:  # the gradient of one output, passed on
            return
        gs = g if isinstance(g, list) else [g]
        c = contribution.values if contribution.__class__ is Scatter else contribution
        if np.isnan(c).any() and not any(u is not None and np.isnan(u).any() for u in gs):
            message = (
                f"{node.describe()}: its gradient rule made a NaN; often a local derivative is "
                "infinite there"
            )
            raise NonFiniteError(message)

    def before_rules(self, node: Node) -> None:
        """Raise if an array that a node saved was written to."""
        known = self.sums.get(node)
        if known is not None and known != self._sums(node):
            message = (
                f"{node.describe()}: an array that it saved was written to later, through an "
                "array taken earlier; assign to t.data instead, or write to a copy"
            )
            raise GraphError(message)

    def _sums(self, node: Node) -> list[int]:
        return [checksum(a) for a in _flat(node.values) if isinstance(a, np.ndarray)]


def _flat(values: Array) -> Iterator[Any]:
    """Yield the items of nested tuples."""
    for value in values:
        if isinstance(value, tuple):
            yield from _flat(value)
        else:
            yield value


@overload
def detect_anomaly(function: F) -> F: ...
@overload
def detect_anomaly() -> Block: ...
def detect_anomaly(function: F | None = None) -> F | Block:
    """Check every op in a block or a decorated function for NaNs and unnoticed writes; slow.

    Raises
    ------
    NonFiniteError
        If an op, or its gradient rule, computes a NaN from numbers.
    GraphError
        At ``backward()``, if an array that the graph saved was changed in any way, also through an
        array taken before the op, or a plain array that was an operand.
    """
    return switched("observer", Anomaly, function)


def explain_nan(root: Node) -> str:
    """Return a sentence on the op that first computed a NaN or infinity, among kept values."""
    values = kept_arrays(graph_nodes(root))
    for node in sorted(values, key=lambda n: n.serial):
        value = values[node]
        if np.isfinite(value).all():
            continue
        kind = "NaN" if np.isnan(value).any() else "infinity"
        inputs = []
        for p in node.parents:
            if isinstance(p, Absent):
                continue
            shown = values.get(p, "not kept") if isinstance(p, Node) else p
            inputs.append(np.array2string(np.asarray(shown), precision=4, threshold=8))
        made = f"from {', '.join(inputs)}" if inputs else "given"
        return f"{kind} first appears in {node.describe()}, {made}"
    return "no NaN or infinity among the values that the graph kept; see gg.detect_anomaly()"
