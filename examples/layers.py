"""Layers, each with a forward and a backward: by hand, by graphgrad, and by small differences.

    python examples/layers.py

No picture: the three gradients stand beside each other in the text, and agree.
"""

from typing import Any

import numpy as np

import graphgrad as gg
from graphgrad import nn

# ----------------------------------------------------------------- by hand, on plain arrays


class Relu:
    """Lets through what is above 0, forwards and backwards."""

    def forward(self, x: Any) -> Any:
        """Return max(x, 0)."""
        self.above = x > 0
        return x * self.above

    def backward(self, g: Any) -> Any:
        """Return the gradient of x."""
        return g * self.above


class Sigmoid:
    """Remembers its output y, for its slope is y (1 − y)."""

    def forward(self, x: Any) -> Any:
        """Return 1 / (1 + e⁻ˣ)."""
        self.y = 1 / (1 + np.exp(-x))
        return self.y

    def backward(self, g: Any) -> Any:
        """Return the gradient of x."""
        return g * self.y * (1 - self.y)


class Affine:
    """x W + b for any batch shape: rows of x are features, all else counts samples."""

    def __init__(self, W: Any, b: Any) -> None:
        """Take the weights, (inputs, outputs), and the biases."""
        self.W, self.b = W, b

    def forward(self, x: Any) -> Any:
        """Return x W + b."""
        self.shape, self.x = x.shape, x.reshape(-1, x.shape[-1])
        return (self.x @ self.W + self.b).reshape(*self.shape[:-1], -1)

    def backward(self, g: Any) -> Any:
        """Return the gradient of x, and keep those of W and b."""
        g = g.reshape(-1, g.shape[-1])
        self.dW, self.db = self.x.T @ g, g.sum(axis=0)
        return (g @ self.W.T).reshape(self.shape)


class SoftmaxWithLoss:
    """Softmax and cross-entropy in one: the gradient is y − t over the number of samples."""

    def forward(self, x: Any, t: Any) -> float:
        """Return the mean of −log y at the right class; t is one-hot."""
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        self.y, self.t = e / e.sum(axis=-1, keepdims=True), t
        return float(-np.log(self.y[t == 1]).mean())

    def backward(self) -> Any:
        """Return the gradient of the scores."""
        return (self.y - self.t) / (self.t.size / self.t.shape[-1])


# ------------------------------------------------------------------------------ three ways

NAMES = ("x", "W1", "b1", "W2", "b2")


def problem(shape: tuple[int, ...], seed: int = 0) -> tuple[list[Any], Any]:
    """Draw x, two layers of weights and biases, and right classes for a batch of any shape."""
    rng = np.random.default_rng(seed)
    drawn = [rng.standard_normal(s) for s in ((*shape, 4), (4, 6), (6,), (6, 3), (3,))]
    return drawn, rng.integers(0, 3, shape)


def by_hand(activation: str, values: list[Any], labels: Any) -> tuple[float, list[Any]]:
    """Chain the layers above; return the loss and its gradients."""
    x, W1, b1, W2, b2 = values
    first, second = Affine(W1, b1), Affine(W2, b2)
    layers: list[Any] = [first, Relu() if activation == "relu" else Sigmoid(), second]
    for layer in layers:
        x = layer.forward(x)
    last = SoftmaxWithLoss()
    loss = last.forward(x, np.eye(3)[labels])
    g = last.backward()
    for layer in reversed(layers):
        g = layer.backward(g)
    return loss, [g, first.dW, first.db, second.dW, second.db]


def loss_of(activation: str, labels: Any, *values: Any) -> Any:
    """Compute the same with graphgrad's functions, whose backward needs no writing."""
    x, W1, b1, W2, b2 = values
    F = nn.functional
    hidden = F.affine(x, W1.T, b1)  # nn keeps weights as (outputs, inputs)
    hidden = F.relu(hidden) if activation == "relu" else F.sigmoid(hidden)
    scores = F.affine(hidden, W2.T, b2)
    return F.cross_entropy(scores.reshape((-1, 3)), labels.reshape(-1))


def by_graphgrad(activation: str, values: list[Any], labels: Any) -> tuple[float, list[Any]]:
    """Return the loss and its gradients."""
    tensors = [gg.Tensor(v, requires_grad=True) for v in values]
    loss = loss_of(activation, labels, *tensors)
    loss.backward()
    return loss.item(), [t.grad for t in tensors]


def by_differences(activation: str, values: list[Any], labels: Any) -> list[Any]:
    """Return the numerical gradients."""

    def moved(i: int) -> Any:
        return lambda v: loss_of(activation, labels, *values[:i], v, *values[i + 1 :])

    return [gg.numerical_gradient(moved(i), v) for i, v in enumerate(values)]


def largest(a: Any, b: Any) -> float:
    """Return the largest difference."""
    return float(np.max(np.abs(a - b)))


def main() -> None:
    """Compare the three, for both activations and several batch shapes."""
    print("softmax with loss: the gradient of the scores is (y - t) / N")
    scores = gg.Tensor([[0.3, 2.9, 4.0], [1.0, 0.0, 1.0]], requires_grad=True)
    labels = np.array([2, 0])
    nn.functional.cross_entropy(scores, labels).backward()
    y = nn.functional.softmax(scores.numpy())
    for row, probabilities, label in zip(scores.grad, y, labels, strict=True):
        print(f"    y = {np.round(probabilities, 4)}, t = {label}: gradient {np.round(row, 4)}")
    error = largest(scores.grad, (y - np.eye(3)[labels]) / len(labels))
    print(f"    largest difference to (y - t) / N: {error:.0e}")

    for activation in ("relu", "sigmoid"):
        for shape in ((), (5,), (2, 3)):
            values, labels = problem(shape)
            loss, hand = by_hand(activation, values, labels)
            found, swept = by_graphgrad(activation, values, labels)
            numeric = by_differences(activation, values, labels)
            print(f"{activation}, x {values[0].shape}: loss {loss:.6f} by hand, {found:.6f}")
            for name, a, b, c in zip(NAMES, hand, swept, numeric, strict=True):
                ours, theirs = largest(a, b), largest(b, c)
                print(f"    d{name:3} by hand {ours:.0e}, numerically {theirs:.0e} away")


if __name__ == "__main__":
    main()
