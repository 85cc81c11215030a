"""Reductions along a short last axis give what NumPy's own give."""

from typing import Any

import numpy as np
import pytest

from graphgrad.engine.reductions import reduce_axis

UFUNCS = (np.add, np.maximum, np.minimum)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, bool])
@pytest.mark.parametrize("ufunc", UFUNCS)
def test_they_are_numpys(ufunc: Any, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    for shape in ((50, 4), (2, 300, 8), (5, 33, 32), (20_000, 7), (64,), (200, 1), (300, 0, 2)):
        x = rng.uniform(-2, 2, shape).astype(dtype)
        for a in (x, x[::2], np.asfortranarray(x), -x if dtype is not bool else ~x):
            for axis in (-1, a.ndim - 1, (-1,), 0, None, tuple(range(a.ndim))):
                if not a.size and ufunc is not np.add:
                    continue
                for keepdims in (False, True):
                    found = reduce_axis(ufunc, a, axis, keepdims=keepdims)
                    expected = ufunc.reduce(a, axis, keepdims=keepdims)
                    assert found.dtype == expected.dtype
                    assert found.shape == expected.shape
                    exact = 4 * np.finfo(dtype).eps if np.issubdtype(dtype, np.floating) else 0
                    np.testing.assert_allclose(found, expected, rtol=0, atol=8 * exact)


def test_counts_of_a_mask_have_the_dtype_asked_for() -> None:
    mask = np.random.default_rng(0).random((1000, 5)) < 0.5
    found = reduce_axis(np.add, mask, -1, keepdims=True, dtype=np.float32)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, mask.sum(-1, keepdims=True))


@pytest.mark.parametrize("ufunc", UFUNCS)
def test_nan_and_infinities_are_numpys(ufunc: Any) -> None:
    x = np.random.default_rng(0).choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0], (4000, 3))
    with np.errstate(invalid="ignore"):
        found, expected = reduce_axis(ufunc, x, -1), ufunc.reduce(x, -1)
    np.testing.assert_array_equal(found, expected)
    if ufunc is np.add:
        np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


def test_a_sum_loses_no_more_digits_than_numpys() -> None:
    for n in range(2, 34):
        x = np.random.default_rng(n).uniform(1, 2, (20_000, n)).astype(np.float32)
        exact = x.astype(float).sum(-1)
        found, numpys = (
            np.square(s - exact).mean() for s in (reduce_axis(np.add, x, -1), x.sum(-1))
        )
        assert found <= 1.02 * numpys, n
