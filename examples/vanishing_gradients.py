"""Vanishing and exploding gradients, seen: networks of five layers, filled by ‖∂‖.

    python examples/vanishing_gradients.py [folder for the picture]

A sigmoid lets at most a quarter of the gradient through, and small weights take their share;
weights from N(0, 1) multiply it. After ReLU, with He's weights, as much arrives at the first
layer as left the last. vanishing_gradients.svg: the fuller the colour, the larger the gradient.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import graphgrad as gg
from graphgrad import nn
from graphgrad.nn import functional as F, init  # noqa: N812 - the usual name

LAYERS, WIDTH, BATCH, CLASSES = 5, 100, 1000, 10


class Layer(nn.Module):
    """A fully connected layer and its activation."""

    def __init__(self, function: Callable[[Any], Any], rng: np.random.Generator) -> None:
        """Take any weights; they are drawn anew."""
        self.affine = nn.Affine(WIDTH, WIDTH, rng=rng)
        self.function = function

    def forward(self, x: Any) -> Any:
        """Return function(x Wᵀ + b), (N, 100)."""
        return self.function(self.affine(x))


class SigmoidSmall(nn.Sequential):
    """Weights from N(0, 0.01²)."""


class SigmoidXavier(nn.Sequential):
    """Weights from N(0, 1 / n)."""


class ReLUHe(nn.Sequential):
    """Weights from N(0, 2 / n)."""


class ReLULarge(nn.Sequential):
    """Weights from N(0, 1)."""


NETS: list[tuple[type[nn.Sequential], Callable[[Any], Any], Callable[..., Any]]] = [
    (SigmoidSmall, F.sigmoid, partial(init.normal, std=0.01)),
    (SigmoidXavier, F.sigmoid, init.xavier_normal),
    (ReLUHe, F.relu, init.he_normal),
    (ReLULarge, F.relu, init.normal),
]


def losses() -> gg.Tensor:
    """Return the sum of the losses of all: one graph, and one scale for all colours."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((BATCH, WIDTH), dtype=np.float32)
    labels = rng.integers(CLASSES, size=BATCH)
    each = []
    for kind, function, draw in NETS:
        layers = [Layer(function, rng) for _ in range(LAYERS)]
        net = kind(*layers, nn.Affine(WIDTH, CLASSES, rng=rng))
        init.initialize(net, draw, kinds=nn.Affine, rng=rng)
        each.append(F.cross_entropy(net(x), labels))
    return gg.stack(each).sum()


def main(folder: Path) -> None:
    """Send one gradient through all, print what arrives at each layer, draw it."""
    with gg.viz.tracing():
        total = losses()
    graph = gg.graph(total)
    view = graph.view(collapse=1, direction="backward", heat=True)
    norms: dict[str, list[float]] = {}
    for node in view.nodes:
        if node.modules and node.norm is not None:
            net = node.modules[0].path.partition(".")[0]
            norms.setdefault(net, []).append(node.norm)
    columns = [f"layer {n}" for n in range(1, LAYERS + 1)]
    print(f"{'‖∂‖ of the output of':20}", *[f"{c:>9}" for c in (*columns, "scores")])
    for net, row in norms.items():
        print(f"{net:20}", *[f"{norm:9.2g}" for norm in row])

    folder.mkdir(parents=True, exist_ok=True)
    path = graph.render(
        folder / "vanishing_gradients.svg", collapse=1, direction="backward", heat=True
    )
    print(f"drawn: {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
