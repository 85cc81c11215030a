"""Elementwise ops where mathematics leaves a choice or floating point leaves a trap.

That gradients are slopes at ordinary points is shown for every op by its own property tests.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.errors import DtypeError, ShapeError, UnsupportedError
from tests.builders import leaf

inf, nan = math.inf, math.nan
Function = Callable[..., Any]


def derivatives(f: Function, point: tuple[float, ...]) -> tuple[list[float], list[list[float]]]:
    numbers = tuple(range(len(point)))
    with np.errstate(all="ignore"):
        first = gg.grad(f, numbers)(*map(float, point))
        second = gg.hessian(f, numbers)(*map(float, point))
    return [float(g) for g in first], [[float(h) for h in row] for row in second]


def nth(f: Function, n: int) -> Function:
    for _ in range(n):
        f = gg.grad(f)
    return f


ONE = [
    ("maximum(x, 0) at 0", lambda x: np.maximum(x, 0), 0, 0.5, 0),
    ("minimum(x, x)", lambda x: np.minimum(x, x), 3, 1, 0),
    ("fabs at 0", np.fabs, 0, 0, 0),
    ("abs cubed at 0", lambda x: abs(x) ** 3, 0, 0, 0),
    ("clip inside", lambda x: np.clip(x, -1, 1), 0.5, 1, 0),
    ("clip from below only", lambda x: np.clip(x, 0, None), 0, 0, 0),
    ("clip from above only", lambda x: np.clip(x, a_max=0, a_min=None), 0, 0, 0),
    ("clip without bounds", lambda x: gg.clip(x, None, None), 0, 1, 0),
    ("clip by the new names", lambda x: gg.clip(x, min=0, max=4), 2, 1, 0),
    ("cbrt at 0", np.cbrt, 0, inf, -inf),
    ("log at 0", np.log, 0, inf, -inf),
    ("arcsin at 1", np.arcsin, 1, inf, inf),
    ("arcsin at -1", np.arcsin, -1, inf, -inf),
    ("arccos at 1", np.arccos, 1, -inf, -inf),
    ("arccosh at 1", np.arccosh, 1, inf, -inf),
    ("arctanh at 1", np.arctanh, 1, inf, inf),
    ("arctanh at -1", np.arctanh, -1, inf, -inf),
    ("x ** 0.0 at 0", lambda x: x**0.0, 0, 0, 0),
    ("x ** 0 at -2", lambda x: x**0, -2, 0, 0),
    ("x ** 0 at infinity", lambda x: x**0, inf, 0, 0),
    ("x ** an array of 0", lambda x: (x ** np.array([0.0]))[0], 0, 0, 0),
    ("x ** an array of int 0", lambda x: (x ** np.array([0], np.uint8))[0], 0, 0, 0),
    ("tiny x ** an array of 0", lambda x: (x ** np.array([0.0]))[0], 1e-200, 0, 0),
    ("x ** 1 at 0", lambda x: x**1, 0, 1, 0),
    ("x ** 2.0 at 0", lambda x: np.power(x, 2.0), 0, 0, 2),
    ("x ** an array of 2 at 0", lambda x: (x ** np.array([2]))[0], 0, 0, 2),
    ("x ** 3 at -2", lambda x: x**3, -2, 12, -12),
    ("x ** an array of 3 at -2", lambda x: (x ** np.array([3.0]))[0], -2, 12, -12),
    ("float_power(x, 2) at 0", lambda x: np.float_power(x, 2), 0, 0, 2),
    ("x ** -1 at -2", lambda x: x**-1, -2, -0.25, -0.25),
    ("x ** 0.5 at 0", lambda x: x**0.5, 0, inf, -inf),
    ("0 ** y at 0", lambda y: 0**y, 0, 0, 0),
    ("0 ** y at 2", lambda y: 0.0**y, 2, 0, 0),
    ("2 ** y at 3", lambda y: 2**y, 3, 8 * math.log(2), 8 * math.log(2) ** 2),
    ("floor at an integer", np.floor, 2, 0, 0),
    ("round at a half", lambda x: np.round(x, 1), 0.25, 0, 0),
    ("heaviside at 0", lambda x: np.heaviside(x, 0.5), 0, 0, 0),
    ("nan_to_num of infinity", lambda x: np.nan_to_num(x, posinf=5), inf, 0, 0),
    ("nan_to_num of NaN", np.nan_to_num, nan, 0, 0),
    ("square of nan_to_num", lambda x: np.nan_to_num(x) ** 2, 3, 6, 2),
]


@pytest.mark.parametrize(
    ("f", "x", "first", "second"), [c[1:] for c in ONE], ids=[c[0] for c in ONE]
)
def test_one_input(f: Function, x: float, first: float, second: float) -> None:
    (found,), ((curvature,),) = derivatives(f, (x,))
    assert found == pytest.approx(first, rel=1e-14)
    assert curvature == pytest.approx(second, rel=1e-14)


FLAT = ((0, 0), (0, 0))
TWO: list[tuple[Function, tuple[float, float], tuple[float, float], Any]] = [
    (np.fmax, (2, 2), (0.5, 0.5), FLAT),
    (np.fmin, (2, 2), (0.5, 0.5), FLAT),
    (np.maximum, (-inf, -inf), (0.5, 0.5), FLAT),
    (np.maximum, (inf, 1), (1, 0), FLAT),
    (np.fmin, (1, nan), (1, 0), FLAT),
    (np.hypot, (1e200, 0), (1, 0), ((0, 0), (0, 1e-200))),
    (np.arctan2, (0, -1e-200), (-1e200, 0), None),
    (np.arctan2, (3, 4), (4 / 25, -3 / 25), ((-24 / 625, -7 / 625), (-7 / 625, 24 / 625))),
    (np.logaddexp, (-inf, 1), (0, 1), FLAT),
    (np.logaddexp, (1, inf), (0, 1), FLAT),
    (np.logaddexp, (1000, 1000), (0.5, 0.5), ((0.25, -0.25), (-0.25, 0.25))),
    (np.logaddexp, (1000, -1000), (1, 0), FLAT),
    (np.logaddexp2, (-inf, -inf), (0.5, 0.5), FLAT),
    (np.copysign, (0, -2), (0, 0), FLAT),
    (np.copysign, (3, -2), (-1, 0), FLAT),
    (np.heaviside, (0, 0.5), (0, 1), FLAT),
    (np.heaviside, (1, 0.5), (0, 0), FLAT),
    (np.power, (0, 0.5), (inf, 0), ((-inf, 0), (0, 0))),
    (np.power, (4, 0), (0, math.log(4)), ((0, 0.25), (0.25, math.log(4) ** 2))),
    (np.remainder, (-7, 3), (1, 3), FLAT),
    (np.remainder, (7, -3), (1, 3), FLAT),
    (np.fmod, (-7, 3), (1, 2), FLAT),
    (np.fmod, (7, -3), (1, 2), FLAT),
    (np.fmod, (np.nextafter(3, 0), 0.1), (1, -29), FLAT),
    (np.remainder, (np.nextafter(3, 0), 0.1), (1, -29), FLAT),
    (np.floor_divide, (7, 3), (0, 0), FLAT),
]


@pytest.mark.parametrize(
    ("f", "point", "first", "second"), TWO, ids=[f"{c[0].__name__}{c[1]}" for c in TWO]
)
def test_two_inputs(
    f: Function, point: tuple[float, float], first: tuple[float, float], second: Any
) -> None:
    found, curvature = derivatives(f, point)
    np.testing.assert_allclose(found, first, rtol=1e-14)
    if second is not None:
        np.testing.assert_allclose(curvature, second, rtol=1e-13, atol=0)


@pytest.mark.parametrize(
    ("point", "first"),
    [
        ((0.5, -1, 1), (1, 0, 0)),
        ((-2, -1, 1), (0, 1, 0)),
        ((-1, -1, 1), (0, 1, 0)),
        ((1, -1, 1), (0, 0, 1)),
        ((9, -1, 1), (0, 0, 1)),
        ((0, 2, 1), (0, 0, 1)),  # bounds that cross: the upper one wins, as in NumPy
        ((1, 1, 1), (0, 0, 1)),
    ],
)
def test_clip_sends_all_of_the_gradient_to_the_one_that_is_the_output(
    point: tuple[float, ...], first: tuple[float, ...]
) -> None:
    found, curvature = derivatives(np.clip, point)
    assert found == list(first)
    assert not np.any(curvature)
    for one_sided, chosen in (((0.0, 0.0, None), (0, 1)), ((0.0, None, 0.0), (0, 1))):
        x, *bounds = (None if v is None else leaf(v) for v in one_sided)
        gg.clip(x, *bounds).backward()
        assert tuple(t.grad for t in (x, *bounds) if t is not None) == chosen


def test_powers_are_exact_to_every_order() -> None:
    """A mask on x == 0 in the rule of power would lose one of these."""
    for exponent in (3, 3.0):
        orders = [float(nth(lambda x, e=exponent: x**e, n)(0.0)) for n in range(6)]
        assert orders == [0, 0, 0, 6, 0, 0]
        orders = [float(nth(lambda x, e=exponent: x**e, n)(-2.0)) for n in range(6)]
        assert orders == [-8, 12, -12, 6, 0, 0]
    falling = nth(lambda x: (x ** np.array([2, 3, 0], np.int8)).sum(), 3)
    assert falling(0.0) == 6


def test_a_negative_base_gives_nan_only_to_an_exponent_that_asks() -> None:
    x = leaf([-2.0, 3.0])
    for y in ([3.0, 2.0], gg.Tensor([3.0, 2.0])):
        assert gg.gradients((x**y).sum(), x).tolist() == [12, 6]
    assert gg.hessian(lambda x: (x ** np.array([3.0, 2.0])).sum())(x.data).tolist() == [
        [-12, 0],
        [0, 2],
    ]


def test_infinite_upstream_stays_away_from_what_was_not_chosen() -> None:
    """A rule that multiplies by a mask makes 0 · inf = NaN of these."""
    x = leaf([-1.0, 0.0, 4.0])
    choices: list[Function] = [
        gg.relu,
        lambda x: gg.clip(x, 0, None),
        lambda x: np.maximum(x, 0.0) * np.sign(np.abs(x)),
        lambda x: np.where(x > 0, x, 0.0),
    ]
    for f in choices:
        with np.errstate(divide="ignore"):
            y = np.sqrt(f(x))
        assert np.isfinite(gg.gradients(y.sum(), x)[[0, 2]]).all()


def test_sinc_matches_the_integral_of_its_derivative_to_high_order() -> None:
    """The two formulas for sinc's derivatives meet at |πx| = 2; neither may lose digits."""
    nodes, weights = np.polynomial.legendre.leggauss(80)
    t, w = (nodes + 1) / 2, weights / 2  # sinc x = ∫₀¹ cos(πxt) dt
    for n in range(7):
        for x in (0.0, 1e-9, 0.3, -0.63, 0.64, 1.0, 1.59, -1.6, 5.3):
            exact = np.sum(w * (np.pi * t) ** n * np.cos(np.pi * x * t + n * np.pi / 2))
            assert nth(gg.sinc, n)(x) == pytest.approx(exact, rel=1e-11, abs=1e-11 * np.pi**n)


# (f, x, f'(x)), the last from formulas in exact or wider arithmetic
NARROW = [
    (np.arcsin, 1 - 2.0**-40, 1 / math.sqrt(2.0**-39 * (1 - 2.0**-41))),
    (np.arccos, 1 - 2.0**-40, -1 / math.sqrt(2.0**-39 * (1 - 2.0**-41))),
    (np.arctanh, 1 - 2.0**-40, 1 / (2.0**-39 * (1 - 2.0**-41))),
    (np.arccosh, 1 + 2.0**-40, 1 / math.sqrt(2.0**-39 * (1 + 2.0**-41))),
    (np.arccosh, 1e200, 1e-200),
    (np.arcsinh, 1e200, 1e-200),
    (np.expm1, -40.0, math.exp(-40)),
    (np.log1p, 1e-20, 1.0),
    (gg.softplus, -700.0, math.exp(-700)),
    (gg.logsigmoid, 700.0, math.exp(-700)),
    (gg.sigmoid, -700.0, math.exp(-700)),
]


@pytest.mark.parametrize(("f", "x", "slope"), NARROW)
def test_slopes_keep_their_digits_at_the_ends_of_a_domain(
    f: Function, x: float, slope: float
) -> None:
    assert gg.grad(f)(x) == pytest.approx(slope, rel=1e-12)


# (f, x, f'(x) by mpmath), where a plainer rule loses more than two bits
SLOPES: list[tuple[Function, float, float]] = [
    (np.arccosh, 4e307, 2.5000000000000000349e-308),
    (np.arccosh, 1e20, 1e-20),
    (np.arccosh, 1.5, 0.89442719099991587856),
    (np.sinc, 1000.5, -3.1799181487096598781e-7),
    (np.sinc, 1e15 + 0.5, -3.1830988618379035323e-31),
    (np.sinc, 12345.25, -0.000057276162827612400636),
    (np.sinc, 1e20, 1e-20),
    (np.log10, 1e308, 4.3429448190325182288e-309),
]


@pytest.mark.parametrize(("f", "x", "slope"), SLOPES)
def test_slopes_are_right_to_four_ulp(f: Function, x: float, slope: float) -> None:
    np.testing.assert_array_max_ulp(np.float64(gg.grad(f)(x)), np.float64(slope), 4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_logistic_family_is_silent_and_exact_far_out(dtype: type) -> None:
    x = leaf(np.array([-inf, -1000, 0, 1000, inf], dtype))
    rows: list[tuple[Function, list[float], list[float]]] = [
        (gg.sigmoid, [0, 0, 0.5, 1, 1], [0, 0, 0.25, 0, 0]),
        (gg.softplus, [0, 0, math.log(2), 1000, inf], [0, 0, 0.5, 1, 1]),
        (gg.logsigmoid, [-inf, -1000, -math.log(2), 0, 0], [1, 1, 0.5, 0, 0]),
    ]
    for f, values, slopes in rows:
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            y = f(x)
        np.testing.assert_allclose(y.data, np.array(values, dtype), rtol=1e-3)
        assert y.dtype == dtype
        (g,) = gg.gradients([y.sum()], [x])
        np.testing.assert_allclose(g, slopes, rtol=1e-3)
        assert g.dtype == dtype
    assert np.isnan(gg.relu(gg.Tensor([nan])).data)
    assert gg.relu(gg.Tensor([inf, -inf])).tolist() == [inf, 0]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_numpys_numbers_widen_as_in_numpy_and_gradients_come_back_narrow(dtype: str) -> None:
    array = np.array([0.7, 1.2], dtype)
    operands = [2, np.float64(2), np.array(2.0), np.array([2.0]), np.int64(2), np.float16(2)]
    for other in operands:
        x = leaf(array)
        functions: list[Function] = [np.multiply, np.add, np.power, np.maximum, np.arctan2]
        for f in functions:
            for y, plain in ((f(other, x), f(other, array)), (f(x, other), f(array, other))):
                assert y.dtype == plain.dtype
                assert np.array_equal(y.data, plain)
                first = gg.gradients((y * y).sum(), x, create_graph=True)
                assert first.dtype == gg.gradients(first.sum(), x).dtype == dtype
        assert (np.float64(2) * x).dtype == (np.float64(2) * array).dtype


def test_astype_casts_the_gradient_back_and_to_integers_leaves_the_graph() -> None:
    x = leaf(np.ones(3, np.float32))
    wide = x.astype(float)
    assert wide.dtype == np.float64
    (wide * np.float64(2)).sum().backward()
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [2, 2, 2]
    assert not x.astype(int).requires_grad
    with pytest.raises(DtypeError, match="complex"):
        x.astype(complex)
    if hasattr(np, "astype"):
        assert getattr(np, "astype")(x, np.float16).dtype == np.float16  # noqa: B009 - types


def test_copies_never_alias() -> None:
    for f in (np.copy, np.positive, np.conj, np.real, gg.Tensor.copy):
        for array in (np.ones(3), np.array(1.0)):
            x = gg.Tensor(array)
            y = f(x)
            assert not np.shares_memory(x.data, y.data)


def test_the_forward_warns_as_numpy_and_the_backward_never() -> None:
    for f in (np.log, np.reciprocal, lambda x: 1 / x, lambda x: x**-1):
        x = leaf([0.0])
        with pytest.warns(RuntimeWarning, match="divide by zero"):
            y = f(x)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            y.sum().backward()


@pytest.mark.parametrize(
    ("f", "error", "words"),
    [
        (lambda x: np.exp(x, dtype=np.float32), UnsupportedError, r"exp.*'dtype'.*\.astype"),
        (lambda x: np.exp(x, where=np.array([True, False])), UnsupportedError, "gg.where"),
        (lambda x: np.nan_to_num(x, copy=False), UnsupportedError, "nan_to_num.*'copy'"),
        (lambda x: np.add(x, np.zeros(3)), ShapeError, r"add: \(2,\).*\(3,\).*reshape"),
        (lambda x: np.multiply(x, 1j * np.ones(2)), DtypeError, "multiply.*complex"),
    ],
)
def test_refusals_name_the_op_and_the_remedy(
    f: Function, error: type[Exception], words: str
) -> None:
    x = leaf([1.0, 2.0])
    with pytest.raises(error, match=words) as caught:
        f(x)
    assert "test_elementwise.py" in str(caught.value)


def test_the_second_derivative_of_a_power_of_two_dtypes_is_that_of_the_wider() -> None:
    x, y = np.array([1.7]), np.array([2.3], np.float32)
    found = gg.hvp(lambda x: gg.sum(gg.power(x, y)), x, np.ones(1))
    exponent = float(y[0])
    np.testing.assert_allclose(found, exponent * (exponent - 1) * x ** (exponent - 2), rtol=1e-14)
