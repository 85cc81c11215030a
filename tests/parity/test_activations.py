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

PAIRS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "relu": (functional.relu, theirs.relu),
    "leaky_relu": (functional.leaky_relu, theirs.leaky_relu),
    "sigmoid": (functional.sigmoid, torch.sigmoid),
    "tanh": (functional.tanh, torch.tanh),
    "elu": (functional.elu, theirs.elu),
    "elu, 0.5": (lambda x: functional.elu(x, 0.5), lambda x: theirs.elu(x, 0.5)),
    "selu": (functional.selu, theirs.selu),
    "softplus": (functional.softplus, theirs.softplus),
    "logsigmoid": (functional.logsigmoid, theirs.logsigmoid),
    "silu": (functional.silu, theirs.silu),
    "gelu": (functional.gelu, theirs.gelu),
    "gelu by tanh": (
        lambda x: functional.gelu(x, "tanh"),
        lambda x: theirs.gelu(x, approximate="tanh"),
    ),
    "hardtanh": (functional.hardtanh, theirs.hardtanh),
    "relu6": (functional.relu6, theirs.relu6),
    "erf": (gg.erf, torch.erf),
    "erfc": (gg.erfc, torch.erfc),
}


@pytest.mark.parametrize("name", PAIRS)
def test_large_arrays_in_single_precision(name: str) -> None:
    ours, other = PAIRS[name]
    assert ours(SINGLE).dtype == np.float32
    agree(ours, other, SINGLE, order=1, tolerance=2e-5)
