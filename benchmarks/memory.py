"""What a graph and a training step cost in memory, and whether it is given back.

python -m benchmarks.memory graphgrad|PyTorch network    prints the bytes of one step
"""

import gc
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import graphgrad as gg
from benchmarks import networks

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


# ------------------------------------------------------------------------- a training step


def step(library: str, network: str) -> int:
    """Return the bytes that training steps add to a fresh process, at their peak."""
    command = [sys.executable, "-m", "benchmarks.memory", library, network]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    return int(result.stdout)


def _resident(entry: str) -> int:
    """Read what the operating system (Linux) has counted for this process, in bytes."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(entry):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {entry} in /proc/self/status")


def main(library: str, network: str) -> None:
    """Load everything and train a small batch, then count what steps on the full one add."""
    case = networks.NETWORKS[network]
    batch = networks.BATCH
    networks.BATCH = 1
    networks.training_step(library, case)()  # what is loaded at the first step is no part of it
    networks.BATCH = batch
    train = networks.training_step(library, case)
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak is counted from here
    before = _resident("VmRSS")
    for _ in range(3):
        train()
    print(_resident("VmHWM") - before)


if __name__ == "__main__":
    main(*sys.argv[1:])
