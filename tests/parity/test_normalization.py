"""Normalisation beside PyTorch's: values, gradients, running statistics, and what is refused."""

import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from graphgrad.nn import functional
from tests.parity.compare import agree

torch = pytest.importorskip("torch")
theirs = torch.nn.functional


def compare(call: Any, *arrays: Any, **how: Any) -> None:
    """Compare a call of either library's functions."""
    agree(functools.partial(call, functional), functools.partial(call, theirs), *arrays, **how)


shapes = st.lists(st.integers(1, 5), min_size=0, max_size=2)


@given(n=st.integers(2, 5), c=st.integers(1, 4), places=shapes, seed=st.integers(0, 99))
@settings(max_examples=25)
def test_batch_norm(n: int, c: int, places: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, c, *places))
    w, b, mean, var = rng.uniform(0.5, 1.5, (4, c))
    mean_t, var_t = torch.tensor(mean), torch.tensor(var)
    for training in (True, False):
        agree(
            lambda x, w, b, t=training: functional.batch_norm(x, mean, var, w, b, t, 0.3, 1e-3),
            lambda x, w, b, t=training: theirs.batch_norm(x, mean_t, var_t, w, b, t, 0.3, 1e-3),
            *(x, w, b),
        )
        np.testing.assert_allclose(mean, mean_t.numpy(), 1e-12)
        np.testing.assert_allclose(var, var_t.numpy(), 1e-12)


@given(
    n=st.integers(1, 4),
    groups=st.integers(1, 3),
    each=st.integers(1, 3),
    places=shapes,
    seed=st.integers(0, 99),
)
@settings(max_examples=25)
def test_group_norm(n: int, groups: int, each: int, places: list[int], seed: int) -> None:
    if each * int(np.prod(places)) * n < 2:  # PyTorch refuses one value
        return
    rng = np.random.default_rng(seed)
    c = groups * each
    compare(
        lambda m, x, w, b: m.group_norm(x, groups, w, b, 1e-3),
        *(rng.standard_normal((n, c, *places)), *rng.uniform(0.5, 1.5, (2, c))),
    )


@given(first=shapes, last=st.lists(st.integers(1, 6), min_size=1, max_size=2))
@settings(max_examples=25)
def test_layer_norm(first: list[int], last: list[int]) -> None:
    rng = np.random.default_rng(0)
    compare(
        lambda m, x, w, b: m.layer_norm(x, last, w, b, 1e-3),
        *(rng.standard_normal((*first, *last)), *rng.uniform(0.5, 1.5, (2, *last))),
    )


@given(
    c=st.integers(1, 7),
    places=st.lists(st.integers(1, 3), min_size=1, max_size=2),
    size=st.integers(1, 8),
)
@settings(max_examples=25)
def test_local_response_norm(c: int, places: list[int], size: int) -> None:
    x = np.random.default_rng(0).standard_normal((2, c, *places))
    compare(lambda m, x: m.local_response_norm(x, size, 0.7, 0.6, 1.5), x)


@pytest.mark.parametrize("shape", [(20, 16, 28, 28), (64, 64, 4, 4), (100, 100), (2, 3, 300, 300)])
def test_batch_norm_of_real_sizes_in_single_precision(shape: tuple[int, ...]) -> None:
    """Several blocks, and sums over many numbers."""
    rng = np.random.default_rng(0)
    c = shape[1]
    x = rng.standard_normal(shape, np.float32) + 3
    w, b = rng.uniform(0.5, 1.5, (2, c)).astype(np.float32)
    compare(
        lambda m, x, w, b: m.batch_norm(x, None, None, w, b, True),
        *(x, w, b),
        order=1,
        tolerance=2e-5,
    )
