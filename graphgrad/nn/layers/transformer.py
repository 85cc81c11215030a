"""Transformer encoders: attention and a small network, layer upon layer."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import CALLED, DEEPEST, Fraction, Size, function, guarded, whole
from graphgrad.engine.operands import as_array
from graphgrad.engine.recording import tracers
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError, ShapeError
from graphgrad.nn.functional.attention import sinusoidal_positions
from graphgrad.nn.functional.dropouts import dropout
from graphgrad.nn.functional.linear_units import gelu
from graphgrad.nn.layers.attention import MultiheadAttention
from graphgrad.nn.layers.function_layers import Layer, computes
from graphgrad.nn.layers.linear import Linear
from graphgrad.nn.layers.normalization import LayerNorm
from graphgrad.nn.modules.containers import ModuleList
from graphgrad.nn.modules.module import Module
from graphgrad.ops.piecewise import relu
from graphgrad.typing import Array

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"relu": relu, "gelu": gelu}


class TransformerEncoderLayer(Module):
    """Self-attention, then the same two-layer network at every place, each added to its input.

    As in the paper, and with ``norm_first`` (which trains more easily)::

        x = norm1(x + dropout(self_attn(x)))          x = x + dropout(self_attn(norm1(x)))
        x = norm2(x + dropout(network(x)))            x = x + dropout(network(norm2(x)))

    with network(x) = linear2(dropout(φ(linear1(x)))). Vaswani et al., "Attention Is All You
    Need", 2017, figure 1 and section 3.3; norm_first: Xiong et al., "On Layer Normalization in
    the Transformer Architecture", 2020.

    Shapes: src (S, N, E), or (N, S, E) if batch_first, or (S, E) for one sequence; the output
    alike. Initial values are those of :class:`MultiheadAttention`, :class:`Linear` and
    :class:`LayerNorm`.

    Parameters
    ----------
    d_model, nhead
        E, and the number of heads, which divides it.
    dim_feedforward
        The size inside the network.
    dropout
        The share that training sets to 0: of attention weights, and of what is added.
    activation
        φ: "relu", "gelu", or any function.
    layer_norm_eps
        What the normalisations add to the variance.
    batch_first
        Whether N is the first axis.
    norm_first
        Whether to normalise what goes into each part rather than the sums.
    bias
        Whether there are biases.
    rng
        None is the package's default generator.
    dtype
        Of the parameters.

    Raises
    ------
    ArgumentError
        If ``nhead`` does not divide ``d_model``, or the activation is unknown.
    ShapeError
        If an input or a mask does not fit.
    """

    @guarded
    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Any], Any] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if not isinstance(activation, str):
            function(CALLED, "activation", activation)
        elif activation not in ACTIVATIONS:
            message = (
                f"{CALLED}: activation {activation!r}; there are "
                f"{', '.join(ACTIVATIONS)}, or give a function"
            )
            raise ArgumentError(message)
        self.activation = activation
        self.dropout = dropout
        self.norm_first = norm_first
        self.rng = rng
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first, rng=rng, dtype=dtype
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, rng=rng, dtype=dtype)
        self.linear2 = Linear(dim_feedforward, d_model, bias, rng=rng, dtype=dtype)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)

    def forward(
        self,
        src: Any,
        src_mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Return the encoded sequence; the masks are those of :class:`MultiheadAttention`."""
        masks = (src_mask, src_key_padding_mask, is_causal)
        x: Tensor = as_array(src, type(self).__name__)
        if self.norm_first:
            x = x + self.attend(self.norm1(x), *masks)
            return x + self.transform(self.norm2(x))
        x = self.norm1(x + self.attend(x, *masks))
        return self.norm2(x + self.transform(x))

    def attend(self, x: Array, mask: Array, padding: Any, is_causal: bool) -> Tensor:
        """Let each place look at the others."""
        out, _ = self.self_attn(
            x,
            x,
            x,
            attn_mask=mask,
            key_padding_mask=padding,
            need_weights=False,
            is_causal=is_causal,
        )
        return self._dropout(out)

    def transform(self, x: Array) -> Tensor:
        """Apply the network at every place."""
        chosen = self.activation
        phi = ACTIVATIONS[chosen] if isinstance(chosen, str) else chosen
        return self._dropout(self.linear2(self._dropout(phi(self.linear1(x)))))

    def _dropout(self, x: Array) -> Tensor:
        return dropout(x, self.dropout, self.training, rng=self.rng)

    def extra_repr(self) -> str:
        """Return what the modules below do not tell."""
        name = self.activation if isinstance(self.activation, str) else self.activation.__name__
        order = ", norm_first=True" if self.norm_first else ""
        return f"activation={name!r}, dropout={self.dropout}{order}"


class TransformerEncoder(Module):
    """Several layers of one kind, one on top of the other.

    The layers are copies of the given one and so start with equal weights, as in PyTorch; give
    ``layers`` other values for another start. Their generator is shared, not copied.

    Shapes: as the layer.

    Parameters
    ----------
    encoder_layer
        The layer that is copied; itself it is not used.
    num_layers
        How many copies, above 0.
    norm
        A module for the output, such as LayerNorm; advisable behind layers with ``norm_first``.
    """

    @guarded
    def __init__(
        self, encoder_layer: TransformerEncoderLayer, num_layers: int, norm: Module | None = None
    ) -> None:
        whole(CALLED, "num_layers", num_layers, 1, DEEPEST)
        generators = [vars(m).get("rng") for m in encoder_layer.modules()]
        shared = {id(rng): rng for rng in generators}
        self.layers = ModuleList(
            [copy.deepcopy(encoder_layer, dict(shared)) for _ in range(num_layers)]
        )
        self.norm = norm

    def forward(
        self,
        src: Any,
        mask: Array = None,
        src_key_padding_mask: Any = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Return the encoded sequence; the masks are those of :class:`MultiheadAttention`."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, is_causal)
        return src if self.norm is None else self.norm(src)


@computes(sinusoidal_positions)
class PositionalEncoding(Layer):
    """Add ``nn.functional.sinusoidal_positions`` to a sequence, for attention does not see order.

    x is (S, N, E), or (N, S, E) if batch_first, or (S, E), with E = ``d_model``; the output alike.
    ``dropout`` is the share of the sums that training sets to 0.
    """

    @guarded
    def __init__(
        self,
        d_model: Size,
        dropout: Fraction = 0.0,
        batch_first: bool = False,
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.d_model = d_model
        self.dropout = dropout
        self.batch_first = batch_first
        self.rng = rng
        self._waves = sinusoidal_positions(0, d_model)  # of the longest sequence so far

    def _places(self, length: int, dtype: Any) -> Array:
        waves = self._waves
        if len(waves) < length or waves.dtype != dtype:
            waves = sinusoidal_positions(length, self.d_model, dtype)
            if not tracers:  # a compiled program has them as a constant
                self._waves = waves
        return waves[:length]

    def forward(self, x: Array) -> Tensor:
        """Return x and its waves."""
        x = as_array(x)
        if x.ndim not in (2, 3) or x.shape[-1] != self.d_model:
            layout = "(N, S, E)" if self.batch_first else "(S, N, E)"
            message = (
                f"PositionalEncoding: x {x.shape} must be {layout}, or (S, E) for one sequence, "
                f"with E = {self.d_model}"
            )
            raise ShapeError(message)
        places = -2 if self.batch_first else 0
        waves = self._places(x.shape[places], x.dtype)
        if x.ndim == 3 and not self.batch_first:
            waves = waves[:, None]
        return dropout(x + waves, self.dropout, self.training, rng=self.rng)
