"""A call of a function with some arguments as variables, and the sweep back to them."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

import numpy as np

from graphgrad.engine.graph import Node, ancestors, reaches_below, tick
from graphgrad.engine.op import TABLE, Op, op
from graphgrad.engine.operands import as_array
from graphgrad.engine.record import constant, make_leaf, record, wrap
from graphgrad.engine.recording import enable_grad, switches
from graphgrad.engine.rows import rows_at_once, unit_rows
from graphgrad.engine.sweep import Sweep
from graphgrad.engine.tensor import Tensor
from graphgrad.engine.trees import flatten
from graphgrad.errors import ArgumentError, DtypeError, ShapeError
from graphgrad.typing import Array

Function = Callable[..., Any]

IDENTITY: Op[Tensor] = op(
    lambda x: x,
    lambda g: g,
    name="identity",
    symbol="=",
    doc="x itself, as a variable of a transform. Gradient: g.",
)


class Run:
    """One call of a function with some arguments as variables."""

    def __init__(
        self, f: Function, args: tuple[Any, ...], kwargs: dict[str, Any], argnums: tuple[int, ...]
    ) -> None:
        outer = switches().enabled
        _check_argnums(f, argnums, len(args))
        new_args = list(args)
        self.variables: list[Tensor] = []
        self.rebuilds = []
        self.tensor_in = False
        floor = tick()
        with enable_grad():
            for number in argnums:
                leaves, rebuild = flatten(args[number])
                variables = [self._variable(leaf, connected=outer) for leaf in leaves]
                # f gets aliases, which it may change in place
                new_args[number] = rebuild([wrap(v._array, v._node) for v in variables])  # type: ignore[arg-type]
                self.variables += variables
                self.rebuilds.append((len(leaves), rebuild))
            self.result = f(*new_args, **kwargs)
        outs, self.rebuild_result = flatten(self.result)
        self.outs: list[Any] = [o if isinstance(o, Tensor) else constant(as_array(o)) for o in outs]
        if outs and "f" not in [o.dtype.kind for o in self.outs]:
            kinds = ", ".join(sorted({str(o.dtype) for o in self.outs}))
            message = (
                f"{name_of(f)} returned {kinds}, which has no gradient: it jumps from one value to "
                "the next; return floating point numbers, e.g. 1.0 for 1"
            )
            raise DtypeError(message)
        roots = [o._node for o in self.outs if o._node is not None and o._node.needs]
        # whether it depends on recorded tensors: arguments, or tensors that f closes over
        self.connected = outer and reaches_below(roots, floor)

    def _variable(self, leaf: Any, *, connected: bool) -> Tensor:
        if isinstance(leaf, Tensor):
            self.tensor_in = True
            if leaf.requires_grad and connected:
                return record(IDENTITY, (leaf,))  # type: ignore[no-any-return]
            leaf = leaf._array
        array = as_array(leaf)
        if array.dtype.kind != "f":
            message = (
                f"a gradient with respect to {leaf!r:.40} of dtype {array.dtype} was asked for; "
                "pass floating point numbers, e.g. 3.0 or x.astype(float)"
            )
            raise DtypeError(message)
        variable: Tensor = constant(array)
        make_leaf(variable, needs=True)
        return record(IDENTITY, (variable,))  # type: ignore[no-any-return]

    def connect(self, tangents: list[Any]) -> None:
        """Note that the result also depends on recorded tangents."""
        if switches().enabled and any(isinstance(v, Tensor) and v.requires_grad for v in tangents):
            self.connected = True

    def pull(self, gs: Sequence[Any], *, graph: bool) -> list[Any]:
        """Return the gradient of each variable, given one for each output."""
        return pull(self.outs, gs, self.variables, graph=graph)[0]

    def rows(self, y: Tensor) -> list[Any]:
        """Return the Jacobian of an output for each variable."""
        one_by_one = self.connected or switches().observers
        step = 1 if one_by_one else rows_at_once(ancestors(_seeds([y], [None])))
        parts = []
        for seeds in unit_rows(y.size, step, y.dtype):
            seed = seeds.reshape(y.shape if one_by_one else (-1, *y.shape))
            parts.append(
                pull([y], [seed], self.variables, graph=self.connected, rows=not one_by_one)[0]
            )
        join: Any = np.stack if one_by_one else np.concatenate
        columns = []
        for k, x in enumerate(self.variables):
            shape = (*y.shape, *x.shape)
            empty = np.zeros(shape, x.dtype)
            columns.append(np.reshape(join([gs[k] for gs in parts]), shape) if parts else empty)
        return columns

    def scalar(self, who: str) -> Tensor:
        """Return the only output; raise ShapeError unless it is one number."""
        if len(self.outs) != 1 or self.outs[0].size != 1:
            shapes = [o.shape for o in self.outs]
            message = (
                f"{who}: the function returned shapes {shapes}, not one number; sum it, or use "
                "gg.jacobian or gg.vjp"
            )
            raise ShapeError(message)
        return self.outs[0]  # type: ignore[no-any-return]

    def finish(self, arrays: list[Any], *, recorded: bool = False) -> list[Any]:
        """Return results as Tensors if an input is one or anything is recorded, else as arrays.

        All results are distinct objects, and plain ones share no memory.
        """
        if recorded or self.connected:
            return [alias(x) if isinstance(x, Tensor) else constant(_plain(x)) for x in arrays]
        plain = [_plain(x) for x in arrays]
        return [constant(x) for x in plain] if self.tensor_in else plain

    def by_argument(self, flat: list[Any]) -> tuple[Any, ...]:
        """Group results, one per variable, by argument."""
        results, start = [], 0
        for count, rebuild in self.rebuilds:
            results.append(rebuild(flat[start : start + count]))
            start += count
        return tuple(results)


def pull(
    ys: Sequence[Tensor],
    gs: Sequence[Any],
    xs: Sequence[Tensor],
    *,
    graph: bool,
    floor: int = 0,
    rows: bool = False,
) -> tuple[list[Any], list[Node]]:
    """Sweep from ys to xs; return the gradients, zero if none arrived, and the swept nodes.

    With ``rows``, each g and each gradient has several rows (see `rows.py`).
    """
    targets = {x._node for x in xs if x._node is not None}
    if graph:
        with enable_grad():
            seeds = _seeds(ys, [g if isinstance(g, Tensor) else constant(g) for g in gs])
            scatter = TABLE["scatter"]
            sweep = Sweep(seeds, targets=targets, wrap=wrap, scatter=scatter, floor=floor).run()
    else:
        seeds = _seeds(ys, [g._array if isinstance(g, Tensor) else g for g in gs])
        sweep = Sweep(seeds, targets=targets, floor=floor, rows=rows).run()
    arrived = [None if x._node is None else sweep.results.get(x._node) for x in xs]
    more = gs[0].shape[:1] if rows else ()
    filled = [
        np.zeros((*more, *x.shape), x.dtype) if g is None else g
        for x, g in zip(xs, arrived, strict=True)
    ]
    return filled, [n for n in sweep.swept if n not in targets]


def _seeds(ys: Sequence[Tensor], gs: Sequence[Any]) -> dict[Node, Any]:
    """Return the seed of each node, summed if several ys share one."""
    seeds: dict[Node, Any] = {}
    for y, g in zip(ys, gs, strict=True):
        if y._node is not None and y._node.needs:
            seeds[y._node] = seeds[y._node] + g if y._node in seeds else g
    return seeds


def alias(x: Tensor) -> Tensor:
    """Return another Tensor with the same array and node."""
    return constant(x._array) if x._node is None else wrap(x._array, x._node)  # type: ignore[no-any-return]


def _plain(x: Array) -> Array:
    """Return a copy as a plain array; a 0-d one as a NumPy scalar."""
    x = x._array if isinstance(x, Tensor) else x
    return x[()] if x.ndim == 0 else np.copy(x)


def ones(y: Tensor) -> Array:
    """Return ones like a value, the seed of a sweep."""
    return np.ones_like(y._array)


def name_of(f: Function) -> str:
    """Return the name of a function, or of the function inside a partial, for messages."""
    while isinstance(f, functools.partial):
        f = f.func
    return str(getattr(f, "__name__", type(f).__name__))


def as_argnums(argnums: int | Sequence[int]) -> tuple[tuple[int, ...], bool]:
    """Return argnums as a tuple, and whether it was a single int."""
    if isinstance(argnums, tuple | list):
        if argnums and all(map(_is_index, argnums)):
            return tuple(map(int, argnums)), False
    elif _is_index(argnums):
        return (int(argnums),), True
    message = f"argnums {argnums!r}: give an int or a tuple of ints"
    raise DtypeError(message)


def _is_index(number: Any) -> TypeGuard[int]:
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


def _check_argnums(f: Function, argnums: tuple[int, ...], count: int) -> None:
    """Raise for argnums out of range or repeated."""
    seen: set[int] = set()
    for number in argnums:
        if not -count <= number < count:
            message = f"argnums {number}: {name_of(f)} was given {count}"
            raise ShapeError(message)
        if number % count in seen:
            message = (
                f"argnums {argnums}: argument {number % count} of {name_of(f)} is named twice; "
                "name it once, and use its gradient as often as you like"
            )
            raise ArgumentError(message)
        seen.add(number % count)
