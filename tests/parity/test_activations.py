"""Activations and initial values beside PyTorch's, where the tables of ops and modules don't look.

The values at special points are in test_conventions.py.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.nn import functional, init

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
    """Value and gradient to single precision, in float32."""
    ours, other = PAIRS[name]
    x = gg.Tensor(SINGLE, requires_grad=True)
    y = ours(x)
    y.sum().backward()
    t = torch.tensor(SINGLE, requires_grad=True)
    z = other(t)
    z.sum().backward()
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=2e-5, atol=3e-6)
    np.testing.assert_allclose(x.grad, t.grad.numpy(), rtol=2e-5, atol=3e-6)  # of PyTorch's GELU


SHAPES = [(50, 30), (16, 8, 5), (12, 6, 3, 3)]


@pytest.mark.parametrize("shape", SHAPES)
def test_fans(shape: tuple[int, ...]) -> None:
    known = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))
    assert init.fans(shape) == known


DRAWS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "xavier_normal": (init.xavier_normal, torch.nn.init.xavier_normal_),
    "xavier_uniform": (init.xavier_uniform, torch.nn.init.xavier_uniform_),
    "he_normal": (
        init.he_normal,
        lambda t: torch.nn.init.kaiming_normal_(t, nonlinearity="relu"),
    ),
    "he_uniform, leaky, out": (
        partial(init.he_uniform, fan="out", negative_slope=0.5),
        lambda t: torch.nn.init.kaiming_uniform_(t, 0.5, "fan_out"),
    ),
}


@pytest.mark.parametrize("name", DRAWS)
def test_the_same_distribution(name: str) -> None:
    """Variances of 40,000 draws each: five standard errors of their ratio."""
    ours, other = DRAWS[name]
    shape = (100, 100, 2, 2)
    W = ours(shape, rng=np.random.default_rng(0))
    torch.manual_seed(0)
    known = other(torch.empty(shape)).numpy()
    assert W.var() == pytest.approx(known.var(), rel=5 * math.sqrt(4 / W.size))
    assert np.abs(W).max() == pytest.approx(np.abs(known).max(), rel=0.2)
