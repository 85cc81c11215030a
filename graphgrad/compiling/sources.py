"""Where the inputs of a program are read, at each call."""

from collections.abc import Sequence
from typing import Any

from graphgrad.compiling.reach import Place
from graphgrad.engine.graph import array_of, node_of


class Leaf:
    """A leaf of the arguments."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, leaves: Sequence[Any]) -> Any:
        """Read it."""
        return leaves[self.number]


class At:
    """What stands in a place that the function closes over."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def __call__(self, _: Sequence[Any]) -> Any:
        """Read it."""
        return self.place.read()


class Known:
    """An object that is always the same."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self, _: Sequence[Any]) -> Any:
        """Return it."""
        return self.value


class ArrayOf:
    """The array of a tensor."""

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor

    def __call__(self, leaves: Sequence[Any]) -> Any:
        """Read it."""
        return array_of(self.tensor(leaves))


class GradOf:
    """The gradient of a tensor."""

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor

    def __call__(self, leaves: Sequence[Any]) -> Any:
        """Read it; None if there is none."""
        node = node_of(self.tensor(leaves))
        return None if node is None else node.grad
