"""The numbers that the documents print about losses and layers, from the scripts in examples/."""

import numpy as np
import pytest

from tests.examples.test_numbers import example


def test_the_slopes_drawn_are_those_of_the_losses() -> None:
    script = example("losses")
    for name, (values, slopes) in script.curves().items():
        drawn = np.gradient(values, script.MARGINS)
        kinks = np.abs(np.gradient(slopes)) > 0.1
        near = np.convolve(kinks, np.ones(5), "same") > 0
        np.testing.assert_allclose(slopes[~near], drawn[~near], atol=2e-2, err_msg=name)


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_layers_by_hand_here_and_by_differences(activation: str, shape: tuple[int, ...]) -> None:
    script = example("layers")
    values, labels = script.problem(shape)
    loss, hand = script.by_hand(activation, values, labels)
    found, swept = script.by_graphgrad(activation, values, labels)
    assert loss == pytest.approx(found, rel=1e-12)
    numeric = script.by_differences(activation, values, labels)
    for a, b, c in zip(hand, swept, numeric, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(b, c, rtol=1e-5, atol=1e-8)
