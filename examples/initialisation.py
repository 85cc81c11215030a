"""Initial values: what becomes of the activations, layer by layer, and why zeros do not learn.

    python examples/initialisation.py [folder for the picture]

initialisation.png: after five layers large weights have pushed all values to the ends, small ones
have left nothing; Xavier's (tanh) and He's (ReLU) keep them spread.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

from graphgrad import nn, optim
from graphgrad.nn import functional as F, init  # noqa: N812 - the usual name
from graphgrad.viz import plots

LAYERS, WIDTH, BATCH = 5, 100, 1000
ACTIVATIONS: dict[str, tuple[Callable[[Any], Any], tuple[float, float]]] = {
    "sigmoid": (F.sigmoid, (0, 1)),
    "tanh": (F.tanh, (-1, 1)),
    "ReLU": (F.relu, (0, 3)),
}
INITS: dict[str, Callable[..., Any]] = {  # of equal widths both of Xavier's, and 1 / √n, are one
    "N(0, 1)": init.normal,
    "N(0, 0.01²)": partial(init.normal, std=0.01),
    "Xavier, 1 / n": partial(init.xavier_normal, fan="in"),
    "He, 2 / n": init.he_normal,
    "sparse, 10 of N(0, 1 / 10)": partial(init.sparse, nonzero=10, std=0.1**0.5),
}


def activations(function: Callable[[Any], Any], draw: Callable[..., Any], seed: int = 0) -> Any:
    """Return what five layers of 100 make of 1000 normal inputs, (5, 1000, 100)."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((BATCH, WIDTH)).astype(np.float32)
    outputs = []
    for _ in range(LAYERS):
        x = function(F.affine(x, draw((WIDTH, WIDTH), rng=rng)))
        outputs.append(x)
    return np.array(outputs)


def plot(path: Path) -> None:
    """Draw the histograms, the first layer at the top, their standard deviations beside them."""
    figure = Figure(figsize=(14, 8.5), layout="constrained")
    grid = figure.subplots(len(ACTIVATIONS), len(INITS))
    for row, (name, (function, limits)) in zip(grid, ACTIVATIONS.items(), strict=True):
        for axes, (title, draw) in zip(row, INITS.items(), strict=True):
            for number, values in enumerate(activations(function, draw)):
                counts, edges = np.histogram(values.clip(*limits), 50, limits)
                base = LAYERS - 1 - number
                heights = base + np.minimum(counts / values.size / 0.1, 0.9)  # cut off at 9 %
                axes.stairs(heights, edges, baseline=base, fill=True, color=plots.BLUE, alpha=0.4)
                axes.stairs(heights, edges, baseline=base, color=plots.BLUE, lw=0.8)
                std = values.std()
                text = f"std {std:,.0f}" if std > 100 else f"std {plots.number(std, 2)}"
                where = axes.get_yaxis_transform()
                axes.text(0.97, base + 0.62, text, transform=where, ha="right", fontsize=8.5)
            axes.set(xlim=limits, ylim=(0, LAYERS))
            axes.set_yticks(np.arange(LAYERS) + 0.4, [f"layer {n}" for n in range(LAYERS, 0, -1)])
            axes.tick_params(length=0, labelleft=axes is row[0])
            axes.spines[["top", "right", "left"]].set_visible(False)
            if name == "sigmoid":
                axes.set_title(title)
        row[0].set_ylabel(name, fontsize=13)
    text = "Activations of five layers of 100 units for 1000 normal inputs, by their weights"
    figure.suptitle(f"{text}\n(bars end at 9 % of the values; larger values than 3 are at 3)")
    figure.savefig(path, dpi=100)


def learn(draw: Callable[..., Any], steps: int = 200) -> tuple[float, int]:
    """Learn 500 digits with 50 sigmoid units; return the loss, and how many units differ."""
    pixels, digit = load_digits(return_X_y=True)
    x, digit = np.float32(pixels[:500]) / 16, digit[:500]
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Affine(64, 50, rng=rng), nn.Sigmoid(), nn.Affine(50, 10, rng=rng))
    init.initialize(model, draw, rng=rng)
    optimizer = optim.SGD(list(model.parameters()), lr=1.0)
    last = np.nan
    for _ in range(steps):
        model.zero_grad()
        loss = F.cross_entropy(model(x), digit)
        loss.backward()
        optimizer.step()
        last = loss.item()
    units = next(model.parameters()).data
    distinct = 1 + sum(not np.allclose(units[i], units[:i], atol=1e-3) for i in range(1, 50))
    return last, distinct


def main(folder: Path) -> None:
    """Show both."""
    shape = (50, 100)
    print("standard deviation of 50 × 100 weights")
    table: list[tuple[str, Callable[..., Any], float]] = [
        ("Xavier, 1 / n_in", partial(init.xavier_normal, fan="in"), (1 / 100) ** 0.5),
        ("Xavier, 2 / (n_in + n_out)", init.xavier_normal, (2 / 150) ** 0.5),
        ("He, 2 / n_in", init.he_normal, (2 / 100) ** 0.5),
        ("1 / √n_in", init.lecun_normal, 100**-0.5),
    ]
    for name, function, expected in table:
        drawn = function(shape, rng=np.random.default_rng(0)).std()
        print(f"    {name:28} {expected:.4f} wanted, {drawn:.4f} drawn")

    print("standard deviation of the activations, layers 1 to 5")
    for name, (function, _) in ACTIVATIONS.items():
        for title, draw in INITS.items():
            spread = activations(function, draw).std(axis=(1, 2))
            print(f"    {name:8} {title:28}", *[f"{s:9.2g}" for s in spread])

    print("200 steps on 500 digits, 50 hidden units")
    draws: dict[str, Callable[..., Any]] = {
        "zeros": init.zeros,
        "all 0.1": partial(init.constant, value=0.1),
        "Xavier": init.xavier_normal,
    }
    for name, draw in draws.items():
        loss, distinct = learn(draw)
        print(f"    {name:8} loss {loss:.3f}, hidden units that differ: {distinct}")

    folder.mkdir(parents=True, exist_ok=True)
    plot(folder / "initialisation.png")
    print(f"drawn: {folder / 'initialisation.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
