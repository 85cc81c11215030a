"""Random programs of modules in modules, for tests that hold of every graph."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import strategies as st

import graphgrad as gg
from graphgrad import nn
from graphgrad.viz import Graph
from tests.builders import leaf

UNARY: list[Any] = [gg.sin, gg.tanh, lambda x: x * 0.5, lambda x: x[::-1]]
BINARY: list[Any] = [
    *(gg.add, gg.multiply, gg.subtract, gg.maximum),
    lambda x, y: gg.where(x > 0, x, y),
]
halves = gg.op(
    lambda x: (x[: len(x) // 2], x[len(x) // 2 :]),
    joint=lambda g: (
        np.concatenate([np.zeros_like(g[1 - i]) if g[i] is None else g[i] for i in (0, 1)]),
    ),
    outputs=2,
    inputs=1,
    name="halves",
)
ENTER, LEAVE, REPEAT, SPLIT = range(9, 13)

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
    """A module that runs the moves until one of them leaves it."""

    def __init__(self) -> None:
        self.blocks = [Block() for _ in range(3)]

    def forward(self, values: list[Any], todo: Iterator[Move]) -> None:
        for kind, i, j in todo:
            x, y = values[i % len(values)], values[j % len(values)]
            if kind == LEAVE:
                return
            if kind == ENTER:
                Room()(values, todo)
            elif kind == REPEAT:
                for block in self.blocks:
                    x = block(x, y if i % 3 else y * 0.5)
                values.append(x)
            elif kind == SPLIT and len(x) > 1:
                first, second = halves(x)
                values.append(gg.concatenate([second, first * 2.0]))
            elif kind < len(UNARY):
                values.append(UNARY[kind](x))
            elif kind < ENTER:
                values.append(BINARY[kind - len(UNARY)](x, y))


def result(moves: list[Move], size: int = 4) -> gg.Tensor:
    """Run a program, each move of which takes any of the values before it."""
    draw = np.random.default_rng(0)
    values: list[Any] = [
        leaf(draw.normal(size=size), name="x"),
        leaf(draw.normal(size=1), name="y"),
        gg.Tensor(draw.normal(size=size), name="c"),
    ]
    todo = iter(moves)
    room = Room()
    room(values, todo)
    for move in todo:  # after the module was left
        room(values, iter([move]))
    total: gg.Tensor = sum((v.sum() for v in values[3:]), values[0].sum())
    return total


def run(moves: list[Move]) -> Graph:
    """The graph of a traced program."""
    with gg.viz.tracing():
        return gg.graph(result(moves))


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
