"""Activations against their definitions: values, slopes, far out and at kinks; the error function.

First and second derivatives at kinks and infinities are in special_points.py.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import ArgumentError, ShapeError
from tests.builders import Refusals, refuses
from tests.equality import assert_equals_composition

F = nn.functional
INF, NAN = np.inf, np.nan
X = np.random.default_rng(0).uniform(-4, 4, (5, 6))  # no zeros: kinks have tests of their own


def tanh_gelu(x: Any) -> Any:
    return x * (1 + gg.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


def or_else(x: Any, below: Any, scale: float = 1.0) -> Any:
    return scale * gg.where(x.data > 0, x, below)


COMPOSITIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "leaky_relu": (lambda x: F.leaky_relu(x, 3), lambda x: or_else(x, 3 * x)),
    "elu": (lambda x: F.elu(x, 0.3), lambda x: or_else(x, 0.3 * gg.expm1(x))),
    "selu": (F.selu, lambda x: or_else(x, 1.6732632423543772 * gg.expm1(x), 1.0507009873554805)),
    "gelu": (F.gelu, lambda x: x * (1 + gg.erf(x / math.sqrt(2))) / 2),
    "gelu by tanh": (lambda x: F.gelu(x, "tanh"), tanh_gelu),
    "silu": (F.silu, lambda x: x / (1 + gg.exp(-x))),
    "softplus": (lambda x: F.softplus(x, 3), lambda x: gg.log(1 + gg.exp(3 * x)) / 3),
}


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_equals_its_definition_to_second_order(name: str) -> None:
    assert_equals_composition(*COMPOSITIONS[name], X)


FUNCTIONS: dict[str, Any] = dict.fromkeys(
    ("relu", "sigmoid", "tanh", "logsigmoid", "hardtanh", "relu6")
)
FUNCTIONS |= {name: pair[0] for name, pair in COMPOSITIONS.items()} | {
    "erf": gg.erf,
    "erfc": gg.erfc,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_single_precision_is_as_good_in_arrays_of_many_blocks(name: str) -> None:
    function = FUNCTIONS[name] or getattr(F, name)
    x = np.random.default_rng(0).normal(0, 3, 100_000).astype(np.float32)
    single, double = (gg.Tensor(v, requires_grad=True) for v in (x, x.astype(float)))
    for t in (single, double):
        function(t).sum().backward()
    assert function(single).dtype == single.grad.dtype == np.float32
    np.testing.assert_allclose(function(x), function(x.astype(float)), rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(single.grad, double.grad, rtol=2e-5, atol=2e-5)


FAR = np.array([-INF, -1000, 0, 1000, INF, NAN])
VALUES: dict[str, tuple[Callable[[Any], Any], list[float]]] = {
    "sigmoid": (F.sigmoid, [0, 0, 0.5, 1, 1, NAN]),
    "tanh": (F.tanh, [-1, -1, 0, 1, 1, NAN]),
    "relu": (F.relu, [0, 0, 0, 1000, INF, NAN]),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.5), [-INF, -500, 0, 1000, INF, NAN]),
    "elu": (lambda x: F.elu(x, 2), [-2, -2, 0, 1000, INF, NAN]),
    "gelu": (F.gelu, [0, 0, 0, 1000, INF, NAN]),
    "gelu by tanh": (lambda x: F.gelu(x, "tanh"), [0, 0, 0, 1000, INF, NAN]),
    "silu": (F.silu, [0, 0, 0, 1000, INF, NAN]),
    "softplus": (F.softplus, [0, 0, math.log(2), 1000, INF, NAN]),
    "softplus, beta 2": (lambda x: F.softplus(x, 2), [0, 0, math.log(2) / 2, 1000, INF, NAN]),
    "step": (F.step, [0, 0, 0, 1, 1, NAN]),
    "hardtanh": (F.hardtanh, [-1, -1, 0, 1, 1, NAN]),
    "relu6": (F.relu6, [0, 0, 0, 6, 6, NAN]),
    "identity": (F.identity, FAR.tolist()),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", VALUES)
def test_values_far_out(name: str, dtype: str) -> None:
    function, expected = VALUES[name]
    for x in (FAR.astype(dtype), np.tile(FAR.astype(dtype), 10_000)):  # in one piece, and in many
        y = function(x)
        assert y.dtype == dtype
        wanted = np.array(expected, dtype)
        np.testing.assert_allclose(y[:6], wanted, rtol=float(np.finfo(dtype).eps))
        np.testing.assert_array_equal(y[-6:], y[:6])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", VALUES)
def test_slopes_far_out(name: str, dtype: str) -> None:
    x = gg.Tensor(FAR[[0, 1, 3, 4]].astype(dtype), requires_grad=True)
    y = VALUES[name][0](x)
    (first,) = gg.gradients([y], [x], [np.ones(4, dtype)], create_graph=True)
    assert first.dtype == dtype
    left = {"identity": 1, "leaky_relu": 0.5}.get(name, 0)
    flat = name in ("sigmoid", "tanh", "step", "hardtanh", "relu6")
    np.testing.assert_array_equal(first.numpy(), [left, left, 1 - flat, 1 - flat])
    if first.requires_grad:
        (second,) = gg.gradients([first], [x], [np.ones(4, dtype)])
        np.testing.assert_array_equal(second, np.zeros(4))


def test_the_left_tails_keep_their_digits() -> None:
    """½ (1 + erf) would leave no digit of GELU at −9, and x · (1 − σ(−x)) none of SiLU at −40."""
    x = -9.0
    phi = math.erfc(9 / math.sqrt(2)) / 2
    density = math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(F.gelu(np.array(x)), x * phi, rtol=1e-13)
    np.testing.assert_allclose(gg.grad(F.gelu)(x), phi + x * density, rtol=1e-12)
    by_tanh = gg.value_and_grad(lambda x: F.gelu(x, "tanh"))(-7.25)  # by mpmath
    np.testing.assert_allclose(by_tanh, (-1.06319362276571375e-16, -1.35127663888638797e-15), 3e-14)
    np.testing.assert_allclose(F.silu(np.array(-40.0)), -40 * math.exp(-40), rtol=1e-15)
    np.testing.assert_allclose(gg.grad(F.silu)(-40.0), -39 * math.exp(-40), rtol=1e-15)


def test_softplus_beyond_its_threshold_is_x() -> None:
    x = gg.Tensor([1.0, 3.0], requires_grad=True)
    y = F.softplus(x, beta=2.0, threshold=4.0)
    y.sum().backward()
    np.testing.assert_allclose(y.numpy(), [math.log1p(math.exp(2)) / 2, 3], rtol=1e-15)
    np.testing.assert_allclose(x.grad, [1 / (1 + math.exp(-2)), 1], rtol=1e-15)


def test_one_slope_serves_a_number() -> None:
    assert F.prelu(np.array(-2.0), np.array([0.5])) == -1


def test_whole_numbers_are_taken() -> None:
    for function in (F.gelu, F.silu, F.elu, F.softplus, gg.erf, gg.erfc):
        np.testing.assert_array_equal(function(np.array([-1, 2])), function(np.array([-1.0, 2.0])))


def test_maxout_takes_the_largest_of_each_group() -> None:
    x = np.arange(12.0).reshape(2, 6)[:, ::-1]
    np.testing.assert_array_equal(F.maxout(x, 3), x[:, ::3])
    np.testing.assert_array_equal(F.maxout(x, 2, axis=0), x[1:])
    assert F.maxout(np.zeros((2, 6, 3, 4)), 3, axis=1).shape == (2, 2, 3, 4)
    assert nn.Maxout(8, 5, pieces=4).multiply_adds(((7, 8),), (7, 5)) == 7 * 5 * 4 * 8


def test_equal_pieces_share_the_gradient() -> None:
    x = gg.Tensor([1.0, 1.0, 3.0, 2.0], requires_grad=True)
    F.maxout(x, 2).sum().backward()
    np.testing.assert_array_equal(x.grad, [0.5, 0.5, 1, 0])


def reference(function: Callable[[float], float], x: Any) -> Any:
    return np.array([function(float(v)) for v in x])


LINE = np.concatenate([np.linspace(-6, 6, 4001), np.linspace(-0.01, 0.01, 501)])
TAIL = np.linspace(0, 26, 4001)


def test_erf_is_pythons() -> None:
    np.testing.assert_array_max_ulp(gg.erf(LINE), reference(math.erf, LINE), 3)


def test_erfc_is_pythons() -> None:
    """Down to 1e-296, where the rounding error of x² alone would be 700 units."""
    for x in (LINE, TAIL):
        np.testing.assert_allclose(gg.erfc(x), reference(math.erfc, x), rtol=3e-15)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_erf_and_erfc_of_extremes(dtype: str) -> None:
    x = np.array([-INF, np.finfo(dtype).min, -0.0, 0, np.finfo(dtype).max, INF, NAN], dtype)
    np.testing.assert_array_equal(gg.erf(x), np.array([-1, -1, 0, 0, 1, 1, NAN], dtype))
    np.testing.assert_array_equal(gg.erfc(x), np.array([2, 2, 1, 1, 0, 0, NAN], dtype))
    assert np.signbit(gg.erf(x)[2])


REFUSED: Refusals = {
    ShapeError: {
        r"maxout: x \(2, 5\), pieces=2.*multiple": lambda: F.maxout(np.zeros((2, 5)), 2),
        r"\(2, 3\), weight \(2,\).*channel": lambda: F.prelu(np.zeros((2, 3)), np.zeros(2)),
        r"x \(4, 5\), weight \(4, 3\)": lambda: nn.Maxout(3, 2)(np.zeros((4, 5))),
    },
    ArgumentError: {
        "gelu: approximate='erf'; there are 'none' and 'tanh'": lambda: F.gelu(X, "erf"),
    },
}
test_what_does_not_fit_is_refused = refuses(REFUSED)
