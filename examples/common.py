"""What the training scripts share: arguments, data by name, and pictures of what was learned."""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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
    training: dict[str, float] = field(default_factory=dict)  # after learning

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


def start_small(weight: Any, std: float) -> Any:
    """Scale filters down to a standard deviation before they learn, and return a copy of them.

    Drawn as usual (He's is 0.47 for 3×3) they are so large that learning hardly changes how they
    look; after a small start all that is seen was learnt.
    """
    weight.data *= std / weight.data.std()
    return weight.data.copy()


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
    batches = data.Batches(train, BATCH, rng=rng, augment=data.Rotate(10))
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
            run.training = run.trainer.evaluate(run.trainer.batches.dataset)
            held = run.trainer.history["validation_accuracy"][-1]
            print(f"seed {seed}: validation {held:.2%}, test {run.test_accuracy:.2%}")
    except DownloadError as error:
        raise SystemExit(f"{error.message}; --files names a folder that has it") from error
    except StorageError as error:
        raise SystemExit(f"{error}\nhere: --resume, or another folder") from error
    mean = np.mean([run.test_accuracy for run in runs])
    print(f"mean of {len(runs)} seeds: {mean:.2%} of the test images")
    learning = np.mean([run.trainer.history["accuracy"][-1] for run in runs])
    reading = np.mean([run.training["accuracy"] for run in runs])
    print(f"training images: {learning:.2%} in the last epoch, while learning (they are turned a")
    print(f"little, and dropout is on where there is any); {reading:.2%} after it, without either")
    return runs


def draw_curves(runs: Sequence[Run], path: Path) -> None:
    """Draw loss and accuracy over the epochs, the seeds on top of one another.

    What is noted while learning is of turned images, of a model that changes, and with dropout.
    A diamond at the end is what the same images give after learning, without either.
    """
    figure = plots.figure(10, 3.8)
    losses, accuracies = figure.subplots(1, 2)
    for run in runs:
        history = run.trainer.history
        for axes, kind in ((losses, "loss"), (accuracies, "accuracy")):
            series = {
                "training, while learning": history[kind],
                "validation": history[f"validation_{kind}"],
            }
            share = kind == "accuracy"
            plots.show_curves(axes, series, kind, log=not share, percent=share)
    for axes, kind in ((losses, "loss"), (accuracies, "accuracy")):
        for line in axes.get_lines():
            line.set_linewidth(1)
        diamond: Any = {"marker": "D", "ms": 5, "ls": "", "color": plots.BLACK, "zorder": 3}
        ends = [run.trainer.history.epochs for run in runs]
        read = [run.training[kind] for run in runs]
        axes.plot(ends, read, **diamond, label="training, after learning")
        plots.tidy(axes)
    accuracies.set_ylim(max(0.0, accuracies.get_ylim()[0]), 1.005)
    print(f"drawn: {plots.save(figure, path)}")


def draw_filters(before: Any, after: Any, path: Path, title: str, columns: int = 10) -> None:
    """Draw filters, (N, C, H, W), before and after learning, all to one scale."""
    shown = [w if w.shape[1] in (1, 3) else w[:, :1] for w in (before, after)]
    limit = max(float(np.abs(w).max()) for w in shown)
    rows = -(-len(before) // columns)
    figure = plots.figure(11, 0.55 + rows * 5.5 / columns)
    parts: Any = figure.subfigures(1, 2)
    for part, filters, when in zip(parts, shown, ("before", "after"), strict=True):
        plots.show_images(part, filters, columns=columns, title=when, diverging=True, limit=limit)
    zero = "red above 0, blue below" if shown[0].shape[1] == 1 else "grey is 0"
    figure.suptitle(f"{title} ({zero}, one scale)")
    print(f"drawn: {plots.save(figure, path)}")


@dataclass
class Mistake:
    """A test image that was read wrong, and by how many of the networks tested with it."""

    image: Any
    label: int
    answers: list[int] = field(default_factory=list)
    tested: int = 0


def mistakes(runs: Sequence[Run]) -> list[Mistake]:
    """Find the test images that were read wrong, each once, the most often misread first.

    The digits are divided anew for each seed, so that an image is in some of the test sets only.
    """
    found: dict[bytes, Mistake] = {}
    tested: Counter[bytes] = Counter()
    for run in runs:
        keys = [image.tobytes() for image in run.test.images]
        tested.update(keys)
        read = nn.predict(run.model, run.test.images).argmax(axis=1)
        for i in np.flatnonzero(read != run.test.labels):
            mistake = Mistake(run.test.images[i], int(run.test.labels[i]))
            found.setdefault(keys[i], mistake).answers.append(int(read[i]))
    for key, mistake in found.items():
        mistake.tested = tested[key]
    return sorted(found.values(), key=lambda mistake: -len(mistake.answers))


def draw_mistakes(runs: Sequence[Run], path: Path, most: int = 40) -> None:
    """Draw each test image that was read wrong: the label, what it was taken for, how often."""
    found = mistakes(runs)
    if not found:
        print("no mistake to draw")
        return
    several = len(runs) > 1
    titles = []
    for mistake in found[:most]:
        answers = " or ".join(map(str, sorted(set(mistake.answers))))
        often = f"\nby {len(mistake.answers)} of {mistake.tested}" if several else ""
        titles.append(f"{mistake.label}, read {answers}{often}")
    title = f"{len(found)} test images were misread"
    title += f", {most} of them here" if len(found) > most else ""
    title += "; “by 2 of 3”: of the networks that were tested with it" if several else ""
    figure = plots.figure(10, 0.4 + (1.2 + 0.17 * several) * -(-len(titles) // 10))
    images = np.stack([mistake.image for mistake in found[:most]])
    plots.show_images(figure, images, titles, title=title)
    print(f"drawn: {plots.save(figure, path)}")
