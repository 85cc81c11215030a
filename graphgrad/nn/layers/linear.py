"""The fully connected layer."""

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from graphgrad.arguments import counts, guarded
from graphgrad.engine.operands import as_plain
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ShapeError
from graphgrad.nn.functional.matrix_products import linear
from graphgrad.nn.layers.function_layers import WeightedLayer, computes
from graphgrad.nn.modules.module import Parameter
from graphgrad.typing import Array


@computes(linear)
class Linear(WeightedLayer):
    """A fully connected layer, y = x Wᵀ + b: ``nn.functional.linear``.

    ``weight`` is (out_features, in_features), as PyTorch stores it, and ``bias`` (out_features,);
    both start uniform in ±1/√in_features. The W of Saito's book is ``weight.T``, which
    :meth:`from_matrix` takes. `Affine`, its name in that book, is the same class.
    """

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
        in_features, out_features = counts(
            "Linear", in_features=in_features, out_features=out_features
        )
        self.in_features = in_features
        self.out_features = out_features
        shape = (out_features, in_features)
        self._draw(shape, (out_features,) if bias else None, in_features, rng, dtype)

    @classmethod
    def from_matrix(cls, W: ArrayLike, b: ArrayLike | None = None) -> "Linear":
        """Make the layer y = x W + b from Saito's W, (inputs, outputs), and b, (outputs,)."""
        matrix = as_plain("Linear.from_matrix", W, "W")
        if matrix.ndim != 2 or (b is not None and np.shape(b) != matrix.shape[1:]):
            message = (
                f"Linear.from_matrix: W {matrix.shape}, b {np.shape(b) if b is not None else None}"
                "; W is (inputs, outputs) and b (outputs,)"
            )
            raise ShapeError(message)
        if matrix.dtype.kind != "f":
            matrix = matrix.astype(float)
        inputs, outputs = matrix.shape
        layer = cls(inputs, outputs, bias=b is not None, rng=np.random.default_rng(0))
        layer.weight = Parameter(np.ascontiguousarray(matrix.T))
        if b is not None:
            layer.bias = Parameter(as_plain("Linear.from_matrix", b, "b").astype(matrix.dtype))
        return layer

    def forward(self, x: Array) -> Tensor:
        """Return x Wᵀ + b."""
        return linear(x, self.weight, self.bias)


Affine = Linear
