"""Reductions, in their quickest form.

Of a short last axis, they go by whole slices: NumPy starts a loop for each short row, which takes
ten times as long as the numbers in it. Adding slices makes the same sums in the same order, as a
trial shows before it is used.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from graphgrad.compiling.program import Call, Var
from graphgrad.typing import Array

_UFUNCS = {"sum": np.add, "max": np.maximum, "min": np.minimum, "prod": np.multiply}
_FUNCTIONS = {np.sum: "sum", np.max: "max", np.amax: "max", np.min: "min", np.amin: "min",
              np.prod: "prod"}  # fmt: skip
_METHODS = {f"np.{ufunc.__name__}.reduce": word for word, ufunc in _UFUNCS.items()}
_FEW = 7  # numbers: NumPy adds more of them in another order
_MANY = 200  # short rows that are reduced quicker by slices


class Reduction(NamedTuple):
    """A call of a ufunc's ``reduce``."""

    ufunc: np.ufunc
    x: Var
    axis: Any
    dtype: Any
    keepdims: bool
    out: Any

    def of_few(self) -> Callable[..., Array] | None:
        """Return a quicker function of (x, keepdims), if it has the same bits."""
        x, axis = self.x, self.axis
        shape = x.shape or ()
        if len(shape) < 2 or not isinstance(self.out, Var) or not 1 < shape[-1] <= _FEW:
            return None
        last = axis[0] if type(axis) is tuple and len(axis) == 1 else axis
        if last not in (-1, len(shape) - 1) or math.prod(shape[:-1]) < _MANY:
            return None
        return _of_few(self.ufunc, x.dtype, self.out.dtype, shape[-1])


def as_reduction(call: Call) -> Reduction | None:
    """Return the reduction that a call comes down to."""
    function, kwargs = call.function, call.kwargs
    x = call.args[0] if call.args else None
    if not isinstance(x, Var) or x.scalar or x.shape is None:
        return None
    word = function.text if function.style == "method" else _FUNCTIONS.get(function.call)
    default = None
    if function.style == "name" and function.text in _METHODS:
        word, default = _METHODS[function.text], 0
    if word not in _UFUNCS or not kwargs.keys() <= {"axis", "keepdims", "dtype"}:
        return None
    if len(call.args) + ("axis" in kwargs) > 2:
        return None
    axis = call.args[1] if len(call.args) > 1 else kwargs.get("axis", default)
    keepdims = kwargs.get("keepdims", False)
    if type(keepdims) is not bool or not _is_axis(axis):
        return None
    return Reduction(_UFUNCS[word], x, axis, kwargs.get("dtype"), keepdims, call.out)


def _is_axis(axis: Any) -> bool:
    axes = axis if type(axis) is tuple else (axis,)
    return axis is None or all(type(a) is int for a in axes)


def _of_few(ufunc: np.ufunc, dtype: Any, result: Any, count: int) -> Callable[..., Array] | None:
    """Return a function of (x, keepdims=False) that reduces the last axis; None if bits differ."""
    floats = dtype.kind == "f" and dtype == result
    counts = ufunc is np.add and dtype.kind == "b" and result.kind in "fiu"
    if not (floats or counts) or result.itemsize < 4:
        return None
    return _tried(ufunc, dtype, result, count)


@functools.lru_cache(maxsize=256)
def _tried(ufunc: np.ufunc, dtype: Any, result: Any, count: int) -> Callable[..., Array] | None:
    def reduction(x: Array, keepdims: bool = False) -> Array:
        total = x[..., 0].astype(result)
        for k in range(1, count):
            ufunc(total, x[..., k], out=total)
        if ufunc is np.add and dtype.kind == "f":
            total += 0.0  # NumPy adds to 0, so that the sum of negative zeros is 0
        return total[..., None] if keepdims else total

    rng = np.random.default_rng(0)
    scales = 10.0 ** rng.integers(-3, 4, (500, count))
    trials = rng.standard_normal((500, count)) * scales, rng.choice([0.0, -0.0], (500, count))
    for trial in trials:
        x = trial.astype(dtype)
        with np.errstate(all="ignore"):
            if reduction(x).tobytes() != ufunc.reduce(x, axis=-1, dtype=result).tobytes():
                return None
    return reduction
