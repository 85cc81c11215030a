"""Checks of arguments: each names who was called, what is wrong, and the line."""

import itertools
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphgrad.errors import DtypeError, GraphError, ShapeError
from graphgrad.node import here
from graphgrad.tensor import Tensor


def tensors_of(name: str, params: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """List one tensor or several, each once."""
    given = [params] if isinstance(params, Tensor) else list(params)
    if not given:
        raise GraphError(f"{name}: params is empty (at {here()})")
    for i, p in enumerate(given):
        if not isinstance(p, Tensor):
            message = f"{name}: parameter {i} is a {type(p).__name__}, no Tensor (at {here()})"
            raise DtypeError(message)
    return list(dict.fromkeys(given))


def leaves_of(name: str, params: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """List the tensors, all of floating numbers and none of them computed."""
    tensors = tensors_of(name, params)
    for i, p in enumerate(tensors):
        if not p.is_leaf or p.dtype.kind != "f":
            message = f"{name}: parameter {i} is no leaf of floating numbers (at {here()})"
            raise GraphError(message)
    return tensors


def groups_of(name: str, optimizer: Any) -> list[dict[str, Any]]:
    """Return the groups of an optimizer, or say what has none."""
    groups = getattr(optimizer, "param_groups", None)
    if not groups or not all(isinstance(g, dict) and "lr" in g for g in groups):
        message = (
            f"{name}: a {type(optimizer).__name__} has no param_groups with an 'lr'; "
            f"give it an optimizer (at {here()})"
        )
        raise GraphError(message)
    return list(groups)


def need_momentum(name: str, groups: list[dict[str, Any]], remedy: str) -> None:
    """Refuse an optimizer that has none."""
    for i, group in enumerate(groups):
        if "momentum" not in group and "betas" not in group:
            message = f"{name}: group {i} has neither 'momentum' nor 'betas'; {remedy}"
            raise GraphError(f"{message} (at {here()})")


def check_names(name: str, own: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Refuse a state whose names are not the schedule's own."""
    missing, unexpected = own.keys() - state.keys(), state.keys() - own.keys()
    if missing or unexpected:
        message = (
            f"{name}: the state is of something else: missing {sorted(missing)}, "
            f"unexpected {sorted(unexpected)} (at {here()})"
        )
        raise ShapeError(message)


def whole(name: str, what: str, value: Any, least: int) -> int:
    """Require a whole number, not below ``least``, that fits 64 bits."""
    try:
        number = operator.index(value)
    except TypeError:
        message = f"{name}: {what} = {value!r} must be a whole number (at {here()})"
        raise DtypeError(message) from None
    if number < least:
        raise ShapeError(f"{name}: {what} = {number} must be at least {least} (at {here()})")
    if number >= 2**63:
        raise ShapeError(f"{name}: {what} = {number} is more than anyone counts (at {here()})")
    return number


def positive(name: str, what: str, value: Any, *, zero: bool = False) -> float:
    """Require a finite number above 0, or at 0 where that is allowed."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DtypeError(f"{name}: {what} = {value!r} must be a number (at {here()})") from None
    if not (0 < number < math.inf or (zero and number == 0)):
        bound = "not negative" if zero else "positive"
        raise ShapeError(f"{name}: {what} = {number} must be finite and {bound} (at {here()})")
    return number


def share(name: str, what: str, value: Any, most: float = 1.0) -> float:
    """Require a number from 0 to ``most``."""
    number = positive(name, what, value, zero=True)
    if number > most:
        raise ShapeError(f"{name}: {what} = {number} must be from 0 to {most:g} (at {here()})")
    return number


def increasing(name: str, milestones: Sequence[int]) -> list[int]:
    """Require whole numbers, each above the one before it and above 0."""
    checked = [whole(name, "a milestone", m, 1) for m in milestones]
    if any(a >= b for a, b in itertools.pairwise(checked)):
        raise ShapeError(f"{name}: milestones {checked} must increase (at {here()})")
    return checked
