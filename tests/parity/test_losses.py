"""Losses equal PyTorch's: values, first and second derivatives, over shapes and options."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from graphgrad import nn
from tests.parity.compare import agree

torch = pytest.importorskip("torch")
F, T = nn.functional, torch.nn.functional
REDUCTIONS = st.sampled_from(["mean", "sum", "none"])


@st.composite
def classifications(draw: Any) -> tuple[Any, Any, Any, int]:
    """Draw logits, class numbers with some ignored, weights and the ignored number."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    classes = draw(st.integers(1, 5))
    shape = draw(st.sampled_from([(classes,), (4, classes), (2, classes, 3), (2, classes, 1, 2)]))
    places = shape[:1] + shape[2:] if len(shape) > 1 else ()
    ignore_index = draw(st.sampled_from([-100, 0, -1]))
    labels = rng.integers(0, classes, places)
    labels = np.where(rng.uniform(size=places) < 0.25, ignore_index, labels)
    weight = draw(st.sampled_from([None, rng.uniform(0.1, 2, classes)]))
    return rng.uniform(-4, 4, shape), labels, weight, ignore_index


def compare(name: str, x: Any, target: Any, **options: Any) -> None:
    given = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    agree(
        lambda x: getattr(F, name)(x, target, **options),
        lambda x: getattr(T, name)(x, torch.tensor(target), **given),
        x,
    )


@given(classifications(), REDUCTIONS, st.sampled_from([0.0, 0.1, 1.0]))
@settings(max_examples=80)
def test_cross_entropy_of_labels(problem: Any, reduction: str, smoothing: float) -> None:
    logits, labels, weight, ignored = problem
    if reduction == "mean" and (labels == ignored).all():
        return  # PyTorch: NaN; here an error
    options: Any = {"weight": weight, "ignore_index": ignored, "reduction": reduction}
    compare("cross_entropy", logits, labels, label_smoothing=smoothing, **options)
    if not smoothing:
        compare("nll_loss", logits, labels, **options)


@given(classifications(), REDUCTIONS, st.sampled_from([0.0, 0.1]))
@settings(max_examples=40)
def test_cross_entropy_of_distributions(problem: Any, reduction: str, smoothing: float) -> None:
    logits, _, weight, _ = problem
    axis = min(1, logits.ndim - 1)
    target = np.exp(np.sin(logits))
    target /= target.sum(axis=axis, keepdims=True)
    options: Any = {"weight": weight, "reduction": reduction, "label_smoothing": smoothing}
    compare("cross_entropy", logits, target, **options)


@given(
    st.integers(0, 2**32),
    st.sampled_from([(), (3,), (2, 3), (2, 1, 3)]),
    REDUCTIONS,
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=40)
def test_binary_cross_entropy(
    seed: int, shape: tuple[int, ...], reduction: Any, weighted: bool, pos_weighted: bool
) -> None:
    rng = np.random.default_rng(seed)
    x, t = rng.uniform(-5, 5, shape), rng.integers(0, 3, shape) / 2
    weight, pos_weight = (
        rng.uniform(0.1, 2, shape[-1:]) if given else None for given in (weighted, pos_weighted)
    )
    options: Any = {"weight": weight, "pos_weight": pos_weight, "reduction": reduction}
    compare("binary_cross_entropy_with_logits", x, t, **options)


@pytest.mark.filterwarnings("ignore:reduction")
@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "batchmean"])
@pytest.mark.parametrize("log_target", [False, True])
def test_divergence(log_target: bool, reduction: Any) -> None:
    x, t = np.random.default_rng(0).uniform(0.1, 2, (2, 3, 4))
    options: dict[str, Any] = {"reduction": reduction, "log_target": log_target}
    agree(lambda x, t: F.kl_div(x, t, **options), lambda x, t: T.kl_div(x, t, **options), x, t)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("p", [1, 2])
def test_multi_margin_loss_and_what_the_hinge_loss_is_to_it(p: int, reduction: Any) -> None:
    """Its second derivative is not implemented there."""
    rng = np.random.default_rng(0)
    x, labels, weight = rng.uniform(-1, 1, (5, 4)), rng.integers(0, 4, 5), rng.uniform(0.1, 2, 4)

    def expected(x: Any, **options: Any) -> Any:
        labels_there = torch.tensor(labels)
        return T.multi_margin_loss(x, labels_there, p, 0.6, reduction=reduction, **options)

    agree(
        lambda x: F.multi_margin_loss(x, labels, p, 0.6, weight, reduction=reduction),
        lambda x: expected(x, weight=torch.tensor(weight)),
        x,
        order=1,
    )
    agree(
        lambda x: F.hinge_loss(x, labels, delta=0.6, squared=p == 2, reduction=reduction),
        lambda x: 4 * expected(x),
        x,
        order=1,
    )


def gradient(f: Callable[[Any], Any], at: Any) -> tuple[float, list[Any]]:
    x = torch.tensor(at, requires_grad=True)
    y = f(x)
    y.backward()
    return y.item(), x.grad.tolist()


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_where_pytorch_differs_docs_conventions_says_how() -> None:
    inf = np.inf
    for value, _ in (
        gradient(lambda x: T.cross_entropy(x, torch.tensor([0.0, 1.0])), [-inf, 0.0]),
        gradient(
            lambda x: T.binary_cross_entropy_with_logits(x, torch.tensor([0.0, 1.0])), [-inf, 0.0]
        ),
        gradient(lambda x: T.kl_div(x, torch.tensor([0.0, 1.0]), reduction="sum"), [-inf, 0.0]),
        gradient(lambda x: T.cross_entropy(x, torch.tensor([-100])), [[1.0, 0.0]]),
        gradient(
            lambda x: T.cross_entropy(x[:0], torch.tensor([], dtype=torch.long)), [[1.0, 0.0]]
        ),
    ):
        assert np.isnan(value)
    sure = gradient(lambda x: T.binary_cross_entropy_with_logits(x, torch.tensor([1.0])), [20.0])
    assert sure[1] == [0]
    labels = torch.tensor([-100, 1])
    _, ignored = gradient(lambda x: T.cross_entropy(x, labels), [[inf, 0.0], [0.0, 0.0]])
    assert np.isnan(ignored[0]).all()
    assert T.mse_loss(torch.zeros(3), torch.ones(3, 1), reduction="none").shape == (3, 3)
    assert torch.isnan(T.dropout(torch.tensor([inf]), 1.0)).all()
    assert gradient(lambda x: T.multi_margin_loss(x, torch.tensor(0)), [2.0, 1.0])[1] == [0, 0]
    at_delta = gradient(lambda x: T.huber_loss(x, torch.zeros(1), delta=2.0), [2.0])
    assert at_delta[1] == [2]
