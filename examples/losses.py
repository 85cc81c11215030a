"""What each loss asks of a score: worked numbers, values and gradients.

    python examples/losses.py [folder for the picture]

losses.png: the hinge is content from a margin on, the logistic loss never is; a large error pulls
the squared loss more than the absolute one.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import graphgrad as gg
from graphgrad import nn
from graphgrad.viz import plots

F = nn.functional
Y = np.array([0.1, 0.05, 0.6, 0.0, 0.05, 0.1, 0.0, 0.1, 0.0, 0.0])  # sums to 1, says "2"
MARGINS = np.linspace(-2.5, 3, 401)


def numbers() -> dict[str, float]:
    """Compute losses that can be worked out by hand."""
    log_y = np.log(np.maximum(Y, 1e-7))
    unsure = np.log([0.9, 0.1])
    zeros, labels = np.zeros((5, 10)), np.arange(5)
    found = {
        "half the sum of squares, y against class 2": F.half_squared_error(Y, np.eye(10)[2]),
        "cross-entropy of y, class 2": F.nll_loss(log_y, 2),
        "cross-entropy of y, class 2 one-hot": F.cross_entropy(log_y, np.eye(10)[2]),
        "cross-entropy where y is 0.1": F.nll_loss(unsure, 1),
        "hinge of [13, -7, 11], class 0, Δ = 10": F.hinge_loss([13, -7, 11], 0, delta=10),
        "ten classes, no idea: softmax": F.cross_entropy(zeros, labels),
        "ten classes, no idea: SVM": F.hinge_loss(zeros, labels),
    }
    return {name: float(loss) for name, loss in found.items()}


def curves() -> dict[str, tuple[Any, Any]]:
    """Return losses of one score for the answer "yes", and their slopes."""
    yes = np.ones_like(MARGINS)
    losses: dict[str, Any] = {
        "hinge": lambda s: F.attribute_hinge_loss(s[:, None], yes[:, None], reduction="none"),
        "squared hinge": lambda s: F.attribute_hinge_loss(
            s[:, None], yes[:, None], squared=True, reduction="none"
        ),
        "logistic": lambda s: F.binary_cross_entropy_with_logits(s, yes, reduction="none"),
        "half squared error": lambda s: 0.5 * F.mse_loss(s, yes, reduction="none"),
        "L1": lambda s: F.l1_loss(s, yes, reduction="none"),
        "Huber, δ = 1": lambda s: F.huber_loss(s, yes, reduction="none"),
    }
    found = {}
    for name, loss in losses.items():
        scores = gg.Tensor(MARGINS, requires_grad=True)
        values = loss(scores)
        values.sum().backward()
        found[name] = (values.numpy(), scores.grad)
    return found


def plot(path: Path) -> None:
    """Draw the losses, and below them their gradients."""
    figure = Figure(figsize=(10, 6.5), layout="constrained")
    grid = figure.subplots(2, 2, sharex=True)
    for number, (name, pair) in enumerate(curves().items()):
        column, (colour, style) = number // 3, plots.curve_style(number % 3)
        for row, values in enumerate(pair):
            grid[row, column].plot(MARGINS, values, color=colour, ls=style, lw=2, label=name)
    grid[0, 0].set(title="classification: the answer is yes", ylabel="loss", ylim=(-0.2, 6))
    grid[0, 1].set(title="regression: the target is 1", ylim=(-0.2, 6))
    grid[1, 0].set(xlabel="score", ylabel="gradient", ylim=(-4, 2.5))
    grid[1, 1].set(xlabel="output", ylim=(-4, 2.5))
    for axes in grid.flat:
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[0]:
        axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


def main(folder: Path) -> None:
    """Print the numbers and draw the curves."""
    print(f"y, the probabilities of the classes 0 to 9: {' '.join(f'{p:g}' for p in Y)}")
    for name, loss in numbers().items():
        print(f"{name:45} {loss:7.4f}")
    wild = np.array([[1000.0, -1000.0], [1000.0, -1000.0]], np.float32)
    far = F.cross_entropy(wild, np.array([0, 1]), reduction="none")
    print(f"scores of ±1000 in float32: {np.asarray(far)}, no overflow")
    folder.mkdir(parents=True, exist_ok=True)
    plot(folder / "losses.png")
    print(f"drawn: {folder / 'losses.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
