"""Graphs that are large, broken or oddly named: a picture or a clear error, in short time."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.errors import PictureError
from graphgrad.viz import Graph
from graphgrad.viz.drawing.texts import readable
from graphgrad.viz.views.scenes import scenes
from tests.browser import Parts
from tests.builders import HOSTILE, Named, leaf
from tests.viz.test_graph import DRAWN, SVG
from tests.viz.test_json import read


def check_writers(graph: Graph) -> None:
    """Every form is written, and each is a text that a file can hold."""
    read(graph)
    repr(graph).encode()
    svg = graph.to_svg()
    ET.fromstring(svg)
    for text in (graph.to_dot(heat=True), graph.to_mermaid(), svg):
        text.encode()
        assert "<script" not in text


def check_refusals(graph: Graph, count: int) -> None:
    for write in (graph.to_svg, graph.to_mermaid):
        with pytest.raises(PictureError, match=rf"{count} values .*focus=.*collapse=|{count} "):
            write()


@pytest.mark.parametrize("ops", [3000, pytest.param(100_000, marks=pytest.mark.whole)])
def test_a_long_chain(ops: int) -> None:
    """No recursion: Python would end it at a thousand calls."""
    x = y = leaf(1.0)
    for _ in range(ops):
        y = y + x
    graph = gg.graph(y)
    expected = gg.graph(gg.Tensor(ops + 1.0)).snapshot.result.numbers
    assert graph.snapshot.values[0].gradient == expected
    lines = graph.to_json().splitlines()
    assert sum('"kind"' in line for line in lines) == ops + 1
    assert sum('"direction"' in line for line in lines) == 2 * ops
    assert graph.to_dot().count("add at test_broken_graphs.py") == ops
    check_refusals(graph, ops + 1)


def test_an_op_of_many_inputs() -> None:
    """Its formula would be as long as all its inputs, and take their number squared."""
    x = leaf(np.ones(1), "x")
    graph = gg.graph(gg.concatenate([x] * 20_000).sum())
    joined = graph.snapshot.values[1]
    assert joined.formula is None
    assert len(joined.contributions) == 20_000
    assert (
        graph.snapshot.values[0].gradient
        == gg.graph(gg.Tensor([20_000.0])).snapshot.values[0].numbers
    )
    few = gg.graph(gg.concatenate([x] * 100).sum())
    assert str(few.snapshot.values[1].formula).startswith("concatenate(x, x")


def test_a_wide_sum() -> None:
    leaves = [leaf(float(i), f"w{i}") for i in range(3000)]
    graph = gg.graph(sum(leaves[1:], leaves[0]))
    assert repr(graph).endswith("2,999 ops, 3,000 leaves, 0 constants>")
    assert all(v.gradient and v.gradient.mean == 1 for v in graph.snapshot.values)
    check_refusals(graph, 5999)
    assert len(graph.to_dot(focus="w1500", radius=1)) < 5000


def test_a_value_of_many_paths() -> None:
    """Two to the thousandth ways lead from x to the result."""
    y = leaf(1.0, "x")
    for _ in range(1000):
        y = y + y
    graph = gg.graph(y)
    assert graph.snapshot.values[0].gradient is not None
    assert graph.snapshot.values[0].gradient.mean == 2.0**1000
    check_refusals(graph, 1001)
    assert "∂ 1.072e+301" in graph.to_svg(focus="x")


def test_a_deep_gradient() -> None:
    def f(x: Any) -> Any:
        for _ in range(2000):
            x = gg.sin(x)
        return x

    graph = gg.graph(gg.grad(f), 1.0)
    assert repr(graph).startswith("<Graph of '∂x' = ")
    data = json.loads(graph.to_json())
    assert sum(v.get("order", 0) for v in data["values"]) >= 4000  # for each sin: cos and ×
    with pytest.raises(PictureError, match=r"more than limit=500"):
        graph.to_svg(collapse=99)
    closed = graph.view(collapse=lambda module: module.kind == "∂ backward")
    assert sum(bool(node.modules) for node in closed.nodes) == 1


def with_rule(rule: Any) -> gg.Tensor:
    op = gg.op(lambda x: x * 2, rule, name="odd")
    result: gg.Tensor = op(leaf([1.0, 2.0], "x")).sum()
    return result


def raising(g: Any) -> Any:
    raise RecursionError(g)


@pytest.mark.parametrize(
    ("rule", "note"),
    [
        (raising, r"No ∂: odd \(2,\) float64 \(built at .*its gradient rule failed"),
        (lambda g: g[:1], r"No ∂: .*returned shape \(1,\) for an input of shape \(2,\)"),
        (lambda g: None, r"No ∂: .*returned shape \(\)"),  # noqa: ARG005
        (lambda g: "x", r"No ∂: .*returned shape \(\)"),  # noqa: ARG005
        (lambda g: g * np.nan, None),
        (lambda g: g if g.sum() > 0 else -g, None),
    ],
)
def test_rules_that_fail(rule: Any, note: str | None) -> None:
    graph = gg.graph(with_rule(rule))
    if note is None:
        assert graph.snapshot.note is None
    else:
        assert graph.snapshot.values[0].gradient is None
        assert re.search(note, str(graph.snapshot.note))
    check_writers(graph)


def test_part_of_the_graph_was_freed_by_another_sweep() -> None:
    x = leaf([1.0, 2.0], "x")
    h = gg.sin(x)
    (h * h).sum().backward()
    graph = gg.graph((h * 3).sum())
    assert "freed by backward() at test_broken_graphs.py" in str(graph.snapshot.note)
    assert not any(v.gradient for v in graph.snapshot.values)
    check_writers(graph)


def test_a_gradient_that_was_differentiated_and_freed() -> None:
    def slope(x: Any) -> Any:
        g = gg.gradients(gg.sin(x) * x, x, create_graph=True)
        g.backward()
        return g

    graph = gg.graph(slope, 2.0)
    assert graph.snapshot.values[0].gradient is not None  # small ones are kept
    large = gg.graph(lambda x: slope(x.sum()), np.ones(20))
    assert large.snapshot.result.gradient is not None
    for each in (graph, large):
        assert each.snapshot.result.formula
        check_writers(each)


@pytest.mark.parametrize(
    "data",
    [
        [np.nan, np.inf, -np.inf],
        np.full(20, np.nan),
        np.full(20, 1.7e308),
        [1.7e308, -1.7e308],
        5e-324,
        np.full(20, 6e4, np.float16),
        np.zeros((0, 3)),
        np.ones((1,) * 10),
    ],
    ids=str,
)
def test_odd_numbers(data: Any) -> None:
    x = leaf(data, "x")
    with np.errstate(all="ignore"):
        check_writers(gg.graph((x * x + 1.0) * np.inf))
        slope = gg.graph(lambda t: gg.gradients((t * t).sum() - np.nan, t, create_graph=True), x)
    check_writers(slope)


def called(name: str) -> Graph:
    """A graph whose leaf, layer, op, symbol, file and result all have this name."""
    found: dict[str, Any] = {}
    exec(compile("def f(op, x): return op(x)", name.replace("\0", "0"), "exec"), found)
    op = gg.op(lambda x: x * 2, lambda g: 2 * g, name=name, symbol=f"{name[:9]}!", elementwise=True)
    with gg.viz.tracing():
        y = found["f"](op, Named([name], 2)(leaf(np.ones((1, 2)), name)))
        y.name = name
    return gg.graph(y)


def skeleton(page: str) -> list[str]:
    """The elements of a page; an op is a circle, or with a long symbol a rectangle."""
    return ["rect" if tag == "circle" else tag for tag, _ in Parts(page).tags]


@pytest.mark.parametrize(
    "name", [*HOSTILE, "a..b.", ".", "." * 3000], ids=lambda name: ascii(name)[:20]
)
def test_hostile_names_are_texts(name: str, tmp_path: Path) -> None:
    """They come back from JSON as they were, and leave their places in no other form."""
    graph, plain = called(name), called("y")
    shown = HOSTILE.get(name, readable(name, 32))
    assert read(graph)["values"][-1]["name"] == name
    assert graph.snapshot.modules[-1].path == f"parts.{name}"
    assert f"parts.{name}.weight" in [v.name for v in graph.snapshot.values]
    assert len(repr(graph)) < 120
    assert scenes(graph.snapshot)[0].title == shown
    check_writers(graph)
    check_writers(gg.graph(lambda d: d[name] * 2, {name: 2.0}))
    slope = gg.graph(gg.grad(gg.sin), leaf(2.0, name))
    assert str(slope.snapshot.result.name).endswith(name)
    check_writers(slope)
    graph.render(tmp_path / "a.png")  # Graphviz reads the texts

    for collapse in (0, 9):
        root = ET.fromstring(graph.to_svg(collapse=collapse))
        assert {e.tag.removeprefix(SVG) for e in root.iter()} <= DRAWN
        texts = ["".join(e.itertext()) for e in root.iter(f"{SVG}text")]
        assert texts.count(shown) == 2, "the leaf and the result"
        assert readable(f"{name[:9]}!", 16) in texts
        assert graph.view(focus=f"parts.{name}", collapse=collapse).nodes

    # each line still is one node or arrow, and no label holds what Mermaid or HTML reads
    flow = graph.to_mermaid()
    assert re.sub(r'"[^"]*"', "", flow) == re.sub(r'"[^"]*"', "", plain.to_mermaid())
    for label in re.findall(r'"([^"]*)"', flow):
        assert not re.search(r"[<>&`#;{}%\\]", re.sub(r"#\d+;|<br/>", "", label))
        assert len(label) < 300

    page = graph.to_html()
    assert skeleton(page) == skeleton(plain.to_html())
    assert len(Parts(page).content["title"]) <= 80
    assert len(page) < 45_000
    assert "\u202e" not in page


@pytest.mark.parametrize("name", ["", None])
def test_names_that_say_nothing(name: Any) -> None:
    graph = gg.graph(leaf(2.0, name) * 3)
    assert graph.snapshot.values[0].name is None
    check_writers(graph)
