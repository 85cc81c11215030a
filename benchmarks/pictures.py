"""How large pictures and pages are, how long they take, and how a browser gets on with them."""

import tempfile
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pygraphviz

import graphgrad as gg
from graphgrad.viz import Graph
from tests.browser import started
from tests.golden.programs import apples_and_oranges

TIMEOUT = 60.0
LIMIT = 1000

# Every step from the first to the last, each painted before the next: milliseconds that the script
# takes with style and layout.
STEPS = """
async () => {
  const press = (key) =>
    document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
  const painted = () => new Promise((r) => requestAnimationFrame(() => setTimeout(r)));
  const slider = document.querySelector("input[type=range]");
  press("Home");
  await painted();
  const took = [];
  while (slider.value !== slider.max) {
    const start = performance.now();
    press("ArrowRight");
    document.querySelector(".hand")?.getBoundingClientRect();
    took.push(performance.now() - start);
    await painted();
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

    def drawn() -> tuple[Graph, str]:
        graph = gg.graph(result)
        return graph, graph.to_svg(limit=LIMIT, timeout=TIMEOUT, collapse=99)

    seconds = min(timeit.repeat(drawn, number=1, repeat=3))
    graph, svg = drawn()
    page = graph.to_html(limit=LIMIT, timeout=TIMEOUT, collapse=99)
    theirs = pygraphviz.AGraph(graph.to_dot(collapse=99)).draw(format="svg", prog="dot") or b""
    seen = graph.view(collapse=99)
    return Picture(seen.size, seconds, len(svg.encode()), len(theirs), len(page.encode()))


class Opened(NamedTuple):
    """A page in a browser: seconds."""

    opens: float  # until it is painted
    step: float  # script, style and layout of a step: the median
    nearly_all: float  # as long take at most 95 of 100 steps
    painted: float  # the work of the main thread for a step, painting and fading included: the mean


def opened(compute: Callable[[], Any]) -> Opened:
    """Open a page in the system's Chromium, and step through all of it.

    Raises
    ------
    NoBrowserError
        Without one.
    """
    with tempfile.TemporaryDirectory() as folder, started(Path(folder)) as browser:
        path = Path(folder) / "page.html"
        gg.graph(compute()).render(path, limit=LIMIT, timeout=TIMEOUT, collapse=99)
        found = []
        for _ in range(4):  # the first one warms the browser up
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            start = time.perf_counter()
            page.goto(path.as_uri())
            page.evaluate(PAINTED)
            opens = time.perf_counter() - start
            told = page.context.new_cdp_session(page)
            told.send("Performance.enable")
            before = busy(told)
            took = np.array(page.evaluate(STEPS)) / 1e3
            painted = (busy(told) - before) / len(took)
            found.append((opens, np.median(took), np.quantile(took, 0.95), painted))
            page.close()
    return Opened(*map(float, np.min(found[1:], axis=0)))


PAINTED = "new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))"


def busy(session: Any) -> float:
    """Return how many seconds the main thread of a page has worked."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(float(m["value"]) for m in metrics if m["name"] == "TaskDuration")
