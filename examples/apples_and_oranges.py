"""Apples and oranges, twice: from local nodes written by hand, and by graphgrad.

    python examples/apples_and_oranges.py [folder for the picture]

A node knows two things: its output, and how a gradient at its output becomes gradients at
its inputs. Nothing else is needed: the chain rule is passing gradients from node to node.
apples_and_oranges.svg: values above the wires, gradients below.
"""

import sys
from pathlib import Path

import graphgrad as gg

APPLE, APPLES, ORANGE, ORANGES, TAX = 100.0, 2.0, 150.0, 3.0, 1.1


class Add:
    """x + y: hands the gradient on to both."""

    def forward(self, x: float, y: float) -> float:
        """Return the sum."""
        return x + y

    def backward(self, g: float) -> tuple[float, float]:
        """Return the gradients of x and y."""
        return g, g


class Multiply:
    """x · y: remembers both, for each is the other's local gradient."""

    x: float
    y: float

    def forward(self, x: float, y: float) -> float:
        """Return the product."""
        self.x, self.y = x, y
        return x * y

    def backward(self, g: float) -> tuple[float, float]:
        """Return the gradients of x and y."""
        return g * self.y, g * self.x


def by_hand() -> tuple[float, dict[str, float]]:
    """Run four nodes forwards, then backwards in the opposite order."""
    buy_apples, buy_oranges, together, taxed = Multiply(), Multiply(), Add(), Multiply()

    apples_price = buy_apples.forward(APPLE, APPLES)
    oranges_price = buy_oranges.forward(ORANGE, ORANGES)
    net_price = together.forward(apples_price, oranges_price)
    price = taxed.forward(net_price, TAX)

    d_net_price, d_tax = taxed.backward(1.0)
    d_apples_price, d_oranges_price = together.backward(d_net_price)
    d_orange, d_oranges = buy_oranges.backward(d_oranges_price)
    d_apple, d_apples = buy_apples.backward(d_apples_price)
    return price, {
        "apple": d_apple,
        "number of apples": d_apples,
        "orange": d_orange,
        "number of oranges": d_oranges,
        "tax": d_tax,
    }


def by_graphgrad() -> tuple[gg.Tensor, dict[str, float]]:
    """Write the formula; recording and passing back is the engine's work."""
    apple = gg.Tensor(APPLE, requires_grad=True, name="apple")
    apples = gg.Tensor(APPLES, requires_grad=True, name="number of apples")
    orange = gg.Tensor(ORANGE, requires_grad=True, name="orange")
    oranges = gg.Tensor(ORANGES, requires_grad=True, name="number of oranges")
    tax = gg.Tensor(TAX, requires_grad=True, name="tax")
    price = (apple * apples + orange * oranges) * tax
    price.name = "price"
    price.backward()
    inputs = (apple, apples, orange, oranges, tax)
    return price, {str(x.name): x.grad.item() for x in inputs}


def main(folder: Path) -> None:
    """Print both, draw the graph."""
    price, gradients = by_hand()
    tensor, same = by_graphgrad()
    print(f"{'':20}{'local nodes':>12}{'graphgrad':>12}")
    print(f"{'price':20}{price:12g}{tensor:12g}")
    for name, g in gradients.items():
        print(f"{'∂ ' + name:20}{g:12g}{same[name]:12g}")
    folder.mkdir(parents=True, exist_ok=True)
    gg.graph(tensor).render(folder / "apples_and_oranges.svg")
    print(f"drawn: {folder / 'apples_and_oranges.svg'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output"))
