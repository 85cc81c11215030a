"""The models beside the same layers in plain PyTorch: from equal weights, equal results."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.nn import models

torch = pytest.importorskip("torch")
t: Any = torch.nn


def convolutions(inputs: int, *stages: tuple[int, ...]) -> list[Any]:
    """List stages of 3×3 convolutions with so many outputs, a pooling after each."""
    layers: list[Any] = []
    for stage in stages:
        for outputs in stage:
            layers += [t.Conv2d(inputs, outputs, 3, padding=1), t.ReLU()]
            inputs = outputs
        layers.append(t.MaxPool2d(2))
    return layers


def five(c: list[Any], *pools: Any, norm: bool) -> list[Any]:
    """List AlexNet's features, convolutions and poolings given."""
    between = [t.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)] if norm else []
    return [
        *(c[0], t.ReLU(), *between, pools[0]),
        *(c[1], t.ReLU(), *between, pools[1]),
        *(c[2], t.ReLU(), c[3], t.ReLU(), c[4], t.ReLU(), pools[2]),
    ]


def head(*units: int, places: int, dropout_first: bool = False) -> list[Any]:
    """List average pooling and three fully connected layers."""
    a, b, c, d = units
    layers = [t.Linear(a * places**2, b), t.ReLU(), t.Linear(b, c), t.ReLU(), t.Linear(c, d)]
    first = [t.Dropout()] if dropout_first else []
    return [t.AdaptiveAvgPool2d(places), t.Flatten(), *first, *layers]


def lenet() -> Any:
    return t.Sequential(
        *(t.Conv2d(1, 6, 5), t.Sigmoid(), t.AvgPool2d(2)),
        *(t.Conv2d(6, 16, 5), t.Sigmoid(), t.AvgPool2d(2), t.Flatten()),
        *(t.Linear(400, 120), t.Sigmoid(), t.Linear(120, 84), t.Sigmoid(), t.Linear(84, 10)),
    )


def simple() -> Any:
    return t.Sequential(
        *(t.Conv2d(2, 30, 5, stride=2, padding=1), t.ReLU(), t.MaxPool2d(2), t.Flatten()),
        *(t.Linear(30 * 3 * 3, 20), t.ReLU(), t.Linear(20, 10)),
    )


def deep() -> Any:
    return t.Sequential(
        *(t.Conv2d(1, 16, 3, padding=1), t.ReLU(), t.Conv2d(16, 16, 3, padding=1), t.ReLU()),
        *(t.MaxPool2d(2), t.Conv2d(16, 32, 3, padding=1), t.ReLU()),
        *(t.Conv2d(32, 32, 3, padding=2), t.ReLU(), t.MaxPool2d(2)),
        *(t.Conv2d(32, 64, 3, padding=1), t.ReLU(), t.Conv2d(64, 64, 3, padding=1), t.ReLU()),
        *(t.MaxPool2d(2), t.Flatten(), t.Linear(1024, 50), t.ReLU(), t.Linear(50, 10)),
    )


def alexnet() -> Any:
    """1/16 of the width."""
    kernels = [
        *(t.Conv2d(3, 4, 11, stride=4, padding=2), t.Conv2d(4, 12, 5, padding=2)),
        *(t.Conv2d(12, 24, 3, padding=1), t.Conv2d(24, 16, 3, padding=1)),
        t.Conv2d(16, 16, 3, padding=1),
    ]
    pools = [t.MaxPool2d(3, 2) for _ in range(3)]
    rest = head(16, 256, 256, 7, places=6, dropout_first=True)
    return t.Sequential(*five(kernels, *pools, norm=False), *rest)


def zfnet() -> Any:
    """1/32 of the width."""
    kernels = [
        *(t.Conv2d(3, 3, 7, stride=2, padding=1), t.Conv2d(3, 8, 5, stride=2)),
        *(t.Conv2d(8, 16, 3, padding=1), t.Conv2d(16, 32, 3, padding=1)),
        t.Conv2d(32, 16, 3, padding=1),
    ]
    pools = [t.MaxPool2d(3, 2, padding=1), t.MaxPool2d(3, 2, padding=1), t.MaxPool2d(3, 2)]
    return t.Sequential(*five(kernels, *pools, norm=True), *head(16, 128, 128, 7, places=6))


def vgg(*counts: int) -> Any:
    """1/32 of the width."""
    widths = (2, 4, 8, 16, 16)
    stages = [(width,) * count for width, count in zip(widths, counts, strict=True)]
    return t.Sequential(*convolutions(3, *stages), *head(16, 128, 128, 7, places=7))


class Twins(NamedTuple):
    ours: Callable[..., nn.Module]
    theirs: Callable[[], Any]
    shape: tuple[int, ...]


TWINS = {
    "LeNet5": Twins(models.LeNet5, lenet, (1, 32, 32)),
    "SimpleConvNet": Twins(
        lambda **how: models.SimpleConvNet((2, 14, 15), stride=2, padding=1, hidden=20, **how),
        simple,
        (2, 14, 15),
    ),
    "DeepConvNet": Twins(models.DeepConvNet, deep, (1, 28, 28)),
    "alexnet": Twins(lambda **how: models.alexnet(7, width=1 / 16, **how), alexnet, (3, 127, 100)),
    "zfnet": Twins(lambda **how: models.zfnet(7, width=1 / 32, **how), zfnet, (3, 90, 110)),
    "vgg11": Twins(
        lambda **how: models.vgg11(7, width=1 / 32, **how), lambda: vgg(1, 1, 2, 2, 2), (3, 64, 32)
    ),
    "vgg16": Twins(
        lambda **how: models.vgg16(7, width=1 / 32, **how), lambda: vgg(2, 2, 3, 3, 3), (3, 32, 50)
    ),
    "vgg19": Twins(
        lambda **how: models.vgg19(7, width=1 / 32, **how), lambda: vgg(2, 2, 4, 4, 4), (3, 32, 32)
    ),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", TWINS)
def test_twins_agree(name: str, dtype: Any) -> None:
    twins = TWINS[name]
    rng = np.random.default_rng(0)
    ours, theirs = twins.ours(rng=rng, dtype=dtype).eval(), twins.theirs().eval()
    theirs = theirs.to(torch.float32 if dtype == np.float32 else torch.float64)
    nn.init.initialize(ours, nn.init.he_normal, bias=0.1, rng=rng)  # scores that differ
    weights = zip(ours.parameters(), theirs.parameters(), strict=True)
    with torch.no_grad():
        for p, q in weights:
            assert p.shape == tuple(q.shape)
            q.copy_(torch.tensor(p.data))
    array = rng.standard_normal((3, *twins.shape)).astype(dtype)
    labels = np.array([0, 3, 6])
    x, y = gg.Tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    scores, their_scores = ours(x), theirs(y)
    assert np.ptp(scores.numpy()) > 0.1
    tight, loose = (1e-5, 1e-4) if dtype == np.float32 else (1e-12, 1e-11)
    agree(scores.numpy(), their_scores, tight)
    nn.functional.cross_entropy(scores, labels).backward()
    t.functional.cross_entropy(their_scores, torch.tensor(labels)).backward()
    agree(x.grad, y.grad, loose)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert p.grad.any()
        agree(p.grad, q.grad, loose)


def agree(a: Any, b: Any, tolerance: float) -> None:
    """Compare, relative to the largest element."""
    b = b.detach().numpy()
    assert a.dtype == b.dtype
    np.testing.assert_allclose(a, b, tolerance, tolerance * np.abs(b).max())
