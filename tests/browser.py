"""A real browser for tests of pages: the system's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
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
    """A page that was opened, with what went wrong and what it asked the network for."""

    def __init__(
        self,
        browser: Any,
        path: Path,
        width: int = 1280,
        scheme: str = "light",
        height: int = 900,
    ) -> None:
        """Open a file in a window of this width, in a light or dark scheme."""
        self.errors: list[str] = []
        self.requests: list[str] = []
        viewport = {"width": width, "height": height}
        self.page = browser.new_page(
            viewport=viewport, color_scheme=scheme, reduced_motion="reduce"
        )
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.go(path)

    def go(self, path: Path) -> None:
        """Open another file in the same window, which takes less time than a new one."""
        self.requests.clear()
        self.page.mouse.move(0, 0)
        self.page.goto(path.as_uri())
        # until it is painted
        self.page.evaluate(
            "new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))"
        )

    def close(self) -> None:
        """Check that all went well."""
        self.page.close()
        self.check()

    def check(self) -> None:
        """Check that nothing went wrong, and nothing else was asked for."""
        url = self.page.url
        assert self.errors == []
        assert [r for r in self.requests if r != url and not r.startswith("data:")] == []
