"""Update rules: pure functions of arrays, each as its paper writes it.

A rule takes the parameter ``w``, its gradient ``g`` and the state from the step before, all of
one shape; it returns ``d``, what to subtract from the parameter, and the new state.
None of these is written into, so a rule may be used by hand, on whole arrays or on Tensors::

    d, m, v = adam(w, g, m, v, step=1, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    w = w - d

State starts at zero, and ``step`` counts from 1. `graphgrad.optim.optimizer` reads the arguments:
what stands after ``w, g`` names the state, the keywords name the options of a group.
Every ``weight_decay`` but AdamW's adds λw to the gradient: the gradient of λ‖w‖²/2.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphgrad.typing import Array


def _decayed(w: Array, g: Array, weight_decay: float) -> Array:
    return g + weight_decay * w if weight_decay else g


def _mean(mean: Any, value: Array, beta: float) -> Any:
    """Return β · mean + (1 − β) · value; in place, since a pass over new memory takes longer."""
    mean = beta * mean
    mean += (1 - beta) * value
    return mean


def sgd(w: Array, g: Array, *, lr: float, weight_decay: float) -> Array:
    """Plain descent: d = η(g + λw). It has no state, so it returns d alone."""
    return lr * _decayed(w, g, weight_decay)


def momentum(
    w: Array,
    g: Array,
    v: Array,
    *,
    step: int,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
) -> tuple[Any, Any]:
    """With velocity: v ← μv + (1 − τ)g, first g; d = ηv (Polyak 1964, scaled as in PyTorch)."""
    g = _decayed(w, g, weight_decay)
    if step == 1:
        return lr * g, g
    v = momentum * v
    v += (1 - dampening) * g if dampening else g
    return lr * v, v


def nesterov(
    w: Array, g: Array, v: Array, *, lr: float, momentum: float, weight_decay: float
) -> tuple[Any, Any]:
    """Look ahead: v ← μv + g; d = η(g + μv) (Sutskever et al. 2013, in CS231n's variables)."""
    g = _decayed(w, g, weight_decay)
    v = momentum * v + g
    return lr * (g + momentum * v), v


def adagrad(
    w: Array,
    g: Array,
    h: Array,
    *,
    step: int,
    lr: float,
    lr_decay: float,
    weight_decay: float,
    initial_accumulator_value: float,
    eps: float,
) -> tuple[Any, Any]:
    """Sum: h ← h + g²; d = ηg / (√(h₀ + h) + ε), η = lr / (1 + (t − 1) · decay) (Duchi 2011)."""
    g = _decayed(w, g, weight_decay)
    h = h + g * g
    total = h + initial_accumulator_value if initial_accumulator_value else h
    return lr / (1 + (step - 1) * lr_decay) * g / (np.sqrt(total) + eps), h


def adadelta(
    w: Array,
    g: Array,
    v: Array,
    u: Array,
    *,
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
) -> tuple[Any, Any, Any]:
    """Mean: v ← ρv + (1 − ρ)g²; Δ = g √(u + ε) / √(v + ε); u ← ρu + (1 − ρ)Δ² (Zeiler 2012)."""
    g = _decayed(w, g, weight_decay)
    v = _mean(v, g * g, rho)
    change = np.sqrt((u + eps) / (v + eps)) * g
    u = _mean(u, change * change, rho)
    return lr * change, v, u


def rmsprop(
    w: Array, g: Array, v: Array, *, lr: float, alpha: float, eps: float, weight_decay: float
) -> tuple[Any, Any]:
    """Mean: v ← αv + (1 − α)g²; d = ηg / (√v + ε) (Hinton, lecture 6e)."""
    g = _decayed(w, g, weight_decay)
    v = _mean(v, g * g, alpha)
    return lr * g / (np.sqrt(v) + eps), v


def rmsprop_centered(
    w: Array,
    g: Array,
    v: Array,
    mean: Any,
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
) -> tuple[Any, Any, Any]:
    """Centred: ḡ ← αḡ + (1 − α)g; d = ηg / (√(v − ḡ²) + ε), v as in `rmsprop` (Graves 2013)."""
    g = _decayed(w, g, weight_decay)
    v = _mean(v, g * g, alpha)
    mean = _mean(mean, g, alpha)
    square = np.minimum(mean * mean, np.finfo(v.dtype).max)  # ∞ − ∞ would be NaN, for good
    variance = np.maximum(v - square, 0)  # rounding may leave a little less than nothing
    return lr * g / (np.sqrt(variance) + eps), v, mean


def rmsprop_momentum(
    w: Array,
    g: Array,
    v: Array,
    b: Array,
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
) -> tuple[Any, Any, Any]:
    """Velocity: b ← μb + g / (√v + ε); d = ηb, v as in `rmsprop`."""
    d, v = rmsprop(w, g, v, lr=1.0, alpha=alpha, eps=eps, weight_decay=weight_decay)
    b = momentum * b + d
    return lr * b, v, b


def rmsprop_centered_momentum(
    w: Array,
    g: Array,
    v: Array,
    mean: Any,
    b: Array,
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
) -> tuple[Any, Any, Any, Any]:
    """Velocity: b ← μb + g / (√(v − ḡ²) + ε); d = ηb, v and ḡ as in `rmsprop_centered`."""
    d, v, mean = rmsprop_centered(
        w, g, v, mean, lr=1.0, alpha=alpha, eps=eps, weight_decay=weight_decay
    )
    b = momentum * b + d
    return lr * b, v, mean, b


def _moments(
    w: Array, g: Array, m: Array, v: Array, betas: tuple[float, float], weight_decay: float
) -> tuple[Any, Any]:
    """Return the running means of the gradient and of its square."""
    b1, b2 = betas
    g = _decayed(w, g, weight_decay)
    return _mean(m, g, b1), _mean(v, g * g, b2)


def _adam_step(
    m: Array, v: Array, step: int, lr: float, betas: tuple[float, float], eps: float
) -> Array:
    """Return ηm̂ / (√v̂ + ε), m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)."""
    # numerator and denominator times √(1 − β₂ᵗ): numbers are gathered, arrays passed over less
    root = math.sqrt(1 - betas[1] ** step)
    below = np.sqrt(v)
    below += eps * root
    d = (lr * root / (1 - betas[0] ** step)) * m
    d /= below
    return d


def adam(
    w: Array,
    g: Array,
    m: Array,
    v: Array,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> tuple[Any, Any, Any]:
    """Means: d = ηm̂ / (√v̂ + ε), m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ) (Kingma, algorithm 1)."""
    m, v = _moments(w, g, m, v, betas, weight_decay)
    return _adam_step(m, v, step, lr, betas, eps), m, v


def amsgrad(
    w: Array,
    g: Array,
    m: Array,
    v: Array,
    v_max: Array,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> tuple[Any, Any, Any, Any]:
    """`adam` with the largest v so far in the denominator (Reddi et al. 2018, as PyTorch)."""
    m, v = _moments(w, g, m, v, betas, weight_decay)
    v_max = np.maximum(v_max, v)
    return _adam_step(m, v_max, step, lr, betas, eps), m, v, v_max


def decoupled(rule: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """Decay apart from the rule: d = ηλw + the rule's d (Loshchilov and Hutter 2019)."""

    @functools.wraps(rule)  # which also has the arguments that name state and options
    def with_decay(
        w: Array, g: Array, *state: Any, lr: float, weight_decay: float, **options: Any
    ) -> tuple[Any, ...]:
        d, *state_now = rule(w, g, *state, lr=lr, weight_decay=0.0, **options)
        return d + (lr * weight_decay) * w, *state_now

    return with_decay


adamw, amsgrad_w = decoupled(adam), decoupled(amsgrad)
