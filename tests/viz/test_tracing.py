"""What a picture knows beyond the numbers: modules, contributions at forks, steps, traces."""

import functools
import gc
import json
import weakref
from collections import defaultdict
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import graphgrad as gg
from graphgrad import nn
from graphgrad.engine.recording import switches
from graphgrad.errors import DtypeError, NonFiniteError
from graphgrad.viz import Graph, Numbers, Value, tracing
from graphgrad.viz.drawing.items import Wire, drawing
from graphgrad.viz.views.scenes import scenes
from graphgrad.viz.views.steps import steps
from tests.builders import leaf
from tests.random_programs import Move, moves, result


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def elements(numbers: Numbers | None) -> Any:
    assert numbers is not None
    assert numbers.elements is not None
    return np.array(numbers.elements)


def ops(graph: Graph) -> list[Value]:
    return [v for v in graph.snapshot.values if v.kind == "op"]


def modules_of(graph: Graph) -> list[str | None]:
    return [v.module for v in ops(graph)]


def names(graph: Graph) -> list[str | None]:
    return [v.name for v in graph.snapshot.values if v.kind == "leaf"]


def check_sums(graph: Graph, *, all_known: bool = True) -> None:
    values = graph.snapshot.values
    shares: dict[int, list[Numbers | None]] = defaultdict(list)
    for v in ops(graph):
        assert len(v.contributions) == len(v.inputs)
        for source, share in zip(v.inputs, v.contributions, strict=True):
            shares[source].append(share)
    for v in values[:-1]:
        several = v.shape is None  # outputs, which have the gradients
        assert v.gradient is not None or several or not v.needs or not all_known
        if not v.needs:
            assert all(share is None for share in shares[v.id])
        elif v.gradient is not None and v.gradient.elements is not None:
            assert all_known is False or None not in shares[v.id]
            if None not in shares[v.id]:
                total = sum(elements(share) for share in shares[v.id])
                np.testing.assert_allclose(total, elements(v.gradient), rtol=1e-9, atol=1e-12)
        elif v.gradient is not None and all_known:
            assert None not in shares[v.id]


@pytest.mark.parametrize("sweep", ["its own", "kept", "freed", "traced"])
@given(st.sampled_from([4, 8, 20]), moves)
def test_contributions_add_up(sweep: str, size: int, todo: list[Move]) -> None:
    """Of a freed graph some can be told from the small values that stayed; none is wrong."""
    with tracing() if sweep == "traced" else nullcontext():
        y = result(todo, size)
        if sweep != "its own":
            y.backward(retain_graph=sweep == "kept")
    check_sums(gg.graph(y), all_known=sweep != "freed")


def test_a_use_behind_an_untaken_branch_sends_zero() -> None:
    x = leaf(0.0)
    with np.errstate(all="ignore"):
        z = gg.where(x > 0, gg.log(x), x * 2)
    graph = gg.graph(z)
    log = next(v for v in ops(graph) if v.op == "log")
    assert elements(log.contributions[0]) == 0
    check_sums(graph)


def test_a_gradient_from_a_hook_is_passed_on() -> None:
    x = leaf(2.0)
    y = x * 3
    y.register_hook(lambda g: g * 100)
    z = y * 5
    with tracing():
        z.backward(retain_graph=True)
    told = gg.graph(z)
    assert elements(ops(told)[0].contributions[0]) == 1500
    assert elements(ops(told)[1].contributions[0]) == 5
    z.backward(retain_graph=True)  # not traced: told from the gradients that were kept
    kept = gg.graph(z)
    assert [v.contributions for v in ops(kept)] == [v.contributions for v in ops(told)]


def test_a_value_overwritten_since_is_not_used_for_a_contribution() -> None:
    x, y = leaf(2.0), leaf(5.0)
    z = x * y
    z = z + x
    z.backward()
    y.data -= 1
    product = ops(gg.graph(z))[0]
    assert product.contributions[0] is None
    assert elements(product.contributions[1]) == 2


def test_the_latest_backward_is_shown() -> None:
    x = leaf([1.0, 2.0])
    with tracing():
        y = x * 3
        y.backward(np.ones(2), retain_graph=True)
    y.backward(np.array([10.0, 100.0]))
    assert elements(gg.graph(y).snapshot.values[0].gradient).tolist() == [30, 300]


@given(moves)
def test_steps_are_a_topological_order_and_its_reverse(todo: list[Move]) -> None:
    graph = gg.graph(result(todo))
    forward = [s.id for s in graph.snapshot.steps if s.direction == "forward"]
    backward = [s.id for s in graph.snapshot.steps if s.direction == "backward"]
    assert forward == [v.id for v in ops(graph)]
    seen = {v.id for v in graph.snapshot.values if not v.inputs}
    for i in forward:
        assert seen.issuperset(graph.snapshot.values[i - 1].inputs)
        seen.add(i)
        seen.update(v.id for v in graph.snapshot.values if v.kind == "output" and i in v.inputs)
    assert backward == [i for i in reversed(forward) if i in backward]
    assert [s.direction for s in graph.snapshot.steps] == sorted(
        (s.direction for s in graph.snapshot.steps), reverse=True
    )
    sent = [graph.snapshot.values[i - 1] for i in backward]
    assert all(v.gradient is not None or v.shape is None for v in sent)


def test_steps_are_in_the_order_of_the_engine() -> None:
    visited: list[str] = []
    x = leaf(0.5, "x")

    def watched(t: gg.Tensor, name: str) -> gg.Tensor:
        t.name = name
        t.register_hook(lambda _: visited.append(name))
        return t

    a = watched(gg.sin(x), "a")
    b = watched(a * x, "b")
    c = watched(gg.exp(a), "c")
    d = watched(b * c + x, "d")
    graph = gg.graph(d)
    assert not visited
    d.backward()
    byid = {v.id: v.name for v in graph.snapshot.values}
    steps = [byid[s.id] for s in graph.snapshot.steps if s.direction == "backward"]
    assert [name for name in steps if name] == visited == ["d", "c", "b", "a"]


def test_an_op_that_only_a_condition_uses_has_no_backward_step() -> None:
    x = leaf([1.0, -1.0])
    z = gg.where(gg.sin(x).detach() > 0, x, 2.0)
    graph = gg.graph(z)
    assert {v.op for v in ops(graph)} == {"where"}
    assert [s.direction for s in graph.snapshot.steps] == ["forward", "backward"]
    assert not gg.graph(gg.Tensor(1.0)).snapshot.steps


def test_names_in_a_formula_are_distinct() -> None:
    """Without a name an input goes by the op's own, x; not where the user has another x."""
    assert ops(gg.graph(gg.exp(gg.sin(leaf(2.0, "w")))))[1].formula == "exp(x)"
    assert ops(gg.graph(gg.exp(gg.sin(leaf(2.0, "x")))))[1].formula == "exp(#2)"


class Block(nn.Module):
    def __init__(self) -> None:
        self.scale = nn.Parameter(np.ones(3))

    def forward(self, x: Any) -> Any:
        return gg.tanh(x) * self.scale


class Nested(nn.Module):
    def __init__(self) -> None:
        self.first = nn.Sequential(nn.Affine(4, 3, rng=rng()), nn.ReLU())
        self.blocks = [Block(), Block()]
        self.named = {"": Block()}
        self.shared = self.blocks[0]

    def forward(self, x: Any) -> Any:
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.named[""](self.shared(x)).sum()


def test_modules_have_the_paths_of_their_attributes() -> None:
    net = Nested()
    graph = gg.graph(net, np.ones((2, 4), np.float32))
    pairs = ["blocks.0", "blocks.1", "blocks.0", "named."]
    assert modules_of(graph) == ["first.0", "first.1", *[p for p in pairs for _ in range(2)], ""]
    assert [(m.path, m.kind) for m in graph.snapshot.modules] == [
        ("", "Nested"),
        ("first", "Sequential"),
        ("first.0", "Linear"),
        ("first.1", "ReLU"),
        ("blocks.0", "Block"),
        ("blocks.1", "Block"),
        ("named.", "Block"),
    ]
    learned = {v.name: v.module for v in graph.snapshot.values if v.kind == "leaf"}
    assert learned == {
        "first.0.weight": "first.0",
        "first.0.bias": "first.0",
        "blocks.0.scale": "blocks.0",
        "blocks.1.scale": "blocks.1",
        "named..scale": "named.",
        "x": None,
    }
    assert all(p.name is None for p in net.parameters())


def test_without_a_trace_there_are_no_modules() -> None:
    net = Nested()
    graph = gg.graph(net(np.ones((2, 4), np.float32)))
    assert graph.snapshot.modules == ()
    assert {v.module for v in graph.snapshot.values} == {None}
    assert set(names(graph)) == {None}
    gg.graph(net, np.ones((2, 4), np.float32))  # leaves nothing behind
    assert set(names(gg.graph(net(np.ones((2, 4), np.float32))))) == {None}


def test_a_name_that_the_user_gave_stays() -> None:
    net = nn.Affine(2, 2, rng=rng())
    net.weight.name = "mine"
    assert names(gg.graph(net, np.ones((1, 2)))) == ["mine", "bias", "x"]


def test_several_outermost_modules_have_different_paths() -> None:
    net, other, loss = nn.Affine(2, 2, rng=rng()), nn.Affine(2, 2, rng=rng()), nn.MSELoss()
    x = np.ones((1, 2), np.float32)
    with tracing():
        result = loss(net(x) + other(x), np.zeros((1, 2), np.float32))
    graph = gg.graph(result)
    assert modules_of(graph)[:3] == ["Linear", "Linear_2", None]
    assert set(modules_of(graph)[3:]) == {"MSELoss"}
    assert names(graph) == ["Linear.weight", "Linear.bias", "Linear_2.weight", "Linear_2.bias"]
    with tracing():  # one of them knows its names from itself
        result = loss(net(x), np.zeros((1, 2), np.float32))
    assert names(gg.graph(result)) == ["weight", "bias"]


def test_outermost_modules_are_numbered_in_the_order_of_calls() -> None:
    shared = nn.Parameter(np.float64(2.0))

    class Step(nn.Module):
        def __init__(self) -> None:
            self.w = shared

        def forward(self, h: Any) -> Any:
            return self.w * h

    with tracing():
        h = leaf(1.0, "h")
        for _ in range(3):
            h = Step()(h)
    assert modules_of(gg.graph(h)) == ["Step", "Step_2", "Step_3"]


def test_one_module_in_several_traces_is_one() -> None:
    net = nn.Affine(2, 2, rng=rng())
    h = gg.Tensor(np.ones((1, 2), np.float32))
    for _ in range(3):
        with tracing():
            h = net(h)
    graph = gg.graph(h)
    assert modules_of(graph) == [""] * 3
    assert names(graph) == ["weight", "bias"]


def test_modules_outside_attributes() -> None:
    class Careless(nn.Module):
        def forward(self, x: Any) -> Any:
            return nn.ReLU()(nn.Sigmoid()(nn.ReLU()(x)))

    for _ in range(2):
        graph = gg.graph(Careless(), np.ones(3))
        assert modules_of(graph) == ["ReLU", "Sigmoid", "ReLU_2"]


def test_modules_made_in_forward() -> None:
    class Growing(nn.Module):
        def forward(self, x: Any) -> Any:
            self.a = nn.Tanh()
            x = self.a(x)
            self.b = nn.Sigmoid()
            return self.b(x)

    assert modules_of(gg.graph(Growing(), np.ones(3))) == ["a", "b"]


def test_values_in_place_of_parameters_get_their_names() -> None:
    net = nn.Affine(2, 2, rng=rng())
    w = leaf(np.ones((2, 2), np.float32))
    graph = gg.graph(lambda x: nn.functional_call(net, {"weight": w}, x), gg.Tensor(np.ones(2)))
    assert set(names(graph)) == {"weight", "bias"}
    assert w.name is None


def test_a_trace_survives_an_error_in_forward() -> None:
    class Failing(nn.Module):
        def forward(self, x: Any) -> Any:
            del x
            raise ZeroDivisionError

    net = nn.Sequential(nn.Tanh(), Failing())
    with tracing():
        with pytest.raises(ZeroDivisionError):
            net(leaf(np.ones(2)))
        y = nn.Tanh()(leaf(np.ones(2)) * 2)
    assert modules_of(gg.graph(y)) == [None, ""]
    assert switches().observers == ()


def test_recomputed_parts_and_transforms_are_traced_too() -> None:
    net = nn.Sequential(nn.Affine(2, 2, rng=rng()), nn.Tanh())
    x = np.ones((1, 2), np.float32)

    class Sparing(nn.Module):
        def __init__(self) -> None:
            self.inner = net

        def forward(self, x: Any) -> Any:
            return gg.recompute(self.inner, x)

    graph = gg.graph(Sparing(), x)
    assert [(v.op, v.module) for v in ops(graph)] == [("recompute", "")]
    with tracing():
        y = net(gg.Tensor(x)).sum()
        slope = gg.gradients(y, net[0].weight, create_graph=True)
    graph = gg.graph(slope)
    assert {v.module for v in ops(graph)} == {None, "0", "1"}


def test_numbers_of_large_values_stay() -> None:
    x, w = np.full((5, 4), 2.0), leaf(np.ones((4, 3)))
    with tracing():
        y = (gg.Tensor(x) @ w).sum()
        y.backward()
    graph = gg.graph(y)
    assert all(v.numbers for v in graph.snapshot.values)
    assert all(v.gradient for v in graph.snapshot.values if v.needs)
    product = ops(graph)[0]
    assert product.numbers == Numbers(None, 8.0, 0.0, np.sqrt(15 * 64))
    assert product.contributions[0] is None
    assert product.contributions[1] == graph.snapshot.values[0].gradient
    assert graph.snapshot.note is None


def test_overwritten_values_have_no_numbers() -> None:
    x = leaf(np.ones(20))
    with tracing():
        y = x * 2
        z = y + 1
    y.data += 1
    changed = next(v for v in gg.graph(z).snapshot.values if v.changed)
    assert changed.numbers is None


def test_a_trace_inside_detect_anomaly() -> None:
    x = leaf(np.ones(20))
    with tracing(), gg.detect_anomaly(), tracing():
        y = x * 2
        with pytest.raises(NonFiniteError), np.errstate(all="ignore"):
            gg.log(-y)
    assert gg.graph(y).snapshot.result.numbers is not None
    assert switches().observers == ()


def test_nothing_is_kept_alive() -> None:
    gc.disable()
    try:
        net = Nested()
        x = np.ones((2, 4), np.float32)
        with tracing():
            y = net(x)
            y.backward()
            kept = [weakref.ref(y._node), weakref.ref(y._node.parents[0])]
        graph = gg.graph(y)
        array = np.ones((3, 4), np.float32)
        other = gg.graph(net, array)
        kept += [weakref.ref(net.blocks[0]), weakref.ref(array)]
        del y, array
        parameter = weakref.ref(net.first[0].weight)
        module = weakref.ref(net)
        del net
        assert [r() for r in (*kept, parameter, module)] == [None] * 6
        assert graph.snapshot.modules == other.snapshot.modules
    finally:
        gc.enable()


def test_arguments_become_leaves_with_the_names_of_the_parameters() -> None:
    def f(x: Any, y: Any, *rest: Any) -> Any:
        return x["w"] * y + x["b"][0] + rest[0] * rest[1]

    tensor = gg.Tensor(2.0)
    graph = gg.graph(f, {"w": 3.0, "b": [np.float32(1)]}, tensor, 4.0, 5)
    assert names(graph) == ["x['w']", "x['b'][0]", "rest[0]"]
    assert tensor.name is None
    assert graph.snapshot.result.numbers == gg.graph(gg.Tensor(27.0)).snapshot.result.numbers


def test_arguments_of_a_module_have_the_names_of_its_forward() -> None:
    assert names(gg.graph(nn.Tanh(), np.ones(2))) == ["x"]
    assert names(gg.graph(np.exp, np.ones(2))) in ([None], ["x"])


def test_a_function_is_recorded_inside_no_grad() -> None:
    with gg.no_grad():
        assert len(ops(gg.graph(lambda x: x * 2, 1.0))) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((3.0,), "not float"),
        (("text", 1), "not str, int"),
        ((gg.Tensor(1.0), 2), "not Tensor, int"),
        ((lambda x: (x.item(), 3), 1.0), "<lambda> returned a tuple of plain values"),
        ((lambda: {"y": [gg.Tensor(1.0)]},), "returned a dict of plain values"),
        ((lambda: (),), "returned a tuple of plain values"),
        ((lambda: None,), "returned nothing"),
        ((lambda: "text",), "dtype"),
    ],
)
def test_arguments_without_a_graph(arguments: Any, says: str) -> None:
    with pytest.raises(DtypeError, match=says):
        gg.graph(*arguments)
    assert switches().observers == ()


def test_a_function_that_returns_no_tensor_has_a_graph_of_one_value() -> None:
    assert gg.graph(lambda: 3.0).snapshot.result.kind == "constant"


def test_several_results_are_drawn_together() -> None:
    """In any container; what is no Tensor, or was not recorded, is left out."""

    def f(x: Any) -> Any:
        y = x * 2
        return {"y": y, "more": [(y * y, 3, np.ones(2)), None], "plain": gg.Tensor(1.0), "s": y + x}

    graph = gg.graph(f, 3.0)
    results = [graph.snapshot.values[i - 1] for i in graph.snapshot.ends]
    assert [(v.name, v.numbers.elements) for v in results] == [  # type: ignore[union-attr]
        ("y", (6,)),
        ("more[0][0]", (36,)),
        ("s", (9,)),
    ]
    assert graph.snapshot.note == "∂ of the sum of the results"
    x, y = graph.snapshot.values[0], results[0]
    assert y.gradient is not None
    assert x.gradient is not None
    assert y.gradient.elements == (1 + 12 + 1,), "its own, and what is sent back to it"
    assert x.gradient.elements == (2 * 14 + 1,)
    assert (
        sum(wire.is_result for wire in drawing(graph.view()).items if isinstance(wire, Wire)) == 3
    )
    seeds = [step.arrivals[0] for step in steps(graph.view()) if step.direction == "seed"]
    assert [a.value for a in seeds] == list(graph.snapshot.ends)
    assert [a.lines for a in seeds] == [("∂ 1",), None, None], "more is still to come to y"
    for same in (lambda x: (x * 2,) * 2, lambda x: (x * 2, x.item())):
        assert gg.graph(same, 3.0).snapshot.ends == (3,)


def test_a_recurrent_layer_is_drawn_as_it_is() -> None:
    x = np.ones((2, 5, 3))
    graph = gg.graph(nn.LSTM(3, 4, rng=rng()), x)
    names = [graph.snapshot.values[i - 1].name for i in graph.snapshot.ends]
    assert names == ["result[0]", "result[1][0]", "result[1][1]"]
    assert [len(scene.view.nodes) > 3 for scene in scenes(graph.snapshot)] == [True]


def squares(x: Any) -> Any:
    y = x * x
    y.name = "y"
    return y


def test_titles_of_graphs() -> None:
    """Only what has neither name nor model is called by its op."""
    net, x = nn.Linear(3, 2, rng=rng()), np.ones((2, 3))
    with gg.viz.tracing():
        scores = net(x)
        loss = (scores * scores).mean()
        named = loss * 1
        named.name = "loss"
    kind = type(net).__name__
    graphs = {
        kind: [gg.graph(net, x), gg.graph(scores), gg.graph(lambda x: net(x), x)],  # noqa: PLW0108
        f"mean of {kind}": [gg.graph(loss)],
        "loss": [gg.graph(named)],
        "squares": [gg.graph(squares, 3.0), gg.graph(functools.partial(squares), 3.0)],
        "y": [
            gg.graph(squares(leaf(3.0))),
            gg.graph(lambda x: squares(x), 2.0),  # noqa: PLW0108
        ],
        "∂x": [gg.graph(gg.grad(squares), 3.0)],
        "multiply": [gg.graph(leaf(3.0) * 2)],
        "graph": [gg.graph(leaf(3.0))],
    }
    for title, alike in graphs.items():
        for graph in alike:
            assert graph.snapshot.title == title
            assert json.loads(graph.to_json())["title"] == title
            assert scenes(graph.snapshot)[0].title == title
            assert f'aria-label="computational graph of {title}"' in graph.to_svg()
            assert f"<title>{title}</title>" in graph.to_html()


def test_a_long_traced_run() -> None:
    class Long(nn.Module):
        def __init__(self) -> None:
            self.step = nn.Tanh()

        def forward(self, x: Any) -> Any:
            for _ in range(5_000):
                x = self.step(x) + x
            return x

    graph = gg.graph(Long(), 1e-9)
    assert len(ops(graph)) == 10_000
    assert set(modules_of(graph)) == {"", "step"}
