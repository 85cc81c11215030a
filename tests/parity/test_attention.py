"""Attention against PyTorch: masks of every kind, weights, gradients, in float64."""

import warnings
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.engine.operands import unwrapped

torch = pytest.importorskip("torch")
attend: Any = nn.functional.scaled_dot_product_attention
N, L, S, E, HEADS = 2, 3, 4, 6, 2
RNG = np.random.default_rng(0)
BOOL = np.array([[0, 1, 0, 0], [0, 0, 1, 1], [0, 1, 1, 0]], bool)  # leaves each query a key
FLOAT = RNG.standard_normal((L, S))
PER_HEAD = RNG.random((N * HEADS, L, S)) < 0.3
PADDING = np.array([[False, False, False, True], [False, True, False, False]])


def assert_close(ours: Any, theirs: Any, tolerance: float, what: str) -> None:
    np.testing.assert_allclose(
        unwrapped(ours), theirs.detach().numpy(), tolerance, tolerance, err_msg=what
    )


@pytest.mark.parametrize("masked", ["", "bool", "float", "causal", "nothing seen"])
def test_scaled_dot_product_attention(masked: str) -> None:
    arrays = [RNG.standard_normal((N, HEADS, n, E)) for n in (L, S, S)]
    mask: Any = {"bool": ~BOOL, "float": FLOAT}.get(masked)
    if masked == "nothing seen":
        mask = ~BOOL & (np.arange(L) != 1)[:, None]
    xs = [gg.Tensor(a, requires_grad=True) for a in arrays]
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    causal = masked == "causal"
    out = attend(*xs, mask, is_causal=causal)
    theirs = torch.nn.functional.scaled_dot_product_attention(
        *ts, None if mask is None else torch.tensor(mask), is_causal=causal
    )
    assert_close(out, theirs, 1e-10, "output")
    upstream = RNG.standard_normal(out.shape)
    out.backward(upstream)
    theirs.backward(torch.tensor(upstream))
    for name, x, t in zip("qkv", xs, ts, strict=True):
        assert_close(x.grad, t.grad, 1e-9, name)


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


@pytest.mark.parametrize("inputs", ["one", "two", "three"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_multihead_attention(case: str, batch_first: bool, inputs: str) -> None:
    options = dict(CASES[case])
    ours = nn.MultiheadAttention(
        E, HEADS, batch_first=batch_first, rng=np.random.default_rng(1), dtype=float
    )
    theirs = torch.nn.MultiheadAttention(E, HEADS, batch_first=batch_first).double()
    state = {n: RNG.standard_normal(a.shape) for n, a in ours.state_dict().items()}
    ours.load_state_dict(state)
    theirs.load_state_dict({n: torch.tensor(a) for n, a in state.items()})
    keys = S
    if inputs == "one":
        keys = L
        options = {n: v[..., :L] if isinstance(v, np.ndarray) else v for n, v in options.items()}
    shapes = [(N, n, E) if batch_first else (n, N, E) for n in (L, keys, keys)]
    count = {"one": 1, "two": 2, "three": 3}[inputs]
    arrays = [RNG.standard_normal(shape) for shape in shapes[:count]]
    xs = [gg.Tensor(a, requires_grad=True) for a in arrays]
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    torch_options = {
        n: torch.tensor(v) if isinstance(v, np.ndarray) else v for n, v in options.items()
    }
    with warnings.catch_warnings():  # PyTorch's own, about mixed masks
        warnings.simplefilter("ignore")
        theirs_out = theirs(*three(ts), **torch_options)
    out = ours(*three(xs), **options)
    upstream: Any = 0
    total, their_total = 0.0, 0.0
    for number, (y, t) in enumerate(zip(out, theirs_out, strict=True)):
        assert (y is None) == (t is None)
        if y is not None:
            assert_close(y, t, 1e-10, f"output {number}")
            upstream = RNG.standard_normal(y.shape)
            total = total + (y * upstream).sum()
            their_total = their_total + (t * torch.tensor(upstream)).sum()
    total.backward()  # type: ignore[attr-defined]
    their_total.backward()  # type: ignore[attr-defined]
    for number, (x, t) in enumerate(zip(xs, ts, strict=True)):
        assert_close(x.grad, t.grad, 1e-9, f"input {number}")
    grads = dict(theirs.named_parameters())
    for name, p in ours.named_parameters():
        assert_close(p.grad, grads[name].grad, 1e-9, name)


def three(xs: list[Any]) -> list[Any]:
    """Query, key and value from one, two or three inputs."""
    return [*xs, *[xs[-1]] * (3 - len(xs))]


def test_one_sequence() -> None:
    ours = nn.MultiheadAttention(E, HEADS, rng=np.random.default_rng(1), dtype=float)
    theirs = torch.nn.MultiheadAttention(E, HEADS).double()
    theirs.load_state_dict({n: torch.tensor(a) for n, a in ours.state_dict().items()})
    x, m = RNG.standard_normal((L, E)), RNG.standard_normal((S, E))
    options = {"key_padding_mask": PADDING[0], "attn_mask": BOOL, "average_attn_weights": False}
    found = ours(x, m, m, **options)
    x, m = torch.tensor(x), torch.tensor(m)
    options = {n: torch.tensor(v) if n != "average_attn_weights" else v for n, v in options.items()}
    for y, t in zip(found, theirs(x, m, m, **options), strict=True):
        assert_close(y, t, 1e-10, "one sequence")


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("mask", ["", "bool", "padding"])
def test_transformer_encoder(norm_first: bool, activation: str, mask: str) -> None:
    """Two layers and a norm, in training without dropout, with PyTorch's own weights."""
    common: dict[str, Any] = {
        "dropout": 0.0,
        "activation": activation,
        "norm_first": norm_first,
        "batch_first": True,
    }
    theirs = torch.nn.TransformerEncoder(
        torch.nn.TransformerEncoderLayer(E, HEADS, 7, **common),
        2,
        torch.nn.LayerNorm(E),
        enable_nested_tensor=False,
    ).double()
    for p in theirs.parameters():  # biases of 0 would hide mistakes
        torch.nn.init.normal_(p, std=0.5)
    layer = nn.TransformerEncoderLayer(E, HEADS, 7, **common, dtype=float)
    ours = nn.TransformerEncoder(layer, 2, nn.LayerNorm(E, dtype=float))
    ours.load_state_dict({n: p.numpy() for n, p in theirs.state_dict().items()})
    x = RNG.standard_normal((N, L, E))
    options: dict[str, Any] = {
        "": {},
        "bool": {"mask": BOOL[:, :L]},
        "padding": {"src_key_padding_mask": PADDING[:, :L]},
    }[mask]
    xs, ts = gg.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    out = ours(xs, **options)
    expected = theirs(ts, **{n: torch.tensor(v) for n, v in options.items()})
    assert_close(out, expected, 1e-10, "output")
    upstream = RNG.standard_normal(out.shape)
    out.backward(upstream)
    expected.backward(torch.tensor(upstream))
    assert_close(xs.grad, ts.grad, 1e-9, "input")
    grads = dict(theirs.named_parameters())
    assert {n for n, _ in ours.named_parameters()} == set(grads)
    for name, p in ours.named_parameters():
        assert_close(p.grad, grads[name].grad, 1e-9, name)
