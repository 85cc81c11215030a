"""Work that should take twice as long when there is twice as much of it."""

from collections.abc import Callable
from typing import Any

import numpy as np

import graphgrad as gg
from benchmarks import programs
from benchmarks.libraries import OURS

Work = Callable[[], Any]


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
    "gradients in the steps of a simulation": (
        lambda steps: programs.simulation(OURS, steps),
        100,
    ),
    "stack": (lambda count: joined(np.stack, count), 4000),
    "concatenate": (lambda count: joined(np.concatenate, count), 4000),
}
