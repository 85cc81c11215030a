"""Sums that float16 cannot hold are added up in float32, and rounded once, at the end."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphgrad import nn

F = nn.functional
ones = np.ones
NUMBERS = 300 + 100 * np.random.default_rng(0).standard_normal((500, 2))
CLASSES, WEIGHTS = np.zeros(60_000, int), [np.array([1.0, 2.0]), np.array([0.0, 1.0])]
SUMS: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "conv2d": (F.conv2d, [ones((2, 3000, 1, 1)), ones((1, 3000, 1, 1))]),
    "locally_connected2d": (
        F.locally_connected2d,
        [ones((1, 1, 50, 50)), ones((1, 1, 1, 1, 50, 50))],
    ),
    "col2im": (lambda x: F.col2im(x, (1, 1, 1, 4199), (1, 2100)), [ones((2100, 2100))]),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 64), [100 * ones((1, 64, 64))]),
    "global_avg_pool2d": (F.global_avg_pool2d, [100 * ones((1, 64, 64))]),
    "lp_pool2d": (lambda x: F.lp_pool2d(x, 2, 2), [300 * ones((1, 2, 2))]),
    "mean of losses": (lambda x: F.cross_entropy(x, CLASSES), [np.zeros((60_000, 10))]),
    "weighted mean": (lambda x: F.cross_entropy(x, CLASSES, ones(10)), [np.zeros((60_000, 10))]),
    "sum of losses": (
        lambda x: F.cross_entropy(x, CLASSES, reduction="sum"),
        [np.zeros((60_000, 10))],
    ),
    "batch_norm": (
        lambda x, w, b: F.batch_norm(x, weight=w, bias=b, training=True),
        [NUMBERS, *WEIGHTS],
    ),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, 2, w, b), [NUMBERS, *WEIGHTS]),
    "group_norm": (lambda x, w, b: F.group_norm(x, 1, w, b), [NUMBERS, *WEIGHTS]),
}


@pytest.mark.parametrize("name", SUMS)
def test_halves_are_added_up_in_single_precision(name: str) -> None:
    function, arrays = SUMS[name]
    halves = [a.astype(np.float16) for a in arrays]
    with np.errstate(over="ignore"):
        found = np.asarray(function(*halves))
        exact = np.asarray(function(*(a.astype(float) for a in halves))).astype(np.float16)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, exact, rtol=2e-3, atol=2e-3)
