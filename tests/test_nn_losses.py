"""Losses against their definitions, at their kinks, far out, and with arguments that do not fit."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import ArgumentError, DtypeError, GraphgradError, ShapeError, UnsupportedError
from graphgrad.nn.functional import likelihoods
from graphgrad.testing import check_op
from tests.equality import assert_equals_composition

F = nn.functional
RNG = np.random.default_rng(0)
LOGITS = RNG.standard_normal((4, 3))
LABELS = np.array([0, 2, 2, 1])
SOFT = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.1, 0.1, 0.8]])

# -------------------------------------------------------- row 5: the numbers of the documents

Y = np.array([0.1, 0.05, 0.6, 0.0, 0.05, 0.1, 0.0, 0.1, 0.0, 0.0])


def test_the_books_losses() -> None:
    """Half the sum of squares, and cross-entropy of probabilities, one-hot and by number."""
    assert F.half_squared_error(Y, np.eye(10)[2]) == pytest.approx(0.0975, abs=1e-12)
    assert F.nll_loss(np.log(np.maximum(Y, 1e-7)), 2) == pytest.approx(0.5108, abs=5e-5)
    assert F.nll_loss(np.log([0.9, 0.1]), 1) == pytest.approx(2.30, abs=5e-3)
    logits = np.log(np.maximum(Y, 1e-300))
    for label in (2, np.eye(10)[2]):
        assert F.cross_entropy(logits, label) == pytest.approx(0.5108, abs=5e-5)
    batch, labels = np.stack([logits, logits]), np.array([2, 0])
    expected = (0.5108 + 2.3026) / 2
    for given_labels in (labels, np.eye(10)[labels]):
        assert F.cross_entropy(batch, given_labels) == pytest.approx(expected, abs=5e-5)


def test_the_notes_hinge_loss() -> None:
    assert F.hinge_loss([13, -7, 11], 0, delta=10) == 8
    assert F.hinge_loss([13, -7, 11], 0, delta=10, squared=True) == 64
    assert F.multi_margin_loss([13, -7, 11], 0, margin=10) == pytest.approx(8 / 3)


def test_initial_losses_of_ten_classes() -> None:
    """What a network that knows nothing must show: log 10, and Δ for each wrong class."""
    scores, labels = np.zeros((5, 10)), np.arange(5)
    assert F.cross_entropy(scores, labels) == pytest.approx(2.302, abs=1e-3)
    assert F.hinge_loss(scores, labels) == 9


def test_regression_losses_of_the_notes() -> None:
    """‖f − y‖² and ‖f − y‖₁ of a sample are the sums."""
    f, y = np.array([1.0, -2.0, 3.0]), np.array([0.0, 0.0, 5.0])
    assert F.mse_loss(f, y, reduction="sum") == 9
    assert F.l1_loss(f, y, reduction="sum") == 5


def test_attribute_losses_of_the_notes() -> None:
    """A hinge, or a logistic loss, for each tag that an image has (1) or has not (−1)."""
    scores, tags = np.array([2.0, 0.5, -3.0]), np.array([1, -1, -1])
    assert F.attribute_hinge_loss(scores, tags) == 1.5
    assert F.attribute_hinge_loss(scores, tags, squared=True) == 2.25
    logistic = F.binary_cross_entropy_with_logits(scores, (tags + 1) / 2, reduction="sum")
    assert logistic == pytest.approx(np.log1p(np.exp(-tags * scores)).sum())


# ------------------------------------------------------------------------- cross-entropy


def by_definition(logits: gg.Tensor, target: Any) -> Any:
    """Compute −Σ t log(e^x / Σ e^x), mean over the rows, op by op."""
    e = logits.exp()
    y = e / e.sum(axis=-1, keepdims=True)
    return -(target * y.log()).sum(axis=-1).mean()


@pytest.mark.parametrize(
    ("labels", "target"),
    [(LABELS, np.eye(3)[LABELS]), (np.eye(3)[LABELS], np.eye(3)[LABELS]), (SOFT, SOFT)],
    ids=["classes", "one-hot", "probabilities"],
)
def test_cross_entropy_is_its_definition_to_second_order(labels: Any, target: Any) -> None:
    for derivative in (gg.value_and_grad, gg.hessian):
        ours = derivative(lambda x: F.cross_entropy(x, labels))(LOGITS)
        defined = derivative(lambda x: by_definition(x, target))(LOGITS)
        if derivative is gg.hessian:
            ours, defined = (ours,), (defined,)
        for a, b in zip(ours, defined, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


def test_cross_entropy_third_order() -> None:
    x = LOGITS[0]
    third = gg.jacobian(gg.hessian(lambda x: F.cross_entropy(x, 1)))(x)
    expected = gg.jacobian(gg.hessian(lambda x: by_definition(x, np.eye(3)[1])))(x)
    np.testing.assert_allclose(third, expected, rtol=1e-10, atol=1e-14)


def test_cross_entropy_keeps_the_laws_of_an_op() -> None:
    check_op(likelihoods._CROSS_ENTROPY)


def test_half_precision_averages_in_single() -> None:
    """The sum of 60,000 losses of 2.3 is past the largest half, their mean is not."""
    x = gg.Tensor(np.zeros((60_000, 10)), dtype=np.float16, requires_grad=True)
    loss = F.cross_entropy(x, np.zeros(60_000, int))
    assert loss.dtype == np.float16
    assert loss.item() == pytest.approx(np.log(10), rel=1e-3)


def test_cross_entropy_is_exact_for_huge_logits() -> None:
    x = gg.Tensor([[1000.0, -1000.0], [1000.0, -1000.0]], requires_grad=True)
    loss = F.cross_entropy(x, [0, 1])
    loss.backward()
    assert loss.item() == 1000  # the mean of 0 and 2000
    np.testing.assert_array_equal(x.grad, [[0, 0], [0.5, -0.5]])


def test_an_excluded_class_costs_nothing() -> None:
    """A logit of −∞ is a probability of 0; with a target of 0 it must not make a NaN."""
    for labels in (np.array([1]), np.array([[0.0, 1.0, 0.0]])):
        x = gg.Tensor([[-np.inf, 0.0, 0.0]], requires_grad=True)
        loss = F.cross_entropy(x, labels)
        loss.backward()
        assert loss.item() == pytest.approx(np.log(2))
        np.testing.assert_allclose(x.grad, [[0, -0.5, 0.5]])


def test_cross_entropy_of_one_sample_and_of_plain_arrays() -> None:
    assert F.cross_entropy(LOGITS[0], 2) == pytest.approx(F.cross_entropy(LOGITS[:1], [2]))
    assert not isinstance(F.cross_entropy(LOGITS, LABELS), gg.Tensor)


@pytest.mark.parametrize("labels", [LABELS, SOFT, np.eye(3, dtype=int)[LABELS]])
def test_float32_stays_float32(labels: Any) -> None:
    x = gg.Tensor(LOGITS, dtype=np.float32, requires_grad=True)
    loss = F.cross_entropy(x, labels)
    loss.backward()
    assert loss.dtype == x.grad.dtype == np.float32


def test_initial_loss_of_ten_classes() -> None:
    assert F.cross_entropy(np.zeros((5, 10)), np.arange(5)) == pytest.approx(np.log(10))


@pytest.mark.parametrize(
    ("labels", "error", "says"),
    [
        ([0, 3, 1, 1], ShapeError, "from 0 to 3, allowed are 0 to 2"),
        ([-1, 0, 1, 1], ShapeError, "from -1 to 1"),
        ([0.0, 1.0, 1.0, 2.0], DtypeError, r"astype\(int\)"),
        ([0, 1], ShapeError, r"labels \(2,\)"),
        (2 * np.eye(3)[LABELS], ShapeError, "sum to 1"),
        (np.full((4, 3), [2.0, -1.0, 0.0]), ShapeError, "≥ 0"),
        (gg.Tensor(SOFT, requires_grad=True), UnsupportedError, "detach"),
    ],
)
def test_wrong_labels_are_refused(labels: object, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        F.cross_entropy(gg.Tensor(LOGITS, requires_grad=True), labels)
    assert "test_nn_losses.py:" in str(caught.value), "the user's line is named"


@pytest.mark.parametrize(
    ("shape", "says"), [((0, 3), "empty"), ((3, 0), "classes"), ((0,), "classes"), ((), "classes")]
)
def test_wrong_logits_are_refused(shape: tuple[int, ...], says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        F.cross_entropy(np.zeros(shape), np.zeros(shape[:-1], int))


# ------------------------------------------------------- cross-entropy: options, any shape


@st.composite
def problems(draw: Any) -> tuple[Any, Any, dict[str, Any], Any]:
    """Draw logits, labels, options and what the loss of each sample is made of."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    classes = draw(st.integers(1, 4))
    shape = draw(st.sampled_from([(classes,), (3, classes), (2, classes, 2), (1, classes, 2, 2)]))
    axis = 1 if len(shape) > 1 else 0
    logits = rng.uniform(-3, 3, shape)
    weight = draw(st.sampled_from([None, rng.uniform(0.2, 2, classes)]))
    smoothing = draw(st.sampled_from([0.0, 0.3]))
    ignore_index = -100
    places = shape[:axis] + shape[axis + 1 :]
    if draw(st.booleans()):
        labels = target = np.exp(F.log_softmax(rng.uniform(-2, 2, shape), axis))
        share = np.ones(places)
    else:
        labels = rng.integers(0, classes, places)
        ignore_index = draw(st.sampled_from([-100, 0, 7]))
        labels = np.where(rng.uniform(size=places) < 0.3, ignore_index, labels)
        kept = labels != ignore_index
        if not kept.any():
            ignore_index, kept = -100, np.isin(labels, range(classes))
            labels = np.where(kept, labels, -100)
        one_hot = np.arange(classes) == labels[..., None]
        target = np.moveaxis(one_hot.astype(float), -1, axis) * np.expand_dims(kept, axis)
        share = kept.astype(float)
        if weight is not None:
            share = share * weight[np.where(kept, labels, 0)]
    q = target * (1 - smoothing) + target.sum(axis, keepdims=True) * smoothing / classes
    if weight is not None:
        q = q * np.moveaxis(np.broadcast_to(weight, (*places, classes)), -1, axis)
    options = {"weight": weight, "ignore_index": ignore_index, "label_smoothing": smoothing}
    return logits, labels, options, (q, share)


@given(problems(), st.sampled_from(["mean", "sum", "none"]))
@settings(max_examples=60)
def test_cross_entropy_with_options_is_its_definition(
    problem: tuple[Any, Any, dict[str, Any], Any], reduction: str
) -> None:
    logits, labels, options, (q, share) = problem
    axis = 1 if logits.ndim > 1 else 0
    if not share.sum():
        return

    def defined(x: Any) -> Any:
        e = gg.exp(x)
        losses = -gg.sum(q * gg.log(e / gg.sum(e, axis=axis, keepdims=True)), axis=axis)
        if reduction == "none":
            return losses
        return gg.sum(losses) / (share.sum() if reduction == "mean" else 1)

    assert_equals_composition(
        lambda x: F.cross_entropy(x, labels, reduction=reduction, **options), defined, logits
    )
    if labels.shape != logits.shape and not options.pop("label_smoothing"):
        assert_equals_composition(
            lambda x: F.nll_loss(F.log_softmax(x, axis), labels, reduction=reduction, **options),
            defined,
            logits,
        )


@pytest.mark.parametrize("options", [{}, {"weight": [1.0, 2.0, 3.0]}, {"label_smoothing": 0.2}])
def test_ignored_samples_have_no_influence_whatever_their_scores_are(
    options: dict[str, Any],
) -> None:
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


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_options_average_halves_in_single_precision(reduction: str) -> None:
    """60,000 losses of 2.3 are too many for a half; their mean is not."""
    x = np.zeros((60_000, 10), np.float16)
    labels = np.zeros(60_000, int)
    labels[0] = -100
    with np.errstate(over="ignore"):
        loss = F.cross_entropy(x, labels, np.ones(10), reduction=reduction)
    assert loss.dtype == np.float16
    expected = np.log(10) if reduction == "mean" else math.inf
    assert float(loss) == pytest.approx(expected, rel=1e-3)


# ----------------------------------------------------------------------- far out, exactly

PAIR = np.array([[1000.0, -1000.0], [1000.0, -1000.0]])
FAR: dict[str, tuple[Callable[[Any], Any], Any, float, Any]] = {  # loss, logits, value, gradient
    "mean": (lambda x: F.cross_entropy(x, [0, 1]), PAIR, 1000, [[0, 0], [0.5, -0.5]]),
    "one-hot": (lambda x: F.cross_entropy(x, np.eye(2)), PAIR, 1000, [[0, 0], [0.5, -0.5]]),
    "sum": (lambda x: F.cross_entropy(x, [0, 1], reduction="sum"), PAIR, 2000, [[0, 0], [1, -1]]),
    "weights": (
        lambda x: F.cross_entropy(x, [0, 1], [1.0, 3.0]),
        PAIR,
        1500,
        [[0, 0], [0.75, -0.75]],
    ),
    "ignoring": (lambda x: F.cross_entropy(x, [-100, 1]), PAIR, 2000, [[0, 0], [1, -1]]),
    "smoothing": (
        lambda x: F.cross_entropy(x, [0, 1], label_smoothing=0.5),
        PAIR,
        1000,
        [[0.125, -0.125], [0.375, -0.375]],
    ),
    "nll": (lambda x: F.nll_loss(F.log_softmax(x, -1), [0, 1]), PAIR, 1000, [[0, 0], [0.5, -0.5]]),
    "binary": (
        lambda x: F.binary_cross_entropy_with_logits(x, [[1, 0], [0, 1]], reduction="sum"),
        PAIR,
        2000,
        [[0, 0], [1, -1]],
    ),
    "binary, weighted": (
        lambda x: F.binary_cross_entropy_with_logits(
            x, [[1, 0], [0, 1]], reduction="sum", pos_weight=3.0
        ),
        PAIR,
        4000,
        [[0, 0], [1, -3]],
    ),
    "hinge": (lambda x: F.hinge_loss(x, [0, 1]), PAIR, 1000.5, [[0, 0], [0.5, -0.5]]),
    "divergence": (
        lambda x: F.kl_div(F.log_softmax(x, -1), np.eye(2), reduction="batchmean"),
        PAIR,
        1000,
        [[0, 0], [0.5, -0.5]],
    ),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FAR)
def test_losses_are_exact_for_huge_scores(name: str, dtype: Any) -> None:
    """Value, gradient by both sweeps, and second derivatives: all of them 0 there."""
    loss, at, value, gradient = FAR[name]
    x = gg.Tensor(at, dtype=dtype, requires_grad=True)
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


def test_an_excluded_answer_costs_nothing() -> None:
    x = gg.Tensor([np.inf, -np.inf, 0.0], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x, [1, 0, 1], reduction="sum")
    loss.backward()
    assert loss.item() == pytest.approx(np.log(2))
    np.testing.assert_allclose(x.grad, [0, 0, -0.5])


# ------------------------------------------------------------------------ other definitions

ELEMENTWISE: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "mse": (F.mse_loss, lambda d: d * d),
    "l1": (F.l1_loss, lambda d: gg.sqrt(d * d)),
    "huber": (
        lambda x, t, **options: F.huber_loss(x, t, delta=0.7, **options),
        lambda d: gg.where(np.abs(d.numpy()) <= 0.7, d * d / 2, 0.7 * (gg.sqrt(d * d) - 0.35)),
    ),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_regression_losses_are_their_definitions(
    name: str, shape: tuple[int, ...], reduction: str
) -> None:
    loss, of = ELEMENTWISE[name]
    rng = np.random.default_rng(1)

    def defined(x: Any, t: Any) -> Any:
        losses = of(x - t)
        sums = gg.sum(losses)
        return {"mean": sums / max(1, x.size), "sum": sums, "none": losses}[reduction]

    assert_equals_composition(
        lambda x, t: loss(x, t, reduction=reduction), defined, *rng.uniform(-2, 2, (2, *shape))
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

    def term(margin: Any) -> Any:
        return gg.where(margin.numpy() > 0, margin, 0.0) ** power

    def multiclass(x: Any) -> Any:
        pairs = [(i, j) for i in range(4) for j in range(3) if j != LABELS[i]]
        return sum(term(x[i, j] - x[i, int(LABELS[i])] + delta) for i, j in pairs) / 4

    assert_equals_composition(
        lambda x: F.hinge_loss(x, LABELS, delta=delta, squared=squared), multiclass, x
    )
    assert_equals_composition(
        lambda x: 3 * F.multi_margin_loss(x, LABELS, power, delta), multiclass, x
    )
    tags = np.where(np.eye(3)[LABELS] > 0, 1, -1)
    assert_equals_composition(
        lambda x: F.attribute_hinge_loss(x, tags, delta=delta, squared=squared),
        lambda x: gg.sum(term(delta - tags * x)) / 4,
        x,
    )


def test_multi_margin_loss_weighs_by_the_label() -> None:
    weight = np.array([0.5, 2.0, 3.0])
    each = F.multi_margin_loss(LOGITS, LABELS, reduction="none")
    weighted = F.multi_margin_loss(LOGITS, LABELS, weight=weight)
    assert weighted == pytest.approx((each * weight[LABELS]).mean())


def test_binary_cross_entropy_is_its_definition() -> None:
    rng = np.random.default_rng(3)
    x, t = rng.uniform(-3, 3, (3, 2)), rng.uniform(0, 1, (3, 2))
    weight, more = rng.uniform(0.5, 2, (3, 1)), rng.uniform(0.5, 2, 2)

    def defined(x: Any) -> Any:
        y = 1 / (1 + gg.exp(-x))
        return -gg.mean(weight * (more * t * gg.log(y) + (1 - t) * gg.log(1 - y)))

    assert_equals_composition(
        lambda x: F.binary_cross_entropy_with_logits(x, t, weight, pos_weight=more), defined, x
    )


@pytest.mark.parametrize("log_target", [False, True])
def test_divergence_is_its_definition(log_target: bool) -> None:
    rng = np.random.default_rng(4)
    x = np.log(rng.dirichlet(np.ones(3), 2))
    t = rng.dirichlet(np.ones(3), 2)

    def defined(x: Any, t: Any) -> Any:
        p = gg.exp(t) if log_target else t
        return gg.sum(p * (gg.log(p) - x)) / 2

    assert_equals_composition(
        lambda x, t: F.kl_div(x, t, reduction="batchmean", log_target=log_target),
        defined,
        x,
        np.log(t) if log_target else t,
    )
    assert F.kl_div(np.log(t), t, reduction="sum") == pytest.approx(0, abs=1e-15)


def test_what_a_divergence_leaves_out_costs_nothing() -> None:
    """0 log 0 is 0, and where the target is 0 an x of −∞ is right."""
    x = gg.Tensor([-np.inf, 0.0], requires_grad=True)
    for t, log_target in (([0.0, 1.0], False), ([-np.inf, 0.0], True)):
        loss = F.kl_div(x, t, reduction="sum", log_target=log_target)
        (g,) = gg.gradients([loss], [x])
        assert loss.item() == 0
        np.testing.assert_array_equal(g, [0, -1])


# --------------------------------------------------------------------------------- kinks


def first_and_second(f: Callable[[Any], Any], at: Any) -> tuple[Any, Any]:
    """Return the gradient by both sweeps, which must agree, and the Hessian."""
    x = gg.Tensor(at, requires_grad=True)
    f(x).backward()
    (g,) = gg.gradients([f(x)], [x], create_graph=True)
    np.testing.assert_array_equal(g.numpy(), x.grad)
    return x.grad, gg.hessian(f)(np.asarray(at))


@pytest.mark.parametrize("squared", [False, True])
def test_a_margin_that_is_just_kept_pulls_at_nothing(squared: bool) -> None:
    """At s_j − s_label + Δ = 0 the smallest subgradient is 0, and so is the second derivative."""
    first, second = first_and_second(
        lambda x: F.hinge_loss(x, 0, delta=1.0, squared=squared), [2.0, 1.0, 0.0]
    )
    np.testing.assert_array_equal(first, [0, 0, 0])
    np.testing.assert_array_equal(second, np.zeros((3, 3)))
    first, second = first_and_second(
        lambda x: F.attribute_hinge_loss(x, [1, -1], squared=squared), [1.0, -1.0]
    )
    np.testing.assert_array_equal(first, [0, 0])
    np.testing.assert_array_equal(second, np.zeros((2, 2)))


def test_the_absolute_error_at_0() -> None:
    first, second = first_and_second(
        lambda x: F.l1_loss(x, [1.0, 2.0], reduction="sum"), [1.0, 3.0]
    )
    np.testing.assert_array_equal(first, [0, 1])
    np.testing.assert_array_equal(second, np.zeros((2, 2)))


def test_hubers_error_where_its_pieces_meet() -> None:
    """The gradient is ±δ from both sides; its slope, 1 or 0, is 0."""
    first, second = first_and_second(
        lambda x: F.huber_loss(x, np.zeros(4), reduction="sum", delta=2.0), [-2.0, 2.0, 1.0, 3.0]
    )
    np.testing.assert_array_equal(first, [-2, 2, 1, 2])
    np.testing.assert_array_equal(second, np.diag([0, 0, 1, 0]))


# --------------------------------------------------------------------------------- dtypes

ONE_EACH: dict[str, Callable[[Any], Any]] = {
    "mse": lambda x: F.mse_loss(x, np.zeros((4, 3))),
    "half": lambda x: F.half_squared_error(x, np.zeros((4, 3), int)),
    "l1": lambda x: F.l1_loss(x, np.zeros((4, 3))),
    "huber": lambda x: F.huber_loss(x, np.zeros((4, 3)), delta=np.float64(0.5)),
    "cross-entropy": lambda x: F.cross_entropy(x, LABELS, np.ones(3), label_smoothing=0.1),
    "soft": lambda x: F.cross_entropy(x, SOFT, np.ones(3)),
    "nll": lambda x: F.nll_loss(x, LABELS, np.ones(3)),
    "binary": lambda x: F.binary_cross_entropy_with_logits(
        x, SOFT, np.ones(3), pos_weight=np.full(3, 2)
    ),
    "kl": lambda x: F.kl_div(x, SOFT),
    "hinge": lambda x: F.hinge_loss(x, LABELS, delta=np.float64(2)),
    "multi": lambda x: F.multi_margin_loss(x, LABELS, weight=np.ones(3)),
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


# ----------------------------------------------------------------------- what is refused

REFUSED: dict[str, tuple[Callable[[Any], Any], type[GraphgradError], str]] = {
    "a column beside a vector": (
        lambda x: F.mse_loss(x[:, :1], np.zeros(4)),
        ShapeError,
        r"use x\[\.\.\., 0\]",
    ),
    "a vector beside a column": (
        lambda x: F.l1_loss(x[:, 0], np.zeros((4, 1))),
        ShapeError,
        r"use target\[\.\.\., 0\]",
    ),
    "shapes that would broadcast": (
        lambda x: F.huber_loss(x, np.zeros(3)),
        ShapeError,
        "nothing is broadcast",
    ),
    "a number as target": (lambda x: F.mse_loss(x, 0.0), ShapeError, r"target \(\)"),
    "an empty batch": (
        lambda x: F.mse_loss(x[:0], np.zeros((0, 3))),
        ShapeError,
        "mean of nothing",
    ),
    "no features": (lambda x: F.half_squared_error(x[0, 0], 1.0), ShapeError, "no features"),
    "a delta of 0": (
        lambda x: F.huber_loss(x, np.zeros((4, 3)), delta=0),
        ArgumentError,
        "delta=0",
    ),
    "an unknown reduction": (
        lambda x: F.mse_loss(x, np.zeros((4, 3)), reduction="max"),
        ArgumentError,
        "'mean', 'sum'",
    ),
    "an unknown reduction of classes": (
        lambda x: F.cross_entropy(x, LABELS, reduction="batchmean"),
        ArgumentError,
        "'none'",
    ),
    "too few weights": (
        lambda x: F.cross_entropy(x, LABELS, [1.0, 2.0]),
        ShapeError,
        r"it is \(3,\)",
    ),
    "too much smoothing": (
        lambda x: F.cross_entropy(x, LABELS, label_smoothing=1.5),
        ArgumentError,
        "1.5",
    ),
    "learned weights": (
        lambda x: F.cross_entropy(x, LABELS, gg.Tensor([1.0, 2, 3], requires_grad=True)),
        UnsupportedError,
        r"weight'; pass \.detach",
    ),
    "a label outside": (lambda x: F.nll_loss(x, [0, 3, 0, 0]), ShapeError, "allowed are 0 to 2"),
    "an ignored label and one outside": (
        lambda x: F.cross_entropy(x, [0, -100, -1, 0]),
        ShapeError,
        "from -1 to 0",
    ),
    "floating labels": (lambda x: F.nll_loss(x, [0.0, 1, 0, 0]), DtypeError, "astype"),
    "one-hot labels for nll": (
        lambda x: F.nll_loss(x, np.eye(3)[LABELS]),
        ShapeError,
        r"want labels \(4,\)",
    ),
    "floating labels of a hinge": (lambda x: F.hinge_loss(x, [0.0, 1, 0, 0]), DtypeError, "astype"),
    "a label outside, of a hinge": (
        lambda x: F.hinge_loss(x, [0, 1, 0, -1]),
        ShapeError,
        "from -1 to 1",
    ),
    "one label for a batch": (lambda x: F.hinge_loss(x, 1), ShapeError, r"labels \(\)"),
    "a cubic hinge": (lambda x: F.multi_margin_loss(x, LABELS, 3), ArgumentError, "p=3"),
    "tags of 0 and 1": (
        lambda x: F.attribute_hinge_loss(x, np.eye(3)[LABELS]),
        ShapeError,
        r"2 \* target - 1",
    ),
    "a probability of 2": (
        lambda x: F.binary_cross_entropy_with_logits(x, 2 * SOFT),
        ArgumentError,
        "0 to 1",
    ),
    "a NaN as target": (
        lambda x: F.binary_cross_entropy_with_logits(x, np.nan * SOFT),
        ArgumentError,
        "nan",
    ),
    "weights that do not fit": (
        lambda x: F.binary_cross_entropy_with_logits(x, SOFT, np.ones(4)),
        ShapeError,
        "weight",
    ),
    "positive weights that would stretch": (
        lambda x: F.binary_cross_entropy_with_logits(x, SOFT, pos_weight=np.ones((2, 4, 3))),
        ShapeError,
        "pos_weight",
    ),
    "a learned target": (
        lambda x: F.binary_cross_entropy_with_logits(x, x * 0),
        UnsupportedError,
        "detach",
    ),
    "logarithms as target": (
        lambda x: F.kl_div(x, np.log(SOFT + 1e-9)),
        ArgumentError,
        "log_target",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name: str) -> None:
    attempt, error, says = REFUSED[name]
    with pytest.raises(error, match=says) as caught:
        attempt(gg.Tensor(LOGITS, requires_grad=True))
    assert "test_nn_losses.py:" in str(caught.value), "the user's line is named"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: nn.MSELoss(reduction="batchmean"), "MSELoss: reduction='batchmean'"),
        (lambda: nn.KLDivLoss(reduction="max"), "'batchmean'"),
        (lambda: nn.HuberLoss(delta=-1), "delta=-1"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=-0.1), "label_smoothing=-0.1"),
        (lambda: nn.CrossEntropyLoss(2.0), "give an array"),
        (lambda: nn.MultiMarginLoss(p=3), "p=3"),
    ],
)
def test_options_are_checked_when_a_loss_is_made(make: Callable[[], Any], says: str) -> None:
    with pytest.raises((ArgumentError, ShapeError), match=says):
        make()
