"""Copies and pickles: of tensors with all that hangs on them, and of everything callable."""

import copy
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import linalg, nn, optim
from graphgrad.engine.op import TABLE
from graphgrad.errors import GraphError

F = nn.functional


@pytest.fixture(scope="module", name="process")
def _process() -> Iterator[Any]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        yield pool


def pickled(x: Any) -> Any:
    return pickle.loads(pickle.dumps(x))


class Named(gg.Tensor):
    """A tensor of a user's: other arguments, an attribute and a slot."""

    __slots__ = ("__dict__", "unit")

    def __init__(self, unit: str, values: Any) -> None:
        super().__init__(values, requires_grad=True, name="speed")
        self.unit = unit
        self.notes = ["fast"]


class Locked(nn.Parameter):
    """A parameter with a slot whose name Python mangles."""

    __slots__ = ("__key",)

    def __init__(self, key: int) -> None:
        super().__init__(np.arange(3.0, dtype=np.float32))
        self.__key = key

    def key(self) -> int:
        return self.__key


TENSORS: dict[str, Callable[[], gg.Tensor]] = {
    "constant": lambda: gg.Tensor([1.0, 2.0]),
    "integers": lambda: gg.Tensor(np.arange(4, dtype=np.uint8), name="labels"),
    "number": lambda: gg.Tensor(np.float32(2), requires_grad=True),
    "leaf": lambda: gg.Tensor([[1.0, 2.0]], requires_grad=True, name="w"),
    "strided": lambda: gg.Tensor(np.arange(6.0).reshape(2, 3).T, requires_grad=True),
    "empty": lambda: gg.Tensor(np.zeros((0, 2)), requires_grad=True),
    "parameter": lambda: nn.Parameter(np.ones(3, np.float16), name="b"),
    "frozen": lambda: nn.Parameter([1.0], requires_grad=False),
    "buffer": lambda: nn.Buffer(np.zeros(2)),
    "named": lambda: Named("m/s", [3.0, 4.0]),
    "locked": lambda: Locked(7),
}


def same(a: gg.Tensor, b: gg.Tensor) -> None:
    assert a is not b
    assert type(a) is type(b)
    np.testing.assert_array_equal(a.numpy(), b.numpy(), strict=True)
    assert (a.requires_grad, a.name, a.is_leaf) == (b.requires_grad, b.name, b.is_leaf)
    if b.grad is None:
        assert a.grad is None
    else:
        np.testing.assert_array_equal(a.grad, b.grad, strict=True)
    if isinstance(b, Named):
        assert isinstance(a, Named)
        assert (a.unit, a.notes) == (b.unit, b.notes)
    if isinstance(b, Locked):
        assert isinstance(a, Locked)
        assert a.key() == b.key()


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("with_gradient", [False, True])
def test_a_tensor_is_copied_with_all_that_it_has(name: str, with_gradient: bool) -> None:
    x = TENSORS[name]()
    if with_gradient and x.requires_grad:
        (x * 3).sum().backward()
    for twin in (copy.deepcopy(x), pickled(x)):
        same(twin, x)
        assert not np.shares_memory(twin.numpy(), x.numpy())
        if x.grad is not None:
            assert not np.shares_memory(twin.grad, x.grad)
        if x.requires_grad:
            before = None if x.grad is None else x.grad.copy()
            (twin * 2).sum().backward()
            np.testing.assert_array_equal(x.grad, before)
    other = copy.copy(x)
    same(other, x)
    if x.size > 1:
        assert np.shares_memory(other.numpy(), x.numpy())


def test_shared_parts_stay_shared() -> None:
    x = Named("m/s", [1.0])
    for pair in (copy.deepcopy([x, x]), pickled([x, x])):
        assert pair[0] is pair[1]
    shallow = copy.copy(x)
    assert shallow.notes is x.notes
    deep = copy.deepcopy(x)
    assert deep.notes is not x.notes


def test_a_computed_tensor_has_no_copy_apart_from_its_graph() -> None:
    x = gg.Tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    for attempt in (copy.deepcopy, pickle.dumps):
        with pytest.raises(GraphError, match=r"its graph; use \.detach\(\) \(at test_copies"):
            attempt(y)
    for twin in (copy.deepcopy(y.detach()), pickled(y.detach())):
        same(twin, y.detach())
    copied = copy.copy(y)
    copied.sum().backward()
    assert x.grad.tolist() == [2, 2]


def callables() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for where, space in (("gg", gg), ("linalg", linalg), ("F", F), ("nn", nn), ("optim", optim)):
        for name in sorted(vars(space)):
            value = getattr(space, name)
            if callable(value) and not name.startswith("_"):
                found[f"{where}.{name}"] = value
    return found


CALLABLES = callables()


def test_every_public_callable_is_pickled_by_name_and_copied_as_itself() -> None:
    assert len(CALLABLES) > 400
    for name, value in CALLABLES.items():
        assert pickled(value) is value, name
        assert copy.copy(value) is value, name
        assert copy.deepcopy(value) is value, name


def test_every_op_of_numpys_is_pickled() -> None:
    for function, op in TABLE.items():
        if op.__module__.startswith("graphgrad."):
            assert pickled(op) is op, function


swish = gg.op(
    lambda x: x / (1 + np.exp(-x)),
    lambda g, x, out: g * (out + (1 - out) / (1 + np.exp(-x))),
    name="swish",
    elementwise=True,
)


class Activated(nn.Module):
    def __init__(self) -> None:
        self.scale = nn.Parameter([2.0])
        self.chain: list[Callable[..., Any]] = [gg.tanh, F.relu, swish, np.exp]

    def forward(self, x: Any) -> Any:
        for function in self.chain:
            x = function(x * self.scale)
        return x


def test_an_op_of_a_users_own() -> None:
    assert pickled(swish) is swish
    local = gg.op(lambda x: x * 2, lambda g: g * 2, name="twice")
    assert copy.deepcopy([local])[0] is local
    with pytest.raises(
        pickle.PicklingError, match=r"'twice' has no name in module tests\.engine\.test_copies"
    ):
        pickle.dumps(local)


def test_a_module_that_keeps_ops_is_copied_and_sent_to_a_process(process: Any) -> None:
    module = Activated()
    x = np.array([0.1, -0.2])
    expected = module(x).numpy()
    for twin in (copy.deepcopy(module), pickled(module)):
        np.testing.assert_array_equal(twin(x).numpy(), expected)
        assert twin.scale is not module.scale
        assert twin.chain == module.chain
    np.testing.assert_array_equal(process.apply(forward, (module, x)), expected)


def forward(module: nn.Module, x: Any) -> Any:
    return module(x).numpy()


def cubic(x: Any, y: Any = 2.0) -> Any:
    """Return x³ y."""
    return x * x * x * y


DERIVED: dict[str, Any] = {
    "grad": gg.grad(cubic),
    "value_and_grad": gg.value_and_grad(cubic, (0, 1)),
    "jacobian": gg.jacobian(cubic),
    "hessian": gg.hessian(cubic),
    "third": gg.grad(gg.grad(gg.grad(cubic))),
    "of an op": gg.grad(gg.tanh),
}


@pytest.mark.parametrize("name", DERIVED)
def test_derivatives_are_copied_and_pickled(name: str) -> None:
    f = DERIVED[name]
    args = (0.5,) if name == "of an op" else (0.5, 3.0)
    for twin in (pickled(f), copy.copy(f), copy.deepcopy(f)):
        assert repr(twin(*args)) == repr(f(*args))
    if name != "of an op":
        assert f.__doc__ == cubic.__doc__
    assert repr(f).startswith("<")


class Physics:
    """A derivative may be a method, as any function."""

    def energy(self, x: Any) -> Any:
        return x * x

    force = gg.grad(energy, 1)


def test_a_derivative_is_a_method_where_it_stands_in_a_class() -> None:
    assert Physics().force(3.0) == 6


def test_a_derivative_is_sent_to_a_process(process: Any) -> None:
    assert process.map(gg.grad(cubic), [1.0, 2.0]) == [6.0, 24.0]
