"""Local response normalisation: each number is divided by what its neighbouring channels show."""

from typing import Any

import numpy as np

from graphgrad.arguments import guarded, size as size_of
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.graph import Recorded
from graphgrad.engine.op import Op, op
from graphgrad.engine.operands import as_floating, shape_of
from graphgrad.engine.plan import HALF
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ShapeError
from graphgrad.typing import Array


def _neighbours(x: Array, before: int, after: int) -> Array:
    """Add up channels c − before to c + after: so many additions of whole arrays."""
    out = x.copy()
    count = x.shape[1]
    for i in range(1, min(before, count - 1) + 1):
        out[:, i:] += x[:, :-i]
    for i in range(1, min(after, count - 1) + 1):
        out[:, :-i] += x[:, i:]
    return out


neighbours: Op[Tensor] = op(
    _neighbours,
    lambda g, before, after: neighbours(g, after, before),
    name="neighbours",
    symbol="Σ channels",
    domain=Cases(
        lambda r: call(r(2, 5), 1, 1),
        lambda r: call(r(2, 3, 2), 2, 1),
        lambda r: call(r(1, 2, 1, 2), 0, 5),
        lambda r: call(r(0, 3), 1, 0),
    ),
    doc="The sum over channels c − before … c + after. Gradient: the mirrored sum of g.",
)


def _margins(size: int) -> tuple[int, int]:
    """How many channels a window has before and after its own; an even one has more before."""
    return size // 2, (size - 1) // 2


def _denominator(x: Array, size: int, alpha: float, k: float) -> Array:
    """Return k + α/size Σ x²."""
    return neighbours(x * x, *_margins(size)) * (alpha / size) + k


def _local_response_norm(
    x: Array, size: int, alpha: float, beta: float, k: float
) -> tuple[Array, Array]:
    wide = x.astype(np.float32) if x.dtype == HALF else x
    total = _denominator(wide, size, alpha, k)
    return (wide * total**-beta).astype(x.dtype, copy=False), total


def _local_response_rule(
    g: Array, x: Array, saved: Any, size: int, alpha: float, beta: float, k: float
) -> Array:
    """Take the denominator from the forward; a graph of the gradient needs it as one of x."""
    recorded = isinstance(x, Recorded)
    total = _denominator(x, size, alpha, k) if recorded else saved
    direct = g * total**-beta
    before, after = _margins(size)
    spread = neighbours(direct * x / total, after, before)
    return direct - (2 * alpha * beta / size) * x * spread


_LOCAL_RESPONSE_NORM: Op[Tensor] = op(
    _local_response_norm,
    _local_response_rule,
    name="local_response_norm",
    symbol="LRN",
    domain=Cases(
        lambda r: call(r(2, 5), 3, 0.5, 0.75, 1.0),
        lambda r: call(r(2, 3, 2), 2, 0.9, 0.5, 2.0),
        lambda r: call(r(1, 4, 1, 2), 5, 1.0, 1.0, 1.0),
        lambda r: call(r(1, 3), 1, 0.5, 0.75, 1.0),
        lambda r: call(r(0, 3, 2), 3, 0.5, 0.75, 1.0),
    ),
    doc=(
        "x / (k + α/size Σ x²)^β, Σ over neighbouring channels. Gradient, with D in brackets: "
        "g D^−β − 2αβ/size · x Σ g x D^(−β−1)."
    ),
)


@guarded
def local_response_norm(
    x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divide by the activity of neighbouring channels: x / (k + α/size Σ x²)^β.

    The sum is over ``size`` channels around each, channel c − size//2 the first of them;
    what lies outside counts as 0. This is PyTorch's definition. Krizhevsky, Sutskever and Hinton,
    "ImageNet Classification with Deep Convolutional Neural Networks", 2012, section 3.3, do not
    divide α by the size: their k = 2, n = 5, α = 10⁻⁴, β = 0.75 is
    ``local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2)``.

    Parameters
    ----------
    x
        (N, C, …).
    size
        How many channels the sum is over, at least 1.
    alpha, beta, k
        As in the formula.

    Raises
    ------
    ArgumentError
        If size is below 1.
    ShapeError
        If x has fewer than two axes.
    DtypeError
        If x is not floating.
    """
    as_floating("local_response_norm", x)
    size = size_of("local_response_norm", "size", size)
    if len(shape_of(x)) < 2:
        message = f"local_response_norm: x {shape_of(x)}, size {size}; x must be (N, C, …)"
        raise ShapeError(message)
    return _LOCAL_RESPONSE_NORM(x, size, alpha, beta, k)
