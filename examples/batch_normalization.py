"""Batch normalisation forgives initial weights: 16 scales, with it and without.

    python examples/batch_normalization.py [folder for the pictures]

batch_normalization.png: a panel for each scale; without it only the largest ones learn.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import graphgrad as gg
from graphgrad import nn, optim
from graphgrad.viz import plots

SCALES = np.logspace(0, -4, 16)  # standard deviations of the initial weights
LAYERS, UNITS, IMAGES, BATCH, EPOCHS, LR = 5, 100, 1000, 100, 10, 0.1


def network(scale: float, *, normalise: bool, rng: np.random.Generator) -> nn.Sequential:
    """Five hidden layers of 100 units: affine, batch normalisation if wanted, ReLU."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip([64, *[UNITS] * (LAYERS - 1)], [UNITS] * LAYERS, strict=True):
        layers.append(nn.Affine(inputs, outputs, rng=rng))
        if normalise:
            layers.append(nn.BatchNorm1d(outputs))
        layers.append(nn.ReLU())
    layers.append(nn.Affine(UNITS, 10, rng=rng))
    for layer in layers:
        if isinstance(layer, nn.Affine) and layer.bias is not None:
            layer.weight.data = scale * rng.standard_normal(layer.weight.shape)
            layer.bias.data = np.zeros(layer.bias.shape)
    return nn.Sequential(*layers)


def learn(net: nn.Sequential, x: Any, labels: Any, rng: np.random.Generator) -> list[float]:
    """Return the accuracy on the training images, before learning and after each epoch."""
    optimizer = optim.SGD(net.parameters(), lr=LR)
    accuracies = []
    for epoch in range(EPOCHS + 1):
        for chosen in np.split(rng.permutation(len(x)), len(x) // BATCH) if epoch else []:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[chosen]), labels[chosen]).backward()
            optimizer.step()
        with gg.no_grad():
            scores = net.eval()(x)
        net.train()
        accuracies.append(float((scores.argmax(axis=1) == labels).mean()))
    return accuracies


def experiment(scales: Any) -> dict[float, tuple[list[float], list[float]]]:
    """For each scale learn with batch normalisation and without."""
    pixels, digit = load_digits(return_X_y=True)
    x, labels = np.float32(pixels[:IMAGES]) / 16, digit[:IMAGES]
    curves = {}
    for scale in scales:
        pair = []
        for normalise in (True, False):
            rng = np.random.default_rng(0)
            net = network(scale, normalise=normalise, rng=rng)
            with np.errstate(all="ignore"):  # without it, large weights overflow
                pair.append(learn(net, x, labels, rng))
        curves[float(scale)] = (pair[0], pair[1])
    return curves


def plot(curves: dict[float, tuple[list[float], list[float]]], path: Path) -> None:
    """Draw a panel for each scale."""
    figure = Figure(figsize=(11, 9), layout="constrained")
    panels = figure.subplots(4, 4, sharex=True, sharey=True)
    for axes, (scale, (with_it, without)) in zip(panels.flat, curves.items(), strict=True):
        epochs = range(len(with_it))
        axes.plot(epochs, with_it, color=plots.BLUE, lw=2, label="with batch normalisation")
        axes.plot(epochs, without, color=plots.ORANGE, lw=2, ls="--", label="without")
        axes.set_title(f"weights from N(0, {scale:.2g}²)", fontsize=10)
        axes.set(xlim=(0, EPOCHS), ylim=(0, 1.02))
        axes.yaxis.set_major_formatter("{x:.0%}")
        axes.set_xticks(range(0, EPOCHS + 1, 5))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    lines, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper center", ncols=2, frameon=False)
    figure.supxlabel("epoch")
    figure.supylabel(f"share of {IMAGES} training digits recognised")
    figure.savefig(path, dpi=110)


def main(folder: Path) -> None:
    """Print the last accuracies, and draw all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    curves = experiment(SCALES)
    print(f"accuracy on {IMAGES} training digits after {EPOCHS} epochs:")
    print("scale of the weights   with batch normalisation   without")
    for scale, (with_it, without) in curves.items():
        print(f"{scale:20.5f} {with_it[-1]:26.1%} {without[-1]:9.1%}")
    for number, name in enumerate(("with it", "without")):
        learnt = sum(pair[number][-1] >= 0.9 for pair in curves.values())
        print(f"{name}: {learnt} of {len(curves)} scales reach 90 %")
    path = folder / "batch_normalization.png"
    plot(curves, path)
    print(f"{time.perf_counter() - start:.1f} s; drawn: {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
