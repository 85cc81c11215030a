"""Arguments that windows over images share: kernels, strides, margins."""

from typing import Any

import numpy as np

from graphgrad.errors import DtypeError, ShapeError
from graphgrad.node import here


def numbers_of(name: str, what: str, value: Any, least: int, axes: int) -> tuple[int, ...]:
    """Return one whole number per axis, each ``least`` or more, or say what is wrong."""
    numbers = tuple(value) if isinstance(value, tuple | list) else (value,) * axes
    wanted = "a whole number or a pair" if axes == 2 else "a whole number"
    if len(numbers) != axes or not all(isinstance(v, int | np.integer) for v in numbers):
        raise DtypeError(f"{name}: {what}={value!r} must be {wanted} (at {here()})")
    if min(numbers) < least:
        raise ShapeError(f"{name}: {what}={value!r} must be {least} or more (at {here()})")
    return tuple(map(int, numbers))
