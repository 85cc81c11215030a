"""Cross-entropy and initial values against their definitions."""

from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import DtypeError, ShapeError, UnsupportedError
from graphgrad.testing import check_op

cross_entropy = nn.functional.cross_entropy
RNG = np.random.default_rng(0)
LOGITS = RNG.standard_normal((4, 3))
LABELS = np.array([0, 2, 2, 1])
SOFT = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.1, 0.1, 0.8]])


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
        ours = derivative(lambda x: cross_entropy(x, labels))(LOGITS)
        defined = derivative(lambda x: by_definition(x, target))(LOGITS)
        if derivative is gg.hessian:
            ours, defined = (ours,), (defined,)
        for a, b in zip(ours, defined, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


def test_cross_entropy_third_order() -> None:
    x = LOGITS[0]
    third = gg.jacobian(gg.hessian(lambda x: cross_entropy(x, 1)))(x)
    expected = gg.jacobian(gg.hessian(lambda x: by_definition(x, np.eye(3)[1])))(x)
    np.testing.assert_allclose(third, expected, rtol=1e-10, atol=1e-14)


def test_cross_entropy_keeps_the_laws_of_an_op() -> None:
    check_op(nn.functional.losses._CROSS_ENTROPY)


def test_half_precision_averages_in_single() -> None:
    """The sum of 60,000 losses of 2.3 is past the largest half, their mean is not."""
    x = gg.Tensor(np.zeros((60_000, 10)), dtype=np.float16, requires_grad=True)
    loss = cross_entropy(x, np.zeros(60_000, int))
    assert loss.dtype == np.float16
    assert loss.item() == pytest.approx(np.log(10), rel=1e-3)


def test_cross_entropy_is_exact_for_huge_logits() -> None:
    x = gg.Tensor([[1000.0, -1000.0], [1000.0, -1000.0]], requires_grad=True)
    loss = cross_entropy(x, [0, 1])
    loss.backward()
    assert loss.item() == 1000  # the mean of 0 and 2000
    np.testing.assert_array_equal(x.grad, [[0, 0], [0.5, -0.5]])


def test_an_excluded_class_costs_nothing() -> None:
    """A logit of −∞ is a probability of 0; with a target of 0 it must not make a NaN."""
    for labels in (np.array([1]), np.array([[0.0, 1.0, 0.0]])):
        x = gg.Tensor([[-np.inf, 0.0, 0.0]], requires_grad=True)
        loss = cross_entropy(x, labels)
        loss.backward()
        assert loss.item() == pytest.approx(np.log(2))
        np.testing.assert_allclose(x.grad, [[0, -0.5, 0.5]])


def test_cross_entropy_of_one_sample_and_of_plain_arrays() -> None:
    assert cross_entropy(LOGITS[0], 2) == pytest.approx(cross_entropy(LOGITS[:1], [2]))
    assert not isinstance(cross_entropy(LOGITS, LABELS), gg.Tensor)


@pytest.mark.parametrize("labels", [LABELS, SOFT, np.eye(3, dtype=int)[LABELS]])
def test_float32_stays_float32(labels: Any) -> None:
    x = gg.Tensor(LOGITS, dtype=np.float32, requires_grad=True)
    loss = cross_entropy(x, labels)
    loss.backward()
    assert loss.dtype == x.grad.dtype == np.float32


def test_initial_loss_of_ten_classes() -> None:
    assert cross_entropy(np.zeros((5, 10)), np.arange(5)) == pytest.approx(np.log(10))


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
        cross_entropy(gg.Tensor(LOGITS, requires_grad=True), labels)
    assert "test_nn.py:" in str(caught.value), "the user's line is named"


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (), (2, 2, 3)])
def test_wrong_logits_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"\(N, C\)"):
        cross_entropy(np.zeros(shape), np.zeros(shape[:-1], int))


def test_he_normal() -> None:
    W = nn.init.he_normal((200, 30, 5, 5), np.random.default_rng(0))
    assert W.shape == (200, 30, 5, 5)
    assert W.dtype == np.float32
    assert np.var(W) == pytest.approx(2 / (30 * 5 * 5), rel=0.02)
    assert abs(np.mean(W)) < 1e-3


def test_he_normal_draws_from_the_given_or_the_default_generator() -> None:
    gg.manual_seed(7)
    ours = nn.init.he_normal((3, 2), dtype=np.float64)
    np.testing.assert_array_equal(
        ours, nn.init.he_normal((3, 2), np.random.default_rng(7), np.float64)
    )
    assert not np.array_equal(ours, nn.init.he_normal((3, 2), dtype=np.float64))


@pytest.mark.parametrize("shape", [(3,), (), (3, 0)])
def test_he_normal_needs_inputs(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="no inputs"):
        nn.init.he_normal(shape)
