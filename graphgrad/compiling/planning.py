"""Planning how a program runs: which calls go block by block, and which values share memory.

A value whose memory nobody else sees gets it from a buffer of the program: from its first write to
the last read of it, or of a view of it, the buffer is its own; then the next value takes it.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphgrad.compiling.program import UNGUARDED, Call, Constant, Function, Program, Var
from graphgrad.compiling.reductions import as_reduction
from graphgrad.pieces import MANY_ARRAYS, spans

_UFUNCS = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.true_divide, "//": np.floor_divide,
    "%": np.remainder, "&": np.bitwise_and, "|": np.bitwise_or, "^": np.bitwise_xor,
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
    "==": np.equal, "!=": np.not_equal,
}  # fmt: skip
_UNARY = {"-": np.negative, "~": np.invert, "+": np.positive}
# Views of their argument or new arrays, and nothing that remembers it.
_SAFE = {
    "T", "mT", "real", "imag", "reshape", "transpose", "swapaxes", "squeeze", "ravel", "flatten",
    "copy", "astype", "sum", "max", "min", "mean", "prod", "any", "all", "argmax", "argmin",
    "view", "cumsum", "take", "repeat", "dot", "std", "var", "item", "clip", "trace", "diagonal",
}  # fmt: skip
_NEW = (np.where, np.concatenate, np.stack, np.zeros_like, np.ones_like, np.zeros, np.mean, np.take)
_KINDS = "fbiu"  # of dtypes: floats, bools, integers
_UNSAFE_FUNCTIONS = {"np.nditer", "np.broadcast", "np.lib.stride_tricks.as_strided"}
_SLOW = 1 << 14  # bytes of a value that is worth a set of buffers
_RUN_BYTES = 2 * MANY_ARRAYS
_FEW, _CHECKS = 8, 3  # calls with small buffers that are worth a set, and the check of an input
_REACH = 64  # calls that are looked at to continue a run


@dataclass(eq=False)
class Buffer:
    """Memory seen as one array."""

    name: str
    place: int  # in the list of memories
    shape: tuple[int, ...]
    dtype: Any


@dataclass(eq=False)
class Run:
    """Elementwise calls on arrays of one shape, executed block by block."""

    name: str
    calls: list[Call]
    shape: tuple[int, ...]
    flat: bool  # blocks of the elements in order of memory; else of the first axis
    outputs: list[Var] = field(default_factory=list)  # needed after the run
    sliced: list[Any] = field(default_factory=list)  # Vars and Constants read from outside
    places: list[int | None] = field(default_factory=list)  # slot of each call; None: in an output
    temporaries: list[list[Any]] = field(default_factory=list)  # slots as (slot, dtype)
    slots: int = 0
    inside: set[Var] = field(default_factory=set)
    out: dict[Var, Buffer] = field(default_factory=dict)


@dataclass(eq=False)
class Step:
    """A call, or a run of calls."""

    calls: list[Call]
    run: Run | None = None


@dataclass(eq=False)
class Plan:
    """In which order, and into which memory, the calls of a program go."""

    steps: list[Step]
    out: dict[int, Buffer]  # by the id of the call
    buffers: list[Buffer]
    runs: list[Run]
    memories: list[int]  # bytes
    layouts: dict[int, tuple[int, ...]]  # strides that inputs must have

    def make(self) -> tuple[Any, ...]:
        """Make a set of buffers."""
        memories = [np.empty(size, np.uint8) for size in self.memories]
        arrays = [_seen(memories[b.place], b.shape, b.dtype) for b in self.buffers]
        return (*arrays, *(_blocks(run) for run in self.runs))


def _seen(memory: Any, shape: Sequence[int], dtype: Any) -> Any:
    size = math.prod(shape) * dtype.itemsize
    return memory[:size].view(dtype).reshape(shape)


def _blocks(run: Run) -> list[tuple[slice, tuple[Any, ...]]]:
    """List the blocks of a run, each with the temporaries that have its size."""
    length = math.prod(run.shape) if run.flat else run.shape[0]
    rest = () if run.flat else run.shape[1:]
    widest = max((c.out if isinstance(c.out, Var) else c.args[0]).dtype.itemsize for c in run.calls)
    step = max(1, MANY_ARRAYS // (widest * math.prod(rest)))
    memories: dict[int, Any] = {}
    for slot, dtype in run.temporaries:
        size = step * math.prod(rest) * dtype.itemsize
        if slot not in memories or memories[slot].nbytes < size:
            memories[slot] = np.empty(size, np.uint8)
    made: dict[int, tuple[Any, ...]] = {}
    found = []
    for span in spans(length, step):
        size = span.stop - span.start
        if size not in made:
            made[size] = tuple(
                _seen(memories[slot], (size, *rest), dtype) for slot, dtype in run.temporaries
            )
        found.append((span, made[size]))
    return found


# ------------------------------------------------------------------------- what calls are


def as_ufunc(call: Call) -> tuple[np.ufunc, tuple[Any, ...]] | None:
    """Return a call as a ufunc with its operands, if it is the same for arrays."""
    args = call.args
    ufunc = None if call.kwargs else _ufunc_of(call.function, args)
    if ufunc is np.power:  # in Python x ** 2 is a square
        ufunc, args = np.square, args[:1]
    return (ufunc, args) if ufunc is not None and all(map(_is_operand, args)) else None


def _ufunc_of(function: Function, args: tuple[Any, ...]) -> np.ufunc | None:
    text = function.text
    if function.style == "binary":
        if text == "**" and type(args[1]) in (int, float) and args[1] == 2:
            base = args[0]
            floats = isinstance(base, Var) and not base.scalar and base.dtype.kind == "f"
            return np.power if floats else None
        return _UFUNCS.get(text)
    if function.style in ("in place", "unary"):
        return _UNARY.get(text) if function.style == "unary" else _UFUNCS.get(text[:-1])
    if function.style == "name" and text == "abs":
        return np.absolute
    found = function.call if function.style == "name" else None
    if not isinstance(found, np.ufunc) or found is np.power:
        return None
    plain = found.nout == 1 and found.signature is None and len(args) == found.nin
    return found if plain else None


def _is_operand(x: Any) -> bool:
    if isinstance(x, Var):
        return x.shape is not None
    return isinstance(x, Constant | np.generic) or type(x) in (bool, int, float)


def copied(call: Call) -> Any:
    """Return what a call copies, maybe to another dtype; None if it does something else."""
    function, args = call.function, call.args
    copies = call.kwargs in ({}, {"copy": True}) and call.out is not None
    copies = copies and isinstance(call.out, Var) and call.out.root is None
    if not copies or not args or not isinstance(args[0], Var) or args[0].scalar:
        return None
    if function.style == "method" and function.text == "copy" and len(args) == 1:
        return args[0]
    if function.style == "name" and function.call is np.copy and len(args) == 1:
        return args[0]
    if function.style == "method" and function.text == "astype" and len(args) == 2:
        return args[0] if isinstance(call.out, Var) and call.out.shape else None
    return None


def _is_array(x: Any) -> bool:
    return isinstance(x, Var) and x.shape is not None and not x.scalar


def _size(var: Var) -> int:
    return math.prod(var.shape or ()) * int(var.dtype.itemsize)


def _contiguous(var: Var) -> bool:
    if var.strides is None or var.shape is None:
        return False
    expected = var.dtype.itemsize
    for n, stride in zip(var.shape[::-1], var.strides[::-1], strict=True):
        if n != 1 and stride != expected:
            return False
        expected *= n
    return True


def _is_safe(call: Call) -> bool:
    """Whether a call keeps nothing of its arguments but views that it returns."""
    function = call.function
    if function.style in ("binary", "unary", "in place", "index", "assign"):
        return True
    if function.style in ("attribute", "method"):
        return function.text in _SAFE and not call.draws
    if function.call in (bool, int):
        return True
    return (
        not function.module
        and function.text.startswith("np.")
        and function.text not in _UNSAFE_FUNCTIONS
        and call.pure
        and not call.draws
    )


def _makes_new(call: Call) -> bool:
    """Whether a call surely returns new memory."""
    function = call.function
    known = as_reduction(call) is not None or copied(call) is not None or _can_fill(call)
    return (
        known or function.call in _NEW or (function.style == "method" and function.text == "mean")
    )


def _can_fill(call: Call) -> bool:
    """Whether a call can put its result into an array that it gets."""
    if as_ufunc(call) is not None:
        return call.function.style != "in place"
    if copied(call) is not None:
        return _is_array(call.out) and _size(call.out) >= _SLOW
    return call.function.text in ("@", "np.matmul") and not call.kwargs and all(
        _is_array(x) and len(x.shape) > 1 for x in call.args
    )  # fmt: skip


def _is_elementwise(call: Call) -> bool:
    """Whether a call computes each element from those in the same place."""
    if call.guard is not UNGUARDED or not call.pure or call.draws:
        return False
    if call.function.style == "in place":
        ours = as_ufunc(call) is not None and _is_array(call.args[0])
        return ours and call.args[0].dtype.kind in _KINDS
    if not _is_array(call.out) or call.mutates or call.out.dtype.kind not in _KINDS:
        return False
    if as_ufunc(call) is not None or copied(call) is not None:
        return True
    return (
        call.function.call is np.where
        and len(call.args) == 3
        and not call.kwargs
        and all(map(_is_operand, call.args))
    )


def _operands(call: Call) -> tuple[Any, ...]:
    return call.args if copied(call) is None else call.args[:1]


def _target(call: Call) -> Var:
    found: Var = call.args[0] if call.function.style == "in place" else call.out
    return found


# ------------------------------------------------------------------------------ planning


class _Memory:
    """Which values may stand in the same memory."""

    def __init__(self, program: Program) -> None:
        self._parent: dict[Var, Var] = {}
        for call in program.calls:
            for out in call.outputs():
                if out.root is not None or not (out.scalar or _makes_new(call)):
                    for x in call.inputs():
                        self._join(out, x)
        self.outside = {self.of(var) for var, _ in program.inputs}
        self.seen = self.outside | {self.of(var) for var in program.needed()}
        for call in program.calls:
            if not _is_safe(call):
                self.seen |= {self.of(v) for v in (*call.inputs(), *call.outputs(), *call.mutates)}
        self.members: dict[Var, list[Var]] = defaultdict(list)
        for call in program.calls:
            for out in call.outputs():
                self.members[self.of(out)].append(out)

    def of(self, var: Var) -> Var:
        """Return what stands for a value's memory."""
        while (found := self._parent.get(var)) is not None:
            var = found
        return var

    def is_private(self, var: Any) -> bool:
        """Whether a value may stand in a buffer."""
        return (
            _is_array(var)
            and var.root is None
            and bool(var.shape)
            and var.dtype.kind in _KINDS
            and _contiguous(var)
            and self.of(var) not in self.seen
        )

    def _join(self, a: Var, b: Var) -> None:
        a, b = self.of(a), self.of(b)
        if a is not b:
            self._parent[a] = b


def planned(program: Program) -> Plan | None:
    """Return a plan, or None where there is nothing to gain."""
    memory = _Memory(program)
    steps, runs = _grouped(program, memory)
    plan = Plan(steps, {}, [], runs, [], {})
    _share(plan, memory)
    plan.layouts = {
        k: var.strides
        for k, (var, _) in enumerate(program.inputs)
        if var.strides and (runs or len(var.strides) > 1)
    }
    worth = runs or max(plan.memories, default=0) >= _SLOW
    return plan if worth or len(plan.out) > _FEW + _CHECKS * len(plan.layouts) else None


def _grouped(program: Program, memory: _Memory) -> tuple[list[Step], list[Run]]:
    """Find the runs; calls that stand between those of a run, and can wait, follow it."""
    rest = list(program.calls)
    needed = set(program.needed())
    readers: dict[Var, set[int]] = defaultdict(set)
    for call in rest:
        for var in call.inputs():
            readers[var].add(id(call))
    steps: list[Step] = []
    runs: list[Run] = []
    while rest:
        calls = _collected(rest, memory)
        run = None
        if len(calls) > 1:
            run = _run(f"r{len(runs)}", calls, needed, readers, memory)
        if run is None:
            steps.append(Step([rest.pop(0)]))
            continue
        members = set(map(id, calls))
        rest = [call for call in rest if id(call) not in members]
        steps.append(Step(calls, run))
        runs.append(run)
    return steps, runs


def _collected(rest: list[Call], memory: _Memory) -> list[Call]:
    """Return the calls that can run with the first one, block by block."""
    first = rest[0]
    if not _is_elementwise(first) or not _contiguous(_target(first)):
        return []
    shape = _target(first).shape
    if _size(_target(first)) < _RUN_BYTES:
        return []
    calls: list[Call] = []
    later: set[Var] = set()  # values of calls that wait
    waiting: set[Var] = set()  # memory that they read
    written: set[Var] = set()  # memory that calls of the run write into
    read: dict[Var, set[Var]] = defaultdict(set)  # memory, and the values by which it is read
    for call in rest[:_REACH]:
        inputs = set(call.inputs())
        fits = (
            _is_elementwise(call)
            and _target(call).shape == shape
            and _contiguous(_target(call))
            and not inputs & later
            and all(_fits(x, shape) for x in _operands(call))
        )
        if fits and call.function.style == "in place":
            place = memory.of(call.args[0])
            fits = (
                place not in waiting
                and place not in memory.outside
                and read[place] <= {call.args[0]}
            )
        if fits and any(memory.of(v) in written and v not in _targets(calls) for v in inputs):
            fits = False
        if fits:
            calls.append(call)
            for v in inputs:
                read[memory.of(v)].add(v)
            if call.function.style == "in place":
                written.add(memory.of(call.args[0]))
            continue
        if call.guard is not UNGUARDED or not call.pure or call.draws or call.mutates:
            break
        later |= set(call.outputs())
        waiting |= {memory.of(v) for v in inputs}
    return calls


def _targets(calls: list[Call]) -> set[Var]:
    return {_target(call) for call in calls}


def _fits(x: Any, shape: tuple[int, ...] | None) -> bool:
    """Whether an operand can be cut where the results are."""
    own = _shape_of(x)
    return own is None or math.prod(own) == 1 or own == shape or len(shape or ()) > 1


def _shape_of(x: Any) -> Any:
    if isinstance(x, Var):
        return x.shape
    return x.array.shape if isinstance(x, Constant) else None


def _run(
    name: str, calls: list[Call], needed: set[Var], readers: dict[Var, set[int]], memory: _Memory
) -> Run | None:
    shape = _target(calls[0]).shape or ()
    members = set(map(id, calls))
    made: set[Var] = set()
    whole = True
    outside: dict[int, Any] = {}
    for call in calls:
        for x in _operands(call):
            own = _shape_of(x)
            if own is None or (isinstance(x, Var) and x in made):
                continue
            if math.prod(own) == 1:
                whole = whole and len(own) < 2
                continue
            outside.setdefault(id(x.array) if isinstance(x, Constant) else id(x), x)
            if own != shape or not (
                _contiguous(x) if isinstance(x, Var) else x.array.flags.c_contiguous
            ):
                whole = False
        made.add(_target(call))
    if not whole:
        row = math.prod(shape[1:]) * _target(calls[0]).dtype.itemsize
        if len(shape) < 2 or row > MANY_ARRAYS:
            return None
    run = Run(name, calls, shape, whole)
    run.sliced = [x for x in outside.values() if whole or _along(x, shape)]
    new = [_target(c) for c in calls if c.function.style != "in place"]
    run.outputs = [
        v for v in new
        if v in needed or not readers[v] <= members or len(memory.members[memory.of(v)]) > 1
    ]  # fmt: skip
    run.inside = set(new) - set(run.outputs)
    if not run.inside:
        return None
    _assign_slots(run)
    return run


def _along(x: Any, shape: tuple[int, ...]) -> bool:
    own = _shape_of(x)
    return len(own) == len(shape) and own[0] == shape[0]


def _assign_slots(run: Run) -> None:
    """Give each value inside a run a slot, which others take once it is read for the last time."""
    last: dict[Var, int] = {}
    for k, call in enumerate(run.calls):
        for v in (*call.inputs(), _target(call)):
            last[v] = k
    free: list[int] = []
    slot_of: dict[Var, int] = {}
    views: dict[tuple[int, Any], int] = {}
    count = 0
    for k, call in enumerate(run.calls):
        ends = [v for v in set(call.inputs()) if v in slot_of and last[v] == k]
        target = _target(call)
        if call.function.style == "in place":
            place = slot_of.get(target)
        elif target not in run.inside:
            place = None
        else:
            free += sorted({slot_of[v] for v in ends})
            ends = []
            if free:
                place = free.pop()
            else:
                place, count = count, count + 1
            slot_of[target] = place
            if last[target] == k:
                ends = [target]
        free += sorted({slot_of[v] for v in ends})
        if place is None:
            run.places.append(None)
        else:
            view = views.setdefault((place, target.dtype), len(views))
            run.places.append(view)
    run.temporaries = [[slot, dtype] for slot, dtype in views]
    run.slots = len(views)


class _Places:
    """Memories of a plan, and who has them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._free: list[int] = []
        self._held: dict[Var, int] = {}
        self._buffers: dict[Any, Buffer] = {}

    def take(self, var: Var, root: Var) -> Buffer:
        """Return a buffer in a free memory that fits, else in the largest, else in a new one."""
        sizes, size = self._plan.memories, _size(var)
        fitting = [p for p in self._free if sizes[p] >= size]
        if fitting:
            place = min(fitting, key=sizes.__getitem__)
        elif self._free:
            place = max(self._free, key=sizes.__getitem__)
            sizes[place] = size
        else:
            place = len(sizes)
            sizes.append(size)
            self._free.append(place)
        self._free.remove(place)
        self._held[root] = place
        key = (place, var.shape, var.dtype)
        if key not in self._buffers:
            self._buffers[key] = Buffer(f"b{len(self._buffers)}", place, var.shape or (), var.dtype)
            self._plan.buffers.append(self._buffers[key])
        return self._buffers[key]

    def release(self, roots: Iterable[Var]) -> None:
        """Give the memory of values back."""
        self._free += [self._held.pop(root) for root in roots if root in self._held]


def _share(plan: Plan, memory: _Memory) -> None:
    """Give values their memory, from the first write to the last read of all that share it."""
    last: dict[Var, int] = {}
    for k, step in enumerate(plan.steps):
        for call in step.calls:
            for v in (*call.outputs(), *call.inputs(), *call.mutates):
                last[memory.of(v)] = k
    ends: dict[int, list[Var]] = defaultdict(list)
    for root, k in last.items():
        ends[k].append(root)
    places = _Places(plan)
    for k, step in enumerate(plan.steps):
        if step.run is not None:
            for var in filter(memory.is_private, step.run.outputs):
                step.run.out[var] = places.take(var, memory.of(var))
        elif _can_fill(step.calls[0]) and memory.is_private(step.calls[0].out):
            var = step.calls[0].out
            plan.out[id(step.calls[0])] = places.take(var, memory.of(var))
        places.release(ends[k])
