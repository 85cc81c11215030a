"""One step of an optimizer on ten million parameters, in graphgrad, PyTorch and JAX."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.libraries import JAX, Work, loaded

PARAMETERS = 10_000_000
LR = 1e-3
OPTIMIZERS: dict[str, tuple[str, dict[str, float]]] = {
    "SGD": ("SGD", {"lr": LR}),
    "momentum": ("SGD", {"lr": LR, "momentum": 0.9}),
    "Adam": ("Adam", {"lr": LR}),
}
SHOWN = 1000


def step(peer: str, name: str, size: int = PARAMETERS) -> Work:
    """Return one step, which returns some of the parameters."""
    rng = np.random.default_rng(3)
    start = rng.standard_normal(size, dtype=np.float32)
    g = rng.standard_normal(size, dtype=np.float32)
    if peer == JAX:
        return _jax(name, start, g)
    library = loaded(peer)
    p = library.leaf(start)
    del start
    p.grad = library.constant(g)
    kind, options = OPTIMIZERS[name]
    optimizer = getattr(library.optim, kind)([p], **options)

    def one() -> Any:
        optimizer.step()
        return p.detach()[:SHOWN]

    return one


# --------------------------------------------------------------------- rules written in JAX


def _sgd(lr: float) -> tuple[Callable[..., Any], int]:
    return lambda _, g, p: (p - lr * g,), 0


def _momentum(lr: float, momentum: float = 0.9) -> tuple[Callable[..., Any], int]:
    def rule(_: Any, g: Any, p: Any, v: Any) -> Any:
        v = momentum * v + g
        return p - lr * v, v

    return rule, 1


def _adam(lr: float, beta1: float = 0.9, beta2: float = 0.999) -> tuple[Callable[..., Any], int]:
    def rule(count: Any, g: Any, p: Any, m: Any, v: Any) -> Any:
        import jax.numpy as jnp

        count = count.astype(p.dtype)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        scaled = m / (1 - beta1**count)
        return p - lr * scaled / (jnp.sqrt(v / (1 - beta2**count)) + 1e-8), m, v

    return rule, 2


JAX_RULES = {"SGD": _sgd, "momentum": _momentum, "Adam": _adam}  # and how many arrays they keep


def _jax(name: str, start: Any, g: Any) -> Work:
    import jax

    rule, memories = JAX_RULES[name](LR)
    p, gradient = jax.numpy.array(start), jax.numpy.asarray(g)
    state = (p, *[jax.numpy.zeros_like(p) for _ in range(memories)])

    @functools.partial(jax.jit, donate_argnums=2)
    def update(count: Any, g: Any, state: Any) -> Any:
        return rule(count, g, *state)

    taken = 0

    def one() -> Any:
        nonlocal state, taken
        taken += 1
        state = update(np.float32(taken), gradient, state)
        state[0].block_until_ready()
        return state[0][:SHOWN]

    return one
