"""What holds for every optimizer: a function per law, which raises where it does not.

Each law lets it minimise Σ (x w + b − y)² and a small fourth power of w, in two parameters.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from graphgrad.checks.laws import require
from graphgrad.engine.graph import array_of
from graphgrad.engine.record import constant
from graphgrad.engine.tensor import Tensor
from graphgrad.typing import Array

STEPS = 10
_X = np.array([[1.0, 0.5, -1.0], [0.0, 2.0, 1.0], [-1.5, 0.2, 0.4], [0.3, -0.7, 1.1]])
_Y = np.array([[1.0], [-1.0], [0.5], [2.0]])

Loss = Callable[[], Tensor]
Make = Callable[[list[Tensor]], Any]
Step = Callable[[Any, Loss], Any]


def usual_step(optimizer: Any, loss: Loss) -> None:
    """Forget the gradients, compute new ones, step."""
    optimizer.zero_grad()
    loss().backward()
    optimizer.step()


class OptimizerCase:
    """How an optimizer is made, and how it steps."""

    def __init__(self, make: Make, step: Step = usual_step) -> None:
        self.make, self.step = make, step

    def __repr__(self) -> str:
        """Name the optimizer."""
        return type(self.make(parameters())).__name__

    def run(self, params: list[Tensor], optimizer: Any, steps: int = STEPS) -> list[float]:
        """Take steps, and return the losses before each and after the last."""
        values = []
        for _ in range(steps):
            values.append(float(array_of(loss_of(params))))
            self.step(optimizer, lambda: loss_of(params))
        return [*values, float(array_of(loss_of(params)))]


def parameters(dtype: Any = np.float64) -> list[Tensor]:
    """Return the two parameters where all laws start."""
    start = np.array([[1.5], [-2.0], [0.5]], dtype), np.array(0.3, dtype)
    return [Tensor(p, requires_grad=True) for p in start]


def loss_of(params: list[Tensor]) -> Tensor:
    """Return the loss that is minimised."""
    w, b = params
    x, y = (constant(a.astype(w.dtype)) for a in (_X, _Y))
    error = x @ w + b - y
    loss: Tensor = (error * error).sum() / 4 + (w**4).sum() * 0.1
    return loss


def _values(params: list[Tensor]) -> list[Array]:
    return [np.array(array_of(p)) for p in params]


def it_goes_downhill(case: OptimizerCase) -> None:
    """Take 30 steps: the loss is lower than before."""
    params = parameters()
    with np.errstate(all="ignore"):  # it may go to infinity
        first, *_, last = case.run(params, case.make(params), 3 * STEPS)
    require(last < first, f"the loss went from {first:.4g} to {last:.4g} in {3 * STEPS} steps")


def equal_starts_have_equal_ends(case: OptimizerCase) -> None:
    """Two runs from the same parameters are the same to the bit."""
    runs = []
    for _ in range(2):
        params = parameters()
        case.run(params, case.make(params))
        runs.append(_values(params))
    np.testing.assert_equal(runs[0], runs[1], err_msg="two runs differ")


def every_element_moves(case: OptimizerCase) -> None:
    """Step once: each element with a gradient changes, of every parameter."""
    params = parameters()
    before, optimizer = _values(params), case.make(params)
    case.step(optimizer, lambda: loss_of(params))
    for number, (old, new) in enumerate(zip(before, _values(params), strict=True)):
        require(np.all(old != new), f"parameter {number} of 2 stays, or some of its elements do")


def saved_and_loaded_it_goes_on_to_the_bit(case: OptimizerCase) -> None:
    """Load the state into a new optimizer: it goes on as the old one does."""
    params = parameters()
    optimizer = case.make(params)
    case.run(params, optimizer)
    again = [Tensor(v, requires_grad=True) for v in _values(params)]
    state = optimizer.state_dict()
    case.run(params, optimizer)  # which must not change what was saved
    other = case.make(again)
    other.load_state_dict(state)
    case.run(again, other)
    np.testing.assert_equal(_values(again), _values(params), err_msg="after load_state_dict")


def it_writes_parameters_and_nothing_else(case: OptimizerCase) -> None:
    """Step in float32: parameters keep their dtype, gradients stay as backward() left them."""
    params = parameters(np.float32)
    optimizer = case.make(params)
    for _ in range(STEPS):  # some rules do in the second step what they do not in the first
        case.step(optimizer, lambda: loss_of(params))
        for p in params:
            require(p.dtype == np.float32, f"a float32 parameter became {p.dtype}")
            require(p.requires_grad, "a parameter requires no gradient any more")
    if case.step is usual_step:  # others may compute gradients more than once
        optimizer.zero_grad()
        loss_of(params).backward()
        before = [np.array(p.grad) for p in params]
        optimizer.step()
        now = [p.grad for p in params]
        np.testing.assert_equal(now, before, err_msg="a step wrote into a gradient")


def what_has_no_gradient_stays(case: OptimizerCase) -> None:
    """Leave a parameter that the loss does not use as it is."""
    params = parameters()
    unused = Tensor(np.array([5.0, -1.0]), requires_grad=True)
    optimizer = case.make([*params, unused])
    case.run(params, optimizer)
    np.testing.assert_array_equal(array_of(unused), [5.0, -1.0], err_msg="an unused parameter")


OptimizerLaw = Callable[[OptimizerCase], None]
OPTIMIZER_LAWS: tuple[OptimizerLaw, ...] = (
    it_goes_downhill,
    every_element_moves,
    equal_starts_have_equal_ends,
    saved_and_loaded_it_goes_on_to_the_bit,
    it_writes_parameters_and_nothing_else,
    what_has_no_gradient_stays,
)
