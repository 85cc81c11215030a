"""Proving a fused op equal to its composition from small ops."""

from collections.abc import Callable
from typing import Any

import numpy as np

import graphgrad as gg
from graphgrad.engine.trees import flatten


def _weighted(arrays: Any) -> Any:
    """Add up everything, each element with a weight of its own."""
    rng = np.random.default_rng(0)
    return sum((y * rng.uniform(-1, 1, y.shape)).sum() for y in arrays if y.dtype.kind == "f")


def _values(function: Callable[..., Any], arrays: tuple[Any, ...]) -> list[Any]:
    """Return outputs, gradients by a recorded sweep, theirs, and gradients by a plain sweep."""
    inputs = [gg.Tensor(a, requires_grad=True) for a in arrays]
    outs = flatten(function(*inputs))[0]
    first = gg.gradients(_weighted(outs), inputs, create_graph=True)
    slope = _weighted(first)
    second = gg.gradients(slope, inputs) if slope.requires_grad else []
    swept = gg.gradients(_weighted(flatten(function(*inputs))[0]), inputs)
    found = (*outs, *first, *second, *swept)
    return [y.numpy() if isinstance(y, gg.Tensor) else y for y in found]


def assert_equals_composition(
    fused: Callable[..., Any],
    composition: Callable[..., Any],
    *arrays: Any,
    rtol: float = 1e-9,
    atol: float = 1e-11,
) -> None:
    """Assert equal values, first and second derivatives, by the plain and by the recorded sweep.

    Both functions take one Tensor per float64 array.
    """
    ours, theirs = _values(fused, arrays), _values(composition, arrays)
    assert len(ours) == len(theirs)
    for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        np.testing.assert_allclose(a, b, rtol, atol, err_msg=f"quantity {number}")
