"""Centring, scaling, decorrelating and whitening a cloud, and digits by their main axes.

    python examples/preprocessing.py [folder for the pictures]

Every number comes from the training half and is then applied to both. preprocessing.png: the cloud
after each step. digits_by_few_numbers.png: digits rebuilt from 2, 8, 20 of their 64 numbers.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from graphgrad import data
from graphgrad.viz import plots

STEPS: dict[str, Any] = {
    "mean subtracted": data.Center(),
    "and scaled": data.Standardize(),
    "turned onto its axes (PCA)": data.PCA(),
    "whitened": data.Whiten(epsilon=0),
}
KEPT = (2, 8, 20, 64)


def cloud(rng: np.random.Generator) -> Any:
    """Draw 600 points of a slanting cloud away from the origin."""
    return rng.standard_normal((600, 2)) @ [[2.4, 1.3], [0.0, 0.6]] + [4, 3]


def plot_clouds(clouds: dict[str, Any], half: int, path: Path) -> None:
    """Draw the cloud after each step, all to one scale, training and test points."""
    figure = Figure(figsize=(15, 2.9), layout="constrained")
    grid = figure.subplots(1, len(clouds), sharex=True, sharey=True)
    for ax, (name, points) in zip(grid, clouds.items(), strict=True):
        ax.axhline(0, color=plots.GUIDE, lw=0.8)
        ax.axvline(0, color=plots.GUIDE, lw=0.8)
        ax.scatter(*points[:half].T, s=5, color=plots.BLUE, label="training")
        ax.scatter(*points[half:].T, s=5, color=plots.ORANGE, label="test")
        ax.set(title=name, aspect="equal", xlim=(-11, 11.5), ylim=(-5.5, 8.5))
        ax.spines[["top", "right"]].set_visible(False)
    grid[0].legend(frameon=False, loc="lower right", markerscale=2)
    figure.suptitle("Points (x, y), prepared as the training half asks for; all to one scale")
    figure.savefig(path, dpi=120)


def plot_digits(images: Any, few: dict[str, Any], axes_of_pca: Any, path: Path) -> None:
    """Draw digits from few numbers each, and the axes that the numbers are along."""
    figure = Figure(figsize=(9.5, 5.4), layout="constrained")
    rows = {"10 main axes\n(red +, blue −)": axes_of_pca, "64 pixels": images, **few}
    grid = figure.subplots(len(rows), len(images))
    for axes, (name, pictures) in zip(grid, rows.items(), strict=True):
        signed = pictures is axes_of_pca
        for ax, picture in zip(axes, pictures, strict=True):
            largest = np.abs(picture).max() if signed else 1
            colours = plots.SIGNED if signed else plots.INK
            ax.imshow(picture.reshape(8, 8), cmap=colours, vmin=-largest * signed, vmax=largest)
            ax.set(xticks=[], yticks=[])
        axes[0].set_ylabel(name, rotation=0, ha="right", va="center")
    figure.suptitle("Test digits rebuilt from few numbers, along axes of the training digits")
    figure.savefig(path, dpi=120)


def main(folder: Path) -> None:
    """Fit to training data, show what the numbers become, draw."""
    folder.mkdir(parents=True, exist_ok=True)
    points, half = cloud(np.random.default_rng(0)), 300
    clouds = {"as it came": points}
    clouds |= {name: step.fit(points[:half])(points) for name, step in STEPS.items()}
    print("of the training half:        mean      covariance xx, xy, yy     mean of the test half")
    for name, moved in clouds.items():
        covariance = np.cov(moved[:half].T, bias=True)[np.triu_indices(2)]  # xx, xy, yy
        numbers = [moved[:half].mean(axis=0), covariance, moved[half:].mean(axis=0)]
        columns = (" ".join(f"{x:6.2f}" for x in np.round(part, 2) + 0.0) for part in numbers)
        print(f"{name:26}", "    ".join(columns))
    plot_clouds(clouds, half, folder / "preprocessing.png")

    train, test = data.load_digits()
    few = {}
    for n in KEPT:
        pca = data.PCA(n).fit(train.images)
        rebuilt = pca.inverse(pca(test.images))
        lost = np.sum((rebuilt - test.images) ** 2)
        share = 100 * (1 - lost / np.sum((test.images - pca.mean) ** 2))
        print(f"{n:2} of 64 numbers keep {share:5.1f} % of the variance of the test digits")
        few[f"from {n} numbers"] = rebuilt
    first = [int(np.flatnonzero(test.labels == digit)[0]) for digit in range(10)]
    few = {name: images[first] for name, images in few.items()}
    axes_of_pca = data.PCA(10).fit(train.images).axes
    plot_digits(test.images[first], few, axes_of_pca, folder / "digits_by_few_numbers.png")
    print(f"drawn: {folder / 'preprocessing.png'}, {folder / 'digits_by_few_numbers.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
