"""The package's default random generator."""

import functools

import numpy as np

from graphgrad.arguments import is_flag, wrong
from graphgrad.engine.recording import tracers


@functools.lru_cache(maxsize=1)
def _default() -> "np.random.Generator":  # made on first use: NumPy loads numpy.random lazily
    return np.random.default_rng()


def default_generator(rng: "np.random.Generator | None" = None) -> "np.random.Generator":
    """Return ``rng``, or the package's default generator if it is None."""
    if rng is not None:
        return rng
    return tracers[-1].default_generator(_default) if tracers else _default()


def manual_seed(seed: int) -> None:
    """Seed the default generator, used by everything with ``rng=None``."""
    if is_flag(seed):
        raise wrong("manual_seed", "seed", seed, "a whole number")
    try:
        state = np.random.default_rng(seed).bit_generator.state
    except (TypeError, ValueError, OverflowError) as error:
        raise wrong("manual_seed", "seed", seed, "a whole number, not negative") from error
    _default().bit_generator.state = state
