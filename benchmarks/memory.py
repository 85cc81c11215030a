"""What a graph costs in memory, and whether it gives it back."""

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any, NamedTuple

import graphgrad as gg

LENGTH = 50_000

CHAINS: dict[str, Callable[[Any], Any]] = {
    "multiply by a number": lambda y: y * 1.0001,
    "add a number": lambda y: y + 0.5,
    "tanh": lambda y: y.tanh(),
}


class Chain(NamedTuple):
    """Bytes per node: in the graph, after backward(), and left behind after deletion."""

    recorded: float
    swept: float
    left: float


def chain(step: Callable[[Any], Any]) -> Chain:
    """Record, sweep and delete a chain of scalars, with the garbage collector off."""
    x = gg.Tensor(0.5, requires_grad=True)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        y = x
        for _ in range(3000):  # fills Python's own lists of free tuples, so that they don't count
            y = step(y)
        y.backward()
        del y
        before = tracemalloc.get_traced_memory()[0]
        y = x
        for _ in range(LENGTH):
            y = step(y)
        recorded = tracemalloc.get_traced_memory()[0] - before
        y.backward()
        swept = tracemalloc.get_traced_memory()[0] - before
        del y
        left = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
        gc.enable()
    return Chain(recorded / LENGTH, swept / LENGTH, left / LENGTH)
