"""The numbers that the source documents print: activations, initial values.

Tolerances are half a unit of the last digit given.
"""

import numpy as np

from tests.examples.test_numbers import example


def test_every_curve_has_its_slope() -> None:
    """The slopes in the picture are those of differences, but for the columns beside a kink."""
    script = example("activations")
    for name, function in script.CURVES.items():
        y, slope = script.curve(function)
        differences = np.gradient(y, script.X)
        wrong = np.abs(slope - differences) > 1e-3
        assert np.count_nonzero(wrong) <= 4, name


FIVE = 5


def spread(function: str, init: str) -> list[float]:
    """Return the standard deviation of the activations of each layer."""
    script = example("initialisation")
    values = script.activations(script.ACTIVATIONS[function][0], script.INITS[init])
    assert values.shape == (FIVE, 1000, 100)
    return [float(layer.std()) for layer in values]


def test_large_weights_saturate() -> None:
    """N(0, 1): sigmoid at 0 and 1, tanh at −1 and 1, where the gradient vanishes."""
    assert min(spread("sigmoid", "N(0, 1)")) > 0.4  # half of each would be 0.5
    assert min(spread("tanh", "N(0, 1)")) > 0.9


def test_small_weights_leave_nothing() -> None:
    """N(0, 0.01²): each layer has a tenth of the one before; sigmoid says ½ to all."""
    assert max(spread("sigmoid", "N(0, 0.01²)")) < 0.03
    layers = spread("tanh", "N(0, 0.01²)")
    ratios = np.divide(layers[1:], layers[:-1])
    np.testing.assert_allclose(ratios, 0.1, rtol=0.15)
    assert spread("ReLU", "N(0, 0.01²)")[-1] < 1e-5


def test_xavier_keeps_tanh_alive_and_he_relu() -> None:
    assert 0.3 < spread("tanh", "Xavier, 1 / n")[-1] < 0.7
    he, xavier = spread("ReLU", "He, 2 / n"), spread("ReLU", "Xavier, 1 / n")
    assert min(he) > 0.7
    assert max(he) < 1.1
    assert xavier[-1] < xavier[0] / 2, "Xavier's loses half the variance at each ReLU"


def test_sparse_weights_of_the_same_variance_do_as_well() -> None:
    sparse, xavier = spread("tanh", "sparse, 10 of N(0, 1 / 10)"), spread("tanh", "Xavier, 1 / n")
    np.testing.assert_allclose(sparse, xavier, rtol=0.15)
