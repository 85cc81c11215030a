"""The networks of the case studies: sizes as published, and errors that say what to do."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import ArgumentError, DtypeError, ShapeError
from graphgrad.nn import models
from tests.golden.shapes import shapes
from tests.sampling import every

Make = Callable[..., nn.Module]


class Zeros(np.random.Generator):
    """Draws zeros: models of full size come about quickly."""

    def uniform(self, *_: Any, **__: Any) -> Any:
        return 0.0

    def standard_normal(self, *_: Any, **__: Any) -> Any:
        return 0.0


def full(make: Make, **options: Any) -> nn.Module:
    return make(rng=Zeros(np.random.PCG64()), **options)


def parameters(model: nn.Module) -> int:
    return sum(p.size for p in model.parameters())


class Small(NamedTuple):
    """A model in a small size, and the shape of an image for it."""

    make: Make
    shape: tuple[int, ...]


SMALL = {
    "LeNet5": Small(models.LeNet5, (1, 32, 32)),
    "LeNet5 of today": Small(
        lambda **how: models.LeNet5(
            (3, 28, 28), 7, padding=2, activation=nn.ReLU, pooling=nn.MaxPool2d, **how
        ),
        (3, 28, 28),
    ),
    "SimpleConvNet": Small(
        lambda **how: models.SimpleConvNet((1, 8, 8), kernel_size=3, padding=1, **how), (1, 8, 8)
    ),
    "DeepConvNet": Small(lambda **how: models.DeepConvNet((1, 8, 8), **how), (1, 8, 8)),
    "alexnet": Small(lambda **how: models.alexnet(5, width=1 / 16, **how), (3, 64, 70)),
    "zfnet": Small(lambda **how: models.zfnet(5, width=1 / 32, **how), (3, 60, 53)),
    "vgg11": Small(lambda **how: models.vgg11(5, width=1 / 32, **how), (3, 32, 40)),
    "vgg16": Small(lambda **how: models.vgg16(5, width=1 / 32, channels=1, **how), (1, 32, 32)),
    "vgg19": Small(lambda **how: models.vgg19(5, width=1 / 32, **how), (3, 32, 32)),
}
every_small = pytest.mark.parametrize("small", SMALL.values(), ids=SMALL)


def images(shape: tuple[int, ...], count: int = 2, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(1).random((count, *shape)).astype(dtype)


# ------------------------------------------------------------------------------ as published


@pytest.mark.parametrize(
    ("make", "options", "count"),
    [
        (models.LeNet5, {}, 61_706),
        (models.LeNet5, {"input_shape": (1, 28, 28), "padding": 2}, 61_706),
        (models.SimpleConvNet, {}, 433_890),
        (models.DeepConvNet, {}, 123_552),
        (models.alexnet, {}, 61_100_840),
        (models.alexnet, {"maps": (96, 256, 384, 384, 256)}, 62_378_344),
        (models.zfnet, {}, 107_627_624),
        (models.zfnet, {"maps": (96, 256, 384, 384, 256)}, 62_357_608),
        pytest.param(models.vgg11, {}, 132_863_336, marks=pytest.mark.whole),
        pytest.param(models.vgg16, {}, 138_357_544, marks=pytest.mark.whole),
        pytest.param(models.vgg19, {}, 143_667_240, marks=pytest.mark.whole),
    ],
)
def test_numbers_of_parameters(make: Make, options: dict[str, Any], count: int) -> None:
    assert parameters(full(make, **options)) == count


@pytest.mark.parametrize("name", every(4, ["alexnet", "vgg11", "vgg16", "vgg19"]))
def test_names_and_shapes_are_torchvisions(name: str) -> None:
    model = full(getattr(models, name))
    found = {name: p.shape for name, p in model.named_parameters()}
    assert {"parameters": found, "buffers": {}} == shapes(name)


def test_vgg16_is_the_table_of_the_cs231n_notes() -> None:
    """Outputs and weights, line by line; the weights there are without biases."""
    table = nn.summary(full(models.vgg16), (3, 224, 224))
    kinds = {"Conv2d": "CONV3", "MaxPool2d": "POOL2", "Affine": "FC"}
    rows = [row for row in table.rows if row.kind in kinds]
    found = []
    for row in rows:
        biases = row.output[1] if row.parameters else 0
        found.append((kinds[row.kind], row.output[1:], row.parameters - biases))
    stages = [(224, 64, 3, 2), (112, 128, 64, 2), (56, 256, 128, 3), (28, 512, 256, 3)]
    lines: list[tuple[str, tuple[int, ...], int]] = []
    for size, maps, before, convolutions in [*stages, (14, 512, 512, 3)]:
        weights = [9 * before * maps] + [9 * maps * maps] * (convolutions - 1)
        lines += [("CONV3", (maps, size, size), count) for count in weights]
        lines.append(("POOL2", (maps, size // 2, size // 2), 0))
    lines += [("FC", (4096,), 102_760_448), ("FC", (4096,), 16_777_216), ("FC", (1000,), 4_096_000)]
    assert found == lines
    assert sum(row.activations for row in rows) + 3 * 224 * 224 == 15_237_608  # "24M" is a slip
    assert [round(sum(row.parameters for row in rows) / 1e6)] == [138]
    assert table.parameters == 138_357_544


def test_the_deep_network_of_the_book_halves_evenly() -> None:
    rows = nn.summary(models.DeepConvNet(rng=np.random.default_rng()), (1, 28, 28)).rows
    sizes = [row.output[2] for row in rows if row.kind in {"Conv2d", "MaxPool2d"}]
    assert sizes == [28, 28, 14, 14, 16, 8, 8, 8, 4]


def test_local_response_normalisation_leaves_the_names_alone() -> None:
    plain, normalised = (
        models.alexnet(4, width=1 / 16, local_response=on, rng=np.random.default_rng(0)).eval()
        for on in (False, True)
    )
    assert list(plain.state_dict()) == list(normalised.state_dict())
    x = images((3, 64, 64))
    assert not np.allclose(plain(x).numpy(), normalised(x).numpy(), rtol=1e-3)


# --------------------------------------------------------------------------------- they work


@every_small
def test_a_pass_there_and_back(small: Small) -> None:
    model = small.make(rng=np.random.default_rng(0))
    scores = model(images(small.shape))
    assert scores.dtype == np.float32
    assert scores.shape[0] == 2
    nn.functional.cross_entropy(scores, np.array([0, 3])).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.any(), name
        assert np.isfinite(p.grad).all(), name
    assert model.eval()(images(small.shape, count=0)).shape == (0, scores.shape[1])


@every_small
def test_a_file_carries_all_weights(small: Small, tmp_path: Path) -> None:
    trained = small.make(rng=np.random.default_rng(0), dtype=np.float64).eval()
    other = small.make(rng=np.random.default_rng(1), dtype=np.float64).eval()
    x = images(small.shape, dtype=np.float64)
    assert np.abs(trained(x).numpy() - other(x).numpy()).max() > 1e-6
    other.load_state_dict(nn.load(nn.save(trained, tmp_path / "weights.safetensors")))
    np.testing.assert_array_equal(other(x).numpy(), trained(x).numpy())


@every_small
def test_the_generator_decides_and_no_other_is_touched(small: Small) -> None:
    gg.manual_seed(0)
    untouched = np.random.default_rng(0).random()
    one, same, other = (small.make(rng=np.random.default_rng(seed)) for seed in (3, 3, 4))
    x = images(small.shape)
    np.testing.assert_array_equal(one(x).numpy(), same(x).numpy())  # with dropout
    assert not np.array_equal(one(x).numpy(), other(x).numpy())
    assert nn.init.uniform((), dtype=np.float64) == untouched


def test_initial_values_are_those_of_the_docstrings() -> None:
    vgg = models.vgg16(10, width=1 / 4, rng=np.random.default_rng(0))
    for name, p in vgg.named_parameters():
        if name.endswith("bias"):
            assert not p.data.any()
        else:
            std = np.sqrt(2 / (p.shape[0] * 9)) if p.ndim == 4 else 0.01
            assert p.data.std() == pytest.approx(std, rel=0.1), name
            assert abs(p.data.mean()) < 0.1 * std, name
    alexnet = models.alexnet(10, width=1 / 4, rng=np.random.default_rng(0))
    for p in alexnet.parameters():
        if p.ndim > 1:
            assert p.data.std() == pytest.approx(1 / np.sqrt(3 * np.prod(p.shape[1:])), rel=0.1)
    for book in (models.SimpleConvNet, models.DeepConvNet):
        for p in book(rng=np.random.default_rng(0)).parameters():
            if p.size > 1000:
                assert p.data.std() == pytest.approx(np.sqrt(2 / np.prod(p.shape[1:])), rel=0.1)


def test_vgg_without_initial_values_waits_for_those_of_a_file() -> None:
    empty = models.vgg11(5, width=1 / 32, init_weights=False)
    assert not any(p.data.any() for p in empty.parameters())
    assert list(empty.state_dict()) == list(models.vgg11(5, width=1 / 32).state_dict())


@pytest.mark.parametrize(
    ("make", "limit"),
    [
        (lambda rng: nn.Affine(1000, 2000, rng=rng), 1.2),
        (lambda rng: models.alexnet(10, width=1 / 4, rng=rng), 1.3),
        (lambda rng: models.vgg11(10, width=1 / 4, rng=rng, init_weights=False), 1.2),
        (lambda rng: models.vgg11(10, width=1 / 4, rng=rng), 2.0),  # one more of one layer
    ],
    ids=["Affine", "alexnet", "empty vgg11", "vgg11"],
)
def test_initial_values_need_no_second_copy(make: Callable[[Any], nn.Module], limit: float) -> None:
    rng = np.random.default_rng(0)
    tracemalloc.start()
    try:
        model = make(rng)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    size = sum(p.data.nbytes for p in model.parameters())
    assert size > 2**21
    assert peak < limit * size + 2 * 2**20  # blocks of 1 MiB


# ------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("alexnet", (1, 3, 62, 80), r"AlexNet: x \(1, 3, 62, 80\).* too small.*63×63 or more"),
        ("alexnet", (1, 1, 64, 64), r"has 1 channels, this model wants 3: np\.repeat.*channels=1"),
        ("alexnet", (3, 64, 64), r"x \(3, 64, 64\); images are \(N, C, H, W\): x\[None\]"),
        ("zfnet", (1, 3, 52, 80), r"ZFNet: .*53×53"),
        ("vgg16", (1, 1, 32, 31), r"VGG: .*32×32"),
        ("vgg16", (1, 3, 32, 32), r"has 3 channels, this model wants 1"),
        ("vgg16", (32, 32), r"x \(32, 32\); images are \(N, C, H, W\)"),
        ("SimpleConvNet", (5, 1, 28, 28), r"\(N, 1, 8, 8\): .*input_shape=\(1, 28, 28\)"),
        ("SimpleConvNet", (5, 64), r"SimpleConvNet: x \(5, 64\); .*x\.reshape\(-1, 1, 8, 8\)"),
        ("DeepConvNet", (1, 8, 8), r"DeepConvNet: x \(1, 8, 8\); .*x\[None\]"),
        ("LeNet5", (2, 3, 32, 32), r"LeNet5: .*\(N, 1, 32, 32\): .*input_shape=\(3, 32, 32\)"),
    ],
)
def test_images_that_do_not_fit(name: str, shape: tuple[int, ...], message: str) -> None:
    model = SMALL[name].make(rng=np.random.default_rng(0))
    with pytest.raises(ShapeError, match=rf"{message}.*\(at .*test_nn_models\.py"):
        model(np.zeros(shape, np.float32))


@pytest.mark.parametrize(("name", "smallest"), [("alexnet", 63), ("zfnet", 53), ("vgg11", 32)])
def test_the_smallest_image_is_the_smallest(name: str, smallest: int) -> None:
    """The layers take what the model lets through, and not a pixel less."""
    model: Any = SMALL[name].make(rng=np.random.default_rng(0)).eval()
    assert model(np.zeros((1, 3, smallest, smallest), np.float32)).shape == (1, 5)
    with pytest.raises(ShapeError):
        model.features(np.zeros((1, 3, smallest - 1, smallest - 1), np.float32))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: models.LeNet5((1, 8, 8)), r"LeNet5: input_shape=\(1, 8, 8\) is too small: Conv2d"),
        (lambda: models.SimpleConvNet((8, 8)), r"input_shape=\(8, 8\).*\(channels, height, width"),
        (lambda: models.DeepConvNet(()), r"input_shape=\(\); it is"),
        (lambda: models.LeNet5(28), r"input_shape = 28 must be a list of sizes"),  # type: ignore[arg-type]
        (lambda: models.SimpleConvNet((1, 5, 5)), r"too small: MaxPool2d\(2\) gets 1×1"),
        (lambda: models.SimpleConvNet((1, 0, 5)), r"input_shape=\(1, 0, 5\).*above 0"),
        (lambda: models.DeepConvNet((1, 7, 8)), r"DeepConvNet: .*too small"),
        (lambda: models.DeepConvNet(maps=(16, 32)), r"six"),
        (lambda: models.DeepConvNet(dropout=1.5), r"1\.5"),
        (lambda: models.alexnet(maps=(96, 256)), r"AlexNet: maps=\(96, 256\); five"),
        (lambda: models.alexnet(width=0), r"AlexNet: width=0"),
        (lambda: models.zfnet(width=float("nan")), r"ZFNet: width = nan"),
        (lambda: models.vgg16(width=-1), r"VGG: width=-1"),
        (lambda: models.VGG((1, 2, 3)), r"VGG: stages=\(1, 2, 3\); five"),
        (lambda: models.VGG((1, 2, 3, 0, 1)), r"stages"),
        (lambda: models.vgg11(0, width=1 / 32), "Affine: out_features = 0 must"),
    ],
)
def test_arguments_that_make_no_model(make: Callable[[], Any], message: str) -> None:
    with pytest.raises((ArgumentError, DtypeError, ShapeError), match=message):
        make()
