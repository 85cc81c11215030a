"""What a recomputed call overwrites is overwritten once, as by a plain call."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from tests.builders import leaf

F = nn.functional


class Counting(nn.Module):
    def __init__(self) -> None:
        self.count = nn.Buffer(np.zeros((), np.int64))
        self.mean = nn.Buffer(np.zeros(3))
        self.largest = nn.Buffer(np.zeros(3), name="largest")  # a name gives it a node

    def forward(self, x: Any) -> Any:
        values = x.detach() if isinstance(x, gg.Tensor) else gg.Tensor(x)
        self.count.data = self.count.data + 1
        self.mean[...] = 0.9 * self.mean + 0.1 * values.mean(0)
        self.largest.data = np.maximum(self.largest.data, values.numpy().max(0))
        return x * 2


MODULES: dict[str, Callable[[], nn.Module]] = {
    "batch norm": lambda: nn.BatchNorm1d(3),
    "averaged batch norm": lambda: nn.BatchNorm1d(3, momentum=None),
    "own": Counting,
    "several": lambda: nn.Sequential(nn.BatchNorm1d(3), nn.ReLU(), Counting()),
}


def trained(module: nn.Module, how: str) -> tuple[dict[str, Any], Any]:
    x = leaf(np.random.default_rng(0).standard_normal((5, 3)))
    for _ in range(2):
        if how == "plain":
            y = module(x)
        elif how == "recompute":
            y = gg.recompute(module, x)
        elif how == "closure":
            y = gg.recompute(lambda: module(x))
        else:
            y = gg.recompute(lambda t: gg.recompute(module, t) * 1.0, x)
        (y * y).sum().backward()
    return module.state_dict(), x.grad


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("how", ["recompute", "closure", "nested"])
def test_state_moves_once(name: str, how: str) -> None:
    expected, gradient = trained(MODULES[name](), "plain")
    state, found = trained(MODULES[name](), how)
    np.testing.assert_allclose(found, gradient, rtol=1e-12)
    assert state.keys() == expected.keys()
    for key, array in expected.items():
        np.testing.assert_array_equal(state[key], array, err_msg=key)


def test_plain_arrays_of_running_statistics_move_once() -> None:
    def statistics(*, recomputed: bool) -> tuple[Any, Any]:
        mean, var = np.zeros(3), np.ones(3)
        x = leaf(np.random.default_rng(0).standard_normal((5, 3)))

        def norm(t: Any) -> Any:
            return F.batch_norm(t, mean, var, training=True)

        y = gg.recompute(norm, x) if recomputed else norm(x)
        (y * y * y).sum().backward()
        return mean, var

    for ours, plain in zip(statistics(recomputed=True), statistics(recomputed=False), strict=True):
        np.testing.assert_array_equal(ours, plain)


def test_what_the_call_made_for_itself_is_not_kept() -> None:
    made: list[weakref.ref[Any]] = []

    def f(t: Any) -> Any:
        room = gg.Tensor(np.zeros(3))
        room[0] = 1.0
        made.append(weakref.ref(room))
        return t * room

    x = leaf(np.ones(3))
    y = gg.recompute(f, x)
    gc.collect()
    assert made[0]() is None
    y.sum().backward()
    assert x.grad.tolist() == [1, 0, 0]


def test_drawing_does_not_compute_again_for_a_formula() -> None:
    runs: list[Any] = []

    def f(x: Any) -> Any:
        runs.append(x)
        return gg.sin(x) * 0.248857

    x = leaf(0.25, name="x")
    y = gg.recompute(f, x)
    y.backward()
    before = len(runs)
    text = gg.graph(y).to_json()
    assert len(runs) == before
    assert "0.2488" not in text.replace('"elements"', "")
