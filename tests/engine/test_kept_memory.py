"""What the package remembers from call to call is bounded, and goes with what it is of."""

import functools
import gc
import importlib
import sys
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn, optim
from graphgrad.engine import source
from graphgrad.optim.optimizer import recipe
from tests.builders import leaf

F = nn.functional

# Every cache of functions in the package, and why what it keeps is small.
CACHES = {
    "graphgrad.arguments.guarded.<locals>.read": "the checks of one function, which goes with it",
    "graphgrad.randomness._default": "the one generator",
    "graphgrad.nn.kernels.moments._kept_ones": "one block for each of four dtypes",
    "graphgrad.ops.einstein._backward": "short texts",
    "graphgrad.ops.einstein._explicit": "short texts",
    "graphgrad.ops.ranges.bounds": "two numbers for a dtype and a power",
    "graphgrad.engine.numpy_protocols._position_of_out": "a number for each function of NumPy",
    "graphgrad.compiling.carry._module": "the trees of at most 32 files",
    "graphgrad.compiling.names.assigned": "a name for a place in code",
    "graphgrad.compiling.reach._names": "the names that a function mentions",
    "graphgrad.compiling.reductions._tried": "a function for a kind of sum",
    "graphgrad.engine.recompute._rerun_op": "an op for each number of outputs",
    "graphgrad.engine.accumulate._broadcasts_to": "a bool for two shapes",
    "graphgrad.engine.accumulate._broadcast_axes": "a few axes for two shapes",
}


def kept(work: Callable[[int], object], times: int) -> float:
    """Return the bytes that are left when the work has been done for each number and dropped."""
    work(0)
    gc.freeze()  # what is there already goes into no answer, and to look at it takes long
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for i in range(1, times + 1):
            work(i)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def test_every_cache_is_bounded_and_known() -> None:
    gg.graph(leaf(1.0) * 2).to_svg()  # loads what draws
    importlib.import_module("graphgrad.compiling.carry")
    importlib.import_module("graphgrad.compiling.compiled")
    gc.unfreeze()
    kinds = (type(functools.lru_cache(len)),)
    found = {
        f"{x.__module__}.{x.__qualname__}": x.cache_info().maxsize
        for x in gc.get_objects()
        if isinstance(x, kinds) and x.__module__.startswith("graphgrad")
    }
    assert found.keys() == CACHES.keys()
    assert all(maxsize is not None for maxsize in found.values())


def batch_norm(i: int) -> object:
    side = 100 + i
    x = np.ones((2, 1, side, 2 * side), np.float32)
    return F.batch_norm(x, training=True)


def layer_norm(i: int) -> object:
    return F.layer_norm(np.ones((2, 20_000 + i), np.float32), (20_000 + i,))


def many_samples(i: int) -> object:
    return F.batch_norm(np.ones((20_000 + i, 4), np.float32), training=True)


def positions(i: int) -> object:
    return nn.PositionalEncoding(64)(np.zeros((1000 + i, 1, 64), np.float32))


def attention(i: int) -> object:
    x = np.zeros((1, 30 + i, 8), np.float32)
    return F.scaled_dot_product_attention(x, x, x)


def stacked(i: int) -> object:
    """Take gradients of another pattern of inputs each time."""
    xs = [gg.Tensor(1.0, requires_grad=bool(i >> k & 1) or k == 20) for k in range(21)]
    return np.stack(xs).sum().backward()


def drawn(i: int) -> object:
    big = np.ones(20_000)
    op = gg.op(lambda x: x * big[i], lambda g: g * big[i], name="own", elementwise=True)
    y = op(leaf(2.0))
    return gg.graph(y).to_svg()


def indexed(i: int) -> object:
    x = leaf(np.ones(30_000 + i))
    return gg.graph(x[np.arange(30_000 + i)].sum()).to_svg()


class Decay(optim.Optimizer):
    """An optimizer of a user's, whose rule is made anew at each step."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)

    def rule(self, group: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        big, lr = np.ones(1000), group["lr"]
        return lambda _, g: lr * g * big[0]


def own_optimizer(i: int) -> object:
    w = leaf(np.ones(3))
    optimizer = Decay([w])
    for _ in range(5 + i % 2):
        w.grad = np.ones(3)
        optimizer.step()
    return None


WORK: dict[str, tuple[Callable[[int], object], int]] = {
    "batch norm over images of many sizes": (batch_norm, 60),
    "layer norm over many sizes": (layer_norm, 60),
    "batch norm over many sizes of batches": (many_samples, 60),
    "positions of many lengths": (positions, 40),
    "attention of many lengths": (attention, 40),
    "stack of many patterns of inputs": (stacked, 300),
    "ops that were drawn": (drawn, 3),
    "indices that were drawn": (indexed, 2),
    "rules made anew": (own_optimizer, 30),
}


@pytest.mark.parametrize("name", WORK)
def test_nothing_is_kept_for_good(name: str) -> None:
    work, times = WORK[name]
    assert kept(work, times) < 250_000


def test_an_op_that_was_drawn_goes() -> None:
    op = gg.op(lambda x: x * 2, lambda g: g * 2, name="twice", elementwise=True)
    gg.graph(op(leaf(2.0))).to_html()
    gone = weakref.ref(op)
    del op  # only now: the graph and its picture are gone already
    gc.collect()
    assert gone() is None


def test_a_rule_is_read_once_while_it_lives() -> None:
    def rule(w: Any, g: Any, m: Any, *, step: int, lr: float) -> Any: ...

    assert recipe(rule) is recipe(rule)
    assert (recipe(rule).state, recipe(rule).options) == (("m",), ("lr",))


def test_names_of_files_are_not_kept_for_ever() -> None:
    for i in range(3 * source.FILES):
        code = compile("f()", f"<cell {i}>", "exec")
        exec(code, {"f": source.here})
    assert len(source.internal) <= source.FILES


def test_a_watched_step_looks_at_each_layer_once() -> None:
    """Calls are counted: with twice the layers there are about twice as many."""

    def calls(layers: int) -> int:
        net = nn.Sequential(*(nn.Tanh() for _ in range(layers)))
        watch = nn.Diagnosis(net, every=1)
        x = leaf(np.ones((2, 3)))
        profile: list[int] = [0]

        def count(*_: Any) -> None:
            profile[0] += 1

        before = sys.getprofile()
        sys.setprofile(count)
        try:
            with watch.step():
                net(x).sum().backward()
        finally:
            sys.setprofile(before)
        return profile[0]

    assert calls(400) < 2.2 * calls(200)
