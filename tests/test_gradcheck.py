"""numerical_gradient and gradcheck: right where gradients are right, and loud where not."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import graphgrad as gg
from graphgrad import testing
from graphgrad.checks.gradcheck import gradcheck, numerical_gradient
from graphgrad.checks.report import relative_error, verdict
from graphgrad.errors import ArgumentError, DtypeError, GraphError, ShapeError


def cubes(x: Any) -> Any:
    return np.sum(x * x * x)


# -------------------------------------------------------------------- numerical_gradient


@given(
    testing.shapes(max_side=4),
    testing.generators(),
    st.sampled_from([gg.Tensor, np.asarray, np.float32, np.ndarray.tolist]),
)
def test_gradient_of_cubes_in_any_shape(shape: Any, rng: Any, kind: Any) -> None:
    x = testing.sample(shape, rng=rng).astype(np.float32).astype(float)
    found = numerical_gradient(cubes, kind(x))
    assert isinstance(found, np.ndarray | np.float64)
    assert (found.shape, found.dtype) == (np.shape(kind(x)), float)
    np.testing.assert_allclose(found, np.reshape(3 * x**2, found.shape), rtol=0, atol=1e-8)


def test_the_caller_s_array_is_never_written() -> None:
    """Not even when f writes into its argument."""

    def f(x: Any) -> Any:
        x *= 2.0
        return np.sum(x)

    x = np.arange(3.0)
    x.flags.writeable = False
    np.testing.assert_allclose(numerical_gradient(f, x), [2, 2, 2])
    assert x.tolist() == [0, 1, 2]


def test_forward_differences_are_one_sided() -> None:
    """They see the right side of a kink only; central ones see the mean of both."""
    assert numerical_gradient(abs, 0.0, kind="forward") == 1
    assert numerical_gradient(abs, 0.0, kind="central") == 0


def test_forward_differences_compute_f_at_x_once() -> None:
    """Also where f hands out one and the same buffer each time."""
    calls, buffer = [], np.zeros(())

    def f(x: Any) -> Any:
        calls.append(x)
        return np.sum(x * x, out=buffer)

    slopes = numerical_gradient(f, [1.0, 2.0, 3.0], kind="forward")
    np.testing.assert_allclose(slopes, [2, 4, 6], rtol=1e-7)
    assert len(calls) == 4


def test_truncation_is_of_first_and_second_order() -> None:
    """Ten times smaller h: a tenth of the error one-sided, a hundredth central."""
    for kind, factor in (("forward", 10), ("central", 100)):
        errors = [
            abs(numerical_gradient(np.exp, 1.0, h=h, kind=kind) - np.e)  # type: ignore[arg-type]
            for h in (1e-2, 1e-3)
        ]
        assert errors[0] / errors[1] == pytest.approx(factor, rel=0.02)


@pytest.mark.parametrize(
    ("kind", "worst", "power"), [("central", 1e-9, 1 / 3), ("forward", 1e-7, 1 / 2)]
)
def test_the_step_chosen_is_near_the_best_one(kind: Any, worst: float, power: float) -> None:
    """A thousand times larger, or smaller, is worse; far from 0 the step grows with x."""

    def error(h: float | None) -> Any:
        return relative_error(numerical_gradient(np.exp, 1.0, h, kind), np.e)

    own = float(np.finfo(float).eps) ** power
    assert error(None) < worst
    assert error(None) < min(error(own * 1000), error(own / 1000))
    assert relative_error(numerical_gradient(np.sqrt, 1e8, kind=kind), 5e-5) < worst


def test_each_element_may_have_a_step_of_its_own() -> None:
    seen = []

    def f(x: Any) -> Any:
        seen.append(x.tolist())
        return np.sum(x)

    numerical_gradient(f, np.zeros(2), h=np.array([0.25, 0.5]))
    assert sorted(seen) == [[-0.25, 0], [0, -0.5], [0, 0.5], [0.25, 0]]


@pytest.mark.parametrize(
    ("f", "options", "error", "words"),
    [
        (lambda x: x, {}, ShapeError, r"shape \(2,\), not one number.*gradcheck"),
        (lambda _: None, {}, DtypeError, "NoneType"),
        (lambda _: "3", {}, DtypeError, "not real numbers"),
        (cubes, {"h": 0.0}, ShapeError, "a step is a positive number"),
        (cubes, {"kind": "backward"}, ArgumentError, "'central' and 'forward'"),
        (cubes, {"x": np.ones(2) * 1j}, DtypeError, "real numbers"),
    ],
)
def test_what_cannot_be_differentiated_numerically(
    f: Any, options: Any, error: Any, words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        numerical_gradient(f, **{"x": np.ones(2), **options})
    assert "test_gradcheck.py" in str(caught.value)


# ----------------------------------------------------------------------------- gradcheck


def product(a: Any, b: Any) -> Any:
    return np.exp(a) @ (b * b)


def test_a_right_gradient_passes_to_third_order() -> None:
    report = gradcheck(product, np.ones((2, 3)), np.arange(3.0), order=3)
    assert report, report
    assert {c.order for c in report.comparisons} == {1, 2, 3}
    assert {c.name for c in report.comparisons} >= {"a", "b", "upstream"}
    assert all(c.error < 1e-7 for c in report.comparisons)


WRONG = gg.op(
    lambda x: x**3,
    lambda g, x: g * 3 * x * x + np.where(x > 2, 1e-3 * g, 0.0),
    name="wrong",
    elementwise=True,
)
WRONG_AT_SECOND = gg.op(
    lambda x: (x**3, x),
    lambda g, saved: g * 3 * saved**2,  # saved is constant: the second derivative is lost
    name="wrong_at_second",
    elementwise=True,
)


def test_a_wrong_gradient_is_found_and_placed() -> None:
    report = gradcheck(lambda x, y: WRONG(x) * y, np.array([[0.5, 1.5], [2.5, 1.0]]), 2.0)
    assert not report
    bad, good = report.comparisons
    assert good
    assert bad.worst == (1, 0)
    assert bad.error == pytest.approx(1e-3 / 18.75, rel=0.01)
    text = str(report)
    assert "1 of 2 FAILED" in text
    row = next(line for line in text.splitlines() if re.match(r"1 +x ", line))
    for part in ("(2, 2)", "[1, 0]", f"{bad.analytic[1, 0]:.8g}", f"{bad.numeric[1, 0]:.8g}"):
        assert part in row
    assert row.endswith("FAILED: fine if there is a kink")
    assert repr(report) == text


def test_a_wrong_second_derivative_is_found_by_order_two_only() -> None:
    x = np.array([0.5, 1.5])
    assert gradcheck(WRONG_AT_SECOND, x)
    assert [bool(c) for c in gradcheck(WRONG_AT_SECOND, x, order=2).comparisons] == [1, 0, 1]


def test_a_wrong_dependence_on_the_upstream_gradient_is_found() -> None:
    """What only a second backward pass sees: a rule that cuts g off the graph."""
    cut = gg.op(
        lambda x: 2 * x, lambda g: 2 * (g.detach() if isinstance(g, gg.Tensor) else g), name="cut"
    )
    report = gradcheck(cut, np.ones(2), order=2)
    assert [c.name for c in report.comparisons if not c] == ["upstream"]


def test_nested_inputs() -> None:
    def f(pairs: Any, scale: float) -> Any:
        return scale * sum(a @ b for a, b in pairs)

    pairs = [(np.ones(2), np.arange(2.0)), (np.ones(2), np.ones(2))]
    report = gradcheck(f, pairs, 2.0)
    assert report
    assert [c.name for c in report.comparisons] == [*(f"pairs ({i})" for i in range(4)), "scale"]


def test_float32_inputs_are_promoted_and_integers_held() -> None:
    seen = []

    def f(x: Any, index: Any, n: int) -> Any:
        seen.append((x.dtype, index.dtype, type(n)))
        return x[index] ** n

    x = np.ones(3, np.float32)
    x.flags.writeable = False
    report = gradcheck(f, gg.Tensor(x), np.array([0, 2, 2]), 2)
    assert report
    assert len(report.comparisons) == 1
    assert set(seen) == {(np.dtype(float), np.dtype(int), int)}


def test_empty_and_0_d_inputs() -> None:
    report = gradcheck(lambda x, y: x * y, np.ones((0, 2)), 3.0, order=2)
    assert report
    assert "ok: empty" in str(report)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_nan_is_reported_as_such() -> None:
    report = gradcheck(np.log, np.array([1.0, -1.0]))
    assert not report
    assert "FAILED: the numeric gradient is nan" in str(report)
    assert "note: an output of f is nan at [1]" in str(report)


def test_an_infinite_gradient_against_a_finite_slope_fails() -> None:
    infinite = gg.op(lambda x: x * 1.0, lambda g, x: g / (x * 0), name="infinite")
    report = gradcheck(infinite, 1.0)
    assert not report
    assert "the analytic gradient is inf" in str(report) or "-inf" in str(report)


def test_the_random_numbers_are_the_same_each_time_and_the_caller_s_to_choose() -> None:
    def run(rng: np.random.Generator | None = None) -> Any:
        return gradcheck(lambda x: x * x, np.ones(3), rng=rng).comparisons[0].analytic.tolist()

    assert run() == run()
    assert run(np.random.default_rng(7)) != run()


def test_tolerances_and_steps_can_be_chosen() -> None:
    x = np.array([2.5])
    assert not gradcheck(WRONG, x)
    assert gradcheck(WRONG, x, rtol=1e-2)
    assert gradcheck(WRONG, x, atol=1e-2)
    assert not gradcheck(np.exp, x, h=0.1)
    assert gradcheck(np.exp, x, h=1e-4)
    assert gradcheck(np.exp, x, kind="forward")


def test_a_function_that_computes_in_float32_is_noted() -> None:
    report = gradcheck(lambda x: x.astype(np.float32), np.ones(2))
    assert "note: f computes in float32" in str(report)


@pytest.mark.parametrize(
    ("f", "inputs", "error", "words"),
    [
        (lambda x: x.numpy() * 2, (1.0,), DtypeError, "instead of a Tensor.*without .numpy"),
        (lambda _: None, (1.0,), DtypeError, "NoneType instead of a Tensor"),
        (lambda x: gg.Tensor(x > 0), (1.0,), DtypeError, "dtype bool, which has no gradient"),
        (lambda x: x, (3,), DtypeError, r"no input is floating \(given: int\).*3\.0"),
        (lambda x: x, (np.arange(3),), DtypeError, r"given: int64.*astype\(float\)"),
        (lambda x: x, ("abc",), DtypeError, "no input is floating"),
        (lambda: gg.Tensor(1.0), (), DtypeError, r"given: none"),
        (lambda x: x, (1j,), DtypeError, "real numbers"),
        (lambda x: x, (np.ones(2) * 1j,), DtypeError, "real numbers"),
    ],
)
def test_what_cannot_be_checked(f: Any, inputs: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        gradcheck(f, *inputs)
    assert "test_gradcheck.py" in str(caught.value)


def test_a_function_that_draws_random_numbers_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(GraphError, match="different values for the same inputs"):
        gradcheck(lambda x: x * rng.random(), 1.0)


# ------------------------------------------------------------------------------- reports


def test_relative_error() -> None:
    assert relative_error(1.0, 1.1) == pytest.approx(1 / 11)
    assert relative_error(0.0, 0.0) == 0
    assert relative_error(1e-12, 0.0) == 1
    assert relative_error(1e-12, 0.0, floor=1e-2) == pytest.approx(1e-10)
    assert relative_error(np.inf, np.inf) == 0
    assert np.isnan(relative_error(np.nan, 1.0))
    assert np.isnan(relative_error(np.inf, 1.0))


def test_verdicts_change_at_the_marks_of_the_notes() -> None:
    marks = {1.1e-2: "wrong", 0.9e-2: "doubtful", 0.9e-4: "fine if there is a kink"}
    for error, word in {**marks, 1e-7: "right", 0.0: "right", np.nan: "NaN"}.items():
        assert verdict(error) == word


def test_the_table_is_aligned() -> None:
    *lines, note = str(gradcheck(product, np.ones((2, 3)), np.arange(3.0))).splitlines()
    assert note.startswith("note: ")
    assert lines[0] == "gradcheck: passed"
    assert lines[1].startswith("order  input  shape   worst at  analytic")
    assert {line.index("ok") for line in lines[2:]} == {lines[1].index("verdict")}


@pytest.mark.parametrize(
    ("f", "note"),
    [
        (gg.exp, "random numbers times the output of shape (2,)"),
        (lambda x: (x[0], x), "random numbers times the outputs of shape (), (2,)"),
        (lambda x: x.sum(), None),
    ],
)
def test_the_report_says_of_what_the_gradients_are(f: Any, note: str | None) -> None:
    text = str(gg.gradcheck(f, np.array([1.0, 2.0]), order=2))
    assert ("\nnote: compared is the gradient of the sum of" in text) == (note is not None)
    assert note is None or text.endswith(note)
