"""What is seen of a graph: every value once, and no wire that is not there."""

import math
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import PictureError
from graphgrad.viz import Graph, ModuleNote, Numbers, Snapshot, Value
from graphgrad.viz.drawing.dot_writer import dot
from graphgrad.viz.snapshots.snapshot import ModuleCall
from graphgrad.viz.views.heat import NOT_FINITE, SCALE, ZERO, heat_scale, text_color
from graphgrad.viz.views.view import COLLAPSE_ABOVE, View, view
from tests.builders import Block, Net, leaf, traced
from tests.golden import programs
from tests.sight import contrast


def titles(seen: View) -> list[str]:
    return [f"{node.modules[0].kind} × {len(node.modules)}" for node in seen.nodes if node.modules]


@st.composite
def snapshots(draw: Any) -> Snapshot:
    """Graphs with or without calls of modules in modules, and leaves used anywhere."""
    values: list[Value] = []
    with_modules = draw(st.booleans())
    calls: list[ModuleCall] = []
    running: list[int] = []  # the numbers of the calls around the next op
    for number in range(1, draw(st.integers(2, 40)) + 1):
        gradient = draw(st.sampled_from([None, 0.0, 1e-9, 3.0, math.inf, math.nan]))
        known = None if gradient is None else Numbers((gradient,), gradient, 0.0, abs(gradient))
        if number == 1 or draw(st.integers(0, 3)) == 0:
            kind = draw(st.sampled_from(["leaf", "constant"]))
            name = draw(st.sampled_from([None, "x", "a.w", "a.b.w", "e.1.w"]))
            needs = kind == "leaf"
            values.append(Value(id=number, kind=kind, name=name, needs=needs, gradient=known))
            continue
        inputs = tuple(draw(st.lists(st.integers(1, number - 1), min_size=1, max_size=3)))
        if with_modules:
            del running[draw(st.integers(0, len(running))) :]
            for inner in draw(st.lists(st.sampled_from(["a", "a.b", "e.0"]), max_size=2)):
                calls.append(ModuleCall(inner, running[-1] if running else None))
                running.append(len(calls))
        needs = any(values[i - 1].needs for i in inputs)
        values.append(
            Value(
                id=number,
                kind="op",
                op="f",
                symbol="f",
                inputs=inputs,
                module=calls[running[-1] - 1].path if running else None,
                call=running[-1] if running else None,
                needs=needs,
                gradient=known if needs else None,
            )
        )
    kinds = {"": "Net", "a": "A", "a.b": "B", "a.d": "B", "e.0": "E", "e.1": "E", "e.2": "E"}
    notes = tuple(ModuleNote(p, k) for p, k in kinds.items())
    return Snapshot(tuple(values), None, notes, calls=tuple(calls))


looks = st.fixed_dictionaries(
    {
        "collapse": st.sampled_from([None, 0, 1, 2, 9, lambda m: m.kind in "BE", lambda _: True]),
        "direction": st.sampled_from(["both", "forward", "backward"]),
        "layout": st.sampled_from([None, "down", "right"]),
    }
)


@given(snapshots(), looks)
def test_views_of_random_graphs(snapshot: Snapshot, look: Any) -> None:
    seen = view(snapshot, **look)
    found = Counter(i for node in seen.nodes for i in node.members)
    found.update(seen.hidden)
    assert found == Counter(v.id for v in snapshot.values), "each is in one node, or hidden"
    assert len({node.id for node in seen.nodes}) == len(seen.nodes)

    home = {i: node.id for node in seen.nodes for i in node.members}
    crossing = {
        (home[i], i, home[v.id])
        for v in snapshot.values
        for i in v.inputs
        if i in home and v.id in home and home[i] != home[v.id]
    }
    drawn = {(home[use.source], use.source, node.id) for node in seen.nodes for use in node.inputs}
    assert drawn == crossing
    wires = [i for node in seen.nodes for i in node.outputs]
    assert {i for _, i, _ in crossing} <= set(wires)
    assert len(wires) == len(set(wires)) == seen.size

    made: set[int] = set()
    for node in seen.nodes:
        for use in node.inputs:
            assert use.source in made or not seen.value(use.source).inputs, "a circle"
        made.update(node.outputs)


@given(snapshots(), st.integers(1, 40), st.integers(0, 3))
def test_focus_reaches_as_far_as_its_radius(snapshot: Snapshot, number: int, radius: int) -> None:
    focus = min(number, len(snapshot.values))
    seen = view(snapshot, focus=focus, radius=radius, collapse=99)
    shown = {i for node in seen.nodes for i in node.members}
    near = {focus}
    for _ in range(radius):  # by hand: over computed values, a step at a time
        ways = {i for i in near if i == focus or seen.value(i).inputs}
        near |= {i for j in ways for i in seen.value(j).inputs}
        near |= {v.id for v in snapshot.values if ways & set(v.inputs)}
    leaves = {i for j in near for i in seen.value(j).inputs if not seen.value(i).inputs}
    assert shown == near | leaves
    for node in seen.nodes:  # what is left out is hinted at
        sources = {i for j in node.members for i in seen.value(j).inputs}
        assert node.has_hidden_inputs == bool(sources - shown)


@given(snapshots(), looks, st.booleans())
def test_every_view_can_be_written(snapshot: Snapshot, look: Any, heat: bool) -> None:
    """Each node is declared once, in the module that it lies in; braces are balanced."""
    heat = heat and look["direction"] != "forward"
    seen = view(snapshot, heat=heat, **look)
    text = dot(seen)
    assert text == dot(view(snapshot, heat=heat, **look))
    names = re.findall(r"^  ([omvce]\w+) \[", text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert {node.id for node in seen.nodes} <= set(names)
    ends = {end for edge in re.findall(r"^  (\w+)\S* -> (\w+)", text, re.MULTILINE) for end in edge}
    assert ends - {"end"} <= set(names)
    assert (
        text.count("subgraph") == len(seen.regions) == len(re.findall("^  }$", text, re.MULTILINE))
    )


def test_each_depth_opens_one_level() -> None:
    graph = traced(Net(3), 2, 4)
    assert titles(graph.view(collapse=0)) == ["Net × 1"]
    assert titles(graph.view(collapse=1)) == ["Linear × 1", "Block × 3", "Linear × 1"]
    assert titles(graph.view(collapse=2)) == ["Linear × 1"] * 8
    assert titles(graph.view(collapse=3)) == titles(graph.view()) == []


def test_collapse_by_a_function() -> None:
    graph = traced(Net(3), 2, 4)
    seen = graph.view(collapse=lambda m: m.kind == "Block" and m.path != "blocks.1")
    assert [[m.path for m in n.modules] for n in seen.nodes if n.modules] == [
        ["blocks.0"],
        ["blocks.2"],
    ]
    assert "stem" in [region.module.path for region in seen.regions]


def test_parameters_lie_in_their_modules_and_inputs_outside() -> None:
    graph = traced(Net(1), 2, 4)
    seen = graph.view(collapse=1)
    names = {v.id: v.name for v in graph.snapshot.values}
    assert [names[n.members[0]] for n in seen.nodes if n.id[0] == "v"] == ["x"]
    text = graph.to_dot()
    assert ">weight<" in text  # the path stands at the module
    assert "stem.weight" not in text


def test_a_weight_of_two_modules_lies_in_neither() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            self.one = nn.Affine(3, 3, rng=np.random.default_rng(0))
            self.two = nn.Affine(3, 3, rng=np.random.default_rng(1))
            self.two.weight = self.one.weight

        def forward(self, x: Any) -> Any:
            return self.two(gg.tanh(self.one(x)))

    seen = traced(Tied(), 2, 3).view(collapse=1)
    weight = next(n for n in seen.nodes if n.id[0] == "v" and seen.value(n.members[0]).needs)
    users = [n for n in seen.nodes if weight.outputs[0] in [u.source for u in n.inputs]]
    assert [n.modules[0].path for n in users] == ["one", "two"]


def test_only_equal_blocks_are_merged() -> None:
    """Another shape, another kind, a second user of what lies between them: not the same."""
    rng = np.random.default_rng(0)
    wide = nn.Sequential(*(Block(rng, width) for width in (6, 6, 6)), Block(rng, 6))
    assert titles(traced(wide, 2, 6).view(collapse=1)) == ["Block × 4"]
    mixed = nn.Sequential(*(nn.Affine(6, outputs, rng=rng) for outputs in (6, 6, 5)))
    assert titles(traced(mixed, 2, 6).view(collapse=1)) == ["Linear × 2", "Linear × 1"]

    class Skip(nn.Module):
        def __init__(self) -> None:
            self.one, self.two = Block(rng), Block(rng)

        def forward(self, x: Any) -> Any:
            h = self.one(x)
            return h + self.two(h)

    assert titles(traced(Skip(), 2, 6).view(collapse=1)) == ["Block × 1", "Block × 1"]


def test_large_networks_are_collapsed_with_a_note() -> None:
    small, large = traced(Net(3), 2, 4), traced(Net(40), 2, 4)
    assert small.view().note is None
    assert len(large.snapshot.values) > COLLAPSE_ABOVE
    seen = large.view()
    assert titles(seen) == ["Linear × 1", "Block × 40", "Linear × 1"]
    assert "modules are closed from depth 1 on; collapse=2 opens more" in large.to_dot()
    assert "Block × 40" in large.to_dot()
    assert large.view(collapse=99).size == len(large.snapshot.values)


def test_focus_by_name_and_by_module() -> None:
    graph = traced(Net(3), 2, 4)
    names = {graph.snapshot.values[i - 1].name for i in _shown(graph.view(focus="stem.weight"))}
    assert {"stem.weight", "stem.bias", "x"} <= names
    assert "head.weight" not in names
    inside = graph.view(focus="blocks.1", radius=0)
    paths = {v.module for v in map(inside.value, _shown(inside)) if v.kind == "op"}
    assert paths == {"blocks.1", "blocks.1.inner", "blocks.1.outer"}
    assert any(node.has_hidden_inputs for node in inside.nodes)
    assert inside.used_outside
    assert "…" in graph.to_dot(focus="blocks.1")


def _shown(seen: View) -> set[int]:
    return {i for node in seen.nodes for i in node.members}


def test_forward_has_values_only_and_backward_gradients_only() -> None:
    graph = gg.graph(programs.apples_and_oranges())
    assert "∂" not in graph.to_dot(direction="forward")
    back = graph.to_dot(direction="backward")
    assert "∂ 650" in back
    assert "715" not in back
    assert "dir=back" in back
    net = traced(Net(1), 2, 4)
    assert "x" not in {
        net.snapshot.values[i - 1].name for i in _shown(net.view(direction="backward"))
    }


def test_heat_grows_darker_with_the_norm() -> None:
    heat = heat_scale([1e-6, 1.0])
    assert heat is not None
    assert (heat.color(1e-6), heat.color(1.0)) == (SCALE[0], SCALE[-1])
    light = [sum(bytes.fromhex(heat.color(10.0**-k)[1:])) for k in range(7)]
    assert light == sorted(light)
    assert heat.color(1e-30) == SCALE[0]
    assert heat.color(0.0) == ZERO
    assert {heat.color(math.nan), heat.color(math.inf)} == {NOT_FINITE}


def test_the_scale_of_equal_gradients_spans_some_decades() -> None:
    heat = heat_scale([0.8, 1.0])
    assert heat is not None
    assert (heat.low, heat.high) == (-3, 0)


def test_texts_on_heat_can_be_read() -> None:
    heat = heat_scale([1e-9, 1.0])
    assert heat is not None
    for fill in [heat.color(10 ** (-k / 10)) for k in range(90)] + [ZERO, NOT_FINITE]:
        assert contrast(fill, text_color(fill)) >= 4.5, fill


def test_heat_fills_nodes_and_has_a_legend() -> None:
    a, b = leaf(1e-3, "a"), leaf(0.0, "b")
    graph = gg.graph(a * b * 1.0)
    text = graph.to_dot(heat=True)
    assert 'fillcolor="#5A1F00", fontcolor="#FFFFFF"' in text
    assert f'BGCOLOR="{ZERO}"><FONT COLOR="#000000"><B>a</B>' in text  # ∂a = b = 0
    assert "fill: ‖∂‖ of what leaves a node" in text
    assert " 0.001 <" in text
    assert " 0 <" in text
    assert "NaN, ∞" not in text
    fixed = graph.view(heat=(1e-6, 1e6)).heat
    assert fixed is not None
    assert (fixed.low, fixed.high) == (-6, 6)
    text = gg.graph(leaf(np.inf, "x") * leaf(np.nan, "y")).to_dot(heat=True)
    assert f'BGCOLOR="{NOT_FINITE}"' in text
    assert "NaN, ∞" in text
    assert "no ∂ that heat could show" in gg.graph(gg.Tensor(3)).to_dot(heat=True)


def test_inputs_of_a_recurrence_go_into_its_box() -> None:
    """One wire for x instead of one for each x[t]; of two or three each is drawn."""
    cell = nn.RNNCell(2, 2, rng=np.random.default_rng(0))

    def last(x: Any) -> Any:
        h: Any = gg.Tensor(np.zeros((1, 2)))
        for t in range(len(x)):
            h = cell(x[t], h)
        return h.sum()

    for steps, boxes, others in ((30, 1, 0), (2, 1, 2)):
        seen = gg.graph(last, np.ones((steps, 1, 2))).view(collapse=0)
        assert sum(bool(node.modules) for node in seen.nodes) == boxes
        assert sum(node.id[0] == "o" for node in seen.nodes) == others + 1  # and the sum


def cells(steps: int) -> Graph:
    rng = np.random.default_rng(0)
    cell = nn.RNNCell(3, 5, rng=rng)
    h: Any = gg.Tensor(np.zeros((2, 5), np.float32), name="h0")
    with gg.viz.tracing():
        for _ in range(steps):
            h = cell(gg.Tensor(rng.standard_normal((2, 3)), dtype=np.float32), h)
        loss = (h * h).sum()
    return gg.graph(loss)


def convolutions() -> Graph:
    rng = np.random.default_rng(0)
    layers: list[nn.Module] = []
    for _ in range(62):
        layers += [nn.Conv2d(2, 2, 3, padding=1, rng=rng), nn.BatchNorm2d(2), nn.ReLU()]
    return traced(nn.Sequential(*layers), 1, 2, 4, 4)


def products() -> Graph:
    w, u, h = leaf(0.5, "w"), leaf(0.3, "u"), leaf(0.0, "h")
    for _ in range(96):
        h = h * w + gg.Tensor(1.0) * u
    return gg.graph(h)


@pytest.mark.parametrize("graph", [cells(100), convolutions(), products()], ids=repr)
def test_graphs_of_hundreds_of_values_are_laid_out_in_time(graph: Graph) -> None:
    """Open and closed, in the ten seconds that a layout has."""
    assert 380 < len(graph.snapshot.values) < 600
    for collapse in (None, 99):
        assert "took longer" not in graph.to_svg(limit=1000, collapse=collapse)


def test_deeply_nested_modules_do_not_overflow_the_stack() -> None:
    """Many modules in one another, and 5,000 values."""
    paths = [".".join(["m"] * (k + 1)) for k in range(400)]
    calls, innermost = [ModuleCall("m", None)], 1
    values = [Value(id=1, kind="leaf")]
    for k in range(2, 5001):
        if k % 400:
            calls.append(ModuleCall(paths[k % 400], innermost))
        innermost = len(calls) if k % 400 else 1
        call = innermost if k <= 3000 else None
        values.append(Value(id=k, kind="op", op="f", symbol="f", inputs=(k - 1,), call=call))
    notes = tuple(ModuleNote(path, "M") for path in paths)
    snapshot = Snapshot(tuple(values), None, notes, calls=tuple(calls))
    assert dot(view(snapshot, collapse=5)).count("subgraph") == 1 + 8 * 4
    assert dot(view(snapshot, collapse=99)).count("subgraph") < 1000


@pytest.mark.parametrize(
    ("look", "message"),
    [
        ({"collapse": -1}, r"collapse: takes a depth from 0 on, or a function"),
        ({"collapse": True}, r"collapse: takes a depth"),
        ({"collapse": "Block"}, r"lambda m: m.kind == 'Block', not 'Block'"),
        ({"focus": "aple"}, r"called 'aple'; there is, for example, 'apple'"),
        ({"focus": 99}, r"no value 99; ids go from 1 to 9"),
        ({"focus": "<" * 999}, r"called '<+…<+'; there is, for example, 'apple'"),
        ({"focus": 1.5}, r"focus: takes the name or id of a value"),
        ({"radius": -1}, r"radius: takes a number of ops from 0 on, not -1"),
        ({"direction": "up"}, r"'both', 'forward' or 'backward', not 'up'"),
        ({"layout": "up"}, r"layout: takes 'down' or 'right', not 'up'"),
        ({"heat": (1, 0)}, r"heat: takes True, or the norms .* not \(1, 0\)"),
        ({"heat": True, "direction": "forward"}, r"heat: shows gradients"),
    ],
)
def test_invalid_options(look: Any, message: str) -> None:
    graph = gg.graph(programs.apples_and_oranges())
    with pytest.raises(PictureError, match=rf"{message}.*\(at test_view.py:\d+\)"):
        graph.to_dot(**look)
