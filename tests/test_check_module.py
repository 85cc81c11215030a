"""check_module and check_optimizer: every planted fault is found, by the law that it breaks."""

from functools import partial
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn, optim, testing
from graphgrad.checks.module_laws import MODULE_LAWS
from graphgrad.checks.optimizer_laws import OPTIMIZER_LAWS
from graphgrad.engine.in_place import set_array
from graphgrad.engine.operands import unwrapped
from graphgrad.errors import ArgumentError, DtypeError
from tests.optimizer_cases import CASES

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]])


class Scale(nn.Module):
    """A right one, which the faults below spoil."""

    def __init__(self) -> None:
        self.weight = nn.Parameter(np.array([0.5, 1.5, -1.0]))

    def forward(self, x: Any) -> Any:
        return x * self.weight


class WrongRule(Scale):
    rule = gg.op(lambda x, w: x * w, lambda g, w: g * w, lambda g, x: 1.01 * g * x, broadcasts=True)

    def forward(self, x: Any) -> Any:
        return self.rule(x, self.weight)


class Unused(Scale):
    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(np.zeros(3))


class MadeBefore(Scale):
    """It computes with an array that it made of its parameter once."""

    def __init__(self) -> None:
        super().__init__()
        self.double = 2 * self.weight.data

    def forward(self, x: Any) -> Any:
        return x * self.double + 0 * self.weight


class Remembers(Scale):
    """It computes with an array that it made of its parameter at the first call."""

    double: Any = None

    def forward(self, x: Any) -> Any:
        if self.double is None:
            self.double = 2 * self.weight
        return x * self.double


class RemembersPart(Remembers):
    def forward(self, x: Any) -> Any:
        if self.double is None:
            self.double = 2 * self.weight.data
        return x * self.double + self.weight


class Widens(Scale):
    def forward(self, x: Any) -> Any:
        return x * self.weight * np.ones(3)


class Writes(Scale):
    def forward(self, x: Any) -> Any:
        if isinstance(x, np.ndarray):
            x[0] = 0
        return x * self.weight


class ArraysOnly(Scale):
    def forward(self, x: Any) -> Any:
        return x * self.weight if isinstance(x, np.ndarray) else 2 * x * self.weight


class Hidden(Scale):
    def __init__(self) -> None:
        super().__init__()
        self.mean: Any = 0.0

    def forward(self, x: Any) -> Any:
        if self.training:
            self.mean = 1.0
        return x * self.weight + self.mean

    def load_state_dict(self, state: Any, strict: bool = True) -> Any:
        self.mean = 0.0
        return super().load_state_dict(state, strict)


class Drifts(Scale):
    def __init__(self) -> None:
        super().__init__()
        self.count = nn.Buffer(np.zeros(()))

    def forward(self, x: Any) -> Any:
        self.count.data += 1
        return x * self.weight


class SharesMemory(Scale):
    def __deepcopy__(self, memo: Any) -> "SharesMemory":
        other = type(self)()
        other.weight = self.weight
        return other

    def astype(self, dtype: Any) -> Any:
        return self if dtype == np.float64 else super().astype(dtype)


FAULTS = {
    WrongRule: "gradients are the slopes",
    Unused: "every parameter takes part",
    MadeBefore: "every parameter takes part",
    Remembers: "every parameter takes part",
    RemembersPart: "the state dict holds everything",
    Widens: "float32 stays float32",
    Writes: "inputs are not written",
    ArraysOnly: "tensors and arrays are alike",
    Hidden: "the state dict holds everything",
    Drifts: "evaluation changes nothing",
    SharesMemory: "a copy is independent",
}


def test_a_right_module_passes_and_stays_as_it_was() -> None:
    module = Scale()
    testing.check_module(module, X)
    testing.check_module(nn.Dropout(0.5, rng=np.random.default_rng(0)), X)
    testing.check_module(nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)), X)
    assert module.weight.tolist() == [0.5, 1.5, -1.0]
    assert module.training


@pytest.mark.parametrize("broken", FAULTS)
def test_a_fault_of_a_module_is_found_by_its_law(broken: type[Scale]) -> None:
    law = f"{broken.__name__} of \\(2, 3\\): {FAULTS[broken]}\n"
    with pytest.raises(AssertionError, match=law):
        testing.check_module(broken(), X)


def test_every_law_of_modules_and_optimizers_has_its_fault() -> None:
    names = {law.__name__.replace("_", " ") for law in MODULE_LAWS}
    assert names == set(FAULTS.values())
    assert {law.__name__.replace("_", " ") for law in OPTIMIZER_LAWS} == set(SLIPS.values())


def test_a_loss_is_what_the_gradients_are_of() -> None:
    calls: list[Any] = []

    def loss(y: Any) -> Any:
        calls.append(y)
        return (y * y).sum()

    testing.check_module(Scale(), X, loss=loss)
    assert calls


class Gated(nn.Module):
    """It uses one of its experts at a time."""

    def __init__(self) -> None:
        self.experts = nn.ModuleList([Scale(), Scale()])

    def forward(self, x: Any) -> Any:
        return self.experts[int(np.sum(unwrapped(x)) < 0)](x)


def test_a_parameter_may_rest_if_it_is_named() -> None:
    with pytest.raises(AssertionError, match=r"experts\.1\.weight got no gradient"):
        testing.check_module(Gated(), X)
    testing.check_module(Gated(), X, resting=["experts.1"])
    testing.check_module(Gated(), X, resting=["experts.1.weight"])
    with pytest.raises(AssertionError, match=r"experts\.0\.weight got no gradient"):
        testing.check_module(Gated(), -X, resting=["experts.1"])
    with pytest.raises(DtypeError, match=r"must be among experts\.0\.weight"):
        testing.check_module(Gated(), X, resting=["experts.2"])


def test_what_is_no_module() -> None:
    with pytest.raises(DtypeError, match="must be a Module"):
        testing.check_module(np.tanh, X)


# --------------------------------------------------------------------------- optimizers


class Ascent(optim.SGD):
    def step(self) -> None:
        for p in self.params:
            if p.grad is not None:
                p.data += 0.01 * p.grad


class Draws(optim.SGD):
    rng = np.random.default_rng(0)

    def step(self) -> None:
        super().step()
        self.params[0].data += self.rng.normal() * 1e-9


class Forgets(optim.Adam):
    def load_state_dict(self, saved: Any, copy: bool = True) -> None:
        pass


class WritesGradients(optim.SGD):
    def step(self) -> None:
        super().step()
        for p in self.params:
            if p.grad is not None:
                p.grad *= 0.5


class FirstOnly(optim.SGD):
    def step(self) -> None:
        p = self.params[0]
        if p.grad is not None:
            p.data -= 0.01 * p.grad


class LiveState(optim.SGD):
    """Its state dict holds the arrays that later steps write into."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, lr=lr)
        self.speed = [np.zeros(p.shape) for p in self.params]

    def step(self) -> None:
        for p, speed in zip(self.params, self.speed, strict=True):
            if p.grad is not None:
                speed[...] = 0.9 * speed - 0.01 * p.grad
                p.data += speed.astype(p.dtype)

    def state_dict(self, copy: bool = True) -> dict[str, Any]:  # noqa: ARG002
        return {"speed": self.speed}

    def load_state_dict(self, saved: Any, copy: bool = True) -> None:  # noqa: ARG002
        self.speed = [v.copy() for v in saved["speed"]]


class WidensLater(optim.SGD):
    count = 0

    def step(self) -> None:
        super().step()
        self.count += 1
        for p in self.params if self.count > 1 else ():
            set_array(p, p.data.astype(np.float64))


class Decays(optim.SGD):
    def step(self) -> None:
        super().step()
        for p in self.params:
            p.data *= 0.99


SLIPS: dict[Any, str] = {
    Ascent: "it goes downhill",
    FirstOnly: "every element moves",
    LiveState: "saved and loaded it goes on to the bit",
    Draws: "equal starts have equal ends",
    Forgets: "saved and loaded it goes on to the bit",
    WritesGradients: "it writes parameters and nothing else",
    WidensLater: "it writes parameters and nothing else",
    Decays: "what has no gradient stays",
}


@pytest.mark.parametrize("broken", SLIPS)
def test_a_fault_of_an_optimizer_is_found_by_its_law(broken: Any) -> None:
    with pytest.raises(AssertionError, match=f"^{broken.__name__}: {SLIPS[broken]}\n"):
        testing.check_optimizer(lambda params: broken(params, lr=0.01))


def with_closure(optimizer: Any, loss: Any) -> None:
    def closure() -> Any:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)


def test_how_an_optimizer_steps_is_asked_for() -> None:
    for make in (optim.LBFGS, optim.Newton):
        with pytest.raises(ArgumentError, match=r"cannot step by itself.*step=lambda optimizer"):
            testing.check_optimizer(make)
    newton = partial(optim.Newton, damping=0.1)
    testing.check_optimizer(newton, lambda optimizer, loss: optimizer.step(loss))


@pytest.mark.parametrize("name", CASES)
def test_every_optimizer_keeps_the_laws(name: str) -> None:
    case = CASES[name]
    step = with_closure if case.name == "LBFGS" else None
    testing.check_optimizer(lambda p: getattr(optim, case.name)(p, **case.options), step)
