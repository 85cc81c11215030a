"""SGD: what a step does, and what it refuses."""

from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import optim
from graphgrad.errors import GraphError, ShapeError


def leaf(*values: float, dtype: Any = float) -> gg.Tensor:
    """Make a parameter."""
    return gg.Tensor(values, dtype=dtype, requires_grad=True)


def test_a_step_goes_against_the_gradient() -> None:
    w = leaf(1.0, -2.0)
    opt = optim.SGD([w], lr=0.1)
    (w**2).sum().backward()
    opt.step()
    np.testing.assert_allclose(w.numpy(), [0.8, -1.6])
    assert w.is_leaf
    assert w.requires_grad


def test_zero_grad_forgets() -> None:
    w = leaf(1.0)
    opt = optim.SGD([w], lr=0.1)
    for _ in range(2):
        opt.zero_grad()
        (3 * w).sum().backward()
    np.testing.assert_array_equal(w.grad, [3.0])


def test_parameters_without_gradient_are_left_alone() -> None:
    used, unused = leaf(1.0), leaf(5.0)
    opt = optim.SGD([used, unused], lr=1.0)
    used.sum().backward()
    opt.step()
    assert (used.numpy(), unused.numpy()) == (0.0, 5.0)


def test_a_shared_parameter_is_updated_once() -> None:
    w = leaf(1.0)
    opt = optim.SGD([w, w], lr=0.25)
    w.sum().backward()
    opt.step()
    assert w.numpy() == 0.75


def test_dtype_stays() -> None:
    w = leaf(1.0, dtype=np.float32)
    opt = optim.SGD([w], lr=np.float64(0.1))
    w.sum().backward()
    opt.step()
    assert w.dtype == np.float32


def test_backward_notices_a_step_in_between() -> None:
    """The gradient of w² needs the w that was squared, not the one after the step."""
    w = leaf(3.0)
    opt = optim.SGD([w], lr=0.1)
    first, second = w.sum(), (w**2).sum()
    first.backward()
    opt.step()
    with pytest.raises(GraphError, match="overwritten"):
        second.backward()


def test_it_descends() -> None:
    w = leaf(-7.0, 2.0)
    opt = optim.SGD([w], lr=0.9)
    for _ in range(200):
        opt.zero_grad()
        (w**2 / np.array([20.0, 1.0])).sum().backward()
        opt.step()
    np.testing.assert_allclose(w.numpy(), [0, 0], atol=1e-6)


@pytest.mark.parametrize("lr", [-0.1, float("nan"), float("inf")])
def test_wrong_rates_are_refused(lr: float) -> None:
    opt = optim.SGD([leaf(1.0)], lr=0.1)
    with pytest.raises(ShapeError, match="finite and not negative"):
        opt.lr = lr
    with pytest.raises(ShapeError, match="finite and not negative"):
        optim.SGD([leaf(1.0)], lr=lr)


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ([], "empty"),
        (leaf(1.0), r"\[tensor\]"),
        ([gg.Tensor([1.0])], "parameter 0"),
        ([leaf(1.0), leaf(1.0) * 2], "parameter 1"),
        ([np.zeros(2)], "parameter 0"),
    ],
)
def test_wrong_parameters_are_refused(params: Any, says: str) -> None:
    with pytest.raises(GraphError, match=says):
        optim.SGD(params, lr=0.1)
