"""Comparing results bit for bit."""

from typing import Any

import numpy as np

from graphgrad.engine.trees import flatten


def assert_same(found: Any, expected: Any) -> None:
    """Assert that arrays, also in containers, have the same shapes, dtypes and bits."""
    ours, theirs = flatten(found)[0], flatten(expected)[0]
    assert len(ours) == len(theirs)
    for a, b in zip(map(np.asarray, ours), map(np.asarray, theirs), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_array_equal(a, b)
