"""Reductions: exact where mathematics is, the published convention where it leaves a choice."""

import functools
import itertools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.errors import ShapeError, UnsupportedError
from graphgrad.ops.likelihood import log_softmax, logsumexp, softmax
from tests.builders import leaf

inf, nan = np.inf, np.nan
num: Any = np  # NumPy's stubs know no Tensor
Function = Callable[..., Any]


def derivatives(f: Function, x: Any) -> tuple[Any, Any]:
    point = np.array(x, dtype=float)
    total = lambda a: np.sum(f(a))  # noqa: E731
    return gg.grad(total)(point), gg.hessian(total)(point)


def expect(f: Function, x: Any, gradient: Any, hessian: Any = None) -> None:
    """Compare both with what is known; no Hessian given means that it vanishes."""
    found, second = derivatives(f, x)
    np.testing.assert_allclose(found, gradient, rtol=1e-14, atol=1e-300)
    wanted = np.zeros_like(second) if hessian is None else hessian
    np.testing.assert_allclose(second, wanted, rtol=1e-14, atol=1e-300)


@pytest.mark.parametrize("f", [np.sum, np.prod, np.nansum, np.nanprod])
def test_empty_reductions(f: Function) -> None:
    (g,) = gg.vjp(lambda a: f(a, axis=0), np.empty((0, 3)))[1](np.ones(3))
    assert g.shape == (0, 3)
    expect(f, np.empty((2, 0)), np.empty((2, 0)))


@pytest.mark.parametrize("f", [np.max, np.min, np.ptp])
def test_the_maximum_of_nothing(f: Function) -> None:
    with pytest.raises(ShapeError, match=r"max|min") as caught:
        f(leaf(np.empty(0)))
    assert "(0,)" in str(caught.value)
    assert "test_reduce.py" in str(caught.value)


def exact_derivative(x: Any, order: int) -> Any:
    """All partial derivatives of a product: the others' product, 0 where an index repeats."""
    n = len(x)
    result = np.zeros((n,) * order)
    for index in itertools.permutations(range(n), order):
        result[index] = math.prod(x[i] for i in range(n) if i not in index)
    return result


@pytest.mark.parametrize("x", [[0, 3, 4], [0, 3, 0, 2], [0, 0, 0], [2, 3, -4], [7], [0]], ids=str)
def test_prod_with_zeros_is_exact_to_every_order(x: list[float]) -> None:
    f: Function = np.prod
    for order in range(1, 4):
        f = gg.jacobian(f)
        np.testing.assert_array_equal(f(np.array(x, float)), exact_derivative(x, order))


def test_prod_over_several_axes_with_zeros() -> None:
    x = np.array([[[0.0, 2], [3, 4]], [[5, 0], [0, 6]]])
    total = lambda a: np.sum(np.prod(a, axis=(0, 2)))  # noqa: E731
    expected = [[[0, 0], [0, 0]], [[0, 0], [72, 0]]]
    np.testing.assert_array_equal(gg.grad(total)(x), expected)


def test_prod_does_not_overflow_on_the_way() -> None:
    x = np.array([1e200, 1e-200, 1e200, 1e-200])
    np.testing.assert_allclose(gg.grad(np.prod)(x), 1 / x, rtol=1e-14)


@pytest.mark.parametrize("value", [1.0, 0.1, 1e-9, 0.7, 3e15])
@pytest.mark.parametrize("f", [np.std, np.nanstd])
def test_std_of_constants_is_flat(f: Function, value: float) -> None:
    """Also where rounding leaves the mean a hair beside the constant."""
    for x in ([value] * 3, [value], [[value] * 7] * 2):
        expect(f, x, np.zeros(np.shape(x)))
        expect(lambda a: f(a, axis=-1), x, np.zeros(np.shape(x)))


def test_std_of_some_constant_rows() -> None:
    x = np.array([[0.1, 0.1, 0.1], [1.0, 2.0, 4.0]])
    gradient, hessian = derivatives(lambda a: np.std(a, axis=1, ddof=1), x)
    alone, alone_second = derivatives(lambda a: np.std(a, ddof=1), x[1])
    np.testing.assert_array_equal(gradient[0], 0)
    np.testing.assert_allclose(gradient[1], alone)
    np.testing.assert_allclose(hessian[1, :, 1], alone_second, atol=1e-15)
    assert not hessian[0].any()
    assert not hessian[:, :, 0].any()


def test_var_has_its_known_derivatives() -> None:
    x = np.array([1.0, 2.0, 4.0, 7.0])
    for ddof in (0, 1, 0.5):
        scale = 2 / (4 - ddof)
        for name in ("ddof", "correction"):
            f = functools.partial(num.var, **{name: ddof})
            expect(f, x, scale * (x - x.mean()), scale * (np.eye(4) - 0.25))


def test_a_variance_that_is_undefined_has_no_gradient() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for f in (np.var, np.std):
            assert np.isnan(gg.grad(lambda a, f=f: f(a, ddof=1))(np.array([2.0]))).all()


@pytest.mark.parametrize("f", [np.max, np.min, np.amax, np.amin, np.nanmax, np.nanmin])
def test_ties_share_evenly(f: Function) -> None:
    sign = 1 if "max" in f.__name__ else -1
    expect(f, sign * np.array([3.0, 1, 3, 3, 2]), [1 / 3, 0, 1 / 3, 1 / 3, 0])
    expect(lambda a: f(a, axis=1), np.zeros((2, 4)), np.full((2, 4), 0.25))
    expect(
        lambda a: f(a, axis=(0, 1)) ** 2,
        np.full((2, 1), 3.0),
        [[3], [3]],
        np.full((2, 1, 2, 1), 0.5),
    )
    expect(np.ptp, np.ones(3), np.zeros(3))


def test_a_nan_takes_the_gradient_of_the_maximum() -> None:
    for f in (np.max, np.min):
        expect(f, [1, nan, 3], [0, 1, 0])
        expect(f, [nan, nan, 3], [0.5, 0.5, 0])
        expect(lambda a, f=f: f(a, axis=1), [[1, nan], [3, 3]], [[0, 1], [0.5, 0.5]])


def test_an_infinite_gradient_stays_with_the_maximum() -> None:
    g = gg.grad(lambda a: np.sqrt(np.max(a)))(np.array([-1.0, 0.0, -2.0]))
    np.testing.assert_array_equal(g, [0, inf, 0])


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "max", "min", "var", "std"])
def test_nan_reductions_see_only_the_numbers(name: str) -> None:
    full, passing = getattr(np, name), getattr(np, f"nan{name}")
    x = np.array([[1.0, nan, 4.0, 2.5], [nan, nan, 3.0, -2.0]])
    for row in x:
        there = ~np.isnan(row)
        gradient, hessian = derivatives(passing, row)
        alone, alone_second = derivatives(full, row[there])
        np.testing.assert_allclose(gradient[there], alone)
        np.testing.assert_array_equal(gradient[~there], 0)
        np.testing.assert_allclose(hessian[np.ix_(there, there)], alone_second, atol=1e-14)
        assert not hessian[~there].any()
    rows = gg.grad(lambda a: np.sum(passing(a, axis=1)))(x)
    np.testing.assert_allclose(rows, [gg.grad(passing)(row) for row in x])


@pytest.mark.parametrize("f", [np.nanmean, np.nanmax, np.nanmin, np.nanvar, np.nanstd])
def test_nothing_but_nan_warns_as_numpy_does(f: Function) -> None:
    t = leaf([nan, nan])
    with pytest.warns(RuntimeWarning):
        out = f(t)
    assert np.isnan(out.item())
    out.backward()  # and says nothing more
    np.testing.assert_array_equal(t.grad, 0)


@pytest.mark.parametrize(
    "options", [{}, {"axis": 1, "weights": [1.0, 2.0, 3.0]}, {"axis": 0, "keepdims": True}]
)
def test_average_returns_the_sum_of_the_weights(options: dict[str, Any]) -> None:
    a = np.arange(6.0).reshape(2, 3)
    expected = num.average(a, returned=True, **options)
    for x, y in zip(num.average(leaf(a), returned=True, **options), expected, strict=True):
        np.testing.assert_allclose(x.numpy() if isinstance(x, gg.Tensor) else x, y)


def test_average_explains_what_is_wrong_with_the_weights() -> None:
    t = leaf(np.ones((2, 3)))
    for axis, w in ((None, np.ones(3)), (0, np.ones(3)), (1, np.ones((3, 1)))):
        with pytest.raises(ShapeError, match="weights"):
            np.average(t, axis=axis, weights=w)
    with pytest.raises(ShapeError, match="sum to zero"):
        np.average(t, axis=1, weights=np.array([1.0, -1.0, 0.0]))


def test_logsumexp_at_the_extremes() -> None:
    cases = [
        ([1000.0, 999.0], 1000 + np.log1p(np.exp(-1)), None),
        ([-1000.0, -1000.0], -1000 + np.log(2), [0.5, 0.5]),
        ([1000.0, -1000.0], 1000.0, [1, 0]),
        ([-inf, 0.0], 0.0, [0, 1]),
        ([-inf, -inf], -inf, [0.5, 0.5]),
        ([inf, 1.0], inf, [1, 0]),
        ([inf, inf, -inf], inf, [0.5, 0.5, 0]),
        ([nan, 1.0], nan, [nan, nan]),
    ]
    for x, value, gradient in cases:
        assert logsumexp(np.array(x)) == pytest.approx(value, rel=1e-15, nan_ok=True)
        found, second = derivatives(logsumexp, x)
        p = found if gradient is None else np.array(gradient, float)
        np.testing.assert_allclose(found, p, rtol=1e-15)
        np.testing.assert_allclose(second, np.diag(p) - np.outer(p, p), atol=1e-16)


def test_logsumexp_of_nothing_and_of_rows_that_are_masked_out() -> None:
    assert logsumexp(np.empty(0)) == -inf
    x = np.array([[-inf, -inf, -inf], [0.0, 1.0, -inf]])
    gradient, hessian = derivatives(lambda a: logsumexp(a, axis=1), x)
    np.testing.assert_allclose(
        gradient, [[1 / 3] * 3, [1 / (1 + math.e), math.e / (1 + math.e), 0]]
    )
    assert np.isfinite(hessian).all()


def test_softmax_at_the_extremes() -> None:
    x = np.array([[1000.0, -1000.0, 1000.0], [-inf, 0.0, -inf], [-inf, -inf, -inf]])
    expected = np.array([[0.5, 0, 0.5], [0, 1, 0], [1 / 3] * 3])
    np.testing.assert_allclose(softmax(x), expected, rtol=1e-15)
    np.testing.assert_allclose(np.exp(log_softmax(x)), expected, rtol=1e-15)
    assert log_softmax(x)[0, 1] == pytest.approx(-2000 - np.log(2))
    for f in (softmax, log_softmax):
        w = np.arange(9.0).reshape(3, 3)
        w[1] = 0, 1, 0  # log 0 is not asked for
        gradient, hessian = derivatives(lambda a, f=f, w=w: w * np.where(w > 0, f(a), 0.0), x)
        assert np.isfinite(gradient).all()
        assert np.isfinite(hessian).all()


def test_softmax_is_accurate_far_from_zero() -> None:
    """exp(a − logsumexp(a)) would lose three digits here."""
    x = np.array([1000.0, 1000.25, 1001.0])
    np.testing.assert_allclose(gg.grad(logsumexp)(x), softmax(x - 1000), rtol=1e-15)


@pytest.mark.parametrize(
    ("f", "kept"),
    [
        (np.sum, 0),
        (np.mean, 0),
        (np.prod, 1),
        (np.var, 1),
        (np.max, 1),
        (logsumexp, 1),
        (softmax, 1),
    ],
)
def test_a_node_keeps_no_more_than_it_must(f: Function, kept: int) -> None:
    t = leaf(np.random.default_rng(0).normal(size=(20, 30)))
    node = f(t, axis=-1)._node
    large = [v for v in node.values if getattr(v, "size", 0) >= 600]
    assert len(large) == kept


def test_the_gradient_of_a_sum_takes_no_memory() -> None:
    seen: list[Any] = []
    t = leaf(np.ones((50, 40)))
    for axis, shape in ((None, ()), (0, (40,)), (1, (50,))):
        y = t * 1.0
        y.register_hook(seen.append)
        y.sum(axis=axis).backward(np.ones(shape))
        assert 0 in seen[-1].strides
        assert not seen[-1].flags.writeable
    assert t.grad.flags.writeable  # the leaf's own


def test_logsumexp_of_many_halves() -> None:
    x = np.full((100, 1000), 4.0, np.float16)  # the sum of their powers is far beyond float16
    assert logsumexp(gg.Tensor(x)).item() == pytest.approx(4 + math.log(1e5), rel=1e-3)


@pytest.mark.parametrize(
    ("ufunc", "name"),
    [(np.add, "sum"), (np.multiply, "prod"), (np.maximum, "max"), (np.minimum, "min")],
)
def test_reduce_of_a_ufunc_is_the_reduction(ufunc: Any, name: str) -> None:
    x = np.array([[1.0, 2, 4], [3, 0, 7]])
    for args, kwargs in (((), {}), ((1,), {}), ((None,), {}), ((), {"axis": 1, "keepdims": True})):
        out = ufunc.reduce(leaf(x), *args, **kwargs)
        np.testing.assert_array_equal(out.numpy(), ufunc.reduce(x, *args, **kwargs))
        assert out._node.plan.op.name == name


@pytest.mark.parametrize(
    ("word", "attempt"),
    [
        ("dtype", lambda t: np.mean(t, dtype=np.float32)),
        ("where", lambda t: np.max(t, where=np.ones((2, 3), bool), initial=0)),
        ("initial", lambda t: np.prod(t, initial=2.0)),
        ("mean", lambda t: np.var(t, mean=np.ones((2, 1)))),
        ("weights", lambda t: np.quantile(t, 0.5, weights=t, method="inverted_cdf")),
        ("order", lambda t: np.sort(t, order="x")),
        (r"logaddexp\.reduce", np.logaddexp.reduce),
        ("partition", lambda t: np.partition(t, 1)),
    ],
)
def test_what_is_not_supported_is_refused_by_name(word: str, attempt: Function) -> None:
    with pytest.raises(UnsupportedError, match=word):
        attempt(leaf(np.ones((2, 3))))
