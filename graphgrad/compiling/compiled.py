"""gg.compile: a function that is traced, and from then on runs as a program."""

import builtins
import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np

from graphgrad.arguments import guarded
from graphgrad.compiling.capture import Captured, _OfTensor
from graphgrad.compiling.optimize import optimized
from graphgrad.compiling.program import Var
from graphgrad.compiling.source import Writer
from graphgrad.engine.graph import Recorded
from graphgrad.engine.in_place import mark_changed, set_array
from graphgrad.engine.record import constant
from graphgrad.engine.recording import switches, tracers
from graphgrad.engine.trees import flatten
from graphgrad.errors import GraphError

P = ParamSpec("P")
R = TypeVar("R")
_MOST_PROGRAMS = 8


class Decided(Exception):  # noqa: N818 - a decision, not a mistake
    """A value that Python branched on differs from the trace."""


class _Runnable:
    """A program with the function that runs it, and what must hold for it."""

    def __init__(self, name: str, captured: Captured) -> None:
        assert captured.program is not None
        assert captured.reach is not None
        self.reach = captured.reach
        self.program = optimized(captured.program)
        names = {v: captured.trace.of_node.get(n) for v, n in captured.trace.names.items()}
        writer = Writer(self.program, name, {})
        gradients = {v: (writer.names.get(of) or "") for v, of in names.items() if of is not None}
        self.writer = Writer(self.program, name, {v: n for v, n in gradients.items() if n})
        self.source = self.writer.whole()
        self.text = self.writer.function()
        namespace = {**self.writer.namespace, "Decided": Decided}
        for module, first in self.writer.imports:
            namespace[first] = getattr(__import__(module, fromlist=[first]), first)
        exec(builtins.compile(self.text, f"<compiled {name}>", "exec"), namespace)  # noqa: S102
        self.call = namespace[name]
        self.rebuild = captured.rebuild_result
        self.expected = [(source.read, _kind_of(var)) for var, source in self.program.inputs]
        self.wraps = [isinstance(r, _OfTensor) for r in self.program.results]
        self.count = len(self.program.results)

    def fits(self, leaves: Any) -> list[Any] | None:
        """Return the inputs, if plain values and shapes are those of the trace."""
        if not self.reach.unchanged():
            return None
        inputs = []
        for read, kind in self.expected:
            x = read(leaves)
            if kind is not None and (
                type(x) is not kind[0] or x.shape != kind[1] or x.dtype != kind[2]
            ):
                return None
            inputs.append(x)
        return inputs

    def run(self, inputs: list[Any], leaves: Any) -> Any:
        """Compute, and return the result in its containers."""
        values = self.call(*inputs)
        results = [constant(v) if wrap else v for v, wrap in zip(values, self.wraps, strict=False)]
        k = self.count
        for effect in self.program.effects:
            tensor = effect.tensor.read(leaves)
            if effect.kind == "changed":
                mark_changed(tensor)
            else:
                value = None
                if effect.value is not None:
                    value, k = values[k], k + 1
                if effect.kind == "grad":
                    tensor._node.grad = value
                else:
                    set_array(tensor, value)
                    mark_changed(tensor)
        return self.rebuild(results)


def _kind_of(var: Var) -> Any:
    if var.shape is None:
        return None
    return (var.dtype.type if var.scalar else np.ndarray), var.shape, var.dtype


class Compiled:
    """A function that runs as a program of NumPy calls; see :func:`compile`."""

    def __init__(self, f: Callable[..., Any]) -> None:
        functools.update_wrapper(self, f)
        self._f = f
        self._programs: dict[Any, list[_Runnable]] = {}
        self._refused: dict[Any, str] = {}
        self._traced_once: dict[Any, str] = {}
        self._latest: _Runnable | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program for these arguments; trace f if there is none yet."""
        now = switches()
        if tracers or now.observers:
            return self._f(*args, **kwargs)
        leaves, rebuild = flatten((args, kwargs))
        key = (now.enabled, *map(_signature, leaves))
        for runnable in self._programs.get(key, ()):
            inputs = runnable.fits(leaves)
            if inputs is not None:
                try:
                    return runnable.run(inputs, leaves)
                except Decided:
                    continue
        if key in self._refused:
            return self._f(*args, **kwargs)
        return self._trace(key, leaves, rebuild)

    def _trace(self, key: Any, leaves: Any, rebuild: Any) -> Any:
        captured = Captured(self._f, leaves, rebuild, _leaf_names(self._f, leaves, rebuild))
        if captured.failure is not None:
            self._refused[key] = captured.failure
            return captured.result
        runnable = _Runnable(_name_of(self._f), captured)
        self._latest = runnable
        found = self._programs.setdefault(key, [])
        found.insert(0, runnable)
        del found[_MOST_PROGRAMS:]
        return captured.result

    @property
    def source(self) -> str:
        """The latest program as Python source."""
        if self._latest is None:
            why = next(iter(self._refused.values()), "it has not been called yet")
            raise GraphError(f"compile: there is no program: {why}")
        return self._latest.source

    def explain(self) -> str:
        """Say which calls run as programs, which do not, and why."""
        lines = [f"{len(found)} programs for {key[1:]}" for key, found in self._programs.items()]
        lines += [
            f"runs without a program for {key[1:]}: {why}" for key, why in self._refused.items()
        ]
        return "\n".join(lines) or "not called yet"


def _signature(leaf: Any) -> Any:
    if isinstance(leaf, Recorded):
        node = leaf._node
        return ("Tensor", leaf._array.shape, leaf._array.dtype, node is not None and node.needs)
    if isinstance(leaf, np.ndarray | np.generic):
        return (type(leaf), leaf.shape, leaf.dtype)
    try:
        hash(leaf)
    except TypeError:
        return id(leaf)
    return (type(leaf), repr(leaf) if isinstance(leaf, float) else leaf)


def _leaf_names(f: Any, leaves: Any, rebuild: Any) -> list[str]:
    """Name the leaves of the arguments as f names its parameters."""
    names = [f"x{k}" for k in range(len(leaves))]
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):
        return names
    args, kwargs = rebuild(list(range(len(leaves))))
    try:
        bound = signature.bind(*args, **kwargs).arguments
    except TypeError:
        return names
    for parameter, value in bound.items():
        numbers = flatten(value)[0]
        for k, number in enumerate(numbers):
            if isinstance(number, int):
                names[number] = parameter if len(numbers) == 1 else f"{parameter}_{k}"
    return names


def _name_of(f: Any) -> str:
    name = str(getattr(f, "__name__", "program"))
    return name if name.isidentifier() else "program"


@guarded
def compile(f: Callable[P, R]) -> Callable[P, R]:
    """Return a function that computes what f does by a flat program of NumPy calls."""
    return Compiled(f)  # type: ignore[return-value]
