"""A network of three layers (2 → 3 → 2 → 2) is three matrix products.

    python examples/three_layer_network.py

No picture: products, biases and sigmoids, for one sample and for a batch, in numbers that can be
computed by hand.
"""

import graphgrad as gg

# A weight has a row for each input and a column for each unit.
W1 = gg.Tensor([[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]])
b1 = gg.Tensor([0.1, 0.2, 0.3])
W2 = gg.Tensor([[0.1, 0.4], [0.2, 0.5], [0.3, 0.6]])
b2 = gg.Tensor([0.1, 0.2])
W3 = gg.Tensor([[0.1, 0.3], [0.2, 0.4]])
b3 = gg.Tensor([0.1, 0.2])


def product() -> gg.Tensor:
    """Without bias and activation a layer is one product."""
    return gg.Tensor([1, 2]) @ gg.Tensor([[1, 3, 5], [2, 4, 6]])


def network(x: gg.Tensor) -> gg.Tensor:
    """Two sigmoid layers and, as the output of a regression, the identity."""
    z1 = (x @ W1 + b1).sigmoid()
    z2 = (z1 @ W2 + b2).sigmoid()
    return z2 @ W3 + b3


def main() -> None:
    """Print a product and the network's output, for one sample and for a batch."""
    print(f"[1, 2] · [[1, 3, 5], [2, 4, 6]] = {product().tolist()}")
    one = network(gg.Tensor([1.0, 0.5]))
    print(f"network([1, 0.5]) = {one.numpy()}")
    batch = network(gg.Tensor([[1.0, 0.5], [0.0, 0.0], [-1.0, 2.0]]))
    print(f"network of three samples, one per row:\n{batch.numpy()}")


if __name__ == "__main__":
    main()
