"""Gradients of norms and deviations whose value overflowed, underflowed or lost digits.

A norm f has f(s x) = s f(x). If its squares over- or underflow, the value is NumPy's: infinite, 0,
or with few digits (always in float16). The gradient does not depend on s, so it is computed at
x / s with s a power of two near the largest |x|.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from graphgrad.engine.graph import Recorded, is_tensor
from graphgrad.engine.operands import unwrapped
from graphgrad.typing import Array


@functools.lru_cache(maxsize=64)
def bounds(dtype: Any, power: float) -> tuple[Array, Array]:
    """Return the range of norms for which the sum of |x|ᵖ is finite and has all its digits."""
    info = np.finfo(dtype)
    with np.errstate(all="ignore"):
        bound = np.float64(info.smallest_normal / info.eps) ** (1 / power)
    return (bound, np.inf) if power > 0 else (0.0, bound)


def has_full_precision(length: Any, power: float = 2) -> bool:
    """Whether every norm, the p-th root of a sum of |x|ᵖ, is in that range."""
    low, high = bounds(length.dtype, power)
    if not length.ndim:
        return bool(low < length < high)
    return bool(((length > low) & (length < high)).all())


def scale_of(x: Array, axis: Any) -> Array:
    """Return a power of two near the largest |x| over the axes, with keepdims; 1 for 0, ∞ or NaN.

    NaNs are ignored if there are other numbers.
    """
    largest = np.fmax.reduce(np.abs(x), axis, keepdims=True, initial=0)
    usual = (largest > 0) & (largest < np.inf)
    return np.ldexp(np.ones_like(largest), np.where(usual, np.frexp(largest)[1] - 1, 0))


def has_value(x: Array) -> bool:
    """Whether this has numbers, unlike a symbol of a formula."""
    return not isinstance(x, Recorded) or is_tensor(x)


def is_exact(out: Array, half: bool, power: float = 2) -> bool:
    """Whether norms that a forward computed have all their digits; ``half``: in float16."""
    return has_value(out) and not half and has_full_precision(unwrapped(out), power)


def in_range(length: Callable[[Any], Any], x: Array, axis: Any) -> tuple[Array, Array]:
    """Return x / s and its norm."""
    x = x / scale_of(unwrapped(x), axis)
    return x, length(x)
