"""Arrays that compute as NumPy's do, and write down each call.

A `Traced` array holds a true array. What NumPy computes from it is computed at once, and its trace
notes the call. A value that leaves for plain Python (``float(x)``, ``np.asarray(x)``) goes out as
it is, but then the trace has failed. Python numbers that NumPy makes of an array (``x.item()``,
``rng.random()``) are traced as arrays are.
"""

import math
import operator
import weakref
from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from graphgrad.compiling.program import Function, Var, leaves_of
from graphgrad.engine.graph import Recorded
from graphgrad.engine.trees import as_tuple
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
SHAPE = Function(operator.attrgetter("shape"), "attribute", "shape")


def _operator(name: str, style: Any, sign: str) -> Function:
    return Function(getattr(operator, f"__{name}__"), style, sign)


INDEX = Function(operator.getitem, "index", "")
_ASSIGN = Function(operator.setitem, "assign", "")


class Traced:
    """An array, or a number of Python, that writes down what is computed from it."""

    __slots__ = ("__weakref__", "trace", "value", "var")
    __array_priority__ = 500.0  # below a Tensor's

    def __init__(self, value: Array, var: Var, trace: Any) -> None:
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
            return func(*true_of(args), **true_of(kwargs))
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
        return self.trace.call(INDEX, (self, index), varies=index_varies(index))

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


def _add_operators() -> None:  # noqa: C901 - three kinds, each a few lines
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


def index_varies(index: Any) -> bool:
    """Whether the shape of what an index selects depends on values."""
    parts = index if type(index) is tuple else (index,)
    return any(
        has_traced(p)
        if type(p) is slice
        else type(p) is Traced and getattr(getattr(p.value, "dtype", None), "kind", "") == "b"
        for p in parts
    )


def true_of(tree: Any) -> Any:
    """Replace traced arrays by the true ones."""
    if type(tree) is Traced or type(tree) is TracedGenerator:
        return tree.traced.value if type(tree) is TracedGenerator else tree.value
    if isinstance(tree, tuple):
        parts = map(true_of, tree)
        return as_tuple(type(tree), list(parts))
    if isinstance(tree, list):
        return list(map(true_of, tree))
    if isinstance(tree, dict):
        return {key: true_of(value) for key, value in tree.items()}
    if isinstance(tree, slice):
        return slice(true_of(tree.start), true_of(tree.stop), true_of(tree.step))
    return tree


def parts_of(tree: Any) -> Iterator[Any]:
    """Yield the leaves of a tree."""
    if isinstance(tree, tuple | list):
        for part in tree:
            yield from parts_of(part)
    elif isinstance(tree, dict):
        yield from parts_of(list(tree.values()))
    else:
        yield tree


def traced_in(tree: Any) -> Iterator[Traced]:
    """Yield the traced arrays in a tree."""
    for x in leaves_of(tree):
        if type(x) is Traced:
            yield x
        elif type(x) is TracedGenerator:
            yield x.traced


def has_traced(tree: Any) -> bool:
    """Whether a tree holds a traced array."""
    return next(traced_in(tree), None) is not None


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


def unused(value: Any, trace: Any) -> Any:
    """Return what a call from outside returned: a number that no program can be made with."""
    if type(value) is not float:
        trace.fail(f"a call from outside returned a {type(value).__name__}")
        return value
    return _Outside(value, trace)


class _Outside(float):
    """A number that a call from outside returned; computing with it ends the program."""

    trace: Any

    def __new__(cls, value: float, trace: Any) -> Self:
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
