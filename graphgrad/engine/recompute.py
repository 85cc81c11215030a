"""Recomputation in the backward pass, to save memory."""

import contextlib
import functools
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from graphgrad.arguments import guarded
from graphgrad.engine.graph import Node, Recorded, boundary, is_tensor, tick
from graphgrad.engine.in_place import writable
from graphgrad.engine.memory import checksum, noted_writes, restore_writes
from graphgrad.engine.op import Op, op
from graphgrad.engine.record import attach, notify_recorded, wrap
from graphgrad.engine.recording import Observer, enable_grad, observing, switches
from graphgrad.engine.tensor import Tensor
from graphgrad.engine.trees import flatten
from graphgrad.engine.variables import Function, name_of, pull
from graphgrad.errors import GraphError
from graphgrad.randomness import default_generator
from graphgrad.typing import Array


@guarded
def recompute(f: Function, *args: Any, rngs: "Sequence[np.random.Generator]" = ()) -> Any:
    """Compute ``f(*args)``, keeping inputs and outputs only; the backward pass runs f again.

    Trades time for memory: gradient checkpointing, or rematerialization. Gradients also reach
    tensors that f closes over. Pass the generators that f draws from in ``rngs``: they are rewound
    for the second run, as the package's default generator always is. Tensors that f overwrites,
    such as running statistics, are overwritten once.

    Raises
    ------
    GraphError
        In the backward pass, if the second run gives other values than the first, or depends on
        other tensors.
    """
    if not switches().enabled:
        return f(*args)
    segment = _Segment(f, args, (default_generator(), *rngs))
    floor = tick()
    changes = _OverwriteCollector()
    with observing(changes):
        leaves, rebuild = flatten(f(*args))
    segment.changed = list(map(weakref.ref, changes.found.values()))
    nodes = [x._node if isinstance(x, Tensor) else None for x in leaves]
    segment.places = [i for i, n in enumerate(nodes) if n and n.needs and n.serial > floor]
    segment.parents = boundary([nodes[i] for i in segment.places], floor)  # type: ignore[misc]
    if not segment.parents:
        return rebuild(leaves)
    arrays = tuple(leaves[i]._array for i in segment.places)
    segment.sums = list(map(checksum, arrays))
    count = len(segment.parents)
    rerun = _rerun_op(len(arrays))
    plan = rerun.plan((True,) * count, count)
    kept = plan.pick((None, None, None, segment, None))
    single = len(arrays) == 1
    result = attach(plan, tuple(segment.parents), kept, arrays[0] if single else arrays)
    notify_recorded(rerun, result, [], (), switches().observers)
    for place, tensor in zip(segment.places, [result] if single else result, strict=True):
        leaves[place] = tensor
    return rebuild(leaves)


class _OverwriteCollector(Observer):
    """Collects the tensors and arrays that a call overwrites."""

    def __init__(self) -> None:
        self.found: dict[int, Any] = {}

    def sweeping(self, sweep: Any) -> Observer | None:  # noqa: ARG002
        """Observe no sweep."""
        return None

    def overwritten(self, x: Array) -> None:
        """Collect it."""
        self.found[id(x)] = x


@functools.lru_cache(maxsize=64)
def _rerun_op(outputs: int) -> Op[Any]:
    return op(
        lambda inputs, segment: inputs,  # noqa: ARG005 - recompute() makes the first run
        joint=lambda g, segment, wanted: segment.pull(g, wanted),
        variadic=True,
        outputs=outputs,
        name="recompute",
        symbol="⟳",
        doc="A function call whose inside is computed again in the backward pass.",
    )


class _Segment:
    """A function call that can be run again, and checksums of its first result."""

    places: list[int]  # indices of the outputs among the leaves of the result
    sums: list[int]  # a checksum of each output
    parents: list[Node]  # the inputs that get gradients, including closed-over tensors
    changed: list[weakref.ref[Any]]  # the tensors and arrays that it overwrote

    def __init__(
        self, f: Function, args: tuple[Any, ...], rngs: "tuple[np.random.Generator, ...]"
    ) -> None:
        """Store the call and the states of the generators before it."""
        self.f, self.args, self.rngs = f, args, rngs
        self.states = [rng.bit_generator.state for rng in rngs]
        self.changed = []

    @contextlib.contextmanager
    def _as_before(self) -> Iterator[None]:
        """Rewind generators for the second run, and undo its overwrites."""
        now = [rng.bit_generator.state for rng in self.rngs]
        changed = [x for x in (ref() for ref in self.changed) if x is not None]
        overwritten = [(x, _plain(x).copy(), _stamp(x), noted_writes(_plain(x))) for x in changed]
        for rng, state in zip(self.rngs, self.states, strict=True):
            rng.bit_generator.state = state
        try:
            yield
        finally:
            for rng, state in zip(self.rngs, now, strict=True):
                rng.bit_generator.state = state
            for x, array, stamp, known in overwritten:
                _plain(x)[...] = array
                restore_writes(_plain(x), known)
                if stamp is not None:
                    x._node.changed = stamp

    def pull(self, g: Array, wanted: tuple[bool, ...]) -> tuple[Any, ...]:
        """Run again, and return the gradients of the parents."""
        gs = [g] if len(self.places) == 1 else g
        if any(isinstance(u, Recorded) and not is_tensor(u) for u in gs):
            raise TypeError("recompute runs f on numbers: it has no formula")
        graph = any(isinstance(u, Tensor) for u in gs)
        floor = tick()
        with self._as_before(), enable_grad():
            leaves, _ = flatten(self.f(*self.args))
        outs = [leaves[i] for i in self.places if i < len(leaves)]
        sums = [checksum(x._array) if isinstance(x, Tensor) else None for x in outs]
        if sums != self.sums:
            message = (
                f"recompute: computing {name_of(self.f)} again gave other values; it must not "
                "change its inputs nor draw from a generator that is not in rngs="
            )
            raise GraphError(message)
        nodes = [x._node for x in outs if x._node is not None and x._node.needs]
        if set(boundary(nodes, floor)) != set(self.parents):
            message = (
                f"recompute: the second run of {name_of(self.f)} depends on other tensors than the "
                "first; until backward(), do not replace its tensors, change them in place or "
                "change their requires_grad"
            )
            raise GraphError(message)
        known = [(x, u) for x, u in zip(outs, gs, strict=True) if u is not None]
        targets = [_placeholder(parent) for parent in self.parents]
        ys, us = [x for x, _ in known], [u for _, u in known]
        found, _ = pull(ys, us, targets, graph=graph, floor=floor)
        return tuple(x if w else None for x, w in zip(found, wanted, strict=True))


def _plain(x: Array) -> Any:
    return writable(x) if isinstance(x, Tensor) else x


def _stamp(x: Array) -> int | None:
    """Return when a tensor was last overwritten; None without a node."""
    return x._node.changed if isinstance(x, Tensor) and x._node is not None else None


def _placeholder(node: Node) -> Tensor:
    """Return a tensor with a node and a dummy array."""
    nothing = np.broadcast_to(np.zeros((), node.dtype), node.shape)
    return wrap(nothing, node)  # type: ignore[no-any-return]
