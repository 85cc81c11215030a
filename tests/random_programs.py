"""Random programs of modules in modules, for tests that hold of every graph."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from hypothesis import strategies as st

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import GraphgradError
from graphgrad.viz import Graph, tracing
from tests.builders import leaf

SHAPES: list[tuple[int, ...]] = [(), (1,), (3,), (4,), (20,), (2, 2), (0, 3), (2, 3, 2)]
DTYPES = [np.float64, np.float32, np.float16]
halves = gg.op(
    lambda x: (x[: len(x) // 2], x[len(x) // 2 :]),
    joint=lambda g: (
        np.concatenate([np.zeros_like(g[1 - i]) if g[i] is None else g[i] for i in (0, 1)]),
    ),
    outputs=2,
    inputs=1,
    name="halves",
)
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


USUAL: list[Callable[[Any, Any], Any]] = [
    lambda x, _: gg.sin(x),
    lambda x, _: gg.tanh(x),
    lambda x, _: x * 0.5,
    lambda x, _: x[::-1],
    *(gg.add, gg.multiply, gg.subtract, gg.maximum),
    lambda x, y: gg.where(x > 0, x, y),
]
ODD: list[Callable[[Any, Any], Any]] = [  # what few do: views, hooks, threads, other dtypes, sweeps
    lambda x, y: x * y,
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
    lambda x, _: nn.Sequential(nn.Tanh(), nn.PReLU(dtype=np.float32))(x),
    lambda x, y: gg.stack(gg.modf(x)).sum(axis=0) + y,
    gg.no_grad()(lambda x, y: x * y),
    *(scaled, Slope(), in_place, in_a_thread, named, hooked, sent_back),
]
ENTER, LEAVE, REPEAT, SPLIT, FIRST_ODD = range(len(USUAL), len(USUAL) + 5)

Move = tuple[int, int, int]
kinds = st.one_of(st.sampled_from([ENTER, REPEAT]), st.integers(0, SPLIT))
moves = st.lists(
    st.tuples(kinds, st.integers(0, 100), st.integers(0, 100)), min_size=1, max_size=12
)


class Block(nn.Module):
    """What may be repeated, with a parameter of its own."""

    def __init__(self) -> None:
        self.scale = nn.Parameter(np.full(1, 0.5))

    def forward(self, x: Any, y: Any) -> Any:
        return gg.tanh(x) * self.scale + y


class Room(nn.Module):
    """A module that runs the moves until one of them leaves it; refused moves are left out."""

    def __init__(self, refused: tuple[type[Exception], ...]) -> None:
        self.blocks = [Block() for _ in range(3)]
        self.refused = refused

    def forward(self, values: list[Any], todo: Iterator[Move]) -> None:
        for kind, i, j in todo:
            if kind == LEAVE:
                return
            if kind == ENTER:
                Room(self.refused)(values, todo)
            else:
                with contextlib.suppress(*self.refused):
                    values.extend(
                        self.moved(kind, values[i % len(values)], values[j % len(values)])
                    )

    def moved(self, kind: int, x: Any, y: Any) -> Iterator[Any]:
        if kind == REPEAT:
            for block in self.blocks:
                x = block(x, y)
            yield x
        elif kind != SPLIT:
            yield USUAL[kind](x, y) if kind < ENTER else ODD[kind - FIRST_ODD](x, y)
        elif x.ndim == 1 and len(x) > 1 and len(x) % 2 == 0:
            first, second = halves(x)
            yield gg.concatenate([second, first * 2.0])


def play(values: list[Any], moves: Iterable[Move], refused: Any = ()) -> None:
    """Let each move take any of the values before it."""
    todo = iter(moves)
    room = Room(refused)
    room(values, todo)
    for move in todo:  # after the module was left
        room(values, iter([move]))


def result(moves: list[Move], size: int = 4) -> gg.Tensor:
    """Run a program on vectors, one of them of a single element."""
    draw = np.random.default_rng(0)
    values: list[Any] = [
        leaf(draw.normal(size=size), name="x"),
        leaf(draw.normal(size=1), name="y"),
        gg.Tensor(draw.normal(size=size), name="c"),
    ]
    play(values, moves)
    total: Any = sum((v.sum() for v in values[3:]), values[0].sum())
    return total  # type: ignore[no-any-return]


def run(moves: list[Move]) -> Graph:
    """The graph of a traced program."""
    with tracing():
        return gg.graph(result(moves))


def odd(seed: int) -> gg.Tensor:
    """Run a program of odd moves, on values of any shape and dtype, traced or not, swept or not."""
    draw = np.random.default_rng(seed)
    shape, dtype = SHAPES[draw.integers(len(SHAPES))], DTYPES[draw.integers(len(DTYPES))]
    values: list[Any] = [
        gg.Tensor(draw.integers(1, 5, size=shape)),
        gg.Tensor(draw.random(size=shape) < 0.5),
        leaf(draw.normal(size=shape).astype(dtype), name="x"),
        leaf(draw.normal(size=shape).astype(dtype), name="x"),
    ]
    last = FIRST_ODD + len(ODD)
    count = int(draw.integers(3, 20))
    todo = [(int(draw.integers(ENTER, last)), -1 - int(draw.integers(4)), j) for j in range(count)]
    with tracing() if draw.random() < 0.6 else contextlib.nullcontext():
        play(values, todo, (GraphgradError, TypeError))
        found: gg.Tensor = values[-1] if draw.random() < 0.5 else (values[-1] * values[2]).sum()
        with contextlib.suppress(GraphgradError):
            end = draw.integers(4)
            if end == 1:
                found.backward(np.ones(found.shape), retain_graph=bool(draw.integers(2)))
            elif end == 2:
                found = gg.gradients(found.sum(), values[2], create_graph=True)
    return found


def fitting(graph: Graph, look: dict[str, Any]) -> dict[str, Any]:
    """Let the focus be on one of the values that take part in differentiation."""
    ids = [v.id for v in graph.snapshot.values if v.needs]
    return look | {"focus": ids[look["focus"] % len(ids)]} if "focus" in look else look


closing: list[Any] = [None, 0, 1, 2, lambda m: m.kind == "Block", lambda _: True]
looks = st.fixed_dictionaries(
    {"collapse": st.sampled_from(closing)},
    optional={
        "direction": st.sampled_from(["both", "forward", "backward"]),
        "focus": st.integers(0, 30),
        "radius": st.integers(0, 4),
        "merge": st.booleans(),
    },
)
