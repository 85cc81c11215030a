"""Newton's method, for problems small enough to write down their Hessian."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphgrad.engine.recording import outside_traces
from graphgrad.engine.tensor import Tensor
from graphgrad.engine.transforms import gradients
from graphgrad.errors import GraphError, ShapeError
from graphgrad.optim.closures import Closure, ClosureOptimizer, flat, place
from graphgrad.optim.optimizer import Groups, Params

MOST = 1000  # numbers in all parameters: a sweep for each, and a Hessian of 8 MB


class Newton(ClosureOptimizer):
    """w ← w − η (H + λI)⁻¹ g, with the Hessian H from the graph of the gradient.

    One step solves a quadratic problem. Undamped it goes to the nearest stationary point, be it
    minimum, saddle or maximum; with a damping λ above the most negative eigenvalue of H it goes
    downhill, the larger λ, the shorter and the closer to the gradient. Computed in float64.
    Nocedal and Wright, Numerical Optimization (2006), chapter 3.3 and (λ) 3.4.

    Parameters
    ----------
    params
        Tensors to learn, of at most 1000 numbers, in one group: see :class:`Optimizer`.
    lr, damping
        η and λ ≥ 0.

    Raises
    ------
    GraphError
        If there are several groups, or a parameter is no leaf that requires a gradient.
    ShapeError
        If there are more than 1000 numbers.
    ArgumentError
        If an option is out of range.
    """

    def __init__(self, params: Params, lr: float = 1.0, damping: float = 0.0) -> None:
        super().__init__(params, lr=lr, damping=damping)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Take the one group."""
        super().add_param_group(group)
        if (size := sum(p.size for p in self.params)) > MOST:
            self.param_groups.clear()
            message = f"{self._name}: the Hessian of {size:,} numbers is too large"
            raise ShapeError(f"{message}; at most {MOST:,}, or use LBFGS")

    @outside_traces
    def step(self, closure: Closure | None = None) -> Any:
        """Do one step; return the loss before it. ``.grad`` is neither used nor touched.

        Parameters
        ----------
        closure
            Computes the loss and returns it, without ``backward()``.

        Raises
        ------
        GraphError
            If the loss does not depend on the parameters or the graph is used up, or if
            H + λI is singular or not finite; nothing was changed.
        ShapeError
            If what it returns is not one number.
        ArgumentError
            If an option is out of range by now.
        """
        options, params = self._options, self._learning()
        loss = self._loss(closure)
        if not (isinstance(loss, Tensor) and loss.requires_grad):
            message = f"{self._name}: the loss does not depend on any parameter"
            raise GraphError(message)
        try:
            g, h = gradient_and_hessian(loss, params)
        except GraphError as error:
            message = f"{self._name}: the closure must leave backward() to Newton: {error.message}"
            raise GraphError(message) from error
        h[np.diag_indices_from(h)] += options["damping"]
        try:
            d = np.linalg.solve(h, g)
        except np.linalg.LinAlgError:
            d = np.full_like(g, np.nan)
        if not np.all(np.isfinite(d)):
            message = (
                f"{self._name}: H + {options['damping']:g} I is singular or not finite; "
                "use a damping above 0"
            )
            raise GraphError(message)
        place(params, flat([p.data for p in params]) - options["lr"] * d)
        return loss

    def _state_differences(self, groups: Groups, saved: Any) -> list[str]:  # noqa: ARG002
        """There is no state."""
        return ["Newton has no state"] if any(saved) else []


def gradient_and_hessian(loss: Tensor, params: list[Tensor]) -> tuple[Any, Any]:
    """Return both in float64, all parameters as one vector: one sweep for each number."""
    gs = gradients(loss, params, create_graph=True)
    rows = []
    for g in gs:
        depends = isinstance(g, Tensor) and g.requires_grad
        for i in range(g.size):
            if depends:
                one = np.zeros(g.size, g.dtype)
                one[i] = 1
                row = gradients(g, params, one.reshape(g.shape), retain_graph=True)
            else:
                row = [np.zeros(p.shape) for p in params]
            rows.append(flat(row).astype(np.float64))
    values = [g.data if isinstance(g, Tensor) else g for g in gs]
    return flat(values).astype(np.float64), np.stack(rows)
