"""Which modules a large graph closes by itself: the networks of the case studies, and odd ones."""

from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.nn import models
from graphgrad.viz import Graph
from graphgrad.viz.views.view import COLLAPSE_ABOVE, LAYOUT_LIMIT, MIN_VISIBLE

SMALL: dict[str, Any] = {
    "alexnet": lambda: models.alexnet(10, width=1 / 16),
    "vgg16": lambda: models.vgg16(10, width=1 / 32),
    "googlenet": lambda: models.googlenet(10, width=1 / 8),
    "resnet18": lambda: models.resnet18(10, width=1 / 16),
    "resnet50": lambda: models.resnet50(10, width=1 / 16),
}
CLOSED_FROM = {"googlenet": 3, "resnet50": 2}  # the others are small enough


def images(size: int) -> Any:
    return np.random.default_rng(0).normal(size=(1, 3, size, size)).astype(np.float32)


def check(graph: Graph, level: int | None, most: int = COLLAPSE_ABOVE) -> int:
    """What is closed, and that the level is the right one; return how much is visible."""
    seen = graph.view()
    if level is None:
        assert seen.note is None
        assert not any(node.modules for node in seen.nodes)
    else:
        assert seen.note is not None
        assert seen.note.startswith(f"modules are closed from depth {level} on")
        assert seen.size == graph.view(collapse=level).size <= most
        assert graph.view(collapse=level + 1).size > COLLAPSE_ABOVE
    return seen.size


@pytest.mark.parametrize("name", SMALL)
def test_networks_of_the_case_studies(name: str) -> None:
    def result(x: Any) -> Any:
        out = net(x)
        return (out[0] if isinstance(out, tuple) else out).sum()

    net = SMALL[name]()
    graph = gg.graph(result, images(64 if "resnet" in name else 224))
    assert check(graph, CLOSED_FROM.get(name)) >= MIN_VISIBLE


def test_the_gradient_of_a_network_is_closed_as_it_is() -> None:
    net = SMALL["resnet18"]()
    graph = gg.graph(lambda x: gg.gradients(net(x).sum(), x, create_graph=True).sum(), images(64))
    check(graph, 3)
    kinds = {node.modules[0].kind for node in graph.view().nodes if node.modules}
    assert {"Conv2d", "∂ of BasicBlock"} <= kinds


class Chain(nn.Module):
    """Linear layers of sizes that keep them from being one box."""

    def __init__(self, count: int) -> None:
        rng = np.random.default_rng(0)
        self.layers = [nn.Affine(2 + i % 7, 2 + (i + 1) % 7, rng=rng) for i in range(count)]

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = gg.tanh(layer(x))
        return x.sum()


@pytest.mark.parametrize("loss", [None, nn.MSELoss()])
@pytest.mark.parametrize(("count", "level"), [(20, None), (70, 1), (100, 1), (300, 0)])
def test_the_outermost_module_stays_open_while_it_can_be_drawn(
    loss: Any, count: int, level: int | None
) -> None:
    """With more than 150 values in it, up to 500; closed, it would show next to nothing."""
    net = Chain(count)

    def result(x: Any) -> Any:
        return net(x) if loss is None else loss(net(x), np.zeros((), np.float32))

    check(gg.graph(result, np.ones((1, 2), np.float32)), level, LAYOUT_LIMIT)


def test_the_outermost_groups_are_closed_where_enough_is_left() -> None:
    """Of a gradient the way forward, which lies in no module, is still to be seen."""

    def deep(x: Any) -> Any:
        for _ in range(40):
            x = gg.sin(x) * x
        return x

    graph = gg.graph(gg.grad(deep), 1.0)
    assert COLLAPSE_ABOVE < graph.view(collapse=1).size < LAYOUT_LIMIT
    assert check(graph, 0) >= MIN_VISIBLE
    (box,) = [node for node in graph.view().nodes if node.modules]
    assert box.modules[0].kind == "∂ backward"


def test_ops_in_no_module_within_stay_open_while_they_can_be_drawn() -> None:
    class Flat(nn.Module):
        def __init__(self, count: int) -> None:
            self.count = count

        def forward(self, x: Any) -> Any:
            for _ in range(self.count):
                x = gg.tanh(x)
            return x

    assert check(gg.graph(Flat(300), 1.0), None) > COLLAPSE_ABOVE
    assert check(gg.graph(Flat(600), 1.0), 0) < MIN_VISIBLE
