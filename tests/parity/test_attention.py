"""Attention against PyTorch: masks of every kind, weights, gradients, in float64."""

import warnings
from typing import Any

import numpy as np
import pytest

from graphgrad import nn
from tests.parity.compare import agree, agree_as_modules

torch = pytest.importorskip("torch")
attend: Any = nn.functional.scaled_dot_product_attention
N, L, S, E, HEADS = 2, 3, 4, 6, 2
RNG = np.random.default_rng(0)
BOOL = np.array([[0, 1, 0, 0], [0, 0, 1, 1], [0, 1, 1, 0]], bool)  # leaves each query a key
FLOAT = RNG.standard_normal((L, S))
PER_HEAD = RNG.random((N * HEADS, L, S)) < 0.3
PADDING = np.array([[False, False, False, True], [False, True, False, False]])


@pytest.mark.parametrize("masked", ["", "bool", "float", "causal", "nothing seen"])
def test_scaled_dot_product_attention(masked: str) -> None:
    nothing_seen = ~BOOL & (np.arange(L) != 1)[:, None]
    mask: Any = {"bool": ~BOOL, "float": FLOAT, "nothing seen": nothing_seen}.get(masked)
    causal = masked == "causal"
    their_mask = None if mask is None else torch.tensor(mask)
    their_attend = torch.nn.functional.scaled_dot_product_attention
    agree(
        lambda *xs: attend(*xs, mask, is_causal=causal),
        lambda *ts: their_attend(*ts, their_mask, is_causal=causal),
        *(RNG.standard_normal((N, HEADS, n, E)) for n in (L, S, S)),
        order=1,
    )


def with_options(options: dict[str, Any]) -> Any:
    """Call either module; PyTorch's wants tensors as masks."""

    def call(net: Any, *xs: Any) -> Any:
        given = options
        if isinstance(net, torch.nn.Module):
            given = {
                n: torch.tensor(v) if isinstance(v, np.ndarray) else v for n, v in options.items()
            }
        with warnings.catch_warnings():  # PyTorch's own, about mixed masks
            warnings.simplefilter("ignore")
            return net(*xs, **given)

    return call


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "bool": {"attn_mask": BOOL},
    "float": {"attn_mask": FLOAT},
    "each head": {"attn_mask": PER_HEAD},
    "padding": {"key_padding_mask": PADDING},
    "padding of floats": {"key_padding_mask": np.where(PADDING, -1.5, 0.5)},
    "both": {"key_padding_mask": PADDING, "attn_mask": BOOL},
    "bool padding, float mask": {"key_padding_mask": PADDING, "attn_mask": FLOAT},
    "heads apart": {"average_attn_weights": False},
    "no weights": {"need_weights": False, "attn_mask": BOOL},
}


def pair(batch_first: bool) -> tuple[Any, Any]:
    ours = nn.MultiheadAttention(E, HEADS, batch_first=batch_first, dtype=float)
    ours.load_state_dict({n: RNG.standard_normal(a.shape) for n, a in ours.state_dict().items()})
    return ours, torch.nn.MultiheadAttention(E, HEADS, batch_first=batch_first).double()


@pytest.mark.parametrize("inputs", [1, 2, 3])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_multihead_attention(case: str, batch_first: bool, inputs: int) -> None:
    options = dict(CASES[case])
    keys = S
    if inputs == 1:
        keys = L
        options = {n: v[..., :L] if isinstance(v, np.ndarray) else v for n, v in options.items()}
    shapes = [(N, n, E) if batch_first else (n, N, E) for n in (L, keys, keys)]
    call = with_options(options)
    agree_as_modules(
        *pair(batch_first),
        [RNG.standard_normal(shape) for shape in shapes[:inputs]],
        lambda net, *xs: call(net, *xs, *[xs[-1]] * (3 - inputs)),
    )


def test_one_sequence() -> None:
    options = {"key_padding_mask": PADDING[0], "attn_mask": BOOL, "average_attn_weights": False}
    call = with_options(options)
    arrays = [RNG.standard_normal((n, E)) for n in (L, S)]
    agree_as_modules(*pair(batch_first=False), arrays, lambda net, x, m: call(net, x, m, m))


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("mask", ["", "bool", "padding"])
def test_transformer_encoder(norm_first: bool, activation: str, mask: str) -> None:
    """Two layers and a norm, in training without dropout."""
    common: dict[str, Any] = {"dropout": 0.0, "activation": activation, "norm_first": norm_first}
    common["batch_first"] = True
    layer = nn.TransformerEncoderLayer(E, HEADS, 7, **common, dtype=float)
    ours = nn.TransformerEncoder(layer, 2, nn.LayerNorm(E, dtype=float))
    for p in ours.parameters():  # biases of 0 would hide mistakes
        p.data = RNG.normal(0, 0.5, p.shape)
    peer = torch.nn.TransformerEncoderLayer(E, HEADS, 7, **common)
    norm = torch.nn.LayerNorm(E)
    theirs = torch.nn.TransformerEncoder(peer, 2, norm, enable_nested_tensor=False).double()
    masks = {"bool": {"mask": BOOL[:, :L]}, "padding": {"src_key_padding_mask": PADDING[:, :L]}}
    call = with_options(masks.get(mask, {}))
    agree_as_modules(ours, theirs, [RNG.standard_normal((N, L, E))], call)
