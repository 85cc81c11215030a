"""Timeline: when each op of a graph is computed and differentiated, the same in every view."""

from collections.abc import Sequence
from functools import cached_property

from graphgrad.viz.snapshots.snapshot import OpStep


class Timeline:
    """The index of each op in the order of the whole graph, computed on first use."""

    def __init__(self, steps: Sequence[OpStep]) -> None:
        self._steps = steps

    @cached_property
    def forward(self) -> dict[int, int]:
        """By op: when it is computed."""
        ids = (step.id for step in self._steps if step.direction == "forward")
        return {i: time for time, i in enumerate(ids)}

    @property
    def seed(self) -> int:
        """When the backward pass starts."""
        return len(self.forward)

    @cached_property
    def backward(self) -> dict[int, int]:
        """By op: when its rules run; without ops that take no part in differentiation."""
        ids = (step.id for step in self._steps if step.direction == "backward")
        return {i: time for time, i in enumerate(ids, self.seed + 1)}
