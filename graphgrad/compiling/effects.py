"""What programs change outside of themselves."""

from collections.abc import Sequence
from typing import Any

from graphgrad.compiling.program import Function
from graphgrad.engine.graph import node_of


def set_grads(tensors: Sequence[Any], grads: Sequence[Any]) -> None:
    """Set ``.grad`` of tensors to arrays that nothing else uses."""
    for tensor, grad in zip(tensors, grads, strict=True):
        node: Any = node_of(tensor)  # there is one, for the tensor needs a gradient
        node.grad = grad


SET_GRADS = Function(set_grads, "name", "set_grads", __name__)
