"""The graph of a gradient: what the chain rule computes is a graph too, and has a gradient.

    python examples/second_order_graph.py [folder for the pictures]

Each group in slope.svg is what the gradient rule of one op computed. In curvature.svg the rules of
those ops have been at work once more.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

import graphgrad as gg

X = 2.0


def f(x: Any) -> Any:
    """Return x sin x; its derivatives are sin x + x cos x and 2 cos x - x sin x."""
    return x * np.sin(x)


def main(folder: Path) -> None:
    """Print who computed what in the gradient, draw both graphs."""
    first, second = gg.grad(f), gg.grad(gg.grad(f))
    print(f"f({X:g})   = {f(X):.6f}, by hand {X * np.sin(X):.6f}")
    print(f"f'({X:g})  = {first(X):.6f}, by hand {np.sin(X) + X * np.cos(X):.6f}")
    print(f"f''({X:g}) = {second(X):.6f}, by hand {2 * np.cos(X) - X * np.sin(X):.6f}")

    slope, curvature = gg.graph(first, X), gg.graph(second, X)
    calls = slope.snapshot.calls
    for value in slope.snapshot.values:
        if value.kind == "op" and value.numbers is not None:
            group = "forward" if value.call is None else calls[value.call - 1].kind
            name = value.name or f"#{value.id}"
            print(f"{group:12} {name:3} = {value.formula:8} = {value.numbers.mean:.4f}")

    folder.mkdir(parents=True, exist_ok=True)
    for name, graph in (("slope", slope), ("curvature", curvature)):
        print(f"drawn: {graph.render(folder / f'{name}.svg')}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
