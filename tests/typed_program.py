# pyright: reportUnnecessaryTypeIgnoreComment=true
"""A user's program, which mypy --strict and pyright check: every type in it, and its mistakes.

A mistake has a `type: ignore`, which both report where there is none: so it must be reported.
"""

from collections.abc import Iterator
from typing import Any, assert_type

import numpy as np

import graphgrad as gg
import graphgrad.nn
from graphgrad import nn, optim
from graphgrad.nn import Linear


def arithmetic(t: gg.Tensor, u: gg.Tensor) -> gg.Tensor:
    assert_type(t + 1, gg.Tensor)
    assert_type(1 + t, gg.Tensor)
    assert_type(t @ u, gg.Tensor)
    assert_type(t[0], gg.Tensor)
    assert_type(-t.T, gg.Tensor)
    assert_type(gg.exp(t), gg.Tensor)
    assert_type(t.exp(), gg.Tensor)
    assert_type(t.sum(), gg.Tensor)
    assert_type(gg.sum(t, axis=0), gg.Tensor)
    assert_type(gg.where(np.array([True]), t, u), gg.Tensor)
    assert_type(gg.concatenate([t, u]), gg.Tensor)
    assert_type(gg.linalg.norm(t), gg.Tensor)
    assert_type(gg.einsum("i,i", t, u), gg.Tensor)
    assert_type(gg.split(t, 2), list[gg.Tensor])
    for row in t:
        assert_type(row, gg.Tensor)
    assert_type(t.shape, tuple[int, ...])
    assert_type(t.grad, Any)
    assert_type(t.item(), Any)
    return gg.vecdot(t, u)


def power(x: Any, n: int = 2) -> Any:
    return gg.prod(gg.stack([x] * n))


@gg.no_grad()
def predict(net: nn.Module, x: gg.Tensor, *, scale: float = 1.0) -> gg.Tensor:
    return net(x) * scale


@gg.enable_grad
def batches(count: int) -> Iterator[gg.Tensor]:
    for _ in range(count):
        yield gg.Tensor(np.ones((5, 4)))


class Reader(nn.Module):
    def __init__(self, size: int) -> None:
        self.memory = nn.LSTM(size, 3)
        self.scores = Linear(3, 2)

    def forward(self, x: gg.Tensor, *, last: bool = False) -> gg.Tensor:
        states, _ = self.memory(x)
        assert_type(states, gg.Tensor)
        return self.scores(states[-1] if last else states)


def learn() -> float:
    """Learn a little."""
    net = Reader(4)
    more = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    optimizer = optim.SGD([*net.parameters(), *more.parameters()], lr=0.1)
    assert_type(optim.Adam(more.parameters(), lr=1e-3), optim.Adam)
    loss = gg.Tensor(0.0)
    for x in batches(2):
        optimizer.zero_grad()
        scores = net(x, last=True)
        assert_type(scores, gg.Tensor)
        assert_type(more(scores), gg.Tensor)
        loss = graphgrad.nn.functional.cross_entropy(more(scores)[None], np.array([0]))
        assert_type(loss, gg.Tensor)
        assert_type(nn.CrossEntropyLoss()(scores[None], np.array([0])), gg.Tensor)
        loss.backward()
        optimizer.step()
    assert_type(nn.MaxPool2d(2, ceil_mode=True)(gg.Tensor(np.ones((1, 2, 2)))), gg.Tensor)
    assert_type(nn.Dropout().p, float)
    assert_type(predict(net, gg.Tensor(np.ones((5, 4))), scale=2.0), gg.Tensor)
    return float(loss.item() + gg.grad(power)(3.0, n=2))


def derivatives() -> None:
    assert_type(gg.grad(power)(2.0), Any)
    assert_type(gg.grad(gg.grad(power))(2.0, 3), Any)
    assert_type(gg.value_and_grad(power)(2.0, n=3), tuple[Any, Any])
    gg.grad(np.tanh)(0.7)
    gg.grad(lambda x: gg.sum(x * x))(np.ones(3))
    gg.jacobian(np.exp)(np.ones(3))
    gg.hessian(power)(2.0, 3)


def mistakes(t: gg.Tensor, net: Reader) -> None:
    """Never called: checkers must report each line."""
    gg.expp(t)  # type: ignore[attr-defined]
    nn.Linaer(3, 4)  # type: ignore[attr-defined]
    t.expp()  # type: ignore[attr-defined]
    t.sum(keepdim=True)  # type: ignore[arg-type]
    gg.grad(power)(2.0, "no")  # type: ignore[arg-type]
    gg.grad(power)()  # type: ignore[call-arg]
    gg.value_and_grad(power)(2.0, m=3)  # type: ignore[call-arg]
    gg.jacobian(power)(2.0, "no")  # type: ignore[arg-type]
    gg.hessian(power)(2.0, "no")  # type: ignore[arg-type]
    gg.grad(gg.grad(power))(2.0, "no")  # type: ignore[arg-type]
    gg.grad(3.0)  # type: ignore[call-overload]
    net("no")  # type: ignore[arg-type]
    net(t, last=3)  # type: ignore[arg-type]
    net.scores()  # type: ignore[call-arg]
    nn.Linear(2, 2)()  # type: ignore[call-arg]
    nn.ReLU()()  # type: ignore[call-arg]
    nn.MaxPool2d()  # type: ignore[call-arg]
    nn.ELU("no")  # type: ignore[arg-type]
    nn.HuberLoss(reduction=3)  # type: ignore[arg-type]
    nn.CrossEntropyLoss()(t)  # type: ignore[call-arg]
    predict(net)  # type: ignore[call-arg]
    predict(net, t, scale="no")  # type: ignore[arg-type]
    optim.SGD(net.parameters(), lr="no")  # type: ignore[arg-type]
