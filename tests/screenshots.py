"""The pictures of the documentation that a browser takes.

python -m tests.screenshots docs/pictures
"""

import sys
import tempfile
from pathlib import Path

import graphgrad as gg
from tests.browser import Visit, started
from tests.golden.programs import apples_and_oranges

STEP = 9  # of ten: the gradient goes from a product back to its factors


def main(folder: Path) -> None:
    """Take the page of apples and oranges, stepped through in part, with one op told of."""
    with tempfile.TemporaryDirectory() as home, started(Path(home)) as browser:
        path = gg.graph(apples_and_oranges()).render(Path(home) / "page.html")
        visit = Visit(browser, 1100, "light", height=620)
        page = visit.go(path)
        page.keyboard.press("Home")
        for _ in range(STEP):
            page.keyboard.press("ArrowRight")
        page.locator("#o6").click()
        page.evaluate("document.activeElement.blur()")
        page.screenshot(path=folder / "stepper.png")
        visit.check()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
