"""Steps of views: each op once forward and once back, and every gradient arrives in full."""

import dataclasses
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import graphgrad as gg
from graphgrad import nn
from graphgrad.viz import Graph, Value, tracing
from graphgrad.viz.drawing.texts import gradient_lines
from graphgrad.viz.snapshots.numbers import summarize
from graphgrad.viz.views.scenes import Scene, scenes
from graphgrad.viz.views.steps import Arrival, SceneStep, steps
from graphgrad.viz.views.view import View
from tests.builders import leaf
from tests.golden import programs
from tests.random_programs import Move, fitting, looks, moves, run

Found = Sequence[Sequence[SceneStep]]


def told(found: Sequence[SceneStep], direction: str) -> list[str]:
    return [step.node for step in found if step.direction == direction]


def arrivals(found: Sequence[SceneStep]) -> list[tuple[int, str | None, str | None]]:
    return [
        (a.value, a.use, None if a.lines is None else " ".join(a.lines))
        for step in found
        for a in step.arrivals
    ]


def order(graph: Graph, direction: str) -> list[int]:
    return [step.id for step in graph.snapshot.steps if step.direction == direction]


@given(moves, looks)
def test_steps_of_random_programs(todo: list[Move], look: Any) -> None:
    graph = run(todo)
    found = scenes(graph.snapshot, limit=10**6, **fitting(graph, look))
    done = [steps(scene.view) for scene in found]
    each_op_is_active_once_each_way_in_the_order_of_the_engine(found[0].view, done)
    times_increase_and_agree_between_scenes(found, done)
    for scene, inside in zip(found, done, strict=True):
        steps_come_after_the_steps_they_need(scene.view, inside)
        gradients_from_hidden_ops_arrive_with_the_last_of_them(scene.view, inside)
        every_gradient_arrives_in_full_once_and_last(scene.view, inside)
        partial_sums_are_the_sums_of_contributions(scene.view, inside)
        drawn_contributions_arrive_once(scene.view, inside)


def each_op_is_active_once_each_way_in_the_order_of_the_engine(seen: View, done: Found) -> None:
    shown = {i for node in seen.nodes for i in node.members}
    graph = Graph(seen.snapshot)
    forward, backward = order(graph, "forward"), order(graph, "backward")
    single = {
        way: sorted(
            (s.time, s.node)
            for found in done
            for s in found
            if s.direction == way and s.node[0] == "o"
        )
        for way in ("forward", "backward")
    }
    at = {i: time for time, i in enumerate(forward)}
    assert single["forward"] == [
        (at[i], f"o{i}") for i in forward if i in shown and seen.direction != "backward"
    ]
    assert single["backward"] == [
        (len(forward) + 1 + place, f"o{i}")
        for place, i in enumerate(backward)
        if i in shown and seen.direction != "forward"
    ]


def times_increase_and_agree_between_scenes(found: Sequence[Scene], done: Found) -> None:
    for scene, inside in zip(found, done, strict=True):
        times = [step.time for step in inside]
        assert times == sorted(set(times))
        if scene.parent is None:
            continue
        box = [step for step in done[scene.parent] if step.node == scene.box]
        for step in box:
            times = [s.time for s in inside if s.direction == step.direction]
            if step.direction == "forward":
                assert step.time == max(times)
            else:
                assert min(times) <= step.time <= max(times)
                assert "×" in scene.title or step.time == max(times)
        ways = {s.direction for s in inside} - {"seed"}
        assert ways == {step.direction for step in box}


def steps_come_after_the_steps_they_need(seen: View, found: Sequence[SceneStep]) -> None:
    """Forward the inputs are there; backward the whole gradient has come."""
    nodes = {node.id: node for node in seen.nodes}
    there = {n.outputs[0] for n in seen.nodes if n.id[0] == "v"}
    complete: set[int] = set()
    for step in found:
        if step.direction == "forward":
            assert {use.source for use in nodes[step.node].inputs} <= there
            there.update(step.shows)
        elif step.direction == "backward":
            sent = map(seen.value, nodes[step.node].outputs)
            assert {v.id for v in sent if v.inputs and v.gradient is not None} <= complete
        complete.update(a.value for a in step.arrivals if a.lines is None)
    if seen.direction != "backward":
        assert there == {i for node in seen.nodes for i in node.outputs}


def gradients_from_hidden_ops_arrive_with_the_last_of_them(
    seen: View, found: Sequence[SceneStep]
) -> None:
    graph = Graph(seen.snapshot)
    start = len(order(graph, "forward"))
    times = {i: start + 1 + place for place, i in enumerate(order(graph, "backward"))}
    shown = {i for node in seen.nodes for i in node.members}
    for step in found:
        for arrival in step.arrivals if step.direction == "seed" else ():
            users = [i for i in times if arrival.value in seen.value(i).inputs]
            senders = [times[i] for i in users if i not in shown]
            assert step.time == max(senders, default=start)


def every_gradient_arrives_in_full_once_and_last(seen: View, found: Sequence[SceneStep]) -> None:
    last: dict[int, list[bool]] = defaultdict(list)
    for arrival in (a for step in found for a in step.arrivals):
        last[arrival.value].append(arrival.lines is None)
    for value in (seen.value(i) for node in seen.nodes for i in node.outputs):
        if value.gradient is not None and seen.direction != "forward":
            assert last[value.id].count(True) == 1
            assert last[value.id][-1]
        else:
            assert value.id not in last


def partial_sums_are_the_sums_of_contributions(seen: View, found: Sequence[SceneStep]) -> None:
    times = times_of_senders(seen)
    for step in found:
        met: dict[int, int] = defaultdict(int)
        for arrival in step.arrivals:
            met[arrival.value] += 1
            if arrival.lines is not None:
                sent = {i for i, time in times.items() if time <= step.time}
                value = seen.value(arrival.value)
                expected = written(value, what_came(seen, value, sent, step, met[value.id]))
                assert numbers(arrival.lines) == pytest.approx(numbers(expected), rel=2e-3)


def drawn_contributions_arrive_once(seen: View, found: Sequence[SceneStep]) -> None:
    """Each use of a value that has several names what is drawn of it."""
    drawn = {
        f"{'v' if use.redrawn else 'k'}{use.source}_{node.id[1:]}_{place}"
        for node in seen.nodes
        for place, use in enumerate(node.inputs)
        if use.fork
    }
    met = [a.use for step in found for a in step.arrivals if a.use is not None]
    assert len(met) == len(set(met))
    assert set(met) == (drawn if seen.direction != "forward" else set())


def times_of_senders(seen: View) -> dict[int, int]:
    """When each op sends back, in sight or not; a closed module sends all at once."""
    graph = Graph(seen.snapshot)
    start = len(order(graph, "forward")) + 1
    times = {i: start + place for place, i in enumerate(order(graph, "backward"))}
    handed = {step.node: step.time for step in steps(seen) if step.direction == "backward"}
    for node in seen.nodes:
        if node.id in handed:
            times |= {i: handed[node.id] for i in node.members if i in times}
    return times


def what_came(seen: View, value: Value, senders: set[int], step: SceneStep, uses: int) -> Any:
    """Add up what was sent to a value; the op in hand serves one use after the other."""
    found = np.zeros(value.shape or ())
    for user in map(seen.value, senders):
        places = [k for k, i in enumerate(user.inputs) if i == value.id]
        for k in places[:uses] if f"o{user.id}" == step.node else places:
            share = user.contributions[k]
            assert share is not None
            assert share.elements is not None
            found += np.reshape(share.elements, found.shape)
    return found


def written(value: Value, sent: Any) -> list[str]:
    return gradient_lines(dataclasses.replace(value, gradient=summarize(sent)))


def numbers(lines: Sequence[str]) -> list[float]:
    text = " ".join(lines).replace("−", "-")
    return [float(number) + 0.0 for number in re.findall(r"-?\d[\d.e+-]*", text)]


def test_large_arrays_have_no_partial_sums() -> None:
    x = leaf(np.ones(20), "x")
    graph = gg.graph((x * 2.0 + x * 3.0 + x).sum())
    lines = [said for value, _, said in arrivals(steps(graph.view())) if value == 1]
    assert lines == ["‖∂‖ 4.472", "∂ …", None]


def test_constants_have_no_backward_steps() -> None:
    assert steps(gg.graph(gg.Tensor(1.0)).view()) == []
    assert steps(gg.graph(gg.Tensor(1.0)).view(direction="backward")) == []


def test_a_leaf_alone_has_its_seed() -> None:
    assert steps(gg.graph(leaf(1.0)).view()) == [
        SceneStep("seed", "v1", 0, arrivals=(Arrival(1, None, None),))
    ]


def test_a_graph_freed_before_anything_was_kept() -> None:
    x = leaf(np.ones(20))
    loss = (gg.sin(x) * x).sum()
    loss.backward()
    graph = gg.graph(loss)
    found = steps(graph.view())
    assert told(found, "backward") == [f"o{i}" for i in order(graph, "backward")]
    assert [lines for value, _, lines in arrivals(found) if value == 1] in (
        [["∂ …"], None],
        ["∂ …", None],
    )


def test_outputs_of_a_module_get_their_gradients_from_outside() -> None:
    class Leaving(nn.Module):
        def forward(self, x: Any) -> Any:
            y = x * 2.0
            return y, y * y

    with tracing():
        y, z = Leaving()(leaf(3.0, "x"))
        total = y * 10.0 + z
    graph = gg.graph(total)
    outer, inner = (scene.view for scene in scenes(graph.snapshot, collapse=0))
    found = steps(inner)
    square = int(told(found, "backward")[0][1:])
    doubled = square - 1
    assert told(found, "seed") == [f"v{square}", f"v{doubled}"]
    assert arrivals(found) == [
        (square, None, None),
        (doubled, None, "∂ 10"),
        (doubled, f"k{doubled}_{square}_0", "∂ 16"),
        (doubled, f"k{doubled}_{square}_1", None),
        (1, None, None),
    ]
    times = {step.node: step.time for step in steps(outer) if step.direction == "backward"}
    assert found[-1].time == times[f"m{doubled}"]


def test_other_ops_between_the_steps_of_a_recurrence() -> None:
    """Each x[t] / 2 is taken between two cells; back, each waits for the box of all cells."""
    cell = nn.RNNCell(2, 2, rng=np.random.default_rng(0))

    def last(x: Any) -> Any:
        h: Any = gg.Tensor(np.zeros((1, 2)))
        for t in range(50):
            h = cell(x[t] / 2, h)
        return h.sum()

    graph = gg.graph(last, np.ones((50, 1, 2)))
    outer, inner, *_ = (scene.view for scene in scenes(graph.snapshot))
    (box,) = (node.id for node in outer.nodes if node.modules)
    found = steps(outer)
    assert told(found, "forward")[-2:] == [box, f"o{graph.snapshot.result.id}"]
    assert told(found, "backward")[1] == box
    assert len(told(found, "backward")) == 102
    assert len(told(steps(inner), "backward")) == 50


def test_a_neighbourhood_gets_its_gradient_from_hidden_ops() -> None:
    x = leaf(1.0, "x")
    for k in range(10):
        x = x * 2.0
        x.name = f"x{k}"
    seen = gg.graph(x).view(focus="x5", radius=1)
    found = steps(seen)
    assert [step.direction for step in found].count("seed") == 1
    assert found[0].direction == "forward"
    assert sum(step.direction == "backward" for step in found) == 3
    around_a_leaf = gg.graph(programs.shared_weight()).view(focus="w", radius=0)
    assert arrivals(steps(around_a_leaf)) == [(1, None, None)]
