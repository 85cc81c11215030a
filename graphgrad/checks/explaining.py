"""Explaining a gradient: the contribution of each use of a value."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from graphgrad.arguments import guarded
from graphgrad.engine.accumulate import Scatter, scatter_add
from graphgrad.engine.graph import Node, node_of
from graphgrad.engine.recording import Observer, observing
from graphgrad.engine.sweep import Sweep
from graphgrad.engine.tensor import Tensor
from graphgrad.engine.variables import ones, pull
from graphgrad.errors import GraphError, ShapeError
from graphgrad.typing import Array


@dataclass(frozen=True)
class Use:
    """One use of a value, with its contribution to the gradient."""

    op: str
    line: str  # of the user's code, as file.py:18
    contribution: Array


@dataclass(frozen=True)
class Explanation:
    """The uses of a value, in the order of the forward pass; they sum to its gradient."""

    name: str
    uses: tuple[Use, ...]
    gradient: Array

    def __iter__(self) -> Iterator[Use]:
        """Iterate over the uses."""
        return iter(self.uses)

    def __len__(self) -> int:
        """Return the number of uses."""
        return len(self.uses)

    def __str__(self) -> str:
        """One row per use, those of one op and line together, and the sum."""
        rows = []
        for (op, line), uses in itertools.groupby(self.uses, lambda use: (use.op, use.line)):
            group = [use.contribution for use in uses]
            times = f" × {len(group)}" if len(group) > 1 else ""
            rows.append((op + times, line, _shown(np.sum(group, axis=0))))
        rows.append(("total", "", _shown(self.gradient)))
        left, right = (max(len(row[k]) for row in rows) for k in (0, 1))
        lines = [f"{op.ljust(left)}  {line.ljust(right)}  {text}" for op, line, text in rows]
        count = "1 use" if len(self) == 1 else f"{len(self) or 'no'} uses"
        return "\n".join([f"gradient of {self.name} {np.shape(self.gradient)}: {count}", *lines])

    __repr__ = __str__


def _shown(array: Array) -> str:
    if np.size(array) <= 6:
        return " ".join(np.array2string(np.asarray(array), precision=4).split())
    norm = float(np.linalg.norm(np.ravel(array)))
    return f"norm {norm:.4g}, largest {float(np.max(np.abs(array))):.4g}"


class _Uses(Observer):
    """Collects the contributions to one node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.found: list[tuple[int, Use]] = []
        self.first = True

    def sweeping(self, sweep: Sweep) -> Observer | None:  # noqa: ARG002
        """Observe the first sweep; those inside it, of `recompute`, are parts of one use."""
        first, self.first = self.first, False
        return self if first else None

    def sent(self, node: Node, position: int, contribution: Array, g: Array) -> None:  # noqa: ARG002
        """Collect a contribution to the node."""
        if node.parents[position] is not self.node:
            return
        array = np.zeros(self.node.shape, self.node.dtype)
        if contribution.__class__ is Scatter:
            scatter_add(array, contribution.index, contribution.values)
        else:
            array += contribution
        op = node.plan.op.name
        self.found.append((node.serial, Use(op, node.line, array)))


@guarded
def explain_grad(loss: Tensor, x: Tensor) -> Explanation:
    """Return the contribution of each use of a tensor to its gradient, with its source line.

    The gradient of a value that is used several times is the sum of what all its uses send
    back. Nothing is changed: the graph stays, and so does every ``.grad``::

        >>> import graphgrad as gg, numpy as np
        >>> w = gg.Tensor([1.0, 2.0], requires_grad=True)
        >>> loss = np.sum(w * 3) + 0.5 * np.sum(w * w)
        >>> len(gg.explain_grad(loss, w))
        3

    Parameters
    ----------
    loss
        One number that was computed from x.
    x
        A leaf, or any tensor on the way to the loss.

    Returns
    -------
    The uses, each with its op, its line and its ``contribution``, and their sum, ``gradient``.
    It prints as a table. An op that takes x twice is two uses.

    Raises
    ------
    ShapeError
        If the loss is not one number.
    GraphError
        If the loss was not computed from x, or its graph is freed.
    """
    if loss.size != 1:
        raise ShapeError(f"explain_grad: the loss has shape {loss.shape}, not one number; sum it")
    node = node_of(x)
    if node is None or not node.needs or not loss.requires_grad:
        which = "the loss" if not loss.requires_grad else "x"
        raise GraphError(f"explain_grad: {which} requires no gradient; nothing was recorded")
    uses = _Uses(node)
    with observing(uses):
        (gradient,), _ = pull([loss], [ones(loss)], [x], graph=False)
    if not uses.found and node_of(loss) is not node:
        raise GraphError("explain_grad: the loss was not computed from x")
    found = tuple(use for _, use in sorted(uses.found, key=lambda pair: pair[0]))
    return Explanation(x.name or "the tensor", found, np.asarray(gradient))
