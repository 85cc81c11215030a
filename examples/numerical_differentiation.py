"""Derivatives by small differences: which formula, which h, how wrong, what for.

    python examples/numerical_differentiation.py [folder for the picture]

error_against_h.png: a large h is wrong by the formula, a tiny one by rounding.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import graphgrad as gg
from graphgrad.viz import plots

STEPS = 10.0 ** np.arange(-15, 0.25, 0.25)  # h


def f(x: Any) -> Any:
    """Return e^x sin x, of a number, an array or a Tensor."""
    return gg.exp(x) * gg.sin(x)


def one_sided(function: Callable[[float], float], x: float, h: float) -> float:
    """(f(x + h) − f(x)) / h: wrong by h f″ / 2."""
    return (function(x + h) - function(x)) / h


def central(function: Callable[[float], float], x: float, h: float) -> float:
    """(f(x + h) − f(x − h)) / 2h: wrong by h² f‴ / 6, one order better."""
    return (function(x + h) - function(x - h)) / (2 * h)


def relative_error(a: Any, b: Any) -> float:
    """Return the largest |a − b| / max(|a|, |b|), where 0 against 0 is right."""
    scale = np.maximum(np.abs(a), np.abs(b))
    return float(np.max(np.abs(np.subtract(a, b)) / np.where(scale == 0, 1, scale)))


def verdict(error: float) -> str:
    """Judge a relative error by the marks of the CS231n notes."""
    if error > 1e-2:
        return "the gradient is probably wrong"
    if error > 1e-4:
        return "uncomfortable"
    if error > 1e-7:
        return "fine where there are kinks, too high where there are none"
    return "right"


def errors(x: float) -> tuple[Any, Any]:
    """Return the relative errors of both formulas for each h, against the exact derivative."""
    exact = gg.grad(f)(x)
    forward = np.array([relative_error(one_sided(f, x, h), exact) for h in STEPS])
    centred = np.array([relative_error(central(f, x, h), exact) for h in STEPS])
    return forward, centred


def plot(x: float, path: Path) -> None:
    """Draw error against h: truncation on the right, rounding on the left."""
    forward, centred = errors(x)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.loglog(STEPS, forward, "o-", ms=3, color=plots.ORANGE, label="one-sided")
    axes.loglog(STEPS, centred, "s-", ms=3, color=plots.BLUE, label="central")
    for power, style in ((1, ":"), (2, "--")):
        label = "grows as h" if power == 1 else "grows as h²"
        axes.loglog(STEPS, STEPS**power, style, color=plots.GUIDE, lw=1, label=label)
    axes.loglog(STEPS, 1e-16 / STEPS, "-.", color=plots.GUIDE, lw=1, label="rounding, 1e−16 / h")
    axes.set(xlabel="h", ylabel="relative error", ylim=(1e-13, 2))
    axes.set_title(f"Error of the numerical derivative of $e^x \\sin x$ at {x:g}")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


def descend(function: Callable[[Any], Any], start: Any, lr: float, steps: int = 100) -> Any:
    """Follow the numerical gradient downhill."""
    x = np.array(start, dtype=float)
    for _ in range(steps):
        x = x - lr * gg.numerical_gradient(function, x)
    return x


def bowl(x: Any) -> Any:
    """Return x₀² + x₁²."""
    return gg.sum(x**2)


def main(folder: Path) -> None:
    """Show all of it at work."""
    exact = gg.grad(f)(1.0)
    print(f"d/dx e^x sin x at 1 = {exact:.12f} by the chain rule")
    for h in (1e-1, 1e-4, 1e-8, 1e-13):
        for formula in (one_sided, central):
            error = relative_error(formula(f, 1.0, h), exact)
            result = f"relative error {error:.0e}, {verdict(error)}"
            print(f"    {formula.__name__:9} h = {h:.0e}: {result}")
    forward, centred = errors(1.0)
    for name, found in (("one-sided", forward), ("central", centred)):
        print(f"best h, {name}: {STEPS[found.argmin()]:.0e}, relative error {found.min():.0e}")

    W = np.arange(6.0).reshape(2, 3)
    error = relative_error(
        gg.numerical_gradient(lambda w: gg.sum(f(w)), W), gg.grad(lambda w: gg.sum(f(w)))(W)
    )
    print(f"of a 2 × 3 array: relative error {error:.0e}, {verdict(error)}")

    print("descent on x₀² + x₁² from (−3, 4), 100 steps")
    for lr, comment in (
        (0.1, "arrives"),
        (10.0, "too large: diverges"),
        (1e-10, "too small: stays"),
    ):
        print(f"    lr = {lr:g}: {descend(bowl, [-3, 4], lr)}, {comment}")

    folder.mkdir(parents=True, exist_ok=True)
    plot(1.0, folder / "error_against_h.png")
    print(f"drawn: {folder / 'error_against_h.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
