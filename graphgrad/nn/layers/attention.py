"""Attention with several heads."""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import counts, guarded, share
from graphgrad.engine.operands import as_array, unwrapped
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError, DtypeError, ShapeError
from graphgrad.nn.functional.attention import attention_weights
from graphgrad.nn.functional.matrix_products import linear
from graphgrad.nn.init import uniform_parameter
from graphgrad.nn.layers.function_layers import Layer
from graphgrad.nn.layers.linear import Linear
from graphgrad.nn.modules.module import Parameter
from graphgrad.randomness import default_generator
from graphgrad.typing import Array


class MultiheadAttention(Layer):
    """Attention in several subspaces at once, h of them, each of size E / h.

    Queries, keys and values are projected by the three parts of ``in_proj_weight`` (3E, E) and
    ``in_proj_bias`` (3E,); each head takes its share of the columns and computes
    softmax(q kᵀ / √(E / h)) v; ``out_proj`` mixes what the heads found. Vaswani et al.,
    "Attention Is All You Need", 2017, section 3.2.2.

    ``in_proj_weight`` starts uniform in ±√(6 / 4E) (Xavier), ``out_proj.weight`` in ±1/√E, the
    biases at 0.

    Shapes: query (L, N, E), key and value (S, N, E); (N, L, E) and (N, S, E) if batch_first;
    without N for one sequence. Returns an output like the query, and the weights: (N, L, S), the
    mean over the heads, or (N, h, L, S), or None.

    Parameters
    ----------
    embed_dim, num_heads
        E and h; h divides E.
    dropout
        The share of weights that training sets to 0.
    bias
        Whether the projections have biases.
    batch_first
        Whether N comes before L and S.
    rng
        None is the package's default generator.
    dtype
        Of the parameters.

    Raises
    ------
    ArgumentError
        If h does not divide E.
    ShapeError
        If an input or a mask does not fit.
    DtypeError
        If a mask is neither bool nor floating.
    """

    @guarded
    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        batch_first: bool = False,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        embed_dim, num_heads = counts(
            "MultiheadAttention", embed_dim=embed_dim, num_heads=num_heads
        )
        if embed_dim % num_heads:
            message = f"MultiheadAttention: embed_dim {embed_dim} must be a multiple of num_heads"
            raise ArgumentError(f"{message} {num_heads}")
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.dropout = share("MultiheadAttention", "dropout", dropout)
        self.bias = bias
        self.batch_first = batch_first
        self.rng = rng
        bound, shape = math.sqrt(6 / (4 * embed_dim)), (3 * embed_dim, embed_dim)
        drawn = default_generator(rng)
        self.in_proj_weight = uniform_parameter(shape, bound, rng=drawn, dtype=dtype)
        self.in_proj_bias = Parameter(np.zeros(3 * embed_dim, dtype)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, rng=rng, dtype=dtype)
        if self.out_proj.bias is not None:
            self.out_proj.bias = Parameter(np.zeros(embed_dim, dtype))

    def forward(
        self,
        query: Array,
        key: Array,
        value: Array,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Array = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Any]:
        """Return the output and the weights.

        Parameters
        ----------
        query, key, value
            See the class. The same object for all three is self-attention.
        key_padding_mask
            (N, S), or (S,) for one sequence: True where a key is ignored; floats are added
            to the scores.
        need_weights
            Whether to return the weights (those after dropout), rather than None.
        attn_mask
            (L, S) or (N·h, L, S): True where a query must not see a key; floats are added to the
            scores. A query that sees no key at all has weights 0.
        average_attn_weights
            Whether the returned weights are the mean over the heads.
        is_causal
            Let no query see a key behind its own place, whatever ``attn_mask`` says.
        """
        query, key, value = self._checked(query, key, value)
        alone = query.ndim == 2
        q, k, v = self._projected(query, key, value, alone)
        mask = self._mask(q, k, key_padding_mask, attn_mask)
        p = self.dropout if self.training else 0.0
        out: Any
        weights: Any
        out, weights = attention_weights(q, k, v, mask, p, is_causal, rng=self.rng)
        # (N, h, L, E / h) back to the order of the query
        out = np.transpose(out, (0, 2, 1, 3) if self.batch_first or alone else (2, 0, 1, 3))
        out = self.out_proj(np.reshape(out, query.shape))
        if not need_weights:
            return out, None
        if average_attn_weights:
            weights = np.mean(weights, axis=1)
        return out, weights[0] if alone else weights

    def _projected(self, query: Array, key: Array, value: Array, alone: bool) -> tuple[Array, ...]:
        """Return queries, keys and values of every head, (N, h, length, E / h)."""
        size = self.embed_dim
        if query is key and key is value:
            groups = [(query, 0, 3)]
        elif key is value:
            groups = [(query, 0, 1), (key, 1, 3)]
        else:
            groups = [(query, 0, 1), (key, 1, 2), (value, 2, 3)]
        heads: list[Any] = []
        for x, first, last in groups:
            rows = slice(first * size, last * size)
            weight: Any = self.in_proj_weight
            bias: Any = self.in_proj_bias
            if len(groups) > 1:
                weight, bias = weight[rows], None if bias is None else bias[rows]
            z: Any = linear(x, weight, bias)
            lengths = (1, *z.shape[:1]) if alone else z.shape[:2]
            z = np.reshape(z, (*lengths, last - first, self.num_heads, size // self.num_heads))
            z = np.transpose(z, (2, 0, 3, 1, 4) if self.batch_first or alone else (2, 1, 3, 0, 4))
            heads += [z[i] for i in range(last - first)]
        return tuple(heads)

    def _checked(self, query: Array, key: Array, value: Array) -> tuple[Array, ...]:
        """Return the inputs as arrays or Tensors; those that are one object stay one."""
        arrays: dict[int, Any] = {}
        for x in (query, key, value):
            arrays[id(x)] = as_array(x)
        q, k, v = (arrays[id(x)] for x in (query, key, value))
        length, batch = (1, 0) if self.batch_first else (0, 1)
        fits = (
            {q.ndim, k.ndim, v.ndim} in ({2}, {3})
            and {q.shape[-1], k.shape[-1], v.shape[-1]} == {self.embed_dim}
            and k.shape == v.shape
            and (q.ndim == 2 or q.shape[batch] == k.shape[batch])
        )
        if not fits:
            layout = "(N, L, E) and (N, S, E)" if length else "(L, N, E) and (S, N, E)"
            message = (
                f"MultiheadAttention: query {q.shape}, key {k.shape}, value {v.shape} must be "
                f"{layout}, or without N, with E = {self.embed_dim}"
            )
            raise ShapeError(message)
        return q, k, v

    def _mask(self, q: Array, k: Any, padding: Any, mask: Array) -> Array:
        """Join the masks: bool, True where a key takes part, or floats to add to the scores."""
        (n, heads, length), size = q.shape[:3], k.shape[2]
        if mask is not None:
            shapes: dict[tuple[int, ...], tuple[int, ...]] = {
                (length, size): (length, size),
                (n * heads, length, size): (n, heads, length, size),
            }
            mask = _fitted("attn_mask", mask, shapes)
        if padding is not None:
            shapes = {(n, size): (n, 1, 1, size)}
            if n == 1:
                shapes[size,] = (1, 1, 1, size)
            padding = _fitted("key_padding_mask", padding, shapes)
        masks = [m for m in (mask, padding) if m is not None]
        if not masks:
            return None
        if all(m.dtype == bool for m in masks):
            hidden = masks[0] if len(masks) == 1 else masks[0] | masks[1]
            return np.logical_not(hidden)
        added = [np.where(m, -np.inf, 0.0) if m.dtype == bool else m for m in masks]
        return added[0] if len(added) == 1 else added[0] + added[1]

    def multiply_adds(self, inputs: tuple[Array, ...], output: Array) -> int:  # noqa: ARG002
        """Count the projections of the inputs, the scores and the means; ``out_proj`` does its."""
        query, key = inputs[0], inputs[1]
        keys = math.prod(key[:-1])
        along = 1 if self.batch_first and len(query) == 3 else 0
        projections = (math.prod(query[:-1]) + 2 * keys) * self.embed_dim**2
        return int(projections + 2 * query[along] * keys * self.embed_dim)


def _fitted(name: str, mask: Array, shapes: dict[tuple[int, ...], tuple[int, ...]]) -> Array:
    """Give a mask the shape that goes with its own, or refuse it."""
    mask = as_array(mask, "MultiheadAttention")
    if mask.dtype.kind not in "bf":
        message = f"MultiheadAttention: {name} is {mask.dtype}; give bool (True: ignore) or floats"
        raise DtypeError(message)
    if mask.shape not in shapes:
        allowed = " or ".join(map(str, shapes))
        message = f"MultiheadAttention: {name} {mask.shape} must be {allowed}"
        raise ShapeError(message)
    return np.reshape(unwrapped(mask) if mask.dtype == bool else mask, shapes[mask.shape])
