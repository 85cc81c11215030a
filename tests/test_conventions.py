"""docs/conventions.md, executed: its numbers, and that each row has the tests that prove it.

`conventions.txt` lists these tests below the first cell of the row.
"""

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from tests.builders import leaf
from tests.special_points import POINTS

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "conventions.md"
checkout = pytest.mark.skipif(not PAGE.exists(), reason="needs the checkout")


def rows() -> list[list[str]]:
    """Return the cells of every row of the page's tables."""
    lines = PAGE.read_text("utf-8").splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    return [row for row in cells if row[0] != "case" and set(row[0]) != {"-"}]


def proofs() -> Iterator[tuple[str, list[str]]]:
    """Yield the first cell of each row and the tests that prove the row, from conventions.txt."""
    for block in re.split(r"\n(?! )", (HERE / "conventions.txt").read_text("utf-8").strip()):
        case, *tests = block.splitlines()
        yield case, [test.strip() for test in tests]


@checkout
def test_conventions_txt_has_the_rows_of_the_page() -> None:
    """The same, in the same order: a row that is new or changed on the page is so in the list."""
    assert [case for case, _ in proofs()] == [row[0] for row in rows()]


def test_every_row_has_tests_that_pytest_collects() -> None:
    points = set()
    for case, tests in proofs():
        assert tests, f"no test proves: {case}"
        for test in tests:
            file, name = test.split("::")
            function, _, point = name.partition("[")
            assert re.fullmatch(r"tests/(\w+/)?test_\w+\.py", file), test
            assert function.startswith("test_"), test
            module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
            assert inspect.isfunction(getattr(module, function, None)), test
            if point:
                assert function == "test_special_point", test
                points.add(point.removesuffix("]"))
    assert points == set(POINTS)


def derivatives(f: Callable[..., Any], at: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
    variables = [leaf(np.array(x, float)) for x in at]
    with np.errstate(all="ignore"):
        first = gg.gradients(gg.sum(f(gg, *variables)), variables, create_graph=True)
        total = sum(gg.sum(g) for g in first)
        if not (isinstance(total, gg.Tensor) and total.requires_grad):
            return list(first), [np.zeros_like(g.numpy()) for g in first]
        return list(first), list(gg.gradients(total, variables))


@pytest.mark.parametrize("name", POINTS)
def test_special_point(name: str) -> None:
    point = POINTS[name]
    first, second = derivatives(point.f, point.at)
    nothing = [np.zeros(np.shape(x)) for x in point.at]
    for found, expected in zip(first, point.first, strict=True):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-14)
    for found, expected in zip(second, point.second or nothing, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-13)
    variables = [leaf(np.array(x, float)) for x in point.at]
    with np.errstate(all="ignore"):  # backward() feeds rules plain arrays
        gg.sum(point.f(gg, *variables)).backward()
    for t, expected in zip(variables, point.first, strict=True):
        np.testing.assert_allclose(t.grad, expected, rtol=1e-14)
