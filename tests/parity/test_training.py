"""A hundred steps of training: from the same weights and batches, the same losses as PyTorch's."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

import graphgrad as gg
from graphgrad import nn, optim

torch = pytest.importorskip("torch")

STEPS, BATCH = 100, 50


def mlp(m: Any) -> Any:
    return m.Sequential(
        m.Flatten(), m.Linear(64, 50), m.ReLU(), m.Linear(50, 30), m.Tanh(), m.Linear(30, 10)
    )


def convnet(m: Any) -> Any:
    return m.Sequential(
        m.Conv2d(1, 8, 3, padding=1),
        m.BatchNorm2d(8),
        m.ReLU(),
        m.MaxPool2d(2),
        m.Conv2d(8, 16, 3, stride=2, padding=1),
        m.BatchNorm2d(16),
        m.ReLU(),
        m.AvgPool2d(2),
        m.Flatten(),
        m.Linear(16, 20),
        m.BatchNorm1d(20),
        m.LeakyReLU(),
        m.Linear(20, 10),
    )


OPTIMIZERS: dict[str, Callable[[Any, Any], Any]] = {
    "SGD": lambda o, params: o.SGD(params, lr=0.1, momentum=0.9, weight_decay=1e-4),
    "Adam": lambda o, params: o.Adam(params, lr=1e-3),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("build", [mlp, convnet])
def test_the_first_hundred_losses_are_pytorchs(build: Callable[[Any], Any], optimizer: str) -> None:
    theirs = build(torch.nn).double()
    gg.manual_seed(0)  # every number it draws is replaced
    ours = build(nn).astype(np.float64)
    ours.load_state_dict({name: p.detach().numpy() for name, p in theirs.state_dict().items()})
    our_optimizer = OPTIMIZERS[optimizer](optim, ours.parameters())
    their_optimizer = OPTIMIZERS[optimizer](torch.optim, theirs.parameters())

    pixels, digits = load_digits(return_X_y=True)
    images = pixels.reshape(-1, 1, 8, 8) / 16
    rng = np.random.default_rng(0)
    our_losses, their_losses = [], []
    for _ in range(STEPS):
        chosen = rng.choice(len(images), BATCH, replace=False)
        x, t = images[chosen], digits[chosen]
        our_optimizer.zero_grad()
        loss = nn.functional.cross_entropy(ours(x), t)
        loss.backward()
        our_optimizer.step()
        our_losses.append(loss.item())

        their_optimizer.zero_grad()
        expected = torch.nn.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(t))
        expected.backward()
        their_optimizer.step()
        their_losses.append(expected.item())
    np.testing.assert_allclose(our_losses, their_losses, rtol=1e-6)
    assert their_losses[-1] < 0.7 * their_losses[0], "it learns"
    ours.eval()
    theirs.eval()
    with gg.no_grad(), torch.no_grad():
        expected = theirs(torch.tensor(images)).numpy()
        np.testing.assert_allclose(ours(images).numpy(), expected, rtol=1e-5, atol=1e-7)
