"""Convolutions against compositions of small ops, the documents' numbers, numerical gradients."""

import numpy as np

from graphgrad import nn


def test_sizes_and_parameters_of_the_documents() -> None:
    """(W − F + 2P) / S + 1, and AlexNet's first layer."""
    assert nn.Conv2d(1, 1, 3)(np.zeros((1, 7, 7), np.float32)).shape == (1, 5, 5)
    assert nn.Conv2d(1, 1, 3, stride=2)(np.zeros((1, 7, 7), np.float32)).shape == (1, 3, 3)
    first = nn.Conv2d(3, 96, 11, stride=4)
    assert first(np.zeros((3, 227, 227), np.float32)).shape == (96, 55, 55)
    assert sum(p.size for p in first.parameters()) == 34_944
