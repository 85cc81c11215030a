"""The demo: the price of two apples and three oranges, and its gradients."""

from graphgrad.engine.source import internal
from graphgrad.engine.tensor import Tensor

internal[__file__] = False  # lines of this file count as the user's, so that the picture names them


def price_of_fruit() -> tuple[Tensor, list[Tensor]]:
    """Compute the price and its gradients; return it with its inputs."""
    apple = Tensor(100.0, requires_grad=True, name="apple")
    apples = Tensor(2.0, requires_grad=True, name="number of apples")
    orange = Tensor(150.0, requires_grad=True, name="orange")
    oranges = Tensor(3.0, requires_grad=True, name="number of oranges")
    tax = Tensor(1.1, requires_grad=True, name="tax")

    price = (apple * apples + orange * oranges) * tax
    price.name = "price"
    price.backward()
    return price, [apple, apples, orange, oranges, tax]
