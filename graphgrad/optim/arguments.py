"""Checks of what only optimizers take: parameters, groups, states."""

from collections.abc import Iterable, Mapping
from typing import Any

from graphgrad.arguments import several
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import DtypeError, GraphError, ShapeError


def tensors_of(name: str, params: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """List one tensor or several, each once."""
    given = (
        [params] if isinstance(params, Tensor) else several(name, "params", params, "parameters")
    )
    if not given:
        raise GraphError(f"{name}: params is empty")
    for i, p in enumerate(given):
        if not isinstance(p, Tensor):
            message = f"{name}: parameter {i} is a {type(p).__name__}, no Tensor"
            raise DtypeError(message)
    return list(dict.fromkeys(given))


def leaves_of(name: str, params: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """List the tensors, all of floating numbers and none of them computed."""
    tensors = tensors_of(name, params)
    for i, p in enumerate(tensors):
        if not p.is_leaf or p.dtype.kind != "f":
            message = f"{name}: parameter {i} is no leaf of floating numbers"
            raise GraphError(message)
    return tensors


def groups_of(name: str, optimizer: Any) -> list[dict[str, Any]]:
    """Return the groups of an optimizer, or say what has none."""
    groups = getattr(optimizer, "param_groups", None)
    if not groups or not all(isinstance(g, dict) and "lr" in g for g in groups):
        message = (
            f"{name}: a {type(optimizer).__name__} has no param_groups with an 'lr'; "
            "give it an optimizer"
        )
        raise GraphError(message)
    return list(groups)


def need_momentum(name: str, groups: list[dict[str, Any]], remedy: str) -> None:
    """Refuse an optimizer that has none."""
    for i, group in enumerate(groups):
        if "momentum" not in group and "betas" not in group:
            message = f"{name}: group {i} has neither 'momentum' nor 'betas'; {remedy}"
            raise GraphError(message)


def check_names(name: str, own: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Refuse a state whose names are not the schedule's own."""
    missing, unexpected = own.keys() - state.keys(), state.keys() - own.keys()
    if missing or unexpected:
        message = (
            f"{name}: the state is of something else: missing {sorted(missing)}, "
            f"unexpected {sorted(unexpected)}"
        )
        raise ShapeError(message)
