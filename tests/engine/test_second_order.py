"""The graph of a gradient: whose rule computed what, and in which sweep."""

import gc
import graphlib
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import graphgrad as gg
from graphgrad import nn
from graphgrad.engine.recording import switches
from graphgrad.errors import GraphError
from graphgrad.viz import Graph, ModuleCall, Value, tracing
from graphgrad.viz.snapshots.traces import Trace
from graphgrad.viz.views.grouping import find_regions
from graphgrad.viz.views.steps import steps
from tests.builders import leaf
from tests.viz.test_json import read


def curve(x: Any) -> Any:
    return gg.sin(x) * x


def loss(w: Any) -> Any:
    error = w * 3.0 - 1.0
    return error * error


def ops(graph: Graph) -> list[Value]:
    return [v for v in graph.snapshot.values if v.kind == "op"]


def call_of(graph: Graph, value: Value) -> ModuleCall:
    assert value.call is not None
    return graph.snapshot.calls[value.call - 1]


def kinds(graph: Graph) -> list[str | None]:
    return [call.kind for call in graph.snapshot.calls]


def gradients_of(f: Any) -> Any:
    def slope(x: Any) -> Any:
        return gg.gradients(f(x), x, create_graph=True)

    return slope


@pytest.mark.parametrize("transform", [gg.grad, gradients_of])
def test_what_the_rules_computed_is_told_apart(transform: Any) -> None:
    graph = gg.graph(transform(curve), 2.0)
    told = [(v.op, v.order, v.rule) for v in ops(graph)]
    ((sine, _),) = [(v.id, v) for v in ops(graph) if v.order == 0]
    assert told == [
        ("sin", 0, None),
        ("multiply", 1, None),  # of ×, whose own result no gradient needs
        ("multiply", 1, None),
        ("cos", 1, sine),
        ("multiply", 1, sine),
        ("add", 1, None),  # the sum of both uses of x
    ]
    assert kinds(graph) == ["∂ backward", "∂ of ×", "∂ of sin"]
    assert [call_of(graph, v).kind for v in ops(graph)[1:]] == [
        "∂ of ×",
        "∂ of ×",
        "∂ of sin",
        "∂ of sin",
        "∂ backward",
    ]
    assert graph.snapshot.result.name == "∂x"


def test_lines_are_those_of_the_ops_whose_rules_they_are() -> None:
    graph = gg.graph(gg.grad(curve), 2.0)
    first, *rules, total = ops(graph)
    assert first.line == f"test_second_order.py:{curve.__code__.co_firstlineno + 1}"
    assert {v.line for v in rules} == {first.line}
    assert total.line != first.line
    assert [c.path for c in graph.snapshot.calls] == [total.line, first.line, first.line]


def test_the_variable_of_a_transform_is_the_argument() -> None:
    graph = gg.graph(gg.grad(loss), 2.0)
    assert not any(v.op == "identity" for v in graph.snapshot.values)
    assert ops(graph)[0].formula == "w · 3"
    assert graph.snapshot.result.name == "∂w"
    assert [v.name for v in graph.snapshot.values if v.kind == "leaf"] == ["w"]
    kept: list[Any] = []

    def square(x: Any) -> Any:
        kept.append(x)
        return x * x

    with tracing():
        gg.grad(square)(leaf(2.0, "x"))
    values = gg.graph(kept[0]).snapshot.values  # unless it is asked for itself
    assert [v.op for v in values] == [None, "identity"]


def test_second_sweeps_say_whose_rules_rule_they_differentiate() -> None:
    graph = gg.graph(gg.grad(gg.grad(curve)), 2.0)
    regions, at = find_regions(graph.snapshot)
    for v in ops(graph):
        outermost = at[v.id - 1]
        while outermost is not None and regions[outermost].parent is not None:
            outermost = regions[outermost].parent
        assert outermost is not None
        assert regions[outermost].module.kind == {1: "∂ backward", 2: "∂² backward"}[v.order]
    assert graph.snapshot.result.name == "∂²x"
    assert {v.order for v in ops(graph)} == {1, 2}
    found = kinds(graph)
    assert {"∂ backward", "∂² backward", "∂ of cos in ∂ of sin", "∂ of × in ∂ of ×"} <= set(found)
    byid = {v.id: v for v in graph.snapshot.values}
    for v in ops(graph):
        if v.rule is not None:
            assert byid[v.rule].order < v.order
    third = gg.graph(gg.grad(gg.grad(gg.grad(curve))), 2.0)
    assert third.snapshot.result.name == "∂³x"
    assert any(str(kind).endswith("in ∂² of sin") for kind in kinds(third))


def test_what_is_computed_from_a_gradient_is_the_way_forward() -> None:
    def penalty(x: Any) -> Any:
        slope = gg.gradients(curve(x), x, create_graph=True)
        return slope * slope

    graph = gg.graph(penalty, 2.0)
    assert graph.snapshot.result.order == 0
    assert graph.snapshot.result.formula == "∂x²"
    assert graph.snapshot.result.call is None
    outer = gg.graph(gg.grad(penalty), 2.0)  # a gradient of gradients, through an op of the user's
    assert {v.order for v in ops(outer)} == {0, 1, 2} - ({0} - {v.order for v in ops(outer)})
    assert outer.snapshot.result.name == "∂²x"


def test_each_sweep_is_a_group_of_its_own() -> None:
    def two(x: Any, y: Any) -> Any:
        z = gg.sin(x) * gg.exp(y)
        return sum(gg.gradients(z, t, create_graph=True) for t in (x, y))

    graph = gg.graph(two, 2.0, 3.0)
    assert kinds(graph).count("∂ backward") == 2
    assert {"∂x", "∂y"} <= {v.name for v in ops(graph)}


def test_names_of_gradients() -> None:
    x = leaf(2.0, "x")

    def named(y: Any) -> Any:
        h = x * y
        h.name = "h"
        slope = gg.gradients(gg.exp(h) * h, [y, x], create_graph=True)[1]
        slope.name = "mine"
        return slope

    graph = gg.graph(named, 3.0)
    assert {v.name for v in ops(graph) if v.order} == {None, "∂h", "mine"}
    nameless = gg.graph(lambda: gg.gradients(gg.sin(t := leaf(1.0)), t, create_graph=True))
    assert nameless.snapshot.result.name is None
    # one gradient of both
    same = gg.graph(
        lambda x, y: gg.gradients(gg.exp(x + y), [x, y], create_graph=True)[1], 1.0, 2.0
    )
    assert same.snapshot.result.name in {"∂x", "∂y"}


def test_what_modules_send_back_lies_in_groups_like_them() -> None:
    net = nn.Sequential(nn.Affine(2, 3), nn.Tanh(), nn.Affine(3, 1))

    def slope(x: Any) -> Any:
        y = net(x).sum()
        return gg.gradients(y, net[0].weight, create_graph=True)

    graph = gg.graph(slope, np.ones((4, 2), np.float32))
    calls = graph.snapshot.calls
    backward = [(c.path, c.kind) for c in calls if c.kind]
    assert backward[1:] == [
        ("", "∂ of Sequential"),
        ("2", "∂ of Linear"),
        ("1", "∂ of Tanh"),
        ("0", "∂ of Linear"),
    ]
    assert graph.snapshot.result.name == "∂ 0.weight"
    assert {v.module for v in ops(graph) if v.order} == {None}
    closed = graph.view(collapse=lambda module: module.kind == "∂ of Sequential")
    (box,) = [node for node in closed.nodes if node.modules]
    assert all(graph.snapshot.values[i - 1].order for i in box.members if i in box.outputs)


def test_what_a_sweep_starts_with_lies_in_its_group() -> None:
    def slope(x: Any, size: int) -> Any:
        y = gg.sin(x[:size]).sum() * gg.Tensor(2.0)
        y.name = "y"
        return gg.gradients(y, x, create_graph=True).sum() * gg.Tensor(np.ones(3))

    for size in (1, 3):
        graph = gg.graph(lambda x, size=size: slope(x, size), np.ones(5))
        *_, seed, mine = (v for v in graph.snapshot.values if v.kind == "constant")
        assert call_of(graph, seed).kind == "∂ backward"
        assert mine.call is None
    direct = gg.graph(lambda x: gg.gradients(gg.sin(x), x, create_graph=True), 2.0)
    assert "∂y" not in {v.name for v in direct.snapshot.values}


def test_a_gradient_inside_a_forward_belongs_to_its_module() -> None:
    class Slope(nn.Module):
        def __init__(self) -> None:
            self.inner = nn.Tanh()

        def forward(self, x: Any) -> Any:
            return gg.gradients(self.inner(x).sum(), x, create_graph=True)

    graph = gg.graph(Slope(), np.ones(3))
    assert {v.module for v in ops(graph)} == {"", "inner"}
    assert [(c.path, c.kind, c.outer) for c in graph.snapshot.calls if c.kind != "∂ backward"] == [
        ("", None, None),
        ("inner", None, 1),
        ("inner", "∂ of Tanh", 3),
    ]


def test_rules_in_a_module_of_several_ops_have_groups_in_its_own() -> None:
    class Wave(nn.Module):
        def forward(self, x: Any) -> Any:
            return gg.sin(x) * x

    graph = gg.graph(lambda x: gg.gradients(Wave()(x), x, create_graph=True), 2.0)
    calls = graph.snapshot.calls
    assert [(c.kind, c.outer) for c in calls if c.kind] == [
        ("∂ backward", None),
        ("∂ of Wave", 2),
        ("∂ of ×", 3),
        ("∂ of sin", 3),
    ]
    assert call_of(graph, graph.snapshot.result).kind == "∂ of Wave"  # the sum of both uses of x


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(1, 2))
def test_boxes_of_gradients_make_no_circles(moves: list[int], order: int) -> None:
    """However many groups are closed, no box needs what needs it."""
    steps: list[Any] = [gg.sin, gg.exp, np.square, lambda x: x + 1.0, gg.tanh, lambda x: x / 3]

    def f(x: Any) -> Any:
        y = x
        for i in moves:
            y = steps[i](y) * x if i % 2 else steps[i](y) + y
        return y

    slope = f
    for _ in range(order):
        slope = gg.grad(slope)
    graph = gg.graph(slope, 0.5)
    read(graph)
    for depth in range(3):
        seen = graph.view(collapse=depth, merge=False)
        source = {i: node.id for node in seen.nodes for i in node.outputs}
        needed = {node.id: {source[use.source] for use in node.inputs} for node in seen.nodes}
        assert list(graphlib.TopologicalSorter(needed).static_order())


def test_the_outputs_of_an_op_that_rules_use_stand_with_it() -> None:
    """A sweep makes nodes of its own for them; apart from its op, one is never computed."""
    cell = nn.LSTMCell(1, 1, rng=np.random.default_rng(0))
    x = np.ones((1, 1), np.float32)
    derivative = gg.grad(lambda t: (gg.multiply(*cell(t)) ** 2).sum())
    graph = gg.graph(derivative, x)
    outputs = [v for v in graph.snapshot.values if v.kind == "output"]
    assert len({(v.inputs, v.output) for v in outputs}) < len(outputs)
    assert {v.call for v in outputs if v.order == 0} == {1}
    seen = graph.view(collapse=0)
    for node in seen.nodes:
        assert node.id[0] != "o" or int(node.id[1:]) in node.members
    shown = {i for step in steps(seen) for i in step.shows}
    assert shown == {i for node in seen.nodes if node.id[0] != "v" for i in node.outputs}


def test_outputs_made_once_more_are_not_taken_for_others() -> None:
    """Once the graph is freed, nothing but their places tells which output each one is."""
    op = gg.op(
        lambda x: (np.exp(x), x * 1.0),
        joint=lambda g, out: (g[0] * out[0],),
        inputs=1,
        outputs=2,
        name="grown",
    )
    x = leaf(np.ones(20), "x")
    grown = op(x)[0]
    (slope,) = gg.gradients((grown * grown).sum(), [x], create_graph=True)
    slope.sum().backward()
    found = [v for v in gg.graph(slope).snapshot.values if v.kind == "output"]
    assert len(found) == 2
    assert {v.output for v in found} == {None}


def test_without_a_trace_the_graph_is_right_and_tells_no_rules() -> None:
    x = leaf(2.0, "x")
    (slope,) = gg.gradients(curve(x), [x], create_graph=True)
    graph = gg.graph(slope)
    assert graph.snapshot.calls == ()
    assert {(v.order, v.rule) for v in graph.snapshot.values} == {(0, None)}
    assert graph.snapshot.values[0].gradient is not None
    expected = 2 * np.cos(2.0) - 2 * np.sin(2.0)
    assert graph.snapshot.values[0].gradient.mean == pytest.approx(expected)


def test_contributions_through_the_variable_of_a_transform_add_up() -> None:
    """x is used by the function that is differentiated, and beside it."""
    graph = gg.graph(lambda x: gg.grad(lambda t: gg.sin(t) * x * t)(x) * x, 2.0)
    x = graph.snapshot.values[0]
    shares = [
        share.mean
        for v in graph.snapshot.values
        for i, share in zip(v.inputs, v.contributions, strict=False)
        if i == x.id and share is not None
    ]
    assert x.gradient is not None
    assert sum(shares) == pytest.approx(x.gradient.mean)


def test_an_error_in_a_rule_leaves_the_trace_in_order() -> None:
    def fail(g: Any) -> Any:  # noqa: ARG001 - a rule's parameters have names
        raise ZeroDivisionError

    broken = gg.op(lambda x: x * 1, fail, name="broken", elementwise=True)
    with tracing():
        (trace,) = switches().observers
        assert isinstance(trace, Trace)
        before = trace.origin
        with pytest.raises(GraphError):
            gg.grad(broken)(leaf(1.0))
        assert trace.origin is before
        y = leaf(1.0) * 2
    assert ops(gg.graph(y))[0].order == 0


def test_nothing_is_kept_alive() -> None:
    gc.disable()
    try:
        with tracing():
            x = leaf(np.ones(100), "x")
            h = gg.sin(x)
            node = weakref.ref(h._node)
            slope = gg.gradients((h * 3.0).sum(), x, create_graph=True)
        assert node() is not None
        del h
        assert node() is None  # the gradient needs cos x only
        assert gg.graph(slope).snapshot.result.name == "∂x"
    finally:
        gc.enable()
