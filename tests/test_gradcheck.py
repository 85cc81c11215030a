"""numerical_gradient and gradcheck: right where gradients are right, and loud where not."""

import inspect
import itertools
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import graphgrad as gg
from graphgrad import nn, testing
from graphgrad.checks.choices import watched
from graphgrad.checks.differences import numerical_gradient
from graphgrad.checks.gradcheck import gradcheck
from graphgrad.checks.report import relative_error
from graphgrad.engine.domains import Elementwise
from graphgrad.engine.op import TABLE, Op
from graphgrad.errors import ArgumentError, DtypeError, GraphError, ShapeError
from tests.builders import leaf
from tests.every_op import EVERY_OP
from tests.special_points import POINTS


def cubes(x: Any) -> Any:
    return np.sum(x * x * x)


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


@pytest.mark.parametrize("h", [1e-8, None])
def test_forward_differences_compute_f_at_x_once(h: float | None) -> None:
    """Also where f hands out one and the same buffer each time."""
    calls, buffer = [], np.zeros(())

    def f(x: Any) -> Any:
        calls.append(x.tolist())
        return np.sum(x * x, out=buffer)

    slopes = numerical_gradient(f, [1.0, 2.0, 3.0], h, "forward")
    np.testing.assert_allclose(slopes, [2, 4, 6], rtol=1e-7)
    assert calls.count([1.0, 2.0, 3.0]) == 1


SLOPES: list[tuple[Any, float, float]] = [
    (np.sin, 1e6, np.cos(1e6)),
    (lambda t: np.sin(2 * np.pi * t), 2024.3, 2 * np.pi * np.cos(2 * np.pi * 2024.3)),
    (lambda x: np.sin(1e8 * x) + 1, 0.3, 1e8 * np.cos(0.3e8)),
    (np.sqrt, 1e8, 5e-5),
    (np.log, 1e-300, 1e300),
    (np.cosh, 700.0, np.sinh(700.0)),
    (np.arctan, 1e10, 1e-20),
    (np.tanh, 30.0, 0.0),
    (lambda x: np.maximum(x, 0), -1e-6, 0.0),
    (lambda x: np.maximum(x, 0), 1e-6, 1.0),
    (lambda x: 1e10 + x, 1.0, 1.0),
    (lambda x: x**3, 0.0, 0.0),
    (lambda x: np.exp(-1 / x**2) if x else x, 0.0, 0.0),
    (lambda x: np.sin(np.float32(x)), 1.0, np.cos(1.0)),
]


@pytest.mark.parametrize("kind", ["central", "forward"])
@pytest.mark.parametrize("case", range(len(SLOPES)))
def test_the_error_stays_within_its_bound(case: int, kind: Any) -> None:
    f, x, true = SLOPES[case]
    found, bound = numerical_gradient(f, x, kind=kind, bounds=True)
    assert abs(found - true) <= bound
    assert bound <= max((1e-3 if kind == "central" else 2e-2) * abs(true), 1e-9)


def test_a_step_too_small_or_too_large_has_a_bound_that_says_so() -> None:
    for h in (0.5, 1e-5, 1e-13):
        found, bound = numerical_gradient(np.exp, 1.0, h, bounds=True)
        assert abs(found - np.e) <= bound < 0.5


def test_where_no_step_is_small_enough_the_bound_is_large() -> None:
    """Between neighbouring numbers near 1e15 sin turns by 7 degrees, and 64 steps are more."""
    _, bound = numerical_gradient(np.sin, 1e15, bounds=True)
    assert bound > 0.01


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
    assert "1 of 2 gradients WRONG" in text
    row = next(line for line in text.splitlines() if re.match(r"1 +x ", line))
    for part in ("(2, 2)", "[1, 0]", f"{bad.analytic[1, 0]:.8g}", f"{bad.numeric[1, 0]:.8g}"):
        assert part in row
    assert row.endswith("WRONG")
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
    assert "right: empty" in str(report)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_nan_is_reported_as_such() -> None:
    report = gradcheck(np.log, np.array([1.0, -1.0]))
    assert not report
    assert "cannot tell: f is nan here" in str(report)
    assert "note: an output of f is nan at [1]" in str(report)


def test_an_infinite_gradient_against_a_finite_slope_fails() -> None:
    infinite = gg.op(lambda x: x * 1.0, lambda g, x: g / (x * 0), name="infinite")
    report = gradcheck(infinite, 1.0)
    assert not report
    assert np.isinf(report.comparisons[0].analytic)
    assert "WRONG: the gradient is inf" in str(report)


def test_a_finite_gradient_against_an_infinite_slope_has_no_verdict() -> None:
    finite = gg.op(lambda x: np.cbrt(x + 0), lambda g: g * 1.0, name="finite")
    assert "cannot tell: the slopes of f grow with each smaller step" in str(gradcheck(finite, 0.0))


def test_a_gradient_of_nan_where_f_has_no_slope_has_no_verdict() -> None:
    report = gradcheck(lambda x: np.abs(x) ** 1.5, 0.0, order=2)
    assert "WRONG" not in str(report)
    assert "cannot tell: the gradient is nan, but f may have no slope" in str(report)


@pytest.mark.parametrize("x", [5e-324, -1e-320, 1e13, 1e16, -1e200])
def test_the_smallest_and_largest_numbers(x: float) -> None:
    report = gradcheck(lambda x: 3 * x, x)
    assert report, report
    assert gg.numerical_gradient(lambda x: 3 * x, x) == pytest.approx(3)


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
    (compared,) = gradcheck(np.exp, x, h=0.1).comparisons
    assert compared.numeric / compared.analytic == pytest.approx(np.sinh(0.1) / 0.1)
    assert compared.judged[(0,)].why.endswith("the Taylor remainder tells")
    assert gradcheck(np.exp, x, h=1e-4)
    assert gradcheck(np.exp, x, kind="forward")


def test_a_function_that_computes_in_float32_is_noted() -> None:
    report = gradcheck(lambda x: x.astype(np.float32), np.ones(2))
    assert report
    assert "note: f computes in float32" in str(report)


@pytest.mark.parametrize(
    ("f", "inputs", "error", "words"),
    [
        (lambda x: x.numpy() * 2, (1.0,), DtypeError, "instead of a Tensor.*without .numpy"),
        (lambda _: None, (1.0,), DtypeError, "NoneType instead of a Tensor"),
        (lambda _: [], (1.0,), DtypeError, "f returned nothing"),
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


def test_a_kink_nearby_is_no_fault() -> None:
    """The central difference with a step of 1e-5 gives 0.45 (CS231n)."""
    report = gradcheck(gg.relu, [-1e-6, 1.0])
    assert report
    assert report.comparisons[0].numeric[0] == 0


AT_KINKS: dict[str, tuple[Any, Any]] = {
    "amax of a box": (np.amax, np.full((2, 2), 2.0)),
    "median of equals": (np.median, np.ones(3)),
    "bounds of clip": (lambda x: np.clip(x, 0, 1), np.array([0.0, 1.0, 0.5])),
    "sort": (np.sort, np.array([1.0, 1.0, 2.0])),
    "if": (lambda x: x * x if x >= 0 else 3 * x * x, np.array(0.0)),
    "argmax": (lambda x: x[np.argmax(x)], np.ones(2)),
    "where": (lambda x: np.where(x > 0, x, 0), np.array([0.0, 1e-8])),
    "norm": (np.linalg.norm, np.zeros(3)),
    "edge of the domain": (np.sqrt, np.array([0.0, 1.0])),
    "infinite slope": (np.cbrt, np.array(0.0)),
}


@pytest.mark.parametrize("name", AT_KINKS)
def test_at_a_kink_a_subgradient_is_right(name: str) -> None:
    f, x = AT_KINKS[name]
    report = gradcheck(f, x)
    assert report, report


@pytest.mark.parametrize("name", [n for n in POINTS if not n.startswith("square of")])
def test_no_convention_is_called_wrong(name: str) -> None:
    point = POINTS[name]
    with np.errstate(all="ignore"):
        report = gradcheck(lambda *x: point.f(gg, *x), *[np.array(x, float) for x in point.at])
    assert all(c.verdict != "WRONG" for c in report.comparisons), report


def test_a_kink_is_named_with_its_line_and_element() -> None:
    text = str(gradcheck(lambda x: gg.relu(x) * 2, [1.0, 0.0]))
    assert re.search(r"at a kink: relu \(test_gradcheck\.py:\d+\) at element \[1\]", text)


STEEP = gg.op(
    lambda x: np.maximum(x, 0),
    lambda g, x: g * np.where(x > 0, 1.0, np.where(x == 0, 2.0, 0.0)),
    chooses=lambda x: x > 0,
    elementwise=True,
    name="steep",
)


def test_a_rule_that_keeps_values_of_an_earlier_call_is_wrong() -> None:
    kept: dict[Any, Any] = {}
    stale = gg.op(lambda x: x * x, lambda g, x: g * kept.setdefault(x.shape, 2 * x), name="stale")
    for fast in (False, True):
        kept.clear()
        report = gradcheck(stale, np.array([1.0, 2.0]), fast=fast)
        assert not report
        assert "a little beside the inputs" in str(report)
        assert "does a rule keep values from an earlier call?" in str(report)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: gg.relu(x) - gg.relu(-x),
        lambda x: np.sign(x) * abs(x),
        lambda x: gg.relu(np.stack([x, -x]))[0] - gg.relu(np.stack([x, -x]))[1],
        lambda x: np.sum(gg.relu(np.stack([x, -x])) * np.array([3.0, -2.0])),
        lambda x: np.maximum(x, 0) + np.minimum(x, 0) - 3 * gg.relu(2 * x) + 3 * gg.relu(-2 * x),
    ],
)
def test_where_kinks_meet_the_chain_rule_does_not_give_the_slope(f: Any) -> None:
    """Each rule is right, and what they give together is outside the slopes: x has slope 1."""
    report = gradcheck(f, 0.0)
    assert [c.verdict for c in report.comparisons] == ["cannot tell"], report
    assert "several kinks meet at " in str(report)
    assert "the chain rule through kinks does not give the slope" in str(report)


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda x: (x if x > 0 else -2 * x) - gg.relu(-x), "greater .* chooses what is computed"),
        (lambda x: x if x != 0 else 5 * x, "not_equal .* chooses what is computed"),
        (lambda x: x * np.sign(x) ** 2, "sign .* jumps, and the chain rule through jumps"),
    ],
)
def test_a_gradient_of_one_point_alone_is_no_fault(f: Any, words: str) -> None:
    report = gradcheck(f, 0.0)
    assert [c.verdict for c in report.comparisons] == ["cannot tell"], report
    assert re.search(words, str(report))


def test_what_is_wrong_is_found_beside_a_kink() -> None:
    """At the kink itself each number lies between the slopes."""
    backwards = gg.op(lambda x: x * 1.0, lambda g: -g, elementwise=True, name="backwards")
    for f in (lambda x: abs(backwards(x)), lambda x: np.sort(backwards(abs(x)))):
        report = gradcheck(f, np.array([1.0, 0.0, -1.0]))
        assert "a little beside the kink" in [c.name for c in report.comparisons if not c][-1]


@pytest.mark.parametrize(
    "f",
    [
        STEEP,
        lambda x: STEEP(x) - STEEP(-x),
        lambda x: STEEP(x) - gg.relu(-x),
        lambda x: np.sum(STEEP(np.stack([x, -x])) * np.array([3.0, -2.0])),
        lambda x: 3 * STEEP(2 * x) - np.sign(x) * abs(x),
    ],
)
def test_a_wrong_rule_at_one_of_several_kinks_is_wrong(f: Any) -> None:
    report = gradcheck(f, 0.0)
    assert [c.verdict for c in report.comparisons] == ["WRONG"], report


def test_at_a_kink_what_lies_outside_both_slopes_is_wrong() -> None:
    text = str(gradcheck(STEEP, 0.0))
    assert "WRONG: outside the slopes 0 and 1 at a kink: steep" in text


NOT_LINEAR = {
    "its size": lambda g, x: abs(g) * 2 * x,
    "its square": lambda g, x: g * g * 2 * x,
    "clipped": lambda g, x: np.clip(g, -1, 1) * 2 * x,
}


@pytest.mark.parametrize("name", NOT_LINEAR)
def test_a_rule_that_is_not_linear_in_the_upstream_gradient_is_wrong(name: str) -> None:
    """For one number the upstream gradient is 1, where each of them is right."""
    square = gg.op(lambda x: x * x, NOT_LINEAR[name], elementwise=True, name="square")
    x = np.array([1.0, 2.0])
    for fast in (False, True):
        report = gradcheck(lambda x: np.sum(square(x)), x, fast=fast)
        assert [bool(c) for c in report.comparisons] == [True, False], report
        assert "WRONG: not linear in the upstream gradient" in str(report)


def test_ties_together_are_compared_along_a_direction() -> None:
    """Each gradient of 1 lies between 0 and 1; that all four are 1 shows along a direction."""
    every = gg.op(
        lambda x: np.max(x) + 0,
        lambda g, x: g * (x == np.max(x)),
        chooses=lambda x: x == np.max(x),
        name="every",
    )
    report = gradcheck(every, np.full(4, 2.0))
    assert [c.verdict for c in report.comparisons] == ["right", "right", "WRONG"]


@pytest.mark.parametrize("f", [np.floor, lambda x: x * 2 if x > 1 else x])
def test_a_jump_is_not_differentiable(f: Any) -> None:
    report = gradcheck(f, 1.0)
    assert not report
    assert "cannot tell: not differentiable: " in str(report)


def test_a_kink_that_no_op_declares_is_not_called_wrong() -> None:
    kinked = gg.op(lambda x: abs(x) / 1, lambda g, x: g * (x >= 0) * 0.5, name="kinked")
    report = gradcheck(kinked, 0.0)
    assert report.comparisons[0].verdict == "cannot tell"
    assert "declare it by gg.op(…, chooses=…)" in str(report)


@pytest.mark.parametrize("name", EVERY_OP)
def test_an_op_with_a_kink_in_its_domain_declares_its_pieces(name: str) -> None:
    one = EVERY_OP[name]
    kinks = getattr(one.domain, "avoid", ()) or getattr(one.domain, "distinct", False)
    if isinstance(one, Op) and kinks and name != "nextafter":
        assert one.chooses is not None


CHOOSING = {
    name: one
    for name, one in EVERY_OP.items()
    if isinstance(one, Op) and one.chooses and isinstance(one.domain, Elementwise)
}
FINER = {  # its pieces also meet where it is smooth, or jumps by too little to be seen here
    "clip_both (clip)": "bounds that have passed each other",
    "spacing": "jumps of 1e-16",
    "copysign": "the signs of 0",
    "prelu": "a slope of 1",
}


def beside(one: Any, at: list[Any]) -> tuple[Any, Any]:
    """Return value and slopes at points, and which pieces were taken."""
    xs = [leaf(x) for x in at]
    with np.errstate(all="ignore"):
        out, choices = watched(lambda: one(*xs))
        out = out[0] if isinstance(out, tuple) else out
        slopes = gg.gradients([np.sum(out)], xs) if out.requires_grad else []
    pieces = np.broadcast_to(choices.found[0].pieces, out.shape)
    return np.array([g for g in [out.numpy(), *slopes] if g is not None]), pieces


@pytest.mark.parametrize("name", CHOOSING)
def test_pieces_change_where_value_or_slope_jumps_and_nowhere_else(name: str) -> None:
    one: Any = CHOOSING[name]
    numbers = np.array([-2.5, -2, -1, -0.5, 0, 0.5, 1, 2, 2.5])
    grid = [g.ravel() for g in np.meshgrid(*[numbers] * len(one.domain.intervals))]
    if name in ("remainder", "fmod", "floor_divide"):
        grid = [g[grid[1] != 0] for g in grid]
    for place in range(len(grid)):
        results = [
            beside(one, [g + side * (i == place) for i, g in enumerate(grid)])
            for side in (-1e-9, 0, 1e-9)
        ]
        jumps = changes = False
        for (values, pieces), (others, other_pieces) in itertools.pairwise(results):
            same = np.isclose(values, others, 1e-4, 1e-4, equal_nan=True).all(0)
            jumps, changes = jumps | ~same, changes | (pieces != other_pieces)
        assert np.all(changes >= jumps)
        if name not in FINER and (name, place) != ("arctan2", 1):
            assert np.all(changes == jumps)


def noisy(digits: int) -> Any:
    """Return sin with a rule that is right, rounded to so many digits: a solver that stops."""
    return gg.op(lambda x: np.round(np.sin(x), digits), lambda g, x: g * np.cos(x), name="noisy")


@pytest.mark.parametrize("digits", [4, 6, 9, 12])
def test_noise_is_no_fault(digits: int) -> None:
    x = np.array([0.3, 1.1, 2.0])
    report = gradcheck(noisy(digits), x)
    assert {c.verdict for c in report.comparisons} <= {"right", "cannot tell"}
    assert gradcheck(noisy(digits), x, fast=True).comparisons[0].verdict != "WRONG"


def test_taylor_decides_where_differences_are_noisy() -> None:
    x = np.array([0.3, 1.1, 2.0])
    report = gradcheck(noisy(7), x)
    assert report, report
    assert "the Taylor remainder tells" in str(report)
    assert not gradcheck(lambda x: noisy(7)(x) + 0.03 * x.detach(), x)


@pytest.mark.parametrize("share", [1.03, 0.97, 1.001])
@pytest.mark.parametrize("f", [np.exp, np.tanh, np.arctan, np.log1p])
def test_a_gradient_that_is_slightly_off_is_wrong(f: Any, share: float) -> None:
    right = TABLE[f].rules[0]
    (parameter,) = list(inspect.signature(right).parameters)[1:]
    rules = {
        "x": lambda g, x: right(g, x) * share,
        "out": lambda g, out: right(g, out) * share,
    }
    off = gg.op(lambda x: f(x) + 0, rules[parameter], elementwise=True, name="off")
    report = gradcheck(off, np.array([0.3, 0.9]))
    assert [c.verdict for c in report.comparisons] == ["WRONG"]
    assert report.taylor is not None
    if share != 1.001:  # the order drifts to 1 with smaller steps only
        assert report.taylor.order == pytest.approx(1, abs=0.1)


def single(x: Any) -> Any:
    return x.astype(np.float32)


RIGHT: dict[str, tuple[Any, Any]] = {
    "a sum in float32 that is 0": (lambda x: np.sum(single(x)), [-1.0, 1.0]),
    "a difference in float32": (lambda x: single(x)[0] - single(x)[1], [1.0, 1.0]),
    "float32 near a kink": (lambda x: gg.softmax(np.abs(single(x)), axis=0), [1e-9, -1e-10, 3e-9]),
    "a small square beside a large one": (lambda x: np.sum(x**2), [1e8, 1e-2]),
    "an offset": (lambda x: np.sin(x) + 1e16, [0.3, 1.0]),
    "cancellation": (lambda x: np.exp(x) - 1, [1e-18, 1e-20]),
    "ties of a range": (lambda x: np.ptp(1 + 1e-4 * gg.softmax(x, axis=0)), [0.0, 0, 1, 0]),
    "a kink that nobody sees": (lambda x: x * (x.data > 0) + 1e5, [-1.5e-4, 1e-6]),
    "random numbers": (lambda x: nn.functional.dropout(x, 0.5), [1.0, 2.0, 3.0]),
    "nothing": (lambda x: x[:0], [1.0, 2.0]),
    "float32 inside": (lambda x: norms(single(gg.softplus(x))), [-1.0, 0, -1, 0]),
    "float32 inside, float64 outside": (
        lambda x: norms(single(gg.softplus(x))).astype(np.float64),
        [-1.0, 0, -1, 0],
    ),
    "a tie beside a larger number": (
        lambda x: 1e-6 * (x + 100) * np.median(x + 100),
        [0.5, 0.5, 0.5],
    ),
    "a tie beside what moves": (lambda x: x * np.median(np.sqrt(x * x + 1)), [1.0, 0, -1]),
    "a median that moves nothing": (
        lambda x: np.median(np.tanh(x * x)) * np.tanh(x * x),
        [1e-6, -1e-6, 1e6],
    ),
    "two kinks to second order": (
        lambda x: np.median(np.sum(x - np.max(x)) * np.ones(3)) * (x - np.max(x)),
        [0.0, 0, 0],
    ),
    "nearly a tie": (np.max, [1, 1 + 1e-12, 0]),
    "a number that changes nothing": (np.tanh, [40.0]),
    "a tie of unique": (lambda x: np.sum(np.unique(x) ** 2), [1.0, 1.0, 2.0]),
    "shapes that change": (np.unique, [1.0, 1.0, 2.0]),
}


def norms(y: Any) -> Any:
    return y * np.linalg.norm(y)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_gradient_is_never_called_wrong(name: str, order: int) -> None:
    f, x = RIGHT[name]
    report = gradcheck(f, np.array(x), order=order)
    assert all(c.verdict != "WRONG" for c in report.comparisons), report


@pytest.mark.parametrize("gap", [1e-8, 1e-10, 1e-12, 1e-14])
def test_beside_a_tie_there_is_one_piece(gap: float) -> None:
    """Also where a central difference sees both sides, and the mean of their slopes."""
    shared = gg.op(
        lambda x: np.max(x) * 1,
        lambda g, x, out: g * np.isclose(x, out) / np.sum(np.isclose(x, out)),
        chooses=lambda x, out: x == out,
        name="shared",
    )
    x = np.array([1, 1 + gap, 0])
    assert gradcheck(np.max, x)
    (compared,) = [c for c in gradcheck(shared, x).comparisons if c.name == "x"]
    assert [compared.judged[(i,)].verdict for i in range(3)] == ["WRONG", "WRONG", "right"]


@pytest.mark.parametrize("x", [1 + 1e-12, 1 - 1e-12])
def test_beside_a_jump_there_is_a_slope(x: float) -> None:
    assert gradcheck(np.floor, x)


def test_outputs_that_change_their_shape_have_no_slope() -> None:
    text = str(gradcheck(np.unique, np.array([1.0, 1.0, 2.0])))
    assert "cannot tell: the shapes of f's outputs change here: (2,), beside it (3,)" in text


def off(share: float) -> Any:
    return gg.op(lambda x: np.sin(x) * 1, lambda g, x: g * np.cos(x) * share, name="off")


X4 = np.random.default_rng(5).normal(size=4)
NOT_RIGHT: dict[str, tuple[Any, Any]] = {
    "slightly off in float32": (lambda x: np.sum(off(1.001)(single(x))) + np.float32(10), X4),
    "slightly off beside a large number": (lambda x: np.sum(off(1.0003)(x)) + 1e9, X4),
    "a tenth off where all is small": (lambda x: 1e-6 * off(1.1)(x), X4),
    "a tail with the wrong sign": (
        gg.op(lambda x: np.exp(x) * 1, lambda g, out: -g * out, name="sign"),
        np.array([-18.0]),
    ),
    "the whole of a maximum to each": (
        gg.op(
            lambda x: np.max(x) * 1,
            lambda g, x, out: g * (x == out),
            chooses=lambda x, out: x == out,
            name="each",
        ),
        np.array([1.0, 1.0, 0.0]),
    ),
    "none of it to any": (
        gg.op(
            lambda x: np.max(x) * 1,
            lambda g, x, out: 0 * g * (x == out),
            chooses=lambda x, out: x == out,
            name="none",
        ),
        np.array([1.0, 1.0, 0.0]),
    ),
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", NOT_RIGHT)
def test_a_wrong_gradient_never_passes(name: str, seed: int) -> None:
    f, x = NOT_RIGHT[name]
    report = gradcheck(f, x, rng=np.random.default_rng(seed))
    assert not report, report


def test_the_table_of_a_number_has_its_own_gradient() -> None:
    report = gradcheck(np.exp, 1.0)
    assert report.comparisons[0].analytic == np.exp(1.0)


def test_what_f_does_not_read_is_named() -> None:
    report = gradcheck(lambda x, y: x * 2 + 0 * np.sum(y), np.ones(2), np.ones(3))
    assert report
    assert "f does not change with y" in str(report)


def small_net(rng: np.random.Generator) -> nn.Module:
    return nn.Sequential(
        nn.Linear(5, 40, rng=rng),
        nn.BatchNorm1d(40),
        nn.ReLU(),
        nn.Dropout(0.5, rng=rng),
        nn.Linear(40, 3, rng=rng),
    )


def test_a_module_is_checked_in_every_parameter_and_left_as_it_was() -> None:
    rng = np.random.default_rng(0)
    net, x = small_net(rng), rng.normal(size=(6, 5)).astype(np.float32)
    before, state = net.state_dict(), rng.bit_generator.state
    labels = np.array([0, 1, 2, 0, 1, 2])
    report = gradcheck(net, x, loss=lambda y: nn.functional.cross_entropy(y, labels))
    assert report, report
    names = [c.name for c in report.comparisons]
    assert names == [*dict(net.named_parameters()), "x", "all, along one direction"]
    assert "(40, 5), 20 of 200" in str(report)
    assert rng.bit_generator.state == state
    assert all(p.grad is None and p.dtype == np.float32 for p in net.parameters())
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_wrong_layer_is_found_in_its_parameter_and_along_one_direction() -> None:
    class Off(nn.Module):
        def __init__(self) -> None:
            self.weight = nn.Parameter(np.array([0.5, 1.5], np.float32))

        def forward(self, x: Any) -> Any:
            return WRONG(self.weight * 2) * x

    for fast in (False, True):
        report = gradcheck(Off(), np.ones(2), fast=fast)
        assert "WRONG" in {c.verdict for c in report.comparisons}


def test_one_direction_takes_few_calls() -> None:
    calls = []

    def f(x: Any) -> Any:
        calls.append(1)
        return np.sum(x * x)

    assert gradcheck(f, np.arange(10_000.0), fast=True)
    assert len(calls) < 35


def test_a_loss_is_for_modules() -> None:
    with pytest.raises(DtypeError, match="loss= is for modules"):
        gradcheck(np.sin, 1.0, loss=np.sum)


def test_a_test_fails_with_the_table() -> None:
    gradcheck(np.sin, 1.0).assert_right()
    with pytest.raises(AssertionError, match=r"1 of 1 gradients WRONG\norder +input"):
        gradcheck(WRONG, 2.5).assert_right()


def test_relative_error() -> None:
    assert relative_error(1.0, 1.1) == pytest.approx(1 / 11)
    assert relative_error(0.0, 0.0) == 0
    assert relative_error(1e-12, 0.0) == 1
    assert relative_error(1e-12, 0.0, floor=1e-2) == pytest.approx(1e-10)
    assert relative_error(np.inf, np.inf) == 0
    assert np.isnan(relative_error(np.nan, 1.0))
    assert np.isnan(relative_error(np.inf, 1.0))


def test_the_table_is_aligned() -> None:
    *lines, note, taylor = str(gradcheck(product, np.ones((2, 3)), np.arange(3.0))).splitlines()
    assert note.startswith("note: ")
    assert "2.00 2.00; 2 is right" in taylor
    assert lines[0] == "gradcheck: passed"
    assert lines[1].startswith("order  input  shape   worst at  analytic")
    assert {line.index("right") for line in lines[2:]} == {lines[1].index("verdict")}


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
    assert ("\nnote: the gradients are those of a sum: fixed" in text) == (note is not None)
    assert note is None or note in text
