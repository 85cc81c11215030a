"""Domains of ops: the calls that property tests may draw. Data only; `testing.py` draws."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Elementwise(NamedTuple):
    """Inputs of any broadcastable shapes: an open interval for each, without kinks."""

    intervals: tuple[tuple[float, float], ...]
    avoid: tuple[float, ...] = ()
    distinct: bool = False  # whether inputs must differ (ties are kinks)


def elementwise(
    *intervals: tuple[float, float], avoid: tuple[float, ...] = (), distinct: bool = False
) -> Elementwise:
    """Declare the domain of an elementwise op."""
    return Elementwise(intervals, avoid, distinct)


class Reduction(NamedTuple):
    """One array of any shape with elements in an interval, and any ``axis``."""

    interval: tuple[float, float] = (-2.0, 2.0)
    distinct: bool = False
    tuple_axis: bool = True
    keepdims: bool = True
    minimum: int = 0  # the fewest elements along the reduced axis


class Call(NamedTuple):
    """One call of an op."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def call(*args: Any, **kwargs: Any) -> Call:
    """Return a call of an op, for :class:`Cases`."""
    return Call(args, kwargs)


class Cases:
    """A list of typical calls, each made from ``r``: ``r(2, 3)`` is a random 2 × 3 array."""

    def __init__(self, *calls: Callable[[Callable[..., Any]], Call]) -> None:
        """Take functions from the sampler to a :class:`Call`."""
        self.calls = calls


Domain = Elementwise | Reduction | Cases
