"""Overfitting on 300 images, and seven cures.

    python examples/regularisation.py [folder for the picture]

Three hidden layers learn 300 real digits, 60 of them with a wrong label. Whoever learns the
digits gets 80 % of these labels right; whoever gets 100 % has memorised 60 errors, and is the
worse on images never seen. All strengths were chosen on 500 images of their own, not on the
test images. regularisation.png: the gap between training and test, without a cure and with each.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import graphgrad as gg
from graphgrad import nn, optim
from graphgrad.viz import plots

HIDDEN, EPOCHS, BATCH, LR, WRONG = 100, 100, 100, 0.03, 60
EVERY = 4  # epochs, then the accuracy is taken


class Cure(NamedTuple):
    """What is done against overfitting; by default nothing."""

    penalty: Callable[[list[Any]], gg.Tensor] | None = None  # added to the loss
    limit: float | None = None  # of the norm of each unit's weights
    layer: Callable[..., nn.Module] = nn.Affine
    between: Callable[..., nn.Module] | None = None  # a layer behind each activation


CURES: dict[str, Cure] = {
    "none": Cure(),
    "L2": Cure(penalty=lambda weights: optim.l2_penalty(weights, 0.02)),
    "L1": Cure(penalty=lambda weights: optim.l1_penalty(weights, 0.002)),
    "elastic net": Cure(penalty=lambda weights: optim.elastic_penalty(weights, 0.002, 0.005)),
    "max-norm": Cure(limit=0.8),
    "dropout, Saito's form": Cure(between=lambda rng: nn.VanillaDropout(0.3, rng=rng)),
    "inverted dropout": Cure(between=lambda rng: nn.Dropout(0.3, rng=rng)),
    "dropconnect": Cure(layer=lambda n, m, rng: nn.DropConnect(n, m, 0.2, rng=rng)),
}


class Run(NamedTuple):
    """What one run left behind."""

    train: list[float]  # accuracies, on the given labels
    test: list[float]
    small: float  # the share of weights below 0.01


def load(wrong: int = WRONG) -> dict[str, tuple[Any, Any]]:
    """Split scikit-learn's digits into 300, 500 and 997, and spoil labels of the 300."""
    pixels, digit = load_digits(return_X_y=True)
    images = np.float32(pixels) / 16
    x, rest, t, rest_t = train_test_split(
        images, digit, train_size=300, stratify=digit, random_state=0
    )
    x_check, x_test, t_check, t_test = train_test_split(
        rest, rest_t, train_size=500, stratify=rest_t, random_state=0
    )
    rng = np.random.default_rng(0)
    spoilt = rng.permutation(len(t))[:wrong]
    t[spoilt] = (t[spoilt] + rng.integers(1, 10, wrong)) % 10
    return {"train": (x, t), "validation": (x_check, t_check), "test": (x_test, t_test)}


def network(cure: Cure, rng: np.random.Generator) -> nn.Sequential:
    """Build 64 → 100 → 100 → 100 → 10 with ReLU, the weights drawn as He proposes."""
    layers: list[nn.Module] = []
    for inputs in (64, HIDDEN, HIDDEN):
        layers += [cure.layer(inputs, HIDDEN, rng=rng), nn.ReLU()]
        if cure.between:
            layers.append(cure.between(rng))
    net = nn.Sequential(*layers, nn.Affine(HIDDEN, 10, rng=rng))
    nn.init.initialize(net, nn.init.he_normal, rng=rng)
    return net


def accuracy(net: nn.Module, images: Any, labels: Any) -> float:
    """Return the share of images whose label was found, without dropping anything."""
    net.eval()
    with gg.no_grad():
        found = net(images).argmax(axis=1)
    net.train()
    return float((found == labels).mean())


def learn(cure: Cure, data: dict[str, tuple[Any, Any]], on: str = "test") -> Run:
    """Learn the 300 images with one cure."""
    rng = np.random.default_rng(0)
    net = network(cure, rng)
    weights = [p for p in net.parameters() if p.ndim > 1]
    optimizer = optim.SGD(net.parameters(), lr=LR, momentum=0.9)
    (x, t), train, test = data["train"], [], []
    for epoch in range(1, EPOCHS + 1):
        for chosen in np.split(rng.permutation(len(x)), range(BATCH, len(x), BATCH)):
            optimizer.zero_grad()
            loss: gg.Tensor = nn.functional.cross_entropy(net(x[chosen]), t[chosen])
            if cure.penalty:
                loss = loss + cure.penalty(weights)
            loss.backward()
            optimizer.step()
            if cure.limit:
                optim.max_norm_(weights, cure.limit)
        if epoch % EVERY == 0:
            train.append(accuracy(net, x, t))
            test.append(accuracy(net, *data[on]))
    small = np.concatenate([np.abs(w.numpy()).ravel() for w in weights]) < 0.01
    return Run(train, test, float(small.mean()))


def plot(runs: dict[str, Run], path: Path) -> None:
    """Draw the accuracies by epoch, a panel for each cure."""
    figure = Figure(figsize=(12, 6), layout="constrained")
    panels = figure.subplots(2, 4, sharex=True, sharey=True).flat
    epochs = np.arange(EVERY, EPOCHS + 1, EVERY)
    for axes, (name, run) in zip(panels, runs.items(), strict=True):
        axes.axhline(
            1 - WRONG / 300, color=plots.GUIDE, lw=1, ls=":", label="share of right labels"
        )
        axes.plot(epochs, run.train, color=plots.BLUE, lw=2, label="training")
        axes.plot(epochs, run.test, color=plots.ORANGE, lw=2, ls="--", label="test")
        axes.set_title(
            f"{name}\ntraining {run.train[-1]:.1%}, test {run.test[-1]:.1%}", fontsize=10
        )
        axes.set(xlim=(0, EPOCHS), ylim=(0.3, 1.02))
        axes.yaxis.set_major_formatter("{x:.0%}")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False, loc="lower right")
    figure.suptitle("300 digits of which 60 have a wrong label: memorised, or not")
    figure.supxlabel("epoch")
    figure.supylabel("accuracy")
    figure.savefig(path, dpi=110)


def main(folder: Path) -> None:
    """Overfit, cure, compare."""
    folder.mkdir(parents=True, exist_ok=True)
    data = load()
    runs = {name: learn(cure, data) for name, cure in CURES.items()}
    clean = learn(Cure(), load(wrong=0))
    print(
        f"300 images, all labels right: training {clean.train[-1]:.2%}, test {clean.test[-1]:.2%}"
    )
    print(f"with {WRONG} labels wrong:")
    for name, run in runs.items():
        print(
            f"    {name:24} training {run.train[-1]:7.2%}   test {run.test[-1]:7.2%}   "
            f"weights below 0.01: {run.small:.0%}"
        )
    plot(runs, folder / "regularisation.png")
    print(f"drawn: {folder / 'regularisation.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
