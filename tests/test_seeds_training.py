"""The numbers that the documents give about gates, digits and learning, from examples/."""

import itertools

import numpy as np
import pytest

from tests.test_seeds import example

# --------------------------------------------------------------------------- row 1: gates


@pytest.mark.parametrize(
    ("name", "outputs"),
    [("AND", [0, 0, 0, 1]), ("NAND", [1, 1, 1, 0]), ("OR", [0, 1, 1, 1])],
)
def test_gates(name: str, outputs: list[int]) -> None:
    script = example("perceptrons")
    rows = [script.gate(name, row).item() for row in itertools.product([0.0, 1.0], repeat=2)]
    assert rows == outputs


def test_weights_are_those_of_the_documents() -> None:
    assert example("perceptrons").WEIGHTS == {
        "AND": ([0.5, 0.5], -0.7),
        "NAND": ([-0.5, -0.5], 0.7),
        "OR": ([0.5, 0.5], -0.2),
    }


def test_xor_takes_two_layers() -> None:
    script = example("perceptrons")
    assert script.xor(script.CORNERS).tolist() == [0, 1, 1, 0]
    assert script.best_single_perceptron() == 3


def test_xor_is_learned_by_two_layers_and_not_by_one() -> None:
    script = example("perceptrons")
    two, one = (make(np.random.default_rng(0)) for make in (script.two_layers, script.one_layer))
    assert script.learn(two) < 0.01
    assert script.right(two) == 4
    assert script.learn(one) > 0.69  # log 2: it cannot decide
    assert script.right(one) < 4
