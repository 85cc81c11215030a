"""The same program in graphgrad and in PyTorch: value, gradient and gradient of the gradient."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import graphgrad as gg
from graphgrad import nn, optim

Function = Callable[..., Any]

# Several ops together, as both libraries write them; `m` is graphgrad or torch. Single ops are
# compared in test_ops.py. Inputs are in (0.1, 0.9).
PROGRAMS: dict[str, tuple[Function, list[tuple[int, ...]]]] = {
    "powers": (lambda _, a: a**3 + 2**a - 1 / a, [(5,)]),
    "vectors": (lambda _, a, b, c: (a @ b) * c, [(4,), (4,), ()]),
    "slices": (lambda _, a: a[1:, ::2] * a[0, 1], [(4, 5)]),
    "index arrays": (lambda _, a: a[[0, 2, 2], [1, 1, 1]] * a[0, 0], [(4, 5)]),
    "reshape and transpose": (lambda _, a: a.reshape(2, 6).T @ a.reshape(2, 6), [(3, 4)]),
    "a branch": (lambda m, a, b: m.where(a > b, m.log(a), b * b), [(5,), (5,)]),
    "an attention": (
        lambda m, q, k, v: m.softmax(m.einsum("id,jd->ij", q, k), -1) @ v,
        [(3, 2), (4, 2), (4, 2)],
    ),
    "a Gaussian": (
        lambda m, a, x: m.linalg.solve(a @ a.T, x) @ x + m.linalg.slogdet(a @ a.T)[1],
        [(3, 3), (3,)],
    ),
}


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


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", PROGRAMS)
def test_same_value_and_gradients(name: str, order: int) -> None:
    function, shapes = PROGRAMS[name]
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
