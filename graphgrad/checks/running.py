"""Calls of a checked function: its values, its choices, its gradients by the engine."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphgrad.checks.choices import Choices, watched
from graphgrad.engine.operands import unwrapped
from graphgrad.engine.record import constant
from graphgrad.engine.recording import enable_grad, no_grad
from graphgrad.engine.tensor import Tensor
from graphgrad.engine.transforms import gradients, vjp
from graphgrad.typing import Array


def with_choices(f: Callable[..., Any], points: Sequence[Array]) -> tuple[list[Array], Choices]:
    """Return the outputs of f, and what was chosen on the way."""
    with enable_grad():
        outs, choices = watched(lambda: f(*[Tensor(p, requires_grad=True) for p in points]))
    return [np.asarray(unwrapped(y)) for y in outs], choices


def derived(f: Callable[..., Any], count: int) -> Callable[..., Any]:
    """Return the gradients of f as a function of its inputs and upstream gradients."""

    def derivative(*args: Any) -> list[Any]:
        outs, pullback = vjp(f, *args[:count])
        if [np.shape(y) for y in outs] != [np.shape(u) for u in args[count:]]:
            return [constant(np.full(np.shape(x), np.nan)) for x in args[:count]]
        return list(pullback(list(args[count:])))

    return derivative


def gradients_of(
    f: Callable[..., Any], points: Sequence[Any], upstream: Sequence[Any]
) -> list[Any]:
    """Return the gradients by the engine."""
    variables = [Tensor(p, requires_grad=True) for p in points]
    with enable_grad():
        outs = f(*variables)
    pairs = [(y, u) for y, u in zip(outs, upstream, strict=True) if _is_recorded(y)]
    if not pairs:  # f is constant
        return [np.zeros(p.shape) for p in points]
    ys, us = zip(*pairs, strict=True)
    return [np.asarray(g) for g in gradients(ys, variables, us)]


def evaluated(f: Callable[..., Any], points: Sequence[Any]) -> list[Any]:
    """Return the outputs of f as plain arrays; the points stay as they are."""
    return values_of(f, [p.copy() for p in points])


def values_of(f: Callable[..., Any], points: Sequence[Any]) -> list[Any]:
    """Return the outputs of f as plain arrays, from points that it may write to."""
    with no_grad():
        return [np.asarray(unwrapped(y)) for y in f(*map(constant, points))]


def _is_recorded(y: Array) -> bool:
    return isinstance(y, Tensor) and y.requires_grad
