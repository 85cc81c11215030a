"""A learning rate and a weight decay for digits: random search, from coarse to fine.

    python examples/hyperparameter_search.py [folder for the picture]

Points are drawn evenly by powers of ten and judged by validation digits that are split off the
training set. Two worker processes try them and write checkpoints. The first ranges are those of
Saito's book; where the best points lie decides about the second ones. The test digits are seen
once. hyperparameter_search.png: the points of both searches, and the curves of the best.
"""

import functools
import itertools
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from graphgrad import data, nn, optim
from graphgrad.nn.training.checkpoints import read_state
from graphgrad.viz import plots

SPACE = {
    "lr": nn.Range(1e-6, 1e-2, log=True),
    "weight_decay": nn.Range(1e-8, 1e-4, log=True),
}
COARSE, FINE = 30, 20  # points
FEW, MORE, LAST = 5, 15, 50  # epochs: a poor rate shows early
SHOWN = {"training": "accuracy", "validation": "validation_accuracy"}


def trainer(
    point: dict[str, Any], learned: data.Dataset, rng: np.random.Generator, **options: Any
) -> nn.Trainer:
    """Build 64 → 100 → 100 → 10, to be learned by gradient descent with momentum."""
    sizes = (64, 100, 100, 10)
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Affine(inputs, outputs, rng=rng), nn.ReLU()]
    net = nn.Sequential(*layers[:-1])
    nn.init.initialize(net, nn.init.he_normal, rng=rng)
    optimizer = optim.SGD(
        net.parameters(), point["lr"], momentum=0.9, weight_decay=point["weight_decay"]
    )
    return nn.Trainer(
        net, optimizer, data.Batches(learned, 100, rng=rng), progress=False, **options
    )


@functools.cache
def digits() -> tuple[data.Dataset, data.Dataset]:
    """Split validation digits off the training set; the same ones in each process."""
    train, _ = data.load_digits()
    return data.split(data.Dataset(*train), rng=np.random.default_rng(0))


def objective(point: dict[str, Any], trial: nn.Trial, epochs: int) -> float:
    """Return the accuracy on validation digits; runs in a worker process."""
    learned, held = digits()
    checkpoints = nn.Checkpoints(trial.folder, keep=1)
    return trial.fit(
        trainer(point, learned, trial.rng, validation=held, checkpoints=checkpoints), epochs
    )


def coarse(point: dict[str, Any], trial: nn.Trial) -> float:
    """Learn for few epochs."""
    return objective(point, trial, FEW)


def fine(point: dict[str, Any], trial: nn.Trial) -> float:
    """Learn for more epochs."""
    return objective(point, trial, MORE)


def draw_points(axes: Any, result: nn.SearchResult, marker: str, colour: str) -> Any:
    """Draw where the points of a search lie, how good they are, and the ranges."""
    rates, decays = ([t.point[name] for t in result.trials] for name in SPACE)
    values = [trial.value for trial in result.trials]
    dots = axes.scatter(rates, decays, 45, values, marker=marker, vmin=0, vmax=1, cmap=plots.AMOUNT)
    dots.set(edgecolor=plots.BLACK, linewidth=0.5)
    lr, decay = (cast("nn.Range", result.space[name]) for name in SPACE)
    corner = (lr.low, decay.low)
    axes.add_patch(
        Rectangle(corner, lr.high - lr.low, decay.high - decay.low, fill=False, ec=colour, ls="--")
    )
    return dots


def plot(found: dict[str, nn.SearchResult], curves: list[dict[str, Any]], path: Path) -> None:
    """Draw both searches, and how the best points of the first one learned."""
    figure = Figure(figsize=(13, 6), layout="constrained")
    halves: Any = figure.subfigures(1, 2, width_ratios=(5, 7))
    left, right = halves
    axes = left.subplots()
    draw_points(axes, found["coarse"], "o", plots.GUIDE)
    dots = draw_points(axes, found["fine"], "s", plots.ORANGE)
    best = found["fine"].best.point
    axes.plot(best["lr"], best["weight_decay"], "*", ms=18, mfc="none", mec=plots.ORANGE, mew=2)
    axes.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="weight decay")
    title = f"coarse: dots, {FEW} epochs; fine: squares, {MORE} epochs; best: star"
    axes.set_title(title, fontsize=11)
    left.colorbar(dots, ax=axes, label="accuracy on validation digits", format="{x:.0%}")
    right.suptitle("the 12 best of the coarse search", fontsize=11)
    panels = right.subplots(3, 4, sharex=True, sharey=True).flat
    for panel, trial, columns in zip(panels, found["coarse"].trials, curves, strict=False):
        epochs = range(1, FEW + 1)
        for number, (label, name) in enumerate(SHOWN.items()):
            colour, style = plots.curve_style(number)
            panel.plot(epochs, columns[name], color=colour, ls=style, lw=2, label=label)
        panel.set_title(f"rate {plots.number(trial.point['lr'], 2)}", fontsize=9)
        panel.set(ylim=(0, 1), xticks=range(1, FEW + 1))
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
        panel.yaxis.set_major_formatter("{x:.0%}")
    right.axes[0].legend(frameon=False, loc="lower right", fontsize=8)
    right.supxlabel("epoch", fontsize=10)
    plots.save(figure, path)


def main(folder: Path) -> None:
    """Search, search again more closely, and test once."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        found: dict[str, nn.SearchResult] = {}
        rng = np.random.default_rng(1)
        space: Any = SPACE
        for name, function, trials in (("coarse", coarse, COARSE), ("fine", fine, FINE)):
            found[name] = nn.search(
                function,
                space,
                trials=trials,
                maximize=True,
                storage=Path(work, f"{name}.db"),  # kept elsewhere, an interrupted search goes on
                workers=2,
                rng=rng,
                checkpoints=Path(work, name),
            )
            print(f"{name}: {', '.join(f'{key} in {range_}' for key, range_ in space.items())}")
            print(found[name], end="\n\n")
            # the best rate lies on a border of the ranges of Saito's book, hence beyond them
            space = found[name].narrowed(margin=0.15, beyond=True)
        best = found["coarse"].trials[:12]
        newest = [nn.Checkpoints(trial.folder).paths[-1] for trial in best if trial.folder]
        curves = [read_state(path)["history"]["columns"] for path in newest]  # a worker wrote them
        plot(found, curves, folder / "hyperparameter_search.png")
    point = found["fine"].best.point
    train, test = data.load_digits()
    final = trainer(point, data.Dataset(*train), np.random.default_rng(0))
    final.fit(LAST)
    print(f"lr {point['lr']:.2g}, weight decay {point['weight_decay']:.2g}, learned from all 1437:")
    print(f"    {final.evaluate(data.Dataset(*test))['accuracy']:.2%} of 360 test digits are right")
    print(f"drawn: {folder / 'hyperparameter_search.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
