"""Attention and transformers: equal to their small steps, masks, and what they refuse."""

from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import ArgumentError, DtypeError, ShapeError
from tests.builders import Refusals, assert_refused, every_refusal
from tests.equality import assert_equals_composition

F = nn.functional
attend: Any = F.scaled_dot_product_attention
attend_with_weights: Any = F.attention_weights
RNG = np.random.default_rng(0)
L, S, E = 3, 4, 2
MASK = np.array([[1, 0, 1, 1], [0, 1, 0, 0], [1, 1, 1, 0]], bool)


def by_definition(q: Any, k: Any, v: Any, mask: Any = None, /) -> Any:
    """Write the equation down, one small op after the other."""
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    if mask is not None:
        scores = gg.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    e = np.exp(scores - scores.numpy().max(axis=-1, keepdims=True))
    weights = e / e.sum(axis=-1, keepdims=True)
    return weights @ v, weights


def qkv(*batch: int) -> list[Any]:
    return [RNG.uniform(-2, 2, (*batch, n, E)) for n in (L, S, S)]


@pytest.mark.parametrize("mask", [None, MASK, np.stack((MASK, ~MASK | MASK[:, ::-1]))])
def test_attention_equals_small_steps_to_second_order(mask: Any) -> None:
    assert_equals_composition(
        lambda *x: attend_with_weights(*x, mask),
        lambda q, k, v: by_definition(q, k, v, mask),
        *qkv(2),
    )
    assert_equals_composition(
        lambda *x: attend(*x, mask), lambda q, k, v: by_definition(q, k, v, mask)[0], *qkv(2)
    )


def test_a_floating_mask_is_differentiated_also_where_it_is_broadcast() -> None:
    assert_equals_composition(
        attend,
        lambda q, k, v, m: by_definition(q, k, v, m)[0],
        *qkv(2),
        RNG.standard_normal((L, S)),
    )


def test_axes_before_the_last_two_broadcast() -> None:
    q, k, v = RNG.standard_normal((2, 1, L, E)), *qkv(3)[1:]
    assert_equals_composition(attend, lambda *x: by_definition(*x)[0], q, k, v)


def test_causal_is_a_mask_and_joins_others() -> None:
    q, k, v = qkv()
    ahead = F.causal_mask(L, S)
    np.testing.assert_array_equal(ahead, [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]])
    np.testing.assert_array_equal(attend(q, k, v, is_causal=True), attend(q, k, v, ahead))
    np.testing.assert_array_equal(
        attend(q, k, v, MASK, is_causal=True), attend(q, k, v, MASK & ahead)
    )
    added = np.where(MASK, 0.0, -np.inf)
    np.testing.assert_array_equal(
        attend(q, k, v, added, is_causal=True), attend(q, k, v, MASK & ahead)
    )


def test_a_later_key_has_no_influence_on_a_causal_query() -> None:
    q, k, v = qkv()
    jacobian = gg.jacobian(lambda k: attend(q, k, v, is_causal=True), argnums=0)(k)
    for query in range(L):
        assert np.any(jacobian[query, :, : query + 1]) == (query > 0)  # one key: weight 1
        assert not np.any(jacobian[query, :, query + 1 :])


@pytest.mark.parametrize("bool_mask", [True, False])
def test_a_query_that_sees_no_key_has_output_and_gradient_zero(bool_mask: bool) -> None:
    seen = np.array([[False] * S, [True, False, True, True], [True] * S])
    mask = seen if bool_mask else np.where(seen, 0.0, -np.inf)
    xs = [gg.Tensor(x, requires_grad=True) for x in qkv()]
    out, weights = attend_with_weights(*xs, mask)
    np.testing.assert_array_equal(out.numpy()[0], 0)
    np.testing.assert_array_equal(weights.numpy()[0], 0)
    first = gg.gradients((out * out).sum(), xs, create_graph=True)
    np.testing.assert_array_equal(first[0].numpy()[0], 0)
    slope: Any = sum((g * g).sum() for g in first)
    for g in (*first, *gg.gradients(slope, xs)):
        assert np.isfinite(np.asarray(g.numpy() if isinstance(g, gg.Tensor) else g)).all()


def test_scores_of_thousands_stay_exact() -> None:
    q = np.array([[3000.0], [-3000.0]])
    out, weights = attend_with_weights(q, np.array([[1.0], [0.0]]), np.eye(2), scale=1.0)
    np.testing.assert_array_equal(weights, [[1, 0], [0, 1]])
    np.testing.assert_array_equal(out, [[1, 0], [0, 1]])


def test_dropout_scales_what_is_left_and_is_differentiated_as_it_was_drawn() -> None:
    q, k, v = qkv()

    def run(*x: Any) -> Any:
        return attend_with_weights(*x, dropout_p=0.5, rng=np.random.default_rng(1))

    weights, kept = by_definition(gg.Tensor(q), k, v)[1].numpy(), run(q, k, v)[1]
    assert np.all((kept == 0) | np.isclose(kept, 2 * weights))
    assert 0 < np.sum(kept == 0) < kept.size
    assert not np.any(attend(q, k, v, dropout_p=1.0)), "zeros, where 1 / (1 − p) is infinite"
    assert_equals_composition(
        lambda *x: run(*x)[0],
        lambda *x: (by_definition(*x)[1] * (2.0 * (kept > 0))) @ x[2],
        q,
        k,
        v,
    )


def test_a_float64_mask_does_not_widen_float32() -> None:
    q, k, v = (x.astype(np.float32) for x in qkv())
    out = attend(q, k, v, np.zeros((L, S)))
    assert out.dtype == np.float32


# --------------------------------------------------------------------------------- several heads


def attention(**options: Any) -> Any:
    return nn.MultiheadAttention(4, 2, rng=np.random.default_rng(0), dtype=float, **options)


def test_heads_see_their_own_columns() -> None:
    """By hand: project, cut into heads, attend, put side by side, project."""
    net = attention(batch_first=True)
    net.in_proj_bias.data += RNG.standard_normal(12)
    x, m = RNG.standard_normal((2, L, 4)), RNG.standard_normal((2, S, 4))
    w, b = np.split(net.in_proj_weight.data, 3), np.split(net.in_proj_bias.data, 3)
    q, k, v = (z @ w[i].T + b[i] for i, z in enumerate((x, m, m)))
    parts = [
        by_definition(gg.Tensor(q[..., c]), k[..., c], v[..., c])
        for c in (slice(0, 2), slice(2, 4))
    ]
    expected = net.out_proj(np.concatenate([p[0].numpy() for p in parts], axis=2))
    out, weights = net(x, m, m, average_attn_weights=False)
    np.testing.assert_allclose(out.numpy(), expected.numpy(), rtol=1e-12)
    for head in range(2):
        np.testing.assert_allclose(weights.numpy()[:, head], parts[head][1].numpy(), rtol=1e-12)
    mean = net(x, m, m)[1]
    np.testing.assert_allclose(mean.numpy(), weights.numpy().mean(axis=1), rtol=1e-12)


def test_self_attention_in_one_product_equals_three() -> None:
    net = attention()
    x = RNG.standard_normal((L, 2, 4))
    np.testing.assert_allclose(net(x, x, x)[0].numpy(), net(x, x.copy(), x.copy())[0].numpy())


def test_masks_of_both_kinds_join() -> None:
    net = attention()
    x = RNG.standard_normal((S, 2, 4))
    padding = np.array([[False, False, False, True]] * 2)
    seen_later = ~F.causal_mask(S, S)
    both = net(x, x, x, key_padding_mask=padding, attn_mask=seen_later)[1].numpy()
    np.testing.assert_array_equal(both == 0, (seen_later | padding[0])[None].repeat(2, axis=0))
    floats = np.where(seen_later, -np.inf, 0.0)
    mixed = net(x, x, x, key_padding_mask=padding, attn_mask=floats)[1].numpy()
    np.testing.assert_allclose(mixed, both)
    causal = net(x, x, x, key_padding_mask=padding, is_causal=True)[1].numpy()
    np.testing.assert_allclose(causal, both)


def test_dropout_of_weights_in_training_only() -> None:
    net = attention(dropout=0.5)
    x = RNG.standard_normal((S, 2, 4))
    assert np.any(net(x, x, x)[1].numpy() == 0)
    assert not np.any(net.eval()(x, x, x)[1].numpy() == 0)


def ones(*shape: int, dtype: Any = float) -> Any:
    return np.ones(shape, dtype)


REFUSED: Refusals = {
    ShapeError: {
        "each needs two axes": lambda: attend(ones(3), ones(2, 3), ones(2, 3)),
        r"one size, .* query \(2, 3\), key \(2, 4\)": lambda: attend(
            ones(2, 3), ones(2, 4), ones(2, 4)
        ),
        "a value for each key": lambda: attend(ones(2, 3), ones(2, 3), ones(1, 3)),
        "must be equal or 1": lambda: attend(ones(2, 1, 3), ones(3, 1, 3), ones(3, 1, 3)),
        r"attn_mask \(4, 3\) must broadcast to \(3, 4\)": lambda: attend(
            *qkv(), ones(4, 3, dtype=bool)
        ),
        "E = 4": lambda: attention()(*[ones(3, 2, 5)] * 3),
        r"\(L, N, E\) and \(S, N, E\)": lambda: attention()(ones(3, 2, 4), *[ones(3, 1, 4)] * 2),
        r"attn_mask \(2, 3\) must be \(3, 3\) or \(4, 3, 3\)": lambda: attention()(
            *[ones(3, 2, 4)] * 3, attn_mask=ones(2, 3, dtype=bool)
        ),
        r"key_padding_mask \(3, 2\) must be \(2, 3\)": lambda: attention()(
            *[ones(3, 2, 4)] * 3, key_padding_mask=ones(3, 2, dtype=bool)
        ),
        r"\(3, 5\) .* E = 4": lambda: nn.PositionalEncoding(4)(ones(3, 5)),
        "E = 4.*": lambda: layer()(ones(3, 2, 5)),
    },
    DtypeError: {
        "int64; give bool": lambda: attend(*qkv(), ones(3, 4, dtype=int)),
        r"query is int64; use \.astype": lambda: attend(*[ones(2, 2, dtype=int)] * 3),
        r"attn_mask is int64; give bool \(True: ignore\)": lambda: attention()(
            *[ones(3, 2, 4)] * 3, attn_mask=ones(3, 3, dtype=int)
        ),
    },
    ArgumentError: {
        "dropout_p = 1.5 must": lambda: attend(*qkv(), dropout_p=1.5),
        "5 must be a multiple of num_heads 2": lambda: nn.MultiheadAttention(5, 2),
        "'elu'; there are relu, gelu": lambda: layer(activation="elu"),
        "num_layers = 0 must be at least 1": lambda: nn.TransformerEncoder(layer(), 0),
    },
}


@every_refusal(REFUSED)
def test_what_does_not_fit_is_refused(kind: Any, says: str, call: Any) -> None:
    assert_refused(kind, says, call)


# ----------------------------------------------------------------------------------- positions


def test_waves_of_places() -> None:
    """The first two columns turn fastest; a shift is a rotation of each pair of columns."""
    waves = F.sinusoidal_positions(50, 6, float)
    np.testing.assert_allclose(waves[:, 0], np.sin(np.arange(50)))
    np.testing.assert_allclose(waves[:, 1], np.cos(np.arange(50)))
    np.testing.assert_allclose(waves[:, 4], np.sin(np.arange(50) / 10000 ** (4 / 6)))
    products = waves @ waves.T
    np.testing.assert_allclose(products[0, 7], products[20, 27])
    assert F.sinusoidal_positions(3, 5).shape == (3, 5)


# -------------------------------------------------------------------------------- transformers


def layer(**options: Any) -> Any:
    given: Any = {"dropout": 0.0, "rng": np.random.default_rng(0), "dtype": float, **options}
    return nn.TransformerEncoderLayer(4, 2, 5, **given)


@pytest.mark.parametrize("norm_first", [False, True])
def test_an_encoder_layer_is_its_parts(norm_first: bool) -> None:
    net = layer(norm_first=norm_first, activation=np.tanh)
    x = RNG.standard_normal((S, 2, 4))

    def transform(x: Any) -> Any:
        return net.linear2(np.tanh(net.linear1(x)))

    if norm_first:
        y = net.norm1(x)
        middle = x + net.self_attn(y, y, y)[0]
        expected = middle + transform(net.norm2(middle))
    else:
        middle = net.norm1(x + net.self_attn(x, x, x)[0])
        expected = net.norm2(middle + transform(middle))
    np.testing.assert_allclose(net(x).numpy(), expected.numpy(), rtol=1e-12)


def test_an_encoder_is_its_layers_which_are_copies() -> None:
    net: Any = nn.TransformerEncoder(layer(), 2, nn.LayerNorm(4, dtype=float))
    first, second = net.layers
    np.testing.assert_array_equal(first.linear1.weight.data, second.linear1.weight.data)
    first.linear1.weight.data += 1
    assert np.all(first.linear1.weight.data != second.linear1.weight.data)
    x = RNG.standard_normal((S, 2, 4))
    mask = ~F.causal_mask(S, S)
    padding = np.array([[False] * S, [False, False, True, False]])
    expected = net.norm(second(first(x, mask, padding), mask, padding))
    np.testing.assert_array_equal(net(x, mask, padding).numpy(), expected.numpy())
    causal = net(x, src_key_padding_mask=padding, is_causal=True)
    np.testing.assert_allclose(causal.numpy(), expected.numpy(), rtol=1e-12)


def test_the_layers_of_an_encoder_draw_from_one_generator() -> None:
    """Copies of the generator would drop the same elements in every layer."""
    net: Any = nn.TransformerEncoder(layer(dropout=0.5), 2)
    first, second = net.layers
    assert first.rng is second.rng is first.self_attn.rng
    x = RNG.standard_normal((S, 2, 4))
    assert np.any(first(x).numpy() != second(x).numpy())
    net.eval()
    np.testing.assert_array_equal(first(x).numpy(), second(x).numpy())


def test_places_are_those_of_the_right_axis() -> None:
    waves = F.sinusoidal_positions(3, 4, float)
    x = np.zeros((3, 2, 4))
    by_time, by_batch = nn.PositionalEncoding(4), nn.PositionalEncoding(4, batch_first=True)
    np.testing.assert_array_equal(by_time(x), np.stack((waves, waves), axis=1))
    np.testing.assert_array_equal(by_batch(x[:2, :, :]), [waves[:2]] * 2)
    np.testing.assert_array_equal(by_time(x[:, 0]), waves)
    np.testing.assert_array_equal(by_batch(x[:, 0]), waves)
