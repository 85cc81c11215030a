"""Gradients are right where squares, products and counts on the way left the range of their dtype.

A function f with f(s x) = sᵈ f(x) has a gradient that grows by sᵈ⁻¹. For every op that is one of
these that is put to the test at scales where the value over- or underflows and the gradient not.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn, optim
from graphgrad.checks.laws import Case
from graphgrad.data import Standardize, Whiten
from graphgrad.errors import GraphgradError
from graphgrad.nn import functional as F  # noqa: N812 - its usual name
from graphgrad.testing import typical_calls
from tests.builders import leaf
from tests.every_op import EVERY_OP
from tests.optimizer_cases import CASES

DEGREES = (1, 0, 2, 3, -1, 4, -2, 0.5)
MILD = 256.0
LIMITS = {"float64": 600, "float32": 80, "float16": 7}  # binary digits of the scale


@functools.cache
def calls_of(name: str) -> tuple[Case, ...]:
    op = EVERY_OP[name]
    found = [Case(op, call) for call in (typical_calls(op) if op.domain else ())]
    return tuple(case for case in found if case.points and _grows(case))


def _grows(case: Case) -> bool:
    """Whether all operands are in the arrays that are scaled."""
    operands = case.leaves if getattr(case.op, "elementwise", False) else ()
    return all(p.size for p in case.points) and float not in map(type, operands)


def values(case: Case, points: Any) -> list[Any]:
    return [np.asarray(y) for y in case.everything(*points) if np.asarray(y).dtype.kind == "f"]


def degree(case: Case) -> float | None:
    """Return d where f(s x) = sᵈ f(x)."""
    try:
        with np.errstate(all="ignore"):
            before, after = (values(case, [s * p for p in case.points]) for s in (1, MILD))
    except (GraphgradError, np.linalg.LinAlgError, ValueError):  # not defined there
        return None
    for d in DEGREES:
        pairs = list(zip(before, after, strict=True))
        if pairs and all(np.allclose(MILD**d * a, b, 1e-12, 0) and np.any(a) for a, b in pairs):
            return d
    return None


INSIDE = {  # of these a value on the way, which has a node of its own, leaves the range
    "average": "Σ w a, where both are scaled",
    "cond": "‖x‖, and the norm of the inverse, of which one is infinite and one 0",
    "cofactors_change": "det a in the third derivative of a determinant",
}
HOMOGENEOUS = [
    name
    for name in EVERY_OP
    if name not in INSIDE and any(degree(c) is not None for c in calls_of(name))
]


def gradients(case: Case, digits: int, dtype: str, *, recorded: bool = False) -> list[Any]:
    points = [np.asarray(np.ldexp(p.astype(dtype), digits), dtype) for p in case.points]
    upstream = [u.astype(dtype) for u in case.upstream()]
    if not recorded:
        return [np.asarray(g, float) for g in case.pull(upstream, points)]
    xs = [leaf(p) for p in points]
    pairs = [(y, u) for y, u in zip(case.run(*xs), upstream, strict=True) if y.requires_grad]
    ys, us = ([pair[i] for pair in pairs] for i in (0, 1))
    found = gg.gradients(ys, xs, us, create_graph=True)
    return [np.asarray(g._array, float) for g in found]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("name", HOMOGENEOUS)
def test_the_gradient_leaves_its_range_no_earlier_than_it_must(name: str, dtype: str) -> None:
    tolerance = {"float64": 1e-9, "float32": 1e-4, "float16": 1e-2}[dtype]
    least = 4 * float(np.finfo(dtype).smallest_subnormal)
    for case in calls_of(name):
        d = degree(case)
        if d is None:
            continue
        digits = int(LIMITS[dtype] / max(1, abs(d - 1) / 1.5)) // 2 * 2  # as far as it can go
        try:
            usual = gradients(case, 0, dtype)
        except (TypeError, GraphgradError):  # linear algebra has no float16
            assert dtype == "float16"
            continue
        for k in (digits, -digits):
            scale = 2.0 ** (k * (d - 1))
            for recorded in (False, True):
                found = gradients(case, k, dtype, recorded=recorded)
                for g, e in zip(found, usual, strict=True):
                    close = tolerance * np.max(np.abs(e), initial=0.0) + least / scale
                    where = f"{case}, 2^{k}, recorded: {recorded}"
                    np.testing.assert_allclose(g / scale, e, tolerance, close, err_msg=where)


NORMALISATIONS: dict[str, Callable[[Any, float], Any]] = {
    "layer": lambda x, eps: F.layer_norm(x, (6, 5), eps=eps),
    "group": lambda x, eps: F.group_norm(x, 2, eps=eps),
    "instance": lambda x, eps: F.group_norm(x, 6, eps=eps),
    "batch": lambda x, eps: F.batch_norm(x, training=True, eps=eps),
    "batch, of rows": lambda x, eps: F.batch_norm(x[..., 0], training=True, eps=eps),
}


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("f", NORMALISATIONS.values(), ids=NORMALISATIONS)
def test_normalisation_does_not_depend_on_the_scale(f: Callable[..., Any], dtype: str) -> None:
    """Value and gradient, without ε for small numbers, which it would keep small."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 4, 6, 5)).astype(dtype)
    digits = LIMITS[dtype]
    fine = {"float64": 1e-11, "float32": 1e-4, "float16": 1e-2}[dtype]
    each = np.where(np.arange(6) % 2, digits, 0)[:, None]  # beside channels of another scale

    def loss(x: Any, eps: float) -> Any:
        out = f(x, eps)
        return np.sum(out * w[..., 0] if out.ndim == 2 else out * w)

    for eps, k in ((0.0, digits), (0.0, -digits), (1e-5, digits), (0.0, each), (0.0, -each)):
        if np.ndim(k) and f in (NORMALISATIONS["layer"], NORMALISATIONS["group"]):
            continue  # whose scales are those of all channels together
        far = np.ldexp(x, k)
        np.testing.assert_allclose(f(far, eps), f(x, 0.0), fine, 10 * fine)
        expected = gg.grad(loss)(x.astype(float), 0.0)
        t = leaf(far)
        recorded = gg.gradients(loss(t, eps), t, create_graph=True)
        for g in (gg.grad(loss)(far, eps), recorded._array):
            near = np.ldexp(np.asarray(g, float), k)
            np.testing.assert_allclose(near, expected, 0, 20 * fine, err_msg=f"{eps}, {k}")


def test_the_derivative_of_a_power_is_computed_in_the_dtype_of_the_output() -> None:
    slope = gg.grad(lambda x: np.log(np.float_power(x, 3)))(np.float32(1e20))
    assert slope == pytest.approx(3e-20)
    y = np.array([2.0])
    for narrow in (np.int8, np.uint8, np.float16, np.float32):
        x = np.array([3], narrow)
        g = gg.grad(lambda y, x=x: np.sum(np.power(x, y)))(y)
        np.testing.assert_allclose(g, 9 * np.log(3), 1e-15)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_a_hypotenuse_beyond_the_largest_number(dtype: str) -> None:
    largest = np.finfo(dtype).max
    with np.errstate(over="ignore"):
        both = gg.grad(np.hypot, (0, 1))(largest, largest)
    np.testing.assert_allclose(both, np.sqrt(0.5), 1e-3 if dtype == "float16" else 1e-6)


def test_what_is_lost_inside_a_composition() -> None:
    x = np.array([3e200, 4e200])
    with np.errstate(all="ignore"):
        assert not gg.grad(lambda x: np.sqrt(np.sum(x**2)))(x).any()
        lost = gg.grad(lambda w: np.average(x, weights=w))(x)
    assert not np.isfinite(lost).all()


def test_tails_end_where_the_output_rounds_to_1() -> None:
    for f, last, past in ((gg.sigmoid, 36.0, 40.0), (np.tanh, 18.0, 20.0)):
        assert gg.grad(f)(last) > 0
        assert gg.grad(f)(past) == 0
    assert gg.grad(gg.sigmoid)(-40.0) == pytest.approx(np.exp(-40.0))


@pytest.mark.parametrize("name", [n for n in CASES if "LBFGS" not in n])
@pytest.mark.parametrize("size", [1e22, 1e30, 3e38])
def test_no_gradient_that_is_finite_makes_a_weight_nan(name: str, size: float) -> None:
    case = CASES[name]
    w = nn.Parameter(np.ones(3, np.float32))
    optimizer = getattr(optim, case.name)([w], **case.options)
    with np.errstate(all="ignore"):
        for g in (size, 1.0, -1.0):
            w.grad = np.full(3, g, np.float32)
            optimizer.step()
            assert not np.isnan(w.data).any()


@pytest.mark.parametrize("digits", [80, -80, 120, -120])
def test_preprocessing_does_not_depend_on_the_scale(digits: int) -> None:
    images = np.random.default_rng(0).normal(size=(50, 2, 3)).astype(np.float32)
    far = np.ldexp(images, digits)
    for make in (Standardize, lambda: Whiten(epsilon=0)):
        near, found = (make().fit(x)(x) for x in (images, far))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, near, atol=2e-5)
    whiten = Whiten(epsilon=0).fit(far)
    np.testing.assert_allclose(whiten.inverse(whiten(far)), far, atol=float(1e-5 * 2.0**digits))
