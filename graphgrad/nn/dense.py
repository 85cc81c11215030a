"""The fully connected layer."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from graphgrad.arguments import counts, guarded
from graphgrad.engine.operands import as_plain
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ShapeError
from graphgrad.nn.functional.projections import affine
from graphgrad.nn.init import uniform_parameter
from graphgrad.nn.module import Module, Parameter
from graphgrad.randomness import default_generator


class Affine(Module):
    """A fully connected layer, y = x Wᵀ + b; ``Linear`` is the same class.

    ``weight`` is (outputs, inputs), as PyTorch stores it; the W of Saito's book is
    ``weight.T``, which :meth:`from_matrix` takes. Both start uniform in ±1/√inputs.

    Shapes: x (…, inputs), any batch shape; the output (…, outputs).

    Parameters
    ----------
    in_features, out_features
        Numbers of inputs and outputs, above 0.
    bias
        Whether b is there.
    rng
        None is the package's default generator.
    dtype
        Of the parameters.

    Raises
    ------
    ArgumentError
        If a number is not above 0.
    ShapeError
        If an input has another last axis than ``in_features``.
    """

    bias: Parameter | None

    @guarded
    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        """Draw the initial values."""
        in_features, out_features = counts(
            "Affine", in_features=in_features, out_features=out_features
        )
        self.in_features = in_features
        self.out_features = out_features
        rng = default_generator(rng)
        bound = 1 / math.sqrt(in_features)
        self.weight = uniform_parameter((out_features, in_features), bound, rng=rng, dtype=dtype)
        self.bias = None
        if bias:
            self.bias = uniform_parameter((out_features,), bound, rng=rng, dtype=dtype)

    @classmethod
    def from_matrix(cls, W: ArrayLike, b: ArrayLike | None = None) -> "Affine":
        """Make the layer y = x W + b from Saito's W, (inputs, outputs), and b, (outputs,)."""
        matrix = as_plain("Affine.from_matrix", W, "W")
        if matrix.ndim != 2 or (b is not None and np.shape(b) != matrix.shape[1:]):
            message = (
                f"Affine.from_matrix: W {matrix.shape}, b {np.shape(b) if b is not None else None}"
                f"; W is (inputs, outputs) and b (outputs,)"
            )
            raise ShapeError(message)
        if matrix.dtype.kind != "f":
            matrix = matrix.astype(float)
        inputs, outputs = matrix.shape
        layer = cls(inputs, outputs, bias=b is not None, rng=np.random.default_rng(0))
        layer.weight = Parameter(np.ascontiguousarray(matrix.T))
        if b is not None:
            layer.bias = Parameter(as_plain("Affine.from_matrix", b, "b").astype(matrix.dtype))
        return layer

    def forward(self, x: Any) -> Tensor:
        """Return x Wᵀ + b."""
        return affine(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Return the arguments."""
        without = "" if self.bias is not None else ", bias=False"
        return f"{self.in_features}, {self.out_features}{without}"

    def multiply_adds(self, inputs: tuple[Any, ...], output: Any) -> int:  # noqa: ARG002
        """Count outputs · inputs for each sample."""
        return int(math.prod(output) * self.in_features)


Linear = Affine
