"""Activations beside PyTorch's, where the tables of ops and modules don't look.

The values at special points are in test_conventions.py.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.nn import functional
from tests.parity.compare import agree

torch = pytest.importorskip("torch")
theirs = torch.nn.functional

SINGLE = np.random.default_rng(0).normal(0, 3, 100_000).astype(np.float32)  # more than one block

_NAMES = "relu leaky_relu elu selu softplus logsigmoid silu gelu hardtanh relu6"
PAIRS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    **{name: (getattr(functional, name), getattr(theirs, name)) for name in _NAMES.split()},
    **{name: (getattr(gg, name), getattr(torch, name)) for name in ("sigmoid", "tanh", "erf")},
    "erfc": (gg.erfc, torch.erfc),
    "elu, 0.5": (lambda x: functional.elu(x, 0.5), lambda x: theirs.elu(x, 0.5)),
    "gelu by tanh": (
        lambda x: functional.gelu(x, "tanh"),
        lambda x: theirs.gelu(x, approximate="tanh"),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_large_arrays_in_single_precision(name: str) -> None:
    ours, other = PAIRS[name]
    assert ours(SINGLE).dtype == np.float32
    agree(ours, other, SINGLE, order=1, tolerance=2e-5)
