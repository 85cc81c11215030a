"""Nested lists, tuples and dicts of arrays (pytrees), flattened to lists of leaves."""

from collections.abc import Callable, Sequence
from typing import Any


def flatten(tree: Any) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
    """Return the leaves of nested lists, tuples and dicts, and a function that rebuilds these."""
    if isinstance(tree, dict):
        keys, items = list(tree), list(tree.values())
        make: Callable[[list[Any]], Any] = lambda parts: dict(zip(keys, parts, strict=True))  # noqa: E731
    elif isinstance(tree, list | tuple):
        kind, items = type(tree), list(tree)
        make = getattr(kind, "_make", kind)
    else:
        return [tree], lambda leaves: leaves[0]
    flat = [flatten(item) for item in items]
    leaves = [leaf for part, _ in flat for leaf in part]
    inside = [(len(part), inner) for part, inner in flat]  # rebuild keeps no leaf alive

    def rebuild(new: Sequence[Any]) -> Any:
        parts, start = [], 0
        for count, inner in inside:
            parts.append(inner(new[start : start + count]))
            start += count
        return make(parts)

    return leaves, rebuild


def as_tuple(kind: Any, parts: Sequence[Any]) -> Any:
    """Make a tuple, or a named tuple, of a class."""
    return getattr(kind, "_make", tuple)(parts)


def flatten_like(tree: Any, like: Any) -> list[Any] | None:
    """List the parts of a tree that correspond to the leaves of another; None if they differ.

    Dicts are matched by key; a list matches a tuple.
    """
    if isinstance(like, dict):
        fits = isinstance(tree, dict) and tree.keys() == like.keys()
        pairs = [(tree[key], like[key]) for key in like] if fits else None
    elif isinstance(like, list | tuple):
        fits = isinstance(tree, list | tuple) and len(tree) == len(like)
        pairs = list(zip(tree, like, strict=True)) if fits else None
    else:
        return [tree]
    if pairs is None:
        return None
    parts = [flatten_like(part, model) for part, model in pairs]
    return None if None in parts else [x for part in parts for x in part or ()]
