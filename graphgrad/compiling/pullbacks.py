"""Results with a graph: a program whose backward part waits for a sweep."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphgrad.compiling.capture import Pullback
from graphgrad.compiling.program import Program, Source, Var, variables
from graphgrad.engine.graph import Recorded, array_of
from graphgrad.engine.op import op
from graphgrad.engine.record import record
from graphgrad.engine.recording import enable_grad
from graphgrad.engine.trees import flatten
from graphgrad.engine.variables import pull
from graphgrad.errors import GraphError, UnsupportedError


def divided(program: Program, pullback: Pullback) -> tuple[Program, Program]:
    """Divide a program into the part before upstream gradients are known, and the part after."""
    later = {v.memory for v in pullback.upstream}
    before, after = [], []
    known: set[Var] = set()
    for call in program.calls:
        if any(v.memory in later for v in (*call.inputs(), *call.mutates)):
            later |= {v.memory for v in (*call.outputs(), *call.mutates)}
            after.append(call)
        else:
            before.append(call)
            known |= set(call.outputs())
    count = len(program.results) - len(pullback.gradients)
    gradients = program.results[count:]
    inputs = [pair for pair in program.inputs if pair[0] not in pullback.upstream]
    used = {v for call in after for v in call.inputs()} | set(variables(tuple(gradients)))
    kept = [v for v in used if v in known]
    kept.sort(key=lambda v: v.number)
    first = {v for call in before for v in call.inputs()}
    first |= set(variables(tuple(e.value for e in program.effects)))
    forward = Program(
        [
            pair
            for pair in inputs
            if pair[0] in first or pair[0] in used or _returned(program, pair[0])
        ],
        before,
        program.results[:count],
        program.effects,
        kept,
    )
    given = [*kept, *[v for v, _ in inputs if v in used]]
    both = [*given, *pullback.upstream]
    backward = Program([(v, Source(v.name or "t", _unread)) for v in both], after, list(gradients))
    return forward, backward


def _returned(program: Program, var: Var) -> bool:
    return var in set(program.needed())


def _unread(_: Any) -> Any:
    raise AssertionError


class Recording:
    """Makes results of a program recorded ones, with the rest of the program as their rule."""

    def __init__(
        self,
        name: str,
        pullback: Pullback,
        backward: Callable[..., Any],
        program: Program,
        kept: list[Var],
        *,
        pure: bool,
    ) -> None:
        self.pullback, self.backward, self.kept, self.pure = pullback, backward, kept, pure
        self.given = [v for v, _ in program.inputs if v not in pullback.upstream]
        self.op = op(
            lambda inputs, found: found,  # noqa: ARG005 - computed before, with all else
            joint=self._gradients,
            variadic=True,
            outputs=len(pullback.results),
            name=name,
        )

    def attach(
        self,
        results: list[Any],
        values: dict[Var, Any],
        leaves: Sequence[Any],
        again: Callable[[], Any],
    ) -> None:
        """Replace results by recorded ones, from values of the forward part."""
        tensors = tuple([source.read(leaves) for source in self.pullback.tensors])
        outs = [array_of(results[k]) for k in self.pullback.results]
        saved = Saved([values[v] for v in self.given], tensors, leaves, again)
        found = (outs[0] if len(outs) == 1 else tuple(outs)), saved
        made = record(self.op, tensors, (found,))
        for k, tensor in zip(
            self.pullback.results, made if len(outs) > 1 else (made,), strict=True
        ):
            results[k] = tensor

    def _gradients(self, g: Any, inputs: Any, saved: "Saved", wanted: Any) -> Any:
        gs = g if isinstance(g, tuple) else (g,)
        if any(isinstance(x, Recorded) for x in (*gs, *inputs)):
            return self._recorded(gs, inputs, saved, wanted)
        full = [
            np.zeros(v.shape or (), v.dtype) if x is None else x
            for x, v in zip(gs, self.pullback.upstream, strict=True)
        ]
        return tuple(self.backward(*saved.values, *full))

    def _recorded(self, gs: Any, inputs: Any, saved: "Saved", wanted: Any) -> Any:
        """Run the function itself, so that its gradient is recorded."""
        name = self.op.name
        if not self.pure:
            message = (
                f"compile: a second derivative of {name} would run it again, with the numbers that "
                "it draws and the changes that it makes; compile the gradient instead: "
                f"gg.compile(gg.grad({name}))"
            )
            raise UnsupportedError(message)
        now = [source.read(saved.leaves) for source in self.pullback.tensors]
        if any(a is not b for a, b in zip(now, saved.tensors, strict=True)):
            message = f"compile: a tensor that {name} closes over was replaced after the call"
            raise GraphError(message)
        with enable_grad():
            parts, _ = flatten(saved.again())
        ys = [parts[k] for k in self.pullback.results]
        pairs = [(y, g) for y, g in zip(ys, gs, strict=True) if g is not None]
        found, _ = pull([y for y, _ in pairs], [g for _, g in pairs], list(inputs), graph=True)
        return tuple(x if want else None for x, want in zip(found, wanted, strict=True))


class Saved(NamedTuple):
    """What the rule of a compiled function needs."""

    values: list[Any]
    tensors: tuple[Any, ...]
    leaves: Sequence[Any]
    again: Callable[[], Any]
