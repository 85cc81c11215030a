"""Which pieces a function takes: what relu, max, sort and Python's if chose on the way.

Two points with the same choices lie on one smooth piece of the function; where they differ, a
kink or a jump lies between them.
"""

from collections.abc import Callable
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

from graphgrad.engine.binder import parameters
from graphgrad.engine.graph import array_of, node_of
from graphgrad.engine.op import Op
from graphgrad.engine.recording import Observer, observing
from graphgrad.engine.source import call_site, source_line
from graphgrad.typing import Array


class Choice(NamedTuple):
    """The pieces of one op, or the result of one comparison."""

    name: str
    pieces: Array  # of each element
    code: CodeType | None
    instruction: int
    inputs: int = 0  # a hash of what it is made by, if an op makes it


class Change(NamedTuple):
    """The first difference between the choices of two runs."""

    name: str  # of the op
    line: str
    element: tuple[int, ...] | None  # its index; None if all elements may differ
    number: int = 0  # of the choice, in the order in which they are made

    def __str__(self) -> str:
        """Return the op, its element and the user's line."""
        place = "" if not self.element else f" at element [{', '.join(map(str, self.element))}]"
        return f"{self.name} ({self.line}){place}"


class Choices(Observer):
    """Records the choices of a function while it runs, and its coarsest dtype."""

    def __init__(self) -> None:
        self.found: list[Choice] = []
        self.dtype = np.dtype(np.float64)

    def recorded(
        self, op: Op[Any], tensors: list[Any], arrays: list[Any], params: tuple[Any, ...]
    ) -> None:
        """Record the pieces of an op that declares ``chooses``."""
        for tensor in tensors:
            if tensor.dtype.itemsize < self.dtype.itemsize:
                self.dtype = tensor.dtype
        if op.chooses is None:
            return
        node: Any = node_of(tensors[0])
        known = dict(zip(op.parameters, params, strict=False))
        known |= {"inputs": arrays} if op.variadic else dict(zip(op.order, arrays, strict=False))
        outs = tuple(map(array_of, tensors))
        known["out"] = outs if op.outputs > 1 else outs[0]
        if node.values:
            known |= dict(zip(node.plan.kept_names, node.values, strict=True))
        pieces = op.chooses(*[known[name] for name in parameters(op.chooses)])
        inputs = hash(tuple(np.asarray(a).tobytes() for a in arrays))
        self.found.append(Choice(op.name, np.asarray(pieces), node.code, node.instruction, inputs))

    def answered(self, question: str, answer: Array) -> None:
        """Record a plain result, which is constant on a piece."""
        answers = answer if isinstance(answer, tuple) else (answer,)
        site = call_site(3)
        for part in answers:
            if isinstance(part, np.ndarray | np.generic | bool | int | float):
                self.found.append(Choice(question, np.array(part), *site))

    def sweeping(self, sweep: Any) -> None:
        """Observe no sweep: the ops of its rules are recorded like others."""

    def first_change(self, other: "Choices") -> Change | None:
        """Return the first difference from the choices of another run."""
        for number, (mine, theirs) in enumerate(zip(self.found, other.found, strict=False)):
            line = source_line(mine.code, mine.instruction)
            if (mine.name, mine.pieces.shape) != (theirs.name, theirs.pieces.shape):
                return Change(mine.name, line, None, number)
            same = mine.pieces == theirs.pieces
            if mine.pieces.dtype.kind == "f":
                same |= (mine.pieces != mine.pieces) & (theirs.pieces != theirs.pieces)
            if not np.all(same):
                place = np.unravel_index(int(np.argmin(same)), same.shape)
                return Change(mine.name, line, tuple(map(int, place)), number)
        if len(self.found) != len(other.found):
            longer = max(self.found, other.found, key=len)[min(len(self.found), len(other.found))]
            return Change(longer.name, source_line(longer.code, longer.instruction), None)
        return None


def watched(call: Callable[[], Any]) -> tuple[Any, Choices]:
    """Run a function, and return its result and its choices."""
    choices = Choices()
    with observing(choices):
        return call(), choices
