"""Modules that change shapes."""

import math
from typing import Any

from graphgrad.arguments import guarded, whole
from graphgrad.engine.operands import as_array
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ShapeError
from graphgrad.nn.module import Module


class Flatten(Module):
    """Makes one axis of several: (N, C, H, W) becomes (N, C · H · W).

    Shapes: x (…, d_start, …, d_end, …); the output (…, d_start · … · d_end, …).

    Parameters
    ----------
    start_dim, end_dim
        The first and the last of the axes, counted from the end if negative.

    Raises
    ------
    ShapeError
        If an input does not have these axes, in this order.
    """

    @guarded
    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        """Remember the axes."""
        self.start_dim = whole("Flatten", "start_dim", start_dim)
        self.end_dim = whole("Flatten", "end_dim", end_dim)

    def forward(self, x: Any) -> Tensor:
        """Return x with fewer axes, a view where its memory allows."""
        x = as_array(x)
        shape = x.shape
        first, last = (i + len(shape) if i < 0 else i for i in (self.start_dim, self.end_dim))
        if not 0 <= first <= last < len(shape):
            message = f"{self!r}: x {shape} has no axes {self.start_dim} to {self.end_dim}"
            raise ShapeError(message)
        middle = math.prod(shape[first : last + 1])
        flat: Tensor = x.reshape((*shape[:first], middle, *shape[last + 1 :]))
        return flat

    def extra_repr(self) -> str:
        """Return the arguments."""
        if (self.start_dim, self.end_dim) == (1, -1):
            return ""
        return f"{self.start_dim}, {self.end_dim}"
