"""Symbolic arrays: a gradient rule is run on them, and returns the expression that it computes.

A rule is plain NumPy, so it runs on anything that implements NumPy's protocols. A symbol does,
and records each function that is applied to it as an expression tree. What needs a number (a
branch on a value, a buffer) raises :class:`NoFormula`.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from graphgrad.engine.composite import Composite
from graphgrad.engine.graph import Absent, Recorded
from graphgrad.engine.op import TABLE, Op
from graphgrad.errors import GraphgradError

Shape = tuple[int, ...]
_MAX_STAND_IN = 4096  # elements of the arrays that an op is run on, to find the shape of its result
_MAX_NODES = 300  # in an expression, shared ones counted each time; longer ones nobody could read
_DOUBLE = np.dtype(float)
_REDUCTIONS: dict[Any, Any] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
}
_METADATA: dict[Any, Callable[[Any], Any]] = {
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: x.ndim,
    np.size: lambda x: x.size,
    np.result_type: lambda *_: _DOUBLE,
}
_MASKS = frozenset(
    (
        *("less", "less_equal", "greater", "greater_equal", "equal", "not_equal"),
        *("logical_and", "logical_or", "logical_not", "bitwise_and", "bitwise_or", "invert"),
        *("isnan", "isinf", "isfinite"),
    )
)


class NoFormula(Exception):  # noqa: N818 - an answer, not an error
    """A rule did something that has no symbolic form."""


def symbol_of(op: Op[Any], inputs: tuple[Any, ...], params: tuple[Any, ...] = ()) -> "Symbol":
    """Apply an op to symbols."""
    named = dict(zip(op.order[op.inputs :], params, strict=True))
    inputs = tuple(x.number if isinstance(x, Absent) else x for x in inputs)
    return Symbol(head_of(op), inputs, named, op=op)


class Symbol(Recorded):
    """A name, or a function applied to other symbols.

    ``head`` is the name of the function, ``op`` its op if it has one. A leaf has neither
    arguments nor an op, and its head is its name.
    """

    __slots__ = ("arguments", "head", "known_shape", "node_count", "op", "parameters", "stale")
    __array_priority__ = 2000.0
    stale: bool
    node_count: int
    arguments: tuple[Any, ...] | None

    def __init__(
        self,
        head: str,
        arguments: tuple[Any, ...] | None = None,
        parameters: dict[str, Any] | None = None,
        *,
        op: Op[Any] | None = None,
        shape: Shape | None = None,
    ) -> None:
        """Build the expression; refuse arguments that were overwritten in the meantime."""
        self.node_count = 1
        for x in arguments or ():
            if isinstance(x, Symbol):
                if x.stale:
                    raise NoFormula("its memory was overwritten")
                self.node_count += x.node_count
        if self.node_count > _MAX_NODES:
            raise NoFormula("too long to be read")
        self.head, self.arguments, self.op = head, arguments, op
        self.parameters = parameters or {}
        self.known_shape = shape  # None: `shape` infers it, if it can
        self.stale = False

    # ---------------------------------------------------------------------- NumPy's protocols

    _record = staticmethod(symbol_of)  # as in Tensor, for rules that call ops

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if kwargs.pop("out", None) is not None:
            raise NoFormula("it writes into a buffer")
        if method == "__call__":
            return _apply(ufunc, inputs, kwargs)
        reduction = _REDUCTIONS.get(ufunc)
        if method != "reduce" or reduction is None:
            raise NoFormula(f"{ufunc.__name__}.{method}")
        named = dict(zip(("axis", "dtype"), inputs[1:], strict=False)) | kwargs
        axis, keepdims = named.get("axis", 0), named.get("keepdims", False)
        return _apply(reduction, inputs[:1], {"axis": axis, "keepdims": keepdims})

    def __array_function__(
        self, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if func in _METADATA:
            return _METADATA[func](*args)
        return _apply(func, args, kwargs)

    @property
    def _array(self) -> "Symbol":
        return self

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise NoFormula("it needs numbers")

    def __bool__(self) -> bool:
        raise NoFormula("it branches on a value")

    def __iter__(self) -> Any:
        raise NoFormula("it loops over a value")

    __float__ = __int__ = __index__ = __len__ = __bool__

    # ------------------------------------------------------------------------ shape and dtype

    @property
    def parts(self) -> tuple[Any, ...]:
        """The arguments; none of a leaf."""
        return self.arguments or ()

    @property
    def is_array(self) -> bool:
        """Whether it is a leaf that stands for an array."""
        return self.arguments is None and self.known_shape is not None

    @property
    def shape(self) -> Shape:
        """The shape, inferred on first use."""
        if self.known_shape is None:
            self.known_shape = _infer_shape(self)
        return self.known_shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(np.prod(self.shape))

    @property
    def dtype(self) -> Any:
        """Always float64, except bool for masks."""
        return np.dtype(bool) if self.head in _MASKS else _DOUBLE

    # -------------------------------------------------------------- the methods that rules use

    @property
    def T(self) -> Any:  # noqa: N802 - ndarray's name
        """The transpose."""
        return np.transpose(self)

    @property
    def mT(self) -> Any:  # noqa: N802 - ndarray's name
        """The transposed matrices."""
        return np.swapaxes(self, -1, -2)

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        """Reshape."""
        shape = shape[0] if len(shape) == 1 else shape
        return _apply(np.reshape, (self, shape), {"order": order})

    def astype(self, *_: Any, **_more: Any) -> Any:
        """Return the symbol itself: it has no precision."""
        return self

    def copy(self) -> Any:
        """Return the symbol itself: an overwritten symbol cannot be used again."""
        return self

    def __getattr__(self, name: str) -> Any:
        """Forward any other method of ndarray to NumPy's function of that name."""
        function = getattr(np, name, None)
        if name.startswith("_") or not callable(getattr(np.ndarray, name, None)) or not function:
            raise AttributeError(name)
        return lambda *args, **kwargs: _apply(function, (self, *args), kwargs)

    def __getitem__(self, index: Any) -> Any:
        return symbol_of(TABLE[operator.getitem], (self,), (index,))

    def __setitem__(self, index: Any, value: Any) -> None:
        raise NoFormula("it writes into an array")

    __hash__ = object.__hash__


def is_ours(op: Op[Any]) -> bool:
    """Whether an op is NumPy's or the package's, so that its name says what it computes."""
    home = getattr(op.forward, "__module__", None) or ""
    return isinstance(op.function, np.ufunc) or home.split(".")[0] in (
        "numpy",
        "graphgrad",
        "_operator",
    )


def head_of(op: Op[Any]) -> str:
    """Return the name of an op; that of a user's op cannot be confused with one of ours."""
    return op.name if is_ours(op) else f"user's {op.name}"


def _apply(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Apply a function of NumPy: as its op if it has one, else by its name."""
    found = TABLE.get(function)
    if isinstance(found, Op):
        inputs, params = found.bind(args, kwargs)
        return symbol_of(found, inputs, params)
    if isinstance(found, Composite):
        bound = zip(found.binder.own, found.binder.bind(args, kwargs), strict=True)
        shown = [(name, x) for (name, default), x in bound if isinstance(x, Symbol) or x != default]
        args = tuple(x for _, x in shown if isinstance(x, Symbol) or _is_number(x))
        return Symbol(found.name, args, {k: v for k, v in shown if k == "axis"})
    return Symbol(function.__name__, args, kwargs)


def _is_number(x: Any) -> bool:
    return isinstance(x, int | float | np.number) and not isinstance(x, bool)


def _binary(function: np.ufunc, *, reflected: bool = False) -> Callable[[Any, Any], Any]:
    if reflected:
        return lambda self, other: _apply(function, (other, self), {})
    return lambda self, other: _apply(function, (self, other), {})


def _in_place(function: np.ufunc) -> Callable[[Any, Any], Any]:
    def update(self: Symbol, other: Any) -> Any:
        """Return a new symbol, and mark the old one as overwritten."""
        if self.arguments is None or (self.op is not None and self.op.view):
            raise NoFormula("it writes into an array")
        new = _apply(function, (self, other), {})
        self.stale = True
        return new

    return update


_OPERATORS: tuple[tuple[str, np.ufunc], ...] = (
    *(("add", np.add), ("sub", np.subtract), ("mul", np.multiply), ("truediv", np.divide)),
    *(("floordiv", np.floor_divide), ("mod", np.remainder), ("pow", np.power)),
    *(("matmul", np.matmul), ("and", np.logical_and), ("or", np.logical_or)),
)
for _name, _function in _OPERATORS:
    setattr(Symbol, f"__{_name}__", _binary(_function))
    setattr(Symbol, f"__r{_name}__", _binary(_function, reflected=True))
    setattr(Symbol, f"__i{_name}__", _in_place(_function))
_COMPARISONS: tuple[tuple[str, np.ufunc], ...] = (
    *(("lt", np.less), ("le", np.less_equal), ("gt", np.greater), ("ge", np.greater_equal)),
    *(("eq", np.equal), ("ne", np.not_equal)),
)
for _name, _function in _COMPARISONS:
    setattr(Symbol, f"__{_name}__", _binary(_function))
_UNARY: tuple[tuple[str, np.ufunc], ...] = (
    *(("neg", np.negative), ("pos", np.positive), ("abs", np.absolute)),
    ("invert", np.logical_not),
)
for _name, _function in _UNARY:
    setattr(Symbol, f"__{_name}__", lambda self, one=_function: _apply(one, (self,), {}))


# ---------------------------------------------------------------------------------- shapes


def _shape_of(x: Any) -> Shape:
    return x.shape if isinstance(x, Symbol) else np.shape(x)


def _stand_in(op: Op[Any], x: Symbol) -> Any:
    if op.view:  # such as an index, whose values decide the shape
        raise NoFormula(f"{x.head} is not known")
    return np.zeros(x.shape, int)


def _infer_shape(symbol: Symbol) -> Shape:
    """Infer a shape from those of the arguments, without large arrays."""
    arguments, op, given = symbol.arguments, symbol.op, symbol.parameters
    if arguments is None:
        raise NoFormula(f"the shape of {symbol.head} is not known")
    shapes = [_shape_of(x) for x in arguments]
    try:
        if (op is not None and op.elementwise) or symbol.head in _MASKS:
            return np.broadcast_shapes(*shapes)
        if symbol.head in ("zeros_like", "ones_like"):
            return tuple(given.get("shape", shapes[0]))
        if op is None:
            raise NoFormula(f"the shape of {symbol.head} is not known")
        if op.name == "matmul" and min(map(len, shapes)) > 1:
            (*a, m, _), (*b, _, n) = shapes
            return (*np.broadcast_shapes(tuple(a), tuple(b)), m, n)
        if not op.view and sum(int(np.prod(s)) for s in shapes) > _MAX_STAND_IN:
            raise NoFormula("too large to try")
        stand_ins = tuple(np.broadcast_to(np.float64(1), s) for s in shapes)
        params = [x if not isinstance(x, Symbol) else _stand_in(op, x) for x in given.values()]
        return np.shape(op.evaluate(stand_ins, tuple(params)))
    except (ValueError, TypeError, IndexError, AttributeError, GraphgradError) as error:
        raise NoFormula(f"the shape of {symbol.head} is not known") from error
