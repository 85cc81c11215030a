"""Activations: what each does to a number, how steep it is, and what softmax does to scores.

    python examples/activations.py [folder for the picture]

activations.png: where the slope is 0 (both ends of a sigmoid, the left half of ReLU) no gradient
comes through.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import graphgrad as gg
from graphgrad.nn import functional as F  # noqa: N812 - the usual name
from graphgrad.viz import plots

X = np.linspace(-4, 4, 801)
SLOPE = 0.25  # learnt by PReLU, which starts here
PIECES = np.array([[-0.5, 0.6, 1.5], [-1.0, 0.0, -1.5]])  # slopes and heights of maxout's lines

CURVES: dict[str, Callable[[Any], Any]] = {
    "step": F.step,
    "identity": F.identity,
    "sigmoid": F.sigmoid,
    "tanh": F.tanh,
    "ReLU": F.relu,
    "leaky ReLU, slope 0.01": F.leaky_relu,
    f"PReLU, here of slope {SLOPE}": lambda x: F.prelu(x, np.array([SLOPE])),
    "ELU": F.elu,
    "softplus": F.softplus,
    "GELU": F.gelu,
    "SiLU": F.silu,
    "maxout of three lines": lambda x: F.maxout(x[:, None] * PIECES[0] + PIECES[1], 3)[:, 0],
}


def curve(function: Callable[[Any], Any], x: Any = X) -> tuple[Any, Any]:
    """Return f(x) and f′(x), the slopes by one backward pass."""
    t = gg.Tensor(x, requires_grad=True)
    y = function(t)
    return y.numpy(), gg.gradients([y], [t], [np.ones_like(x)])[0]


def plot(path: Path) -> None:
    """Draw each function and its slope."""
    figure = Figure(figsize=(12, 9), layout="constrained")
    for axes, (name, function) in zip(figure.subplots(3, 4).flat, CURVES.items(), strict=True):
        y, slope = curve(function)
        axes.axhline(0, color=plots.GUIDE, lw=0.6)
        axes.axvline(0, color=plots.GUIDE, lw=0.6)
        axes.plot(X, y, color=plots.BLUE, lw=2, label="f(x)")
        axes.plot(X, slope, color=plots.ORANGE, lw=1.5, ls="--", label="slope")
        axes.set(title=name, xlim=(-4, 4), ylim=(-1.6, 2.6))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False, loc="upper left")
    figure.supxlabel("x")
    figure.savefig(path, dpi=110)


def twice_sigmoid(x: Any) -> Any:
    """tanh(x) = 2σ(2x) − 1: the same curve, stretched and moved."""
    return 2 * F.sigmoid(2 * x) - 1


def main(folder: Path) -> None:
    """Print the numbers, draw the curves."""
    print(f"step of -1, 0, 1 = {F.step(np.array([-1.0, 0.0, 1.0]))}")
    print(f"σ(1) = {F.sigmoid(np.array(1.0)):.3f}, σ(2) = {F.sigmoid(np.array(2.0)):.3f}")
    difference = np.abs(F.tanh(X) - twice_sigmoid(X)).max()
    print(f"tanh(x) and 2σ(2x) - 1 differ by {difference:.0e} at most")

    print(f"softmax [1010, 1000, 990] = {F.softmax(np.array([1010.0, 1000, 990]))}")
    print("    exp alone would overflow from 710 on; a common factor cancels")
    scores = np.array([1.0, -2.0, 0.0])
    with np.printoptions(precision=2, suppress=True):
        print(f"softmax [1, -2, 0]     = {F.softmax(scores)}")
        print(f"softmax [0.5, -1, 0]   = {F.softmax(scores / 2)}: halved scores, nearer together")

    print(f"slope at {'-4':>30} {'0':>8} {'4':>8}")
    for name, function in CURVES.items():
        _, slope = curve(function)
        print(f"    {name:26} {slope[0]:8.4f} {slope[400]:8.4f} {slope[-1]:8.4f}")

    folder.mkdir(parents=True, exist_ok=True)
    plot(folder / "activations.png")
    print(f"drawn: {folder / 'activations.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
