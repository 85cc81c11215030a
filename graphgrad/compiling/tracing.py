"""Tracing: arrays that compute as NumPy's do, and write down each call.

A `Traced` array holds a true array. What NumPy computes from it is computed at once, and noted as a
call of the program. A value that leaves for plain Python (``float(x)``, ``np.asarray(x)``) goes out
as it is, but then no program can be made, and the trace notes why and where. Python numbers that
NumPy makes of an array (``x.item()``, ``rng.random()``) are traced as arrays are.
"""

import gc
import math
import operator
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from types import CellType, CodeType
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
from graphgrad.engine.graph import Recorded, array_of, node_of
from graphgrad.engine.in_place import set_array
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
           np.broadcast_shapes}  # fmt: skip
_PLAIN_ATTRIBUTES = frozenset(("shape", "dtype", "ndim", "size", "itemsize", "nbytes", "strides",
                               "flags", "base"))  # fmt: skip
_VIEWS = frozenset(("T", "mT", "real", "imag"))
_WRITING = frozenset(("sort", "fill", "put", "partition", "itemset", "setfield", "resize"))
_WRITING_FUNCTIONS = {np.copyto, np.put, np.place, np.putmask, np.put_along_axis, np.fill_diagonal}
# the shape of whose result depends on values, also of floating arrays
_WORDS_BY_VALUES = """
    nonzero flatnonzero argwhere unique unique_values unique_counts unique_inverse unique_all
    extract compress trim_zeros delete insert setdiff1d union1d intersect1d setxor1d roots
    poly polydiv lstsq histogram histogramdd histogram2d histogram_bin_edges bincount repeat
"""
_SHAPED_BY_VALUES = frozenset(_WORDS_BY_VALUES.split())
# that take integers or bools beside their first argument which do not decide on the shape
_WORDS_BY_SHAPES = """
    take take_along_axis choose select put putmask place copyto put_along_axis fill_diagonal
    where searchsorted clip dot vdot matmul inner outer tensordot einsum full_like
    array_equal isin digitize broadcast_arrays integers permutation fill
"""
_SHAPED_BY_SHAPES = frozenset(_WORDS_BY_SHAPES.split())
_MAX_INLINED = 12  # calls that stand for one op; above, the op is one call
_NUMBERS = (bool, int, float)
_ALL = slice(None)
_SHAPE = Function(operator.attrgetter("shape"), "attribute", "shape")


def _operator(name: str, style: Any, sign: str) -> Function:
    return Function(getattr(operator, f"__{name}__"), style, sign)


_INDEX = Function(operator.getitem, "index", "")
_ASSIGN = Function(operator.setitem, "assign", "")


class Traced:
    """An array, or a number of Python, that writes down what is computed from it."""

    __slots__ = ("__weakref__", "trace", "value", "var")
    __array_priority__ = 500.0  # below a Tensor's

    def __init__(self, value: Array, var: Var, trace: "Trace") -> None:
        self.value, self.var, self.trace = value, var, trace
        trace.made.append(weakref.ref(self))

    @property
    def __class__(self) -> Any:
        """Pass for what it stands for where a function asks for the type."""
        return type(self.value)

    @__class__.setter
    def __class__(self, _: Any) -> None:
        raise TypeError

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
        if type(out) is tuple and len(out) == 1:
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
        varies = _shape_varies(func.__name__, (args[1:], kwargs))
        if func is np.where and len(args) == 1:
            varies = True
        return self.trace.call(function, args, kwargs, writes=written, varies=varies)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Leave as a plain array, after which no program is made."""
        self.trace.fail(_BECAME_PLAIN)
        return np.array(self.value, dtype=dtype, copy=copy)

    def __getattr__(self, name: str) -> Any:
        """Return what the array has under a name."""
        if name in _PLAIN_ATTRIBUTES:
            return getattr(self.value, name)
        found = getattr(self.value, name)
        if name in _VIEWS:
            function = Function(operator.attrgetter(name), "attribute", name)
            return self.trace.call(function, (self,))
        if name.startswith("__array_"):
            self.trace.fail(_BECAME_PLAIN)
            return found
        if name == "at" or not callable(found):
            self.trace.fail(f"{name} of an array was read")
            return found
        if name in {"tolist", "tobytes", "tofile", "dump", "dumps"}:
            return lambda *args: self._leave(found(*args), f".{name}()")
        function = Function(operator.methodcaller, "method", name)
        writes = [self] if name in _WRITING else []

        def method(*args: Any, **kwargs: Any) -> Any:
            if any(type(x) is not Traced and isinstance(x, Recorded) for x in args):
                return found(*args, **kwargs)  # which finds the op by NumPy's protocols
            written = [*writes, *([kwargs["out"]] if kwargs.get("out") is not None else ())]
            varies = _shape_varies(name, (args, kwargs))
            return self.trace.call(function, (self, *args), kwargs, writes=written, varies=varies)

        return method

    def _leave(self, value: Any, how: str) -> Any:
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

    def __complex__(self) -> complex:
        """Leave as a Python number."""
        return self._leave(complex(self.value), "complex()")  # type: ignore[no-any-return]

    def __round__(self, *digits: Any) -> Any:
        """Leave as a Python number."""
        return self._leave(round(self.value, *digits), "round()")

    def __trunc__(self) -> Any:
        """Leave as a Python number."""
        return self._leave(math.trunc(self.value), "math.trunc()")

    def __floor__(self) -> Any:
        """Leave as a Python number."""
        return self._leave(math.floor(self.value), "math.floor()")

    def __ceil__(self) -> Any:
        """Leave as a Python number."""
        return self._leave(math.ceil(self.value), "math.ceil()")

    def __hash__(self) -> int:
        """Leave as a key, if it is a number."""
        return self._leave(hash(self.value), "hash()")  # type: ignore[no-any-return]

    def __str__(self) -> str:
        """Leave as text."""
        return self._leave(str(self.value), "str()")  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        """Leave as text."""
        return self._leave(repr(self.value), "repr()")  # type: ignore[no-any-return]

    def __format__(self, spec: str) -> str:
        """Leave as text."""
        return self._leave(format(self.value, spec), "format()")  # type: ignore[no-any-return]

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Leave as bytes, or as a copy."""
        return self._leave(self.value.__reduce_ex__(protocol), "pickle or copy")

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
        return self.trace.call(_INDEX, (self, index), varies=_index_varies(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        """Write elements."""
        self.trace.call(_ASSIGN, (self, index, value), writes=[self])

    def __abs__(self) -> Any:
        """Return the absolute value."""
        return self.trace.call(Function(operator.abs, "name", "abs"), (self,))

    def __divmod__(self, other: Any) -> Any:
        """Return quotient and remainder."""
        return self // other, self % other

    def __copy__(self) -> Any:
        """Return a copy."""
        return self.copy() if isinstance(self.value, np.ndarray) else self

    def __deepcopy__(self, _: Any) -> Any:
        """Return a copy."""
        return self.__copy__()


def _add_operators() -> None:
    def binary(name: str, sign: str) -> None:
        function = _operator(name, "binary", sign)

        def forward(self: Traced, other: Any) -> Any:
            if type(other) is not Traced and isinstance(other, Recorded):
                return NotImplemented
            return self.trace.call(function, (self, other))

        def reflected(self: Traced, other: Any) -> Any:
            return self.trace.call(function, (other, self))

        setattr(Traced, f"__{name}__", forward)
        if name not in _COMPARISONS:
            setattr(Traced, f"__r{name}__", reflected)
            inside = Function(getattr(operator, f"__i{name}__"), "in place", f"{sign}=")

            def in_place(self: Traced, other: Any) -> Any:
                if type(other) is not Traced and isinstance(other, Recorded):
                    return NotImplemented
                if not isinstance(self.value, np.ndarray):
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


_BECAME_PLAIN = (
    "a traced array became a plain one (by np.asarray, np.array, or as an index or part of one)"
)


def _shape_varies(name: str, others: Any) -> bool:
    """Whether values, also of arguments after the first, may decide on the shape of a result."""
    return name in _SHAPED_BY_VALUES or (
        name not in _SHAPED_BY_SHAPES and any(map(_is_integer, traced_in(others)))
    )


def _is_integer(x: Traced) -> bool:
    return getattr(x.value, "dtype", np.dtype(int)).kind != "f"


def _index_varies(index: Any) -> bool:
    parts = index if type(index) is tuple else (index,)
    return any(
        has_traced(p)
        if type(p) is slice
        else type(p) is Traced and getattr(getattr(p.value, "dtype", None), "kind", "") == "b"
        for p in parts
    )


def _true(tree: Any) -> Any:
    """Replace traced arrays by the true ones."""
    if type(tree) is Traced or type(tree) is TracedGenerator:
        return tree.traced.value if type(tree) is TracedGenerator else tree.value
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


def _parts(tree: Any) -> Iterator[Any]:
    """Yield the leaves of a tree."""
    if isinstance(tree, tuple | list):
        for part in tree:
            yield from _parts(part)
    elif isinstance(tree, dict):
        yield from _parts(list(tree.values()))
    else:
        yield tree


def traced_in(tree: Any) -> Iterator[Traced]:
    """Yield the traced arrays in a tree."""
    if type(tree) is Traced:
        yield tree
    elif type(tree) is TracedGenerator:
        yield tree.traced
    elif isinstance(tree, tuple | list):
        for part in tree:
            yield from traced_in(part)
    elif isinstance(tree, dict):
        yield from traced_in(list(tree.values()))
    elif isinstance(tree, slice):
        yield from traced_in((tree.start, tree.stop, tree.step))


def has_traced(tree: Any) -> bool:
    """Whether a tree holds a traced array."""
    return next(traced_in(tree), None) is not None


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
            return (kind._make if hasattr(kind, "_make") else kind)(traced_parts), vars_
        var = self.var(value)
        if type(value) in _NUMBERS:
            return Traced(value, var, self), var
        constant = value is None or value is Ellipsis or (type(value) is slice and value == _ALL)
        if not constant and not any(value is part for part in _parts(given)):
            self.fail(f"a call returned a {type(value).__name__}")
        return value, var

    def _noted(self, tree: Any) -> Any:
        """Replace traced arrays by their Vars, plain ones by constants."""
        if type(tree) is Traced:
            return tree.var
        if type(tree) is TracedGenerator:
            return tree.traced.var
        if isinstance(tree, np.ndarray):
            return self._constant(tree)
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
        true_args, true_kwargs = _true(args), _true(kwargs)
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
                    self._write(_SHAPE, (part.var,), {}, self.var(shape), guard=shape)
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
        varies = self.failure != failure or any(call.function is _SHAPE for call in added)
        del self.calls[start:]
        self.failure = failure
        if op.forward is operator.getitem:  # of a plain array at traced places
            return self.call(_INDEX, tuple(args), varies=_index_varies(args[1]))
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
        with self.swaps.suspended() as written:
            tracers.remove(self)
            try:
                value = function(*args, **kwargs)
            finally:
                tracers.append(self)
        called = Function(function, "name", function.__qualname__, function.__module__)
        noted = self._noted(self.swaps.objects(args))
        self._write(called, noted, self._noted(kwargs), None, mutates=tuple(written), pure=False)
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
        if name == "traced":
            return super().__getattribute__(name)
        traced = self.traced
        if name.startswith("_") or name in {"bit_generator", "spawn"}:
            if name not in {"__class__", "__dict__"}:
                traced.trace.fail(f"{name} of a generator was read")
            return super().__getattribute__(name)
        function = Function(operator.methodcaller, "method", name)

        def draw(*args: Any, **kwargs: Any) -> Any:
            writes = [args[0] if args else kwargs["x"]] if name == "shuffle" else []
            writes += [] if kwargs.get("out") is None else [kwargs["out"]]
            return traced.trace.call(
                function,
                (traced, *args),
                kwargs,
                writes=writes,
                draws=True,
                varies=_shape_varies(name, (args, kwargs)),
            )

        return draw


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


def _same_bytes(a: Array, b: Array) -> bool:
    return bool(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        and (np.signbit(a) == np.signbit(b)).all()
        if a.dtype.kind == "f"
        else np.array_equal(a, b)
    )
