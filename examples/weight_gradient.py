"""The gradient of a loss with respect to a 2 × 3 weight, by backward() and numerically.

    python examples/weight_gradient.py

No picture: the six numbers of both stand beside each other.
"""

import numpy as np

import graphgrad as gg
from graphgrad import nn

WEIGHT = [[-1.22317556, -0.02853916, -0.24033821], [-1.62537437, -1.27039753, 0.84045948]]
SAMPLE = gg.Tensor([0.6, 0.9])
CLASS = 2


def loss_of(W: gg.Tensor) -> tuple[gg.Tensor, gg.Tensor]:
    """Return the scores of the three classes, and the cross-entropy of the right one."""
    scores = SAMPLE @ W
    return scores, nn.functional.cross_entropy(scores, CLASS)


def main() -> None:
    """Print scores, loss and gradient; check the gradient; take one step downhill."""
    W = gg.Tensor(WEIGHT, requires_grad=True, name="W")
    scores, loss = loss_of(W)
    loss.backward()
    print(f"scores {scores.numpy()}\nloss   {loss:.5f}\ngradient\n{W.grad}")

    numeric = gg.numerical_gradient(lambda w: loss_of(w)[1], W.detach())
    print(f"largest difference to central differences: {np.abs(W.grad - numeric).max():.1e}")

    W.data -= 1.0 * W.grad
    print(f"loss after one step against the gradient with learning rate 1: {loss_of(W)[1]:.5f}")


if __name__ == "__main__":
    main()
