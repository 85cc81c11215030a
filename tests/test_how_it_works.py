"""docs/how-it-works.md shows what happens."""

import itertools
import re

from tests.how_it_works import PICTURE, ROOT, drawn, product_and_gradient
from tests.test_packaging import checkout

PAGE = ROOT / "docs" / "how-it-works.md"


@checkout
def test_the_calls_on_the_page_are_those_of_the_program() -> None:
    (block,) = re.findall(r"```text\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    lines = [line for line in block.splitlines() if ".py " in line]
    calls = product_and_gradient()
    assert [tuple(line.split()[:2]) for line in lines] == [(c.file, c.function) for c in calls]
    depths = [(len(line) - len(line.lstrip())) // 2 for line in lines]
    assert depths == [call.depth for call in calls]


@checkout
def test_the_way_stays_short() -> None:
    calls = product_and_gradient()
    files = [call.file for call in calls]
    assert len(calls) <= 25
    assert sum(a != b for a, b in itertools.pairwise(files)) <= 10


@checkout
def test_the_rules_on_the_page_are_those_of_the_module() -> None:
    (shown,) = re.findall(r"```python\n(multiply: .*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert shown in (ROOT / "graphgrad" / "ops" / "elementwise.py").read_text("utf-8")


@checkout
def test_the_files_to_read_are_there() -> None:
    files = re.findall(r"^\d+\. `([\w/]+\.py)`", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(files) == 10
    rooms = [ROOT / "graphgrad", ROOT / "graphgrad" / "engine"]
    assert [f for f in files if not any((room / f).is_file() for room in rooms)] == []


@checkout
def test_the_picture_is_today_s() -> None:
    assert drawn().to_svg() == PICTURE.read_text("utf-8")
