"""The numbers that the documents print about losses and layers, from the scripts in examples/."""

import numpy as np
import pytest

from graphgrad.nn import functional
from tests.test_seeds import example

# ------------------------------------------------------------------------------ row 5: losses

NUMBERS = {  # value, half a unit of the last digit given
    "half the sum of squares, y against class 2": (0.0975, 5e-5),
    "cross-entropy of y, class 2": (0.5108, 5e-5),
    "cross-entropy of y, class 2 one-hot": (0.5108, 5e-5),
    "cross-entropy where y is 0.1": (2.30, 5e-3),
    "hinge of [13, -7, 11], class 0, Δ = 10": (8, 0),
    "ten classes, no idea: softmax": (2.302, 1e-3),
    "ten classes, no idea: SVM": (9, 0),
}


def test_losses() -> None:
    found = example("losses").numbers()
    assert set(found) == set(NUMBERS)
    for name, (value, tolerance) in NUMBERS.items():
        assert found[name] == pytest.approx(value, abs=tolerance, rel=0), name


def test_the_slopes_drawn_are_those_of_the_losses() -> None:
    script = example("losses")
    for name, (values, slopes) in script.curves().items():
        drawn = np.gradient(values, script.MARGINS)
        kinks = np.abs(np.gradient(slopes)) > 0.1
        near = np.convolve(kinks, np.ones(5), "same") > 0
        np.testing.assert_allclose(slopes[~near], drawn[~near], atol=2e-2, err_msg=name)


# ------------------------------------------------------------------------------ row 10: layers


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_layers_by_hand_by_graphgrad_and_by_differences(
    activation: str, shape: tuple[int, ...]
) -> None:
    script = example("layers")
    values, labels = script.problem(shape)
    loss, hand = script.by_hand(activation, values, labels)
    found, swept = script.by_graphgrad(activation, values, labels)
    assert loss == pytest.approx(found, rel=1e-12)
    numeric = script.by_differences(activation, values, labels)
    for a, b, c in zip(hand, swept, numeric, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(b, c, rtol=1e-5, atol=1e-8)


def test_softmax_with_loss_passes_back_y_minus_t_over_the_batch_size() -> None:
    script = example("layers")
    scores = np.random.default_rng(0).standard_normal((4, 3))
    t = np.eye(3)[[0, 2, 1, 1]]
    layer = script.SoftmaxWithLoss()
    assert layer.forward(scores, t) == pytest.approx(functional.cross_entropy(scores, t))
    np.testing.assert_allclose(layer.backward(), (functional.softmax(scores) - t) / 4)
