"""The programs. Pictures name lines: after a change here, run `python -m tests.golden`."""

from pathlib import Path

import numpy as np

import graphgrad as gg

FOLDER = Path(__file__).parent


def leaf(value: object, name: str | None = None) -> gg.Tensor:
    return gg.Tensor(value, requires_grad=True, name=name)  # type: ignore[arg-type]


def apples_and_oranges() -> gg.Tensor:
    """The price of two apples and three oranges, after backward()."""
    apple, apple_count = leaf(100.0, "apple"), leaf(2.0, "apple_count")
    orange, orange_count = leaf(150.0, "orange"), leaf(3.0, "orange_count")
    tax = leaf(1.1, "tax")
    apple_price = apple * apple_count
    apple_price.name = "apple_price"
    price = (apple_price + orange * orange_count) * tax
    price.name = "price"
    price.backward()
    return price


def sigmoid_neuron() -> gg.Tensor:
    """The circuit of the CS231n notes: one neuron from elementary ops."""
    w0, x0, w1, x1, w2 = leaf(2.0, "w0"), leaf(-1.0, "x0"), leaf(-3.0, "w1"), leaf(-2.0), leaf(-3.0)
    return 1 / (1 + gg.exp(-(w0 * x0 + w1 * x1 + w2)))


def matrix_net() -> gg.Tensor:
    """Arrays too large to be written out; the input is a constant."""
    x = gg.Tensor(np.linspace(-1, 1, 24).reshape(4, 6), name="x")
    w, b = leaf(np.linspace(-1, 2, 18).reshape(6, 3), "W"), leaf([0.5, 0.0, -0.5], "b")
    return gg.relu(x @ w + b).sum()


def fork() -> gg.Tensor:
    """One value used three times."""
    x = leaf(3.0, "x")
    return x * x + x


def shared_weight() -> gg.Tensor:
    """A leaf with so many uses that it is drawn at each."""
    w, h = leaf(0.5, "w"), leaf(1.0, "h")
    for _ in range(4):
        h = h * w
    return h


def second_order() -> gg.Tensor:
    """The graph of a gradient."""
    x = leaf(2.0, "x")
    slope: gg.Tensor = gg.gradients(x * x * x, x, create_graph=True)
    slope.name = "dy/dx"
    return slope


def several_outputs() -> gg.Tensor:
    """An op with two results, and a result that is no single number."""
    split = gg.op(
        lambda x: (x[:2], x[2:]),
        joint=lambda g: (np.concatenate([np.zeros(2) if u is None else u for u in g]),),
        outputs=2,
        inputs=1,
        name="halves",
    )
    first, second = split(leaf([1.0, 2.0, 3.0, 4.0], "x"))
    return first * second  # type: ignore[no-any-return]


PROGRAMS = (
    apples_and_oranges,
    sigmoid_neuron,
    matrix_net,
    fork,
    shared_weight,
    second_order,
    several_outputs,
)
