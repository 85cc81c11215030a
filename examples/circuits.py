"""The circuits of the CS231n notes on backpropagation: value, gradients and a picture of each.

    python examples/circuits.py [folder for the pictures]

circuit_*.svg: gradients below the wires. A sum hands its gradient on, a product exchanges the
inputs, a maximum sends all of it to the larger one.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import graphgrad as gg

Circuit = tuple[gg.Tensor, tuple[gg.Tensor, ...]]  # the output and the inputs


def variable(name: str, value: Any) -> gg.Tensor:
    """Make an input that takes a gradient."""
    return gg.Tensor(value, dtype=float, requires_grad=True, name=name)


def sum_times_z() -> Circuit:
    """(x + y) z at −2, 5, −4: the add gate hands its gradient on, the product swaps."""
    x, y, z = variable("x", -2), variable("y", 5), variable("z", -4)
    return (x + y) * z, (x, y, z)


def product() -> Circuit:
    """Multiply 4 by −3: the gradient of each is the other."""
    x, y = variable("x", 4), variable("y", -3)
    return x * y, (x, y)


def maximum() -> Circuit:
    """max(4, 2): all of the gradient goes to the larger."""
    x, y = variable("x", 4), variable("y", 2)
    return gg.maximum(x, y), (x, y)


def patterns() -> Circuit:
    """2 (x y + max(z, w)) at 3, −4, 2, −1: add distributes, max routes, product swaps."""
    x, y, z, w = variable("x", 3), variable("y", -4), variable("z", 2), variable("w", -1)
    return 2 * (x * y + gg.maximum(z, w)), (x, y, z, w)


def neuron() -> Circuit:
    """σ(w₀x₀ + w₁x₁ + w₂), the sigmoid written out as gates: − exp + 1/x."""
    w0, w1, w2 = variable("w0", 2), variable("w1", -3), variable("w2", -3)
    x0, x1 = variable("x0", -1), variable("x1", -2)
    dot = w0 * x0 + w1 * x1 + w2
    return 1 / (1 + (-dot).exp()), (w0, w1, w2, x0, x1)


def staged() -> Circuit:
    """(x + σ(y)) / (σ(x) + (x + y)²) at 3, −4: gradients of the uses of x and y add up."""
    x, y = variable("x", 3), variable("y", -4)
    return (x + y.sigmoid()) / (x.sigmoid() + (x + y) ** 2), (x, y)


def matrices() -> Circuit:
    """D = W X of shapes 5 × 10 and 10 × 3: ∂W = ∂D Xᵀ and ∂X = Wᵀ ∂D."""
    rng = np.random.default_rng(0)
    W, X = variable("W", rng.standard_normal((5, 10))), variable("X", rng.standard_normal((10, 3)))
    return W @ X, (W, X)


CIRCUITS: list[Callable[[], Circuit]] = [
    sum_times_z,
    product,
    maximum,
    patterns,
    neuron,
    staged,
    matrices,
]


def main(folder: Path) -> None:
    """Print and draw every circuit."""
    folder.mkdir(parents=True, exist_ok=True)
    for circuit in CIRCUITS:
        out, inputs = circuit()
        print(circuit.__doc__)
        if out.shape:
            out.backward(np.ones(out.shape), retain_graph=True)  # for the picture's gradients
            print(f"    out {out.shape}, " + ", ".join(f"∂{x.name} {x.grad.shape}" for x in inputs))
        else:
            out.backward()
            gradients = ", ".join(f"∂{x.name} = {x.grad:.6g}" for x in inputs)
            print(f"    out = {out:.7g}, {gradients}")
        gg.graph(out).render(folder / f"circuit_{circuit.__name__}.svg")
    print(f"drawn: {len(CIRCUITS)} pictures, {folder / 'circuit_*.svg'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
