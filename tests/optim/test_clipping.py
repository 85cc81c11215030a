"""Clipping: norms taken together, bounds kept, and nothing changed where it is refused."""

import math
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import optim
from graphgrad.errors import ArgumentError, DtypeError, GraphError, NonFiniteError
from tests.builders import memory_of


def with_grad(*grads: Any, dtype: Any = float) -> list[gg.Tensor]:
    params = []
    for g in grads:
        params.append(gg.Tensor(np.zeros(np.shape(g)), dtype=dtype, requires_grad=True))
        params[-1].grad = np.array(g, dtype)
    return params


def test_the_norm_is_of_all_together_and_one_factor_scales_all() -> None:
    params = with_grad([3.0, 0.0], [[4.0]], 12.0)
    assert optim.clip_grad_norm(params, 6.5) == 13.0
    assert [p.grad.tolist() for p in params] == [[1.5, 0.0], [[2.0]], 6.0]


def test_within_the_bound_nothing_changes() -> None:
    params = with_grad([3.0, 4.0])
    held = params[0].grad
    assert optim.clip_grad_norm(params, 5.0) == 5.0
    assert params[0].grad is held
    assert held.tolist() == [3.0, 4.0]


@pytest.mark.parametrize(("dtype", "size"), [("f2", 100.0), ("f4", 3e30), ("f8", 1e300)])
@pytest.mark.parametrize("sign", [1, -1])
def test_squares_neither_overflow_nor_vanish(dtype: str, size: float, sign: int) -> None:
    """In halves 300 squares of 100 overflow; in double 1e300² does, and 1e-300² is 0."""
    size = size**sign if dtype != "f2" or sign > 0 else 1e-4
    (w,) = with_grad(np.full(300, size), dtype=dtype)
    exact = float(w.grad[0]) * math.sqrt(300)
    assert optim.clip_grad_norm([w], exact / 2) == pytest.approx(exact, rel=1e-6)
    assert w.grad[0] == pytest.approx(size / 2, rel=1e-3)
    assert w.grad.dtype == dtype


def test_many_halves_are_added_up_in_single_precision() -> None:
    (w,) = with_grad(np.full((300, 301), 0.1), dtype="f2")
    exact = float(np.float16(0.1)) * math.sqrt(300 * 301)
    assert optim.clip_grad_norm([w], 1e9) == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("dtype", ["f2", "f4"])
@pytest.mark.parametrize("p", [2, 1, 3, math.inf])
def test_no_temporaries_of_the_size_of_a_gradient(dtype: str, p: float) -> None:
    (w,) = with_grad(np.ones(2_000_000), dtype=dtype)
    assert memory_of(lambda: optim.clip_grad_norm([w], 1.0, norm_type=p))[1] < 1.2e6
    assert memory_of(lambda: optim.clip_grad_value([w], 1e-6))[1] < 1.2e6


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("p", [1, 2, math.inf])
def test_what_is_not_finite_is_an_error_before_anything_changes(bad: float, p: float) -> None:
    params = with_grad([30.0, 40.0], [1.0, bad, 2.0], [5.0])
    params[1].name = "hidden"
    with pytest.raises(NonFiniteError, match=r"parameter 'hidden' \(3,\).*nothing was changed"):
        optim.clip_grad_norm(params, 1.0, norm_type=p)
    assert params[0].grad.tolist() == [30.0, 40.0]
    assert params[2].grad.tolist() == [5.0]


def test_a_norm_beyond_all_numbers_is_said_to_be_one() -> None:
    (w,) = with_grad(np.full(100, 1.7e308))
    with pytest.raises(NonFiniteError, match="beyond the range"):
        optim.clip_grad_norm([w], 1.0)
    assert optim.clip_grad_norm([w], 1.0, norm_type=math.inf) == 1.7e308


def test_values_are_moved_into_the_interval() -> None:
    params = with_grad([-3.0, 0.5, math.inf, math.nan], 7.0)
    optim.clip_grad_value(params, 2.0)
    np.testing.assert_array_equal(params[0].grad, [-2.0, 0.5, 2.0, math.nan])
    assert params[1].grad == 2.0


def test_two_leaves_that_receive_the_same_gradient() -> None:
    """Both gradients of a + b are the upstream gradient; each is scaled once."""
    a, b = (gg.Tensor(np.zeros(2), requires_grad=True) for _ in range(2))
    upstream = np.array([3.0, 4.0])
    (a + b).backward(upstream)
    assert optim.clip_grad_norm([a, b], 1.0) == pytest.approx(math.sqrt(50))
    assert math.hypot(*a.grad, *b.grad) == pytest.approx(1.0)
    assert upstream.tolist() == [3.0, 4.0]


def test_a_parameter_listed_twice_counts_once() -> None:
    (w,) = with_grad([3.0, 4.0])
    assert optim.clip_grad_norm([w, w], 1.0) == 5.0
    assert w.grad.tolist() == pytest.approx([0.6, 0.8])


def test_parameters_without_a_gradient_are_passed_over() -> None:
    (w,) = with_grad([3.0, 4.0])
    unused = gg.Tensor([1.0], requires_grad=True)
    assert optim.clip_grad_norm(iter([unused, w, gg.Tensor([1.0])]), 1.0) == 5.0
    assert unused.grad is None


@pytest.mark.parametrize("clip", [optim.clip_grad_norm, optim.clip_grad_value])
def test_no_gradient_at_all_is_a_mistake(clip: Any) -> None:
    params = [gg.Tensor([1.0], requires_grad=True) for _ in range(3)]
    with pytest.raises(GraphError, match=r"none of 3 .* after loss\.backward\(\).*clipping\.py:"):
        clip(params, 1.0)
    with pytest.raises(GraphError, match="empty"):
        clip([], 1.0)
    with pytest.raises(DtypeError, match="parameter 1 is a ndarray"):
        clip([*with_grad([1.0]), np.zeros(2)], 1.0)


@pytest.mark.parametrize("clip", [optim.clip_grad_norm, optim.clip_grad_value])
def test_wrong_bounds_and_norms_change_nothing(clip: Any) -> None:
    params = with_grad([3.0, 4.0])
    for bound in (0, math.inf):
        with pytest.raises(ArgumentError, match="must be finite and positive"):
            clip(params, bound)
    with pytest.raises(ArgumentError, match="norm_type"):
        optim.clip_grad_norm(params, 1.0, norm_type=0)
    assert params[0].grad.tolist() == [3.0, 4.0]
