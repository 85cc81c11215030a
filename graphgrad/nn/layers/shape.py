"""Modules that change shapes."""

import math

from graphgrad.arguments import whole
from graphgrad.engine.operands import as_array
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ShapeError
from graphgrad.nn.layers.function_layers import FunctionLayer, layer_of
from graphgrad.typing import Array


def flatten(x: Array, start_dim: int = 1, end_dim: int = -1) -> Tensor:
    """Make one axis of several: (N, C, H, W) becomes (N, C · H · W), a view where memory allows.

    Parameters
    ----------
    x
        (…, d_start, …, d_end, …); the output is (…, d_start · … · d_end, …).
    start_dim, end_dim
        The first and the last of the axes, counted from the end if negative.

    Raises
    ------
    ShapeError
        If x does not have these axes, in this order.
    """
    start_dim = whole("flatten", "start_dim", start_dim)
    end_dim = whole("flatten", "end_dim", end_dim)
    x = as_array(x)
    shape = x.shape
    first, last = (i + len(shape) if i < 0 else i for i in (start_dim, end_dim))
    if not 0 <= first <= last < len(shape):
        raise ShapeError(f"flatten: x {shape} has no axes {start_dim} to {end_dim}")
    middle = math.prod(shape[first : last + 1])
    flat: Tensor = x.reshape((*shape[:first], middle, *shape[last + 1 :]))
    return flat


@layer_of(flatten)
class Flatten(FunctionLayer):
    """Makes one axis of several: what stands between convolutions and a ``Linear``."""

    start_dim: int = 1
    end_dim: int = -1

    def __post_init__(self) -> None:
        """Check that the axes are whole numbers."""
        self.start_dim = whole("Flatten", "start_dim", self.start_dim)
        self.end_dim = whole("Flatten", "end_dim", self.end_dim)
