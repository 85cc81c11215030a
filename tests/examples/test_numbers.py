"""The numbers that the source documents print, from the scripts in examples/ themselves.

What the scripts print is looked at in test_examples.py. Tolerances are half a unit of the last
digit given.
"""

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def example(name: str) -> ModuleType:
    """Import a script without running its main()."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_central_differences_are_an_order_better() -> None:
    """Ten times smaller h, where truncation rules: error / 10 one-sided, / 100 central."""
    script = example("numerical_differentiation")
    exact = math.e * (math.sin(1) + math.cos(1))
    for formula, factor in ((script.one_sided, 10), (script.central, 100)):
        errors = [abs(formula(script.f, 1.0, h) - exact) for h in (1e-2, 1e-3)]
        assert errors[0] / errors[1] == pytest.approx(factor, rel=0.02)


def test_the_books_parabola() -> None:
    """0.01x² + 0.1x has the slopes 0.2 at 5 and 0.3 at 10."""
    script = example("numerical_differentiation")
    for x, slope in ((5.0, 0.2), (10.0, 0.3)):
        assert script.central(lambda t: 0.01 * t**2 + 0.1 * t, x, 1e-4) == pytest.approx(slope)


def test_h_is_neither_large_nor_tiny() -> None:
    """The best h is near ε^(1/2) one-sided and near ε^(1/3) central, and central wins."""
    script = example("numerical_differentiation")
    forward, centred = script.errors(1.0)
    assert 1e-10 < script.STEPS[forward.argmin()] < 1e-6
    assert 1e-7 < script.STEPS[centred.argmin()] < 1e-3
    assert centred.min() < 1e-10 < forward.min() < 1e-7
    for errors in (forward, centred):  # both ends are bad
        assert errors[0] > 1e-3
        assert errors[-1] > 1e-2


@pytest.mark.parametrize(
    ("error", "word"),
    [(2e-2, "wrong"), (5e-3, "uncomfortable"), (5e-5, "kinks"), (5e-8, "right"), (0.0, "right")],
)
def test_verdicts_on_relative_errors(error: float, word: str) -> None:
    assert word in example("numerical_differentiation").verdict(error)


def test_relative_error() -> None:
    relative_error = example("numerical_differentiation").relative_error
    assert relative_error(0.0, 0.0) == 0  # both zero is right
    assert relative_error([1.0, 0.0], [1.0, 1e-30]) == 1  # a small one may not hide
    assert relative_error(-3.0, 3.0) == 2


def test_gradient_descent() -> None:
    """Saito's bowl from (−3, 4): arrives at lr 0.1, diverges at 10, stays at 1e-10."""
    script = example("numerical_differentiation")
    start = [-3.0, 4.0]
    expected = np.multiply(start, (1 - 2 * 0.1) ** 100)  # the exact gradient is 2x
    np.testing.assert_allclose(script.descend(script.bowl, start, 0.1), expected, atol=1e-10)
    assert np.abs(script.descend(script.bowl, start, 10.0)).max() > 1e10
    np.testing.assert_allclose(script.descend(script.bowl, start, 1e-10), start, rtol=1e-7)
