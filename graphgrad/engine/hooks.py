"""Gradient hooks: functions of the user that get a gradient, and may return another."""

import copy
from typing import Any

import numpy as np

from graphgrad.engine.graph import Node, Recorded
from graphgrad.engine.operands import as_array
from graphgrad.errors import GraphError, ShapeError
from graphgrad.typing import Array


def run_hooks(node: Node, hooks: dict[int, Any], g: Array) -> Any:
    """Call the hooks with a read-only gradient, and return the gradient after them."""
    given = g
    for hook in list(hooks.values()):
        shown = _read_only(g)
        recorded = isinstance(shown, Recorded)
        before: Any = (shown._array, shown._node) if recorded else None
        try:
            changed = hook(shown)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise GraphError(_written_by_hook(node)) from error
        if recorded and (shown._array is not before[0] or shown._node is not before[1]):
            raise GraphError(_written_by_hook(node))
        if changed is not None:
            if np.shape(changed) != node.shape:
                message = (
                    f"{node.describe()}: a gradient hook returned shape {np.shape(changed)}; "
                    f"return {node.shape}, or None to leave the gradient as it is"
                )
                raise ShapeError(message)
            # a copy: the hook may keep the array, and the user may write to a leaf's gradient
            g = as_array(changed, f"{node.describe()}: a gradient hook").astype(node.dtype)
    # a hook may have kept its argument
    return g.copy() if g is given and node.plan is None and isinstance(g, np.ndarray) else g


def _read_only(g: Array) -> Any:
    """Return a read-only view of a gradient."""
    if isinstance(g, Recorded):
        shown: Any = copy.copy(g)
        shown._array = _read_only(g._array)
        return shown
    if not isinstance(g, np.ndarray):
        return g
    view = g.view()
    view.flags.writeable = False
    return view


def _written_by_hook(node: Node) -> str:
    return (
        f"{node.describe()}: a gradient hook changed its argument in place; "
        "return the new gradient instead, e.g. lambda g: g * 10"
    )
