"""Fully connected layers as convolutions: one pass over a large image equals all its windows."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphgrad import nn
from graphgrad.errors import DtypeError, ShapeError, UnsupportedError
from tests.builders import Refusals, refuses, seeded


def body(padding: int = 0) -> list[nn.Module]:
    rng = seeded()
    how: Any = {"stride": 2, "padding": padding, "dtype": np.float64, "rng": rng}
    return [nn.Conv2d(1, 3, 4, **how), nn.ReLU(), nn.Conv2d(3, 4, 3, **how), nn.ReLU()]


def head(inputs: int) -> list[nn.Module]:
    rng = seeded(1)
    norm = nn.BatchNorm1d(8, dtype=np.float64)
    norm.running_mean = nn.Buffer(rng.standard_normal(8))
    norm.running_var = nn.Buffer(rng.uniform(1, 2, 8))
    return [
        nn.Flatten(),
        nn.Dropout(0.5, rng=rng),
        nn.Affine(inputs, 8, rng=rng, dtype=np.float64),
        norm,
        nn.PReLU(8, dtype=np.float64),
        nn.Affine(8, 5, bias=False, rng=rng, dtype=np.float64),
        nn.Softmax(),
    ]


def windows(image: Any, size: int, stride: int) -> Any:
    starts = range(0, image.shape[-1] - size + 1, stride)
    cut = [image[:, :, i : i + size, j : j + size] for i in starts for j in starts]
    return np.concatenate(cut)


def map_and_windows(net: Any, *, size: int, image_size: int, stride: int) -> tuple[Any, Any]:
    image = seeded(2).standard_normal((1, 1, image_size, image_size))
    found = nn.to_convolution(net, (1, size, size))(image).numpy()[0]
    each = net(windows(image, size, stride)).numpy()
    places = 1 + (image_size - size) // stride
    return found, each.T.reshape(-1, places, places)


def pooled() -> list[nn.Module]:
    return [nn.Conv2d(1, 3, 3, rng=seeded(), dtype=np.float64), nn.MaxPool2d(2)]


@pytest.mark.parametrize(
    ("layers", "places", "size", "image_size", "stride"),
    [(body, 4 * 6 * 6, 28, 48, 4), (pooled, 3 * 5 * 5, 12, 20, 2)],
)
def test_one_pass_gives_the_scores_of_all_windows(
    layers: Any, places: int, size: int, image_size: int, stride: int
) -> None:
    """The lecture's 384 × 384 image under a network of 224 × 224, stride 32, made small.

    Its 6 × 6 map has the scores of the 36 windows.
    """
    net = nn.Sequential(*layers(), *head(places)).eval()
    found, each = map_and_windows(net, size=size, image_size=image_size, stride=stride)
    count = 1 + (image_size - size) // stride
    assert found.shape == (5, count, count)
    np.testing.assert_allclose(found, each, rtol=1e-12, atol=1e-14)
    assert each.std(axis=(1, 2)).min() > 1e-3, "the windows differ, so the test sees their order"


def test_with_zero_padding_the_windows_differ() -> None:
    """Around a window there are zeros, within the large image there are its neighbours."""
    net = nn.Sequential(*body(padding=1), *head(4 * 7 * 7)).eval()
    found, each = map_and_windows(net, size=28, image_size=48, stride=4)
    assert found.shape == each.shape
    assert np.abs(found - each).max() > 1e-3
    # For one image of the size it was made for nothing differs.
    found, each = map_and_windows(net, size=28, image_size=28, stride=4)
    np.testing.assert_allclose(found, each, rtol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_an_affine_there_and_back(bias: bool) -> None:
    affine = nn.Affine(2 * 3 * 4, 5, bias, rng=seeded())
    conv = nn.to_convolution(affine, (2, 3, 4))
    assert repr(conv) == f"Conv2d(2, 5, kernel_size=(3, 4){'' if bias else ', bias=False'})"
    x = seeded(1).standard_normal((6, 2, 3, 4)).astype(np.float32)
    expected = affine(x.reshape(6, -1)).numpy()
    np.testing.assert_allclose(conv(x).numpy()[..., 0, 0], expected, rtol=1e-5, atol=1e-6)
    assert conv.weight.dtype == np.float32
    again = nn.to_affine(conv)
    assert repr(again) == repr(affine)
    np.testing.assert_equal(again.state_dict(), affine.state_dict())


@pytest.mark.parametrize(
    ("shape", "how"),
    [
        ((2, 5, 4), {}),
        ((2, 5, 4), {"stride": (2, 1), "padding": (1, 0)}),
        ((2, 5, 4), {"padding": "same", "groups": 2}),
        ((2, 6, 5), {"dilation": 2, "bias": False}),
        ((2, 3, 2), {"padding": 1}),
        (None, {"dilation": (2, 1), "groups": 2}),  # the image is as large as the kernel
    ],
)
def test_a_convolution_is_a_large_affine_layer(shape: Any, how: Any) -> None:
    conv = nn.Conv2d(2, 4, (3, 2), **how, rng=seeded(), dtype=np.float64)
    affine = nn.to_affine(conv, shape)
    shape = shape or (2, 5, 2)
    x = seeded(1).standard_normal((3, *shape))
    expected = conv(x).numpy().reshape(3, -1)
    np.testing.assert_allclose(affine(x.reshape(3, -1)).numpy(), expected, 1e-12, 1e-12)
    assert set(np.unique(affine.weight.numpy())) <= {0.0, *conv.weight.numpy().ravel()}


def test_nothing_is_shared_and_modes_stay() -> None:
    net = nn.Sequential(*body(), nn.Flatten(), nn.Affine(144, 5, rng=seeded())).freeze()
    before = net.state_dict()
    net[0].training = False
    converted = nn.to_convolution(net, (1, 28, 28))
    assert [layer.training for layer in converted] == [False, *[True] * 4]
    assert not any(p.requires_grad for p in converted.parameters())
    for p in converted.parameters():
        p.data += 1
    np.testing.assert_equal(net.state_dict(), before)


def test_batch_normalisation_does_not_see_the_probe() -> None:
    """What goes through the body to learn its shapes leaves no trace in running statistics."""
    norm: Any = nn.BatchNorm2d(2)
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3, rng=seeded()), norm, nn.Flatten(), nn.Affine(18, 2, rng=seeded())
    )
    converted = nn.to_convolution(net, (1, 5, 5))
    for layer in (norm, converted[1]):
        assert layer.num_batches_tracked.item() == 0
        np.testing.assert_array_equal(layer.running_var.numpy(), [1, 1])


def test_sequences_within_sequences_and_names() -> None:
    rng = seeded()
    net = nn.Sequential(
        {
            "body": nn.Sequential(nn.Conv2d(1, 2, 3, rng=rng), nn.ReLU()),
            "flat": nn.Flatten(),
            "head": nn.Sequential(nn.Affine(18, 4, rng=rng), nn.Tanh(), nn.Affine(4, 3, rng=rng)),
        }
    )
    converted = nn.to_convolution(net, (1, 5, 5))
    assert [name for name, _ in converted.named_children()] == ["body", "head"]
    assert converted["head"][2].weight.shape == (3, 4, 1, 1)
    x = seeded(1).standard_normal((2, 1, 5, 5)).astype(np.float32)
    np.testing.assert_allclose(converted(x).numpy()[..., 0, 0], net(x).numpy(), 1e-5, 1e-6)


class Residual(nn.Module):
    def __init__(self) -> None:
        self.norm = nn.GroupNorm(1, 1)

    def forward(self, x: Any) -> Any:
        return x + self.norm(x)


def converted(*layers: nn.Module) -> Callable[[], Any]:
    return lambda: nn.to_convolution(nn.Sequential(*layers), (1, 4, 4))


FLATTEN, AFFINE = nn.Flatten(), nn.Affine(16, 3, rng=seeded())
FRACTION: Any = (1, 4.0, 4)
LOCAL = nn.LocallyConnected2d(1, 1, 4, 1)
REFUSED: Refusals = {
    ShapeError: {
        r'"1", .*takes 9 .* gets 16 from': converted(FLATTEN, nn.Affine(9, 2)),
        r"gets 32 from .*\(2, 4, 4\)": lambda: nn.to_convolution(AFFINE, (2, 4, 4)),
        r"\(4, 4\) must be \(C, H, W\)": lambda: nn.to_convolution(AFFINE, (4, 4)),
        "to_affine: .*give their shape": lambda: nn.to_affine(nn.Conv2d(1, 1, 3, padding=1)),
        r"has 1 channels, .* wants 3": converted(nn.Conv2d(3, 2, 3), FLATTEN, AFFINE),
    },
    DtypeError: {"4.0 must be a whole number": lambda: nn.to_convolution(AFFINE, FRACTION)},
    UnsupportedError: {
        "ReLU is neither": lambda: nn.to_convolution(nn.ReLU(), (1, 4, 4)),
        "no Flatten and Linear": converted(nn.ReLU()),
        r'"0", Linear\(4, 3\).*a Flatten is missing': converted(nn.Affine(4, 3)),
        "GroupNorm.*whole image": converted(Residual(), FLATTEN, AFFINE),
        "LocallyConnected2d.*one size": converted(LOCAL, FLATTEN, AFFINE),
        r'"0\.0", GlobalAvgPool2d\(\), .*whole image': converted(
            nn.Sequential(nn.GlobalAvgPool2d()), nn.Affine(1, 2)
        ),
        "over the channels": converted(nn.Softmax(), FLATTEN, AFFINE),
        r"Flatten\(start_dim=2\).*all axes but": converted(nn.Flatten(2), AFFINE),
        "Softmax.*only what goes element by": converted(FLATTEN, nn.Softmax(), AFFINE),
        "PReLU.*only what goes element by": converted(FLATTEN, nn.PReLU(16), AFFINE),
        '"2", LayerNorm': converted(FLATTEN, AFFINE, nn.LayerNorm(3)),
        "DropConnect": converted(FLATTEN, nn.DropConnect(16, 2)),
        "Linear is no Conv2d": lambda: nn.to_affine(AFFINE),  # type: ignore[arg-type]
    },
}


test_what_cannot_be_converted_is_named_and_why = refuses(
    {kind: {f"(?s){says}": call for says, call in calls.items()} for kind, calls in REFUSED.items()}
)
