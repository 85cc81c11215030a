"""The models beside the same layers in plain PyTorch: from equal weights, equal results."""

import functools
import re
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
safetensors = pytest.importorskip("safetensors.torch")
t: Any = torch.nn
LABELS = np.array([0, 3, 6, 1])


TOKEN = re.compile(r"([a-z]?)(\d*)(?:k(\d+))?(?:s(\d+))?(?:p(\d+))?")
PLAIN = {"r": t.ReLU, "s": t.Sigmoid, "d": t.Dropout}


def layers(text: str, inputs: int) -> list[Any]:
    """Read layers: c6k5s2p1 is a convolution to 6 maps, m3s2 and a2 pool, 10 is a Linear to 10."""
    found: list[Any] = []
    for token in text.split():
        kind, *numbers = TOKEN.fullmatch(token).groups("0")  # type: ignore[union-attr]
        n, kernel, stride, padding = (int(number or 0) for number in numbers)
        if kind == "c":
            found.append(t.Conv2d(inputs, n, kernel, stride or 1, padding))
        elif kind in ("m", "a"):
            pool = t.MaxPool2d if kind == "m" else t.AvgPool2d
            found.append(pool(n, stride or n, padding))
        else:
            found.append(PLAIN[kind]() if kind else t.Linear(inputs, n))
        inputs = n if kind in ("", "c") else inputs
    return found


def net(channels: int, features: str, inputs: int, classifier: str, places: Any = None) -> Any:
    """Give the parts the names which the models, and torchvision's, have."""
    parts = {
        "features": t.Sequential(*layers(features, channels)),
        "avgpool": t.Identity() if places is None else t.AdaptiveAvgPool2d(places),
        "flatten": t.Flatten(),
        "classifier": t.Sequential(*layers(classifier, inputs)),
    }
    return t.Sequential(OrderedDict(parts))


def normalised(net: Any, *places: int) -> Any:
    """Normalise what some of the features give, beside the numbering."""
    for i in places:
        norm = t.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
        net.features[i] = t.Sequential(net.features[i], norm)
    return net


def alexnet() -> Any:
    maps = "c4k11s4p2 r m3s2 c12k5p2 r m3s2 c24k3p1 r c16k3p1 r c16k3p1 r m3s2"
    return net(3, maps, 16 * 36, "d 256 r d 256 r 7", 6)


def zfnet() -> Any:
    maps = "c3k7s2p1 r m3s2p1 c8k5s2 r m3s2p1 c16k3p1 r c32k3p1 r c16k3p1 r m3s2"
    return normalised(net(3, maps, 16 * 36, "d 128 r d 128 r 7", 6), 2, 5)


def vgg(*counts: int) -> Any:
    stages = zip((2, 4, 8, 16, 16), counts, strict=True)
    maps = " m2 ".join(" ".join([f"c{n}k3p1 r"] * count) for n, count in stages)
    return net(3, f"{maps} m2", 16 * 49, "128 r d 128 r d 7", 7)


DEEP = "c16k3p1 r c16k3p1 r m2 c32k3p1 r c32k3p2 r m2 c64k3p1 r c64k3p1 r m2"


class Twins(NamedTuple):
    ours: Callable[..., nn.Module]
    theirs: Callable[[], Any]
    shape: tuple[int, ...]


def made(name: str, width: float, **options: Any) -> Callable[..., nn.Module]:
    return functools.partial(getattr(models, name), 7, width=width, **options)


TWINS = {
    "LeNet5": Twins(
        models.LeNet5,
        lambda: net(1, "c6k5 s a2 c16k5 s a2", 400, "120 s 84 s 10"),
        (1, 32, 32),
    ),
    "SimpleConvNet": Twins(
        functools.partial(models.SimpleConvNet, (2, 14, 15), stride=2, padding=1, hidden=20),
        lambda: net(2, "c30k5s2p1 r m2", 270, "20 r 10"),
        (2, 14, 15),
    ),
    "DeepConvNet": Twins(
        models.DeepConvNet, lambda: net(1, DEEP, 1024, "50 r d 10 d"), (1, 28, 28)
    ),
    "alexnet": Twins(made("alexnet", 1 / 16), alexnet, (3, 127, 100)),
    "alexnet, normalised": Twins(
        made("alexnet", 1 / 16, local_response=True),
        lambda: normalised(alexnet(), 1, 4),
        (3, 63, 80),
    ),
    "zfnet": Twins(made("zfnet", 1 / 32), zfnet, (3, 90, 110)),
    "vgg11": Twins(made("vgg11", 1 / 32), lambda: vgg(1, 1, 2, 2, 2), (3, 64, 32)),
    "vgg16": Twins(made("vgg16", 1 / 32), lambda: vgg(2, 2, 3, 3, 3), (3, 32, 50)),
    "vgg19": Twins(made("vgg19", 1 / 32), lambda: vgg(2, 2, 4, 4, 4), (3, 32, 32)),
}


def filled(net: Any, rng: np.random.Generator) -> Any:
    """Draw values with which no layer does nothing, running statistics included."""
    for key, value in net.state_dict().items():
        if value.ndim > 1:
            value.copy_(torch.tensor(nn.init.he_normal(value.shape, rng=rng, dtype=np.float64)))
        elif value.ndim:
            low, high = (0.3, 0.9) if "bn" not in key else (0.5, 1.2)
            if "bn" in key and key.endswith(("bias", "mean")):
                low, high = -0.2, 0.5
            value.copy_(torch.tensor(rng.uniform(low, high, value.shape)))
    return net


def loss_of(scores: Any) -> Any:
    if not isinstance(scores, tuple):
        return t.functional.cross_entropy(scores, torch.tensor(LABELS))
    main, *others = (t.functional.cross_entropy(s, torch.tensor(LABELS)) for s in scores)
    return main + 0.3 * sum(others)


def assert_twins_agree(twins: Twins, training: bool, dtype: Any, folder: Path) -> None:
    """From the weights in files of either library; not each gradient in training with float32.

    Normalisation by few values magnifies rounding, until somewhere it turns a ReLU or an argmax
    the other way; PyTorch's own float32 then is as far from its float64, now and then by percents.
    """
    rng = np.random.default_rng(0)
    theirs = filled(twins.theirs().to(getattr(torch, dtype.__name__)), rng).train(training)
    safetensors.save_file(theirs.state_dict(), folder / "weights.safetensors")
    ours = twins.ours(rng=rng, dtype=dtype).train(training)
    ours.load_state_dict(nn.load(folder / "weights.safetensors"))
    theirs.load_state_dict(safetensors.load_file(nn.save(ours, folder / "weights.safetensors")))
    shapes = [(key, tuple(p.shape)) for key, p in theirs.named_parameters()]
    assert shapes == [(key, p.shape) for key, p in ours.named_parameters()]
    array = rng.standard_normal((len(LABELS), *twins.shape)).astype(dtype)
    x, y = gg.Tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    scores, their_scores = ours(x), theirs(y)
    tight, loose = (1e-4 if training else 1e-5, 1e-4) if dtype == np.float32 else (1e-11, 1e-9)
    assert isinstance(scores, tuple) == isinstance(their_scores, tuple)
    for a, b in zip(scores, their_scores, strict=True):
        assert np.ptp(a.numpy()) > 0.1
        assert a.dtype == dtype
        close(a.numpy(), b, tight)
    models.auxiliary_cross_entropy(scores, LABELS).backward()
    loss_of(their_scores).backward()
    statistics = dict(theirs.named_buffers())
    for name, b in ours.named_buffers():
        close(b.numpy(), statistics[name], tight, name)
    if training and dtype == np.float32:
        difference = np.linalg.norm(x.grad - y.grad.numpy())
        assert difference < 0.1 * np.linalg.norm(x.grad)
        return
    close(x.grad, y.grad, loose)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if p.grad is None:  # an auxiliary classifier in evaluation
            assert q.grad is None
        else:
            assert p.grad.any() or "inception" in name  # of one channel, behind a ReLU
            close(p.grad, q.grad, loose, name)


every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@every_dtype
@pytest.mark.parametrize("name", TWINS)
def test_twins_agree(name: str, dtype: Any, tmp_path: Path) -> None:
    assert_twins_agree(TWINS[name], training=False, dtype=dtype, folder=tmp_path)
