"""Simpler pictures: each shows much less, and says what."""

from itertools import pairwise
from typing import Any, Unpack

import numpy as np
import pytest
from hypothesis import given

import graphgrad as gg
from graphgrad.viz import Graph
from graphgrad.viz.views.fallbacks import simpler
from graphgrad.viz.views.options import ViewOptions
from tests.builders import Net, leaf, traced
from tests.random_programs import Move, fitting, looks, moves, run


def told(graph: Graph, **look: Unpack[ViewOptions]) -> list[str]:
    return [note for _, note in simpler(graph.snapshot, look)]


@given(moves, looks)
def test_each_fallback_shows_at_most_two_thirds(todo: list[Move], look: Any) -> None:
    graph = run(todo)
    look = fitting(graph, look)
    found = [look, *(tried for tried, _ in simpler(graph.snapshot, look))]
    sizes = [graph.view(**one).size for one in found]
    assert all(3 * after <= 2 * before for before, after in pairwise(sizes))
    kept = look.keys() - {"collapse", "focus", "radius", "merge"}
    assert all(one[key] == look[key] for one in found for key in kept)


def test_fallbacks_close_modules_from_lower_and_lower_depths() -> None:
    graph = traced(Net(40), 2, 4)
    found = list(simpler(graph.snapshot, ViewOptions(collapse=9)))
    assert [(look, note) for look, note in found] == [
        ({"collapse": 2}, "modules are closed from depth 2 on"),
        ({"collapse": 1}, "modules are closed from depth 1 on"),
    ]
    assert told(graph, collapse=lambda m: m.kind == "Linear") == [
        "modules are closed from depth 1 on"
    ]


def test_with_heat_repeats_are_merged_last() -> None:
    graph = traced(Net(80), 2, 4)
    assert told(graph, collapse=2, heat=True) == [
        "modules are closed from depth 1 on",
        "modules are closed from depth 1 on, and repeats are one box",
    ]
    *_, (look, _) = simpler(graph.snapshot, ViewOptions(collapse=2, heat=True))
    assert graph.view(**look).size == 6


def test_without_modules_the_fallback_is_the_neighbourhood_of_the_result() -> None:
    x = leaf(1.0, "x")
    for _ in range(1000):
        x = x * 1.5
    graph = gg.graph(x)
    looks_and_notes = list(simpler(graph.snapshot, ViewOptions()))
    assert [note for _, note in looks_and_notes] == [
        "only what is up to 16 ops away from the result is shown",
        "only what is up to 8 ops away from the result is shown",
    ]
    seen = graph.view(**looks_and_notes[-1][0])
    assert seen.size < 20
    assert graph.snapshot.result.id not in seen.hidden


def test_a_result_with_many_inputs_is_shown_without_them() -> None:
    draw = np.random.default_rng(0)
    graph = gg.graph(gg.concatenate([leaf(draw.normal(size=1)) * 2.0 for _ in range(99)]))
    *_, (look, note) = simpler(graph.snapshot, ViewOptions())
    assert note == "little more than the result is shown"
    assert graph.view(**look).size == 1


def test_a_neighbourhood_shrinks() -> None:
    x = leaf(1.0, "x")
    for k in range(100):
        x = x * 1.5
        x.name = f"x{k}"
    graph = gg.graph(x)
    found = list(simpler(graph.snapshot, ViewOptions(focus="x50", radius=30)))
    assert [look.get("radius") for look, _ in found] == [19, 12, 7, 4]
    assert {look.get("focus") for look, _ in found} == {"x50"}
    assert found[0][1] == "only what is up to 19 ops away from the focus is shown"


@pytest.mark.parametrize("value", [gg.Tensor(1.0), gg.Tensor(np.ones(3), requires_grad=True)])
def test_a_single_value_has_no_fallback(value: Any) -> None:
    assert told(gg.graph(value)) == []
