"""Observers see what the engine does, and change nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.engine.accumulate import Scatter, scatter_add
from graphgrad.engine.graph import Node, graph_nodes
from graphgrad.engine.recording import Observer, observing
from graphgrad.engine.sweep import Sweep
from graphgrad.errors import GraphError
from tests.builders import leaf
from tests.random_programs import odd


def node_of(tensor: gg.Tensor) -> Node | None:
    return tensor._node


class Diary(Observer):
    def __init__(self) -> None:
        self.ops: list[tuple[str, tuple[Any, ...]]] = []
        self.events: list[tuple[str, Any]] = []
        self.gradients: dict[Node, Any] = {}
        self.sums: dict[Node, Any] = {}
        self.modules: list[str] = []
        self.busy = False

    def recorded(
        self, op: Any, tensors: list[Any], arrays: list[Any], params: tuple[Any, ...]
    ) -> None:
        assert all(isinstance(x, gg.Tensor) for x in tensors)
        assert not any(isinstance(x, gg.Tensor) for x in arrays)
        self.ops.append((op.name, params))

    @contextmanager
    def called(self, module: Any) -> Iterator[None]:
        self.modules.append(type(module).__name__)
        yield
        self.modules.append(f"/{type(module).__name__}")

    def overwritten(self, x: Any) -> None:
        self.events.append(("overwritten", x))

    def sweeping(self, sweep: Sweep) -> Observer | None:  # noqa: ARG002
        """Observe one at a time: `recompute` starts one in the middle of another."""
        busy, self.busy = self.busy, True
        return None if busy else self

    def complete(self, node: Node, g: Any) -> None:
        assert node not in self.gradients, "once"
        self.gradients[node] = g
        self.events.append(("complete", node))

    def before_rules(self, node: Node) -> None:
        self.events.append(("before", node))

    def after_rules(self, node: Node) -> None:
        self.events.append(("after", node))

    def sent(self, node: Node, position: int, contribution: Any, g: Any) -> None:  # noqa: ARG002
        parent = node.parents[position]
        self.events.append(("sent", parent))
        if isinstance(contribution, tuple) and not isinstance(contribution, Scatter):
            return  # to one output of an op that has several
        total = self.sums.setdefault(parent, np.zeros(parent.shape))
        if isinstance(contribution, Scatter):
            scatter_add(total, contribution.index, contribution.values)
        else:
            assert contribution.shape == parent.shape
            self.sums[parent] = total + contribution

    def ended(self, *, finished: bool) -> None:
        self.events.append(("ended", finished))
        self.busy = False


@pytest.mark.parametrize("seed", range(60))
def test_contributions_add_up_to_the_gradients(seed: int) -> None:
    """Of random programs, of every dtype; and the gradients are those without an observer."""
    plain, watched = odd(seed), odd(seed)
    diary = Diary()
    try:
        plain.backward(np.ones(plain.shape))
    except GraphError:  # without a graph, or freed in the program
        with observing(diary), pytest.raises(GraphError):
            watched.backward(np.ones(watched.shape))
        return
    with observing(diary):
        watched.backward(np.ones(watched.shape))
    assert diary.events[-1] == ("ended", True)
    for node, g in diary.gradients.items():
        if node in diary.sums and not node.hooks and node is not node_of(watched):
            tolerance = 1e-2 if node.dtype == np.float16 else 1e-4
            np.testing.assert_allclose(diary.sums[node], g, rtol=tolerance, atol=tolerance)
    for one, other in zip(leaves(plain), leaves(watched), strict=True):
        np.testing.assert_array_equal(one.grad, other.grad)


def leaves(result: gg.Tensor) -> list[Node]:
    node = node_of(result)
    assert node is not None
    return [n for n in graph_nodes(node) if n.plan is None and n.needs]


def test_a_leaf_is_complete_as_soon_as_its_last_use_has_sent() -> None:
    """So that a training in several processes can average gradients while others are on the way."""
    w, u = (leaf([2.0], name=name) for name in "wu")
    diary = Diary()
    h = w * 3.0
    y = (h * u).sum() + u.sum()
    with observing(diary):
        y.backward()
    order = [x.name for what, x in diary.events if what == "complete" and x.plan is None]
    assert order == ["u", "w"]
    place = diary.events.index(("complete", node_of(u)))
    assert ("before", node_of(h)) in diary.events[place:], "w's gradient is still on its way"


def test_hooks_run_when_they_do_without_an_observer() -> None:
    """Also in a sweep that fails: hooks of leaves come last, so they do not run at all."""

    def fail(_: Any) -> Any:
        raise ZeroDivisionError

    def run(fails: bool) -> list[str]:
        order: list[str] = []
        w, u = (leaf(2.0) for _ in range(2))

        def rule(g: Any) -> Any:
            return fail(g) if fails else g

        def note(name: str, _: Any) -> None:
            order.append(name)

        h: gg.Tensor = gg.op(lambda x: x * 1, rule, name="may fail")(w)
        for name, x in (("w", w), ("u", u), ("h", h)):
            x.register_hook(partial(note, name))
        try:
            (h * u).backward()
        except GraphError:
            order.append("failed")
        return order

    for fails in (False, True):
        with observing(Diary()):
            watched = run(fails)
        assert watched == run(fails)


def test_a_leaf_that_one_use_sends_nothing_to_is_complete_at_the_end() -> None:
    half = gg.op(lambda x, y: x + y, joint=lambda g: (g, None), inputs=2, name="half")
    x, y = (leaf([1.0]) for _ in range(2))
    diary = Diary()
    with observing(diary):
        half(x, y * 2.0).backward()
    whats = [what for what, _ in diary.events]
    assert whats == ["complete", "before", "sent", "after", "complete", "ended"]
    assert y.grad is None


def test_a_module_is_called_and_an_op_has_its_parameters() -> None:
    net = nn.Sequential(nn.Linear(3, 2, rng=np.random.default_rng(0)), nn.Tanh())
    diary = Diary()
    with observing(diary):
        np.sum(net(gg.Tensor(np.ones((4, 3)))), axis=0)
    assert diary.modules == ["Sequential", "Linear", "/Linear", "Tanh", "/Tanh", "/Sequential"]
    assert diary.ops[-1] == ("sum", (0, False))


def test_an_in_place_change() -> None:
    x, diary = gg.Tensor([1.0]), Diary()
    with observing(diary):
        x += 1.0
    assert diary.events == [("overwritten", x)]


def test_what_the_rules_of_an_op_chose() -> None:
    """A gradient check wants to know on which side of a kink a value was."""

    class Choices(Observer):
        found: Any = None

        def recorded(self, op: Any, tensors: Any, arrays: Any, params: Any) -> None:  # noqa: ARG002
            node = tensors[0]._node
            self.found = dict(zip(node.plan.kept_names, node.values, strict=True))

    choices = Choices()
    with observing(choices):
        gg.maximum(leaf([1.0, 5.0]), np.array([3.0, 3.0]))
    assert {"x", "y"} <= set(choices.found)


def test_a_sweep_that_fails_ends_too() -> None:
    def fail(g: Any) -> Any:  # noqa: ARG001
        raise ZeroDivisionError

    bad = gg.op(lambda x: x * 1, fail, name="bad")
    diary = Diary()
    with observing(diary), pytest.raises(GraphError, match="bad"):
        bad(leaf(1.0)).backward()
    assert diary.events[-1] == ("ended", False)


def test_a_sweep_that_an_observer_refuses_ends_for_those_asked_before() -> None:
    class Refusing(Observer):
        def sweeping(self, sweep: Sweep) -> Observer | None:  # noqa: ARG002
            raise ValueError

    y, diary = leaf(1.0) * 2.0, Diary()
    with observing(diary), observing(Refusing()), pytest.raises(ValueError):  # noqa: PT011
        y.backward()
    assert diary.events == [("ended", False)]


def test_each_sweep_may_have_an_observer_of_its_own() -> None:
    inner: list[Diary] = []

    class Outer(Observer):
        def sweeping(self, sweep: Sweep) -> Observer | None:
            if sweep.targets is None:
                return None
            inner.append(Diary())
            return inner[-1]

    x = leaf([1.0, 2.0])
    with observing(Outer()):
        gg.recompute(lambda x: gg.sin(x) * x, x).sum().backward()
    assert len(inner) == 1
    assert inner[0].events[-1] == ("ended", True)


@pytest.mark.parametrize(
    "event", ["recorded", "complete", "sent", "summed", "after_rules", "called"]
)
def test_an_error_of_an_observer_is_its_own(event: str) -> None:
    """Not that of the rule it saw at work."""

    class Broken(Observer):
        pass

    def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("mine")

    setattr(Broken, event, fail)
    x = leaf([1.0])
    with observing(Broken()), pytest.raises(ZeroDivisionError, match="mine"):
        nn.Tanh()(x * x + x).backward()


def test_a_block_gives_its_observer() -> None:
    with observing(Diary()) as diary:
        _ = leaf([1.0]) * 2
    assert [name for name, _ in diary.ops] == ["multiply"]
    with gg.no_grad() as nothing:
        assert nothing is None
