"""Work that should take twice as long when there is twice as much of it."""

from collections.abc import Callable
from typing import Any

import numpy as np

import graphgrad as gg

Work = Callable[[], Any]


def simulation(steps: int) -> Work:
    """Differentiate through a simulation whose forces are themselves gradients."""
    start = np.linspace(-1.0, 1.0, 4)

    def energy(x: Any) -> Any:
        return np.sum(np.cos(x) + 0.5 * x * x)

    def distance(x: Any) -> Any:
        v = np.zeros(4)
        for _ in range(steps):
            v = v - 0.01 * gg.grad(energy)(x)
            x = x + 0.01 * v
        return np.sum(x * x)

    return lambda: gg.grad(distance)(start)


def joined(join: Callable[[Any], Any], count: int) -> Work:
    """Join tensors, and send the gradient back to each."""
    pieces = [gg.Tensor(np.ones(2), requires_grad=True) for _ in range(count)]

    def work() -> Any:
        for piece in pieces:
            piece.grad = None
        join(pieces).sum().backward()
        return pieces[-1].grad

    return work


CASES: dict[str, tuple[Callable[[int], Work], int]] = {
    "gradients in the steps of a simulation": (simulation, 100),
    "stack": (lambda count: joined(np.stack, count), 4000),
    "concatenate": (lambda count: joined(np.concatenate, count), 4000),
}
