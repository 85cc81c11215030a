"""Learning rates that fall while learning come to rest where a constant one keeps jumping about.

    python examples/annealing.py [folder for the pictures]

schedules.png: the curves of the schedules. annealing.png: what each does to the loss on digits.
"""

import math
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

EPOCHS, BATCH, LR, MOMENTUM, DECAY = 20, 16, 0.2, 0.9, 0.01
Make = Callable[[optim.SGD], Any]

# Every schedule counts epochs here. Each is made for an optimizer whose rate is LR.
CURVES: dict[str, Make] = {
    "StepLR: half every 3": lambda o: optim.StepLR(o, step_size=3, gamma=0.5),
    "MultiStepLR: a tenth at 10, 16": lambda o: optim.MultiStepLR(o, [10, 16], gamma=0.1),
    "ExponentialLR: e^(−0.2 t)": lambda o: optim.ExponentialLR(o, gamma=math.exp(-0.2)),
    "InverseTimeLR: 1 / (1 + 0.5 t)": lambda o: optim.InverseTimeLR(o, k=0.5),
    "CosineAnnealingLR": lambda o: optim.CosineAnnealingLR(o, T_max=EPOCHS),
    "CosineAnnealingLR, warmup=3": lambda o: optim.CosineAnnealingLR(o, T_max=EPOCHS - 3, warmup=3),
    "LinearLR: down to a tenth": lambda o: optim.LinearLR(o, 1.0, 0.1, total_iters=EPOCHS),
    "SequentialLR: rise, stay, fall": lambda o: optim.SequentialLR(
        o,
        [
            optim.LinearLR(o, 0.1, total_iters=3),
            optim.LambdaLR(o, lambda _: 1.0),
            optim.ExponentialLR(o, 0.7),
        ],
        milestones=[3, 14],
    ),
    "OneCycleLR": lambda o: optim.OneCycleLR(o, max_lr=LR, total_steps=EPOCHS),
    "MomentumSchedule": lambda o: optim.MomentumSchedule(o, total_steps=EPOCHS),
}
RUNS: dict[str, list[Make]] = {
    "constant": [],
    "step": [CURVES["StepLR: half every 3"]],
    "exponential": [CURVES["ExponentialLR: e^(−0.2 t)"]],
    "1/t": [CURVES["InverseTimeLR: 1 / (1 + 0.5 t)"]],
    "cosine": [CURVES["CosineAnnealingLR"]],
    "warm-up, then cosine": [CURVES["CosineAnnealingLR, warmup=3"]],
    "one cycle": [CURVES["OneCycleLR"]],
    "on plateau": [lambda o: optim.ReduceLROnPlateau(o, factor=0.5, patience=1)],
    "exponential, rising momentum": [
        CURVES["ExponentialLR: e^(−0.2 t)"],
        CURVES["MomentumSchedule"],
    ],
}


class Run(NamedTuple):
    """What one run left behind, epoch by epoch."""

    rates: list[float]
    losses: list[float]
    accuracy: float  # on the test images


def split() -> list[tuple[Any, Any]]:
    """Return training, validation and test images with their labels."""
    pixels, digit = load_digits(return_X_y=True)
    images = np.float32(pixels) / 16
    x, x_test, t, t_test = train_test_split(
        images, digit, test_size=0.2, stratify=digit, random_state=0
    )
    x, x_check, t, t_check = train_test_split(x, t, test_size=0.2, stratify=t, random_state=0)
    return [(x, t), (x_check, t_check), (x_test, t_test)]


def start(dtype: Any = np.float32) -> tuple[nn.Affine, list[dict[str, Any]]]:
    """Make a softmax classifier, and its groups: the loss has ½ · 0.01 · Σw² added to it."""
    net = nn.Affine(64, 10, rng=np.random.default_rng(0), dtype=dtype)
    return net, [{"params": [net.weight], "weight_decay": DECAY}, {"params": [net.bias]}]


def loss_of(net: nn.Affine, images: Any, labels: Any) -> gg.Tensor:
    """Return what is minimised."""
    loss: gg.Tensor = nn.functional.cross_entropy(net(images), labels)
    return loss + optim.l2_penalty([net.weight], DECAY)


def minimum(images: Any, labels: Any) -> float:
    """Go down the full gradient until nothing moves: the loss is convex, there is one minimum."""
    net, groups = start(dtype=float)
    optimizer = optim.SGD(groups, lr=1.0, momentum=0.95, nesterov=True)
    for _ in range(300):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images.astype(float)), labels).backward()
        optimizer.step()
    return float(loss_of(net, images.astype(float), labels).item())


def learn(makes: list[Make], data: list[tuple[Any, Any]]) -> Run:
    """Learn digits, always from one start and on one sequence of batches."""
    (x, t), validation, (x_test, t_test) = data
    rng = np.random.default_rng(0)
    net, groups = start()
    optimizer = optim.SGD(groups, lr=LR, momentum=MOMENTUM)
    schedules = [make(optimizer) for make in makes]
    rates, losses = [], []
    for _ in range(EPOCHS):
        rates.append(optimizer.lr)
        for chosen in np.split(rng.permutation(len(x)), range(BATCH, len(x), BATCH)):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[chosen]), t[chosen]).backward()
            optimizer.step()
        with gg.no_grad():
            losses.append(loss_of(net, x, t).item())
            for schedule in schedules:
                if isinstance(schedule, optim.ReduceLROnPlateau):
                    schedule.step(loss_of(net, *validation))
                else:
                    schedule.step()
    with gg.no_grad():
        accuracy = float((net(x_test).argmax(axis=1) == t_test).mean())
    return Run(rates, losses, accuracy)


def plot_curves(path: Path) -> None:
    """Draw every schedule from its function alone: nothing is trained."""
    figure = Figure(figsize=(12, 5.2), layout="constrained")
    panels = list(figure.subplots(2, 5, sharex=True, sharey=True).flat)
    steps = range(EPOCHS + 1)
    for axes, (name, make) in zip(panels, CURVES.items(), strict=True):
        schedule = make(optim.SGD(start()[1], lr=LR, momentum=MOMENTUM))
        if hasattr(schedule, "lr_at"):
            rates = [schedule.lr_at(t) / LR for t in steps]
            axes.plot(steps, rates, color=plots.BLUE, drawstyle="steps-post", label="rate / lr₀")
        if hasattr(schedule, "momentum_at"):
            momenta = [schedule.momentum_at(t) for t in steps]
            axes.plot(steps, momenta, color=plots.ORANGE, ls="--", label="momentum")
        axes.set_title(name, fontsize=10)
        axes.set(xlim=(0, EPOCHS), ylim=(0, 1.05))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    both = next(axes for axes in panels if len(axes.get_lines()) == 2)
    figure.legend(*both.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    figure.supxlabel("t, epochs")
    figure.savefig(path, dpi=110)


def plot_runs(runs: dict[str, Run], best: float, path: Path) -> None:
    """Draw the distance to the minimum for each schedule, the rate as an area behind it."""
    figure = Figure(figsize=(11, 9), layout="constrained")
    panels = figure.subplots(3, 3, sharex=True, sharey=True).flat
    epochs = np.arange(1, EPOCHS + 1)
    for axes, (name, run) in zip(panels, runs.items(), strict=True):
        behind = axes.twinx()
        behind.fill_between(epochs, run.rates, step="mid", color=plots.ORANGE, alpha=0.2, lw=0)
        behind.set(ylim=(0, LR * 1.02), yticks=[])
        behind.spines[["top", "right"]].set_visible(False)
        axes.set_zorder(behind.get_zorder() + 1)
        axes.patch.set_visible(False)
        constant = np.subtract(runs["constant"].losses, best)
        axes.semilogy(epochs, constant, color=plots.GUIDE, lw=1)
        axes.semilogy(epochs, np.subtract(run.losses, best), color=plots.BLUE, lw=2)
        ends = f"ends {plots.number(run.losses[-1] - best, 1)} above, test {run.accuracy:.1%}"
        axes.set_title(f"{name}\n{ends}", fontsize=10)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(1, EPOCHS)
    figure.suptitle(
        "Softmax classifier on digits: training loss above its minimum; grey: constant rate, "
        f"area: the rate, up to {LR:g}"
    )
    figure.supxlabel("epoch")
    figure.supylabel("loss − minimum")
    figure.savefig(path, dpi=110)


def main(folder: Path) -> None:
    """Draw the curves; learn once with each schedule, and compare."""
    folder.mkdir(parents=True, exist_ok=True)
    plot_curves(folder / "schedules.png")
    data = split()
    best = minimum(*data[0])
    runs = {name: learn(makes, data) for name, makes in RUNS.items()}
    print(f"digits, softmax classifier, batches of {BATCH}, {EPOCHS} epochs, SGD with momentum")
    print(f"the least training loss is {best:.6f}")
    print("how far above it each schedule ends, and the accuracy on the test images:")
    for name, run in runs.items():
        above = f"{run.losses[-1] - best:.6f}"
        print(f"    {name:30} {above}   test accuracy {run.accuracy:.2%}")
    plot_runs(runs, best, folder / "annealing.png")
    print(f"drawn: {folder / 'schedules.png'}, {folder / 'annealing.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
