"""Cumulative ops, differences, sorting, order statistics."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import graphgrad as gg
from graphgrad.engine.domains import call
from graphgrad.errors import ArgumentError, ShapeError, UnsupportedError
from graphgrad.ops import scan
from graphgrad.testing import check_call
from tests.builders import leaf
from tests.linear import whole

nan = np.nan
num: Any = np  # NumPy's stubs know no Tensor
Function = Callable[..., Any]


def test_the_names_of_the_array_api_work_on_every_numpy() -> None:
    x = np.array([1.0, 2, 4])
    for f, expected in ((scan.cumulative_sum, [0, 1, 3, 7]), (scan.cumulative_prod, [1, 1, 2, 8])):
        np.testing.assert_array_equal(f.body(x, include_initial=True), expected)
        np.testing.assert_array_equal(f(gg.Tensor(x), include_initial=True).numpy(), expected)


def test_nan_is_passed_over() -> None:
    x = np.array([2.0, nan, 3.0, nan, 5.0])
    there = ~np.isnan(x)
    for f, g in ((num.nancumsum, np.cumsum), (num.nancumprod, np.cumprod)):
        np.testing.assert_array_equal(f(gg.Tensor(x)).numpy(), f(x))
        jacobian = gg.jacobian(f)(x)
        np.testing.assert_array_equal(jacobian[:, ~there], 0)
        np.testing.assert_array_equal(jacobian[np.ix_(there, there)], gg.jacobian(g)(x[there]))


def exact_derivative(x: list[float], order: int) -> Any:
    n = len(x)
    result = np.zeros((n,) * (order + 1))
    for index in np.ndindex(result.shape):
        last, rest = index[0], index[1:]
        if len(set(rest)) == order and max(rest) <= last:
            result[index] = math.prod(x[i] for i in range(last + 1) if i not in rest)
    return result


@pytest.mark.parametrize("x", [[0, 3, 4], [0, 3, 0, 2], [0, 0], [2, 3, -4], [7]], ids=str)
def test_cumprod_with_zeros_is_exact_to_every_order(x: list[float]) -> None:
    f: Function = np.cumprod
    for order in range(1, 4):
        f = gg.jacobian(f)
        np.testing.assert_array_equal(f(np.array(x, float)), exact_derivative(x, order))


@given(st.integers(0, 150), st.integers(0, 1000), st.sampled_from([(), (2,), (600,)]))
def test_recurrences_of_every_length(n: int, seed: int, more: tuple[int, ...]) -> None:
    """Short, long and broad ones are computed in different ways; whole numbers stay exact."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(-1, 2, (2, n, *more)).astype(float)
    forth, back = b.copy(), b.copy()
    for i in range(1, n):
        forth[i] = b[i] + a[i] * forth[i - 1]
        back[~i] = b[~i] + a[-i] * back[-i]
    np.testing.assert_array_equal(scan.recur(b, a, 0), forth)
    np.testing.assert_array_equal(scan.recur_back(b, a, 0), back)
    if more == (2,):
        np.testing.assert_array_equal(scan.recur(b.T, a.T, 1), forth.T)
        np.testing.assert_array_equal(scan.recur_back(b.T, a.T, -1), back.T)


def test_a_long_product_is_fast() -> None:
    """One step per element would take a hundred thousand calls here."""
    x = np.ones(100_000)
    x[5] = 0
    g = gg.grad(lambda a: np.cumprod(a)[-1])(x)
    assert g[5] == 1
    assert np.count_nonzero(g) == 1


def test_differences_of_an_order_beyond_the_length_are_empty() -> None:
    x = leaf(np.ones((2, 3)))
    assert np.diff(x, 3).shape == np.diff(x, 10**9).shape == (2, 0)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((0.5,), {"axis": (1, 0)}), ((np.array([0.0, 1.0, 1.5, 3.0]), 0.1), {"edge_order": 2})],
)
def test_gradient_along_several_axes(args: Any, kwargs: Any) -> None:
    check_call(scan.gradient, call(whole((4, 5)), *args, **kwargs))


@pytest.mark.parametrize(
    ("attempt", "error", "words"),
    [
        (lambda t: np.diff(t, 10**12), ArgumentError, "diff: n = 1000000000000 must be at most"),
        (lambda t: scan.cumulative_sum(gg.stack([t, t])), ShapeError, "axis="),
        (lambda t: np.gradient(t, t[:1].numpy()), ShapeError, "gradient"),
        (lambda t: np.gradient(t[:1]), ShapeError, "2 are needed"),
        (lambda t: np.quantile(t, 2.0), ShapeError, r"range \[0, 1\]"),
        (lambda t: np.percentile(t, 101), ShapeError, r"range \[0, 100\]"),
        (lambda t: np.quantile(t, t[0]), UnsupportedError, "'q'"),
    ],
)
def test_errors_name_the_remedy(attempt: Function, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        attempt(leaf([0.0, 1.0]))


def test_the_method_sort_returns_a_copy() -> None:
    """Where ndarray's own sorts in place, and returns None."""
    t = leaf([3.0, 1.0, 2.0])
    y = t.sort()
    assert y.tolist() == [1, 2, 3]
    assert t.tolist() == [3, 1, 2]
    (y * [1, 10, 100]).sum().backward()
    assert t.grad.tolist() == [100, 1, 10]


def test_equals_keep_their_order_and_nans_come_last() -> None:
    t = leaf([2.0, nan, 1.0, 2.0, nan])
    t.sort().backward(np.arange(5.0))
    np.testing.assert_array_equal(t.grad, [1, 3, 0, 2, 4])


METHODS = [
    "linear", "lower", "higher", "midpoint", "nearest", "inverted_cdf", "averaged_inverted_cdf",
    "closest_observation", "interpolated_inverted_cdf", "hazen", "weibull", "median_unbiased",
    "normal_unbiased",
]  # fmt: skip


@given(
    st.sampled_from(METHODS),
    st.lists(st.floats(0, 1, width=16), min_size=1, max_size=3),
    st.sampled_from([None, 0, -1, (0, 1)]),
    st.booleans(),
)
def test_quantiles_of_every_method(method: Any, q: list[float], axis: Any, keepdims: bool) -> None:
    """A quantile mixes elements: f(a) = Σ a ∂f/∂a, and the gradient is that of a mixture."""
    x = np.random.default_rng(0).permutation(15).reshape(3, 5) * 1.0 - 4
    options = {"axis": axis, "method": method, "keepdims": keepdims}

    def f(a: Any, level: Any = q) -> Any:
        return num.quantile(a, level, **options)

    def hundred(a: Any) -> Any:
        return num.percentile(a, 100 * np.array(q), **options)

    for level in (q, q[0], np.array([q])):
        y = f(gg.Tensor(x), level)
        np.testing.assert_array_equal(y.numpy(), f(x, level))
        jacobian = gg.jacobian(f)(x, level).reshape(y.shape + x.shape)
        assert (jacobian >= 0).all()
        np.testing.assert_allclose(jacobian.sum((-1, -2)), 1)
        np.testing.assert_allclose((jacobian * x).sum((-1, -2)), y.numpy(), atol=1e-12)
        assert (np.count_nonzero(jacobian, (-1, -2)) <= 2).all()
    np.testing.assert_array_equal(hundred(gg.Tensor(x)).numpy(), hundred(x))
    np.testing.assert_allclose(gg.jacobian(hundred)(x), gg.jacobian(f)(x), atol=1e-12)


def test_median() -> None:
    grad = gg.grad(np.median)
    np.testing.assert_array_equal(grad(np.array([3.0, 1, 2])), [0, 0, 1])
    np.testing.assert_array_equal(grad(np.array([4.0, 1, 3, 2])), [0, 0, 0.5, 0.5])
    np.testing.assert_array_equal(grad(np.array([5.0, 2, 2, 2, 1])), [0, 1 / 3, 1 / 3, 1 / 3, 0])
    np.testing.assert_array_equal(grad(np.array([1.0, 1, 2, 2])), [0.25, 0.25, 0.25, 0.25])
    np.testing.assert_array_equal(grad(np.array([1.0, nan, 2, 2])), [0, 1, 0, 0])
    assert not gg.hessian(np.median)(np.array([4.0, 1, 3, 2])).any()
    square = gg.hessian(lambda a: np.median(a) ** 2)(np.array([4.0, 1, 3, 2]))
    np.testing.assert_array_equal(square, 2 * np.outer([0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5]))


def test_the_outermost_quantiles_are_maximum_and_minimum() -> None:
    x = np.array([[1.0, 5, 5, 1], [nan, 2, nan, 3]])
    for q, f in ((0.0, np.min), (1.0, np.max)):
        quantile = gg.grad(lambda a, q=q: np.sum(np.quantile(a, q, axis=1)))(x)
        np.testing.assert_array_equal(quantile, gg.grad(lambda a, f=f: np.sum(f(a, axis=1)))(x))


@pytest.mark.parametrize(("ufunc", "name"), [(np.add, "cumsum"), (np.multiply, "cumprod")])
def test_accumulate_of_a_ufunc_is_the_scan(ufunc: Any, name: str) -> None:
    x = np.array([[3.0, 1.0, 2.0], [6.0, 5.0, 4.0]])
    out = ufunc.accumulate(leaf(x))
    np.testing.assert_array_equal(out.numpy(), ufunc.accumulate(x))
    assert out._node.plan.op.name == name
