"""Tensor: what it accepts, what it holds, how it behaves in Python and in NumPy."""

import math
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import DtypeError, GraphError, ShapeError
from tests.builders import leaf


def test_a_tensor_that_requires_a_gradient_copies_and_others_share() -> None:
    array = np.ones(3)
    trained, shared = leaf(array), gg.Tensor(array)
    array[0] = 5
    assert trained.data[0] == 1
    assert shared.data[0] == 5


@pytest.mark.parametrize("kind", [gg.Tensor, nn.Parameter, nn.Buffer])
@pytest.mark.parametrize(
    ("second", "remedy"),
    [
        (True, "write requires_grad=True"),
        (np.float32, "write dtype=…"),
        ("float32", "write dtype='float32', or name='float32'"),
        (2.0, "give several numbers as one list"),
        (None, "write dtype=, requires_grad= or name="),
    ],
)
def test_all_but_the_data_is_given_by_name(
    kind: type[gg.Tensor], second: object, remedy: str
) -> None:
    with pytest.raises(DtypeError, match=f"^{kind.__name__}: takes one array; {remedy}") as caught:
        kind([1.0], second)  # type: ignore[arg-type]
    assert "test_tensor.py" in str(caught.value)


@pytest.mark.parametrize("data", [3, [1, 2], [True]])
def test_integers_cannot_require_a_gradient(data: object) -> None:
    with pytest.raises(DtypeError, match=r"\.astype\(float\)"):
        leaf(data)
    x = gg.Tensor(data)  # type: ignore[arg-type]
    with pytest.raises(DtypeError, match=r"\.astype\(float\)"):
        x.requires_grad = True
    assert not x.requires_grad


def test_conversions_that_would_drop_the_graph_are_refused() -> None:
    t = leaf(2.0)
    z = np.zeros(3)
    conversions: list[Any] = [
        lambda: math.exp(t),
        lambda: float(t),
        lambda: int(t),
        lambda: np.full(3, t),
        lambda: np.asarray(t),
        lambda: [1, 2, 3][t],
    ]
    for convert in conversions:
        with pytest.raises(GraphError, match="drop its graph"):
            convert()
    with pytest.raises(ValueError, match="setting an array element") as caught:
        z[0] = t
    assert isinstance(caught.value.__cause__, GraphError)  # NumPy puts words of its own in front
    assert t.item() == 2.0
    assert t.numpy() == 2.0
    assert math.exp(t.detach()) == math.exp(2)
    with gg.no_grad():
        assert np.asarray(t) == 2.0
    assert [1, 2, 3][gg.Tensor(1)] == 2


def test_repr_says_what_the_tensor_is() -> None:
    x = leaf([1.0, 2.0], name="x")
    assert repr(x) == "Tensor([1., 2.], requires_grad=True, name='x')"
    assert repr(x * 2) == "Tensor([2., 4.], op=multiply)"
    assert repr(gg.Tensor(np.float32(1.5))) == "Tensor(1.5, dtype=float32)"
    assert f"{(x * x).sum():.2f}" == "5.00"


def test_detach_shares_memory_and_leaves_the_graph() -> None:
    x = leaf([1.0, 2.0])
    y = (x * 2).detach()
    assert not y.requires_grad
    assert np.shares_memory(x.detach().data, x.data)


def test_data_can_be_assigned_but_not_reshaped() -> None:
    x = leaf([1.0, 2.0])
    x.data = np.array([3, 4])
    x.data -= 1
    assert x.tolist() == [2.0, 3.0]
    with pytest.raises(ShapeError, match=r"shape \(3,\) assigned to a tensor of shape \(2,\)"):
        x.data = np.ones(3)
    scalar = leaf(2.0)
    scalar.data[...] = 5.0
    assert (scalar * 2).item() == 10


def test_comparisons_are_plain_and_tensors_hash_by_identity() -> None:
    x, y = gg.Tensor([1.0, 2.0]), gg.Tensor([1.0, 3.0])
    assert isinstance(x == y, np.ndarray)
    assert (x < y).tolist() == [False, True]
    assert len({x, y, x}) == 2
    assert 2.0 in x
    assert 5.0 not in x


def test_python_protocols() -> None:
    x = leaf(np.arange(6.0).reshape(2, 3))
    assert len(x) == 2
    assert [row.tolist() for row in x] == [[0, 1, 2], [3, 4, 5]]
    a, b = x
    (a * b).sum().backward()
    assert x.grad.tolist() == [[3, 4, 5], [0, 1, 2]]
    with pytest.raises(DtypeError, match="0-d"):
        len(gg.Tensor(1.0))
    with pytest.raises(DtypeError, match="0-d"):
        iter(gg.Tensor(1.0))
    assert bool(gg.Tensor(1.0))
    assert divmod(gg.Tensor(7.0), 2)[1].item() == 1


def test_arrays_and_scalars_on_the_left_give_tensors() -> None:
    x = leaf([1.0, 2.0])
    for y in (
        np.ones(2) * x,
        np.float64(3) * x,
        3 - x,
        [1.0, 2.0] + x,  # noqa: RUF005 - the sum of a list and a tensor
        np.eye(2) @ x,
    ):
        assert isinstance(y, gg.Tensor)
        assert y.requires_grad


def test_grad_can_be_assigned_and_cleared() -> None:
    x = leaf([1.0, 2.0])
    x.grad = np.array([1, 2])
    assert x.grad.dtype == float
    with pytest.raises(ShapeError, match="grad"):
        x.grad = [1, 2, 3]
    x.grad = None
    assert x.grad is None
    with pytest.raises(GraphError, match="requires_grad"):
        gg.Tensor([1.0]).grad = [1]


def test_tensor_of_a_recorded_tensor_is_refused() -> None:
    x = leaf([1.0])
    with pytest.raises(GraphError, match="detach"):
        gg.Tensor(x)
    assert gg.Tensor(x.detach()).tolist() == [1.0]


def test_a_leaf_that_stops_and_starts_requiring_a_gradient_stays_the_same() -> None:
    """As where a part is frozen for a while and a graph of before is still to be swept."""
    x = leaf(np.ones(2), name="x")
    seen: list[Any] = []
    x.register_hook(lambda g: seen.append(g.tolist()))
    (5 * x).sum().backward()
    y = (x * x).sum()
    x.requires_grad = False
    assert not (x * 2).requires_grad
    x.requires_grad = True
    assert gg.gradients(y, x, retain_graph=True).tolist() == [2, 2]
    (y + (3 * x).sum()).backward()
    with pytest.raises(GraphError, match="only a leaf"):
        y.requires_grad = False
    assert x.grad.tolist() == [10, 10]
    assert seen == [[5, 5], [2, 2], [5, 5]]
    assert x.name == "x"


def test_a_leaf_that_starts_requiring_a_gradient_has_memory_of_its_own() -> None:
    array = np.ones(2)
    x = gg.Tensor(array, name="x")
    for _ in range(2):
        x.requires_grad = True
        x.data[0] = 5
        assert array.tolist() == [1, 1]
        x.requires_grad = False
