"""Transfer learning: what a network learned of the digits 0 to 4 helps with 5 to 9.

    python examples/transfer_learning.py [folder for the picture]

The digits lie anywhere in images of 12×12. One network learns 0 to 4 from all their images, each in
four orientations, which are classes of their own: 20 in all. Its weights go into a file. Another
network reads them, gets a new head, and learns 5 to 9 from a few images, with its first layers
frozen or all of it learning on; and a third learns the same images from nothing.
transfer_learning.png: the fewer the images, the greater the gain.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from graphgrad import data, nn, optim
from graphgrad.viz import plots

SEEDS, SIZE = range(3), 12
FEW = (1, 5, 10)  # images of each digit
WAYS = ("from nothing", "first layers frozen", "all layers learn on")


def network(classes: int, rng: np.random.Generator) -> nn.Sequential:
    """Three convolutions, the strongest response of each feature wherever it is, and a head."""
    body = nn.Sequential(
        *(nn.Conv2d(1, 12, 3, padding=1, rng=rng), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(12, 24, 3, padding=1, rng=rng), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(24, 48, 3, padding=1, rng=rng), nn.ReLU(), nn.GlobalMaxPool2d()),
    )
    net = nn.Sequential({"body": body, "head": nn.Affine(48, classes, rng=rng)})
    nn.init.initialize(net, nn.init.he_normal, rng=rng)
    return net


def anywhere(images: Any, rng: np.random.Generator) -> Any:
    """Lay each image of 8×8 somewhere in a larger one."""
    out = np.zeros((len(images), 1, SIZE, SIZE), images.dtype)
    places = rng.integers(0, SIZE - 7, (len(images), 2))
    for canvas, image, (down, across) in zip(out, images, places, strict=True):
        canvas[:, down : down + 8, across : across + 8] = image
    return out


def turned(old: data.Dataset, rng: np.random.Generator) -> data.Dataset:
    """Make four classes of each: upright, and turned by one, two, three quarters."""
    images = [np.rot90(old.images, quarters, (2, 3)) for quarters in range(4)]
    labels = [old.labels + 5 * quarters for quarters in range(4)]
    # each at four places
    placed = [anywhere(image, rng) for _ in range(4) for image in images]
    return data.Dataset(np.concatenate(placed), np.concatenate(labels * 4))


def learn(net: nn.Module, samples: data.Dataset, steps: int, lr: float, rng: Any) -> nn.Trainer:
    """Learn for about so many steps, which become smaller and smaller."""
    batches = data.Batches(samples, min(50, len(samples.labels)), rng=rng, prefetch=0)
    learning = [p for p in net.parameters() if p.requires_grad]
    optimizer = optim.Adam(learning, lr=lr)
    epochs = max(1, steps // len(batches))
    schedule = optim.CosineAnnealingLR(optimizer, epochs * len(batches))
    trainer = nn.Trainer(net, optimizer, batches, schedule=schedule, progress=False)
    trainer.fit(epochs)
    return trainer


def compare(seed: int, folder: Path) -> tuple[Any, data.Dataset]:
    """Return the accuracies, ways by numbers of images, and the images of 5 to 9 learned from."""
    train, test = data.load_digits(flatten=False, seed=seed)
    rng = np.random.default_rng(seed)
    learned = network(20, rng)
    learn(learned, turned(train.take(train.labels < 5), rng), 600, 3e-3, rng)
    path = nn.save(learned, folder / "digits_0_to_4.safetensors")

    new, held = (
        data.Dataset(anywhere(part.images, rng), part.labels - 5)
        for part in (train.take(train.labels >= 5), test.take(test.labels >= 5))
    )
    found = np.empty((len(WAYS), len(FEW)))
    few = new
    for column, count in enumerate(FEW):
        few = new.take(np.concatenate([np.flatnonzero(new.labels == c)[:count] for c in range(5)]))
        for row, way in enumerate(WAYS):
            net = network(20, np.random.default_rng(seed))
            if way != "from nothing":
                net.load_state_dict(nn.load(path))
            if way == "first layers frozen":
                net["body"].freeze()
            net["head"] = nn.Affine(48, 5, rng=np.random.default_rng(seed))
            lr = 3e-3 if way == "all layers learn on" else 1e-2
            trainer = learn(net, few, 150, lr, np.random.default_rng(seed))
            found[row, column] = trainer.evaluate(held)["accuracy"]
    return found, few


def plot(found: Any, few: data.Dataset, path: Path) -> None:
    """Draw some of the images, and accuracy against the number of images."""
    figure = plots.figure(10, 4.2)
    left, right = figure.subfigures(1, 2, width_ratios=(4, 6), squeeze=False)[0]
    chosen = [np.flatnonzero(few.labels == c)[i] for i in range(5) for c in range(5)]
    plots.show_images(left, few.images[chosen], columns=5, title="Digits 5 to 9, anywhere")
    axes = right.subplots()
    series: dict[str, Any] = dict(zip(WAYS, found.mean(axis=0), strict=True))
    plots.show_curves(axes, series, x=FEW, percent=True, xlabel="images of each digit learned from")
    for number, runs in enumerate(found.transpose(1, 2, 0)):
        colour = plots.curve_style(number)[0]
        axes.fill_between(FEW, runs.min(axis=1), runs.max(axis=1), color=colour, alpha=0.12)
    axes.set(title=f"Test digits recognised: mean and range of {len(found)} seeds", xticks=FEW)
    plots.save(figure, path)


def main(folder: Path) -> None:
    """Compare the ways with several seeds."""
    folder.mkdir(parents=True, exist_ok=True)
    found = np.empty((len(SEEDS), len(WAYS), len(FEW)))
    few: Any = None
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as weights:
            found[seed], few = compare(seed, Path(weights))
        print(f"seed {seed}, 5 images of each: " + ", ".join(f"{a:.1%}" for a in found[seed, :, 1]))
    print(f"\n{'images of each of 5 to 9':26}" + "".join(f"{count:>16}" for count in FEW))
    for way, runs in zip(WAYS, found.transpose(1, 2, 0), strict=True):
        cells = [f"{100 * r.mean():.1f} ± {100 * r.std(ddof=1):.1f} %" for r in runs]
        print(f"{way:26}" + "".join(f"{cell:>16}" for cell in cells))
    gain = 100 * (found[:, 1] - found[:, 0]).mean(axis=0)
    print(f"frozen layers gain {gain[0]:.1f} points with 1 image of each, {gain[1]:.1f} with 5")
    path = folder / "transfer_learning.png"
    plot(found, few, path)
    print(f"drawn: {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
