"""Why long sequences are forgotten: a recurrent unit unrolled in time, filled by ‖∂‖.

    python examples/unrolled_recurrence.py [folder for the pictures]

h ← tanh(w h + x), six times with the same w. On the way back each step multiplies the gradient
by w (1 − h²). With w = 0.3 next to nothing reaches the first inputs, and w learns from the last
ones alone: recurrence_0.3.html shows what each of its six uses adds to its gradient, beside
recurrence_1.html.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

import graphgrad as gg
from graphgrad import nn

STEPS = 6


class Step(nn.Module):
    """One step in time; all share w."""

    def __init__(self, w: nn.Parameter) -> None:
        """Take the weight."""
        self.w = w

    def forward(self, h: gg.Tensor, x: gg.Tensor) -> Any:
        """Return tanh(w h + x)."""
        return np.tanh(self.w * h + x)


def unrolled(weight: float) -> gg.viz.Graph:
    """Hear 0.2 again and again; the last state should have been 1."""
    w = nn.Parameter(np.float64(weight))
    with gg.viz.tracing():
        h = gg.Tensor(0.0, name="h0")
        for t in range(1, STEPS + 1):
            h = Step(w)(h, gg.Tensor(0.2, requires_grad=True, name=f"x{t}"))
            h.name = f"h{t}"
        loss = (h - 1.0) ** 2
        loss.name = "loss"
    return gg.graph(loss)


def main(folder: Path) -> None:
    """Print how much of the gradient reaches each input; draw it."""
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{'∂ of':>7}", *[f"{f'x{t}':>8}" for t in range(1, STEPS + 1)])
    for weight in (0.3, 1.0):
        graph = unrolled(weight)
        norms = {v.name: v.gradient.norm for v in graph.snapshot.values if v.gradient}
        print(f"w = {weight:g}", *[f"{norms[f'x{t}']:8.2g}" for t in range(1, STEPS + 1)])
        for suffix in ("svg", "html"):
            path = folder / f"recurrence_{weight:g}.{suffix}"
            print("drawn:", graph.render(path, collapse=0, heat=(1e-3, 1)))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
