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
from tests.builders import leaf
from tests.golden import programs

SCHEMA = Draft202012Validator(
    json.loads((Path(__file__).parents[2] / "docs/graph.schema.json").read_text("utf-8"))
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


def test_the_schema_refuses_faults() -> None:
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


def test_nan_and_infinities_are_strings() -> None:
    x = leaf([np.nan, np.inf, -np.inf], "x")
    with np.errstate(all="ignore"):
        told = read(gg.graph(x * np.inf))["values"][0]
    assert told["numbers"]["elements"] == ["NaN", "Infinity", "-Infinity"]
    assert told["numbers"]["mean"] == "NaN"
    assert told["gradient"]["norm"] == "Infinity"


def labels(text: str) -> list[str]:
    return re.findall(r'"([^"]*)"', text)


def test_edges_at_a_fork_have_the_gradient_of_each_use() -> None:
    x = leaf(3.0, "x")
    text = gg.graph(x * x + x).to_mermaid()
    assert re.findall(r"v1 -->(?:\|\"(.*?)\"\|)? (\w+)", text) == [
        ("∂ 3", "o2"),
        ("∂ 3", "o2"),
        ("∂ 1", "o3"),
    ]
    assert "∂" not in gg.graph(x * x + x).to_mermaid(direction="forward")


def test_modules_are_subgraphs() -> None:
    net = gg.nn.Sequential(gg.nn.Affine(2, 3, rng=np.random.default_rng(0)), gg.nn.ReLU())
    text = gg.graph(net, np.ones((1, 2))).to_mermaid()
    assert text.count("subgraph ") == text.count("  end\n") == 3
    assert '["Linear 0"]' in text
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
