"""Scenes: closed modules open, and what is in them is all there, once."""

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given

import graphgrad as gg
from graphgrad import nn
from graphgrad.viz import Graph
from graphgrad.viz.views.scenes import Scene, scenes
from graphgrad.viz.views.view import COLLAPSE_ABOVE, LAYOUT_LIMIT, Node, View
from tests.builders import Block, Net, traced
from tests.random_programs import Move, fitting, looks, moves, run


def told(graph: Graph, **look: Any) -> list[str]:
    """Each scene: its title, and the title of the one that it opens from."""
    found = scenes(graph.snapshot, **look)
    return [
        f"{s.title} in {found[s.parent].title}" if s.parent is not None else s.title for s in found
    ]


def boxed(scene: Scene) -> dict[str, Node]:
    return {node.id: node for node in scene.view.nodes if node.modules}


def entering(seen: View) -> set[int]:
    return {n.outputs[0] for n in seen.nodes if n.id[0] == "v" and seen.value(n.outputs[0]).inputs}


@given(moves, looks)
def test_scenes_of_random_programs(todo: list[Move], look: Any) -> None:
    graph = run(todo)
    look = fitting(graph, look)
    found = scenes(graph.snapshot, **look)
    assert found[0].view == graph.view(**look)
    assert (found[0].path, found[0].parent, found[0].box) == ("", None, None)
    opened = [(scene.parent, scene.box) for scene in found[1:]]
    assert opened == [(place, box) for place, scene in enumerate(found) for box in boxed(scene)]
    ops = Counter(n.id for scene in found for n in scene.view.nodes if n.id[0] == "o")
    shown = {i for node in found[0].view.nodes for i in node.members}
    values = map(found[0].view.value, shown)
    assert ops == Counter(f"o{v.id}" for v in values if v.kind == "op"), "each in one scene"
    for scene in found[1:]:
        assert scene.parent is not None
        outer = found[scene.parent]
        an_inside_holds_the_members_and_what_enters(scene.view, outer, str(scene.box), shown)
    for scene in found:
        a_use_is_a_fork_where_the_value_has_others(scene.view)


def an_inside_holds_the_members_and_what_enters(
    seen: View, outer: Scene, name: str, shown: set[int]
) -> None:
    box = boxed(outer)[name]
    drawn = [i for node in seen.nodes for i in node.members]
    inputs = {i for m in box.members for i in seen.value(m).inputs}
    assert Counter(drawn) == Counter({*box.members, *(inputs & shown)})
    assert set(box.outputs) <= {i for node in seen.nodes for i in node.outputs}
    leaving = {i for i in box.outputs if seen.value(i).inputs}
    leaving |= outer.view.used_outside.intersection(box.members)  # to where nothing is shown
    assert seen.used_outside == leaving - {seen.snapshot.result.id}
    home = {i: node.id for node in seen.nodes for i in node.members}
    wires = {
        (home[i], i, home[m])
        for m in box.members
        for i in seen.value(m).inputs
        if i in home and home[i] != home[m]
    }
    uses = {(home[use.source], use.source, n.id) for n in seen.nodes for use in n.inputs}
    assert uses == wires
    assert not entering(seen) & set(box.members)


def a_use_is_a_fork_where_the_value_has_others(seen: View) -> None:
    """Those out of sight count too, if they lie outside the module that is open."""
    shown = {i for node in seen.nodes for i in node.members}
    wires = Counter(use.source for node in seen.nodes for use in node.inputs)
    for use in (use for node in seen.nodes for use in node.inputs):
        users = [v.id for v in seen.snapshot.values if use.source in v.inputs]
        others = wires[use.source] > 1 or not shown.issuperset(users)
        if seen.value(use.source).needs and seen.direction != "backward":
            assert use.fork == others


def test_repeated_blocks_open_into_boxes_that_open() -> None:
    graph = traced(Net(12), 2, 4)
    assert told(graph, collapse=1) == [
        "mean of Net",
        "Linear in mean of Net",
        "Block × 12 in mean of Net",
        "Linear in mean of Net",
        *["Block in Block × 12"] * 12,
    ]
    found = scenes(graph.snapshot, collapse=1)
    row, first = found[2], found[4]
    assert row.path == "blocks.0 … blocks.11"
    assert (row.view.path, first.view.path) == ("", "blocks.0")
    assert [n.id[0] for n in row.view.nodes] == ["v"] + ["m"] * 12
    assert len(entering(row.view)) == 1
    assert first.path == "blocks.0"
    assert not any(node.modules for node in first.view.nodes)
    inner = [(region.number, region.parent, region.module.path) for region in first.view.regions]
    assert inner == [(0, None, "blocks.0.inner"), (1, None, "blocks.0.outer")]


def test_collapse_by_a_function_applies_to_insides() -> None:
    graph = traced(Net(2), 2, 4)
    assert told(graph, collapse=lambda _: True) == [
        "mean of Net",
        "Net in mean of Net",
        "Linear in Net",
        "Block × 2 in Net",
        "Linear in Net",
        *["Block in Block × 2"] * 2,
        *["Linear in Block"] * 4,
    ]
    assert told(graph, collapse=0) == ["mean of Net", "Net in mean of Net"]


def test_blocks_whose_output_is_used_elsewhere_are_not_merged() -> None:
    class Leaving(nn.Module):
        def __init__(self) -> None:
            self.blocks = [Block(np.random.default_rng(0)) for _ in range(3)]

        def forward(self, x: Any) -> Any:
            first = self.blocks[0](x)
            return first, self.blocks[2](self.blocks[1](first))

    with gg.viz.tracing():
        first, last = Leaving()(gg.Tensor(np.ones((1, 6))))
        total = (first + last).sum()
    _, inside, *_ = scenes(gg.graph(total).snapshot, collapse=lambda _: True)
    assert [len(node.modules) for node in boxed(inside).values()] == [1, 2]
    assert len(inside.view.used_outside) == 2


def test_names_may_be_shortened_by_the_module_around() -> None:
    found = scenes(traced(nn.Sequential(Net(3)), 2, 4).snapshot, collapse=lambda _: True)
    paths = {scene.title: scene.view.path for scene in found}
    assert paths["Net"] == paths["Block × 3"] == "0"
    assert [s.view.path for s in found if s.title == "Block"] == [f"0.blocks.{k}" for k in range(3)]


def test_a_large_inside_is_closed_again() -> None:
    way = nn.Affine(3, 4, rng=np.random.default_rng(0))
    found = scenes(traced(nn.Sequential(Net(40), way, Net(40)), 2, 4).snapshot, collapse=1)
    assert [scene.title for scene in found[:4]] == ["mean of Sequential", "Net", "Linear", "Net"]
    assert {node.modules[0].kind for node in boxed(found[1]).values()} == {"Linear", "Block"}
    assert found[1].view.note is None  # to open more it is clicked, not called anew


def test_a_module_of_many_modules_opens_one_level() -> None:
    rng = np.random.default_rng(0)
    blocks = nn.Sequential(*[Block(rng) for _ in range(70)])
    graph = traced(nn.Sequential(nn.Sequential(blocks)), 2, 6)
    assert len(graph.snapshot.values) > LAYOUT_LIMIT
    assert max(scene.view.size for scene in scenes(graph.snapshot, collapse=0)) < COLLAPSE_ABOVE
    assert len(scenes(graph.snapshot, collapse=0)) > 70


def test_heat_has_one_scale() -> None:
    found = scenes(traced(Net(3), 2, 4).snapshot, collapse=1, heat=True)
    assert len(found) == 1 + 5
    assert found[0].view.heat is not None
    assert {scene.view.heat for scene in found} == {found[0].view.heat}


def test_scenes_keep_to_the_limit() -> None:
    graph = traced(Net(12), 2, 4)
    everything = scenes(graph.snapshot, collapse=1)
    size = everything[0].view.size
    assert len(scenes(graph.snapshot, limit=0, collapse=1)) == 1
    assert len(scenes(graph.snapshot, limit=size, collapse=1)) == 1
    some = scenes(graph.snapshot, limit=60, collapse=1)
    assert 4 < len(some) < len(everything)
    assert sum(scene.view.size for scene in some) <= 60
    assert len(scenes(graph.snapshot, limit=sum(s.view.size for s in everything), collapse=1)) == 16


def test_a_module_that_is_too_large_for_one_picture_stays_closed() -> None:
    class Long(nn.Module):
        def __init__(self) -> None:
            self.scale = nn.Parameter(np.ones(2))

        def forward(self, x: Any) -> Any:
            for _ in range(LAYOUT_LIMIT):
                x = x * self.scale
            return x

    assert told(traced(Long(), 2), collapse=0, limit=10**9) == ["mean of Long"]
    around = traced(nn.Sequential(Long()), 2)
    assert told(around, collapse=0, limit=10**9) == [
        "mean of Sequential",
        "Sequential in mean of Sequential",
    ]
