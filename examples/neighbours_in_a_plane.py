"""What nearest neighbours see: regions in a plane, and how far apart two images are by pixels.

    python examples/neighbours_in_a_plane.py [folder for the picture]

neighbours_in_a_plane.png: one neighbour leaves islands around stray points, five do not; below, a 9
shifted by a pixel, dimmed, and under a box, each farther from the 9 than another digit is.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from sklearn.neighbors import KNeighborsClassifier

from graphgrad import data
from graphgrad.viz import plots

DIGITS, POINTS = (3, 5, 8), 150
SIZE, TIE = 200, 3


def regions(points: Any, labels: Any, grid: Any, k: int) -> Any:
    """Return the class that most of the k nearest points have, TIE where two share the lead."""
    shares = KNeighborsClassifier(k).fit(points, labels).predict_proba(grid)
    leaders = shares == shares.max(axis=1, keepdims=True)
    return np.where(leaders.sum(axis=1) > 1, TIE, shares.argmax(axis=1))


def look_alikes(image: Any, others: Any) -> tuple[Any, list[float]]:
    """Return an 8×8 image, three changed ones equally far from it, and the nearest of the others.

    As far as a shift by one pixel moves it (L2), the second is dimmed, and the third gets a
    box of one grey g for 16 pixels p: Σ (g − p)² is that distance squared.
    """
    shifted = np.roll(image, 1, axis=1)
    distance = np.linalg.norm(shifted - image)
    dimmed = image * (1 - distance / np.linalg.norm(image))
    boxed, box = image.copy(), image[2:6, 2:6]
    boxed[2:6, 2:6] = box.mean() - np.sqrt(distance**2 / box.size - box.var())
    other = others[((others - image) ** 2).sum(axis=(1, 2)).argmin()]
    shown = np.stack([image, shifted, dimmed, boxed, other])
    return shown, [float(np.linalg.norm(each - image)) for each in shown]


def show_plane(parts: Any, train: data.Dataset) -> None:
    """Draw three digits as points of a plane, and who has the say around them."""
    kept = train.take(np.isin(train.labels, DIGITS)).take(slice(POINTS))
    points = data.PCA(2).fit(kept.images)(kept.images)
    labels = np.searchsorted(DIGITS, kept.labels)
    low, high = points.min() - 0.2, points.max() + 0.2
    ticks = np.linspace(low, high, SIZE)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    titles = {
        0: f"{POINTS} digits by two numbers (PCA)",
        1: "The nearest neighbour",
        5: "5 nearest neighbours; ties white",
    }
    for axes, (k, title) in zip(parts, titles.items(), strict=True):
        if k:
            region = regions(points, labels, grid, k).reshape(SIZE, SIZE)
            extent, paint = (low, high, low, high), ListedColormap([*plots.AREAS, plots.PAPER])
            how: Any = {"vmin": 0, "vmax": TIE, "origin": "lower", "alpha": plots.PALE}
            axes.imshow(region, cmap=paint, extent=extent, **how)
        for number, (digit, colour) in enumerate(zip(DIGITS, plots.AREAS, strict=True)):
            own = points[labels == number]
            axes.plot(*own.T, "os^"[number], color=colour, ms=3.5, label=f"{digit}")
        axes.set(title=title, xlim=(low, high), ylim=(low, high), aspect="equal")
        axes.set(xticks=[], yticks=[])
    parts[0].legend(title="digit", loc="upper left")


def main(folder: Path) -> None:
    """Draw both, and print the distances."""
    folder.mkdir(parents=True, exist_ok=True)
    train, _ = data.load_digits()
    figure = plots.figure(11, 6.6)
    upper, lower = figure.subfigures(2, 1, height_ratios=(5, 3), squeeze=False)[:, 0]
    show_plane(upper.subplots(1, 3), train)
    images = train.images.reshape(-1, 8, 8)
    shown, distances = look_alikes(images[4], images[train.labels != train.labels[4]])
    names = [
        f"a {train.labels[4]}",
        "shifted by a pixel",
        "dimmed",
        "under a box",
        "nearest of another class",
    ]
    titles = [f"{name}\nL2 = {d:.2f}" for name, d in zip(names, distances, strict=True)]
    plots.show_images(
        lower,
        shown,
        titles=titles,
        columns=5,
        title=f"How far from the {train.labels[4]} each is by L2",
    )
    for name, distance in zip(names, distances, strict=True):
        print(f"{name:24} {distance:.3f}")
    path = folder / "neighbours_in_a_plane.png"
    plots.save(figure, path)
    print(f"drawn: {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
