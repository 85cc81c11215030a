"""The demo: what two apples and three oranges cost, and how that depends on everything."""

from graphgrad.engine.source import internal
from graphgrad.engine.tensor import Tensor

internal[__file__] = False  # so that the picture names lines of this file, as of a user's


def price_of_fruit() -> tuple[Tensor, list[Tensor]]:
    """Compute the price, send its gradient back, and return it with all that it depends on."""
    apple = Tensor(100.0, requires_grad=True, name="apple")
    apples = Tensor(2.0, requires_grad=True, name="number of apples")
    orange = Tensor(150.0, requires_grad=True, name="orange")
    oranges = Tensor(3.0, requires_grad=True, name="number of oranges")
    tax = Tensor(1.1, requires_grad=True, name="tax")

    price = (apple * apples + orange * oranges) * tax
    price.name = "price"
    price.backward()
    return price, [apple, apples, orange, oranges, tax]
