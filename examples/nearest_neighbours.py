"""k nearest neighbours on digits: L1 and L2, k by validation and by five-fold cross-validation.

    python examples/nearest_neighbours.py [folder for the picture] [--data cifar10]

The distances are written out to be read; in earnest, use scikit-learn's KNeighborsClassifier.
nearest_neighbours.png: accuracy by k with its spread, and the digits that were mistaken.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphgrad import data
from graphgrad.viz import plots

KS = [1, 3, 5, 7, 10, 20, 50, 100]
FOLDS, MOST = 5, 2500  # all pairs are compared: more than so many images would take hours
CLASSES = {
    "digits": list("0123456789"),
    "cifar10": ["plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
}


def l1(images: Any, stored: Any) -> Any:
    """Return Σ |a − b| of each image (N, D) to each stored one (M, D), as (N, M)."""
    return np.stack([np.abs(stored - image).sum(axis=1) for image in images])


def l2(images: Any, stored: Any) -> Any:
    """Return √Σ (a − b)², (N, M): one matrix product, since (a − b)² = a² − 2ab + b²."""
    squares = (images**2).sum(axis=1)[:, None] + (stored**2).sum(axis=1)
    return np.sqrt(np.maximum(squares - 2 * images @ stored.T, 0))


DISTANCES = {"L1": l1, "L2": l2}


def nearest(distances: Any, k: int) -> Any:
    """Return which k stored images are nearest to each image, the nearest first, (N, k)."""
    return np.argsort(distances, axis=1, kind="stable")[:, :k]


def votes(distances: Any, labels: Any, ks: Sequence[int]) -> Any:
    """Return how many of the k nearest are of each class, for every k: (ks, N, classes)."""
    ballots = data.one_hot(labels[nearest(distances, max(ks))], int(labels.max()) + 1)
    return ballots.cumsum(axis=1)[:, np.subtract(ks, 1)].swapaxes(0, 1)


def predict(distances: Any, labels: Any, ks: Sequence[int]) -> Any:
    """Return the class with most votes, the smaller number in a tie, for every k: (ks, N)."""
    return votes(distances, labels, ks).argmax(axis=-1)


def shares(distances: Any, rest: data.Dataset, held: data.Dataset) -> Any:
    """Return the share of held images that the rest gets right, for every k."""
    ours = distances[np.ix_(held.images, rest.images)]
    return (predict(ours, rest.labels, KS) == held.labels).mean(axis=1)


def choose(train: data.Dataset, seed: int) -> dict[str, tuple[Any, Any]]:
    """Return for L1 and L2 the shares right: (ks,) on validation images, (folds, ks) on folds."""
    numbers = data.Dataset(np.arange(train.size), train.labels)
    once = data.split(numbers, 1 / FOLDS, rng=np.random.default_rng(seed))
    folds = list(data.k_folds(numbers, FOLDS, rng=np.random.default_rng(seed)))
    found = {}
    for name, distance in DISTANCES.items():
        between = distance(train.images, train.images)  # once; a fold is some rows and columns
        crossed = [shares(between, rest, held) for rest, held in folds]
        found[name] = shares(between, *once), np.array(crossed)
    return found


def best(found: dict[str, tuple[Any, Any]]) -> tuple[str, int]:
    """Return the distance and k with the highest mean over the folds."""
    means = np.array([crossed.mean(axis=0) for _, crossed in found.values()])
    row, column = np.unravel_index(means.argmax(), means.shape)
    return list(found)[row], KS[column]


def show_choice(axes: Any, found: dict[str, tuple[Any, Any]]) -> None:
    """Draw the share of every fold, and mean and standard deviation over the folds."""
    for number, (name, (_, crossed)) in enumerate(found.items()):
        colour, style = plots.curve_style(number)
        places = np.array(KS) * (0.97, 1.03)[number]  # side by side
        axes.plot(np.tile(places, (FOLDS, 1)), crossed, ".", color=colour, ms=4, alpha=0.5)
        mean, deviation = crossed.mean(axis=0), crossed.std(axis=0)
        axes.errorbar(places, mean, deviation, color=colour, ls=style, capsize=3, label=name)
    axes.set(title="Five-fold cross-validation", xlabel="k", ylabel="share recognised")
    axes.set_xscale("log")
    axes.set_xticks(KS, [str(k) for k in KS])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)


def show_confusion(axes: Any, tested: list[tuple[Any, Any]], classes: list[str]) -> None:
    """Draw which class was taken for which, the right ones left out."""
    counts = np.zeros((10, 10), int)
    for right, said in tested:
        np.add.at(counts, (right, said), 1)
    np.fill_diagonal(counts, 0)
    axes.imshow(counts, cmap=plots.AMOUNT, vmax=max(counts.max(), 1) * 1.5)
    for row, column in np.argwhere(counts):
        axes.text(column, row, counts[row, column], ha="center", va="center", fontsize=8)
    total = sum(len(right) for right, _ in tested)
    axes.set_title(f"{counts.sum()} errors on {total:,} test images")
    axes.set(xlabel="taken for", ylabel="is")
    axes.set_xticks(range(10), classes, rotation=90 * (len(classes[0]) > 1))
    axes.set_yticks(range(10), classes)


def draw(
    found: Any, sets: tuple[data.Dataset, data.Dataset], tested: Any, classes: Any, path: Path
) -> None:
    """Draw how k was chosen, all errors, and some of the first division with their neighbours."""
    train, test = sets
    figure = plots.figure(14, 4.6)
    left, middle, part = figure.subfigures(1, 3, width_ratios=(4, 3, 4), squeeze=False)[0]
    show_choice(left.subplots(), found)
    show_confusion(middle.subplots(), tested, classes)
    rows = np.argsort(np.equal(*tested[0]), kind="stable")[:5]
    name, _ = best(found)
    near = nearest(DISTANCES[name](test.images[rows], train.images), 5)
    images = np.concatenate([test.images[rows, None], train.images[near]], axis=1)
    titles = np.concatenate([test.labels[rows, None], train.labels[near]], axis=1)
    plots.show_images(
        part,
        images.reshape(-1, *((8, 8) if images.shape[-1] == 64 else (3, 32, 32))),
        titles=[classes[number] for number in titles.flat],
        columns=6,
        title="Left: test images, errors first; beside each its 5 nearest",
    )
    plots.save(figure, path)


def load(kind: str, files: Path | None, seed: int) -> tuple[data.Dataset, data.Dataset]:
    """Return training and test images (N, D) with their labels."""
    if kind == "digits":
        return data.load_digits(seed=seed)
    train, test = data.load_cifar10(flatten=True, folder=files)
    return train.take(slice(MOST)), test.take(slice(MOST))


def main(folder: Path, kind: str = "digits", files: Path | None = None) -> None:
    """Choose on training images, test once for each division, and draw."""
    folder.mkdir(parents=True, exist_ok=True)
    seeds = range(5) if kind == "digits" else range(1)
    sets = [load(kind, files, seed) for seed in seeds]
    choices = [choose(train, seed) for seed, (train, _) in zip(seeds, sets, strict=True)]
    print("         L1: validation, folds         L2: validation, folds")
    for column, k in enumerate(KS):
        cells = [
            f"{once[column]:6.2%}  {folds[:, column].mean():6.2%} ± {folds[:, column].std():.2%}"
            for once, folds in choices[0].values()
        ]
        print(f"k = {k:3}  {'      '.join(cells)}")
    tested = []
    for seed, (train, test), found in zip(seeds, sets, choices, strict=True):
        name, k = best(found)
        (said,) = predict(DISTANCES[name](test.images, train.images), train.labels, [k])
        tested.append((test.labels, said))
        share = (said == test.labels).mean()
        print(f"seed {seed}: {name}, k = {k}: {share:.2%} of the test images")
    mean = np.mean([right == said for right, said in tested])
    print(f"mean of {len(seeds)} seed{'s' * (len(seeds) > 1)}: {mean:.2%}")
    print("(one neighbour on all of CIFAR-10, say the CS231n notes: L1 38.6 %, L2 35.4 %)")
    path = folder / "nearest_neighbours.png"
    draw(choices[0], sets[0], tested, CLASSES[kind], path)
    print(f"drawn: {path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("demo_output"))
    parser.add_argument("--data", dest="kind", choices=CLASSES, default="digits")
    parser.add_argument("--files", type=Path, help="the folder of CIFAR-10, if not to be fetched")
    main(**vars(parser.parse_args()))
