"""Dropout: what is dropped and how often, the same mask for the gradient; and flattening."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import ArgumentError, GraphError, ShapeError
from graphgrad.nn.functional.dropouts import kept
from tests.builders import Refusals, refuses, seeded

F = nn.functional


class Evenly:
    """A stand-in for a generator that gives every byte, and every number, equally often."""

    def integers(self, _low: int, _high: int, count: int, *_: object, **__: object) -> Any:
        return np.resize(np.arange(256, dtype=np.uint8), 8 * count).view(np.uint64)

    def random(self, count: int) -> Any:
        return (np.arange(count) + 0.5) / count


@pytest.mark.parametrize("p", [0.3, 0.5, 0.001, 1 / 256, 0.999, 0.25])
def test_the_probability_is_exact(p: float) -> None:
    """A byte alone would round p to 1/256; here a thousand of each byte share it exactly."""
    mask = kept((256, 1000), p, Evenly())  # type: ignore[arg-type]
    assert mask.dtype == bool
    assert np.sum(~mask) == round(p * 256_000)


@pytest.mark.parametrize("p", [0.3, 0.5, 0.002])
def test_as_many_are_dropped_as_chance_allows(p: float) -> None:
    count = 200_003  # not a multiple of eight
    dropped = count - np.count_nonzero(kept((count,), p, seeded()))
    assert abs(dropped - p * count) < 4 * np.sqrt(count * p * (1 - p))


def test_what_is_kept_is_divided_and_the_gradient_goes_the_same_way() -> None:
    x = gg.Tensor(seeded().uniform(1, 2, (50, 40)), requires_grad=True)
    y = F.dropout(x, 0.4, rng=seeded(1))
    dropped = y.numpy() == 0
    assert 0.3 < dropped.mean() < 0.5
    np.testing.assert_array_equal(y.numpy(), np.where(dropped, 0, x.numpy() / 0.6))
    upstream = seeded(2).uniform(1, 2, x.shape)
    y.backward(upstream)
    np.testing.assert_array_equal(x.grad, np.where(dropped, 0, upstream / 0.6))


@pytest.mark.parametrize("function", [F.dropout, F.vanilla_dropout, F.dropout2d])
def test_p_of_0_and_of_1_are_exact(function: Callable[..., Any]) -> None:
    x = gg.Tensor(np.full((2, 2, 2, 2), np.inf), requires_grad=True)
    for p, value in ((0, np.inf), (1, 0)):
        y = function(x, p, rng=seeded())
        np.testing.assert_array_equal(y.numpy(), np.full(x.shape, value))
        x.grad = None
        y.sum().backward()
        np.testing.assert_array_equal(x.grad, np.full(x.shape, 1 - p))


@pytest.mark.parametrize("function", [F.dropout, F.dropout2d])
def test_evaluation_leaves_everything_alone(function: Callable[..., Any]) -> None:
    x, rng = gg.Tensor(np.ones((1, 2, 3, 3)), requires_grad=True), seeded()
    before = rng.bit_generator.state
    assert function(x, 0.5, training=False, rng=rng) is x
    assert rng.bit_generator.state == before, "nothing was drawn"


@pytest.mark.parametrize("function", [F.dropout, F.vanilla_dropout, F.dropout2d])
def test_a_float64_probability_does_not_widen_float32(function: Callable[..., Any]) -> None:
    x = np.ones((2, 2, 2, 2), np.float32)
    for given in (x, gg.Tensor(x, requires_grad=True)):
        for training in (True, False):
            assert function(given, np.float64(0.3), training, rng=seeded()).dtype == np.float32


def test_whole_channels_are_dropped_each_image_its_own() -> None:
    x = np.ones((8, 6, 3, 2), np.float32)
    y = F.dropout2d(x, 0.5, rng=seeded())
    sums = np.asarray(y).sum(axis=(2, 3))
    assert set(np.unique(sums)) == {0, 12}
    assert len(np.unique(sums, axis=0)) > 1


def test_the_books_dropout_scales_in_use_instead() -> None:
    """With one mask the two forms differ by 1 − p, in training and in use."""
    x = gg.Tensor(seeded().uniform(1, 2, (20, 20)), requires_grad=True)
    vanilla = F.vanilla_dropout(x, 0.2, rng=seeded(1))
    inverted = F.dropout(x, 0.2, rng=seeded(1))
    np.testing.assert_allclose(vanilla.numpy(), inverted.numpy() * 0.8)
    used = F.vanilla_dropout(x, 0.2, training=False)
    np.testing.assert_allclose(used.numpy(), x.numpy() * 0.8)


def test_a_node_keeps_a_byte_for_each_element() -> None:
    x = gg.Tensor(np.ones((100, 100), np.float32), requires_grad=True)
    node: Any = F.dropout(x, 0.5, rng=seeded())._node
    assert sum(np.asarray(v).nbytes for v in node.values) <= x.size + 8


def test_the_default_generator_is_seeded_by_manual_seed() -> None:
    gg.manual_seed(3)
    first = nn.Dropout(0.5)(np.ones(100))
    second = nn.Dropout(0.5)(np.ones(100))
    gg.manual_seed(3)
    np.testing.assert_array_equal(nn.Dropout(0.5)(np.ones(100)), first)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("of_its_own", [True, False], ids=["own generator", "default generator"])
def test_a_recomputed_call_drops_the_same_again(of_its_own: bool) -> None:
    x = seeded().uniform(1, 2, (4, 5))

    def gradients(*, recomputed: bool) -> list[Any]:
        gg.manual_seed(1)
        rng = seeded(2) if of_its_own else None
        net = nn.Sequential(
            nn.DropConnect(5, 6, 0.3, rng=seeded(4), dtype=np.float64), nn.Dropout(0.5, rng=rng)
        )
        net[0].rng = rng
        t = gg.Tensor(x, requires_grad=True)
        rngs = (rng,) if rng else ()
        y = gg.recompute(net, t, rngs=rngs) if recomputed else net(t)
        after = y * nn.Dropout(0.5, rng=rng)(np.ones(y.shape))  # drawn in between
        after.sum().backward()
        return [t.grad, *(p.grad for p in net.parameters())]

    for a, b in zip(gradients(recomputed=True), gradients(recomputed=False), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_recomputed_call_whose_generator_was_not_given_says_so() -> None:
    t, layer = gg.Tensor(np.ones(100), requires_grad=True), nn.Dropout(0.5, rng=seeded())
    y = gg.recompute(layer, t)
    with pytest.raises(GraphError, match="rngs="):
        y.sum().backward()


def test_drop_connect_drops_weights() -> None:
    layer = nn.DropConnect(30, 40, 0.25, rng=seeded(), dtype=np.float64)
    bias = layer.state_dict()["bias"]
    x = seeded(1).uniform(1, 2, (3, 30))
    plain = x @ layer.weight.numpy().T + bias
    np.testing.assert_allclose(layer.eval()(x).numpy(), plain, rtol=1e-12)
    layer.train()
    state = layer.rng.bit_generator.state  # type: ignore[union-attr]
    y = layer(x)
    layer.rng.bit_generator.state = state  # type: ignore[union-attr]
    rng: Any = layer.rng
    mask = kept((40, 30), 0.25, rng)
    expected = x @ (layer.weight.numpy() * mask / 0.75).T + bias
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12)
    y.sum().backward()
    np.testing.assert_allclose(layer.weight.grad, mask / 0.75 * x.sum(axis=0), rtol=1e-12)


@pytest.mark.parametrize(
    ("axes", "shape"),
    [((), (2, 60)), ((0,), (120,)), ((1, 2), (2, 12, 5)), ((-2, -1), (2, 3, 20)), ((2, 2), None)],
)
def test_flatten(axes: tuple[int, ...], shape: tuple[int, ...] | None) -> None:
    x = np.arange(120.0).reshape(2, 3, 4, 5)
    np.testing.assert_array_equal(nn.Flatten(*axes)(x), x.reshape(shape or x.shape))


FLAT = np.zeros((2, 3, 4))
REFUSED: Refusals = {
    ArgumentError: {
        r"dropout: p = -0\.1 must be from 0 to 1": lambda: F.dropout(FLAT, -0.1),
        r"\(2, 3, 4\) is not \(N, C, H, W\)": lambda: nn.Dropout2d()(FLAT),
    },
    ShapeError: {
        r"flatten: x \(2, 3, 4\) has no axes 1 to 0": lambda: nn.Flatten(1, 0)(FLAT),
    },
}
test_what_does_not_fit_is_refused = refuses(REFUSED)
