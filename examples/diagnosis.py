"""Is it learning, and if not, why? Checks before, curves during, and a look into the layers.

    python examples/diagnosis.py [folder for the pictures]

Real digits; whatever is chosen is chosen on validation digits, the test digits are not used.
diagnosis_curves.png: rates too high and too low, and a gap that weight decay closes. The others
show the layers of a sound network (diagnosis_good.png) and of three sick ones, and a page.
"""

import itertools
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from graphgrad import data, nn, optim, viz
from graphgrad.nn import init
from graphgrad.viz import plots

RATES = {"too high: 3": 3.0, "high: 1.5": 1.5, "good: 0.3": 0.3, "low: 0.01": 0.01}
FEW = 300


def network(
    hidden: list[int],
    activation: type[nn.Module] = nn.ReLU,
    draw: Callable[..., Any] = init.he_normal,
) -> nn.Sequential:
    """Build 64 → hidden … → 10 with weights drawn as one likes and biases of 0."""
    rng = np.random.default_rng(0)
    layers: list[nn.Module] = []
    for inputs, units in zip([64, *hidden], hidden, strict=False):
        layers += [nn.Affine(inputs, units, rng=rng), activation()]
    model = nn.Sequential(*layers, nn.Affine(hidden[-1], 10, rng=rng))
    init.initialize(model, draw, rng=rng)
    return model


def learn(
    model: nn.Module,
    digits: data.Dataset,
    held: data.Dataset,
    epochs: int,
    watch: nn.Diagnosis | None = None,
    **options: Any,
) -> nn.History:
    """Learn by plain gradient descent, or with options of SGD."""
    batches = data.Batches(digits, 50, rng=np.random.default_rng(0), prefetch=0)
    optimizer = optim.SGD(model.parameters(), **options)
    return nn.Trainer(model, optimizer, batches, validation=held, diagnosis=watch).fit(epochs)


# --------------------------------------------------------------------------------- before


def check(digits: data.Dataset) -> None:
    """Check a sound model, one whose inputs are not scaled, and one with softmax twice."""
    print("a sound model")
    print(nn.sanity_checks(network([100]), digits, penalty=optim.l2_penalty))
    print("for the hinge loss")
    print(nn.sanity_checks(network([100]), digits, nn.functional.hinge_loss))
    print("pixels 0 to 255 instead of 0 to 1")
    bright = data.Dataset(digits.images * 255, digits.labels)
    print(nn.sanity_checks(network([100]), bright))
    print("softmax before a loss that takes logits")
    print(nn.sanity_checks(nn.Sequential(network([100]), nn.Softmax()), digits))


# --------------------------------------------------------------------------------- during


def spoilt(digits: data.Dataset, held: data.Dataset) -> tuple[data.Dataset, data.Dataset]:
    """Return few images to learn and all to validate, a fifth of the labels of both wrong."""
    rng = np.random.default_rng(0)

    def spoil(images: Any, labels: Any) -> data.Dataset:
        shift = rng.integers(1, 10, labels.size) * (rng.random(labels.size) < 0.2)
        return data.Dataset(images, (labels + shift) % 10)

    return spoil(*digits.take(rng.permutation(digits.size)[:FEW])), spoil(*held)


def curves(digits: data.Dataset, held: data.Dataset, path: Path) -> None:
    """Draw the loss by learning rate, and the gap between training and validation."""
    figure = plots.figure(13, 4.6)
    rates, gap, cured = figure.subplots(1, 3)
    print("learning rate: training loss after 1, 10 and 20 epochs, validation accuracy")
    losses = {}
    for name, lr in RATES.items():
        history = learn(network([50]), digits, held, 20, lr=lr)
        losses[name] = history["loss"]
        shown = "  ".join(f"{history['loss'][epoch]:.3f}" for epoch in (0, 9, 19))
        print(f"    {name:12}  {shown}  {history['validation_accuracy'][-1]:7.2%}")
    plots.show_curves(rates, losses, "Training loss by learning rate", ylabel="cross-entropy")
    rates.set_ylim(0, 3.2)
    rates.legend(frameon=False, ncols=2, loc="upper right")

    print(f"{FEW} images, a fifth of all labels wrong: accuracy in training and validation")
    for axes, decay in zip((gap, cured), (0.0, 0.02), strict=True):
        title = f"{FEW} images, weight decay {decay:g}"
        model = network([100, 100])
        history = learn(model, *spoilt(digits, held), 60, lr=0.03, momentum=0.9, weight_decay=decay)
        series = {"training": history["accuracy"], "validation": history["validation_accuracy"]}
        high, low = (np.mean(column[-10:]) for column in series.values())
        print(f"    weight decay {decay:<4g}  {high:7.2%} {low:7.2%}  gap {high - low:.2%}")
        plots.show_curves(axes, series, title, ylabel="accuracy", percent=True)
        axes.fill_between(np.arange(1, 61), *series.values(), color=plots.BLACK, alpha=0.1, lw=0)
        axes.set_ylim(0, 1.02)
    plots.save(figure, path)


# --------------------------------------------------------------------------------- inside


def look(name: str, model: nn.Module, lr: float, digits: data.Dataset, path: Path) -> None:
    """Learn three epochs, watching every fifth step, and say and draw what was seen."""
    watch = nn.Diagnosis(model, every=5, window=4)
    optimizer = optim.SGD(model.parameters(), lr=lr)
    batches = data.Batches(digits, 50, rng=np.random.default_rng(0), prefetch=0)
    for x, labels in itertools.chain(batches, batches, batches):
        with watch.step():
            loss = nn.functional.cross_entropy(model(x), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    print(f"\n{name}\n{watch}")
    watch.plot(path, title=name)


# ---------------------------------------------------------------------------------- after


def write_page(digits: data.Dataset, held: data.Dataset, path: Path) -> None:
    """Write all of it on one page for the browser: how weights that start too small get going."""
    model = network([100, 100, 100], nn.Tanh, partial(init.normal, std=0.01))
    watch = nn.Diagnosis(model, every=14)
    history = learn(model, digits, held, 20, watch, lr=0.1, momentum=0.9)
    title = "64 → 100 → 100 → 100 → 10, tanh, weights that start at N(0, 0.01²)"
    print(f"\nin the browser: {viz.training_page(history, path, diagnosis=watch, title=title)}")


def main(folder: Path) -> None:
    """Check, watch, and draw."""
    train, _ = data.load_digits()
    digits, held = data.split(train, 0.2, rng=np.random.default_rng(0))
    folder.mkdir(parents=True, exist_ok=True)
    check(digits)
    curves(digits, held, folder / "diagnosis_curves.png")

    hidden = [100, 100, 100]
    starts: dict[str, tuple[nn.Module, float]] = {
        "good": (network(hidden, nn.Tanh, init.xavier_normal), 0.1),
        "small": (network(hidden, nn.Tanh, partial(init.normal, std=0.01)), 0.1),
        "large": (network(hidden, nn.Tanh, partial(init.normal, std=1.0)), 0.1),
        "dead": (network(hidden), 1.0),
    }
    titles = {
        "good": "tanh, Xavier's weights",
        "small": "tanh, weights N(0, 0.01²): too small",
        "large": "tanh, weights N(0, 1): too large",
        "dead": "ReLU, He's weights, learning rate 1: too high",
    }
    for name, (model, lr) in starts.items():
        look(titles[name], model, lr, digits, folder / f"diagnosis_{name}.png")
    write_page(digits, held, folder / "diagnosis.html")
    print(f"drawn: {', '.join(f'diagnosis_{name}.png' for name in ('curves', *starts))}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
