"""NumPy's protocols, for Tensor: `np.f(t)` finds the op, and no graph is dropped in silence."""

import inspect
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.engine.graph import Recorded
from graphgrad.engine.memory import lend
from graphgrad.engine.op import TABLE, Op
from graphgrad.engine.operands import needs_gradient, refuse_recorded, unwrapped
from graphgrad.engine.plain import OF_CONSTANTS, PLAIN, REMEDIES
from graphgrad.engine.record import record
from graphgrad.engine.recording import latest, show_answer, switches
from graphgrad.errors import GraphError, UnsupportedError

# The methods of ufuncs that are ops by another name.
_METHODS: dict[tuple[np.ufunc, str], Any] = {
    (np.add, "reduce"): np.sum,
    (np.multiply, "reduce"): np.prod,
    (np.maximum, "reduce"): np.max,
    (np.minimum, "reduce"): np.min,
    (np.add, "accumulate"): np.cumsum,
    (np.multiply, "accumulate"): np.cumprod,
}

_FILLING = "for out[i] = t make out by gg.Tensor(np.zeros(n))"  # what stumbles most often
_NUMBER = "where no gradient is wanted use t.item()"


class NumpyProtocols(Recorded):
    """How NumPy, and Python's own numbers, deal with a Tensor."""

    __slots__ = ()

    __array_priority__ = 1000.0
    __pandas_priority__ = 5000  # above a DataFrame's: pandas lets us refuse its arrays

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Let ``np.exp(t)`` be the op that is declared for ``np.exp``."""
        if method == "__call__":
            found = TABLE.get(ufunc)
            if found is not None:
                if found.__class__ is Op and not kwargs:
                    return record(found, inputs)
                return found(*inputs, **kwargs)
        else:
            found = _METHODS.get((ufunc, method))
            if found is not None:
                return TABLE[found](*inputs, **_known(kwargs))
        if ufunc in PLAIN and method != "at":
            return _answered(getattr(ufunc, method), ufunc.__name__, inputs, kwargs)
        name = f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
        raise UnsupportedError(_no_rule(name, REMEDIES.get(method)))

    def __array_function__(
        self, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Let ``np.sum(t)`` be the op that is declared for ``np.sum``."""
        found = TABLE.get(func)
        if found is not None:
            return found(*args, **kwargs)
        if func in PLAIN:
            if func in OF_CONSTANTS:
                for x in (*args, *kwargs.values()):
                    if isinstance(x, Recorded):
                        refuse_recorded(x, func.__name__, "its arguments")
            return _answered(func, func.__name__, args, kwargs)
        module = func.__module__.replace("numpy", "np", 1)
        raise UnsupportedError(_no_rule(f"{module}.{func.__name__}", REMEDIES.get(func)))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Any:
        """Become a plain array, unless that would drop the graph in silence."""
        others = "for np.array([t, u]) use gg.stack([t, u]), where no gradient is wanted t.numpy()"
        self._refuse_conversion("an array", f"{_FILLING}, {others}")
        if not copy:
            lend(self)
        return np.array(self._array, dtype=dtype, copy=copy)

    def __float__(self) -> float:
        """Become a Python number, unless that would drop the graph in silence."""
        others = "for math.exp(t) use gg.exp(t), where no gradient is wanted t.item()"
        self._refuse_conversion("a Python float", f"{_FILLING}, {others}")
        return float(self._array)

    def __int__(self) -> int:
        """Become a Python integer, unless that would drop the graph in silence."""
        self._refuse_conversion("a Python int", _NUMBER)
        return int(self._array)

    def __index__(self) -> int:
        """Serve as an index, if an integer."""
        self._refuse_conversion("an index", _NUMBER)
        return self._array.__index__()  # type: ignore[no-any-return]

    def _refuse_conversion(self, kind: str, remedy: str) -> None:
        if needs_gradient(self) and switches().enabled:
            message = (
                f"turning a recorded tensor {self._array.shape} into {kind} would drop its graph "
                f"in silence; {remedy}"
            )
            raise GraphError(message)


def _answered(answer: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Answer plainly, unless the answer would be written into a Tensor behind the graph's back."""
    out = kwargs.get("out")
    place = _place_of_out(answer)
    if out is None and place is not None and len(args) > place:
        out = args[place]
    for target in out if isinstance(out, tuple) else (out,):
        if isinstance(target, Recorded):
            message = f"{name}: it cannot write into a Tensor; assign the result: t[...] = "
            raise UnsupportedError(f"{message}np.{name}(…), or make a new one")
    where = kwargs.get("where")
    if isinstance(where, Recorded):
        refuse_recorded(where, name, "where")
    found = answer(*map(unwrapped, args), **{k: unwrapped(v) for k, v in kwargs.items()})
    return show_answer(name, found) if latest().observers else found


@lru_cache(maxsize=512)
def _place_of_out(function: Any) -> int | None:
    """Tell where a function takes `out` by position; a ufunc gets it by name from NumPy."""
    try:
        names = list(inspect.signature(function).parameters)
    except ValueError:  # some functions written in C do not tell
        return None
    return names.index("out") if "out" in names else None


def _known(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"axis": 0, **kwargs}  # a ufunc's methods go along the first axis by default


def _no_rule(name: str, remedy: str | None) -> str:
    general = (
        "compose it from functions that have one, declare it by gg.op, or pass .detach() or "
        ".numpy() where no gradient is wanted"
    )
    return f"{name} has no gradient rule; {remedy or general}"
