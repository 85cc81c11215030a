"""The book's SimpleConvNet on real digits: convolution, pooling, two affine layers.

python examples/simple_convnet.py [folder for the pictures]
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import graphgrad as gg
from graphgrad import data, nn, optim

EPOCHS, BATCH, LR, SEEDS = 15, 50, 2e-3, range(5)


def simple_convnet(rng: np.random.Generator) -> nn.models.SimpleConvNet:
    """30 filters of 3×3 with padding 1 (the images are 8×8), pooling, 100 hidden units."""
    return nn.models.SimpleConvNet((1, 8, 8), kernel_size=3, padding=1, rng=rng)


def accuracy(net: nn.Module, images: Any, digits: Any) -> float:
    """Return the share of images whose highest score is the right digit's."""
    with gg.no_grad():
        return float((net(images).argmax(axis=1) == digits).mean())


def learn(seed: int) -> tuple[nn.Module, dict[str, list[float]]]:
    """Learn four fifths of the digits; return the net, and the accuracies epoch by epoch."""
    train, test = data.load_digits(flatten=False, seed=seed)
    rng = np.random.default_rng(seed)
    net = simple_convnet(rng)
    optimizer = optim.Adam(net.parameters(), lr=LR)
    batches = data.Batches(train, BATCH, rng, prefetch=0)
    schedule = optim.CosineAnnealingLR(optimizer, EPOCHS * len(batches))
    curves: dict[str, list[float]] = {"training": [], "test": []}
    for _ in range(EPOCHS):
        for images, digits in batches:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images), digits).backward()
            optimizer.step()
            schedule.step()
        curves["training"].append(accuracy(net, *train))
        curves["test"].append(accuracy(net, *test))
    return net, curves


def plot(before: Any, after: Any, runs: list[dict[str, list[float]]], path: Path) -> None:
    """Draw the filters before and after learning, and the accuracies of all seeds."""
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    *parts, right = figure.subfigures(1, 3, width_ratios=(3, 3, 5), squeeze=False)[0]
    for part, filters, title in zip(parts, (before, after), ("before", "after"), strict=True):
        part.suptitle(f"The 30 filters {title} learning")
        limit = np.abs(filters).max()
        for axes, image in zip(part.subplots(6, 5).flat, filters[:, 0], strict=True):
            axes.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit)
            axes.set_axis_off()
    axes = right.subplots()
    epochs = np.arange(1, EPOCHS + 1)
    for number, curves in enumerate(runs):
        for name, colour, style in (("training", "#005A9C", "-"), ("test", "#B34700", "--")):
            label = name if number == 0 else None
            axes.plot(epochs, curves[name], style, color=colour, lw=1, label=label)
    axes.set(title=f"{len(runs)} seeds", xlabel="epoch", ylabel="share of digits recognised")
    axes.set_ylim(0.93, 1.002)
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


def main(folder: Path) -> None:
    """Learn with five seeds, and draw."""
    folder.mkdir(parents=True, exist_ok=True)
    print(nn.summary(simple_convnet(np.random.default_rng(0)), (1, 8, 8)))
    start = time.perf_counter()
    untrained = simple_convnet(np.random.default_rng(SEEDS[-1]))
    before = after = untrained.state_dict()["features.0.weight"]
    runs = []
    for seed in SEEDS:
        net, curves = learn(seed)
        after = net.state_dict()["features.0.weight"]
        runs.append(curves)
        print(f"seed {seed}: {curves['test'][-1]:.2%} of the test digits")
    mean = np.mean([curves["test"][-1] for curves in runs])
    print(f"mean of {len(runs)} seeds: {mean:.2%}, {time.perf_counter() - start:.1f} s")
    path = folder / "simple_convnet.png"
    plot(before, after, runs, path)
    print(f"drawn: {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
