"""What docs/how-it-works.md shows: the calls of one product and its gradient, and their picture.

python -m tests.how_it_works    draws the picture anew, and lists the calls
"""

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import graphgrad as gg
from graphgrad.viz import Graph

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "pictures" / "product.svg"


class Entered(NamedTuple):
    """A function of graphgrad that was called."""

    depth: int
    file: str
    function: str


def factors() -> tuple[gg.Tensor, gg.Tensor]:
    x, y = (gg.Tensor(v, requires_grad=True, name=n) for n, v in (("x", 3.0), ("y", 2.0)))
    return x, y


def called(work: Callable[[], Any]) -> list[Entered]:
    """List the functions of graphgrad that some work calls, in order."""
    found: list[Entered] = []
    stack: list[bool] = []

    def see(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            path = Path(frame.f_code.co_filename)
            ours = "graphgrad" in path.parts[:-1]
            if ours:
                name = frame.f_code.co_qualname.replace("<locals>.", "")
                found.append(Entered(sum(stack), path.name, name))
            stack.append(ours)
        elif event == "return" and stack:
            stack.pop()

    sys.setprofile(see)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


def product_and_gradient() -> list[Entered]:
    """List the calls of ``z = x * y; z.backward()``, once all that is made once is there."""

    def work() -> None:
        z = x * y
        z.backward()

    x, y = factors()
    work()
    x, y = factors()
    return called(work)


def drawn() -> Graph:
    x, y = factors()
    z = x * y
    z.name = "z"
    z.backward()
    return gg.graph(z)


def main() -> None:
    drawn().render(PICTURE)
    calls = product_and_gradient()
    for depth, file, function in calls:
        sys.stdout.write(f"{'  ' * depth}{file:{28 - 2 * depth}}{function}\n")
    files = [call.file for call in calls]
    changes = sum(a != b for a, b in itertools.pairwise(files))
    what = f"{len(calls)} calls, {changes} changes of file, {len(set(files))} files"
    sys.stdout.write(f"{what}\n")


if __name__ == "__main__":
    main()
