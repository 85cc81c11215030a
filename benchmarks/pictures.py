"""How large pictures and pages are, how long they take, and how a browser gets on with them."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pygraphviz

import graphgrad as gg
from tests.browser import started
from tests.golden.programs import apples_and_oranges

TIMEOUT = 60.0
LIMIT = 1000

# From one step to the next, with what it changes laid out anew: milliseconds of each.
STEPS = """
async () => {
  const took = [];
  document.dispatchEvent(new KeyboardEvent("keydown", {key: "Home", bubbles: true}));
  for (let i = 0; i < 400; i++) {
    const start = performance.now();
    document.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight", bubbles: true}));
    document.querySelector("svg.gg").getBoundingClientRect();
    took.push(performance.now() - start);
    if (i % 20 == 0) await new Promise(requestAnimationFrame);
  }
  return took;
}
"""


def apples() -> gg.Tensor:
    """Return what apples and oranges cost."""
    return apples_and_oranges()


def recurrence(steps: int = 100) -> gg.Tensor:
    """Return the result of an unrolled recurrent network, five values to a step."""
    rng = np.random.default_rng(0)
    shapes = {"W": (4, 4), "U": (3, 4), "h": (1, 4)}
    w, u, h = (gg.Tensor(rng.normal(size=s), requires_grad=True, name=n) for n, s in shapes.items())
    for _ in range(steps):
        h = gg.tanh(h @ w + gg.Tensor(rng.normal(size=(1, 3))) @ u)
    return h.sum()


GRAPHS: dict[str, Callable[[], Any]] = {
    "apples and oranges": apples,
    "100 steps of an RNN": recurrence,
}


class Picture(NamedTuple):
    """What a graph costs to be seen."""

    values: int
    seconds: float  # from the tensor to the SVG
    svg: int  # bytes
    by_graphviz: int  # bytes of the SVG that Graphviz itself writes
    page: int  # bytes


def picture(compute: Callable[[], Any]) -> Picture:
    """Draw a graph in both forms; of three times the shortest."""
    result = compute()
    took = []
    for _ in range(3):
        start = time.perf_counter()
        graph = gg.graph(result)
        svg = graph.to_svg(limit=LIMIT, timeout=TIMEOUT, collapse=99)
        took.append(time.perf_counter() - start)
    page = graph.to_html(limit=LIMIT, timeout=TIMEOUT, collapse=99)
    theirs = pygraphviz.AGraph(graph.to_dot(collapse=99)).draw(format="svg", prog="dot")
    seen = graph.view(collapse=99)
    return Picture(seen.size, min(took), len(svg.encode()), len(theirs), len(page.encode()))


class Opened(NamedTuple):
    """A page in a browser: seconds until it was painted, and seconds of steps."""

    opens: float
    step: float
    longest: float


def opened(compute: Callable[[], Any]) -> Opened:
    """Open a page in the system's Chromium, and step through it.

    Raises
    ------
    NoBrowserError
        Without one.
    """
    with tempfile.TemporaryDirectory() as folder, started(Path(folder)) as browser:
        path = Path(folder) / "page.html"
        gg.graph(compute()).render(path, limit=LIMIT, timeout=TIMEOUT, collapse=99)
        took = []
        for _ in range(5):  # the first one warms the browser up
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            start = time.perf_counter()
            page.goto(path.as_uri())
            page.evaluate(
                "new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))"
            )
            took.append(time.perf_counter() - start)
            steps = page.evaluate(STEPS)
            page.close()
    return Opened(min(took[1:]), statistics.median(steps) / 1e3, max(steps) / 1e3)
