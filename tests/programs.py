"""Random programs over every op and every layer: graphs in which each call uses earlier values."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

import graphgrad as gg
from graphgrad.checks.inputs import is_floating
from graphgrad.checks.laws import Case
from graphgrad.checks.modules import Twin
from graphgrad.engine.trees import flatten
from graphgrad.testing import typical_calls
from tests.every_module import EXAMPLES
from tests.every_op import EVERY_OP

NUDGE = 2e-3  # by which an earlier value moves an input: none leaves the domain of its op


class Piece(NamedTuple):
    """One call that a program may make: a function of arrays, and typical ones."""

    name: str
    function: Callable[..., Any]
    arrays: list[np.ndarray]
    outputs: list[int]  # the places of its floating outputs


def _pieces() -> list[list[Piece]]:
    """List the calls of each op and each layer."""
    found = []
    for name, op in EVERY_OP.items():
        if op.domain is None:
            continue
        cases = [Case(op, call) for call in typical_calls(op)]
        small = [c for c in cases if c.points and all(0 < p.size <= 200 for p in c.points)]
        found.append([_piece(name, c.everything, c.points) for c in small])
    for name, example in EXAMPLES.items():
        rng = np.random.default_rng(0)
        drawn = example.inputs(lambda *shape, rng=rng: rng.uniform(-2, 2, shape))
        module = example.make(np.random.default_rng(1), np.float64)
        found.append([_layer(f"nn.{name}", module, list(map(np.asarray, drawn)))])
    giving = [[piece for piece in calls if piece.outputs] for calls in found]
    return [calls for calls in giving if calls]


def _layer(name: str, module: Any, inputs: list[np.ndarray]) -> Piece:
    twin = Twin(module, (), None)
    places = [i for i, x in enumerate(inputs) if is_floating(x)]

    def function(*arrays: Any) -> Any:
        given: list[Any] = list(inputs)
        for place, x in zip(places, arrays, strict=False):
            given[place] = x
        own = arrays[len(places) :]
        return twin(*[gg.Tensor(p) if isinstance(p, np.ndarray) else p for p in own], *given)

    return _piece(name, function, [*(inputs[i].astype(float) for i in places), *twin.inputs])


def _piece(name: str, function: Callable[..., Any], arrays: list[np.ndarray]) -> Piece:
    outs, _ = flatten(function(*[gg.Tensor(a, requires_grad=True) for a in arrays]))
    return Piece(name, function, arrays, [i for i, y in enumerate(outs) if is_value(y)])


def is_value(y: Any) -> bool:
    """Whether an output can be used further: what NumPy answers without a gradient cannot."""
    return isinstance(y, gg.Tensor) and y.dtype.kind == "f" and y.size > 0


PIECES = _pieces()
Move = tuple[int, int, int, int]  # which op, which of its calls, which input, which earlier value


def dealt(count: int, seed: int = 0, kinds: int = len(PIECES)) -> Iterator[list[Move]]:
    """Draw programs of up to eight calls, from a deck in which every op is as often."""
    rng = np.random.default_rng(seed)
    deck: list[int] = []
    for _ in range(count):
        while len(deck) < 8:
            deck += rng.permutation(kinds).tolist()
        size = int(rng.integers(1, 9))
        others = rng.integers(20, size=(size, 3)).tolist()
        yield [(deck.pop(), *other) for other in others]


def shrunk(moves: list[Move], fails: Callable[[list[Move]], bool]) -> list[Move]:
    """Leave out calls for as long as the program fails."""
    for k in range(len(moves)):
        fewer = moves[:k] + moves[k + 1 :]
        if fewer and fails(fewer):
            return shrunk(fewer, fails)
    return moves


class Program:
    """A program: a function of all arrays that its calls take."""

    def __init__(self, moves: Sequence[Move]) -> None:
        self.steps = [(PIECES[op][call % len(PIECES[op])], at, of) for op, call, at, of in moves]
        self.arrays = [a for piece, _, _ in self.steps for a in piece.arrays]

    def __repr__(self) -> str:
        """Name the calls."""
        return " → ".join(f"{piece.name}[{at}←{of}]" for piece, at, of in self.steps)

    def __call__(self, *arrays: Any) -> list[Any]:
        """Make the calls, and return all their floating outputs."""
        return run(self.steps, arrays)


def run(steps: Sequence[tuple[Piece, int, int]], arrays: Sequence[Any]) -> list[Any]:
    """Make the calls of a program."""
    values: list[Any] = []
    start = 0
    for piece, at, of in steps:
        own = list(arrays[start : start + len(piece.arrays)])
        start += len(own)
        if values:
            place, earlier = at % len(own), values[of % len(values)]
            own[place] = own[place] + NUDGE * np.tanh(_fitted(earlier, own[place].shape))
        leaves, _ = flatten(piece.function(*own))
        values += [leaves[i] for i in piece.outputs]
    return values


def _fitted(value: Any, shape: tuple[int, ...]) -> Any:
    return value if value.shape == shape else np.mean(value)
