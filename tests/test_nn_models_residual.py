"""GoogLeNet and ResNet: sizes as published, ways through them, errors that say what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import ArgumentError, DtypeError, ShapeError
from graphgrad.nn import models
from graphgrad.nn.models.inception import Inception
from tests.golden.shapes import shapes

Make = Callable[..., nn.Module]
SMALL: dict[str, tuple[Make, tuple[int, ...]]] = {
    "googlenet": (lambda **how: models.googlenet(5, width=1 / 16, **how), (3, 40, 33)),
    "googlenet, no auxiliary": (
        lambda **how: models.googlenet(5, width=1 / 16, aux_logits=False, channels=1, **how),
        (1, 15, 16),
    ),
    "resnet18": (lambda **how: models.resnet18(5, width=1 / 16, **how), (3, 40, 33)),
    "resnet34": (lambda **how: models.resnet34(5, width=1 / 16, channels=1, **how), (1, 33, 32)),
    "resnet50": (lambda **how: models.resnet50(5, width=1 / 16, **how), (3, 32, 32)),
    "of 8×8": (
        lambda **how: models.ResNet(
            models.BasicBlock, (1, 1), 5, channels=1, width=1 / 8, small_images=True, **how
        ),
        (1, 8, 8),
    ),
}
every_small = pytest.mark.parametrize("name", SMALL)


def small(name: str, seed: int = 0, **options: Any) -> Any:
    return SMALL[name][0](rng=np.random.default_rng(seed), **options)


def images(name: str, count: int = 4, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(1).standard_normal((count, *SMALL[name][1])).astype(dtype)


def loss_of(scores: Any) -> Any:
    return models.auxiliary_cross_entropy(scores, np.array([0, 3, 1, 2]))


# ------------------------------------------------------------------------------ as published


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("googlenet", 13_004_888),
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
    ],
)
def test_names_and_shapes_are_torchvisions(name: str, count: int) -> None:
    model: nn.Module = getattr(models, name)(init_weights=False)
    found = {
        "parameters": {name: p.shape for name, p in model.named_parameters()},
        "buffers": {name: b.shape for name, b in model.named_buffers()},
    }
    assert found == shapes(name)
    assert list(found["parameters"]) == list(shapes(name)["parameters"])  # optimizers count them
    assert sum(p.size for p in model.parameters()) == count


def test_googlenet_without_auxiliary_classifiers() -> None:
    model = models.googlenet(init_weights=False, aux_logits=False)
    assert sum(p.size for p in model.parameters()) == 6_624_904


def test_maps_are_those_of_the_papers() -> None:
    """Szegedy et al., table 1; He et al., table 1."""
    rows = {
        row.name: row.output[1:]
        for row in nn.summary(models.googlenet(init_weights=False), (3, 224, 224)).rows
    }
    assert rows["conv1"] == (64, 112, 112)
    assert rows["maxpool1"] == (64, 56, 56)
    assert rows["conv3"] == (192, 56, 56)
    assert rows["inception3a"] == (256, 28, 28)
    assert rows["inception3b"] == (480, 28, 28)
    assert rows["inception4a"] == (512, 14, 14)
    assert rows["inception4e"] == (832, 14, 14)
    assert rows["inception5b"] == (1024, 7, 7)
    table = nn.summary(models.resnet50(init_weights=False), (3, 224, 224))
    rows = {row.name: row.output[1:] for row in table.rows}
    sizes = {"conv1": (64, 112), "layer1": (256, 56), "layer2": (512, 28)}
    for name, (maps, size) in {**sizes, "layer3": (1024, 14), "layer4": (2048, 7)}.items():
        assert rows[name] == (maps, size, size)
    assert 3.8e9 <= table.multiply_adds < 4.15e9  # 3.8 in the paper; the stride in the 3×3 adds


# --------------------------------------------------------------------------------- they work


@every_small
def test_a_pass_there_and_back(name: str) -> None:
    model = small(name)
    before = {key: b.data.copy() for key, b in model.named_buffers()}
    loss_of(model(images(name))).backward()
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
    assert scores.shape == (4, 5)
    np.testing.assert_allclose(model(x[1:2]).numpy(), scores.numpy()[1:2], 1e-10, 1e-13)
    assert model(x[:0]).shape == (0, 5)
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, state[key], key)


@every_small
def test_a_file_carries_weights_and_running_statistics(name: str, tmp_path: Path) -> None:
    trained, other = small(name, 0), small(name, 1, init_weights=False)
    x = images(name)
    trained(x)
    path = nn.save(trained, tmp_path / "weights.safetensors")
    other.load_state_dict(nn.load(path))
    np.testing.assert_array_equal(other.eval()(x).numpy(), trained.eval()(x).numpy())


@every_small
def test_the_generator_decides_and_no_other_is_touched(name: str) -> None:
    gg.manual_seed(0)
    untouched = np.random.default_rng(0).random()
    x = images(name)
    one, same, other = (loss_of(small(name, seed)(x)).item() for seed in (3, 3, 4))
    assert one == same
    assert one != other
    assert nn.init.uniform((), dtype=np.float64) == untouched


def test_initial_values_are_those_of_the_docstrings() -> None:
    resnet = models.resnet50(10, width=1 / 4, rng=np.random.default_rng(0))
    for name, p in resnet.named_parameters():
        if p.ndim == 4:
            std = np.sqrt(2 / (p.shape[0] * p.shape[2] * p.shape[3]))
            assert p.data.std() == pytest.approx(std, rel=0.1), name
        elif p.ndim == 1 and name != "fc.bias":
            assert (p.data == name.endswith("weight")).all(), name
    googlenet = models.googlenet(10, width=1 / 4, rng=np.random.default_rng(0))
    for name, p in googlenet.named_parameters():
        if p.ndim > 1:
            assert p.data.std() == pytest.approx(0.01, rel=0.2), name
        else:
            assert (p.data == name.endswith("weight")).all(), name


@pytest.mark.parametrize("block", [models.BasicBlock, models.Bottleneck])
def test_blocks_that_start_with_nothing_pass_on_what_they_get(block: Any) -> None:
    net: Any = models.ResNet(block, (3, 2), 5, True, width=1 / 8, rng=np.random.default_rng(0))
    x = np.random.default_rng(1).random((2, 8 * block.expansion, 6, 6), dtype=np.float32)
    np.testing.assert_array_equal(net.layer1[1](x).numpy(), x)
    assert not any(b.last_norm().weight.data.any() for b in (*net.layer1, *net.layer2))
    assert net.layer2[0].downsample[1].weight.data.all()


def test_googlenet_adds_its_auxiliary_losses_in_training_only() -> None:
    model = small("googlenet", dtype=np.float64)
    x, y = images("googlenet", dtype=np.float64), np.array([0, 3, 1, 2])
    scores = model(x)
    assert scores._fields == ("logits", "aux_logits2", "aux_logits1")
    main, second, first = (nn.functional.cross_entropy(s, y).item() for s in scores)
    assert loss_of(scores).item() == pytest.approx(main + 0.3 * (first + second), rel=1e-12)
    assert models.auxiliary_cross_entropy(scores, y, 0.0).item() == pytest.approx(main)
    scores = model.eval()(x)
    assert scores.shape == (4, 5)
    assert loss_of(scores).item() == nn.functional.cross_entropy(scores, y).item()


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


# ------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("googlenet", (1, 3, 14, 80), r"GoogLeNet: x \(1, 3, 14, 80\).* too small.*15×15 or more"),
        ("googlenet", (1, 1, 32, 32), r"GoogLeNet: .*has 1 channels, this model wants 3"),
        ("resnet18", (3, 32, 32), r"ResNet: x \(3, 32, 32\); images are \(N, C, H, W\): x\[None\]"),
        ("of 8×8", (4, 3, 8, 8), r"ResNet: .*has 3 channels, this model wants 1"),
    ],
)
def test_images_that_do_not_fit(name: str, shape: tuple[int, ...], message: str) -> None:
    model = small(name)
    before = model.state_dict()
    with pytest.raises(ShapeError, match=rf"{message}.*\(at .*test_nn_models_residual\.py"):
        model(np.zeros(shape, np.float32))
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


def test_images_may_be_as_small_as_the_message_says(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small("googlenet").eval()
    assert model(np.zeros((1, 3, 15, 15), np.float32)).shape == (1, 5)
    monkeypatch.setattr("graphgrad.nn.models.inception.SMALLEST", 1)
    with pytest.raises(ShapeError, match="max_pool2d"):
        model(np.zeros((1, 3, 14, 15), np.float32))
    assert small("resnet18").eval()(np.zeros((1, 3, 1, 1), np.float32)).shape == (1, 5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: models.ResNet(models.BasicBlock, ()), r"ResNet: layers=\(\)"),
        (lambda: models.ResNet(models.BasicBlock, (2, 0)), r"layers=\(2, 0\)"),
        (lambda: models.resnet18(width=0), r"ResNet: width=0"),
        (lambda: models.resnet18(width=1 / 32, channels=0), r"in_channels = 0 must be"),
        (lambda: models.resnet18(0, width=1 / 32), "Affine: out_features = 0 must"),
        (lambda: models.googlenet(width=-1), r"GoogLeNet: width=-1"),
        (lambda: models.googlenet(channels=1, transform_input=True), r"channels=1; transform_inp"),
        (lambda: models.googlenet(5, dropout=2.0, width=1 / 32), r"2\.0"),
        (lambda: Inception(4, (1, 2, 3)), r"channels=\(1, 2, 3\); six numbers"),
        (lambda: Inception(4, (1, 2, 3, 0, 5, 6)), r"six numbers above 0"),
    ],
)
def test_arguments_that_make_no_model(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize("block", [nn.Conv2d, "basic", nn.ReLU()])
def test_what_is_no_block(block: Any) -> None:
    with pytest.raises(DtypeError, match=r"ResNet: block=.*BasicBlock or Bottleneck"):
        models.ResNet(block, (1, 1))
