"""Every op of numbers is as accurate as docs/accuracy.md says; `make accuracy` measures more."""

import inspect
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.engine.op import Op
from graphgrad.nn import functional
from tests.every_op import EVERY_OP
from tests.test_packaging import checkout

measure = pytest.importorskip("benchmarks.accuracy.measure", reason="needs the checkout")
cases = pytest.importorskip("benchmarks.accuracy.cases")
exact = pytest.importorskip("benchmarks.accuracy.exact")
losses = pytest.importorskip("benchmarks.accuracy.losses")
CASES = cases.CASES
wide_enough = pytest.mark.skipif(not exact.WIDE_ENOUGH, reason="np.longdouble is no wider here")

# ------------------------------------------------------------------------------ completeness

REDUCTIONS = "graphgrad.ops.reduce graphgrad.ops.nan graphgrad.ops.norms graphgrad.ops.likelihood"
FUNCTIONS = ("activations", "linear_units", "losses")
MEASURED_AS = {
    "euclidean (norm)": "norm",
    "power_norm (norm_p)": "norm of order 3",
    "vector_norm": "norm",
    "gelu_slope": "gelu",
    "silu_slope": "silu",
    "elu_slope": "elu",
    "bell": "erf",
    "one_minus_square": "arcsin",
    "sinc_derivative": "sinc",
    "power_derivative": "power",
    "float_power": "power",
    "degrees": "rad2deg",
    "radians": "deg2rad",
    "divergence (kl_div)": "kl_div",
    "log_divergence (kl_div of logarithms)": "kl_div of logarithms",
    "huber": "huber_loss",
    "binary (binary_cross_entropy_with_logits)": "binary_cross_entropy",
    "binary_cross_entropy_with_logits": "binary_cross_entropy",
    **{f"nan{name}": name for name in ("sum", "mean", "prod", "var", "std")},
}
LEFT_OUT = {
    "one rounding, or none": """
        add subtract negative positive absolute fabs relu maximum minimum fmax fmin clip_low
        clip_high clip_both masked where nan_to_num conjugate real copy astype copysign ldexp
        nextafter leaky leaky_relu prelu hardtanh relu6 identity modf frexp nll_loss
    """,
    "steps: slopes are whole numbers": """
        sign heaviside floor ceil trunc fix rint round floor_divide spacing remainder fmod step
    """,
    "choose elements": "max min ptp nanmax nanmin maxout",
    "compositions of what is measured": "average norm matrix_norm cond",
    "part of the rule of eigh": "over_gap",
}


def test_every_elementwise_op_reduction_activation_and_loss_is_measured_or_left_out() -> None:
    there = {
        name.split(" (")[0]
        for name, op in EVERY_OP.items()
        if (isinstance(op, Op) and op.elementwise) or op.__module__ in REDUCTIONS.split()
    }
    for name, function in vars(functional).items():
        home = getattr(inspect.unwrap(function), "__module__", "")
        if inspect.isfunction(function) and any(f".functional.{x}" in home for x in FUNCTIONS):
            there.add(name)
    assert set(MEASURED_AS.values()) <= set(CASES)
    measured = {*CASES, *(name.split(" (")[0] for name in MEASURED_AS)}
    left_out = {name for names in LEFT_OUT.values() for name in names.split()}
    assert there - measured - left_out == set()
    assert left_out - there == set(), "gone, but still listed"


# ---------------------------------------------------------------------------------- formulas


@pytest.mark.parametrize("name", CASES)
def test_the_formulas_of_the_slopes_are_the_derivatives_of_the_value(name: str) -> None:
    case, mp = CASES[name], exact.proof_context
    points = [0.3125, 0.6875, 0.53125][: len(case.inputs)]
    points = (
        [1.25]
        if case.inputs[0].low == 1
        else [p if s.high else -p for p, s in zip(points, case.inputs, strict=True)]
    )
    varied = [i for i, spec in enumerate(case.inputs) if spec.varied]
    for i, slope in zip(varied, case.slopes, strict=True):

        def along(t: Any, i: int = i) -> Any:
            return case.value(
                exact.proof, *[t if k == i else mp.mpf(x) for k, x in enumerate(points)]
            )

        found = exact.prove(slope, tuple(points))
        assert abs(found - mp.diff(along, points[i])) < 1e-25 * max(1, abs(found))


@pytest.mark.parametrize("name", CASES)
def test_longdouble_and_mpmath_agree_about_a_formula(name: str) -> None:
    case, rng = CASES[name], np.random.default_rng(0)
    points = measure.sample(case, np.float64, 30, rng)
    with np.errstate(all="ignore"):
        for formula in (case.value, *case.slopes):
            quick = measure.evaluate(formula, points)
            room = measure.condition(formula, points, quick)
            for i, point in enumerate(zip(*points, strict=True)):
                proved = exact.prove(formula, point)
                if np.isfinite(float(proved)) and abs(float(proved)) > 1e-290:
                    error = measure.ulps(np.asarray([float(proved)]), quick[i : i + 1], np.float64)
                    assert error[0] < room[i] + 1


# ------------------------------------------------------------------------------------ bounds


def undeclared(case: Any, dtype: Any, points: int) -> list[str]:
    """Measure a case, and describe what is beyond the bound without a declared reason."""
    rng = np.random.default_rng(0)
    lines = []
    found = measure.measured(
        case, measure.ours(case), measure.sample(case, dtype, points, rng), rng
    )
    for output, f in enumerate(found):
        declared = losses.of(case.name, "gradient" if output else "value")
        left = losses.undeclared(declared, f.outside, f.by)
        if left.any():
            worst = int(np.argmax(np.where(left, f.by, -1)))
            at = [float(x[worst]) for x in f.outside]
            lines.append(f"output {output}: {f.by[worst]:.3g} ULP over κ at {at}")
    return lines


@wide_enough
@checkout
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["exp", "arccosh", "sinc", "softmax", "binary_cross_entropy"])
def test_a_few_ops_keep_to_the_bound(name: str, dtype: type) -> None:
    assert undeclared(CASES[name], dtype, 2_000) == []


@wide_enough
@checkout
@pytest.mark.whole
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_every_op_keeps_to_the_bound(name: str, dtype: type) -> None:
    assert undeclared(CASES[name], dtype, 10_000) == []


@wide_enough
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_rule_that_is_a_few_ulp_off_at_some_points_is_found(dtype: type) -> None:
    def slightly_off(x: Any) -> Any:
        here = (x.data > 0.25) & (x.data < 0.5)
        return gg.exp(x) * (1 + 6 * np.finfo(dtype).eps * here)

    case = CASES["exp"]._replace(ours=slightly_off)
    assert len(undeclared(case, dtype, 10_000)) == 2
