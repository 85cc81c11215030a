"""Initial values of parameters, as plain arrays."""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.errors import ShapeError
from graphgrad.node import here
from graphgrad.randomness import default_generator


def he_normal(
    shape: tuple[int, ...], rng: np.random.Generator | None = None, dtype: DTypeLike = np.float32
) -> Any:
    """Draw weights from N(0, 2 / fan_in), which keeps the variance through ReLU layers.

    He et al., "Delving Deep into Rectifiers", 2015, equation 10.

    Parameters
    ----------
    shape
        (out, in), or (out, in, height, width) for a convolution; fan_in is the product of all
        lengths but the first. The matrix of ``x @ W`` is the transpose: ``he_normal((out, in)).T``.
    rng
        None is the package's default generator, seeded by ``gg.manual_seed``.
    dtype
        Of the result.

    Raises
    ------
    ShapeError
        If the shape has fewer than two axes, or no inputs.
    """
    fan_in = math.prod(shape[1:])
    if len(shape) < 2 or fan_in == 0:
        message = f"he_normal: shape {shape} has no inputs; give (out, in, …) (at {here()})"
        raise ShapeError(message)
    draw = default_generator(rng).standard_normal(shape)
    return (draw * math.sqrt(2 / fan_in)).astype(dtype)
