"""NumPy's protocols, for Tensor: `np.f(t)` finds the op, and no graph is dropped silently."""

import inspect
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.engine.graph import Recorded
from graphgrad.engine.memory import export
from graphgrad.engine.op import TABLE, Op
from graphgrad.engine.operands import needs_gradient, refuse_recorded, unwrapped
from graphgrad.engine.plain import OF_CONSTANTS, PLAIN, REMEDIES
from graphgrad.engine.record import record
from graphgrad.engine.recording import latest, show_answer, switches
from graphgrad.errors import GraphError, UnsupportedError

# Methods of ufuncs, by the functions that compute the same.
_METHODS: dict[tuple[np.ufunc, str], Any] = {
    (np.add, "reduce"): np.sum,
    (np.multiply, "reduce"): np.prod,
    (np.maximum, "reduce"): np.max,
    (np.minimum, "reduce"): np.min,
    (np.add, "accumulate"): np.cumsum,
    (np.multiply, "accumulate"): np.cumprod,
}

_ASSIGNMENT_HINT = "for out[i] = t make out by gg.Tensor(np.zeros(n))"  # the most frequent case
_ITEM_HINT = "where no gradient is wanted use t.item()"


class NumpyProtocols(Recorded):
    """How NumPy and Python's number types treat a Tensor."""

    __slots__ = ()

    __array_priority__ = 1000.0
    __pandas_priority__ = 5000  # above a DataFrame's, so that we can refuse it

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Apply the op that is declared for a ufunc, for ``np.exp(t)``."""
        if method == "__call__":
            found = TABLE.get(ufunc)
            if found is not None:
                if found.__class__ is Op and not kwargs:
                    return record(found, inputs)
                return found(*inputs, **kwargs)
        else:
            found = _METHODS.get((ufunc, method))
            if found is not None:
                return TABLE[found](*inputs, **_with_axis(kwargs))
        if ufunc in PLAIN and method != "at":
            return _call_on_arrays(getattr(ufunc, method), ufunc.__name__, inputs, kwargs)
        name = f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
        raise UnsupportedError(_no_rule(name, REMEDIES.get(method)))

    def __array_function__(
        self, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Apply the op that is declared for a function, for ``np.sum(t)``."""
        found = TABLE.get(func)
        if found is not None:
            return found(*args, **kwargs)
        if func in PLAIN:
            if func in OF_CONSTANTS:
                for x in (*args, *kwargs.values()):
                    if isinstance(x, Recorded):
                        refuse_recorded(x, func.__name__, "its arguments")
            return _call_on_arrays(func, func.__name__, args, kwargs)
        module = func.__module__.replace("numpy", "np", 1)
        raise UnsupportedError(_no_rule(f"{module}.{func.__name__}", REMEDIES.get(func)))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Any:
        """Convert to a plain array, unless that would drop the graph."""
        others = "for np.array([t, u]) use gg.stack([t, u]), where no gradient is wanted t.numpy()"
        self._refuse_conversion("an array", f"{_ASSIGNMENT_HINT}, {others}")
        if not copy:
            export(self)
        return np.array(self._array, dtype=dtype, copy=copy)

    def __float__(self) -> float:
        """Convert to a Python float, unless that would drop the graph."""
        others = "for math.exp(t) use gg.exp(t), where no gradient is wanted t.item()"
        self._refuse_conversion("a Python float", f"{_ASSIGNMENT_HINT}, {others}")
        return float(self._array)

    def __int__(self) -> int:
        """Convert to a Python int, unless that would drop the graph."""
        self._refuse_conversion("a Python int", _ITEM_HINT)
        return int(self._array)

    def __index__(self) -> int:
        """Convert to an index, if it is an integer."""
        self._refuse_conversion("an index", _ITEM_HINT)
        return self._array.__index__()  # type: ignore[no-any-return]

    def _refuse_conversion(self, kind: str, remedy: str) -> None:
        if needs_gradient(self) and switches().enabled:
            message = (
                f"turning a recorded tensor {self._array.shape} into {kind} would drop its graph "
                f"in silence; {remedy}"
            )
            raise GraphError(message)


def _call_on_arrays(function: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function on plain arrays, unless it would write into a Tensor."""
    out = kwargs.get("out")
    position = _position_of_out(function)
    if out is None and position is not None and len(args) > position:
        out = args[position]
    for target in out if isinstance(out, tuple) else (out,):
        if isinstance(target, Recorded):
            message = f"{name}: it cannot write into a Tensor; assign the result: t[...] = "
            raise UnsupportedError(f"{message}np.{name}(…), or make a new one")
    where = kwargs.get("where")
    if isinstance(where, Recorded):
        refuse_recorded(where, name, "where")
    answer = function(*map(unwrapped, args), **{k: unwrapped(v) for k, v in kwargs.items()})
    return show_answer(name, answer) if latest().observers else answer


@lru_cache(maxsize=512)
def _position_of_out(function: Any) -> int | None:
    """Return the position of the parameter `out`; None for ufuncs, which get it by name."""
    try:
        names = list(inspect.signature(function).parameters)
    except ValueError:  # no signature, as of some functions in C
        return None
    return names.index("out") if "out" in names else None


def _with_axis(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"axis": 0, **kwargs}  # the default of a ufunc's methods


def _no_rule(name: str, remedy: str | None) -> str:
    general = (
        "compose it from functions that have one, declare it by gg.op, or pass .detach() or "
        ".numpy() where no gradient is wanted"
    )
    return f"{name} has no gradient rule; {remedy or general}"
