"""Where PyTorch agrees with docs/conventions.md, and where it does not: as the page says."""

from typing import Any

import numpy as np
import pytest

from tests.special_points import POINTS

torch = pytest.importorskip("torch")


def derivatives(f: Any, at: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
    """Return PyTorch's gradients, and the gradients of their sum."""
    variables = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in at]
    options = {"allow_unused": True, "materialize_grads": True}
    first = torch.autograd.grad(f(torch, *variables).sum(), variables, create_graph=True, **options)
    total: Any = sum(g.sum() for g in first)
    second = [torch.zeros_like(x) for x in variables]
    if total.requires_grad:
        second = torch.autograd.grad(total, variables, **options)
    return [g.numpy(force=True) for g in first], [g.numpy(force=True) for g in second]


@pytest.mark.parametrize("name", POINTS)
def test_pytorch_does_what_the_page_says(name: str) -> None:
    point = POINTS[name]
    first, second = derivatives(point.f, point.at)
    nothing = tuple(np.zeros(np.shape(x)) for x in point.at)
    for found, expected in zip(first, point.torch_first or point.first, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    expected_second = point.torch_second or point.second or nothing
    for found, expected in zip(second, expected_second, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
