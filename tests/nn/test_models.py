"""The networks of the case studies: as published, ways through them, errors that help."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import ArgumentError, DtypeError, ShapeError
from graphgrad.nn import models
from graphgrad.nn.models.inception import Inception
from tests.builders import Refusals, memory_of, refuses
from tests.golden.shapes import shapes

Make = Callable[..., nn.Module]
LENET_OF_TODAY: Any = {"padding": 2, "activation": nn.ReLU, "pooling": nn.MaxPool2d}
SMALL: dict[str, tuple[Make, tuple[int, ...]]] = {  # a model, and the shape of an image for it
    "LeNet5": (models.LeNet5, (1, 32, 32)),
    "LeNet5 of today": (partial(models.LeNet5, (3, 28, 28), 7, **LENET_OF_TODAY), (3, 28, 28)),
    "SimpleConvNet": (
        partial(models.SimpleConvNet, (1, 8, 8), kernel_size=3, padding=1),
        (1, 8, 8),
    ),
    "DeepConvNet": (partial(models.DeepConvNet, (1, 8, 8)), (1, 8, 8)),
    "alexnet": (partial(models.alexnet, 5, width=1 / 16), (3, 64, 70)),
    "zfnet": (partial(models.zfnet, 5, width=1 / 32), (3, 60, 53)),
    "vgg11": (partial(models.vgg11, 5, width=1 / 32), (3, 32, 40)),
    "vgg16": (partial(models.vgg16, 5, width=1 / 32, channels=1), (1, 32, 32)),
    "vgg19": (partial(models.vgg19, 5, width=1 / 32), (3, 32, 32)),
    "googlenet": (partial(models.googlenet, 5, width=1 / 16), (3, 40, 33)),
    "googlenet, no auxiliary": (
        partial(models.googlenet, 5, width=1 / 16, aux_logits=False, channels=1),
        (1, 15, 16),
    ),
    "resnet18": (partial(models.resnet18, 5, width=1 / 16), (3, 40, 33)),
    "resnet34": (partial(models.resnet34, 5, width=1 / 16, channels=1), (1, 33, 32)),
    "resnet50": (partial(models.resnet50, 5, width=1 / 16), (3, 32, 32)),
    "of 8×8": (
        partial(
            models.ResNet, models.BasicBlock, (1, 1), 5, channels=1, width=1 / 8, small_images=True
        ),
        (1, 8, 8),
    ),
}
every_small = pytest.mark.parametrize("name", SMALL)
LABELS = np.array([0, 3, 1, 2])


class Zeros(np.random.Generator):
    """Draws zeros: models of full size come about quickly."""

    def uniform(self, *_: Any, **__: Any) -> Any:
        return 0.0

    def standard_normal(self, *_: Any, **__: Any) -> Any:
        return 0.0


def full(make: Make, **options: Any) -> nn.Module:
    return make(rng=Zeros(np.random.PCG64()), **options)


def small(name: str, seed: int = 0, **options: Any) -> Any:
    return SMALL[name][0](rng=np.random.default_rng(seed), **options)


def images(name: str, count: int = 4, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(1).standard_normal((count, *SMALL[name][1])).astype(dtype)


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
        (models.googlenet, {}, 13_004_888),
        (models.googlenet, {"aux_logits": False}, 6_624_904),
        (models.resnet18, {}, 11_689_512),
        (models.resnet34, {}, 21_797_672),
        (models.resnet50, {}, 25_557_032),
    ],
)
def test_parameters_are_as_many_as_published_with_torchvisions_names(
    make: Make, options: dict[str, Any], count: int
) -> None:
    model = full(make, **options)
    assert sum(p.size for p in model.parameters()) == count
    name = make.__name__
    if not options and name.startswith(("alexnet", "googlenet", "resnet", "vgg")):
        found = {name: p.shape for name, p in model.named_parameters()}
        buffers = {name: b.shape for name, b in model.named_buffers()}
        assert {"parameters": found, "buffers": buffers} == shapes(name)
        assert list(found) == list(shapes(name)["parameters"])  # optimizers count them


def test_vgg16_is_the_table_of_the_cs231n_notes() -> None:
    """Outputs and weights, line by line; the weights there are without biases."""
    table = nn.summary(full(models.vgg16), (3, 224, 224))
    kinds = {"Conv2d": "CONV3", "MaxPool2d": "POOL2", "Linear": "FC"}
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


def test_maps_are_those_of_the_papers() -> None:
    """Szegedy et al., table 1; He et al., table 1."""
    names = "conv1 maxpool1 conv3 inception3a inception3b inception4a inception4e inception5b"
    sizes = [(64, 112), (64, 56), (192, 56), (256, 28), (480, 28), (512, 14), (832, 14), (1024, 7)]
    googlenet = dict(zip(names.split(), sizes, strict=True))
    resnet = {f"layer{n}": (128 << n, 112 >> n) for n in (1, 2, 3, 4)} | {"conv1": (64, 112)}
    for make, published in ((models.googlenet, googlenet), (models.resnet50, resnet)):
        table = nn.summary(make(init_weights=False), (3, 224, 224))
        rows = {row.name: row.output[1:] for row in table.rows}
        assert {n: rows[n] for n in published} == {n: (m, s, s) for n, (m, s) in published.items()}
    assert 3.8e9 <= table.multiply_adds < 4.15e9  # 3.8 in the paper; the stride in the 3×3 adds


@every_small
def test_a_pass_there_and_back(name: str) -> None:
    model = small(name)
    before = {key: b.data.copy() for key, b in model.named_buffers()}
    models.auxiliary_cross_entropy(model(images(name)), LABELS).backward()
    for key, p in model.named_parameters():
        assert p.grad is not None, key
        assert p.grad.any(), key
        assert p.grad.dtype == np.float32, key
        assert np.isfinite(p.grad).all(), key
    for key, b in model.named_buffers():
        assert not np.array_equal(b.data, before[key]), key


@every_small
def test_evaluation_is_one_image_at_a_time_and_changes_nothing(name: str) -> None:
    model = small(name, dtype=np.float64)
    x = images(name, dtype=np.float64)
    model(x)
    state = model.eval().state_dict()
    scores = model(x)
    np.testing.assert_allclose(model(x[1:2]).numpy(), scores.numpy()[1:2], 1e-10, 1e-13)
    assert model(x[:0]).shape == (0, scores.shape[1])
    np.testing.assert_equal(model.state_dict(), state)


@every_small
def test_the_generator_decides_and_no_other_is_touched(name: str) -> None:
    gg.manual_seed(0)
    untouched = np.random.default_rng(0).random()
    x = images(name)
    one, same, other = (
        models.auxiliary_cross_entropy(small(name, seed)(x), LABELS).item() for seed in (3, 3, 4)
    )
    assert one == same  # with dropout
    assert one != other
    assert nn.init.uniform((), dtype=np.float64) == untouched


def quarter(make: Make) -> dict[str, Any]:
    model = make(10, width=1 / 4, rng=np.random.default_rng(0))
    return {name: p.data for name, p in model.named_parameters()}


def test_initial_values_are_those_of_the_docstrings() -> None:
    for name, p in quarter(models.vgg16).items():
        std = 0 if p.ndim == 1 else np.sqrt(2 / (p.shape[0] * 9)) if p.ndim == 4 else 0.01
        assert p.std() == pytest.approx(std, rel=0.1), name
        assert abs(p.mean()) <= 0.1 * std, name
    for name, p in quarter(models.alexnet).items():
        if p.ndim > 1:
            assert p.std() == pytest.approx(1 / np.sqrt(3 * np.prod(p.shape[1:])), rel=0.1), name
    for name, p in quarter(models.resnet50).items():
        if p.ndim == 4:
            assert p.std() == pytest.approx(np.sqrt(2 / (p[:, 0].size)), rel=0.1), name
        elif p.ndim == 1 and name != "fc.bias":
            assert (p == name.endswith("weight")).all(), name
    for name, p in quarter(models.googlenet).items():
        if p.ndim > 1:
            assert p.std() == pytest.approx(0.01, rel=0.2), name
        else:
            assert (p == name.endswith("weight")).all(), name


@pytest.mark.parametrize("block", [models.BasicBlock, models.Bottleneck])
def test_blocks_that_start_with_nothing_pass_on_what_they_get(block: Any) -> None:
    net: Any = models.ResNet(block, (3, 2), 5, True, width=1 / 8, rng=np.random.default_rng(0))
    x = np.random.default_rng(1).random((2, 8 * block.expansion, 6, 6), dtype=np.float32)
    np.testing.assert_array_equal(net.layer1[1](x).numpy(), x)
    assert not any(b.last_norm().weight.data.any() for b in (*net.layer1, *net.layer2))
    assert net.layer2[0].downsample[1].weight.data.all()


def test_googlenet_adds_its_auxiliary_losses_in_training_only() -> None:
    model = small("googlenet", dtype=np.float64)
    x, y = images("googlenet", dtype=np.float64), LABELS
    scores = model(x)
    assert scores._fields == ("logits", "aux_logits2", "aux_logits1")
    main, second, first = (nn.functional.cross_entropy(s, y).item() for s in scores)
    assert models.auxiliary_cross_entropy(scores, y).item() == pytest.approx(
        main + 0.3 * (first + second), rel=1e-12
    )
    assert models.auxiliary_cross_entropy(scores, y, 0.0).item() == pytest.approx(main)
    scores = model.eval()(x)
    assert scores.shape == (4, 5)
    alone = nn.functional.cross_entropy(scores, y).item()
    assert models.auxiliary_cross_entropy(scores, y).item() == alone


def test_googlenet_scales_images_as_its_trained_weights_want_them() -> None:
    """(x · deviation + mean − 0.5) / 0.5: what was normalised by channel lies in −1 … 1 again."""
    plain, transforming = (
        small("googlenet", transform_input=on, dtype=np.float64).eval() for on in (False, True)
    )
    pixels = np.random.default_rng(0).random((2, 3, 32, 32))
    mean, deviation = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    found = transforming((pixels - mean) / deviation).numpy()
    np.testing.assert_allclose(found, plain(2 * pixels - 1).numpy(), 1e-9, 1e-15)
    assert transforming.astype(np.float32)(images("googlenet")).dtype == np.float32


def test_vgg_without_initial_values_waits_for_those_of_a_file() -> None:
    empty = models.vgg11(5, width=1 / 32, init_weights=False)
    assert not any(p.data.any() for p in empty.parameters())
    assert list(empty.state_dict()) == list(models.vgg11(5, width=1 / 32).state_dict())


@pytest.mark.parametrize(
    ("make", "limit"),
    [
        (partial(nn.Affine, 1000, 2000), 1.2),
        (partial(models.alexnet, 10, width=1 / 4), 1.3),
        (partial(models.vgg11, 10, width=1 / 4, init_weights=False), 1.2),
        (partial(models.vgg11, 10, width=1 / 4), 2.0),  # one more of one layer
    ],
    ids=["Linear", "alexnet", "empty vgg11", "vgg11"],
)
def test_initial_values_need_no_second_copy(make: Make, limit: float) -> None:
    rng = np.random.default_rng(0)
    peak = memory_of(lambda: make(rng=rng))[1]
    size = sum(p.data.nbytes for p in make(rng=rng).parameters())
    assert size > 2**21
    assert peak < limit * size + 2 * 2**20  # blocks of 1 MiB


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("alexnet", (1, 3, 62, 80), r"AlexNet: x \(1, 3, 62, 80\).* too small.*63×63 or more"),
        ("alexnet", (1, 1, 64, 64), r"has 1 channels, this model wants 3: np\.repeat.*channels=1"),
        ("vgg16", (1, 1, 32, 31), r"VGG: .*32×32"),
        ("SimpleConvNet", (5, 1, 28, 28), r"\(N, 1, 8, 8\): .*input_shape=\(1, 28, 28\)"),
        ("SimpleConvNet", (5, 64), r"SimpleConvNet: x \(5, 64\); .*x\.reshape\(-1, 1, 8, 8\)"),
        ("DeepConvNet", (1, 8, 8), r"DeepConvNet: x \(1, 8, 8\); .*x\[None\]"),
        ("LeNet5", (2, 3, 32, 32), r"LeNet5: .*\(N, 1, 32, 32\): .*input_shape=\(3, 32, 32\)"),
        ("googlenet", (1, 3, 14, 80), r"GoogLeNet: x \(1, 3, 14, 80\).* too small.*15×15 or more"),
        ("resnet18", (3, 32, 32), r"ResNet: x \(3, 32, 32\); images are \(N, C, H, W\): x\[None\]"),
    ],
)
def test_images_that_do_not_fit_change_nothing(name: str, shape: Any, message: str) -> None:
    model = small(name)
    before = repr(model.state_dict())
    with pytest.raises(ShapeError, match=rf"{message}.*\(at .*test_models\.py"):
        model(np.zeros(shape, np.float32))
    assert repr(model.state_dict()) == before


@pytest.mark.parametrize(
    ("name", "smallest"),
    [("alexnet", 63), ("zfnet", 53), ("vgg11", 32), ("googlenet", 15), ("resnet18", 1)],
)
def test_the_smallest_image_is_the_smallest(name: str, smallest: int, monkeypatch: Any) -> None:
    """The layers take what the model lets through, and not a pixel less."""
    model = small(name).eval()
    assert model(np.zeros((1, 3, smallest, smallest), np.float32)).shape == (1, 5)
    if smallest > 1:
        with pytest.raises(ShapeError, match=f"too small.*{smallest}×{smallest} or more"):
            model(np.zeros((1, 3, smallest - 1, smallest - 1), np.float32))
        monkeypatch.setattr(type(model), "smallest", 1)
        layers = getattr(model, "features", model)  # what looks at sizes stands before these
        with pytest.raises(ShapeError, match=r"(conv|pool)2d"):
            layers(np.zeros((1, 3, smallest - 1, smallest - 1), np.float32))


BASIC = models.BasicBlock
REFUSED: Refusals = {
    ShapeError: {
        r"LeNet5: input_shape=\(1, 8, 8\) is too small: Conv2d": lambda: models.LeNet5((1, 8, 8)),
        r"too small: MaxPool2d\(2\) gets 1×1": lambda: models.SimpleConvNet((1, 5, 5)),
        "DeepConvNet: .*too small": lambda: models.DeepConvNet((1, 7, 8)),
    },
    ArgumentError: {
        r"input_shape=\(8, 8\).*\(channels, height, width": lambda: models.SimpleConvNet((8, 8)),
        "six": lambda: models.DeepConvNet(maps=(16, 32)),
        r"AlexNet: maps=\(96, 256\); five": lambda: models.alexnet(maps=(96, 256)),
        r"VGG: stages=\(1, 2, 3\); five": lambda: models.VGG((1, 2, 3)),
        r"ResNet: layers=\(\)": lambda: models.ResNet(BASIC, ()),
        "channels=1; transform_inp": lambda: models.googlenet(channels=1, transform_input=True),
        r"channels=\(1, 2, 3\); six numbers": lambda: Inception(4, (1, 2, 3)),
    },
    DtypeError: {
        "input_shape = 28 must be a list of sizes": lambda: models.LeNet5(28),  # type: ignore[arg-type]
        "ResNet: block=.*BasicBlock or Bottleneck": lambda: models.ResNet(nn.Conv2d, (1, 1)),  # type: ignore[arg-type]
    },
}
test_what_does_not_fit_is_refused = refuses(REFUSED)
