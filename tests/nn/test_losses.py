"""Losses against their definitions, at their kinks, far out, and with arguments that do not fit."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import ArgumentError, DtypeError, ShapeError, UnsupportedError
from tests.builders import Refusals, refuses
from tests.equality import assert_equals_composition

F = nn.functional
RNG = np.random.default_rng(0)
LOGITS = RNG.standard_normal((4, 3))
LABELS = np.array([0, 2, 2, 1])
SOFT = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.1, 0.1, 0.8]])


def logarithms(x: Any) -> Any:
    e = gg.exp(x)
    return gg.log(e / gg.sum(e, axis=-1, keepdims=True))


SOME, WEIGHT = np.array([0, 2, -100, 1]), np.array([0.5, 2.0, 3.0])  # one is ignored
ONE_HOT, SHARE = np.eye(3)[np.maximum(SOME, 0)] * (SOME >= 0)[:, None], 5.5  # of all weights
KEPT = (0.7 * ONE_HOT + 0.1 * (SOME >= 0)[:, None]) * WEIGHT
DEFINITIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "cross-entropy": (
        lambda x: F.cross_entropy(x, SOME, WEIGHT, label_smoothing=0.3),
        lambda x: -gg.sum(KEPT * logarithms(x)) / SHARE,
    ),
    "soft": (
        lambda x: F.cross_entropy(x, SOFT, WEIGHT),
        lambda x: -gg.sum(SOFT * WEIGHT * logarithms(x)) / 4,
    ),
    "nll": (
        lambda x: F.nll_loss(logarithms(x), SOME, WEIGHT),
        lambda x: -gg.sum(ONE_HOT * WEIGHT * logarithms(x)) / SHARE,
    ),
    "binary": (
        lambda x: F.binary_cross_entropy_with_logits(x, SOFT, WEIGHT, pos_weight=2 * WEIGHT),
        lambda x: gg.mean(
            WEIGHT
            * (2 * WEIGHT * SOFT * gg.log(1 + gg.exp(-x)) + (1 - SOFT) * gg.log(1 + gg.exp(x)))
        ),
    ),
    "divergence": (
        lambda x: F.kl_div(x, SOFT + 0.1, reduction="batchmean"),
        lambda x: gg.sum((SOFT + 0.1) * (np.log(SOFT + 0.1) - x)) / 4,
    ),
    "divergence, of logarithms": (
        lambda x: F.kl_div(x, LOGITS[::-1], log_target=True),
        lambda x: gg.mean(np.exp(LOGITS[::-1]) * (LOGITS[::-1] - x)),
    ),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_losses_are_their_definitions(name: str) -> None:
    assert_equals_composition(*DEFINITIONS[name], LOGITS)


@pytest.mark.parametrize("options", [{}, {"weight": [1.0, 2.0, 3.0]}, {"label_smoothing": 0.2}])
def test_ignored_samples_have_no_influence_whatever_their_scores_are(options: Any) -> None:
    x = LOGITS.copy()
    x[1] = [np.nan, np.inf, -np.inf]
    logits = gg.Tensor(x, requires_grad=True)
    with np.errstate(invalid="ignore"):
        loss = F.cross_entropy(logits, [0, -100, 2, 1], **options)
    (g,) = gg.gradients([loss], [logits], create_graph=True)
    with np.errstate(invalid="ignore"):
        F.cross_entropy(logits, [0, -100, 2, 1], **options).backward()
    others = [0, 2, 3]
    rest = gg.Tensor(LOGITS[others], requires_grad=True)
    expected = F.cross_entropy(rest, [0, 2, 1], **options)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-14)
    for found in (logits.grad, g.numpy()):
        np.testing.assert_allclose(found[others], rest.grad, rtol=1e-12)
        np.testing.assert_array_equal(found[1], 0)


def test_labels_that_are_all_ignored_have_no_mean() -> None:
    """PyTorch gives NaN, which spoils every parameter at the next step."""
    labels = np.full(4, -100)
    for loss in (F.cross_entropy, F.nll_loss):
        with pytest.raises(ShapeError, match="reduction='sum'"):
            loss(LOGITS, labels)
        assert loss(LOGITS, labels, reduction="sum") == 0
        np.testing.assert_array_equal(loss(LOGITS, labels, reduction="none"), np.zeros(4))
    with pytest.raises(ShapeError, match="weight 0"):
        F.cross_entropy(LOGITS, LABELS, [0.0, 0.0, 0.0])
    with pytest.raises(ShapeError, match="empty"):
        F.hinge_loss(np.zeros((0, 3)), np.zeros(0, int))
    for nothing in (F.cross_entropy, F.hinge_loss):
        assert nothing(np.zeros((0, 3)), np.zeros(0, int), reduction="sum") == 0


def test_a_class_of_weight_0_costs_nothing_though_it_is_excluded() -> None:
    x = gg.Tensor([[-np.inf, 0.0, 0.0], [-np.inf, 0.0, 0.0]], requires_grad=True)
    loss = F.cross_entropy(x, [0, 1], [0.0, 1.0, 1.0], label_smoothing=0.5)
    loss.backward()
    # sample 0: only the smoothing of two classes; sample 1: its label too
    assert loss.item() == pytest.approx((2 / 6 + 2 / 6 + 1 / 2) * np.log(2))
    assert np.isfinite(x.grad).all()


PAIR = np.array([[1000.0, -1000.0], [1000.0, -1000.0]])
FAR: dict[str, tuple[Callable[[Any], Any], float, Any]] = {  # loss of the pair, value, gradient
    "mean": (lambda x: F.cross_entropy(x, [0, 1]), 1000, [[0, 0], [0.5, -0.5]]),
    "one-hot": (lambda x: F.cross_entropy(x, np.eye(2)), 1000, [[0, 0], [0.5, -0.5]]),
    "sum": (lambda x: F.cross_entropy(x, [0, 1], reduction="sum"), 2000, [[0, 0], [1, -1]]),
    "weights": (lambda x: F.cross_entropy(x, [0, 1], [1.0, 3.0]), 1500, [[0, 0], [0.75, -0.75]]),
    "ignoring": (lambda x: F.cross_entropy(x, [-100, 1]), 2000, [[0, 0], [1, -1]]),
    "smoothing": (
        lambda x: F.cross_entropy(x, [0, 1], label_smoothing=0.5),
        *(1000, [[0.125, -0.125], [0.375, -0.375]]),
    ),
    "nll": (lambda x: F.nll_loss(F.log_softmax(x, -1), [0, 1]), 1000, [[0, 0], [0.5, -0.5]]),
    "binary": (
        lambda x: F.binary_cross_entropy_with_logits(x, np.eye(2), reduction="sum"),
        *(2000, [[0, 0], [1, -1]]),
    ),
    "binary, weighted": (
        lambda x: F.binary_cross_entropy_with_logits(x, np.eye(2), reduction="sum", pos_weight=3.0),
        *(4000, [[0, 0], [1, -3]]),
    ),
    "hinge": (lambda x: F.hinge_loss(x, [0, 1]), 1000.5, [[0, 0], [0.5, -0.5]]),
    "divergence": (
        lambda x: F.kl_div(F.log_softmax(x, -1), np.eye(2), reduction="batchmean"),
        *(1000, [[0, 0], [0.5, -0.5]]),
    ),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FAR)
def test_losses_are_exact_for_huge_scores(name: str, dtype: Any) -> None:
    """Value, gradient by both sweeps, and second derivatives: all of them 0 there."""
    loss, value, gradient = FAR[name]
    x = gg.Tensor(PAIR, dtype=dtype, requires_grad=True)
    out = loss(x)
    out.backward()
    assert out.dtype == x.grad.dtype == dtype
    assert out.item() == value
    np.testing.assert_array_equal(x.grad, np.asarray(gradient, dtype))
    (g,) = gg.gradients([loss(x)], [x], create_graph=True)
    np.testing.assert_array_equal(g.numpy(), np.asarray(gradient, dtype))
    if g.requires_grad:
        slope = (g * np.arange(4, dtype=dtype).reshape(2, 2)).sum()
        (second,) = gg.gradients([slope], [x])
        np.testing.assert_array_equal(second, np.zeros((2, 2)))


@pytest.mark.parametrize("x", [20.0, -20.0])
def test_a_sure_and_right_binary_loss_keeps_its_digits(x: float) -> None:
    """In float32 softplus(x) − x is 0 at 20; the loss and its gradient are e⁻²⁰."""
    logit = gg.Tensor([x], dtype=np.float32, requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(logit, [float(x > 0)])
    loss.backward()
    assert loss.item() == pytest.approx(math.exp(-20), rel=1e-6)
    np.testing.assert_allclose(logit.grad, [-math.copysign(math.exp(-20), x)], rtol=1e-6)


ELEMENTWISE: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "mse": (F.mse_loss, lambda d: d * d),
    "l1": (F.l1_loss, lambda d: gg.sqrt(d * d)),
    "huber": (
        lambda x, t, **options: F.huber_loss(x, t, delta=0.7, **options),
        lambda d: gg.where(np.abs(d.numpy()) <= 0.7, d * d / 2, 0.7 * (gg.sqrt(d * d) - 0.35)),
    ),
}


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_regression_losses_are_their_definitions(name: str, shape: tuple[int, ...]) -> None:
    loss, of = ELEMENTWISE[name]
    x, t = np.random.default_rng(1).uniform(-2, 2, (2, *shape))
    for reduction, reduced in (("mean", gg.mean), ("sum", gg.sum), ("none", gg.positive)):
        assert_equals_composition(
            lambda x, t, how=reduction: loss(x, t, reduction=how),
            lambda x, t, reduced=reduced: reduced(of(x - t)),
            *(x, t),
        )


def test_half_squared_error_sums_features_and_averages_samples() -> None:
    rng = np.random.default_rng(1)
    x, t = rng.uniform(-1, 1, (2, 2, 3, 4))
    assert_equals_composition(F.half_squared_error, lambda x, t: gg.sum((x - t) ** 2) / 2 / 6, x, t)
    assert F.half_squared_error(x, t, reduction="none").shape == (2, 3)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("delta", [0.3, 1.0, 10.0])
def test_hinge_losses_are_their_definitions(delta: float, squared: bool) -> None:
    x = np.random.default_rng(2).uniform(-1, 1, (4, 3))
    power = 2 if squared else 1
    weight = np.array([0.5, 2.0, 3.0])

    def term(margin: Any) -> Any:
        return gg.where(margin.numpy() > 0, margin, 0.0) ** power

    def multiclass(x: Any, weight: Any) -> Any:
        pairs = [(i, j, k) for i, k in enumerate(LABELS.tolist()) for j in range(3) if j != k]
        return sum(weight[k] * term(x[i, j] - x[i, k] + delta) for i, j, k in pairs) / 4

    assert_equals_composition(
        lambda x: F.hinge_loss(x, LABELS, delta=delta, squared=squared),
        lambda x: multiclass(x, np.ones(3)),
        x,
    )
    assert_equals_composition(
        lambda x: 3 * F.multi_margin_loss(x, LABELS, power, delta, weight),
        lambda x: multiclass(x, weight),
        x,
    )
    tags = np.where(np.eye(3)[LABELS] > 0, 1, -1)
    assert_equals_composition(
        lambda x: F.attribute_hinge_loss(x, tags, delta=delta, squared=squared),
        lambda x: gg.sum(term(delta - tags * x)) / 4,
        x,
    )


def test_a_sure_answer_leaves_the_other_costs_as_they_are() -> None:
    costs = F.binary_cross_entropy_with_logits([np.inf, 0.3], [1.0, 0.4], reduction="none")
    alone = F.binary_cross_entropy_with_logits([0.3], [0.4], reduction="none")
    np.testing.assert_allclose(costs, np.append(0, alone), rtol=1e-15)


def test_class_0_can_be_ignored() -> None:
    logits = np.random.default_rng(0).standard_normal((3, 4))
    ignoring = F.cross_entropy(logits, [0, 2, 1], ignore_index=0)
    np.testing.assert_allclose(ignoring, F.cross_entropy(logits[1:], [2, 1]))


def test_binary_cross_entropy_keeps_its_digits_near_the_minimum() -> None:
    """x − x t cancels where the target is nearly 1 and the logit right."""
    loss = F.binary_cross_entropy_with_logits(np.array(4.59375), np.array(0.99))
    np.testing.assert_allclose(loss, 0.056001543647627747886, 4e-16)  # by mpmath


KINKS: dict[str, tuple[Any, ...]] = {  # loss, point, gradient, second derivatives
    # at s_j − s_label + Δ = 0 the smallest subgradient is 0, and so is the second derivative
    "hinge": (lambda x: F.hinge_loss(x, 0, delta=1.0), [2, 1, 0], [0, 0, 0], [0, 0, 0]),
    "squared hinge": (
        lambda x: F.hinge_loss(x, 0, delta=1.0, squared=True),
        *([2, 1, 0], [0, 0, 0], [0, 0, 0]),
    ),
    "attributes": (lambda x: F.attribute_hinge_loss(x, [1, -1]), [1, -1], [0, 0], [0, 0]),
    "attributes, squared": (
        lambda x: F.attribute_hinge_loss(x, [1, -1], squared=True),
        *([1, -1], [0, 0], [0, 0]),
    ),
    "absolute": (lambda x: F.l1_loss(x, [1.0, 2.0], reduction="sum"), [1, 3], [0, 1], [0, 0]),
    # the gradient is ±δ from both sides; its slope, 1 or 0, is 0
    "huber": (
        lambda x: F.huber_loss(x, np.zeros(4), reduction="sum", delta=2.0),
        *([-2, 2, 1, 3], [-2, 2, 1, 2], [0, 0, 1, 0]),
    ),
}


@pytest.mark.parametrize(("loss", "at", "gradient", "curvature"), KINKS.values(), ids=KINKS)
def test_derivatives_at_kinks(loss: Any, at: Any, gradient: Any, curvature: Any) -> None:
    x = gg.Tensor(at, dtype=float, requires_grad=True)
    loss(x).backward()
    (g,) = gg.gradients([loss(x)], [x], create_graph=True)
    np.testing.assert_array_equal(x.grad, gradient)
    np.testing.assert_array_equal(g.numpy(), gradient)
    np.testing.assert_array_equal(gg.hessian(loss)(np.array(at, float)), np.diag(curvature))


CERTAIN: dict[str, tuple[Any, ...]] = {  # loss, point, value, gradient
    "class": (
        lambda x: F.cross_entropy(x, [1]),
        [[-math.inf, 0, 0]],
        math.log(2),
        [[0, -0.5, 0.5]],
    ),
    "one-hot": (
        lambda x: F.cross_entropy(x, [[0.0, 1.0, 0.0]]),
        *([[-math.inf, 0, 0]], math.log(2), [[0, -0.5, 0.5]]),
    ),
    "answers": (
        lambda x: F.binary_cross_entropy_with_logits(x, [1, 0, 1], reduction="sum"),
        *([math.inf, -math.inf, 0], math.log(2), [0, 0, -0.5]),
    ),
    "divergence": (lambda x: F.kl_div(x, [0.0, 1.0], reduction="sum"), [-math.inf, 0], 0, [0, -1]),
    "divergence, of logarithms": (
        lambda x: F.kl_div(x, [-math.inf, 0.0], reduction="sum", log_target=True),
        *([-math.inf, 0], 0, [0, -1]),
    ),
}


@pytest.mark.parametrize(("loss", "at", "value", "gradient"), CERTAIN.values(), ids=CERTAIN)
def test_what_is_excluded_and_has_no_target_costs_nothing(
    loss: Any, at: Any, value: Any, gradient: Any
) -> None:
    x = gg.Tensor(at, requires_grad=True)
    out = loss(x)
    out.backward()
    assert out.item() == pytest.approx(value)
    np.testing.assert_allclose(x.grad, gradient)


ONES, ZEROS = np.ones(3), np.zeros((4, 3))
ONE_EACH: dict[str, Callable[[Any], Any]] = {
    "mse": lambda x: F.mse_loss(x, ZEROS),
    "half": lambda x: F.half_squared_error(x, ZEROS.astype(int)),
    "l1": lambda x: F.l1_loss(x, ZEROS),
    "huber": lambda x: F.huber_loss(x, ZEROS, delta=np.float64(0.5)),
    "one-hot": lambda x: F.cross_entropy(x, np.eye(3, dtype=int)[LABELS]),
    "cross-entropy": lambda x: F.cross_entropy(x, LABELS, ONES, label_smoothing=0.1),
    "soft": lambda x: F.cross_entropy(x, SOFT, ONES),
    "nll": lambda x: F.nll_loss(x, LABELS, ONES),
    "binary": lambda x: F.binary_cross_entropy_with_logits(x, SOFT, ONES, pos_weight=2 * ONES),
    "kl": lambda x: F.kl_div(x, SOFT),
    "hinge": lambda x: F.hinge_loss(x, LABELS, delta=np.float64(2)),
    "multi": lambda x: F.multi_margin_loss(x, LABELS, weight=ONES),
    "attributes": lambda x: F.attribute_hinge_loss(x, np.ones((4, 3))),
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("name", ONE_EACH)
def test_targets_and_weights_do_not_widen_a_loss(name: str, dtype: Any) -> None:
    """A float64 target, as NumPy makes them, must not turn a float32 training into float64."""
    x = gg.Tensor(LOGITS, dtype=dtype, requires_grad=True)
    loss = ONE_EACH[name](x)
    loss.backward()
    assert loss.dtype == x.grad.dtype == dtype
    assert loss.item() == pytest.approx(float(ONE_EACH[name](LOGITS)), rel=1e-2)
    plain = ONE_EACH[name](LOGITS.astype(dtype))
    assert not isinstance(plain, gg.Tensor)
    assert plain.dtype == dtype


X = gg.Tensor(LOGITS, requires_grad=True)
REFUSED: Refusals = {
    ShapeError: {
        r"use x\[\.\.\., 0\]": lambda: F.mse_loss(X[:, :1], np.zeros(4)),
        r"use target\[\.\.\., 0\]": lambda: F.l1_loss(X[:, 0], np.zeros((4, 1))),
        "nothing is broadcast": lambda: F.huber_loss(X, np.zeros(3)),
        "mean of nothing": lambda: F.mse_loss(X[:0], np.zeros((0, 3))),
        r"it is \(3,\)": lambda: F.cross_entropy(X, LABELS, [1.0, 2.0]),
        "give an array": lambda: nn.CrossEntropyLoss(2.0),
        "from 0 to 3, allowed are 0 to 2": lambda: F.cross_entropy(X, [0, 3, 1, 1]),
        "from -1 to 0": lambda: F.cross_entropy(X, [0, -100, -1, 0]),
        r"labels \(2,\)": lambda: F.cross_entropy(X, [0, 1]),
        "sum to 1": lambda: F.cross_entropy(X, 2 * np.eye(3)[LABELS]),
        "≥ 0": lambda: F.cross_entropy(X, np.full((4, 3), [2.0, -1.0, 0.0])),
        "empty": lambda: F.cross_entropy(np.zeros((0, 3)), np.zeros(0, int)),
        r"want labels \(4,\)": lambda: F.nll_loss(X, np.eye(3)[LABELS]),
        r"2 \* target - 1": lambda: F.attribute_hinge_loss(X, np.eye(3)[LABELS]),
    },
    DtypeError: {r"astype\(int\)": lambda: F.cross_entropy(X, [0.0, 1.0, 1.0, 2.0])},
    ArgumentError: {
        "'mean', 'sum'": lambda: F.mse_loss(X, LOGITS, reduction="max"),  # type: ignore[arg-type]
        "MSELoss: reduction='batchmean'": lambda: nn.MSELoss(reduction="batchmean"),  # type: ignore[arg-type]
        "0 to 1": lambda: F.binary_cross_entropy_with_logits(X, 2 * SOFT),
        "log_target": lambda: F.kl_div(X, np.log(SOFT + 1e-9)),
    },
    UnsupportedError: {
        r"weight'; pass \.detach": lambda: F.cross_entropy(X, LABELS, X[0]),
        "cross_entropy.*detach": lambda: F.cross_entropy(X, gg.Tensor(SOFT, requires_grad=True)),
        "binary.*detach": lambda: F.binary_cross_entropy_with_logits(X, X * 0),
    },
}
test_what_does_not_fit_is_refused = refuses(REFUSED)
