"""Functional differentiation: from functions to their gradients, to any order.

Plain input gives a plain result. Where an argument is a Tensor, or f closes over one that
is being recorded, the result is a Tensor with a graph of its own, so transforms nest.
Wherever an argument is differentiated it may be a nested list, tuple or dict of arrays.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from types import MethodType
from typing import Any, TypeGuard

import numpy as np

from graphgrad.arguments import guarded, several
from graphgrad.errors import ArgumentError, DtypeError, GraphError, ShapeError
from graphgrad.node import Node, boundary, tick
from graphgrad.operands import as_array
from graphgrad.record import constant, make_leaf, record, wrap
from graphgrad.registry import TABLE, Op, op
from graphgrad.sweep import Sweep
from graphgrad.switches import enable_grad, switches
from graphgrad.tensor import Tensor, release

Function = Callable[..., Any]

IDENTITY: Op[Tensor] = op(
    lambda x: x,
    lambda g: g,
    name="identity",
    symbol="=",
    doc="x itself, as a variable of a transform. Gradient: g.",
)


# ------------------------------------------------------------------- nested containers


def flatten(tree: Any) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
    """List the leaves of nested lists, tuples and dicts; also return what rebuilds them."""
    if isinstance(tree, dict):
        keys, items = list(tree), list(tree.values())
        make: Callable[[list[Any]], Any] = lambda parts: dict(zip(keys, parts, strict=True))  # noqa: E731
    elif isinstance(tree, list | tuple):
        kind, items = type(tree), list(tree)
        make = getattr(kind, "_make", kind)
    else:
        return [tree], lambda leaves: leaves[0]
    flat = [flatten(item) for item in items]
    leaves = [leaf for part, _ in flat for leaf in part]

    def rebuild(new: Sequence[Any]) -> Any:
        parts, start = [], 0
        for part, inner in flat:
            parts.append(inner(new[start : start + len(part)]))
            start += len(part)
        return make(parts)

    return leaves, rebuild


def flatten_like(tree: Any, like: Any) -> list[Any] | None:
    """List what stands in a tree for each leaf of another, by the keys of its dicts; None if not.

    A list may stand for a tuple.
    """
    if isinstance(like, dict):
        fits = isinstance(tree, dict) and tree.keys() == like.keys()
        pairs = [(tree[key], like[key]) for key in like] if fits else None
    elif isinstance(like, list | tuple):
        fits = isinstance(tree, list | tuple) and len(tree) == len(like)
        pairs = list(zip(tree, like, strict=True)) if fits else None
    else:
        return [tree]
    if pairs is None:
        return None
    parts = [flatten_like(part, model) for part, model in pairs]
    return None if None in parts else [x for part in parts for x in part or ()]


# --------------------------------------------------------------------- one traced call


class _Trace:
    """One call of a function whose chosen arguments were made variables."""

    def __init__(
        self, f: Function, args: tuple[Any, ...], kwargs: dict[str, Any], argnums: tuple[int, ...]
    ) -> None:
        """Run ``f`` and note what its result depends on."""
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
                # f gets other names for them, which it may change in place
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
                f"the next; return floating point numbers, e.g. 1.0 for 1"
            )
            raise DtypeError(message)
        roots = [o._node for o in self.outs if o._node is not None and o._node.needs]
        # recorded from outside: what f closed over, or the arguments themselves
        self.connected = outer and bool(boundary(roots, floor))

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
                f"pass floating point numbers, e.g. 3.0 or x.astype(float)"
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

    def scalar(self, who: str) -> Tensor:
        """Return the only output, which must be one number."""
        if len(self.outs) != 1 or self.outs[0].size != 1:
            shapes = [o.shape for o in self.outs]
            message = (
                f"{who}: the function returned shapes {shapes}, not one number; sum it, or use "
                f"gg.jacobian or gg.vjp"
            )
            raise ShapeError(message)
        return self.outs[0]  # type: ignore[no-any-return]

    def finish(self, arrays: list[Any], *, recorded: bool = False) -> list[Any]:
        """Give results the kind that the input had; Tensors where anything is recorded.

        No two results are one object, and no plain one shares memory with anything.
        """
        if recorded or self.connected:
            return [alias(x) if isinstance(x, Tensor) else constant(_plain(x)) for x in arrays]
        plain = [_plain(x) for x in arrays]
        return [constant(x) for x in plain] if self.tensor_in else plain

    def by_argument(self, flat: list[Any]) -> tuple[Any, ...]:
        """Sort one result per variable into one per argument."""
        results, start = [], 0
        for count, rebuild in self.rebuilds:
            results.append(rebuild(flat[start : start + count]))
            start += count
        return tuple(results)


def pull(
    ys: Sequence[Tensor], gs: Sequence[Any], xs: Sequence[Tensor], *, graph: bool, floor: int = 0
) -> tuple[list[Any], list[Node]]:
    """Sweep from ys to xs, where a gradient that never arrives is zero; also list the nodes."""
    targets = {x._node for x in xs if x._node is not None}
    if graph:
        with enable_grad():
            seeds = _seeds(ys, [g if isinstance(g, Tensor) else constant(g) for g in gs])
            scatter = TABLE["scatter"]
            trace = switches().trace
            start = Sweep if trace is None else trace.recorded_sweep
            sweep = start(seeds, targets=targets, wrap=wrap, scatter=scatter, floor=floor).run()
    else:
        seeds = _seeds(ys, [g._array if isinstance(g, Tensor) else g for g in gs])
        sweep = Sweep(seeds, targets=targets, floor=floor).run()
    arrived = [None if x._node is None else sweep.results.get(x._node) for x in xs]
    zeros = [np.zeros_like(x._array) if g is None else g for x, g in zip(xs, arrived, strict=True)]
    return zeros, [n for n in sweep.swept if n not in targets]


def _seeds(ys: Sequence[Tensor], gs: Sequence[Any]) -> dict[Node, Any]:
    """Add up what each node starts with: several ys may be one."""
    seeds: dict[Node, Any] = {}
    for y, g in zip(ys, gs, strict=True):
        if y._node is not None and y._node.needs:
            seeds[y._node] = seeds[y._node] + g if y._node in seeds else g
    return seeds


def alias(x: Tensor) -> Tensor:
    """Return another name for the same value."""
    return constant(x._array) if x._node is None else wrap(x._array, x._node)  # type: ignore[no-any-return]


def _plain(x: Any) -> Any:
    """Return an array of the caller's own; a 0-d one as NumPy's scalar."""
    x = x._array if isinstance(x, Tensor) else x
    return x[()] if x.ndim == 0 else np.array(x)


def _ones(y: Tensor) -> Any:
    return np.ones_like(y._array)


def name_of(f: Function) -> str:
    """Return the name of a function, for messages; of a partial one, that of the whole."""
    while isinstance(f, functools.partial):
        f = f.func
    return str(getattr(f, "__name__", type(f).__name__))


def _as_argnums(argnums: int | Sequence[int]) -> tuple[tuple[int, ...], bool]:
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
    """Refuse arguments that are not there, and one that is named twice."""
    seen: set[int] = set()
    for number in argnums:
        if not -count <= number < count:
            message = f"argnums {number}: {name_of(f)} was given {count}"
            raise ShapeError(message)
        if number % count in seen:
            message = (
                f"argnums {argnums}: argument {number % count} of {name_of(f)} is named twice; "
                f"name it once, and use its gradient as often as you like"
            )
            raise ArgumentError(message)
        seen.add(number % count)


# -------------------------------------------------------------------------- transforms


class Derived:
    """A function that a transform made of another one; copied and pickled by what it is made of."""

    def __init__(self, transform: Function, f: Function, argnums: Any, body: Function) -> None:
        """Look like f, and compute by the body."""
        functools.update_wrapper(self, f)
        self._origin = transform, f, argnums
        self._body = body

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute."""
        return self._body(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Be a method where it stands in a class, as functions are."""
        return self if instance is None else MethodType(self, instance)

    def __reduce__(self) -> Any:
        """Make it anew."""
        transform, *of = self._origin
        return transform, tuple(of)

    def __repr__(self) -> str:
        """Show what was asked for."""
        transform, f, argnums = self._origin
        more = "" if argnums == 0 else f", {argnums}"
        return f"<{transform.__name__}({name_of(f)}{more})>"


@guarded
def value_and_grad(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return a function that computes ``(f(…), its gradient)``; see :func:`grad`."""
    numbers, single = _as_argnums(argnums)

    def both(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        trace = _Trace(f, args, kwargs, numbers)
        y = trace.scalar("grad")
        gs = trace.by_argument(trace.finish(trace.pull([_ones(y)], graph=trace.connected)))
        return trace.finish([y])[0], gs[0] if single else gs

    return Derived(value_and_grad, f, argnums, both)


@guarded
def grad(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return the gradient of a scalar function as a function of the same arguments.

    ``grad(f)(x)`` has the shape of ``x``. With a tuple of ``argnums`` it returns a tuple.
    ``grad(grad(f))`` is the second derivative, and so on.

    Raises
    ------
    ShapeError
        If f does not return one number, or ``argnums`` names no argument.
    ArgumentError
        If ``argnums`` names one twice.
    DtypeError
        If the argument, or what f returns, is an integer or a bool.
    """
    both = value_and_grad(f, argnums)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return Derived(grad, f, argnums, gradient)


@guarded
def gradients(
    ys: Tensor | Sequence[Tensor],
    xs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    create_graph: bool = False,
    retain_graph: bool = False,
) -> Any:
    """Return the gradients of ``ys`` (summed) with respect to ``xs``; no ``.grad`` is touched.

    Parameters
    ----------
    ys, xs
        Recorded tensors; a sequence of xs gives a tuple of gradients.
    grad_outputs
        Upstream gradients, one per y; may be left out where y has one element.
    create_graph
        Return Tensors that can be differentiated again, instead of plain arrays.
    retain_graph
        Keep the saved arrays of the graph; implied by ``create_graph``.

    Raises
    ------
    GraphError
        If a y has no graph, or an x does not require a gradient.
    """
    outs = [ys] if isinstance(ys, Tensor) else several("gradients", "ys", ys, "Tensors")
    ins = [xs] if isinstance(xs, Tensor) else several("gradients", "xs", xs, "Tensors")
    if grad_outputs is None:
        given: list[Any] = [None] * len(outs)
    else:
        given = [grad_outputs] if isinstance(ys, Tensor) else list(grad_outputs)
    if len(given) != len(outs):
        message = f"gradients: {len(given)} grad_outputs for {len(outs)} ys"
        raise ShapeError(message)
    for what, tensors in (("y", outs), ("x", ins)):
        for i, t in enumerate(tensors):
            if not (isinstance(t, Tensor) and t.requires_grad):
                message = (
                    f"gradients: {what} number {i} is not part of a graph; it must be a Tensor "
                    f"computed from, or made with, requires_grad=True"
                )
                raise GraphError(message)
    gs: list[Any] = []
    for y, g in zip(outs, given, strict=True):
        if isinstance(g, Tensor) and create_graph and g.shape == y.shape:
            gs.append(g)
        else:
            gs.append(y._seed(g))
    results, nodes = pull(outs, gs, ins, graph=create_graph)
    if create_graph:  # each its own, though an x may be given twice
        results = [alias(r) if isinstance(r, Tensor) else constant(r) for r in results]
    else:
        results = [np.array(r) for r in results]
        if not retain_graph:
            release(nodes, "gradients()")
    return results[0] if isinstance(xs, Tensor) else tuple(results)


@guarded
def vjp(f: Function, *args: Any) -> tuple[Any, Function]:
    """Return ``(f(*args), pullback)``: ``pullback(g)`` is g times the Jacobian.

    The pullback takes a gradient per output, of its shape, and returns a tuple with a
    gradient per argument; it may be called any number of times. Gradients go to the outputs
    by the keys of dicts. An output of integers beside others takes one and sends back nothing.
    """
    leaves, rebuild = flatten(args)  # the pullback is of this point, wherever the caller goes
    own = [x if isinstance(x, Tensor) or not hasattr(x, "copy") else x.copy() for x in leaves]
    trace = _Trace(f, rebuild(own), {}, tuple(range(len(args))))

    def pullback(g: Any) -> tuple[Any, ...]:
        single = isinstance(g, tuple) and len(g) == 1 and isinstance(trace.result, Tensor)
        gs = flatten_like(g[0] if single else g, trace.result)
        if gs is None:
            count = len(flatten(g)[0])
            message = (
                f"vjp: {count} gradients for {len(trace.outs)} outputs, or in another form; put "
                f"them into the same lists, tuples and dicts"
            )
            raise ShapeError(message)
        recorded = any(isinstance(u, Tensor) and u.requires_grad for u in gs)
        seeds = [
            u if isinstance(u, Tensor) and u.shape == y.shape else y._seed(u)
            for y, u in zip(trace.outs, gs, strict=True)
        ]
        graph = switches().enabled and (trace.connected or recorded)
        found = trace.pull(seeds, graph=graph)
        return trace.by_argument(trace.finish(found, recorded=recorded))

    return trace.rebuild_result(trace.finish(trace.outs)), pullback


@guarded
def jvp(f: Function, primals: Any, tangents: Any) -> tuple[Any, Any]:
    """Return ``(f(*primals), the Jacobian times tangents)``.

    ``primals`` and ``tangents`` are tuples of the same shapes; a single array may stand
    for a tuple of one. Computed as the derivative of the (linear) pullback, so every op
    with a reverse rule has it.
    """
    args = primals if isinstance(primals, tuple) else (primals,)
    directions = _matching(args, tangents, "jvp")
    trace = _Trace(f, args, {}, tuple(range(len(args))))
    trace.connect(directions)
    with enable_grad():
        duals = []
        for y in trace.outs:
            dual: Tensor = constant(np.ones_like(y._array))
            if y.dtype.kind == "f":
                make_leaf(dual, needs=True)
            else:  # an integer among them jumps: its slope is 0.0
                dual._array = np.zeros(y.shape)
            duals.append(dual)
        pulled = trace.pull(duals, graph=True)
        total = _inner(pulled, directions)
    pushed = _differentiate(total, duals, graph=trace.connected)
    outs = trace.finish(trace.outs)
    return trace.rebuild_result(outs), trace.rebuild_result(trace.finish(pushed))


@guarded
def hvp(f: Function, primals: Any, tangents: Any) -> Any:
    """Return the Hessian of a scalar function times a vector, without forming the Hessian.

    ``primals`` and ``tangents`` are tuples (the result is one too) or single arrays.
    """
    args = primals if isinstance(primals, tuple) else (primals,)
    directions = _matching(args, tangents, "hvp")
    trace = _Trace(f, args, {}, tuple(range(len(args))))
    trace.connect(directions)
    y = trace.scalar("hvp")
    with enable_grad():
        total = _inner(trace.pull([_ones(y)], graph=True), directions)
    products = _differentiate(total, trace.variables, graph=trace.connected)
    results = trace.by_argument(trace.finish(products))
    return results if isinstance(primals, tuple) else results[0]


def _matching(args: tuple[Any, ...], tangents: Any, who: str) -> list[Any]:
    """List the tangents, one for each leaf of the primals."""
    given = tangents if isinstance(tangents, tuple) else (tangents,)
    points, directions = flatten(args)[0], flatten_like(given, args)
    here_shapes = [np.shape(x) for x in points]
    vectors = [
        v if isinstance(v, Tensor) else as_array(v, f"{who}, tangents")
        for v in (flatten(given)[0] if directions is None else directions)
    ]
    there_shapes = [v.shape for v in vectors]
    if directions is None or here_shapes != there_shapes:
        message = f"{who}: tangents {there_shapes} for primals {here_shapes}"
        raise ShapeError(message)
    return vectors


def _inner(gs: list[Any], vs: list[Any]) -> Any:
    """Sum of the elementwise products."""
    products = [np.sum(g * v) for g, v in zip(gs, vs, strict=True)]
    return functools.reduce(operator.add, products, *([] if products else [0.0]))


def _differentiate(y: Any, xs: list[Tensor], *, graph: bool) -> list[Any]:
    """Gradients of one number, zero where it does not depend on x."""
    if not isinstance(y, Tensor):
        return [np.zeros_like(x._array) for x in xs]
    return pull([y], [_ones(y)], xs, graph=graph)[0]


@guarded
def jacobian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return the Jacobian of f as a function: output shape + argument shape.

    One reverse sweep per output element. Where f returns a container, so does this.
    """
    numbers, single = _as_argnums(argnums)

    def derivative(*args: Any, **kwargs: Any) -> Any:
        trace = _Trace(f, args, kwargs, numbers)
        results = []
        for y in trace.outs:
            rows = []
            for i in range(y.size):
                seed = np.zeros(y.size, y.dtype)
                seed[i] = 1
                seed = seed.reshape(y.shape)
                rows.append(pull([y], [seed], trace.variables, graph=trace.connected)[0])
            columns = []
            for k, x in enumerate(trace.variables):
                shape = y.shape + x.shape
                column = [row[k] for row in rows]
                empty = np.zeros(shape, x.dtype)
                columns.append(np.reshape(np.stack(column), shape) if column else empty)
            by_argument = trace.by_argument(trace.finish(columns))
            results.append(by_argument[0] if single else by_argument)
        return trace.rebuild_result(results)

    return Derived(jacobian, f, argnums, derivative)


@guarded
def hessian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return the Hessian of a scalar function: argument shape twice.

    With several ``argnums``, a tuple of tuples.
    """
    return jacobian(grad(f, argnums), argnums)
