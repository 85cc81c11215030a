"""Checks of what only optimizers take: parameters, groups, states."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphgrad.arguments import CALLED, Check, several
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import DtypeError, GraphError, ShapeError
from graphgrad.optim.optimizer import Groups, Optimizer


def tensors_of(params: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """List one tensor or several, each once."""
    one = isinstance(params, Tensor)
    given = [params] if one else several(CALLED, "params", params, "parameters")
    if not given:
        raise GraphError(f"{CALLED}: params is empty")
    for i, p in enumerate(given):
        if not isinstance(p, Tensor):
            message = f"{CALLED}: parameter {i} is a {type(p).__name__}, no Tensor"
            raise DtypeError(message)
    return list(dict.fromkeys(given))


def leaves_of(params: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """List the tensors, all of floating numbers and none of them computed."""
    tensors = tensors_of(params)
    for i, p in enumerate(tensors):
        if not p.is_leaf or p.dtype.kind != "f":
            message = f"{CALLED}: parameter {i} is no leaf of floating numbers"
            raise GraphError(message)
    return tensors


def groups_of(optimizer: Optimizer) -> list[dict[str, Any]]:
    """Return the groups of an optimizer that has a learning rate."""
    groups = optimizer.param_groups
    if not groups or not all("lr" in group for group in groups):
        raise GraphError(f"{CALLED}: {type(optimizer).__name__} has no param_groups with an 'lr'")
    return groups


def rates_of(groups: Groups, what: str, given: Any, check: Check) -> list[float]:
    """Return a rate for each group: one for all, or as many as there are."""
    rates = list(given) if isinstance(given, Sequence) else [given] * len(groups)
    if len(rates) != len(groups):
        raise ShapeError(f"{CALLED}: {len(rates)} rates in {what} for {len(groups)} groups")
    return [check(CALLED, what, rate) for rate in rates]


def need_momentum(groups: list[dict[str, Any]], remedy: str) -> None:
    """Refuse an optimizer that has none."""
    for i, group in enumerate(groups):
        if "momentum" not in group and "betas" not in group:
            message = f"{CALLED}: group {i} has neither 'momentum' nor 'betas'; {remedy}"
            raise GraphError(message)


def check_names(own: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Refuse a state whose names are not the schedule's own."""
    missing, unexpected = own.keys() - state.keys(), state.keys() - own.keys()
    if missing or unexpected:
        message = (
            f"{CALLED}: the state is of something else: missing {sorted(missing)}, "
            f"unexpected {sorted(unexpected)}"
        )
        raise ShapeError(message)
