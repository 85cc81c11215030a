"""What the optimizers share that look at all parameters as one vector, and ask for the loss."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from graphgrad.engine.recording import enable_grad
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import GraphError, ShapeError
from graphgrad.optim.optimizer import Optimizer
from graphgrad.typing import Array

Closure = Callable[[], Any]


class ClosureOptimizer(Optimizer):
    """An optimizer with one group, whose `step` takes a function that returns the loss."""

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Take the one group."""
        if self.param_groups:
            message = f"{self._name}: all parameters make one vector; give them in one group"
            raise GraphError(message)
        super().add_param_group(group)

    @property
    def _options(self) -> dict[str, Any]:
        """The options, found good."""
        (group,) = self.param_groups
        options = {k: v for k, v in group.items() if k != "params"}
        self._refuse(self._complaints(options))
        return options

    def _learning(self) -> list[Tensor]:
        """List the parameters that are not frozen, all of which can be written."""
        params = [p for p in self.params if p.requires_grad]
        if not params:
            raise GraphError(f"{self._name}: all parameters are frozen")
        for p in params:
            if isinstance(p.data, np.ndarray) and not p.data.flags.writeable:
                message = f"the array of a parameter {p.shape} is read-only"
                raise GraphError(f"{self._name}: {message}")
        return params

    def _loss(self, closure: Closure | None) -> Any:
        """Ask for the loss, a Tensor with one element or a number."""
        if not callable(closure):
            message = f"{self._name}: step needs a function that returns the loss, not {closure!r}"
            raise GraphError(f"{message:.200}")
        with enable_grad():
            loss = closure()
        if loss is None or np.size(value_of(loss)) != 1:
            given = "nothing" if loss is None else f"shape {np.shape(value_of(loss))}"
            message = f"{self._name}: the closure must return the loss, one number, not {given}"
            raise ShapeError(message)
        return loss


def value_of(loss: Array) -> Any:
    """Return the plain array or number."""
    return loss.data if isinstance(loss, Tensor) else loss


def number(loss: Array) -> float:
    """Return the loss as Python's number."""
    return float(np.reshape(value_of(loss), ()))


def flat(arrays: list[Any]) -> Array:
    """Write arrays one after the other into a new vector, of float32 at least."""
    dtype = np.result_type(np.float32, *arrays)
    return np.concatenate([np.ravel(a).astype(dtype, copy=False) for a in arrays])


def place(params: list[Tensor], vector: Any) -> None:
    """Write the parts of a vector into the parameters, in place; `backward()` notices it."""
    start = 0
    for p in params:
        w = p.data
        w[...] = vector[start : start + w.size].reshape(w.shape)
        p.data = w
        start += w.size
