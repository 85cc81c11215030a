"""What tests of pages need: a real browser, the system's Chromium, and what stands in a page."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# No sandbox, for tests may run as root; the others keep the browser itself from the network.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# Pairs of texts that share more than a pixel in both directions, as the browser draws them.
OVERLAPS = """
() => {
  const texts = [...document.querySelectorAll("svg text")].filter((t) => t.textContent.trim());
  const boxes = texts.map((t) => [t.textContent, t.getBoundingClientRect()]);
  const found = [];
  boxes.forEach(([a, p], i) => boxes.slice(0, i).forEach(([b, q]) => {
    const across = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const down = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (across > 1 && down > 0.35 * Math.min(p.height, q.height)) found.push([a, b]);
  }));
  return [texts.length, found];
}
"""


class NoBrowserError(Exception):
    """There is none; the message says what to install."""


def program() -> str:
    """Find Chromium, and what drives it."""
    if not find_spec("playwright"):
        raise NoBrowserError("needs Playwright: extra `browser`")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise NoBrowserError("needs Chromium: apt-get install chromium")
    return found


@contextmanager
def started(home: Path) -> Iterator[Any]:
    """Start Chromium with a folder of its own."""
    path = program()
    from playwright import sync_api as api

    folders = dict.fromkeys(
        ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"), str(home)
    )
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=FLAGS, env={**os.environ, **folders}
        )
        try:
            yield browser
        finally:
            browser.close()


def reached_by_tab(page: Any, selector: str, presses: int) -> set[int]:
    """Press Tab again and again; return which of the visible elements had the focus, by place."""
    reached = set()
    for _ in range(presses):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "(selector) => [...document.querySelectorAll(selector)]"
                ".filter((e) => e.getClientRects().length).indexOf(document.activeElement)",
                selector,
            )
        )
    return reached - {-1}


class Visit:
    """A window of the browser, with what went wrong in it and what it asked the network for."""

    def __init__(self, browser: Any, width: int, scheme: str, height: int = 900) -> None:
        """Open a window of this width, in a light or dark scheme."""
        self.errors: list[str] = []
        self.requests: list[str] = []
        viewport = {"width": width, "height": height}
        self.page = browser.new_page(
            viewport=viewport, color_scheme=scheme, reduced_motion="reduce"
        )
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def go(self, path: Path) -> Any:
        """Open a file, and return the page."""
        self.requests.clear()
        self.page.mouse.move(0, 0)
        self.page.goto(path.as_uri())
        # until it is painted
        self.page.evaluate(
            "new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))"
        )
        return self.page

    def check(self) -> None:
        """Check that nothing went wrong since, and nothing else was asked for."""
        own = self.page.url, "about:srcdoc"
        errors, self.errors = self.errors, []
        assert errors == []
        assert [r for r in self.requests if r not in own and not r.startswith("data:")] == []


class Parts(HTMLParser):
    """The elements of a page with their attributes, and what scripts and styles hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.content: dict[str, str] = {}  # of the last element of each kind
        self.open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open = tag
        self.content[tag] = ""

    def handle_endtag(self, tag: str) -> None:
        del tag
        self.open = ""

    def handle_data(self, data: str) -> None:
        if self.open:
            self.content[self.open] += data


def data_of(page: str) -> Any:
    """What a page hands to its script."""
    found = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])
