"""Four ways to a few more digits: several seeds, checkpoints of one run, averaged parameters.

    python examples/ensembles.py [folder for the picture]

ensembles.png: five networks that decide together do better than most of them alone.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from graphgrad import data, nn, optim
from graphgrad.viz import plots

EPOCHS, BATCH, LR = 30, 25, 2e-2
MEMBERS, SPLITS = 5, range(5)
WAYS = ("one network", "mean of 5 checkpoints of it", "its running average", "5 networks")


def network(rng: np.random.Generator) -> nn.Module:
    """Two affine layers with initial values of their own."""
    hidden, scores = nn.Affine(64, 50, rng=rng), nn.Affine(50, 10, rng=rng)
    model = nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), scores)
    nn.init.initialize(model, nn.init.he_normal, rng=rng)
    return model


def learner(
    train: data.Dataset, rng: np.random.Generator, checkpoints: nn.Checkpoints
) -> nn.Trainer:
    """Learn turned images at a constant high rate: the parameters keep moving to the end."""
    model = network(rng)
    return nn.Trainer(
        model,
        optim.Adam(model.parameters(), lr=LR),
        data.Batches(train, BATCH, rng=rng, augment=data.Rotate(10)),
        average=optim.RunningAverage(model.parameters(), decay=0.99),
        checkpoints=checkpoints,
    )


def loaded(path: Path) -> nn.Module:
    """Make a network out of a checkpoint."""
    model = network(np.random.default_rng(0))
    model.load_state_dict(nn.load(path))
    return model


def accuracies(seed: int, folder: Path) -> list[list[float]]:
    """Return the test accuracies by each way, for one division into training and test images."""
    train, test = data.load_digits(flatten=False, seed=seed, share=5 / 6)  # few to learn from
    rng = np.random.default_rng(seed)
    members: list[nn.Module] = []
    found: list[list[float]] = [[], [], []]
    for number in range(MEMBERS):
        checkpoints = nn.Checkpoints(folder / f"{seed} {number}", keep=5)
        trainer = learner(train, rng, checkpoints)
        trainer.fit(EPOCHS)
        late = nn.Ensemble(map(loaded, checkpoints.paths))
        for way, model in zip(found, (trainer.model, late), strict=False):
            way.append(nn.accuracy(nn.predict(model, test.images), test.labels))
        found[2].append(trainer.evaluate(test)["accuracy"])
        members.append(trainer.model)
    together = nn.accuracy(nn.predict(nn.Ensemble(members), test.images), test.labels)
    return [*found, [together]]


def main(folder: Path) -> None:
    """Compare the ways on several divisions, and draw."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        splits = [accuracies(seed, Path(place)) for seed in SPLITS]
    means = np.array([[np.mean(way) for way in split] for split in splits])
    gains = means - means[:, :1]
    for name, mean, gain, spread in zip(
        WAYS, means.mean(0), gains.mean(0), gains.std(0, ddof=1), strict=True
    ):
        told = f", {gain * 100:+.2f} ± {spread * 100:.2f} points" if name != WAYS[0] else ""
        print(f"{name:27} {mean:.2%} of the test digits{told}")
    figure = plots.figure(7, 4)
    axes = figure.subplots()
    for number, split in enumerate(splits):
        for place_, way in enumerate(split):
            axes.plot([number + 0.2 * place_ - 0.3] * len(way), way, **look(place_, number))
    axes.set(title="Test accuracy, a point for each network", xticks=SPLITS)
    axes.set_xlabel("division into training and test digits")
    axes.yaxis.set_major_formatter("{x:.1%}")
    plots.tidy(axes)
    print(f"drawn: {plots.save(figure, folder / 'ensembles.png')}")


def look(way: int, split: int) -> dict[str, Any]:
    """Return how the points of a way are drawn; they are named once."""
    label = WAYS[way] if split == 0 else None
    return {"marker": "o^sD"[way], "ls": "", "color": plots.COLOURS[way], "ms": 5, "label": label}


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
