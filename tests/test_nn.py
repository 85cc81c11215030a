"""Initial values against their definitions."""

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import ShapeError


def test_he_normal() -> None:
    W = nn.init.he_normal((200, 30, 5, 5), rng=np.random.default_rng(0))
    assert W.shape == (200, 30, 5, 5)
    assert W.dtype == np.float32
    assert np.var(W) == pytest.approx(2 / (30 * 5 * 5), rel=0.02)
    assert abs(np.mean(W)) < 1e-3


def test_he_normal_draws_from_the_given_or_the_default_generator() -> None:
    gg.manual_seed(7)
    ours = nn.init.he_normal((3, 2), dtype=np.float64)
    np.testing.assert_array_equal(
        ours, nn.init.he_normal((3, 2), rng=np.random.default_rng(7), dtype=np.float64)
    )
    assert not np.array_equal(ours, nn.init.he_normal((3, 2), dtype=np.float64))


@pytest.mark.parametrize("shape", [(3,), (), (3, 0)])
def test_he_normal_needs_inputs(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="no inputs"):
        nn.init.he_normal(shape)
