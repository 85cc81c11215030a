"""The models beside the same layers in plain PyTorch: from equal weights, equal results."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.nn import models
from tests.parity.compare import close

torch = pytest.importorskip("torch")
save_file = pytest.importorskip("safetensors.torch").save_file
t: Any = torch.nn


def named(features: list[Any], classifier: list[Any], places: int | None = None) -> Any:
    """Give the parts the names which the models, and torchvision's, have."""
    pool = t.Identity() if places is None else t.AdaptiveAvgPool2d(places)
    parts = {
        "features": t.Sequential(*features),
        "avgpool": pool,
        "flatten": t.Flatten(),
        "classifier": t.Sequential(*classifier),
    }
    return t.Sequential(OrderedDict(parts))


def normalised(net: Any, *places: int) -> Any:
    """Normalise what some of the features give, beside the numbering."""
    for i in places:
        norm = t.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
        net.features[i] = t.Sequential(net.features[i], norm)
    return net


def lenet() -> Any:
    return named(
        [
            *(t.Conv2d(1, 6, 5), t.Sigmoid(), t.AvgPool2d(2)),
            *(t.Conv2d(6, 16, 5), t.Sigmoid(), t.AvgPool2d(2)),
        ],
        [t.Linear(400, 120), t.Sigmoid(), t.Linear(120, 84), t.Sigmoid(), t.Linear(84, 10)],
    )


def simple() -> Any:
    return named(
        [t.Conv2d(2, 30, 5, stride=2, padding=1), t.ReLU(), t.MaxPool2d(2)],
        [t.Linear(30 * 3 * 3, 20), t.ReLU(), t.Linear(20, 10)],
    )


def deep() -> Any:
    return named(
        [
            *(t.Conv2d(1, 16, 3, padding=1), t.ReLU(), t.Conv2d(16, 16, 3, padding=1), t.ReLU()),
            *(t.MaxPool2d(2), t.Conv2d(16, 32, 3, padding=1), t.ReLU()),
            *(t.Conv2d(32, 32, 3, padding=2), t.ReLU(), t.MaxPool2d(2)),
            *(t.Conv2d(32, 64, 3, padding=1), t.ReLU(), t.Conv2d(64, 64, 3, padding=1), t.ReLU()),
            t.MaxPool2d(2),
        ],
        [t.Linear(1024, 50), t.ReLU(), t.Dropout(), t.Linear(50, 10), t.Dropout()],
    )


def alexnet() -> Any:
    """1/16 of the width."""
    return named(
        [
            *(t.Conv2d(3, 4, 11, stride=4, padding=2), t.ReLU(), t.MaxPool2d(3, 2)),
            *(t.Conv2d(4, 12, 5, padding=2), t.ReLU(), t.MaxPool2d(3, 2)),
            *(t.Conv2d(12, 24, 3, padding=1), t.ReLU(), t.Conv2d(24, 16, 3, padding=1), t.ReLU()),
            *(t.Conv2d(16, 16, 3, padding=1), t.ReLU(), t.MaxPool2d(3, 2)),
        ],
        [
            *(t.Dropout(), t.Linear(16 * 36, 256), t.ReLU()),
            *(t.Dropout(), t.Linear(256, 256), t.ReLU(), t.Linear(256, 7)),
        ],
        places=6,
    )


def zfnet() -> Any:
    """1/32 of the width."""
    net = named(
        [
            *(t.Conv2d(3, 3, 7, stride=2, padding=1), t.ReLU(), t.MaxPool2d(3, 2, padding=1)),
            *(t.Conv2d(3, 8, 5, stride=2), t.ReLU(), t.MaxPool2d(3, 2, padding=1)),
            *(t.Conv2d(8, 16, 3, padding=1), t.ReLU(), t.Conv2d(16, 32, 3, padding=1), t.ReLU()),
            *(t.Conv2d(32, 16, 3, padding=1), t.ReLU(), t.MaxPool2d(3, 2)),
        ],
        [
            *(t.Dropout(), t.Linear(16 * 36, 128), t.ReLU()),
            *(t.Dropout(), t.Linear(128, 128), t.ReLU(), t.Linear(128, 7)),
        ],
        places=6,
    )
    return normalised(net, 2, 5)


def vgg(*counts: int) -> Any:
    """1/32 of the width."""
    layers: list[Any] = []
    inputs = 3
    for outputs, count in zip((2, 4, 8, 16, 16), counts, strict=True):
        for _ in range(count):
            layers += [t.Conv2d(inputs, outputs, 3, padding=1), t.ReLU()]
            inputs = outputs
        layers.append(t.MaxPool2d(2))
    classifier = [
        *(t.Linear(16 * 49, 128), t.ReLU(), t.Dropout()),
        *(t.Linear(128, 128), t.ReLU(), t.Dropout(), t.Linear(128, 7)),
    ]
    return named(layers, classifier, places=7)


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
    "alexnet, normalised": Twins(
        lambda **how: models.alexnet(7, width=1 / 16, local_response=True, **how),
        lambda: normalised(alexnet(), 1, 4),
        (3, 63, 80),
    ),
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
def test_twins_agree(name: str, dtype: Any, tmp_path: Path) -> None:
    """From the weights of a file that PyTorch wrote."""
    twins = TWINS[name]
    rng = np.random.default_rng(0)
    ours, theirs = twins.ours(rng=rng, dtype=dtype).eval(), twins.theirs().eval()
    theirs = theirs.to(torch.float32 if dtype == np.float32 else torch.float64)
    shapes = [(key, tuple(p.shape)) for key, p in theirs.named_parameters()]
    assert shapes == [(key, p.shape) for key, p in ours.named_parameters()]
    with torch.no_grad():
        for p in theirs.parameters():  # so large that scores differ
            values = (
                nn.init.he_normal(p.shape, rng=rng) if p.ndim > 1 else 0.1 * rng.random(p.shape)
            )
            p.copy_(torch.tensor(values))
    save_file(theirs.state_dict(), tmp_path / "weights.safetensors")
    ours.load_state_dict(nn.load(tmp_path / "weights.safetensors"))
    array = rng.standard_normal((3, *twins.shape)).astype(dtype)
    labels = np.array([0, 3, 6])
    x, y = gg.Tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    scores, their_scores = ours(x), theirs(y)
    assert np.ptp(scores.numpy()) > 0.1
    assert {scores.dtype, x.dtype} == {np.dtype(dtype)}
    tight, loose = (1e-5, 1e-4) if dtype == np.float32 else (1e-12, 1e-11)
    close(scores.numpy(), their_scores, tight)
    nn.functional.cross_entropy(scores, labels).backward()
    t.functional.cross_entropy(their_scores, torch.tensor(labels)).backward()
    close(x.grad, y.grad, loose)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert p.grad.any()
        close(p.grad, q.grad, loose)
