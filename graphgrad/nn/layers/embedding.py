"""Vectors for numbered things: words, letters, positions."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from graphgrad.arguments import CALLED, Size, guarded
from graphgrad.engine.operands import as_plain
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError, ShapeError
from graphgrad.nn.functional.embeddings import embedding
from graphgrad.nn.layers.function_layers import Layer, computes
from graphgrad.nn.modules.module import Parameter
from graphgrad.randomness import default_generator


@computes(embedding)
class Embedding(Layer):
    """A table of learned vectors, looked up by number: ``nn.functional.embedding``.

    ``weight`` is (num_embeddings, embedding_dim), drawn from N(0, 1); the row ``padding_idx``
    is zeros and is never learned.
    """

    @guarded
    def __init__(
        self,
        num_embeddings: Size,
        embedding_dim: Size,
        padding_idx: int | None = None,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        num_embeddings, embedding_dim = int(num_embeddings), int(embedding_dim)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            message = f"{CALLED}: padding_idx {padding_idx} is none of {num_embeddings} rows"
            raise ArgumentError(message)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = None if padding_idx is None else int(padding_idx) % num_embeddings
        draw = default_generator(rng).standard_normal((num_embeddings, embedding_dim))
        if self.padding_idx is not None:
            draw[self.padding_idx] = 0
        self.weight = Parameter(draw.astype(dtype))

    @classmethod
    def from_pretrained(
        cls, embeddings: ArrayLike, freeze: bool = True, padding_idx: int | None = None
    ) -> "Embedding":
        """Make the table from given vectors, (num_embeddings, embedding_dim)."""
        table = as_plain("Embedding.from_pretrained", embeddings, "embeddings")
        if table.ndim != 2 or table.dtype.kind != "f":
            message = f"Embedding.from_pretrained: {table.shape} {table.dtype}; give floats (V, D)"
            raise ShapeError(message)
        rows, size = table.shape
        made = cls(rows, size, padding_idx, rng=np.random.default_rng(0))
        made.weight = Parameter(table, requires_grad=not freeze)
        return made

    def forward(self, index: Any) -> Tensor:
        """Return the vectors of the numbers."""
        return embedding(index, self.weight, self.padding_idx)
