"""What holds for the picture of every graph: of each op and module, and of odd programs."""

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.checks.laws import Case
from graphgrad.engine.op import TABLE
from graphgrad.engine.trees import flatten
from graphgrad.errors import PictureError
from graphgrad.testing import typical_calls
from graphgrad.viz import Graph, Value, View
from graphgrad.viz.drawing.svg_writer import svgs
from graphgrad.viz.views.scenes import scenes
from graphgrad.viz.views.steps import steps
from tests.every_module import EXAMPLES
from tests.every_op import EVERY_OP
from tests.nn.test_every_module import inputs_of, made
from tests.random_programs import odd
from tests.viz.test_json import read

SVG = "{http://www.w3.org/2000/svg}"
LOOKS: list[dict[str, Any]] = [
    {"direction": "forward"},
    {"direction": "backward", "heat": True},
    {"collapse": 0},
    {"collapse": lambda _: True, "merge": True},
    {"focus": 1, "radius": 1},
]


def squared(results: Iterable[Any]) -> Any:
    floating = (y for y in results if getattr(y, "dtype", np.dtype(bool)).kind == "f")
    return sum(((y * y).sum() for y in floating), gg.Tensor(0.0))


def check_texts(graph: Graph) -> None:
    """Whatever needs no layout; a look that makes no sense here is refused in words."""
    read(graph)
    repr(graph).encode()
    for value in graph.snapshot.values:
        assert all(i < value.id for i in value.inputs)
        for told in (value.local, value.local_in_numbers, value.contributions):
            assert len(told) in (0, len(value.inputs))
    for look in ({}, LOOKS[graph.snapshot.result.id % len(LOOKS)]):
        try:
            found = scenes(graph.snapshot, **look)
        except PictureError as error:
            assert "takes no part in differentiation" in str(error)  # noqa: PT017
            continue
        graph.to_dot(**look).encode()
        for scene in found:
            check_steps(scene.view)


def check_steps(seen: View) -> None:
    """Each node is in hand once on the way forward, and each gradient gets complete once."""
    assert all(n.id[0] != "o" or int(n.id[1:]) in n.members for n in seen.nodes)
    found = steps(seen)
    forward = Counter(step.node for step in found if step.direction == "forward")
    if seen.direction != "backward":
        assert forward == Counter(node.id for node in seen.nodes if node.id[0] != "v")
    told = Counter(a.value for step in found for a in step.arrivals if a.lines is None)
    assert told == Counter({a.value for step in found for a in step.arrivals})


def check_pictures(graphs: Iterable[Graph]) -> None:
    """All are drawn by one layout, and each is XML in which every id is there once."""
    views = [graph.view() for graph in graphs]
    for text in svgs(views, 60):
        root = ET.fromstring(text)
        left, top, width, height = map(float, root.get("viewBox", "").split())
        for e in root.iter(f"{SVG}text"):
            assert left <= float(e.get("x", "nan")) <= left + width
            assert top <= float(e.get("y", "nan")) <= top + height
            if {"number", "gradient"} & set(e.get("class", "").split()):
                assert not re.search("-|inf|nan", e.text or ""), "numbers are written one way"
        ids = Counter(e.get("id") for e in root.iter() if e.get("id"))
        assert set(ids.values()) == {1}


def test_every_op() -> None:
    graphs = []
    for number, op in enumerate(EVERY_OP.values()):
        case = Case(op, typical_calls(op)[0])

        def square(*xs: Any, case: Case = case) -> Any:
            return squared(case.run(*xs))

        graphs.append(gg.graph(square, *case.points))
        if case.points and number % 4 == 0:
            graphs.append(gg.graph(gg.grad(square), *case.points))
    for graph in graphs:
        check_texts(graph)
    check_pictures(graphs[::8])


def test_every_module() -> None:
    """Traced and sent back, the graph of a gradient, or not traced: each of some."""
    graphs = []
    for number, example in enumerate(EXAMPLES.values()):
        module, inputs = made(example), inputs_of(example)
        if number % 2:
            with gg.viz.tracing():
                loss = squared(flatten(module(*map(gg.Tensor, inputs)))[0])
                if loss.requires_grad:
                    loss.backward()
            graphs.append(gg.graph(loss))
        elif number % 4:

            def slope(*xs: Any, module: Any = module) -> Any:
                loss = squared(flatten(module(*xs))[0])
                wanted = next((p for p in module.parameters() if p.requires_grad), xs[0])
                return gg.gradients(loss, wanted, create_graph=True)

            graphs.append(gg.graph(slope, *inputs))
        else:
            graphs.append(gg.graph(squared(flatten(module(*map(gg.Tensor, inputs)))[0])))
    for graph in graphs:
        check_texts(graph)
    check_pictures(graph for graph in graphs[::3] if graph.view().size < 100)


NUMPYS = {op.name for op in TABLE.values()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_inputs_that_were_not_given_are_not_drawn(name: str) -> None:
    """No bias of 0, weight of 1 or state of zeros, on the way forward and in its gradient."""
    module, inputs = made(EXAMPLES[name]), inputs_of(EXAMPLES[name])

    def loss(*xs: Any) -> Any:
        return squared(flatten(module(*xs))[0])

    def slope(*xs: Any) -> Any:
        return gg.gradients(loss(*xs), xs[0], create_graph=True)

    graphs = [gg.graph(loss, *inputs)]
    if inputs[0].dtype.kind == "f":
        graphs.append(gg.graph(slope, *inputs))
    for graph in graphs:
        values = graph.snapshot.values
        neutral = {v.id for v in values if v.kind == "constant" and not v.name and is_neutral(v)}
        for v in values:
            # a user may write 1 − x, and so does a rule; none writes what a layer adds by itself
            assert v.op in NUMPYS or neutral.isdisjoint(v.inputs), (v.op, v.formula)
            told = (v.contributions, v.local, v.local_numbers)
            assert all(len(x) in (0, len(v.inputs)) for x in told)


def is_neutral(value: Value) -> bool:
    """Whether a value is 0 or 1 throughout, and no mask."""
    numbers = value.numbers
    alike = numbers is not None and numbers.std == 0 and numbers.mean in (0, 1)
    return alike and value.dtype != "bool"


@pytest.mark.filterwarnings("ignore")
def test_odd_programs() -> None:
    with np.errstate(all="ignore"):
        graphs = [gg.graph(odd(seed)) for seed in range(100)]
    assert sum(len(graph.snapshot.values) > 5 for graph in graphs) > 50
    for graph in graphs:
        check_texts(graph)
    check_pictures(graphs[::2])
