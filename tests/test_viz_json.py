"""The graph as JSON and as Mermaid: true to the published schema, harmless, and stable."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

import graphgrad as gg
from graphgrad.errors import PictureError
from tests.golden import programs
from tests.golden.programs import FOLDER, PROGRAMS, leaf

SCHEMA = Draft202012Validator(
    json.loads((Path(__file__).parents[1] / "docs/graph.schema.json").read_text("utf-8"))
)
HOSTILE = (
    "</script><script>alert(1)</script>",
    "a\"b'c`d",
    "one\ntwo\r\n\tthree",
    "x" * 10_000,
    "\u202eright to left\u2066",
    "אבג",
    "\ud800",  # half a character, which no file can hold
    "\0\x1b[31m",
    '"]; click v1 "https://example.org"',
    "end",
    "#35;&lt;<br/>%%{init}%%",
    "1. list",
    "\u2028",
)


def read(graph: Any) -> dict[str, Any]:
    """The JSON of a graph, which must fit the schema and be safe in a page."""
    text = graph.to_json()
    assert text.isascii()
    assert "<" not in text
    data: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)
    SCHEMA.validate(data)
    ids = [v["id"] for v in data["values"]]
    assert ids == list(range(1, len(ids) + 1))
    return data


def rounded(x: Any) -> Any:
    """The last digits of numbers differ from machine to machine."""
    if isinstance(x, dict):
        return {name: rounded(y) for name, y in x.items()}
    if isinstance(x, list):
        return list(map(rounded, x))
    return round(x, 9) + 0.0 if isinstance(x, float) else x


# ------------------------------------------------------------------------------- JSON


def test_the_check_finds_faults() -> None:
    good = read(gg.graph(programs.fork()))
    value = good["values"][0]
    changes: list[dict[str, Any]] = [
        {"id": 0},
        {"id": True},
        {"kind": "other"},
        {"shape": 3},
        {"numbers": {"mean": "nan"}},
        {"gradient": {}},
        {"contributions": [1]},
        {"unknown": 1},
        {"name": None},
    ]
    wrong: list[dict[str, Any]] = [
        {**good, "version": 2},
        {**good, "values": []},
        {**good, "more": 1},
        {name: x for name, x in good.items() if name != "steps"},
        *({**good, "values": [{**value, **change}]} for change in changes),
    ]
    SCHEMA.check_schema(SCHEMA.schema)
    assert not any(map(SCHEMA.is_valid, wrong))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_golden_json(program: Any) -> None:
    """The JSON changed: look at it, and run `python -m tests.golden` if that was wanted."""
    expected = json.loads((FOLDER / f"{program.__name__}.json").read_text("utf-8"))
    assert rounded(read(gg.graph(program()))) == rounded(expected)


def test_what_is_left_out_is_the_default() -> None:
    graph = gg.graph(programs.several_outputs())
    for value, told in zip(graph.snapshot.values, read(graph)["values"], strict=True):
        assert told.get("name") == value.name
        assert told.get("inputs", []) == list(value.inputs)
        assert told.get("needs", False) is value.needs
        assert told["shape"] == (None if value.shape is None else list(value.shape))
        assert told.get("output") == value.output
        assert len(told.get("contributions", [])) == len(value.contributions)


def test_the_same_program_gives_the_same_bytes() -> None:
    texts = {gg.graph(programs.second_order()).to_json() for _ in range(3)}
    assert len(texts) == 1


@pytest.mark.parametrize("name", HOSTILE, ids=lambda n: ascii(n)[:20])
def test_hostile_names_come_back_as_they_were(name: str) -> None:
    x = leaf(2.0, name)
    assert read(gg.graph(x * 3))["values"][0]["name"] == name


def test_numbers_that_json_has_not() -> None:
    x = leaf([np.nan, np.inf, -np.inf], "x")
    with np.errstate(all="ignore"):
        told = read(gg.graph(x * np.inf))["values"][0]
    assert told["numbers"]["elements"] == ["NaN", "Infinity", "-Infinity"]
    assert told["numbers"]["mean"] == "NaN"
    assert told["gradient"]["norm"] == "Infinity"


@pytest.mark.parametrize(
    "data", [np.zeros((0, 3)), np.float32(1), np.arange(20.0), np.array(2, np.float16)]
)
def test_every_kind_of_array_fits_the_schema(data: Any) -> None:
    read(gg.graph(leaf(data) + np.array([True])))
    read(gg.graph(gg.Tensor(data)))
    read(gg.graph(gg.Tensor([1, 2])))


@pytest.mark.parametrize("ops", [3000, pytest.param(100_000, marks=pytest.mark.whole)])
def test_many_nodes(ops: int) -> None:
    x = leaf(1.0)
    y = x
    for _ in range(ops):
        y = y + x
    graph = gg.graph(y)
    total = gg.graph(gg.Tensor(ops + 1.0)).snapshot.result.numbers
    assert graph.snapshot.values[0].gradient == total
    assert len(graph.snapshot.steps) == 2 * ops
    lines = graph.to_json().splitlines()
    assert sum('"kind"' in line for line in lines) == ops + 1
    assert sum('"direction"' in line for line in lines) == 2 * ops
    with pytest.raises(PictureError, match=f"to_mermaid: {ops + 1} values"):
        graph.to_mermaid()


# ---------------------------------------------------------------------------- Mermaid


def labels(text: str) -> list[str]:
    return re.findall(r'"([^"]*)"', text)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_golden_mermaid(program: Any) -> None:
    """The flowchart changed: look at it, and run `python -m tests.golden` if that was wanted."""
    expected = (FOLDER / f"{program.__name__}.mmd").read_text("utf-8")
    assert gg.graph(program()).to_mermaid() == expected


def test_a_fork_says_what_each_use_sends_back() -> None:
    x = leaf(3.0, "x")
    text = gg.graph(x * x + x).to_mermaid()
    assert re.findall(r"v1 -->(?:\|\"(.*?)\"\|)? (\w+)", text) == [
        ("∂ 3", "o2"),
        ("∂ 3", "o2"),
        ("∂ 1", "o3"),
    ]
    assert "∂" not in gg.graph(x * x + x).to_mermaid(direction="forward")


@pytest.mark.parametrize("name", HOSTILE, ids=lambda n: ascii(n)[:20])
def test_no_name_leaves_its_label(name: str) -> None:
    """Each line still is one node or arrow, and no label holds what Mermaid or HTML reads."""
    text = gg.graph(leaf(2.0, name) * leaf(3.0, "plain")).to_mermaid()
    text.encode()
    expected = gg.graph(leaf(2.0, "y") * leaf(3.0, "plain")).to_mermaid()
    assert re.sub(r'"[^"]*"', "", text) == re.sub(r'"[^"]*"', "", expected)
    for label in labels(text):
        bare = re.sub(r"#\d+;|<br/>", "", label)
        assert not re.search(r"[<>&`#;{}%\\]", bare)
        assert len(bare) < 200


def test_modules_are_subgraphs() -> None:
    net = gg.nn.Sequential(gg.nn.Affine(2, 3, rng=np.random.default_rng(0)), gg.nn.ReLU())
    text = gg.graph(net, np.ones((1, 2))).to_mermaid()
    assert text.count("subgraph ") == text.count("  end\n") == 3
    assert '["Affine 0"]' in text
    assert {"weight", "bias", "x"} <= {label.split("<br/>")[0] for label in labels(text)}
    closed = gg.graph(net, np.ones((1, 2))).to_mermaid(collapse=0)
    assert "subgraph" not in closed
    assert '[["Sequential' in closed


def test_more_than_mermaid_draws_is_refused() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(201):
        y = y * 2
    with pytest.raises(PictureError, match=r"to_mermaid: 403 values .*collapse=.* to_json\(\)"):
        gg.graph(y).to_mermaid()
    assert gg.graph(y).to_mermaid(focus=1)
    many = gg.concatenate([x.reshape(1)] * 600).sum()
    with pytest.raises(PictureError, match="602 edges"):
        gg.graph(many).to_mermaid()


# ------------------------------------------------------------------------------ files


def test_suffixes(tmp_path: Path) -> None:
    graph = gg.graph(programs.fork())
    for suffix, text in (
        ("json", graph.to_json()),
        ("mmd", graph.to_mermaid()),
        ("dot", graph.to_dot()),
    ):
        path = graph.render(tmp_path / f"fork.{suffix.upper()}")
        assert path.read_text("utf-8") == text


def test_no_limit_where_nothing_is_laid_out(tmp_path: Path) -> None:
    graph = gg.graph(programs.fork())
    assert graph.render(tmp_path / "fork.json", limit=1).exists()
    with pytest.raises(PictureError, match="more than limit=1"):
        graph.render(tmp_path / "fork.svg", limit=1)
    with pytest.raises(PictureError, match="no folder"):
        graph.render(tmp_path / "nowhere" / "fork.json")
    with pytest.raises(PictureError, match=r"\.svg, \.png, \.pdf, \.html, \.dot, \.mmd, \.json"):
        graph.render(tmp_path / "fork.txt")
