"""Typed code of a user: mypy --strict and pyright must know every type in it from the wheel."""

from typing import assert_type

import numpy as np

import graphgrad as gg
import graphgrad.nn
from graphgrad import nn, optim


def learn(weight: gg.Tensor) -> gg.Tensor:
    """Fail the check if Tensor, nn or optim is not known, or graphgrad.nn is another one."""
    assert_type(weight.shape, tuple[int, ...])
    assert_type(optim.SGD([weight], lr=0.1), optim.SGD)
    assert_type(nn.functional.cross_entropy(weight, np.array([0])), gg.Tensor)
    return graphgrad.nn.functional.cross_entropy(weight, np.array([0]))
