"""Normalisation: equal to its composition, exact statistics, running statistics, bad input."""

from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.engine.trees import flatten
from graphgrad.errors import ArgumentError, DtypeError, ShapeError
from graphgrad.nn.functional import batch_norm, group_norm, layer_norm, local_response_norm
from graphgrad.nn.kernels import moments
from tests.builders import Refusals, refuses
from tests.equality import assert_equals_composition


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


def normalised(x: Any, axes: Any, eps: float) -> Any:
    mean = gg.mean(x, axis=axes, keepdims=True)
    variance = gg.mean((x - mean) ** 2, axis=axes, keepdims=True)
    return (x - mean) / gg.sqrt(variance + eps)


def by_channel(v: Any, ndim: int) -> Any:
    return v.reshape(-1, *(1,) * (ndim - 2))


@pytest.fixture(params=[(1 << 17, 32), (7, 2), (2, 10**6)], ids=["whole", "blocks", "tiny blocks"])
def _blocks(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut even small arrays into blocks, and sum in both ways."""
    block, long = request.param
    monkeypatch.setattr(moments, "BLOCK", block)
    monkeypatch.setattr(moments, "_LONG", long)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize(
    ("kind", "shape", "how"),
    [
        *(("batch", s, None) for s in ((3, 2), (2, 3, 2), (3, 2, 1, 3), (2, 2, 2, 2), (5, 1))),
        *(("layer", s, n) for s, n in (((3, 4), 1), ((5,), 1), ((2, 3, 2), 2), ((2, 3, 2), 1))),
        *(("group", s, n) for s, n in (((2, 4), 2), ((2, 4, 3), 2), ((1, 3, 2, 2), 3))),
    ],
)
def test_is_its_composition(kind: str, shape: tuple[int, ...], how: Any) -> None:
    ndim, last = len(shape), shape[-how:] if kind == "layer" else ()

    def fused(x: Any, w: Any = None, b: Any = None) -> Any:
        if kind == "batch":
            return batch_norm(x, weight=w, bias=b, training=True, eps=0.1)
        return layer_norm(x, last, w, b, 0.1) if last else group_norm(x, how, w, b, 0.1)

    def plain(x: Any) -> Any:
        if kind == "group":
            return normalised(x.reshape(shape[0], how, -1), -1, 0.1).reshape(shape)
        axes = tuple(range(ndim - how, ndim)) if last else (0, *range(2, ndim))
        return normalised(x, axes, 0.1)

    def composed(x: Any, w: Any, b: Any) -> Any:
        return plain(x) * w + b if last else plain(x) * by_channel(w, ndim) + by_channel(b, ndim)

    lengths = last or shape[1:2]
    weights = normal(*lengths, seed=1), normal(*lengths, seed=2)
    assert_equals_composition(fused, composed, normal(*shape), *weights)
    assert_equals_composition(fused, plain, normal(*shape))


@pytest.mark.parametrize("size", [1, 3, 4, 9])
def test_local_response_norm_is_its_composition(size: int) -> None:
    """The sum over neighbours is a product with a band of ones."""
    offset = np.arange(6)[None, :] - np.arange(6)[:, None]
    band = ((offset >= -(size // 2)) & (offset <= (size - 1) // 2)).astype(float)
    assert_equals_composition(
        lambda x: local_response_norm(x, size, 0.9, 0.6, 2.0),
        lambda x: x / (2.0 + 0.9 / size * gg.einsum("ij,njl->nil", band, x * x)) ** 0.6,
        normal(2, 6, 2),
    )


CALLS: dict[str, Any] = {
    "batch": lambda x, w, b: batch_norm(x, weight=w, bias=b, training=True, eps=0.1),
    "layer": lambda x, w, b: layer_norm(x, 2, w, b, eps=0.1),
    "group": lambda x, w, b: group_norm(x, 1, w, b, eps=0.1),
}


def in_double(call: Any, x: Any, g: Any) -> list[Any]:
    t = gg.Tensor(np.float64(x), requires_grad=True)
    y = call(t)
    y.backward(np.float64(g))
    return [y.numpy(), t.grad]


@pytest.mark.parametrize(
    "call",
    [
        lambda x: batch_norm(x, training=True),
        lambda x: group_norm(x, 2),
        lambda x: layer_norm(x, (4, 5, 50)),
    ],
    ids=["batch", "group", "layer"],
)
def test_a_large_mean_costs_no_digits(call: Any) -> None:
    """With mean 10⁴ and deviation 10⁻², E[x²] − E[x]² would have no right digit in float32."""
    x = np.float32(1e4 + 1e-2 * normal(8, 4, 5, 50))
    g = np.float32(normal(*x.shape, seed=1))
    y, slope = in_double(call, x, g)
    t = gg.Tensor(x, requires_grad=True)
    found = call(t)
    (recorded,) = gg.gradients((found * g).sum(), [t], create_graph=True)
    found.backward(g)
    assert found.dtype == t.grad.dtype == np.float32
    np.testing.assert_allclose(found.numpy(), y, rtol=0, atol=2e-6 * np.abs(y).max())
    for grad in (t.grad, recorded.numpy()):
        np.testing.assert_allclose(grad, slope, rtol=0, atol=2e-6 * np.abs(slope).max())


@pytest.mark.parametrize("name", CALLS)
def test_a_constant_input_has_finite_gradients(name: str) -> None:
    """Its variance is 0: the output is the bias, and ε keeps the slope finite."""
    x = gg.Tensor(np.full((4, 2), 3.0), requires_grad=True)
    w, b = (gg.Tensor(v, requires_grad=True) for v in ([2.0, 3.0], [1.0, 1.0]))
    y = CALLS[name](x, w, b)
    np.testing.assert_array_equal(y.numpy(), np.ones(y.shape))
    (y**3).sum().backward()
    for t in (x, w, b):
        assert np.isfinite(t.grad).all()
    np.testing.assert_array_equal(w.grad, 0)


def test_a_node_keeps_its_input_and_two_numbers_per_channel() -> None:
    """Nothing of the size of x but x itself, which is shared."""
    x = gg.Tensor(np.float32(normal(50, 4, 5, 5)), requires_grad=True)
    w = gg.Tensor(np.ones(4, np.float32), requires_grad=True)
    node = batch_norm(x, weight=w, training=True)._node
    assert node is not None
    arrays = [v for v in flatten(node.values)[0] if isinstance(v, np.ndarray)]
    assert any(v is x._array for v in arrays)
    assert sum(v.nbytes for v in arrays) <= x.data.nbytes + 200


def test_without_momentum_they_are_plain_averages() -> None:
    layer = nn.BatchNorm2d(2, momentum=None, dtype=np.float64)
    batches = [normal(3, 2, 2, 2, seed=s) for s in range(4)]
    for x in batches:
        layer(x)
    state = layer.state_dict()
    means = np.mean([x.mean(axis=(0, 2, 3)) for x in batches], axis=0)
    variances = np.mean([x.var(axis=(0, 2, 3), ddof=1) for x in batches], axis=0)
    np.testing.assert_allclose(state["running_mean"], means, rtol=1e-12)
    np.testing.assert_allclose(state["running_var"], variances, rtol=1e-12)


def test_a_graph_from_evaluation_keeps_the_statistics_of_its_time() -> None:
    layer = nn.BatchNorm1d(3, dtype=np.float64).eval()
    x = gg.Tensor(normal(4, 3), requires_grad=True)
    y = layer(x).sum()
    layer.train()(5 + normal(4, 3, seed=1))
    y.backward()
    np.testing.assert_allclose(x.grad, 1 / np.sqrt(1 + 1e-5), rtol=1e-12)


def test_without_tracking_evaluation_uses_the_batch() -> None:
    layer = nn.BatchNorm1d(3, track_running_stats=False, dtype=np.float64)
    x = normal(8, 3)
    expected = layer(x).numpy()
    np.testing.assert_array_equal(layer.eval()(x).numpy(), expected)
    assert not list(layer.buffers())


@pytest.mark.parametrize("bad", [(1, 3), (4, 2), (4, 3, 2, 2), (3,)])
def test_an_error_leaves_the_statistics_alone(bad: tuple[int, ...]) -> None:
    layer = nn.BatchNorm1d(3, dtype=np.float64)
    layer(normal(8, 3))
    state = layer.state_dict()
    with pytest.raises(ShapeError, match=r"test_normalization\.py:\d+"):
        layer(normal(*bad))
    np.testing.assert_equal(layer.state_dict(), state)


X = normal(4, 6)
REFUSED: Refusals = {
    ShapeError: {
        r"batch_norm: x \(1, 6\) has 1 value\(s\) per channel; .* batch, or eval\(\)": lambda: (
            batch_norm(X[:1], training=True)
        ),
        r"x \(6,\); it must be \(N, C\)": lambda: batch_norm(X[0]),
        "must both be given, or in training neither": lambda: batch_norm(
            X, np.zeros(6), training=True
        ),
        r"running_mean \(5,\); x \(4, 6\) needs \(6,\)": lambda: batch_norm(
            X, np.zeros(5), np.ones(6)
        ),
        r"batch_norm: weight \(5,\); x \(4, 6\) needs \(6,\)": lambda: batch_norm(
            X, weight=np.ones(5), training=True
        ),
        r"layer_norm: x \(4, 6\) does not end in normalized_shape \(4,\)": lambda: layer_norm(
            X, (4,)
        ),
        r"group_norm: x \(4, 6\), num_groups 4; .* C a multiple of num_groups": lambda: group_norm(
            X, 4
        ),
        r"BatchNorm2d\(6\): x \(4, 6\); it must be \(N, C, H, W\) with C = 6": lambda: (
            nn.BatchNorm2d(6)(X)
        ),
        r"GroupNorm\(2, 4\): x \(4, 6\); it must be \(N, C, …\) with C = 4": lambda: nn.GroupNorm(
            2, 4
        )(X),
    },
    DtypeError: {
        r"batch_norm: x is int64; use \.astype": lambda: batch_norm(X.astype(int)),
        "running_mean must be a floating array or tensor": lambda: batch_norm(
            X, [0.0] * 6, [1.0] * 6
        ),
    },
    ArgumentError: {
        "GroupNorm: num_channels = 6 must": lambda: nn.GroupNorm(4, 6),
    },
}
test_what_does_not_fit_is_refused = refuses(REFUSED)
