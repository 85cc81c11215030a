"""Perceptrons as logic gates; XOR takes two layers, built from gates or learned.

    python examples/perceptrons.py [folder for the pictures]

perceptrons.png: a perceptron draws one line, and no line divides XOR.
"""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import graphgrad as gg
from graphgrad import nn, optim
from graphgrad.viz import plots

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
WEIGHTS = {  # weights of the two inputs, and the bias
    "AND": ([0.5, 0.5], -0.7),
    "NAND": ([-0.5, -0.5], 0.7),
    "OR": ([0.5, 0.5], -0.2),
}
TRUTH = {"AND": [0, 0, 0, 1], "NAND": [1, 1, 1, 0], "OR": [0, 1, 1, 1], "XOR": [0, 1, 1, 0]}


def gate(name: str, x: Any) -> gg.Tensor:
    """Fire, 1, where the weighted sum and the bias are above 0: x (…, 2) → (…)."""
    weights, bias = WEIGHTS[name]
    return nn.functional.step(gg.Tensor(x) @ weights + bias)


def xor(x: Any) -> gg.Tensor:
    """Either, but not both: two layers of gates."""
    hidden = np.stack([gate("NAND", x), gate("OR", x)], axis=-1)
    return gate("AND", hidden)


def learn(net: nn.Module, steps: int = 300) -> float:
    """Learn XOR from its four rows; return the loss at the end."""
    optimizer = optim.Adam(net.parameters(), lr=0.1)
    loss = 0.0
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy = nn.functional.binary_cross_entropy_with_logits(
            net(CORNERS)[:, 0], TRUTH["XOR"]
        )
        cross_entropy.backward()
        optimizer.step()
        loss = cross_entropy.item()
    return loss


def one_layer(rng: np.random.Generator) -> nn.Sequential:
    """Make a perceptron that can learn: its step is a sigmoid, which the loss applies."""
    return nn.Sequential(nn.Affine(2, 1, rng=rng, dtype=np.float64))


def two_layers(rng: np.random.Generator) -> nn.Sequential:
    """Make one with four hidden units; with two, six of ten starts get stuck."""
    return nn.Sequential(
        nn.Affine(2, 4, rng=rng, dtype=np.float64),
        nn.Tanh(),
        nn.Affine(4, 1, rng=rng, dtype=np.float64),
    )


def probability(net: nn.Module, x: Any) -> Any:
    """Return how sure a net is that it should fire."""
    return nn.functional.sigmoid(net(x)).numpy()[..., 0]


def right(net: nn.Module) -> int:
    """Count the rows of XOR which a net has right."""
    return int(((probability(net, CORNERS) > 0.5) == TRUTH["XOR"]).sum())


def best_single_perceptron(reach: float = 1.0, count: int = 21) -> int:
    """Try count³ weights and biases; return the most rows of XOR which one of them has right."""
    side = np.linspace(-reach, reach, count)
    w1, w2, b = map(np.ravel, np.meshgrid(side, side, side))
    fires = nn.functional.step(CORNERS @ np.stack([w1, w2]) + b)  # (4, count³)
    return int((fires == np.reshape(TRUTH["XOR"], (4, 1))).sum(axis=0).max())


def plot(outputs: dict[str, tuple[str, Callable[[Any], Any]]], path: Path) -> None:
    """Draw what each answers all over the plane, and the four rows that it should know."""
    figure = plots.figure(10.5, 7.4)
    side = np.linspace(-0.5, 1.5, 401)
    plane = np.stack(np.meshgrid(side, side), axis=-1)
    panels = figure.subplots(2, 3, sharex=True, sharey=True).flat
    for axes, (title, (truth, function)) in zip(panels, outputs.items(), strict=True):
        answer = function(plane)
        scale: Any = {"cmap": plots.SIGNED, "vmin": -1, "vmax": 1}
        axes.imshow(answer - 0.5, **scale, origin="lower", extent=[-0.5, 1.5] * 2)
        if np.ptp(answer) > 0.5:  # else it is undecided everywhere
            axes.contour(side, side, answer, levels=[0.5], colors=plots.BLACK, linewidths=1)
        for corner, wanted in zip(CORNERS, TRUTH[truth], strict=True):
            colour = plots.ORANGE if wanted else plots.BLUE
            axes.plot(
                *corner, "o" if wanted else "s", color=colour, ms=11, mec=plots.PAPER, mew=1.5
            )
            axes.annotate(str(wanted), corner, (9, 9), textcoords="offset points", fontsize=11)
        axes.set(title=title, xticks=[0, 1], yticks=[0, 1])
    figure.suptitle("Red side: fires, 1; blue side: 0. Circles: rows that should be 1; squares: 0")
    figure.supxlabel("$x_1$")
    figure.supylabel("$x_2$")
    plots.save(figure, path)


def main(folder: Path) -> None:
    """Print the truth tables, learn XOR, draw the regions."""
    folder.mkdir(parents=True, exist_ok=True)
    gates: dict[str, Callable[[Any], Any]] = {
        name: functools.partial(gate, name) for name in WEIGHTS
    }
    gates["XOR"] = xor
    print("x1 x2   " + "  ".join(f"{name:>4}" for name in gates))
    for corner in CORNERS:
        cells = "  ".join(f"{function(corner).item():4g}" for function in gates.values())
        print(f" {corner[0]:g}  {corner[1]:g}   {cells}")

    print(f"\nXOR, of 4 rows: the best of 9261 perceptrons has {best_single_perceptron()} right")
    nets = {"one layer": one_layer, "two layers": two_layers}
    learned: dict[str, Callable[[Any], Any]] = {}
    for name, make in nets.items():
        net = make(np.random.default_rng(0))
        loss = learn(net)
        learned[name] = functools.partial(probability, net)
        chances = " ".join(f"{p:.2f}" for p in learned[name](CORNERS))
        print(f"    {name:10} learned: {chances}, loss {loss:.4f}")
    starts = [two_layers(np.random.default_rng(seed)) for seed in range(10)]
    done = sum(learn(net) < 0.1 and right(net) == 4 for net in starts)
    print(f"    two layers, from {len(starts)} starts: {done} learned it")

    picture: dict[str, tuple[str, Callable[[Any], Any]]] = {
        f"{name}: one line": (name, gates[name]) for name in WEIGHTS
    }
    picture["XOR = AND(NAND, OR): two lines"] = "XOR", xor
    picture["one layer, learned: undecided"] = "XOR", learned["one layer"]
    picture["two layers, learned"] = "XOR", learned["two layers"]
    path = folder / "perceptrons.png"
    plot(picture, path)
    print(f"drawn: {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
