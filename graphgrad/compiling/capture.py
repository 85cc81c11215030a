"""One traced run of a function: from its arguments to a program."""

import gc
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np

from graphgrad.compiling.program import AsTensor, Constant, Program, Source, Var
from graphgrad.compiling.reach import Reach, TooMuch
from graphgrad.compiling.swaps import Swaps
from graphgrad.compiling.traced import Traced, has_traced, true_of
from graphgrad.compiling.tracing import Trace
from graphgrad.engine.graph import (
    Absent,
    Freed,
    Node,
    Recorded,
    array_of,
    graph_nodes,
    node_of,
    tick,
)
from graphgrad.engine.operands import needs_gradient
from graphgrad.engine.recording import observing, switches, tracers
from graphgrad.engine.tensor import Tensor
from graphgrad.engine.trees import flatten
from graphgrad.engine.variables import pull
from graphgrad.errors import GraphError

# Arrays stand in as traced ones in places that all threads see; so one trace at a time.
_lock = threading.RLock()


@dataclass(frozen=True)
class Pullback:
    """The gradients of recorded results, which a program computes too."""

    results: tuple[int, ...]  # the places of the recorded results
    upstream: tuple[Var, ...]
    tensors: tuple[Source, ...]  # what they were recorded from
    gradients: tuple[Any, ...]  # one for each tensor


class Captured:
    """What a traced run found: the result, and a program or the reason why there is none."""

    def __init__(
        self,
        f: Callable[..., Any],
        leaves: Sequence[Any],
        rebuild: Callable[[Sequence[Any]], Any],
        names: Sequence[str],
    ) -> None:
        """Run f on (args, kwargs) = rebuild(leaves); the leaves have names."""
        self.trace = Trace(Captured._run.__code__)
        self.program: Program | None = None
        self.pullback: Pullback | None = None
        self.failure: str | None = None
        with _lock:
            try:
                self.reach = Reach(f, leaves)
            except TooMuch:
                self.failure = "the function reaches too many objects"
                args, kwargs = rebuild(leaves)
                self.result = f(*args, **kwargs)
            else:
                self._run(f, leaves, rebuild, names)

    def _run(
        self, f: Callable[..., Any], leaves: Sequence[Any], rebuild: Any, names: Sequence[str]
    ) -> None:
        trace = self.trace
        trace.floor = tick()
        draws = legacy_states()
        seen = [id(x) for x in leaves if isinstance(x, Recorded | np.ndarray)]
        if len(set(seen)) < len(seen):
            trace.fail("the same array or tensor is passed twice")
        swaps = trace.swaps = Swaps(trace)
        try:
            swaps.arguments(leaves, names)
            swaps.places(self.reach)
            args, kwargs = rebuild(swaps.leaves)
            tracers.append(trace)
            try:
                with observing(trace):
                    result = f(*args, **kwargs)
                    parts, self.rebuild_result = flatten(result)
                    if trace.failure is None and switches().enabled:
                        self._pull(parts, swaps)
            finally:
                tracers.remove(trace)
            results = [self._result(part) for part in parts]
            effects = swaps.effects()
        except BaseException:
            trace.fail("the function raised an error")
            swaps.undo()
            trace.close()
            raise
        swaps.undo()
        parts = [_real(part) for part in parts]
        self.result = self.rebuild_result(parts)
        if legacy_states() != draws:
            trace.fail("random numbers were drawn by Python's random or by np.random itself")
        changed = self.reach.changed()
        if changed is not None:
            trace.fail(f"the function changes {changed}, which a program cannot repeat")
        trace.close()
        self.failure = trace.failure
        if self.failure is None:
            inputs = [(traced.var, source) for traced, source in trace.inputs]
            self.program = Program(inputs, trace.calls, results, effects)
            self.failure = held_elsewhere(self.program, trace, [parts, *parts, self.result])
        trace.forget()

    def _result(self, part: Any) -> Any:
        """Return a leaf of the result as the program has it."""
        if isinstance(part, Traced):
            return part.var
        if isinstance(part, Recorded):
            if type(part) is not Tensor:
                self.trace.fail(f"the result holds a {type(part).__name__}, not a new Tensor")
            inner = array_of(part)
            return AsTensor(inner.var if isinstance(inner, Traced) else Constant(np.copy(inner)))
        return Constant(part.copy()) if isinstance(part, np.ndarray) else part

    def _pull(self, parts: list[Any], swaps: Swaps) -> None:
        """If results have a graph, trace the gradients of the tensors that they came from."""
        places = [k for k, p in enumerate(parts) if isinstance(p, Recorded) and needs_gradient(p)]
        if not places:
            return
        ys = [parts[k] for k in places]
        xs = [(t, source) for t, source in swaps.tensors() if needs_gradient(t)]
        upstream = []
        for k, y in enumerate(ys):
            seed = self.trace.draw_upstream(y.shape, y.dtype)
            name = "g" if len(ys) == 1 else f"g{k}"
            upstream.append(self.trace.input(seed, Source(name, _unread), name))
        try:
            found, _ = pull(ys, upstream, [t for t, _ in xs], graph=False)
        except GraphError as error:  # such as a loss after backward()
            message = f"a result has a graph that cannot be used again ({error.message})"
            self.trace.fail(f"{message}; return result.detach()")
            return
        self.pullback = Pullback(
            tuple(places),
            tuple(g.var for g in upstream),
            tuple(source for _, source in xs),
            tuple(g.var if isinstance(g, Traced) else Constant(np.asarray(g)) for g in found),
        )


def legacy_states() -> tuple[Any, ...]:
    """Return the states of the generators that all of a process shares."""
    state: Any = np.random.get_state(legacy=True)  # noqa: NPY002 - to see whether f draws from it
    return random.getstate(), state[0], state[1].tobytes(), state[2:]


def held_elsewhere(program: Program, trace: Trace, ours: Sequence[Any]) -> str | None:
    """Say if something outside holds an array that should be a constant, and may write to it."""
    constants = list(program.constants())
    originals = [trace.originals.get(id(c.array), c.array) for c in constants]
    arrays = [x for x in {id(x): x for x in originals}.values() if _may_change(x)]
    if not arrays:
        return None
    known = {id(x) for x in (*constants, ours, *ours, trace.alive, *trace.ours, originals, arrays)}
    holder = _holder(arrays, known)
    if holder is not None:  # it may be garbage
        gc.collect()
        holder = _holder(arrays, known)
    if holder is None:
        return None
    return (
        f"it computes with an array that something outside holds ({holder}), but neither its "
        "arguments nor its closure"
    )


def _holder(arrays: Sequence[Any], known: set[int]) -> str | None:
    """Name the class of an object, not a known one, that refers to one of some arrays."""
    for holder in gc.get_referrers(*arrays):
        passing = isinstance(holder, tuple | Absent | Node | FrameType) or holder is arrays
        if id(holder) not in known and not passing:
            return type(holder).__name__
    return None


def _may_change(array: Any) -> bool:
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return True
        array = array.base
    return False


def _unread(_: Any) -> Any:
    raise AssertionError


def _real(x: Any) -> Any:
    """Return a result with true arrays, in its graph too."""
    if isinstance(x, Traced):
        return x.value
    if isinstance(x, Recorded):
        Swaps.make_true(x)
        node = node_of(x)
        if node is not None:
            for each in graph_nodes(node):
                _make_true(each)
    return x


def _make_true(node: Node) -> None:
    node.value = _true(node.value)
    node.grad = _true(node.grad)
    if node.values is not None and node.values.__class__ is not Freed:
        node.values = _true(node.values)
    if node.small_gradients:
        node.small_gradients = {k: _true(g) for k, g in node.small_gradients.items()}


def _true(tree: Any) -> Any:
    return true_of(tree) if has_traced(tree) else tree
