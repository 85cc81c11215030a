"""An exact check for ops that are linear: no step width, no tolerance.

For a linear f the gradient g of <w, f(x)> obeys <w, f(z)> = <g, z> at every z, and w ↦ g is
linear too, with f itself as its gradient. On small whole numbers both hold to the last bit.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import graphgrad as gg

Arrays = list[Any]


def whole(shape: tuple[int, ...], seed: int = 0) -> Any:
    """Small whole numbers, the same for the same shape and seed."""
    return np.random.default_rng((seed, *shape)).integers(-8, 9, shape).astype(float)


def as_list(result: Any) -> Arrays:
    return list(result) if isinstance(result, list | tuple) else [result]


def check_linear(f: Callable[..., Any], *shapes: tuple[int, ...]) -> None:
    """Compare f on Tensors with f on arrays: values, gradients, gradients of those."""
    xs, zs = ([whole(s, seed) for s in shapes] for seed in (1, 2))
    ts = [gg.Tensor(x, requires_grad=True) for x in xs]
    ys = as_list(f(*ts))
    values = as_list(f(*xs))
    assert len(ys) == len(values)
    for y, value in zip(ys, values, strict=True):
        assert type(y) is gg.Tensor
        assert y.dtype == np.asarray(value).dtype
        np.testing.assert_array_equal(y.numpy(), value, strict=np.ndim(value) > 0)
    ws = [whole(y.shape, 3) for y in ys]
    reached = [i for i, y in enumerate(ys) if y.requires_grad]
    if not reached:
        assert all(y.size == 0 for y in ys)
        return
    outs = [ys[i] for i in reached]
    gs = gg.gradients(outs, ts, [ws[i] for i in reached], retain_graph=True)
    zeros = as_list(f(*[np.zeros(s) for s in shapes]))  # not 0 where a constant is added
    changes = [np.sum(w * (b - a)) for w, a, b in zip(ws, zeros, as_list(f(*zs)), strict=True)]
    assert sum(changes) == sum(np.sum(g * z) for g, z in zip(gs, zs, strict=True))
    for g, x in zip(gs, xs, strict=True):
        assert g.shape == x.shape
        assert g.dtype == x.dtype

    seeds = [gg.Tensor(ws[i], requires_grad=True) for i in reached]
    recorded = gg.gradients(outs, ts, seeds, create_graph=True)
    for g, r in zip(gs, recorded, strict=True):
        np.testing.assert_array_equal(r.numpy(), g)
    known = [(r, z) for r, z in zip(recorded, zs, strict=True) if r.requires_grad]
    moved = [z if r.requires_grad else np.zeros_like(z) for r, z in zip(recorded, zs, strict=True)]
    if known:
        tensors, directions = zip(*known, strict=True)
        back = gg.gradients(tensors, seeds, list(directions))
        for i, b in zip(reached, back, strict=True):
            np.testing.assert_array_equal(b, as_list(f(*moved))[i] - zeros[i])
