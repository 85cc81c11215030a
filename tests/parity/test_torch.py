"""The same expression in graphgrad and in PyTorch: value, gradient and gradient of the gradient."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import graphgrad as gg
from graphgrad import nn, optim

Function = Callable[..., Any]

# What both libraries write in the same way; `m` is graphgrad or torch. Inputs are in (0.1, 0.9).
SAME: dict[str, tuple[Function, list[tuple[int, ...]]]] = {
    "add, broadcast": (lambda _, a, b: a + b, [(3, 1), (4,)]),
    "subtract": (lambda _, a, b: a - b, [(2, 3), ()]),
    "multiply, broadcast": (lambda _, a, b: a * b, [(2, 1, 3), (4, 1)]),
    "divide": (lambda _, a, b: a / b, [(3, 4), (4,)]),
    "power": (lambda _, a, b: a**b, [(5,), (5,)]),
    "scalar power": (lambda _, a: a**3 + 2**a - 1 / a, [(5,)]),
    "remainder": (lambda m, a, b: m.remainder(a, b), [(5,), (5,)]),
    "maximum": (lambda m, a, b: m.maximum(a, b), [(5,), (5,)]),
    "minimum": (lambda m, a, b: m.minimum(a, b), [(5,), (5,)]),
    "hypot": (lambda m, a, b: m.hypot(a, b), [(5,), (5,)]),
    "arctan2": (lambda m, a, b: m.arctan2(a, b), [(5,), (5,)]),
    "logaddexp": (lambda m, a, b: m.logaddexp(a, b), [(5,), (5,)]),
    "where": (lambda m, a, b: m.where(a > b, a, b), [(5,), (5,)]),
    "matmul": (lambda _, a, b: a @ b, [(3, 4), (4, 2)]),
    "matmul, batched": (lambda _, a, b: a @ b, [(2, 1, 3, 4), (5, 4, 2)]),
    "matmul, vectors": (lambda _, a, b, c: (a @ b) * c, [(4,), (4,), ()]),
    "einsum": (lambda m, a, b: m.einsum("bij,bjk->ik", a, b), [(2, 3, 4), (2, 4, 5)]),
    "einsum, trace": (lambda m, a: m.einsum("...ii->...", a), [(2, 3, 3)]),
    "kron": (lambda m, a, b: m.kron(a, b), [(2, 3), (3, 2)]),
    "slices": (lambda _, a: a[1:, ::2] * a[0, 1], [(4, 5)]),
    "index arrays": (lambda _, a: a[[0, 2, 2], [1, 1, 1]], [(4, 5)]),
    "reshape and transpose": (lambda _, a: a.reshape(2, 6).T @ a.reshape(2, 6), [(3, 4)]),
    "cumprod": (lambda m, a: m.cumprod(a, 1), [(3, 4)]),
    "cumsum": (lambda m, a: m.cumsum(a, 0), [(3, 4)]),
    "logsumexp": (lambda m, a: m.logsumexp(a, 1), [(3, 4)]),
    "sum": (lambda _, a: a.sum((0, 2)), [(2, 3, 4)]),
    "mean": (lambda _, a: a.mean(1), [(2, 3, 4)]),
    "prod": (lambda _, a: a.prod(1), [(2, 3)]),
    "inv": (lambda m, a: m.linalg.inv(a), [(2, 3, 3)]),
    "det": (lambda m, a: m.linalg.det(a), [(2, 3, 3)]),
    "slogdet": (lambda m, a: m.linalg.slogdet(a)[1], [(3, 3)]),
    "solve": (lambda m, a, b: m.linalg.solve(a, b), [(3, 3), (3, 2)]),
    "cholesky": (lambda m, a: m.linalg.cholesky(a @ a.T), [(3, 3)]),
    "eigenvalues": (lambda m, a: m.linalg.eigh(a + a.T)[0], [(3, 3)]),
    "singular values": (lambda m, a: m.linalg.svd(a)[1], [(3, 3)]),
    "pinv": (lambda m, a: m.linalg.pinv(a), [(4, 2)]),
}
UNARY = (
    "exp exp2 expm1 log log2 log10 log1p sqrt square reciprocal sin cos tan arcsin arccos arctan "
    "sinh cosh tanh arcsinh arctanh sinc deg2rad rad2deg abs sign floor ceil negative relu"
)
SAME.update({name: (lambda m, a, f=name: getattr(m, f)(a), [(3, 2)]) for name in UNARY.split()})

FLAT = {"sign", "floor", "ceil"}  # of a gradient that is constant PyTorch has no second one


def inputs(shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    """Draw the same numbers on every run."""
    rng = np.random.default_rng(0)
    return [rng.uniform(0.1, 0.9, shape) for shape in shapes]


def ours(function: Function, arrays: list[np.ndarray], order: int) -> list[np.ndarray]:
    """Return value, gradients, and gradients of the weighted sum of those gradients."""
    tensors = [gg.Tensor(array, requires_grad=True) for array in arrays]
    y = function(gg, *tensors)
    grads = gg.gradients((y * y).sum(), tensors, create_graph=order == 2)
    results = [y, *grads]
    if order == 2:
        total = sum(((g * (i + 2)).sum() for i, g in enumerate(grads)), start=gg.Tensor(0.0))
        results += gg.gradients(total, tensors)
    return [r.numpy() if isinstance(r, gg.Tensor) else np.asarray(r) for r in results]


def theirs(function: Function, arrays: list[np.ndarray], order: int) -> list[np.ndarray]:
    """Do the same in PyTorch."""
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    y = function(torch, *tensors)
    grads = torch.autograd.grad((y * y).sum(), tensors, create_graph=order == 2)
    results = [y, *grads]
    if order == 2:
        total = sum((g * (i + 2)).sum() for i, g in enumerate(grads))
        results += torch.autograd.grad(total, tensors)
    return [r.detach().numpy() for r in results]


@pytest.mark.parametrize(
    ("name", "order"),
    [(name, 1) for name in SAME] + [(name, 2) for name in SAME if name not in FLAT],
)
def test_same_value_and_gradients(name: str, order: int) -> None:
    function, shapes = SAME[name]
    arrays = inputs(shapes)
    for mine, reference in zip(
        ours(function, arrays, order), theirs(function, arrays, order), strict=True
    ):
        np.testing.assert_allclose(mine, reference, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_network_after_ten_steps(dtype: str) -> None:
    """A classifier of two layers, learnt from the same start on the same batches."""
    rng = np.random.default_rng(1)
    images = rng.normal(size=(10, 16, 8)).astype(dtype)
    labels = rng.integers(0, 3, size=(10, 16))
    shapes = [(8, 5), (5,), (5, 3), (3,)]
    start = [rng.normal(0, 0.5, shape).astype(dtype) for shape in shapes]

    mine = [gg.Tensor(array, requires_grad=True) for array in start]
    optimizer = optim.SGD(mine, lr=0.5)
    reference = [torch.tensor(array, requires_grad=True) for array in start]
    torch_optimizer = torch.optim.SGD(reference, lr=0.5)
    for x, t in zip(images, labels, strict=True):
        w1, b1, w2, b2 = mine
        optimizer.zero_grad()
        nn.functional.cross_entropy(gg.tanh(x @ w1 + b1) @ w2 + b2, t).backward()
        optimizer.step()

        v1, c1, v2, c2 = reference
        torch_optimizer.zero_grad()
        scores = torch.tanh(torch.tensor(x) @ v1 + c1) @ v2 + c2
        torch.nn.functional.cross_entropy(scores, torch.tensor(t)).backward()
        torch_optimizer.step()

    for a, b in zip(mine, reference, strict=True):
        assert a.dtype == dtype
        tolerance = 1e-5 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=tolerance, atol=tolerance)
