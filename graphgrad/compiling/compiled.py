"""gg.compile: a function that is traced twice, and from then on runs as a program."""

import functools
import inspect
import os
import types
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np

from graphgrad.arguments import guarded
from graphgrad.compiling.capture import Captured
from graphgrad.compiling.entering import MISS, Entrance, rebuilder, signature, structure
from graphgrad.compiling.execution import executable
from graphgrad.compiling.names import function_name, name_values, title, value_name
from graphgrad.compiling.optimize import optimized
from graphgrad.compiling.order import decisions_first
from graphgrad.compiling.program import UNGUARDED, AsTensor, Program, Var
from graphgrad.compiling.pullbacks import Recording, divided
from graphgrad.compiling.source import Listing
from graphgrad.engine.graph import node_of
from graphgrad.engine.in_place import mark_changed, set_array
from graphgrad.engine.record import constant
from graphgrad.engine.recording import switches, tracers
from graphgrad.engine.trees import flatten
from graphgrad.errors import GraphError
from graphgrad.files import atomic_write
from graphgrad.randomness import default_generator

P = ParamSpec("P")
R = TypeVar("R")
MOST_PROGRAMS = 8  # for one signature
MOST_SIGNATURES = 64
MOST_TRIES = 2  # of one signature: a first call may fill a cache, which no program can repeat
MOST_ENTRANCES = 4  # that are tried before the signature of a call is made


class Decided(Exception):  # noqa: N818 - a decision, not a mistake
    """A value that Python branched on differs from the trace."""


class Runnable:
    """A program, the Python function that computes it, and what must hold for it."""

    def __init__(self, f: Any, captured: Captured, program: Program) -> None:
        self.reach = captured.reach
        if captured.pullback is not None:
            program.results = [*program.results, *captured.pullback.gradients]
        name_values(program)
        for var, node in captured.trace.names.items():
            var.gradient_of = captured.trace.of_node.get(node)
        program = decisions_first(program, captured.trace)
        program = optimized(program, later=captured.pullback is not None)
        self.recording = None
        backward = None
        if captured.pullback is not None:
            program, backward = divided(program, captured.pullback)
        self.program = program
        self.decisions = [c.guard for c in program.calls if c.guard is not UNGUARDED]
        self.verified = self.entered = False
        listing = self.listing = Listing()
        name, value = function_name(f), value_name(f)
        self.name = name
        text = listing.add(program, name, title=title(f), value=value)
        if backward is not None:
            text += listing.add(backward, f"{name}_backward", title=f"The gradients of {name}")
        self.text = "\n".join(line.partition("# ")[0].rstrip() for line in text.splitlines())
        self.call = executable(program, name, Decided)
        if backward is not None and captured.pullback is not None:
            call = executable(backward, f"{name}_backward", Decided)
            pure = not program.effects and all(c.pure and not c.mutates for c in program.calls)
            kept = list(program.kept)
            self.recording = Recording(name, captured.pullback, call, backward, kept, pure=pure)
        self.rebuild = captured.rebuild_result
        self.expected = [(source.read, _kind_of(var)) for var, source in program.inputs]
        self.shared = _SharedMemory(captured, program)
        self.as_tensors = [isinstance(r, AsTensor) for r in program.results]
        self.effects = program.effects
        # a program that gives up, or fails, has changed nothing but the states of generators
        self.draws = any(call.draws for call in program.calls)
        outside = {var.memory for var, _ in program.inputs}
        self.calls_outside = any(not (call.pure or call.draws) for call in program.calls)
        self.changes = self.calls_outside or any(
            v.memory in outside for call in program.calls for v in call.mutates
        )
        self.generators = [k for k, (var, _) in enumerate(program.inputs) if var.shape is None]

    @functools.cached_property
    def source(self) -> str:
        """The program as Python source."""
        return self.listing.whole()

    def same_as(self, other: "Runnable") -> bool:
        """Whether two traces found the same program, its constants included."""
        return (
            self.text == other.text
            and self.listing.constants.keys() == other.listing.constants.keys()
            and all(
                _same(x, other.listing.constants[name])
                for name, x in self.listing.constants.items()
            )
        )

    def inputs(self, leaves: Sequence[Any]) -> list[Any] | None:
        """Return the inputs as they are now; None if something else must be traced."""
        if not self.reach.unchanged():
            return None
        found = []
        for read, kind in self.expected:
            x = read(leaves)
            if kind is not None and not (
                type(x) is kind[0] and (x.shape, x.dtype, x.strides) == kind[1:]
            ):
                return None
            found.append(x)
        return found if self.shared.fits(found) else None

    def run(self, inputs: list[Any], leaves: Sequence[Any], again: Callable[[], Any]) -> Any:
        """Compute, change what f changes, and return its result.

        Raises
        ------
        Decided
            If Python would decide otherwise than in the trace; nothing has changed then.
        """
        states = self._states(inputs) if self.draws else ()
        try:
            values = list(self.call(*inputs))
        except Exception as error:
            if not self._may_run_again(error):
                raise
            for rng, state in states:
                rng.bit_generator.state = state
            if isinstance(error, Decided):
                raise
            return again()  # which raises with the user's line, or finds what the program missed
        count = len(self.as_tensors)
        results = values[:count]
        for k, as_tensor in enumerate(self.as_tensors):
            if as_tensor:
                results[k] = constant(results[k])
        after = count + sum(e.value is not None for e in self.effects)
        if self.recording is not None:
            kept = dict(zip(self.recording.kept, values[after:], strict=True))
            kept |= {var: x for (var, _), x in zip(self.program.inputs, inputs, strict=True)}
            self.recording.attach(results, kept, leaves, again)
        self._apply_effects(values[count:], leaves)
        return self.rebuild(results)

    def _may_run_again(self, error: Exception) -> bool:
        """Whether f may run after the program failed: nothing of its work has been done."""
        if isinstance(error, Decided) or not self.changes:
            return True
        # a plan that forgets a value too early, which is a fault of ours, in what only computes
        return isinstance(error, UnboundLocalError) and not self.calls_outside

    def _apply_effects(self, values: Sequence[Any], leaves: Sequence[Any]) -> None:
        """Change outside what f changes."""
        left = iter(values)
        for effect in self.effects:
            tensor = effect.tensor.read(leaves)
            value = None if effect.value is None else next(left)
            if effect.kind == "grad":
                node_of(tensor).grad = value  # type: ignore[union-attr]
                continue
            if effect.kind == "array":
                set_array(tensor, value)
            mark_changed(tensor)

    def entrance(
        self, f: Callable[..., Any], args: Any, kwargs: dict[str, Any]
    ) -> Callable[[Any, Any], Any]:
        """Return a function of (args, kwargs) that runs the program where it holds, else MISS."""
        entrance = Entrance(args, kwargs, self.reach)
        inputs = entrance.inputs(self.program.inputs)
        tree = self.rebuild(list(range(len(self.as_tensors))))
        result = rebuilder(tree, self.as_tensors)
        if result is None or self.recording is not None:
            lines = ["return run([INPUTS], [LEAVES], args, kwargs)"]
            return entrance.function(inputs, lines, run=self._running(f))
        text, types = result
        lines = ["if not fits([INPUTS]): return MISS"] if self.shared.written else []
        lines += [
            "states = drawing([INPUTS])" if self.draws else "states = ()",
            "try:",
            "    v = call(INPUTS)",
            "except Exception as error:",
            "    return failed(error, states, args, kwargs)",
            *entrance.effects(self.effects, len(self.as_tensors)),
            f"return {text}",
        ]

        def failed(error: Exception, states: Any, args: Any, kwargs: dict[str, Any]) -> Any:
            if not self._may_run_again(error):
                raise error
            for rng, state in states:
                rng.bit_generator.state = state
            return MISS if isinstance(error, Decided) else f(*args, **kwargs)

        known = {
            "call": self.call,
            "fits": self.shared.fits,
            "failed": failed,
            "drawing": self._states,
            **types,
        }
        return entrance.function(inputs, lines, tensor=constant, **known)

    def _running(self, f: Callable[..., Any]) -> Callable[..., Any]:
        def run(inputs: list[Any], leaves: list[Any], args: Any, kwargs: dict[str, Any]) -> Any:
            try:
                if not self.shared.fits(inputs):
                    return MISS
                return self.run(inputs, leaves, lambda: f(*args, **kwargs))
            except Decided:
                return MISS

        return run

    def _states(self, inputs: list[Any]) -> list[tuple[Any, Any]]:
        known = [inputs[k] for k in self.generators]
        drawn = [x for x in known if isinstance(x, np.random.Generator)]
        drawn.append(default_generator())
        return [(rng, rng.bit_generator.state) for rng in drawn]


class _SharedMemory:
    """Which inputs share memory with one that a program writes into: must be as in the trace."""

    def __init__(self, captured: Captured, program: Program) -> None:
        written = {v.memory for call in captured.trace.calls for v in call.mutates}
        values = {traced.var: traced.value for traced, _ in captured.trace.inputs}
        found = [values.get(var) for var, _ in program.inputs]
        self._arrays = [k for k, x in enumerate(found) if isinstance(x, np.ndarray)]
        self.written = [k for k in self._arrays if program.inputs[k][0].memory in written]
        self._pairs = self._shared(found, self._arrays)
        self._known = self._references(found)

    def _shared(self, values: Sequence[Any], new: Sequence[int]) -> set[tuple[int, int]]:
        return {
            (min(k, n), max(k, n))
            for k in self.written
            for n in (self._arrays if k in new else new)
            if k != n and np.may_share_memory(values[k], values[n])
        }

    def _references(self, values: Sequence[Any]) -> list[Any]:
        return [weakref.ref(values[k]) for k in self._arrays] if self.written else []

    def fits(self, values: Sequence[Any]) -> bool:
        """Whether the same inputs share memory; those that are the same arrays as before do."""
        if not self.written:
            return True
        pairs = zip(self._arrays, self._known, strict=True)
        new = [k for k, known in pairs if known() is not values[k]]
        if not new:
            return True
        others = set(new)
        expected = {pair for pair in self._pairs if not others.isdisjoint(pair)}
        if self._shared(values, new) != expected:
            return False
        self._known = self._references(values)
        return True


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    try:
        return a is b or (type(a) is type(b) and bool(a == b))
    except ValueError:  # of objects that hold arrays
        return False


def _kind_of(var: Var) -> Any:
    if var.shape is None:
        return None
    return (var.dtype.type if var.scalar else np.ndarray), var.shape, var.dtype, var.strides or ()


class Compiled:
    """A function that runs as a program of NumPy calls; see :func:`compile`."""

    def __init__(self, f: Callable[..., Any]) -> None:
        functools.update_wrapper(self, f)
        self._f = f
        self._programs: dict[Any, list[Runnable]] = {}
        self._refused: dict[Any, str] = {}
        self._refusals: Counter[Any] = Counter()
        self._names: dict[Any, list[str]] = {}
        self._latest: Runnable | None = None
        self._entrances: dict[bool, list[Callable[[Any, Any], Any]]] = {True: [], False: []}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program for these arguments; trace f if there is none yet."""
        now = switches()
        if tracers or now.observers:
            return self._f(*args, **kwargs)
        for enter in self._entrances[now.enabled]:
            found = enter(args, kwargs)
            if found is not MISS:
                return found
        leaves, rebuild = flatten((args, kwargs))
        key = ((now.enabled, structure((args, kwargs))), *map(signature, leaves))
        for runnable in self._programs.get(key, ()):
            if not runnable.verified:
                continue
            inputs = runnable.inputs(leaves)
            if inputs is not None:
                try:
                    result = runnable.run(inputs, leaves, lambda: self._f(*args, **kwargs))
                except Decided:
                    continue
                self._open(runnable, args, kwargs, enabled=now.enabled)
                return result
        if self._refusals[key] >= MOST_TRIES:
            return self._f(*args, **kwargs)
        return self._trace(key, leaves, rebuild)

    def _open(
        self, runnable: Runnable, args: Any, kwargs: dict[str, Any], *, enabled: bool
    ) -> None:
        """Let calls like this one find their program at once."""
        if runnable.entered:
            return
        runnable.entered = True
        found = [runnable.entrance(self._f, args, kwargs), *self._entrances[enabled]]
        self._entrances = {**self._entrances, enabled: found[:MOST_ENTRANCES]}

    def _trace(self, key: Any, leaves: Any, rebuild: Any) -> Any:
        names = self._names[key] = _leaf_names(self._f, leaves, rebuild)
        self._entrances = {True: [], False: []}
        for found in self._programs.values():
            for runnable in found:
                runnable.entered = False
        captured = Captured(self._f, leaves, rebuild, names)
        if captured.program is not None and captured.failure is None:
            self._refused.pop(key, None)
            try:
                runnable = Runnable(self._f, captured, captured.program)
            except Exception as error:  # noqa: BLE001 - f has done its work, and its result is right
                captured.failure = f"its program could not be written: {error!r}"
            else:
                captured.failure = captured.trace.failure or self._keep(key, runnable)
        if captured.failure is not None:
            self._refused[key] = captured.failure
            self._refusals[key] += 1
            self._programs.pop(key, None)
        return captured.result

    def _keep(self, key: Any, new: Runnable) -> str | None:
        """Keep a program; return why there can be none, if two traces differ."""
        found = self._programs.setdefault(key, [])
        for old in found:
            if old.verified or old.decisions != new.decisions:
                continue
            if old.same_as(new):
                new.verified = True
                found.remove(old)
                break
            if old.reach.unchanged():
                return "two calls computed with different constants: " + _difference(old, new)
        found.insert(0, new)
        self._latest = new
        if len(found) > MOST_PROGRAMS:
            return f"more than {MOST_PROGRAMS} programs, which differ by what Python decided"
        if len(self._programs) > MOST_SIGNATURES:
            del self._programs[next(iter(self._programs))]
        return None

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Bind to an instance if it is in a class, as functions do."""
        return self if instance is None else types.MethodType(self, instance)

    @property
    def source(self) -> str:
        """The latest program as Python source, which runs when it is pasted.

        Raises
        ------
        GraphError
            If there is no program.
        """
        return self._program().source

    def _program(self) -> Runnable:
        if self._latest is None:
            why = next(iter(self._refused.values()), "it has not been called yet")
            message = f"compile: {function_name(self._f)} has no program: {why}"
            raise GraphError(message)
        return self._latest

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the latest program to a Python file.

        The file runs on NumPy alone, or its docstring says for which functions it needs graphgrad.
        It is complete or missing, however the process ends.

        Raises
        ------
        GraphError
            If there is no program.
        """
        text = self._program().listing.whole(alone=True)
        with atomic_write(Path(path)) as unfinished:
            unfinished.write_text(text, encoding="utf-8")

    def explain(self) -> str:
        """Say of each kind of call whether it runs as a program, and if not, why.

        ::

            >>> import graphgrad as gg, numpy as np
            >>> length = gg.compile(lambda v: float(np.sqrt(np.sum(v * v))))
            >>> _ = length(np.ones(3))
            >>> print(length.explain().partition(", at")[0])
            program(v (3,) float64) runs as usual: float() made a Python number of a traced value
        """
        lines = []
        for key, found in self._programs.items():
            ready = sum(runnable.verified for runnable in found)
            calls = ", ".join(str(len(runnable.program.calls)) for runnable in found)
            what = (
                f"{len(found)} programs of {calls}" if len(found) > 1 else f"a program of {calls}"
            )
            state = (
                "" if ready == len(found) else "; the next call of each decides whether it holds"
            )
            lines.append(f"{self._described(key)} runs as {what} calls{state}")
        lines += [
            f"{self._described(key)} runs as usual: {why}" for key, why in self._refused.items()
        ]
        return "\n".join(lines) or f"{function_name(self._f)} has not been called yet"

    def _described(self, key: Any) -> str:
        names = self._names.get(key, [])
        kinds = [f"{name} {_shown(kind)}" for name, kind in zip(names, key[1:], strict=True)]
        recording = "" if key[0][0] else " under no_grad()"
        return f"{function_name(self._f)}({', '.join(kinds)}){recording}"

    def __repr__(self) -> str:
        """Show what is compiled."""
        return f"<compiled {function_name(self._f)}>"


def _shown(kind: Any) -> str:
    if not isinstance(kind, tuple):
        return "object"
    if len(kind) == 2:
        return f"= {kind[1]}"
    return f"{kind[1]} {kind[2]}"


def _difference(old: Runnable, new: Runnable) -> str:
    pairs = zip(old.source.splitlines(), new.source.splitlines(), strict=False)
    for before, after in pairs:
        if before != after:
            return f"{before.strip()!r} became {after.strip()!r}"
    return "a constant"


def _leaf_names(f: Any, leaves: Any, rebuild: Any) -> list[str]:
    """Name the leaves of the arguments as f names its parameters."""
    names = [f"x{k}" for k in range(len(leaves))]
    args, kwargs = rebuild(list(range(len(leaves))))
    try:
        bound = inspect.signature(f).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return names
    for parameter, value in bound.items():
        numbers = flatten(value)[0]
        for k, number in enumerate(numbers):
            if isinstance(number, int):
                names[number] = parameter if len(numbers) == 1 else f"{parameter}_{k}"
    return names


@guarded
def compile(f: Callable[P, R]) -> Callable[P, R]:  # noqa: A001 - as PyTorch's
    """Return a function that computes the same as f by a flat program of NumPy calls.

    The program has no graph: constants and common parts are computed once, and what nothing needs
    is not computed. Its results are those of f bit for bit, in less time where f makes many small
    calls. ``print(compiled.source)`` shows it as code that could have been written by hand::

        >>> import graphgrad as gg, numpy as np
        >>> def loss(w, x, y):
        ...     error = x @ w - y
        ...     return np.mean(error**2)
        >>> fast = gg.compile(gg.value_and_grad(loss))
        >>> x, y, w = np.eye(2), np.array([1.0, 2.0]), np.zeros(2)
        >>> fast(w, x, y)
        (np.float64(2.5), array([-1., -2.]))
        >>> "dw = x.T @ derror" in fast.source
        True

    The first two calls of each kind (shapes, dtypes, plain values) run f itself, and write down
    what it calls. If both wrote the same program, later calls run that and no longer f: they
    print nothing. Arrays that f closes over are read anew at each call, and random numbers come
    from the same generators. Where Python branches on a value, each branch gets a program of its
    own. Where f does something that no program can repeat, such as changing a list, every call
    runs f itself, and ``compiled.explain()`` says why.

    Not noticed yet are changes between calls in sets, in ``__slots__``, in attributes of functions
    and in names that f imports when it runs. What f changes in a list or dict that it gets as an
    argument may be lost.

    A whole training step can be compiled: module, ``backward()``, ``optimizer.step()``; see also
    ``nn.Trainer(..., compile=True)``. A result that f would record in a graph is recorded, so
    ``gg.grad`` of a compiled function works.

    Parameters
    ----------
    f
        A function of arrays, Tensors, nested lists, tuples and dicts of them, and other values.
        A Python number is part of the program, and each other number needs a program of its own:
        pass numbers that change as arrays. f is a Python function, a method, a module or a
        transform of one.

    Returns
    -------
    A function with the attributes ``source`` and ``explain()``.
    """
    return Compiled(f)
