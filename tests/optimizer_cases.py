"""What the optimizers are compared on with PyTorch: their options, and one small problem."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

STEPS = 20


class Case(NamedTuple):
    """An optimizer, PyTorch's name of it where that is another one, and options."""

    name: str
    options: dict[str, Any]
    theirs: str | None = None
    extra: dict[str, Any] = {}  # noqa: RUF012 options that only PyTorch must be told


CASES: dict[str, Case] = {
    "SGD": Case("SGD", {"lr": 0.05}),
    "SGD, momentum": Case("SGD", {"lr": 0.05, "momentum": 0.9}),
    "SGD, dampening": Case("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3}),
    "SGD, nesterov": Case("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "SGD, weight decay": Case("SGD", {"lr": 0.05, "momentum": 0.5, "weight_decay": 0.1}),
    "Momentum": Case("Momentum", {"lr": 0.02}, "SGD", {"momentum": 0.9}),
    "Nesterov": Case("Nesterov", {"lr": 0.02}, "SGD", {"momentum": 0.9, "nesterov": True}),
    "Adagrad": Case("Adagrad", {"lr": 0.5}),
    "Adagrad, all": Case(
        "Adagrad",
        {"lr": 0.5, "lr_decay": 0.1, "initial_accumulator_value": 0.2, "weight_decay": 0.01},
    ),
    "Adadelta": Case("Adadelta", {}),
    "Adadelta, all": Case("Adadelta", {"lr": 0.7, "rho": 0.8, "eps": 1e-2, "weight_decay": 0.1}),
    "RMSprop": Case("RMSprop", {"lr": 0.05}),
    "RMSprop, centered": Case("RMSprop", {"lr": 0.02, "centered": True}),
    "RMSprop, momentum": Case("RMSprop", {"lr": 0.02, "momentum": 0.8, "weight_decay": 0.1}),
    "RMSprop, all": Case("RMSprop", {"lr": 0.005, "alpha": 0.9, "momentum": 0.8, "centered": True}),
    "Adam": Case("Adam", {"lr": 0.1}),
    "Adam, weight decay": Case("Adam", {"lr": 0.1, "betas": (0.8, 0.99), "weight_decay": 0.1}),
    "Adam, amsgrad": Case("Adam", {"lr": 0.1, "betas": (0.5, 0.6), "amsgrad": True}),
    "AdamW": Case("AdamW", {"lr": 0.1, "weight_decay": 0.1}),
    "AdamW, amsgrad": Case("AdamW", {"lr": 0.1, "betas": (0.5, 0.6), "amsgrad": True}),
    "LBFGS": Case("LBFGS", {"lr": 0.3, "max_iter": 1}),
    "LBFGS, two pairs": Case("LBFGS", {"lr": 0.1, "max_iter": 2, "history_size": 2}),
    "LBFGS, line search": Case(
        "LBFGS", {"max_iter": 1, "max_eval": 10, "line_search_fn": "strong_wolfe"}
    ),
}

# a line through four points, with a penalty so that the loss is not quadratic
START = (np.array([[1.5], [-2.0], [0.5]]), np.array(0.3))
X = np.array([[1.0, 0.5, -1.0], [0.0, 2.0, 1.0], [-1.5, 0.2, 0.4], [0.3, -0.7, 1.1]])
Y = np.array([[1.0], [-1.0], [0.5], [2.0]])


def loss_of(w: Any, b: Any, x: Any, y: Any) -> Any:
    """Mean squared error of x @ w + b, and a tenth of the fourth powers of w."""
    return ((x @ w + b - y) ** 2).sum() / 4 + 0.1 * (w**4).sum()


def run(optimizer: Any, params: list[Any], loss: Callable[[], Any]) -> tuple[Any, list[float]]:
    """Do 20 steps; return the parameters after each, flat, and the loss before each."""
    points, losses = [], []

    def closure() -> Any:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    for _ in range(STEPS):
        if type(optimizer).__name__ == "LBFGS":
            value = optimizer.step(closure)
        else:
            value = closure()
            optimizer.step()
        losses.append(float(value.detach().numpy()))
        points.append(np.concatenate([p.detach().numpy().ravel().copy() for p in params]))
    return np.stack(points), losses
