"""What the training scripts share: arguments, data by name, and pictures of what was learned."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphgrad import data, nn, optim
from graphgrad.errors import DownloadError, StorageError
from graphgrad.viz import plots

BATCH = 50
SETS = {
    "mnist": data.load_mnist,
    "fashion": data.load_fashion_mnist,
    "cifar10": data.load_cifar10,
}


@dataclass
class Run:
    """One training: what came out, and the first layer as it was before."""

    trainer: nn.Trainer
    filters_before: Any
    test: data.Dataset
    test_accuracy: float = 0.0

    @property
    def model(self) -> Any:
        """What was trained."""
        return self.trainer.model


def arguments(text: str, epochs: int) -> argparse.Namespace:
    """Read the command line; a data set is loaded by ``options.load(seed)``."""
    parser = argparse.ArgumentParser(description=text)
    add = parser.add_argument
    add("folder", type=Path, nargs="?", default=Path("demo_output"), help="for what is written")
    add("--data", choices=["digits", *SETS], default="digits")
    add("--files", type=Path, metavar="FOLDER", help="with the published files, if not fetched")
    add("--resume", action="store_true", help="go on from the newest checkpoints in the folder")
    add("--epochs", type=int, default=epochs)
    add("--seeds", type=int, help="how many trainings; 5 on digits, else 1")
    options = parser.parse_args()
    options.seeds = options.seeds or (5 if options.data == "digits" else 1)
    options.name = Path(parser.prog).stem
    options.folder.mkdir(parents=True, exist_ok=True)
    return options


def load(options: argparse.Namespace, seed: int) -> tuple[data.Dataset, data.Dataset]:
    """Return training and test images (N, C, H, W) from 0 to 1 with their labels."""
    if options.data == "digits":
        return data.load_digits(flatten=False, seed=seed)
    return SETS[options.data](flatten=False, folder=options.files)


def learn(
    options: argparse.Namespace,
    seed: int,
    model: nn.Module,
    train: data.Dataset,
    held: data.Dataset,
    *,
    lr: float,
    rng: np.random.Generator,
) -> nn.Trainer:
    """Learn slightly turned images by Adam, at a rate that falls along half a cosine to 0."""
    optimizer = optim.Adam(model.parameters(), lr=lr)
    batches = data.Batches(train, BATCH, rng, augment=data.Rotate(10))
    folder = options.folder / f"{options.name}_{options.data}" / f"seed {seed}"
    trainer = nn.Trainer(
        model,
        optimizer,
        batches,
        validation=held,
        schedule=optim.CosineAnnealingLR(optimizer, options.epochs * len(batches)),
        checkpoints=nn.Checkpoints(folder),
    )
    trainer.fit(options.epochs, resume=options.resume)
    return trainer


def learn_all(options: argparse.Namespace, learn: Callable[[Any, int], Run]) -> list[Run]:
    """Learn with each seed, and say what the test images were read as."""
    runs: list[Run] = []
    try:
        for seed in range(options.seeds):
            run = learn(options, seed)
            runs.append(run)
            if run.trainer.interrupted:
                raise SystemExit(f"goes on with --resume: {run.trainer.checkpoints}")
            run.test_accuracy = run.trainer.evaluate(run.test)["accuracy"]
            held = run.trainer.history["validation_accuracy"][-1]
            print(f"seed {seed}: validation {held:.2%}, test {run.test_accuracy:.2%}")
    except DownloadError as error:
        raise SystemExit(f"{error}; --files names a folder that has it") from error
    except StorageError as error:
        raise SystemExit(f"{error}\nhere: --resume, or another folder") from error
    mean = np.mean([run.test_accuracy for run in runs])
    print(f"mean of {len(runs)} seeds: {mean:.2%} of the test images")
    return runs


def draw_curves(runs: Sequence[Run], path: Path) -> None:
    """Draw loss and accuracy over the epochs, the seeds on top of one another."""
    figure = plots.figure(10, 3.8)
    losses, accuracies = figure.subplots(1, 2)
    for run in runs:
        history = run.trainer.history
        for axes, kind in ((losses, "loss"), (accuracies, "accuracy")):
            series = {"training": history[kind], "validation": history[f"validation_{kind}"]}
            share = kind == "accuracy"
            plots.show_curves(axes, series, kind, log=not share, percent=share)
    for line in (*losses.get_lines(), *accuracies.get_lines()):
        line.set_linewidth(1)
    accuracies.set_ylim(max(0.0, accuracies.get_ylim()[0]), 1.005)
    print(f"drawn: {plots.save(figure, path)}")


def draw_filters(before: Any, after: Any, path: Path, title: str, columns: int = 10) -> None:
    """Draw filters, (N, C, H, W), before and after learning."""
    shown = [w if w.shape[1] in (1, 3) else w[:, :1] for w in (before, after)]
    rows = -(-len(before) // columns)
    figure = plots.figure(11, 1.2 + 0.55 * rows)
    parts: Any = figure.subfigures(1, 2)
    for part, filters, when in zip(parts, shown, ("before", "after"), strict=True):
        plots.show_images(part, filters, columns=columns, title=when, diverging=True)
    figure.suptitle(title)
    print(f"drawn: {plots.save(figure, path)}")


def draw_mistakes(runs: Sequence[Run], path: Path, most: int = 40) -> None:
    """Draw test images that were read wrong: the label, and what they were taken for."""
    images, titles = [], []
    for run in runs:
        read = nn.predict(run.model, run.test.images).argmax(axis=1)
        for i in np.flatnonzero(read != run.test.labels):
            images.append(run.test.images[i])
            titles.append(f"{run.test.labels[i]}, read {read[i]}")
    if not images:
        print("no mistake to draw")
        return
    figure = plots.figure(10, 0.6 + 1.2 * -(-min(len(images), most) // 10))
    total = sum(run.test.size for run in runs)
    title = f"{len(images)} of {total:,} test images were read wrong"
    title += f", {most} of them here" if len(images) > most else ""
    plots.show_images(figure, np.stack(images[:most]), titles[:most], title=title)
    print(f"drawn: {plots.save(figure, path)}")
