"""Random programs that do what few do: views, hooks, threads, constants of every kind, sweeps."""

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import GraphgradError
from graphgrad.viz import tracing
from tests.builders import leaf
from tests.random_programs import halves

SHAPES: list[tuple[int, ...]] = [(), (1,), (3,), (4,), (20,), (2, 2), (0, 3), (2, 3, 2)]
DTYPES = [np.float64, np.float32, np.float16]
scaled = gg.op(
    lambda x, y: x * y, lambda g, y: g * y, lambda g, x: g * x, name="scaled <by>\n", symbol="<&>"
)


class Slope(nn.Module):
    """A module whose forward asks for a gradient."""

    def forward(self, x: Any, y: Any) -> Any:
        return gg.gradients(gg.sin(x * y).sum(), x, create_graph=True)


def in_place(x: Any, y: Any) -> Any:
    z = x * 1.0
    z += y
    z[...] = z * 0.5
    return z


def without_gradient(x: Any, y: Any) -> Any:
    with gg.no_grad():
        return x * y


def in_a_thread(x: Any, y: Any) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(gg.tanh(x) - y))
    thread.start()
    thread.join()
    return found[0]


def named(x: Any, _: Any) -> Any:
    z = gg.sin(x)
    z.name = "a<b>"
    return z


def hooked(x: Any, y: Any) -> Any:
    z = x + y
    z.register_hook(lambda g: g * 2)
    return z


def sent_back(x: Any, y: Any) -> Any:
    (x * y).sum().backward()
    return x - y


def split(x: Any, y: Any) -> Any:
    return gg.concatenate(halves(x)) + y if x.shape == (4,) else gg.stack(gg.modf(x)).sum(axis=0)


MOVES: list[Callable[[Any, Any], Any]] = [
    lambda x, y: x * y,
    lambda x, y: x + y,
    lambda x, y: gg.where(y > 0, x, y),
    lambda x, _: x.reshape(-1).reshape(x.shape),
    lambda x, _: x.T.T[...],
    lambda x, y: gg.concatenate([x.reshape(-1), y.reshape(-1)])[: x.size].reshape(x.shape),
    lambda x, y: gg.stack([x, y, x]).max(axis=0),
    lambda x, _: x.detach(),
    lambda x, _: x * 2 + True,
    lambda x, y: gg.maximum(x, np.float64(0.1)) - y**2,
    lambda x, _: x.astype(np.float32) * 3,
    lambda x, y: gg.recompute(lambda a, b: gg.tanh(a) * b, x, y),
    scaled,
    lambda x, _: nn.Sequential(nn.Tanh(), nn.PReLU(dtype=np.float32))(x),
    Slope(),
    in_place,
    without_gradient,
    in_a_thread,
    named,
    hooked,
    sent_back,
    split,
]


def run(seed: int) -> gg.Tensor:
    """Run some of the moves on values of one shape; whatever is refused is left out."""
    draw = np.random.default_rng(seed)
    shape, dtype = SHAPES[draw.integers(len(SHAPES))], DTYPES[draw.integers(len(DTYPES))]
    values: list[Any] = [
        leaf(draw.normal(size=shape).astype(dtype), name="x"),
        leaf(draw.normal(size=shape).astype(dtype), name="x"),
        gg.Tensor(draw.integers(1, 5, size=shape)),
        gg.Tensor(draw.random(size=shape) < 0.5),
    ]
    with tracing() if draw.random() < 0.6 else contextlib.nullcontext():
        for _ in range(draw.integers(3, 20)):
            x, y = values[-1 - draw.integers(min(len(values), 4))], draw.choice(len(values))
            move = MOVES[draw.integers(len(MOVES))]
            with contextlib.suppress(GraphgradError, TypeError):
                values.append(move(x if x.dtype.kind == "f" else values[0], values[y]))
        result = values[-1] if draw.random() < 0.5 else (values[-1] * values[0]).sum()
        with contextlib.suppress(GraphgradError):
            end = draw.integers(4)
            if end == 1:
                result.backward(np.ones(result.shape), retain_graph=bool(draw.integers(2)))
            elif end == 2:
                result = gg.gradients(result.sum(), values[0], create_graph=True)
    return result  # type: ignore[no-any-return]
