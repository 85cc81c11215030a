"""Stochastic gradient descent."""

import math
from collections.abc import Iterable

from graphgrad.errors import GraphError, ShapeError
from graphgrad.node import here
from graphgrad.tensor import Tensor


class SGD:
    """Plain gradient descent: w ← w − lr · ∂L/∂w.

    Parameters
    ----------
    params
        The tensors to learn: leaves that require a gradient.
    lr
        The learning rate, ≥ 0; may be changed between steps.

    Raises
    ------
    GraphError
        If a parameter is no leaf that requires a gradient, or the list is empty or one tensor.
    ShapeError
        If the learning rate is negative or not finite.
    """

    def __init__(self, params: Iterable[Tensor], lr: float) -> None:
        """Check the parameters; each is updated once, even if listed twice."""
        if isinstance(params, Tensor):
            raise GraphError(f"SGD: params is one tensor; give a list: [tensor] (at {here()})")
        given = list(params)
        if not given:
            raise GraphError(f"SGD: params is empty, there is nothing to learn (at {here()})")
        for i, p in enumerate(given):
            if not (isinstance(p, Tensor) and p.requires_grad and p.is_leaf):
                message = (
                    f"SGD: parameter {i} is no leaf with a gradient; make it by "
                    f"gg.Tensor(…, requires_grad=True) (at {here()})"
                )
                raise GraphError(message)
        self.params = list(dict.fromkeys(given))
        self.lr = lr

    @property
    def lr(self) -> float:
        """The learning rate."""
        return self._lr

    @lr.setter
    def lr(self, lr: float) -> None:
        if not 0 <= lr < math.inf:
            raise ShapeError(f"SGD: lr = {lr}; it must be finite and not negative (at {here()})")
        self._lr = float(lr)

    def zero_grad(self) -> None:
        """Forget the gradients, so that the next ``backward()`` does not add to them."""
        for p in self.params:
            p.grad = None

    def step(self) -> None:
        """Update in place every parameter that has a gradient; backward() notices the change."""
        for p in self.params:
            if p.grad is not None:
                p.data -= self._lr * p.grad
