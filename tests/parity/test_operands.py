"""PyTorch's tensors are refused by name, with the way to NumPy, wherever an array may be given."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import data
from graphgrad.errors import DtypeError
from graphgrad.nn import functional

torch = pytest.importorskip("torch")

BASE = np.ones((2, 2))
PLACES: dict[str, Callable[[Any], Any]] = {
    "Tensor": gg.Tensor,
    "list": lambda v: gg.Tensor([v, v]),
    "x * v": lambda v: gg.Tensor(BASE, requires_grad=True) * v,
    "v * x": lambda v: v * gg.Tensor(BASE, requires_grad=True),
    "v @ x": lambda v: v @ gg.Tensor(BASE, requires_grad=True),
    "index": lambda v: gg.Tensor(BASE)[v],
    "plain": gg.exp,
    "labels": lambda v: functional.cross_entropy(BASE, v),
    "data set": lambda v: data.Batches((v, v), 1, rng=np.random.default_rng(0)),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("needs", [True, False])
def test_a_tensor_of_pytorch_is_refused(place: str, needs: bool) -> None:
    theirs = torch.ones((2, 2), requires_grad=needs)
    with pytest.raises(DtypeError, match=r"torch\.Tensor is not .*x\.detach\(\)\.cpu\(\)\.numpy"):
        PLACES[place](theirs)
