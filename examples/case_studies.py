"""Networks that made history: what they are made of, layer by layer, and how they compare.

    python examples/case_studies.py [folder for the pictures]

case_studies.png: parameters, activations and multiplications of LeNet-5 to ResNet. The text holds
the table of VGG-16, layer by layer, and one real forward and backward pass.
"""

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from graphgrad import nn
from graphgrad.nn.modules.summary import Summary
from graphgrad.viz import plots

IMAGE = (3, 224, 224)
MODELS: dict[str, tuple[int, Callable[[], nn.Module], tuple[int, ...]]] = {
    "LeNet-5": (1998, nn.models.LeNet5, (1, 32, 32)),
    "AlexNet": (2012, nn.models.alexnet, IMAGE),
    "ZFNet": (2013, nn.models.zfnet, IMAGE),
    "VGG-11": (2014, lambda: nn.models.vgg11(init_weights=False), IMAGE),
    "VGG-16": (2014, lambda: nn.models.vgg16(init_weights=False), IMAGE),
    "VGG-19": (2014, lambda: nn.models.vgg19(init_weights=False), IMAGE),
    "GoogLeNet": (2014, lambda: nn.models.googlenet(aux_logits=False), IMAGE),  # as in use
    "ResNet-18": (2015, nn.models.resnet18, IMAGE),
    "ResNet-34": (2015, nn.models.resnet34, IMAGE),
    "ResNet-50": (2015, nn.models.resnet50, IMAGE),
    "SimpleConvNet": (2016, nn.models.SimpleConvNet, (1, 28, 28)),
    "DeepConvNet": (2016, nn.models.DeepConvNet, (1, 28, 28)),
}
MEASURES = ("parameters", "activations", "multiply-adds")


def compare_with_the_notes(table: Summary) -> None:
    """Add up the lines of VGG-16 that the table of the CS231n notes has too."""
    kinds = {"Conv2d", "MaxPool2d", "Linear"}
    made = sum(row.activations for row in table.rows if row.kind in kinds)
    total = made + math.prod(IMAGE)
    print(f"the image, convolutions, pooling and affine layers of VGG-16: {total:,} activations,")
    print(f"{4 * total / 1e6:.0f} MB; the CS231n notes have a line for each of these, and end in")
    print("24M and 93 MB, which is a slip: their lines add up to the former\n")


def there_and_back() -> None:
    """Send one small image through VGG-16, and the gradient of its loss back."""
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    net = nn.models.vgg16(rng=rng)
    drawn = time.perf_counter()
    image = rng.standard_normal((1, 3, 32, 32), np.float32)
    loss = nn.functional.cross_entropy(net(image), np.array([0]))
    loss.backward()
    count = sum(p.grad.size for p in net.parameters())
    print(f"\nVGG-16 with initial values, drawn in {drawn - start:.1f} s, and an image of 32×32:")
    print(f"loss {loss.item():.3f}, ln 1000 = {math.log(1000):.3f}; ", end="")
    print(f"gradients of {count:,} parameters in {time.perf_counter() - drawn:.1f} s")


def short(count: float) -> str:
    """Write 138,357,544 as 138 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:g}"


def plot(sizes: dict[str, tuple[int, ...]], path: Path) -> None:
    """Draw a bar for each model and measure, on logarithmic scales."""
    figure = Figure(figsize=(13, 5), layout="constrained")
    names = [f"{name} ({MODELS[name][0]})" for name in sizes]
    columns = zip(*sizes.values(), strict=True)
    parts = figure.subplots(1, 3, sharey=True)
    titles = ("Parameters", "Activations of an image", "Multiply-adds for an image")
    for axes, title, values in zip(parts, titles, columns, strict=True):
        bars = axes.barh(names, values, color=plots.BLUE, height=0.7)
        axes.bar_label(bars, [short(value) for value in values], padding=4, fontsize=9)
        axes.set_xscale("log")
        axes.set_xlim(min(values) / 3, max(values) * 8)
        axes.set_title(title)
        axes.grid(axis="x", alpha=0.25)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    parts[0].invert_yaxis()
    figure.savefig(path, dpi=110)


def main(folder: Path) -> None:
    """Print the table of each model and the comparison, and draw it."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes: dict[str, tuple[int, ...]] = {}
    for name, (year, make, shape) in MODELS.items():
        table = nn.summary(make(), shape)  # the model is gone before the next one is made
        print(f"{name}, {year}\n{table}\n")
        sizes[name] = (table.parameters, table.activations, table.multiply_adds)
        if name == "VGG-16":
            compare_with_the_notes(table)
    print(f"{'':14}{MEASURES[0]:>13}{MEASURES[1]:>13}{MEASURES[2]:>16}")
    for name, (parameters, activations, work) in sizes.items():
        print(f"{name:14}{parameters:13,}{activations:13,}{work:16,}")
    there_and_back()
    path = folder / "case_studies.png"
    plot(sizes, path)
    print(f"drawn: {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
