"""Typed code of a user: mypy --strict and pyright must know every type in it from the wheel."""

from typing import assert_type

import graphgrad as gg
import graphgrad.nn
from graphgrad import nn, optim


def shape(tensor: gg.Tensor) -> tuple[int, ...]:
    """Fail the check if Tensor is not known."""
    return assert_type(tensor.shape, tuple[int, ...])


one: type[graphgrad.nn.Module] = nn.Module
base: type[nn.Module] = nn.Affine
optimizer: type[object] = optim.SGD
