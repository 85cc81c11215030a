"""Random programs that return random containers, with repeats: all transforms tell one story."""

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.engine.trees import flatten

Pair = namedtuple("Pair", ["first", "second"])  # noqa: PYI024 - untyped on purpose
SHAPES: list[tuple[int, ...]] = [(), (2,), (2, 2), (1, 2)]
UNARY: list[Callable[[Any], Any]] = [np.sin, np.tanh, lambda x: x * x, lambda x: x, np.exp]
BINARY: list[Callable[[Any, Any], Any]] = [np.multiply, np.add, np.subtract]


def container(rng: np.random.Generator, leaves: list[Any], depth: int = 2) -> Any:
    """Put some of the leaves, perhaps one twice, into nested lists, tuples and dicts."""
    if depth == 0 or rng.random() < 0.3:
        return leaves[rng.integers(len(leaves))]
    items = [container(rng, leaves, depth - 1) for _ in range(rng.integers(1, 4))]
    kind = rng.integers(5)
    if kind == 0 and len(items) == 2:
        return Pair(*items)
    if kind == 1:
        return {f"k{i}": item for i, item in enumerate(items)}
    if kind == 2:
        return (*items, ())
    return items if kind == 3 else tuple(items)


class Program:
    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        arrays = [rng.uniform(-1, 1, SHAPES[rng.integers(len(SHAPES))])[()] for _ in range(4)]
        self.args = [container(rng, arrays, 1) for _ in range(rng.integers(1, 4))]
        self.moves = rng.integers(0, 1000, (6, 3))
        self.seed = seed

    def __call__(self, *args: Any) -> Any:
        pool = flatten(args)[0]
        for how, i, j in self.moves:
            x, y = pool[i % len(pool)], pool[j % len(pool)]
            kind = how % (len(UNARY) + len(BINARY))
            if kind < len(UNARY):
                pool.append(UNARY[kind](x))
            else:
                pool.append(BINARY[kind - len(UNARY)](x, y))
        rest = [2.5, 3, np.arange(2), True, gg.Tensor([1.0, 2.0]), np.zeros((0, 2)), pool[0] > 0]
        leaves = [*pool, pool[-1], pool[0], *rest]
        return (pool[-1], container(np.random.default_rng(self.seed), leaves))

    def dense(self, *flat: Any) -> Any:
        """The outputs in one row, of the inputs in one row, in NumPy alone."""
        (row,) = flat
        leaves, rebuild = flatten(tuple(self.args))
        parts, start = [], 0
        for leaf in leaves:
            size = np.size(leaf)
            parts.append(np.reshape(row[start : start + size], np.shape(leaf))[()])
            start += size
        return joined(flatten(self(*rebuild(parts)))[0])


def joined(leaves: list[Any]) -> Any:
    plain = [x.numpy() if isinstance(x, gg.Tensor) else x for x in leaves]
    return np.concatenate([np.ravel(x).astype(float) for x in plain] or [np.zeros(0)])


def matrix(jacobian: Any, outputs: list[Any], inputs: list[Any]) -> Any:
    rows, blocks = [], flatten(jacobian)[0]
    for i, y in enumerate(outputs):
        mine = blocks[i * len(inputs) : (i + 1) * len(inputs)]
        shapes = [np.shape(y) + np.shape(x) for x in inputs]
        assert [np.shape(b) for b in mine] == shapes
        rows.append(
            np.hstack([np.reshape(b, (np.size(y), np.size(x))) for b, x in zip(mine, inputs)])  # noqa: B905
        )
    return np.vstack([np.asarray(row, float) for row in rows])


def split(row: Any, leaves: list[Any]) -> list[Any]:
    ends = np.cumsum([np.size(x) for x in leaves])[:-1]
    return [np.reshape(p, np.shape(x)) for p, x in zip(np.split(row, ends), leaves, strict=True)]


def slopes(f: Callable[[Any], Any], point: Any, eps: float = 1e-6) -> Any:
    steps = eps * np.eye(point.size)
    return np.array([f(point + s) - f(point - s) for s in steps]).T / (2 * eps)


@pytest.mark.parametrize("seed", range(60))
def test_all_transforms_agree_with_differences(seed: int) -> None:
    f = Program(seed)
    rng = np.random.default_rng(seed)
    inputs, rebuild_inputs = flatten(tuple(f.args))
    every = tuple(range(len(f.args)))
    outputs, rebuild_outputs = flatten(f(*f.args))
    point = joined(inputs)
    n, m = point.size, joined(outputs).size

    jac = gg.jacobian(f, every)(*f.args)
    found = matrix(jac, outputs, inputs)
    np.testing.assert_allclose(found, slopes(f.dense, point), rtol=1e-4, atol=1e-6)
    again = gg.jacobian(lambda *args: gg.recompute(f, *args), every)(*f.args)
    np.testing.assert_allclose(matrix(again, outputs, inputs), found, rtol=1e-12)
    tensors = rebuild_inputs([gg.Tensor(x, requires_grad=True) for x in inputs])
    recorded = gg.jacobian(f, every)(*tensors)
    leaves, rebuild = flatten(recorded)
    assert len({id(x) for x in leaves}) == len(leaves)
    plain = rebuild([x.numpy() for x in leaves])
    np.testing.assert_allclose(matrix(plain, outputs, inputs), found, rtol=1e-12)

    value, pullback = gg.vjp(f, *f.args)
    np.testing.assert_array_equal(joined(flatten(value)[0]), joined(outputs))
    for row in (*np.eye(m), rng.uniform(-1, 1, m)):
        pulled = pullback(rebuild_outputs(split(row, outputs)))
        np.testing.assert_allclose(joined(flatten(pulled)[0]), row @ found, rtol=1e-9, atol=1e-12)

    v = rng.uniform(-1, 1, n)
    directions = rebuild_inputs(split(v, inputs))
    value, pushed = gg.jvp(f, tuple(f.args), directions)
    np.testing.assert_array_equal(joined(flatten(value)[0]), joined(outputs))
    np.testing.assert_allclose(joined(flatten(pushed)[0]), found @ v, rtol=1e-9, atol=1e-12)

    w = split(rng.uniform(-1, 1, m), outputs)
    total = joined(w) @ found

    def weighted(*args: Any) -> Any:
        return sum((np.sum(np.multiply(u, x)) for u, x in zip(w, flatten(f(*args))[0])), 0.0)  # noqa: B905

    value, g = gg.value_and_grad(weighted, every)(*f.args)
    assert value == pytest.approx(weighted(*f.args).item())
    np.testing.assert_allclose(joined(flatten(g)[0]), total, rtol=1e-9, atol=1e-12)
    hessian = gg.hessian(weighted, every)(*f.args)
    curvature = matrix(hessian, inputs, inputs)
    np.testing.assert_allclose(curvature, curvature.T, rtol=1e-9, atol=1e-12)

    def slope(row: Any) -> Any:
        args = rebuild_inputs([x[()] for x in split(row, inputs)])
        return joined(flatten(gg.grad(weighted, every)(*args))[0])

    np.testing.assert_allclose(curvature, slopes(slope, point), rtol=1e-4, atol=1e-6)
    product = gg.hvp(weighted, tuple(f.args), directions)
    np.testing.assert_allclose(joined(flatten(product)[0]), curvature @ v, rtol=1e-9, atol=1e-12)

    xs = [gg.Tensor(x, requires_grad=True) for x in inputs]
    ys = [(t, u) for t, u in zip(flatten(f(*rebuild_inputs(xs)))[0], w, strict=True)]
    ys = [(t, u) for t, u in ys if isinstance(t, gg.Tensor) and t.requires_grad]
    for graph in (False, True):
        two = gg.gradients(
            [t for t, _ in ys + ys],
            xs + xs,
            [u for _, u in ys + ys],
            create_graph=graph,
            retain_graph=True,
        )
        assert len({id(x) for x in two}) == len(two)
        np.testing.assert_allclose(joined(list(two)), 2 * np.tile(total, 2), rtol=1e-9, atol=1e-12)
