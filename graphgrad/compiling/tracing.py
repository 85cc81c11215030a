"""Tracing: arrays that compute as NumPy's do, and write down each call.

A `Traced` array holds a true array. What NumPy computes from it is computed at once, and noted as a
call of the program. A value that leaves for plain Python (``float(x)``, ``np.asarray(x)``) goes out
as it is, but then no program can be made, and the trace notes why and where.
"""

import operator
import threading
from collections.abc import Iterator, Sequence
from types import CodeType
from typing import Any

import numpy as np

from graphgrad.compiling.program import UNGUARDED, Call, Constant, Function, Section, Var
from graphgrad.engine.graph import Recorded, array_of, node_of
from graphgrad.engine.op import Op
from graphgrad.engine.plain import is_numpys
from graphgrad.engine.recording import Observer, tracers
from graphgrad.engine.source import call_site_above, source_line
from graphgrad.typing import Array

_BINARY = {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%",
    "pow": "**", "matmul": "@", "and": "&", "or": "|", "xor": "^", "lshift": "<<", "rshift": ">>",
}  # fmt: skip
_COMPARISONS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_UNARY = {"neg": "-", "pos": "+", "invert": "~"}
# what depends on shape and dtype only
_STATIC = {np.shape, np.ndim, np.size, np.result_type, np.iscomplexobj, np.isrealobj, np.can_cast,
           np.may_share_memory, np.shares_memory, np.broadcast_shapes, np.min_scalar_type}  # fmt: skip
_PLAIN_ATTRIBUTES = frozenset(("shape", "dtype", "ndim", "size", "itemsize", "nbytes", "strides",
                               "flags", "base"))  # fmt: skip
_VIEWS = frozenset(("T", "mT", "real", "imag"))
_WRITING = frozenset(("sort", "fill", "put", "partition", "itemset", "setfield", "resize"))
_WRITING_FUNCTIONS = {np.copyto, np.put, np.place, np.putmask, np.put_along_axis, np.fill_diagonal}
_MAX_INLINED = 12  # calls that stand for one op; above, the op is one call
_NUMBERS = (bool, int, float)


def _operator(name: str, style: Any, sign: str) -> Function:
    return Function(getattr(operator, f"__{name}__"), style, sign)


_INDEX = Function(operator.getitem, "index", "")
_ASSIGN = Function(operator.setitem, "assign", "")


class Traced:
    """An array that writes down what is computed from it."""

    __slots__ = ("trace", "value", "var")
    __array_priority__ = 500.0  # below a Tensor's

    def __init__(self, value: Array, var: Var, trace: "Trace") -> None:
        self.value, self.var, self.trace = value, var, trace

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Compute a ufunc, and write it down."""
        if any(isinstance(x, Recorded) for x in inputs):
            return NotImplemented
        name = _numpy_name(ufunc)
        if method == "__call__":
            function = Function(ufunc, "name", name)
        else:
            function = Function(getattr(ufunc, method), "name", f"{name}.{method}")
        out = kwargs.get("out")
        if isinstance(out, tuple) and len(out) == 1:
            kwargs["out"] = out[0]
        written = [x for x in (out or ()) if x is not None]
        if method == "at":
            written = [inputs[0]]
        return self.trace.call(function, inputs, kwargs, writes=written)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Compute a function of NumPy, and write it down."""
        if any(issubclass(kind, Recorded) for kind in types):
            return NotImplemented
        if func in _STATIC:
            return func(*_true(args), **_true(kwargs))
        written = [args[0]] if func in _WRITING_FUNCTIONS else []
        if kwargs.get("out") is not None:
            written.append(kwargs["out"])
        function = Function(func, "name", _numpy_name(func))
        return self.trace.call(function, args, kwargs, writes=written)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Leave as a plain array, after which no program is made."""
        self.trace.fail("a traced array became a plain one (np.asarray, np.array, an assignment)")
        return np.array(self.value, dtype=dtype, copy=copy)

    def __getattr__(self, name: str) -> Any:
        """Return what the array has under a name."""
        if name in _PLAIN_ATTRIBUTES:
            return getattr(self.value, name)
        found = getattr(self.value, name)
        if name in _VIEWS:
            function = Function(operator.attrgetter(name), "attribute", name)
            return self.trace.call(function, (self,))
        if name == "at" or not callable(found):
            self.trace.fail(f"{name} of an array was read")
            return found
        if name in {"item", "tolist", "tobytes", "tofile", "dump", "dumps"}:
            return lambda *args: self._leave(found(*args), f".{name}()")
        function = Function(operator.methodcaller, "method", name)
        writes = [self] if name in _WRITING else []
        return lambda *args, **kwargs: self.trace.call(
            function, (self, *args), kwargs, writes=writes
        )

    def _leave(self, value: Any, how: str) -> Any:
        if isinstance(value, bool | int) and how != ".tolist()":
            return self.trace.guard(self, value, how)
        self.trace.fail(f"{how} made a Python number of a traced value")
        return value

    def __bool__(self) -> bool:
        """Decide, and let the program decide only where it is the same."""
        return self.trace.guard(self, bool(self.value), "bool")  # type: ignore[no-any-return]

    def __index__(self) -> int:
        """Return the whole number."""
        return self.trace.guard(self, operator.index(self.value), "int")  # type: ignore[no-any-return]

    def __int__(self) -> int:
        """Return the whole number."""
        return self.trace.guard(self, int(self.value), "int")  # type: ignore[no-any-return]

    def __float__(self) -> float:
        """Leave as a Python number, after which no program is made."""
        return self._leave(float(self.value), "float()")  # type: ignore[no-any-return]

    def __len__(self) -> int:
        """Return the length of the first axis."""
        return len(self.value)

    def __iter__(self) -> Any:
        """Iterate over the first axis."""
        return (self[i] for i in range(len(self)))

    def __contains__(self, x: Any) -> bool:
        """Whether an element equals x."""
        return bool((self == x).any())

    def __getitem__(self, index: Any) -> Any:
        """Read elements."""
        return self.trace.call(_INDEX, (self, index))

    def __setitem__(self, index: Any, value: Any) -> None:
        """Write elements."""
        self.trace.call(_ASSIGN, (self, index, value), writes=[self])

    def __abs__(self) -> Any:
        """Return the absolute value."""
        return self.trace.call(Function(operator.abs, "name", "abs"), (self,))

    def __divmod__(self, other: Any) -> Any:
        """Return quotient and remainder."""
        return self // other, self % other

    def __deepcopy__(self, _: Any) -> Any:
        """Return a copy."""
        return self.copy()

    def __repr__(self) -> str:
        """Show the array."""
        return f"Traced({self.value!r})"

    __hash__ = None  # type: ignore[assignment]


def _add_operators() -> None:
    def binary(name: str, sign: str) -> None:
        function = _operator(name, "binary", sign)

        def forward(self: Traced, other: Any) -> Any:
            if isinstance(other, Recorded):
                return NotImplemented
            return self.trace.call(function, (self, other))

        def reflected(self: Traced, other: Any) -> Any:
            return self.trace.call(function, (other, self))

        setattr(Traced, f"__{name}__", forward)
        if name not in _COMPARISONS:
            setattr(Traced, f"__r{name}__", reflected)
            inside = Function(getattr(operator, f"__i{name}__"), "in place", f"{sign}=")

            def in_place(self: Traced, other: Any) -> Any:
                if isinstance(other, Recorded):
                    return NotImplemented
                if isinstance(self.value, np.generic):
                    return self.trace.call(function, (self, other))
                self.trace.call(inside, (self, other), writes=[self])
                return self

            setattr(Traced, f"__i{name}__", in_place)

    def unary(name: str, sign: str) -> None:
        function = _operator(name, "unary", sign)
        setattr(Traced, f"__{name}__", lambda self: self.trace.call(function, (self,)))

    for name, sign in (_BINARY | _COMPARISONS).items():
        binary(name, sign)
    for name, sign in _UNARY.items():
        unary(name, sign)


_add_operators()


def _numpy_name(function: Any) -> str:
    module = (getattr(function, "__module__", None) or "numpy").replace("numpy", "np", 1)
    name = f"{module}.{function.__name__}"
    short = f"np.{function.__name__}"
    return short if getattr(np, function.__name__, None) is function else name


def _true(tree: Any) -> Any:
    """Replace traced arrays by the true ones."""
    if isinstance(tree, Traced):
        return tree.value
    if isinstance(tree, TracedGenerator):
        return tree.traced.value
    if isinstance(tree, tuple):
        parts = map(_true, tree)
        return tree._make(parts) if hasattr(tree, "_make") else tuple(parts)
    if isinstance(tree, list):
        return list(map(_true, tree))
    if isinstance(tree, dict):
        return {key: _true(value) for key, value in tree.items()}
    if isinstance(tree, slice):
        return slice(_true(tree.start), _true(tree.stop), _true(tree.step))
    return tree


def has_traced(tree: Any) -> bool:
    """Whether a tree holds a traced array."""
    if isinstance(tree, Traced | TracedGenerator):
        return True
    if isinstance(tree, tuple | list):
        return any(map(has_traced, tree))
    if isinstance(tree, dict):
        return any(map(has_traced, tree.values()))
    return isinstance(tree, slice) and has_traced((tree.start, tree.stop, tree.step))


class Trace(Observer):
    """What was computed while a function ran."""

    def __init__(self, outermost: CodeType) -> None:
        """Take lines from frames of the user's that were called by ``outermost``."""
        self.outermost = outermost
        self.calls: list[Call] = []
        self.failure: str | None = None
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
        self._roots: dict[int, Var] = {}  # by the id of the array that owns the memory
        self.alive: list[Any] = []  # so that ids stay unique

    # ------------------------------------------------------------------------ values

    def var(self, value: Any, name: str | None = None) -> Var:
        """Return a new variable for a value."""
        var = Var(self._numbers, name=name)
        self._numbers += 1
        if isinstance(value, np.ndarray | np.generic):
            var.shape, var.dtype = value.shape, value.dtype
            var.scalar = isinstance(value, np.generic)
        if isinstance(value, np.ndarray):
            end: Any = value
            while isinstance(end.base, np.ndarray):
                end = end.base
            self.alive.append(end)
            found = self._roots.setdefault(id(end), var)
            var.root = None if found is var else found
        return var

    def input(self, value: Any, source: Any, name: str | None = None) -> Traced:
        """Return a value from outside as a traced one."""
        traced = Traced(value, self.var(value, name), self)
        self.inputs.append((traced, source))
        return traced

    def _wrapped(self, value: Any) -> tuple[Any, Any]:
        """Return a result as traced, and as Vars."""
        if isinstance(value, np.ndarray | np.generic) and value.dtype != object:
            traced = Traced(value, self.var(value), self)
            self.alive.append(value)
            return traced, traced.var
        if isinstance(value, tuple | list):
            pairs = [self._wrapped(part) for part in value]
            traced_parts, vars_ = [t for t, _ in pairs], tuple(v for _, v in pairs)
            if isinstance(value, list):
                return traced_parts, vars_
            kind = type(value)
            return (kind._make if hasattr(kind, "_make") else kind)(traced_parts), vars_
        return value, self.var(value)

    def _noted(self, tree: Any) -> Any:
        """Replace traced arrays by their Vars, plain ones by constants."""
        if isinstance(tree, Traced):
            return tree.var
        if isinstance(tree, TracedGenerator):
            return tree.traced.var
        if isinstance(tree, np.ndarray):
            self.alive.append(tree)
            return Constant(tree)
        if isinstance(tree, tuple):
            parts = [self._noted(part) for part in tree]
            return type(tree)._make(parts) if hasattr(tree, "_make") else tuple(parts)
        if isinstance(tree, list):
            return [self._noted(part) for part in tree]
        if isinstance(tree, dict):
            return {key: self._noted(value) for key, value in tree.items()}
        if isinstance(tree, slice):
            return slice(self._noted(tree.start), self._noted(tree.stop), self._noted(tree.step))
        return tree

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
    ) -> Any:
        """Compute, and write it down."""
        kwargs = kwargs or {}
        for x in writes:
            if not isinstance(x, Traced):
                self.fail("a traced value was written into a plain array")
        true_args, true_kwargs = _true(args), _true(kwargs)
        if function.style == "method":
            value = getattr(true_args[0], function.text)(*true_args[1:], **true_kwargs)
        else:
            value = function.call(*true_args, **true_kwargs)
        written = next((x for x in writes if isinstance(x, Traced) and value is x.value), None)
        if written is not None or (value is None and writes):
            traced, out = written, None
        else:
            traced, out = self._wrapped(value)
        self._write(function, args, kwargs, out, writes, pure=pure, draws=draws)
        if isinstance(value, _NUMBERS) and not isinstance(value, np.generic):
            call = self.calls[-1]
            if isinstance(value, float):
                self.fail(f"{function.text} made a Python number of a traced value")
            else:
                call.guard = value
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
        mutates += tuple(x.var for x in writes if isinstance(x, Traced))
        noted = self._noted(args), self._noted(kwargs)
        self.calls.append(
            Call(
                function,
                *noted,
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
        call = {"bool": bool, "int": int}.get(how)
        function = (
            Function(operator.methodcaller("item"), "method", "item")
            if call is None
            else Function(call, "name", how)
        )
        self._write(function, (x,), {}, self.var(value), guard=value)
        return value

    def fail(self, why: str) -> None:
        """Note the first reason why there can be no program."""
        if self.failure is None:
            code, instruction = call_site_above(self.outermost)
            line = source_line(code, instruction)
            self.failure = f"{why}, at {line}"

    # --------------------------------------------------------- what the engine asks

    def forward(self, op: Op[Any], arrays: Any, params: tuple[Any, ...]) -> Any:
        """Compute an op: by its parts if these are few and plain, else as one call."""
        args = (arrays, *params) if op.variadic else (*arrays, *params)
        if threading.get_ident() != self.thread or not has_traced(tuple(args)):
            return op.forward(*args)
        if is_numpys(op.forward) or getattr(op.forward, "__module__", "") == "_operator":
            return op.forward(*args)
        start, failure = len(self.calls), self.failure
        out = op.forward(*args)
        added = self.calls[start:]
        plain = (
            self.failure == failure
            and len(added) <= _MAX_INLINED
            and all(call.guard is UNGUARDED and not call.mutates and call.pure for call in added)
        )
        if plain and has_traced(out if isinstance(out, tuple) else (out,)):
            return out
        del self.calls[start:]
        self.failure = failure
        home, name = op.__module__, op.__reduce__()
        function = Function(op.forward, "name", f"{name}.forward", home)
        return self.call(function, tuple(args))

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
        with self.swaps.suspended() as written:
            tracers.remove(self)
            try:
                value = function(*args, **kwargs)
            finally:
                tracers.append(self)
        called = Function(function, "name", function.__qualname__, function.__module__)
        noted = self.swaps.objects(args)
        self._write(called, noted, kwargs, None, mutates=tuple(written), pure=False)
        return None if value is None else _unused(value, self)

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
        self, op: Any, tensors: list[Any], arrays: list[Any], params: tuple[Any, ...]
    ) -> None:
        """Remember which node has which value."""
        for tensor in tensors:
            array, node = array_of(tensor), node_of(tensor)
            if isinstance(array, Traced):
                self.of_node[node] = array.var

    def overwritten(self, x: Any) -> None:
        """Remember which tensors were changed in place."""
        self.overwritten_tensors.add(id(x))

    def complete(self, node: Any, g: Any) -> None:
        """Remember whose gradient a value is."""
        if isinstance(g, Traced):
            self.names.setdefault(g.var, node)
        if node.hooks:
            self.fail("gradient hooks run")

    def sweeping(self, sweep: Any) -> "Trace":
        """Write what follows into the backward section."""
        self.section = "backward"
        return self

    def before_rules(self, node: Any) -> None:
        """Take lines from the node whose rules run."""
        self._node = node
        if node.serial < self.floor:
            self.fail("backward goes through a graph from outside the function")

    def after_rules(self, node: Any) -> None:
        """Take lines from the user's frames again."""
        self._node = None

    def ended(self, *, finished: bool) -> None:
        """Return to the forward section."""
        self._node, self.section = None, "forward"


class TracedGenerator(np.random.Generator):
    """A generator whose draws are calls of the program."""

    traced: Traced

    def __getattribute__(self, name: str) -> Any:
        """Return a method that draws, and writes it down."""
        if name.startswith("_") or name in {"traced", "bit_generator"}:
            return super().__getattribute__(name)
        traced = self.traced
        if name == "spawn":
            traced.trace.fail("a generator was split")
            return super().__getattribute__(name)
        function = Function(operator.methodcaller, "method", name)
        writes = [0] if name == "shuffle" else []
        return lambda *args, **kwargs: traced.trace.call(
            function, (traced, *args), kwargs, writes=[args[k] for k in writes], draws=True
        )


def _unused(value: Any, trace: Trace) -> Any:
    """Return what a call from outside returned: a number that no program can be made with."""
    if type(value) is not float:
        trace.fail(f"a call from outside returned a {type(value).__name__}")
        return value
    return _Outside(value, trace)


class _Outside(float):
    """A number that a call from outside returned; computing with it ends the program."""

    trace: Trace

    def __new__(cls, value: float, trace: Trace) -> "_Outside":
        """Make one."""
        new = super().__new__(cls, value)
        new.trace = trace
        return new


def _add_failures() -> None:
    def failing(name: str) -> Any:
        def method(self: _Outside, *args: Any) -> Any:
            self.trace.fail("a number that a call returned was used")
            return getattr(float, name)(float.__add__(self, 0.0), *args)

        return method

    names = (
        "add sub mul truediv floordiv mod pow neg abs lt le gt ge eq ne bool int float format repr"
    )
    for name in names.split():
        for full in (f"__{name}__", f"__r{name}__"):
            if hasattr(float, full):
                setattr(_Outside, full, failing(full))
    _Outside.__hash__ = float.__hash__  # type: ignore[method-assign]


_add_failures()
