"""GoogLeNet and ResNet beside the same networks in plain PyTorch, of reduced width."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.parity.test_models import Twins, assert_twins_agree, every_dtype, made  # noqa: E402

t: Any = torch.nn


class Torch(t.Module):  # type: ignore[misc]
    """A module whose parts are given by name, and its way through them by a function."""

    def __init__(self, way: Callable[[Any, Any], Any], **parts: Any) -> None:
        super().__init__()
        self.way = way
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Any) -> Any:
        return self.way(self, x)


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> Any:
    return t.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


def block(inputs: int, planes: int, stride: int, expansion: int) -> Any:
    """A residual block; with expansion 4 a bottleneck."""
    outputs = planes * expansion
    kernels = [(3, stride), (3, 1)] if expansion == 1 else [(1, 1), (3, stride), (1, 1)]
    parts, before = {}, inputs
    for number, (kernel, step) in enumerate(kernels, 1):
        after = outputs if number == len(kernels) else planes
        parts[f"conv{number}"] = conv(before, after, kernel, step)
        parts[f"bn{number}"] = t.BatchNorm2d(after)
        before = after
    if stride != 1 or inputs != outputs:
        parts["downsample"] = t.Sequential(conv(inputs, outputs, 1, stride), t.BatchNorm2d(outputs))

    def way(self: Any, x: Any) -> Any:
        y = x
        for number in range(1, len(kernels) + 1):
            y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
            y = y if number == len(kernels) else y.relu()
        return (y + (self.downsample(x) if "downsample" in parts else x)).relu()

    return Torch(way, **parts)


def resnet(counts: tuple[int, ...], expansion: int) -> Any:
    """4 channels in the first stage instead of 64."""
    parts: dict[str, Any] = {"conv1": conv(3, 4, 7, 2), "bn1": t.BatchNorm2d(4)}
    inputs = 4
    for number, count in enumerate(counts):
        planes = 4 * 2**number
        blocks = []
        for i in range(count):
            blocks.append(block(inputs, planes, 2 if i == 0 and number else 1, expansion))
            inputs = planes * expansion
        parts[f"layer{number + 1}"] = t.Sequential(*blocks)
    parts["fc"] = t.Linear(inputs, 7)

    def way(self: Any, x: Any) -> Any:
        x = t.functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
        for number in range(len(counts)):
            x = getattr(self, f"layer{number + 1}")(x)
        return self.fc(x.mean((2, 3)))

    return Torch(way, **parts)


def normalised(inputs: int, outputs: int, kernel: int, stride: int = 1) -> Any:
    return Torch(
        lambda self, x: self.bn(self.conv(x)).relu(),
        conv=conv(inputs, outputs, kernel, stride),
        bn=t.BatchNorm2d(outputs, eps=0.001),
    )


def inception(inputs: int, *counts: int) -> Any:
    one, before_three, three, before_five, five, pooled = counts
    return Torch(
        lambda self, x: torch.cat([getattr(self, f"branch{i}")(x) for i in (1, 2, 3, 4)], 1),
        branch1=normalised(inputs, one, 1),
        branch2=t.Sequential(
            normalised(inputs, before_three, 1), normalised(before_three, three, 3)
        ),
        branch3=t.Sequential(normalised(inputs, before_five, 1), normalised(before_five, five, 3)),
        branch4=t.Sequential(t.MaxPool2d(3, 1, 1), normalised(inputs, pooled, 1)),
    )


def auxiliary(inputs: int) -> Any:
    return Torch(
        lambda self, x: self.fc2(
            self.fc1(self.conv(t.functional.adaptive_avg_pool2d(x, 4)).flatten(1)).relu()
        ),
        conv=normalised(inputs, 8, 1),
        fc1=t.Linear(128, 64),
        fc2=t.Linear(64, 7),
    )


def googlenet() -> Any:
    """1/16 of the width, as table 1 of the paper divided by 16; dropout of 0."""
    counts = {
        "3a": (4, 6, 8, 1, 2, 2),
        "3b": (8, 8, 12, 2, 6, 4),
        "4a": (12, 6, 13, 1, 3, 4),
        "4b": (10, 7, 14, 2, 4, 4),
        "4c": (8, 8, 16, 2, 4, 4),
        "4d": (7, 9, 18, 2, 4, 4),
        "4e": (16, 10, 20, 2, 8, 8),
        "5a": (16, 10, 20, 2, 8, 8),
        "5b": (24, 12, 24, 3, 8, 8),
    }
    parts = {"conv1": normalised(3, 4, 7, 2), "conv2": normalised(4, 4, 1)}
    parts["conv3"] = normalised(4, 12, 3)
    inputs, outputs = 12, {}
    for name, numbers in counts.items():
        parts[f"inception{name}"] = inception(inputs, *numbers)
        inputs = outputs[name] = numbers[0] + numbers[2] + numbers[4] + numbers[5]
    parts["aux1"], parts["aux2"] = auxiliary(outputs["4a"]), auxiliary(outputs["4d"])
    parts["fc"] = t.Linear(inputs, 7)

    def halved(x: Any, kernel: int = 3) -> Any:
        return t.functional.max_pool2d(x, kernel, 2, ceil_mode=True)

    def way(self: Any, x: Any) -> Any:
        x = halved(self.conv3(self.conv2(halved(self.conv1(x)))))
        a = self.inception4a(halved(self.inception3b(self.inception3a(x))))
        d = self.inception4d(self.inception4c(self.inception4b(a)))
        x = self.inception5b(self.inception5a(halved(self.inception4e(d), 2)))
        logits = self.fc(x.mean((2, 3)))
        return (logits, self.aux2(d), self.aux1(a)) if self.training else logits

    return Torch(way, **parts)


TWINS = {
    "googlenet": Twins(
        made("googlenet", 1 / 16, dropout=0.0, dropout_aux=0.0), googlenet, (3, 40, 33)
    ),
    "resnet18": Twins(made("resnet18", 1 / 16), lambda: resnet((2, 2, 2, 2), 1), (3, 40, 33)),
    "resnet34": Twins(made("resnet34", 1 / 16), lambda: resnet((3, 4, 6, 3), 1), (3, 40, 40)),
    "resnet50": Twins(made("resnet50", 1 / 16), lambda: resnet((3, 4, 6, 3), 4), (3, 40, 40)),
}


@every_dtype
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("name", TWINS)
def test_twins_agree(name: str, training: bool, dtype: Any, tmp_path: Path) -> None:
    assert_twins_agree(TWINS[name], training, dtype, tmp_path)
