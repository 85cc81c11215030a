"""Every module of nn with typical inputs: what the generic tests of modules walk through."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from graphgrad import nn

Sample = Callable[..., Any]  # r(2, 3) draws a float64 array of that shape


class Example(NamedTuple):
    """A module, made from a generator and a dtype, and inputs for it, made from a sampler."""

    make: Callable[[np.random.Generator, Any], nn.Module]
    inputs: Callable[[Sample], tuple[Any, ...]]
    reproducible: bool = True  # False: what training draws differs from call to call


EXAMPLES: dict[str, Example] = {
    # ------------------------------------------------------------------------- containers
    "Sequential": Example(
        lambda rng, dtype: nn.Sequential(
            nn.Affine(3, 4, rng=rng, dtype=dtype), nn.Affine(4, 2, rng=rng, dtype=dtype)
        ),
        lambda r: (r(2, 3),),
    ),
    # ------------------------------------------------------------------------------ dense
    "Affine": Example(
        lambda rng, dtype: nn.Affine(3, 2, rng=rng, dtype=dtype), lambda r: (r(4, 3),)
    ),
    "Affine without bias": Example(
        lambda rng, dtype: nn.Affine(3, 2, bias=False, rng=rng, dtype=dtype),
        lambda r: (r(2, 2, 3),),
    ),
}
