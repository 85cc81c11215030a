"""Changing a tensor in place: a write if nothing is recorded, else a new version."""

import operator
from typing import Any, Self

import numpy as np

from graphgrad.engine.failures import raise_explained
from graphgrad.engine.graph import Recorded, memory_owners
from graphgrad.engine.memory import note_write
from graphgrad.engine.methods import ArrayMethods
from graphgrad.engine.op import TABLE
from graphgrad.engine.operands import check, needs_gradient, operand, unwrapped
from graphgrad.engine.record import make_leaf, record
from graphgrad.engine.recording import notify_overwritten, switches
from graphgrad.errors import GraphError, ShapeError
from graphgrad.typing import Array


def writable(tensor: Recorded) -> Array:
    """Return the array of a tensor, for code that calls `mark_changed` after it has written to it.

    For optimizers and layers; users write to ``t.data``, which does both.
    """
    if isinstance(tensor._array, np.generic):  # as of 0-d results
        set_array(tensor, np.copy(tensor._array))
    return tensor._array


def mark_changed(tensor: Recorded, *, written: bool = True) -> None:
    """Note that the value changed, by a write to its memory or by new memory."""
    notify_overwritten(tensor)
    node = tensor._node
    if node is None and not written:
        return  # it is in no graph, and its old memory is unchanged
    now = note_write(tensor._array if written else None)
    if node is not None:
        node.changed = now
        if node.is_view:
            for owner in memory_owners(node):
                owner.changed = now


def set_array(tensor: Recorded, array: Array) -> None:
    """Replace the array of a tensor, and the value of its node, if that keeps it."""
    tensor._array = array
    if tensor._node is not None and tensor._node.value is not None:
        tensor._node.value = array


def replace_with(tensor: Recorded, other: Recorded) -> None:
    """Give a tensor the array and the node of another one."""
    tensor._array, tensor._node = other._array, other._node


class InPlace(ArrayMethods):
    """The in-place operators of a Tensor."""

    __slots__ = ()

    def __setitem__(self, index: Any, value: Array) -> None:
        """Make this tensor a new version of itself with some elements replaced.

        Arrays and tensors taken before keep their values and gradients. If nothing is recorded, the
        array is written in place, as in NumPy.
        """
        index = unwrapped(index)
        node = self._node
        if not self._is_recording(value):
            check(index, "setitem, 'index'")
            value = unwrapped(operand(value, "setitem"))
            try:
                writable(self)[index] = value
            except (ValueError, IndexError, TypeError) as error:
                raise_explained(TABLE[operator.setitem], [self._array, value], error)
            mark_changed(self)
            return
        self._refuse_leaf_change("t[index] = value")
        if node is not None and node.plan is not None and node.plan.op.view:
            message = (
                f"setitem: this tensor is the temporary result of '{node.plan.op.name}', and a "
                "change of it would not reach the original; write t[0, 1] = v instead of "
                "t[0][1] = v, or take a .copy() first"
            )
            raise GraphError(message)
        self._become(record(TABLE[operator.setitem], (self, value), (index,)))

    def _update(self, function: np.ufunc, other: Array) -> Self:
        """Compute ``t += v`` and similar operators."""
        if not self._is_recording(other):
            other = unwrapped(operand(other, function.__name__))
            try:
                function(writable(self), other, out=writable(self))
            except (ValueError, TypeError) as error:
                raise_explained(TABLE[function], [self._array, other], error)
            mark_changed(self)
            return self
        self._refuse_leaf_change(f"an in-place {function.__name__}")
        result = record(TABLE[function], (self, other))
        if result.shape != self.shape:
            message = (
                f"{function.__name__}: in place, {self.shape} cannot become {result.shape}; "
                "write t = t + v instead"
            )
            raise ShapeError(message)
        self._become(result if result.dtype == self.dtype else result.astype(self.dtype))
        return self

    def _is_recording(self, other: Array) -> bool:
        return switches().enabled and (
            needs_gradient(self) or (isinstance(other, Recorded) and needs_gradient(other))
        )

    def _become(self, result: Self) -> None:
        name = None if self._node is None else self._node.name
        replace_with(self, result)
        if name is not None:
            (self._node or make_leaf(self, needs=False)).name = name

    def _refuse_leaf_change(self, what: str) -> None:
        if self._node is not None and self._node.plan is None and self._node.needs:
            message = (
                f"{what} on a leaf that requires a gradient would make it a computed tensor and "
                "stop its training; do it inside gg.no_grad(), or on a .copy()"
            )
            raise GraphError(message)

    def __iadd__(self, other: Array) -> Self:
        return self._update(np.add, other)

    def __isub__(self, other: Array) -> Self:
        return self._update(np.subtract, other)

    def __imul__(self, other: Array) -> Self:
        return self._update(np.multiply, other)

    def __itruediv__(self, other: Array) -> Self:
        return self._update(np.divide, other)

    def __ifloordiv__(self, other: Array) -> Self:
        return self._update(np.floor_divide, other)

    def __imod__(self, other: Array) -> Self:
        return self._update(np.remainder, other)

    def __ipow__(self, other: Array) -> Self:
        return self._update(np.power, other)

    def __imatmul__(self, other: Array) -> Self:
        return self._update(np.matmul, other)
