"""Small changes leave a label true, and a classifier that has seen them withstands them.

    python examples/augmentation.py [folder for the pictures]

augmentation.png: ten real digits, and six ways to change them. The text compares a classifier that
has seen such changes with one that has not.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from graphgrad import data
from graphgrad.viz import plots

CHANGES: dict[str, Any] = {
    "shift by ±1 pixel": data.Shift(1),
    "crop 8×8, padded by 2": data.Crop(8, 8, padding=2),
    "flip, every other one": data.Flip(0.5),
    "brightness ±50 %": data.Brightness(0.5),
    "rotate by ±25°": data.Rotate(25),
    "scale by ±25 %": data.Scale(0.25),
}


def recognised(train: data.Dataset, test: data.Dataset) -> float:
    """Give each test digit the label of the training digit nearest to it; percent right."""
    a, b = (part.images.reshape(part.size, -1) for part in (test, train))
    squared = np.sum(b**2, axis=1) - 2 * a @ b.T  # less |a|², the same for all
    return 100 * float(np.mean(train.labels[squared.argmin(axis=1)] == test.labels))


def with_copies(train: data.Dataset, change: Any, rng: np.random.Generator) -> data.Dataset:
    """Add five changed copies of each image, with the label it has."""
    copies = [train.images, *(change(train.images, rng) for _ in range(5))]
    return data.Dataset(np.concatenate(copies), np.tile(train.labels, 6))


def plot(images: Any, path: Path) -> None:
    """Draw a digit in each column, and a change in each row."""
    rng = np.random.default_rng(3)
    rows = {"as they are": images} | {k: change(images, rng) for k, change in CHANGES.items()}
    figure = plots.figure(9.5, 6.1)
    title = "Small random changes; the labels stay true (but a mirrored 2 is none)"
    axes = plots.show_images(figure, np.concatenate(list(rows.values())), title=title)
    frames = axes.collections[0].get_paths()[:: len(images)]
    middles = np.array([np.mean(frame.get_extents().intervaly) for frame in frames])
    axes.set_yticks(middles, rows)
    axes.tick_params(length=0)
    plots.save(figure, path)


def main(folder: Path) -> None:
    """Change digits, see how many are still recognised, and draw."""
    folder.mkdir(parents=True, exist_ok=True)
    train, test = data.load_digits(flatten=False)
    rng = np.random.default_rng(0)
    print(f"nearest of {train.size} digits: {recognised(train, test):.1f} % of {test.size} right")
    print("test digits changed       trained on as they are   and on changed copies")
    for name, change in CHANGES.items():
        changed = data.Dataset(change(test.images, rng), test.labels)
        before = recognised(train, changed)
        after = recognised(with_copies(train, change, rng), changed)
        print(f"{name:24}  {before:14.1f} %  {after:20.1f} %")
    first = [int(np.flatnonzero(test.labels == digit)[0]) for digit in range(10)]
    path = folder / "augmentation.png"
    plot(test.images[first], path)
    print(f"drawn: {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
