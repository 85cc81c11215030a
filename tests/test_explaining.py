"""explain_grad: each use of a tensor, its line and its contribution; they sum to the gradient."""

import re
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import GraphError, ShapeError


def test_uses_are_listed_in_their_order_with_their_lines() -> None:
    w = gg.Tensor([1.0, 2.0], requires_grad=True, name="w")
    loss = np.sum(w * 3)
    loss = loss + 0.5 * np.sum(w * w)
    explained = gg.explain_grad(loss, w)
    assert [use.op for use in explained] == ["multiply", "multiply", "multiply"]
    assert [use.contribution.tolist() for use in explained] == [[3, 3], [0.5, 1], [0.5, 1]]
    first, *others = (use.line for use in explained)
    assert re.fullmatch(r"test_explaining\.py:\d+", first)
    assert others == [others[0]] * 2 != [first] * 2
    text = str(explained)
    assert text.startswith("gradient of w (2,): 3 uses\nmultiply      test_explaining.py:")
    assert "multiply × 2  test_explaining.py:" in text
    assert text.endswith("[4. 5.]")
    assert w.grad is None
    loss.backward()
    np.testing.assert_array_equal(explained.gradient, w.grad)


def test_reading_elements_is_a_use_each() -> None:
    x = gg.Tensor(np.arange(4.0), requires_grad=True)
    explained = gg.explain_grad(x[0] * 2 + np.sum(x[1:]), x)
    assert [use.contribution.tolist() for use in explained] == [[2, 0, 0, 0], [0, 1, 1, 1]]


def test_uses_sum_to_the_gradient_of_a_layer_used_twice() -> None:
    rng = np.random.default_rng(0)
    layer = nn.Linear(3, 3, rng=rng)
    x = gg.Tensor(rng.normal(size=(2, 3)).astype(np.float32))
    loss = np.sum(layer(np.tanh(layer(x))) ** 2)
    explained = gg.explain_grad(loss, layer.weight)
    loss.backward()
    assert len(explained) == 2
    total = np.sum([use.contribution for use in explained], axis=0)
    np.testing.assert_allclose(total, layer.weight.grad, rtol=1e-6)


def test_a_call_that_is_computed_again_is_one_use() -> None:
    x = gg.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    explained = gg.explain_grad(np.sum(gg.recompute(lambda a: a * a + np.sin(a), x) * x), x)
    assert [use.op for use in explained] == ["recompute", "multiply"]
    total = np.sum([use.contribution for use in explained], axis=0)
    np.testing.assert_allclose(total, explained.gradient)


def test_a_value_on_the_way_and_the_loss_itself() -> None:
    x = gg.Tensor(2.0, requires_grad=True)
    y = x * x
    loss = y * 3 + y
    assert [float(use.contribution) for use in gg.explain_grad(loss, y)] == [3, 1]
    assert gg.explain_grad(loss, loss).gradient == 1
    assert str(gg.explain_grad(loss, loss)).startswith("gradient of the tensor (): no uses")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda x: x * 2, ShapeError, r"shape \(2,\), not one number"),
        (lambda x: np.sum(x.detach()), GraphError, "the loss requires no gradient"),
        (lambda _: gg.Tensor(1.0, requires_grad=True) * 2, GraphError, "not computed from x"),
    ],
)
def test_what_cannot_be_explained(make: Any, error: Any, words: str) -> None:
    x = gg.Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(error, match=words):
        gg.explain_grad(make(x), x)
