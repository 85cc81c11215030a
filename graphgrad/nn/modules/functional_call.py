"""Calling a module with other values in place of its parameters."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphgrad.arguments import guarded
from graphgrad.engine.graph import array_of, node_of
from graphgrad.engine.in_place import replace_with
from graphgrad.engine.operands import as_array
from graphgrad.engine.record import constant
from graphgrad.engine.tensor import Tensor
from graphgrad.engine.trees import flatten
from graphgrad.engine.variables import alias
from graphgrad.errors import ShapeError
from graphgrad.nn.modules.module import Module
from graphgrad.typing import Array


@guarded
def functional_call(module: Module, values: Mapping[str, Any], *inputs: Any) -> Any:
    """Call a module as a function of its parameters.

    For ``gg.grad``, ``gg.hessian`` and their like::

        gg.hessian(lambda w: loss(nn.functional_call(net, {"0.weight": w}, x), t))(w)

    The module itself is left as it was. Not for use from several threads on one module.

    Parameters
    ----------
    module
        Any module.
    values
        Tensors or arrays by the names of ``named_parameters()`` and ``named_buffers()``; what is
        not named keeps its own value.
    inputs
        Of the module's ``forward``.

    Raises
    ------
    ShapeError
        If a name is none of the module's, or a value has another shape.
    """
    own: dict[str, Tensor] = dict(module.named_parameters())
    own.update(module.named_buffers())
    given: dict[str, Tensor] = {}
    for name, value in values.items():
        tensor = value if isinstance(value, Tensor) else constant(as_array(value))
        if name not in own or own[name].shape != tensor.shape:
            it_is = f"is {own[name].shape}" if name in own else f"is none of {', '.join(own)}"
            message = f"functional_call: {name!r} {tensor.shape} {it_is}"
            raise ShapeError(message)
        given[name] = tensor
    before = {name: alias(own[name]) for name in given}
    try:
        for name, tensor in given.items():
            replace_with(own[name], tensor)
        out = _with_values_of_their_own(module(*inputs), {id(own[name]) for name in given})
        for name, tensor in given.items():
            _take_back(own[name], tensor, values[name])
        return out
    finally:
        for name, tensor in before.items():
            replace_with(own[name], tensor)


def _take_back(lent: Tensor, tensor: Tensor, value: Array) -> None:
    """Give what was put in the place of a value, such as a count, to whoever gave the value."""
    array = array_of(lent)
    if array is array_of(tensor) or node_of(lent) is not node_of(tensor):
        return
    if isinstance(value, Tensor):
        value.data = array
    elif isinstance(value, np.ndarray):
        value[...] = array


def _with_values_of_their_own(out: Array, lent: set[int]) -> Any:
    """Let outputs that are parameters themselves stay what they are now, while values are lent."""
    leaves, rebuild = flatten(out)
    if not any(id(x) in lent for x in leaves):
        return out
    return rebuild([alias(x) if id(x) in lent else x for x in leaves])
