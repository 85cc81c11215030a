"""Tracing: what was computed while a function ran, as the calls of a program."""

import gc
import operator
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

import numpy as np

from graphgrad.compiling.program import (
    UNGUARDED,
    Call,
    Constant,
    Function,
    Section,
    Source,
    Var,
)
from graphgrad.compiling.traced import (
    INDEX,
    SHAPE,
    Traced,
    TracedGenerator,
    has_traced,
    index_varies,
    parts_of,
    traced_in,
    true_of,
    unused,
)
from graphgrad.engine.graph import Recorded, array_of, node_of
from graphgrad.engine.in_place import set_array
from graphgrad.engine.op import Op
from graphgrad.engine.plain import is_numpys
from graphgrad.engine.recording import Observer, tracers
from graphgrad.engine.source import call_site_above, source_line
from graphgrad.engine.trees import as_tuple
from graphgrad.typing import Array

_MAX_INLINED = 12  # calls that stand for one op; above, the op is one call
_NUMBERS = (bool, int, float)
_ALL = slice(None)


class Trace(Observer):
    """What was computed while a function ran."""

    def __init__(self, outermost: CodeType) -> None:
        """Take lines from frames of the user's that were called by ``outermost``."""
        self.outermost = outermost
        self.calls: list[Call] = []
        self.failure: str | None = None
        self.closed = False  # after which traced arrays, if any are left, are as plain ones
        self.made: list[weakref.ref[Traced]] = []
        self.inputs: list[tuple[Traced, Any]] = []  # with their sources
        self.section: Section = "forward"
        self.thread = threading.get_ident()
        self.floor = 0  # nodes below are older than the trace
        self.of_node: dict[Any, Var] = {}
        self.names: dict[Var, Any] = {}  # gradients, and the nodes that they are of
        self.overwritten_tensors: set[int] = set()
        self.swaps: Any = None
        self._node: Any = None  # whose rules run
        self._numbers = 0
        self._roots: dict[int, Any] = {}  # by the id of the array that owns the memory
        self.alive: list[Any] = []  # so that ids stay unique
        self._constants: dict[int, Constant] = {}  # by the id of the plain array
        self.originals: dict[int, Array] = {}  # those plain arrays, by the id of the constant
        self.ours: list[Any] = [self.originals]  # containers in which constants may be
        self._default: TracedGenerator | None = None

    # ------------------------------------------------------------------------ values

    def var(self, value: Any, name: str | None = None) -> Var:
        """Return a new variable for a value."""
        var = Var(self._numbers, name=name)
        self._numbers += 1
        if isinstance(value, np.ndarray | np.generic):
            var.shape, var.dtype = value.shape, value.dtype
            var.scalar = isinstance(value, np.generic)
        if isinstance(value, np.ndarray):
            var.strides = value.strides
            end, base = value, value.base
            while base is not None:  # that of a result of as_strided is an object with a base
                end = base if isinstance(base, np.ndarray) else end
                base = getattr(base, "base", None)
            found = self._root(end, var)
            var.root = None if found is var else found
        return var

    def _root(self, owner: Any, var: Var) -> Var:
        """Return the first variable in the memory of an array, until that is freed."""
        key, roots = id(owner), self._roots
        if key not in roots:
            roots[key] = var, weakref.ref(owner, lambda _: roots.pop(key, None))
        first: Var = roots[key][0]
        return first

    def input(self, value: Any, source: Any, name: str | None = None) -> Traced:
        """Return a value from outside as a traced one."""
        traced = Traced(value, self.var(value, name), self)
        self.inputs.append((traced, source))
        return traced

    def _wrapped(self, value: Any, given: Any) -> tuple[Any, Any]:
        """Return what a call with some arguments returned as traced, and as Vars."""
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
            traced = Traced(value, self.var(value), self)
            return traced, traced.var
        if isinstance(value, tuple | list):
            pairs = [self._wrapped(part, given) for part in value]
            traced_parts, vars_ = [t for t, _ in pairs], tuple(v for _, v in pairs)
            if isinstance(value, list):
                return traced_parts, vars_
            kind = type(value)
            return as_tuple(kind, traced_parts), vars_
        var = self.var(value)
        if type(value) in _NUMBERS:
            return Traced(value, var, self), var
        constant = value is None or value is Ellipsis or (type(value) is slice and value == _ALL)
        if not constant and not any(value is part for part in parts_of(given)):
            self.fail(f"a call returned a {type(value).__name__}")
        return value, var

    def _noted(self, tree: Any) -> Any:  # noqa: PLR0911 - a line for each kind
        """Replace traced arrays by their Vars, plain ones by constants."""
        if type(tree) is Traced:
            return tree.var
        if type(tree) is TracedGenerator:
            return tree.traced.var
        if isinstance(tree, np.ndarray):
            return self._constant(tree)
        if isinstance(tree, tuple):
            parts = [self._noted(part) for part in tree]
            return as_tuple(type(tree), parts)
        if isinstance(tree, list):
            return [self._noted(part) for part in tree]
        if isinstance(tree, dict):
            return {key: self._noted(value) for key, value in tree.items()}
        if isinstance(tree, slice):
            return slice(self._noted(tree.start), self._noted(tree.stop), self._noted(tree.step))
        return tree

    def _constant(self, array: Array) -> Constant:
        """Return a plain array as it is now, though it may be written to later."""
        known = self._constants.get(id(array))
        if known is None or not _same_bytes(known.array, array):
            self.alive.append(array)
            kept = array
            if array.flags.writeable or array.base is not None:
                kept = array.copy(order="K")
                kept.flags.writeable = False
            known = self._constants[id(array)] = Constant(kept)
            self.alive.append(kept)
            self.originals[id(kept)] = array
        return known

    # ------------------------------------------------------------------------- calls

    def call(
        self,
        function: Function,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
        *,
        writes: Sequence[Any] = (),
        draws: bool = False,
        pure: bool = True,
        varies: bool = False,
    ) -> Any:
        """Compute, and write it down.

        ``varies``: the shape of the result depends on values, so that the program compares it.
        """
        kwargs = kwargs or {}
        for x in writes:
            if type(x) is not Traced:
                self.fail("a traced value was written into a plain array")
        noted = self._noted(args), self._noted(kwargs)  # before the call writes into one of them
        true_args, true_kwargs = true_of(args), true_of(kwargs)
        if function.style == "method":
            value = getattr(true_args[0], function.text)(*true_args[1:], **true_kwargs)
        else:
            value = function.call(*true_args, **true_kwargs)
        if self.closed or threading.get_ident() != self.thread:
            self.fail("another thread computed with a traced array")
            return value
        written = next((x for x in writes if type(x) is Traced and value is x.value), None)
        if written is not None or (value is None and writes):
            traced, out = written, None
        else:
            traced, out = self._wrapped(value, (true_args, true_kwargs))
        self._write(function, *noted, out, writes, pure=pure, draws=draws)
        if varies:
            for part in traced_in(traced):
                if hasattr(part.value, "shape"):
                    shape = part.value.shape
                    self._write(SHAPE, (part.var,), {}, self.var(shape), guard=shape)
        return traced

    def _write(
        self,
        function: Function,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        out: Any,
        writes: Sequence[Any] = (),
        *,
        guard: Any = UNGUARDED,
        pure: bool = True,
        mutates: tuple[Var, ...] = (),
        draws: bool = False,
    ) -> None:
        node = self._node
        code, instruction = (
            call_site_above(self.outermost) if node is None else (node.code, node.instruction)
        )
        mutates += tuple(x.var for x in writes if type(x) is Traced)
        self.calls.append(
            Call(
                function,
                args,
                kwargs,
                out,
                mutates,
                self.section,
                code,
                instruction,
                guard,
                pure and not draws,
                draws,
            )
        )

    def guard(self, x: Traced, value: Any, how: str) -> Any:
        """Note a value that Python decided by; return it."""
        if self.closed or threading.get_ident() != self.thread:
            self.fail("another thread decided by a traced array")
            return value
        function = Function({"bool": bool, "int": int}[how], "name", how)
        self._write(function, (x.var,), {}, self.var(value), guard=value)
        return value

    def forget(self) -> None:
        """Free what was kept while the function ran."""
        for kept in (self.alive, self.originals, self._constants, self._roots, self.ours):
            kept.clear()

    def close(self) -> None:
        """Replace traced arrays that the function has put somewhere by the true ones."""
        self.closed = True
        inputs = {id(traced) for traced, _ in self.inputs}
        left = [x for made in self.made if (x := made()) is not None]
        self.made.clear()
        if self.failure is None and inputs.issuperset(map(id, left)):
            return
        for holder in gc.get_referrers(*left):
            if holder is left or type(holder).__module__.startswith("graphgrad.compiling"):
                continue
            if isinstance(holder, CellType) and type(holder.cell_contents) is Traced:
                holder.cell_contents = holder.cell_contents.value
            elif isinstance(holder, Recorded) and type(array_of(holder)) is Traced:
                set_array(holder, array_of(holder).value)
            elif isinstance(holder, list):
                holder[:] = [x.value if type(x) is Traced else x for x in holder]
            else:
                own = holder if isinstance(holder, dict) else getattr(holder, "__dict__", None)
                if type(own) is dict:
                    for key in [key for key, x in own.items() if type(x) is Traced]:
                        own[key] = own[key].value

    def fail(self, why: str) -> None:
        """Note the first reason why there can be no program."""
        if self.failure is None:
            code, instruction = call_site_above(self.outermost)
            line = source_line(code, instruction)
            self.failure = f"{why}, at {line}"

    # --------------------------------------------------------- what the engine asks

    @staticmethod
    def untraced(x: Any) -> Any:
        """Return the true array of a traced one."""
        return x.value if type(x) is Traced else x

    def forward(self, op: Op[Any], arrays: Any, params: tuple[Any, ...]) -> Any:
        """Compute an op: by its parts if these are few and plain, else as one call."""
        args = (arrays, *params) if op.variadic else (*arrays, *params)
        if threading.get_ident() != self.thread or not has_traced(tuple(args)):
            return op.forward(*args)
        start, failure = len(self.calls), self.failure
        out = op.forward(*args)
        added = self.calls[start:]
        numpys = is_numpys(op.forward) or getattr(op.forward, "__module__", "") == "_operator"
        if numpys and self.failure == failure:
            return out
        plain = (
            not numpys
            and self.failure == failure
            and len(added) <= _MAX_INLINED
            and all(call.guard is UNGUARDED and not call.mutates and call.pure for call in added)
        )
        if plain and has_traced(out if isinstance(out, tuple) else (out,)):
            return out
        varies = self.failure != failure or any(call.function is SHAPE for call in added)
        del self.calls[start:]
        self.failure = failure
        if op.forward is operator.getitem:  # of a plain array at traced places
            return self.call(INDEX, tuple(args), varies=index_varies(args[1]))
        function = Function(op.forward, "name", f"{op.__reduce__()}.forward", op.__module__)
        return self.call(function, tuple(args), varies=varies)

    def default_generator(self, read: Callable[[], np.random.Generator]) -> Any:
        """Return the package's generator, traced."""
        if threading.get_ident() != self.thread:
            return read()
        if self._default is None:
            source = Source("default_rng", lambda _: read())
            self._default = self.generator(read(), source)
        return self._default

    def whole(
        self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, draws: bool = False
    ) -> Any:
        """Compute a function of ours as one call."""
        mine = threading.get_ident() == self.thread
        if not (mine and (draws or has_traced((args, kwargs)))):
            return function(*args, **kwargs)
        called = Function(function, "name", function.__qualname__, function.__module__)
        return self.call(called, args, kwargs, draws=draws)

    def outside(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Let a function compute on true arrays, as one call that the program makes as it is."""
        if threading.get_ident() != self.thread:
            return function(*args, **kwargs)
        args = tuple([list(x) if isinstance(x, Iterator) else x for x in args])
        if has_traced((args, kwargs)):
            self.fail(f"{function.__qualname__} got a traced array")
        if any(isinstance(x, FunctionType | MethodType) for x in (*args, *kwargs.values())):
            self.fail(f"{function.__qualname__} calls a function")
        with self.swaps.suspended() as written:
            tracers.remove(self)
            try:
                value = function(*args, **kwargs)
            finally:
                tracers.append(self)
        called = Function(function, "name", function.__qualname__, function.__module__)
        noted = self._noted(self.swaps.objects(args))
        self._write(called, noted, self._noted(kwargs), None, mutates=tuple(written), pure=False)
        return None if value is None else unused(value, self)

    def draw_upstream(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return an upstream gradient to trace with; a number for a number."""
        return np.ones(shape, dtype)[()]

    def generator(self, rng: np.random.Generator, source: Any) -> "TracedGenerator":
        """Return a generator that draws the same numbers, and writes down that it does."""
        own = TracedGenerator(rng.bit_generator)
        traced = Traced(rng, self.var(rng, source.name), self)
        self.inputs.append((traced, source))
        own.traced = traced
        return own

    # ---------------------------------------------------------------- as an observer

    def recorded(
        self,
        op: Any,  # noqa: ARG002
        tensors: list[Any],
        arrays: list[Any],  # noqa: ARG002
        params: tuple[Any, ...],  # noqa: ARG002
    ) -> None:
        """Remember which node has which value."""
        for tensor in tensors:
            array, node = array_of(tensor), node_of(tensor)
            if type(array) is Traced:
                self.of_node[node] = array.var

    def overwritten(self, x: Any) -> None:
        """Remember which tensors were changed in place."""
        self.overwritten_tensors.add(id(x))

    def complete(self, node: Any, g: Any) -> None:
        """Remember whose gradient a value is."""
        if type(g) is Traced:
            self.names.setdefault(g.var, node)
        if node.hooks:
            self.fail("gradient hooks run")

    def sweeping(self, sweep: Any) -> "Trace":
        """Write what follows into the backward section."""
        self.section = "backward"
        self.ours.append(sweep.small_gradients)
        return self

    def before_rules(self, node: Any) -> None:
        """Take lines from the node whose rules run."""
        self._node = node
        if node.serial < self.floor:
            self.fail("backward goes through a graph from outside the function")

    def after_rules(self, node: Any) -> None:  # noqa: ARG002
        """Take lines from the user's frames again."""
        self._node = None

    def ended(self, *, finished: bool) -> None:  # noqa: ARG002
        """Return to the forward section."""
        self._node, self.section = None, "forward"


def _same_bytes(a: Array, b: Array) -> bool:
    return bool(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        and (np.signbit(a) == np.signbit(b)).all()
        if a.dtype.kind == "f"
        else np.array_equal(a, b)
    )
