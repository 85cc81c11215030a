"""Convolution and pooling in numbers, and a real digit through edge filters and poolings.

    python examples/convolution.py [folder for the picture]

convolution.png: what two edge filters see in a 0, and four ways to halve the map.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import graphgrad as gg
from graphgrad import nn
from graphgrad.viz import plots

F = nn.functional
ACROSS = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])  # answers to changes from left to right
SMALL = np.array([[1.0, 2, 1, 0], [0, 1, 2, 3], [3, 0, 1, 2], [2, 4, 0, 1]])[None]
POOLS: dict[str, Any] = {
    "maximum, 2×2": lambda x: F.max_pool2d(x, 2),
    "mean, 2×2": lambda x: F.avg_pool2d(x, 2),
    "length (L2), 2×2": lambda x: F.lp_pool2d(x, 2, 2),
    "maximum, 3×3, stride 2": lambda x: F.max_pool2d(x, 3, 2, 1),
}


def sizes() -> None:
    """Print what layers make of images, beside (W − F + 2P) / S + 1."""
    print(f"{'layer':40} {'input':13} {'output':12} by formula  parameters")
    for size, layer in (
        (7, nn.Conv2d(1, 1, 3)),
        (7, nn.Conv2d(1, 1, 3, stride=2)),
        (7, nn.Conv2d(1, 1, 3, padding=1)),
        (7, nn.Conv2d(1, 1, 3, dilation=2)),
        (227, nn.Conv2d(3, 96, 11, stride=4)),
        (14, nn.Conv2d(64, 16, 1)),
        (14, nn.Conv2d(64, 16, 3)),
        (14, nn.Conv2d(64, 16, 3, groups=4)),
    ):
        window = layer.dilation[0] * (layer.kernel_size[0] - 1) + 1
        expected = (size - window + 2 * layer.padding[0]) // layer.stride[0] + 1
        y = layer(np.zeros((1, layer.in_channels, size, size), np.float32))
        before, after = (
            f"{size}×{size}×{layer.in_channels}",
            f"{y.shape[2]}×{y.shape[3]}×{y.shape[1]}",
        )
        count = sum(p.size for p in layer.parameters())
        print(f"{layer!r:40} {before:13} {after:12} {expected:10} {count:11,}")


def pooled() -> None:
    """Print the poolings of sixteen numbers, and where the gradient of each goes."""
    print(f"pooling of\n{SMALL[0]}")
    for name, pool in POOLS.items():
        slope = gg.grad(lambda x, pool=pool: pool(x).sum())(SMALL)
        print(
            f"{name}: {np.round(pool(SMALL)[0], 2).tolist()}, the gradient of their sum\n{slope[0]}"
        )


def edges(image: Any) -> Any:
    """Return changes from left to right, and from top to bottom."""
    filters = np.stack([ACROSS, ACROSS.T])[:, None]
    return F.conv2d(image[None, None], filters, padding=1)[0]


def show(axes: Any, image: Any, title: str, below: str = "", *, signed: bool = False) -> None:
    """Draw an image, its numbers written in where they are few."""
    limit = np.abs(image).max()
    scale, least = (plots.SIGNED, -limit) if signed else (plots.INK, 0)
    axes.imshow(image, cmap=scale, vmin=least, vmax=limit)
    axes.set(title=title, xticks=[], yticks=[])
    axes.set_xlabel(below, family="monospace")
    if image.size <= 16:
        for (i, j), value in np.ndenumerate(image):
            dark = value > 0.5 * limit
            ink = plots.PAPER if dark else plots.BLACK
            axes.text(j, i, f"{value:.0f}", ha="center", va="center", color=ink)


def plot(image: Any, path: Path) -> None:
    """Draw the digit, its edges, and the edges pooled."""
    figure = Figure(figsize=(11, 6.4))
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.1)
    grid = figure.subplots(2, 4)
    across, down = edges(image)
    rises = F.relu(across)
    rows = [
        "\n".join(" ".join(f"{plots.number(v):>2}" for v in row) for row in k)
        for k in (ACROSS, ACROSS.T)
    ]
    show(grid[0, 0], image, "a digit, 8×8")
    show(grid[0, 1], across, "left to right: red rises, blue falls", rows[0], signed=True)
    show(grid[0, 2], down, "top to bottom, the same", rows[1], signed=True)
    show(grid[0, 3], rises, "relu of left to right: rises")
    for axes, (name, pool) in zip(grid[1], POOLS.items(), strict=True):
        show(axes, pool(rises[None])[0], f"rises: {name}")
    figure.savefig(path, dpi=120)


def main(folder: Path) -> None:
    """Print sizes and poolings, draw."""
    sizes()
    pooled()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "convolution.png"
    pixels, _ = load_digits(return_X_y=True)
    plot(pixels[0].reshape(8, 8), path)
    print(f"drawn: {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
