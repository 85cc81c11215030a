"""A compiled function against the function itself: the same bits, on inputs that all change."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

import graphgrad as gg
from graphgrad.engine.trees import flatten

MOST = 2  # programs for inputs that differ in value only: rarely is a decision among them


def assert_same(found: Any, expected: Any, what: str = "result") -> None:
    """Require values of the same types with the same bits."""
    ours, theirs = flatten(found)[0], flatten(expected)[0]
    assert len(ours) == len(theirs), f"{what}: {len(ours)} values, not {len(theirs)}"
    for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert type(a) is type(b), f"{what} {k}: {type(a).__name__}, not {type(b).__name__}"
        x, y = (np.asarray(v.numpy() if isinstance(v, gg.Tensor) else v) for v in (a, b))
        assert (x.shape, x.dtype) == (y.shape, y.dtype), f"{what} {k}: {x!r}, not {y!r}"
        assert same_bits(x, y), f"{what} {k}: {x!r}, not {y!r}"


def same_bits(x: Any, y: Any) -> bool:
    """Whether arrays are equal, zeros also in their signs; NaN equals NaN."""
    if x.dtype.kind != "f":
        return np.array_equal(x, y)
    return np.array_equal(x, y, equal_nan=True) and np.array_equal(
        np.signbit(x) | np.isnan(x), np.signbit(y) | np.isnan(y)
    )


def why_not(compiled: Any) -> str | None:
    """Return the reason why a compiled function runs without a program; None if it has one."""
    return next(iter(compiled._refused.values()), None)


def programs(compiled: Any) -> int:
    """Count the programs of a compiled function; 0 if one of them is never used."""
    found = [runnable for of in compiled._programs.values() for runnable in of]
    return len(found) if all(runnable.verified for runnable in found) else 0


def assert_compiles(
    f: Callable[..., Any], calls: Iterable[Sequence[Any]], *, most: int = MOST
) -> Any:
    """Require that f compiles, and computes the same bits as without, call for call.

    The first two calls trace it. Returns the compiled function.
    """
    compiled: Any = gg.compile(f)
    for k, arguments in enumerate(calls):
        expected = f(*arguments)
        assert_same(compiled(*arguments), expected, f"call {k}, value")
        assert why_not(compiled) is None, why_not(compiled)
    assert 1 <= programs(compiled) <= most, compiled.explain()
    return compiled
