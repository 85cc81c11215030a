"""The graph and the sweep: what is kept, what is freed, what runs, in which order."""

import gc
import itertools
import os
import signal
import threading
import tracemalloc
import warnings
import weakref
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.engine.graph import Freed, Node
from graphgrad.errors import GraphError, ShapeError
from tests.builders import leaf


def node_of(t: gg.Tensor) -> Node:
    assert t._node is not None
    return t._node


def test_a_node_keeps_only_what_its_rules_name() -> None:
    x, y = leaf(np.ones(100)), leaf(np.ones(100))
    constant = gg.Tensor(np.ones(100))
    assert node_of(x + y).values == ()
    assert node_of(gg.exp(x)).values[0] is not x.data
    (kept,) = node_of(x * constant).values
    assert kept is constant.data
    (kept,) = node_of(constant * x).values
    assert kept is constant.data
    assert len(node_of(x * y).values) == 2
    assert not any(isinstance(v, np.ndarray) for v in node_of(x.sum()).values)


def test_the_rule_of_an_input_without_gradient_never_runs() -> None:
    def fail(_: Any) -> Any:
        raise AssertionError

    only_first = gg.op(lambda x, y: x + y, lambda g: g, fail, name="only_first")
    x = leaf()
    only_first(x, gg.Tensor(1.0)).backward()
    assert x.grad == 1


def test_first_order_rules_see_plain_arrays_only() -> None:
    seen: list[type] = []

    def rule(g: Any, x: Any, out: Any) -> Any:
        seen.extend(map(type, (g, x, out)))
        return g * x

    probe = gg.op(lambda x: x * x, rule, name="probe")
    probe(leaf([1.0, 2.0])).sum().backward()
    assert seen == [np.ndarray] * 3
    seen.clear()
    x = leaf([1.0, 2.0])
    gg.gradients(probe(x).sum(), x, create_graph=True)
    assert seen == [gg.Tensor] * 3


@pytest.mark.parametrize("ops", [10_000, pytest.param(1_000_000, marks=pytest.mark.whole)])
def test_a_long_chain_of_ops_records_sweeps_and_is_deleted(ops: int) -> None:
    x = leaf(1.0)
    y = x + 1.0
    first = weakref.ref(node_of(y))
    for _ in range(ops):
        y = y + 1.0
    assert y.item() == ops + 2
    y.backward()
    assert x.grad == 1
    assert first() is not None
    del y
    assert first() is None


def test_memory_is_freed_without_the_garbage_collector() -> None:
    gc.disable()
    try:
        x = leaf(np.ones(10))
        y = gg.exp(x * 2).sum()
        nodes = [weakref.ref(node_of(y)), weakref.ref(node_of(y).parents[0])]
        y.backward()
        gg.grad(gg.grad(lambda t: t * t * t))(2.0)
        z = gg.recompute(lambda t: t * t, x).sum()
        z.backward()
        nodes.append(weakref.ref(node_of(z)))
        del y, z
        assert [n() for n in nodes] == [None] * 3
    finally:
        gc.enable()


def test_a_node_of_a_scalar_chain_takes_at_most_600_bytes() -> None:
    y = leaf(1.0)
    count = 20_000
    for _ in range(1000):
        y = y * 1.5 / 1.5
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(count):
        y = y + 1.0
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert used / count <= 600


def test_saved_arrays_are_released_and_the_structure_stays() -> None:
    x = leaf(np.ones(1000), name="x")
    y = gg.exp(x)
    big = weakref.ref(y.data)
    z = (y * y).sum()
    node = node_of(z)
    z.backward()
    del y
    assert big() is None
    assert isinstance(node.values, Freed)
    assert isinstance(node.parents[0], Node)
    assert node_of(z).value == z.data


def test_small_values_and_gradients_stay_readable() -> None:
    x, y = leaf(3.0), leaf(4.0)
    z = x * y
    total = z + x
    total.backward()
    assert node_of(z).value == 12
    gradients = node_of(total).small_gradients or {}
    assert gradients[node_of(z).serial] == 1
    assert gradients[node_of(x).serial] == 5
    big = leaf(np.ones(1000))
    total = big.sum()
    total.backward()
    assert list(node_of(total).small_gradients or {}) == [node_of(total).serial]


def test_second_backward() -> None:
    x = leaf()
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad == 8
    with pytest.raises(GraphError, match=r"multiply.*freed by backward\(\) at test_graph\.py:\d+"):
        y.backward()
    assert x.grad == 8


@pytest.mark.parametrize("size", [3, 30])  # of a small gradient, pictures keep a copy
def test_no_two_gradients_share_memory(size: int) -> None:
    x, y, z = (leaf(np.ones(size)) for _ in range(3))
    seed = np.ones(size)
    kept: list[Any] = []
    (x + y).backward(seed)
    z.backward(seed)
    out = +(x * 1).reshape(1, -1)[0]
    out.register_hook(kept.append)
    out.backward(seed)
    for a, b in itertools.combinations((x.grad, y.grad, z.grad, seed, *kept), 2):
        assert not np.shares_memory(a, b)


def test_no_gradient_shares_memory_with_an_input() -> None:
    x = leaf(np.ones(3))
    keep = gg.op(lambda x: x * 1, lambda g, x: x, name="keep")  # noqa: ARG005 - hands out an input
    keep(x).sum().backward()
    assert not np.shares_memory(x.grad, x.data)


def test_a_gradient_taken_from_a_tensor_survives_a_second_backward() -> None:
    x = leaf(np.ones(3))
    (x * 2).sum().backward()
    first = x.grad
    (x * 2).sum().backward()
    assert first.tolist() == [2, 2, 2]
    assert x.grad.tolist() == [4, 4, 4]


def test_using_a_tensor_in_a_new_graph_leaves_its_gradient() -> None:
    x = leaf()
    (x * x).backward()
    _ = x * 3
    assert x.grad == 4


def test_backward_with_an_upstream_gradient() -> None:
    x = leaf(np.arange(3.0))
    (x * x).backward([1, 10, 100])
    assert x.grad.tolist() == [0, 20, 400]
    with pytest.raises(ShapeError, match=r"grad has shape \(2,\), the tensor \(3,\)"):
        (x * x).backward([1, 2])
    with pytest.raises(ShapeError, match=r"\.sum\(\)\.backward\(\)"):
        (x * x).backward()


def test_backward_without_a_graph() -> None:
    with pytest.raises(GraphError, match="requires_grad=True"):
        (gg.Tensor(1.0) * 2).backward()
    x = leaf()
    with gg.no_grad():
        y = x * 2
    with pytest.raises(GraphError, match="requires_grad=True"):
        y.backward()
    x.backward()
    assert x.grad == 1


def test_retain_grad_keeps_the_gradient_of_a_computed_tensor() -> None:
    x = leaf(np.ones(100))
    y = x * 3
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [6.0] * 100
    assert not np.shares_memory(y.grad, x.grad)
    assert (x * 3).grad is None


def test_hooks_see_and_replace_gradients() -> None:
    x = leaf(np.ones(2))
    seen = []
    y = x * 3
    remove = y.register_hook(lambda g: seen.append(g.copy()))
    y.register_hook(lambda g: g * 10)
    y.sum().backward(retain_graph=True)
    assert seen[0].tolist() == [1, 1]
    assert x.grad.tolist() == [30, 30]
    remove()
    y.sum().backward()
    assert len(seen) == 1
    x.grad = None
    x.register_hook(lambda g: g[:1])
    with pytest.raises(ShapeError, match="hook returned shape"):
        (x * 2).sum().backward()
    assert x.grad is None
    with pytest.raises(GraphError, match="register_hook"):
        gg.Tensor(1.0).register_hook(print)


def test_an_array_that_a_hook_returns_stays_the_hooks_own() -> None:
    x, y = leaf(np.ones(2)), leaf(np.ones(2))
    fixed = np.array([5.0, 6.0])
    for t in (x, y):
        t.register_hook(lambda _: fixed)
    (x + y).sum().backward()
    assert x.grad.tolist() == y.grad.tolist() == [5, 6]
    assert not np.shares_memory(x.grad, y.grad)
    assert not np.shares_memory(x.grad, fixed)


def test_a_failed_backward_leaves_every_gradient_as_it_was() -> None:
    def explode(_: Any) -> Any:
        raise ZeroDivisionError("on purpose")

    bad = gg.op(lambda x: x * 1, explode, name="bad")
    x, y = leaf(np.ones(3)), leaf(np.ones(3))
    (x * y).sum().backward()
    before = x.grad.copy(), y.grad.copy()
    z = (bad(x * 2) + y * 3).sum()
    with pytest.raises(GraphError, match=r"bad \(3,\) float64 \(built at test_graph.*on purpose"):
        z.backward()
    assert x.grad.tolist() == before[0].tolist()
    assert y.grad.tolist() == before[1].tolist()
    with pytest.raises(GraphError, match="on purpose"):  # and the graph as well
        z.backward()


def test_threads_may_share_a_leaf() -> None:
    w = leaf(np.zeros(5))

    def work() -> None:
        for _ in range(200):
            (w * 1.0).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert w.grad.tolist() == [800.0] * 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX forks")
def test_a_child_forked_while_a_thread_adds_gradients_can_add_its_own() -> None:
    large, done = leaf(np.ones(10**6)), threading.Event()

    def work() -> None:
        while not done.is_set():
            (large * 1.0).backward(np.ones(10**6))

    thread = threading.Thread(target=work)
    thread.start()
    statuses = []
    for _ in range(10):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking where threads run
            child = os.fork()
        if child == 0:  # ends here, whatever comes
            status = 1
            try:
                signal.alarm(5)  # it used to wait for ever
                x = leaf([1.0, 2.0])
                (x * x).sum().backward()
                status = 0 if x.grad.tolist() == [2, 4] else 2
            finally:
                os._exit(status)
        statuses.append(os.waitpid(child, 0)[1])
    done.set()
    thread.join()
    assert statuses == [0] * 10


def test_an_overwritten_value_that_is_not_needed_is_no_error() -> None:
    w, x = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = (w + x).sum()
    w.data -= 1
    y.backward()
    assert w.grad.tolist() == [1, 1]


def test_the_rule_of_an_input_may_ask_for_all_inputs_and_for_more_than_two_values() -> None:
    product = gg.op(
        lambda x, y, z: x * y * z,
        lambda g, inputs: g * inputs[1] * inputs[2],
        lambda g, x, z: g * x * z,
        lambda g, out, x, y, z: g * out / z + 0 * (x + y),
        name="product",
    )
    x, y, z = (leaf(v) for v in (2.0, 3.0, 5.0))
    product(x, y, z).backward()
    assert [float(t.grad) for t in (x, y, z)] == [15.0, 10.0, 6.0]
    assert gg.grad(gg.grad(product), 1)(2.0, 3.0, 5.0) == 5.0


def test_a_rule_of_a_transposing_op_must_transpose_back() -> None:
    """(3, 2) for an input of (2, 3): of as many axes, and neither broadcasts to the other."""
    turned = gg.op(lambda a: a.T * 1, lambda g: g, name="turned")
    with pytest.raises(ShapeError, match=r"turned.*returned shape \(3, 2\).*\(2, 3\)"):
        turned(leaf(np.ones((2, 3)))).sum().backward()
