"""Cumulative ops, differences, sorting, order statistics."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import graphgrad as gg
from graphgrad.checks.gradcheck import gradcheck
from graphgrad.errors import ArgumentError, DtypeError, ShapeError, UnsupportedError
from graphgrad.ops import scan
from tests.linear import check_linear

nan = np.nan
num: Any = np  # NumPy's stubs know no Tensor
Function = Callable[..., Any]

# ------------------------------------------------------------------------------------- sums


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("shape", [(3, 4), (1, 2), (0, 3)])
def test_sums_and_differences_are_linear(shape: tuple[int, ...], axis: int | None) -> None:
    check_linear(lambda a: np.cumsum(a, axis=axis), shape)
    if axis is not None:
        for n in range(4):
            check_linear(lambda a, n=n: np.diff(a, n, axis=axis), shape)
        check_linear(lambda a: np.trapezoid(a, axis=axis, dx=2), shape)
        check_linear(lambda a: np.diff(a, axis=axis, prepend=3.0, append=2.0)[:0], shape)
        check_linear(lambda a, b: np.diff(a, axis=axis, prepend=b), shape, shape)


def test_of_single_numbers() -> None:
    for f in (np.cumsum, np.cumprod):
        assert f(gg.Tensor(3.0, requires_grad=True)).shape == (1,)
        assert gg.grad(lambda a, f=f: f(a)[0])(3.0) == 1


@pytest.mark.skipif(not hasattr(np, "cumulative_sum"), reason="NumPy has it from 2.1 on")
def test_cumulative() -> None:
    x = np.array([[1.0, 2, 3], [4, 0, 6]])
    for f in (num.cumulative_sum, num.cumulative_prod):
        for kwargs in ({"axis": 0}, {"axis": -1, "include_initial": True}):
            out = f(gg.Tensor(x), **kwargs)
            np.testing.assert_array_equal(out.numpy(), f(x, **kwargs))
            assert gradcheck(lambda a, f=f, k=kwargs: f(a, **k), x, order=2)
        assert f(gg.Tensor(x[0]), include_initial=True).shape == (4,)
        with pytest.raises(ShapeError, match="axis="):
            f(gg.Tensor(x))


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


# --------------------------------------------------------------------------------- products


def exact_derivative(x: list[float], order: int) -> Any:
    """All partial derivatives of running products."""
    n = len(x)
    result = np.zeros((n,) * (order + 1))
    for index in np.ndindex(result.shape):
        last, rest = index[0], index[1:]
        if len(set(rest)) == order and max(rest) <= last:
            result[index] = math.prod(x[i] for i in range(last + 1) if i not in rest)
    return result


@pytest.mark.parametrize(
    "x", [[2, 0, 3, 4], [0, 3, 4], [0, 3, 0, 2], [0, 0], [2, 3, -4], [7]], ids=str
)
def test_cumprod_with_zeros_is_exact_to_every_order(x: list[float]) -> None:
    f: Function = np.cumprod
    for order in range(1, 4):
        f = gg.jacobian(f)
        np.testing.assert_array_equal(f(np.array(x, float)), exact_derivative(x, order))


@pytest.mark.parametrize("axis", [0, 1, -2])
def test_cumprod_along_an_axis(axis: int) -> None:
    x = np.random.default_rng(0).normal(size=(3, 4, 2))
    x[1, 2] = 0
    assert gradcheck(lambda a: np.cumprod(a, axis=axis), x, order=2)


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


def test_recurrences_close_under_differentiation() -> None:
    b, a = np.random.default_rng(1).normal(size=(2, 3, 5))
    a[1, 2] = a[1, 3] = 0
    for f in (scan.recur, scan.recur_back):
        assert gradcheck(lambda x, y, f=f: f(x, y, 1), b, a, order=3)


def test_a_long_product_is_fast() -> None:
    """One step per element would take a hundred thousand calls here."""
    x = np.ones(100_000)
    x[5] = 0
    g = gg.grad(lambda a: np.cumprod(a)[-1])(x)
    assert g[5] == 1
    assert np.count_nonzero(g) == 1


# ------------------------------------------------------------------- differences, integrals


def test_differences_of_any_order_end() -> None:
    x = gg.Tensor(np.ones((2, 3)), requires_grad=True)
    assert np.diff(x, 3).shape == np.diff(x, 10**9).shape == (2, 0)
    with pytest.raises(ArgumentError, match="diff: n = 1000000000000 must be at most"):
        np.diff(x, 10**12)


def test_differences_of_other_things() -> None:
    x = np.array([[1.0, 4.0, 9.0], [2.0, 3.0, 5.0]])
    cases: list[Function] = [
        lambda a: np.diff(a, prepend=0.0, append=np.ones((2, 2))),
        lambda a: np.diff(a, 2, 0, append=7.0, prepend=np.zeros((1, 3))),
        np.ediff1d,
        lambda a: np.ediff1d(a, to_end=[1.0, 2.0], to_begin=0.5),
        lambda a: np.ediff1d(a, a, a[0]),
        lambda a: np.diff(a, 5),
    ]
    for f in cases:
        np.testing.assert_array_equal(f(gg.Tensor(x)).numpy(), f(x))
        if f(x).size:
            assert gradcheck(f, x)
    wrong: list[Function] = [lambda a: np.diff(a, -1), lambda a: np.diff(a[0, 0])]
    for bad in wrong:
        with pytest.raises(ShapeError, match="diff"):
            bad(gg.Tensor(x, requires_grad=True))


def test_trapezoid_is_differentiable_in_both() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=(3, 4))
    for x, axis in (
        (rng.normal(size=4), -1),
        (rng.normal(size=3), 0),
        (rng.normal(size=(3, 4)), 1),
    ):
        f: Function = functools.partial(num.trapezoid, axis=axis)
        np.testing.assert_allclose(f(gg.Tensor(y), gg.Tensor(x)).numpy(), f(y, x))
        assert gradcheck(f, y, x, order=2)
    parabola = lambda end: np.trapezoid(np.linspace(0, 1, 101) ** 2, dx=end / 100)  # noqa: E731
    assert gg.grad(parabola)(2.0) == pytest.approx(1 / 3, rel=1e-3)


def test_gradient_is_numpys_and_differentiable() -> None:
    rng = np.random.default_rng(0)
    f, x = rng.normal(size=(4, 5)), np.array([0.0, 1.0, 1.5, 3.0])
    cases: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((), {}),
        ((), {"axis": 0, "edge_order": 2}),
        ((0.5,), {"axis": (1, 0)}),
        ((2.0, 3.0), {"edge_order": 2}),
        ((x,), {"axis": 0}),
        ((x,), {"axis": -2, "edge_order": 2}),
        ((x, 0.1), {"edge_order": 2}),
    ]
    for args, kwargs in cases:
        expected, found = (
            np.gradient(f, *args, **kwargs),
            np.gradient(gg.Tensor(f), *args, **kwargs),
        )
        for e, y in zip(
            *(r if isinstance(r, tuple) else (r,) for r in (expected, found)), strict=True
        ):
            np.testing.assert_allclose(y.numpy(), e, rtol=1e-12)
        assert gradcheck(lambda a, *h, k=kwargs: np.gradient(a, *h, **k), f, *args)
    for bad, error in (((1.0, 2.0, 3.0), DtypeError), ((x, x), ShapeError), ((x[:3],), DtypeError)):
        with pytest.raises(error, match="gradient"):
            np.gradient(gg.Tensor(f), *bad)
    with pytest.raises(ShapeError, match="2 are needed"):
        np.gradient(gg.Tensor(np.ones(1)))
    with pytest.raises(ShapeError, match="edge_order 3"):
        np.gradient(gg.Tensor(f), edge_order=3)  # type: ignore[call-overload]


# --------------------------------------------------------------------------------- sorting


def test_the_method_sort_returns_a_copy() -> None:
    """Where ndarray's own sorts in place, and returns None."""
    t = gg.Tensor([3.0, 1.0, 2.0], requires_grad=True)
    y = t.sort()
    assert y.tolist() == [1, 2, 3]
    assert t.tolist() == [3, 1, 2]
    (y * [1, 10, 100]).sum().backward()
    assert t.grad.tolist() == [100, 1, 10]


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_sort_sends_each_gradient_back(axis: int | None) -> None:
    x = np.random.default_rng(0).permutation(12).reshape(3, 4) * 1.0
    y = num.sort(gg.Tensor(x), axis)
    np.testing.assert_array_equal(y.numpy(), np.sort(x, axis))
    assert gradcheck(lambda a: np.sort(a, axis) ** 2, x, order=2)
    weights = np.arange(12.0).reshape(y.shape)
    g = gg.grad(lambda a: np.sum(np.sort(a, axis) * weights))(x)
    np.testing.assert_array_equal(np.sort(g, None), np.arange(12.0))  # each came back once


def test_equals_keep_their_order_and_nans_come_last() -> None:
    t = gg.Tensor([2.0, nan, 1.0, 2.0, nan], requires_grad=True)
    t.sort().backward(np.arange(5.0))
    np.testing.assert_array_equal(t.grad, [1, 3, 0, 2, 4])


# ------------------------------------------------------------------------- order statistics

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


def test_quantiles_against_differences() -> None:
    x = np.random.default_rng(1).normal(size=(4, 5))
    for q in (0.0, 0.3, [0.25, 0.6], 1.0):
        for axis in (None, 0, 1, (1, 0)):
            assert gradcheck(lambda a, q=q, i=axis: np.quantile(a, q, axis=i) ** 2, x, order=2)


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


def test_quantile_refuses() -> None:
    t = gg.Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ShapeError, match=r"range \[0, 1\]"):
        np.quantile(t, 2.0)
    with pytest.raises(ShapeError, match=r"range \[0, 100\]"):
        np.percentile(t, 101)
    with pytest.raises(ShapeError, match="method"):
        np.quantile(t, 0.5, method="best")  # type: ignore[call-overload]
    with pytest.raises(UnsupportedError, match="'q'"):
        np.quantile(t, t[0])


def test_methods_are_the_same_ops() -> None:
    x = np.array([[3.0, 1.0, 2.0], [6.0, 5.0, 4.0]])
    t = gg.Tensor(x, requires_grad=True)
    np.testing.assert_array_equal(t.sort(axis=0).numpy(), np.sort(x, axis=0))
    np.testing.assert_array_equal(t.sort().numpy(), np.sort(x))
    for name, ufunc in (("cumsum", num.add), ("cumprod", num.multiply)):
        np.testing.assert_array_equal(getattr(t, name)().numpy(), getattr(x, name)())
        np.testing.assert_array_equal(getattr(t, name)(axis=1).numpy(), getattr(x, name)(axis=1))
        out = ufunc.accumulate(t)
        np.testing.assert_array_equal(out.numpy(), ufunc.accumulate(x))
        assert out._node.plan.op.name == name
