"""Handwritten digits: loading them with the switches of Saito's book, showing and recognising them.

    python examples/showing_digits.py [folder for the pictures] [--data mnist] [--files FOLDER]

scikit-learn's real 8×8 digits are always there; MNIST's four files come from FOLDER, or are
downloaded once. The answers of a net in batches of 100 are those that it gives one by one.
showing_digits.png: images with their labels.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import graphgrad as gg
from graphgrad import data, errors, nn, optim
from graphgrad.viz import plots

BATCH = 100
EPOCHS = {"digits": 60, "mnist": 3}


def load(name: str, files: str | None = None, **switches: bool) -> Any:
    """Return (images, labels) for training and for the test."""
    return (
        data.load_mnist(**switches, folder=files)
        if name == "mnist"
        else data.load_digits(**switches)
    )


def tell_switches(name: str, files: str | None) -> None:
    """Print what each switch makes of the training set."""
    print("normalize flatten one_hot_label   images                     pixels        labels")
    names = "normalize", "flatten", "one_hot_label"
    for values in itertools.product((True, False), repeat=3):
        (images, labels), _ = load(name, files, **dict(zip(names, values, strict=True)))
        switches = "{!s:9} {!s:7} {!s:13}".format(*values)
        pixels = f"{images.min():g} … {images.max():g}"
        print(f"{switches}   {images.shape!s:16} {images.dtype!s:9} {pixels:12}  {labels.shape}")


def learn(train: data.Dataset, epochs: int) -> nn.Module:
    """Learn a net with 50 hidden units."""
    rng = np.random.default_rng(0)
    net = nn.Sequential(nn.Affine(train.images.shape[1], 50), nn.ReLU(), nn.Affine(50, 10))
    nn.init.initialize(net, nn.init.he_normal, rng=rng)
    batches = data.Batches(train, BATCH, rng=rng, prefetch=0)
    nn.Trainer(net, optim.Momentum(net.parameters(), lr=0.1), batches, progress=False).fit(epochs)
    return net.eval()


def one_by_one(net: nn.Module, images: Any) -> Any:
    """Recognise each image by itself."""
    with gg.no_grad():
        return np.array([net(image).numpy().argmax() for image in images])


def in_batches(net: nn.Module, images: Any) -> Any:
    """Recognise a hundred at a time: the product of matrices that a layer is takes any number."""
    starts = range(0, len(images), BATCH)
    with gg.no_grad():
        parts = [net(images[i : i + BATCH]).numpy().argmax(axis=1) for i in starts]
    return np.concatenate(parts)


def seconds(function: Callable[..., Any], *arguments: Any) -> float:
    """Return the shortest of three runs."""
    found = []
    for _ in range(3):
        start = time.perf_counter()
        function(*arguments)
        found.append(time.perf_counter() - start)
    return min(found)


def plot(images: Any, labels: Any, answers: Any, path: Path) -> None:
    """Draw the first thirty test digits, and up to thirty that were taken for another."""
    wrong = np.flatnonzero(answers != labels)[:30]
    rows = -(-len(wrong) // 10)
    figure = plots.figure(9, 1.15 * (3 + rows) + 0.6)
    parts: Any = figure.subfigures(2, 1, height_ratios=(3.3, rows + 0.3))
    plots.show_images(parts[0], images[:30], labels[:30], title="Test digits, and what they are")
    if rows:
        title = f"Recognised: {np.mean(answers == labels):.1%}; taken for another (true → answer):"
        names = [f"{labels[i]} → {answers[i]}" for i in wrong]
        plots.show_images(parts[1], images[wrong], names, title=title)
    plots.save(figure, path)


def main(arguments: list[str]) -> None:
    """Load, show, learn, recognise."""
    parser = argparse.ArgumentParser(description="Handwritten digits, shown and recognised.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("demo_output"))
    parser.add_argument("--data", choices=tuple(EPOCHS), default="digits")
    parser.add_argument("--files", help="a folder with MNIST's four files")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    try:
        train, test = load(options.data, options.files)
    except errors.DownloadError as error:
        sys.exit(f"{error.message};\nor do without MNIST: --data digits")
    print(f"{options.data}: {train.size} to learn, {test.size} for the test")
    tell_switches(options.data, options.files)

    net = learn(train, EPOCHS[options.data])
    answers, alone = in_batches(net, test.images), one_by_one(net, test.images)
    print(f"\n{np.mean(answers == test.labels):.2%} of the test digits recognised")
    print(f"answers one by one and in batches of {BATCH} that differ: {np.sum(answers != alone)}")
    ratio = seconds(one_by_one, net, test.images) / seconds(in_batches, net, test.images)
    print(f"one by one takes {ratio:.0f} times as long")
    _, (pictures, _) = load(options.data, options.files, flatten=False)
    path = options.folder / "showing_digits.png"
    plot(pictures, test.labels, answers, path)
    print(f"drawn: {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
