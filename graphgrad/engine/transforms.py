"""Functional differentiation: from functions to their gradients, to any order.

Plain input gives a plain result. If an argument is a Tensor, or f closes over a recorded one, the
result is a Tensor with a graph, so transforms nest. Differentiated arguments may be nested lists,
tuples or dicts of arrays.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from types import MethodType
from typing import Any, ParamSpec, overload

import numpy as np

from graphgrad.arguments import guarded, several
from graphgrad.engine.operands import as_array
from graphgrad.engine.record import constant, make_leaf
from graphgrad.engine.recording import enable_grad, switches
from graphgrad.engine.sweep import release
from graphgrad.engine.tensor import Tensor
from graphgrad.engine.trees import flatten, flatten_like
from graphgrad.engine.variables import Function, Run, alias, as_argnums, name_of, ones, pull
from graphgrad.errors import GraphError, ShapeError
from graphgrad.typing import Array

P = ParamSpec("P")  # a derivative has its function's parameters; a ufunc has too many overloads
Argnums = int | Sequence[int]


class DerivativeFunction:
    """A function returned by a transform; pickled as the transform and its arguments."""

    def __init__(self, transform: Function, f: Function, argnums: Any, body: Function) -> None:
        """Take name and docstring from f, and compute by ``body``."""
        functools.update_wrapper(self, f)
        self._origin = transform, f, argnums
        self._body = body

    @property
    def function(self) -> Function:
        """The function that this is a derivative of."""
        return self._origin[1]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute."""
        return self._body(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Bind to an instance if it is in a class, as functions do."""
        return self if instance is None else MethodType(self, instance)

    def __reduce__(self) -> Any:
        """Pickle as the transform and its arguments."""
        transform, *of = self._origin
        return transform, tuple(of)

    def __repr__(self) -> str:
        """Show the transform and its arguments."""
        transform, f, argnums = self._origin
        more = "" if argnums == 0 else f", {argnums}"
        return f"<{transform.__name__}({name_of(f)}{more})>"


@overload
def value_and_grad(f: np.ufunc, argnums: Argnums = 0) -> Callable[..., tuple[Any, Any]]: ...
@overload
def value_and_grad(f: Callable[P, Any], argnums: Argnums = 0) -> Callable[P, tuple[Any, Any]]: ...
@guarded
def value_and_grad(f: Function, argnums: Argnums = 0) -> Function:
    """Return a function that computes ``(f(…), its gradient)``; see :func:`grad`."""
    numbers, single = as_argnums(argnums)

    def value_and_gradient(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        run = Run(f, args, kwargs, numbers)
        y = run.scalar("grad")
        gs = run.by_argument(run.finish(run.pull([ones(y)], graph=run.connected)))
        return run.finish([y])[0], gs[0] if single else gs

    return DerivativeFunction(value_and_grad, f, argnums, value_and_gradient)


@overload
def grad(f: np.ufunc, argnums: Argnums = 0) -> Callable[..., Any]: ...
@overload
def grad(f: Callable[P, Any], argnums: Argnums = 0) -> Callable[P, Any]: ...
@guarded
def grad(f: Function, argnums: Argnums = 0) -> Function:
    """Return the gradient of a scalar function as a function of the same arguments.

    ``grad(f)(x)`` has the shape of ``x``. With a tuple of ``argnums`` it returns a tuple.
    ``grad(grad(f))`` is the second derivative, and so on.

    Raises
    ------
    ShapeError
        If f does not return one number, or ``argnums`` is out of range.
    ArgumentError
        If ``argnums`` has duplicates.
    DtypeError
        If the argument, or the result of f, is an integer or a bool.
    """
    value_and_gradient = value_and_grad(f, argnums)

    def gradient(*args: Any, **kwargs: Any) -> Array:
        return value_and_gradient(*args, **kwargs)[1]

    return DerivativeFunction(grad, f, argnums, gradient)


@guarded
def gradients(
    ys: Tensor | Sequence[Tensor],
    xs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    create_graph: bool = False,
    retain_graph: bool = False,
) -> Any:
    """Return the gradients of ``ys`` (summed) with respect to ``xs``; no ``.grad`` is changed.

    Parameters
    ----------
    ys, xs
        Recorded tensors; a sequence of xs gives a tuple of gradients.
    grad_outputs
        Upstream gradients, one per y; optional for a y with one element.
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
                    "computed from, or made with, requires_grad=True"
                )
                raise GraphError(message)
    gs: list[Any] = []
    for y, g in zip(outs, given, strict=True):
        if isinstance(g, Tensor) and create_graph and g.shape == y.shape:
            gs.append(g)
        else:
            gs.append(y._seed(g))
    results, nodes = pull(outs, gs, ins, graph=create_graph)
    if create_graph:  # distinct, though an x may be given twice
        results = [alias(r) if isinstance(r, Tensor) else constant(r) for r in results]
    else:
        results = [np.copy(r) for r in results]
        if not retain_graph:
            release(nodes, "gradients()")
    return results[0] if isinstance(xs, Tensor) else tuple(results)


@guarded
def vjp(f: Function, *args: Any) -> tuple[Any, Function]:
    """Return ``(f(*args), pullback)``: ``pullback(g)`` is g times the Jacobian.

    The pullback takes a gradient per output, of its shape, and returns a tuple with a gradient per
    argument; it may be called any number of times. Gradients for a dict
    are a dict with its keys. An integer output needs a gradient too, which is ignored.
    """
    leaves, rebuild = flatten(args)  # copies: the pullback must not depend on later writes
    own = [x if isinstance(x, Tensor) or not hasattr(x, "copy") else x.copy() for x in leaves]
    run = Run(f, rebuild(own), {}, tuple(range(len(args))))

    def pullback(g: Array) -> tuple[Any, ...]:
        single = isinstance(g, tuple) and len(g) == 1 and isinstance(run.result, Tensor)
        gs = flatten_like(g[0] if single else g, run.result)
        if gs is None:
            count = len(flatten(g)[0])
            message = (
                f"vjp: {count} gradients for {len(run.outs)} outputs, or in other containers; put "
                "them into the same lists, tuples and dicts"
            )
            raise ShapeError(message)
        recorded = any(isinstance(u, Tensor) and u.requires_grad for u in gs)
        seeds = [
            u if isinstance(u, Tensor) and u.shape == y.shape else y._seed(u)
            for y, u in zip(run.outs, gs, strict=True)
        ]
        graph = switches().enabled and (run.connected or recorded)
        found = run.pull(seeds, graph=graph)
        return run.by_argument(run.finish(found, recorded=recorded))

    return run.rebuild_result(run.finish(run.outs)), pullback


@guarded
def jvp(f: Function, primals: Any, tangents: Any) -> tuple[Any, Any]:
    """Return ``(f(*primals), the Jacobian times tangents)``.

    ``primals`` and ``tangents`` are tuples of the same shapes, or single arrays. Computed as the
    derivative of the (linear) pullback, so it works for every op with a reverse rule.
    """
    args = primals if isinstance(primals, tuple) else (primals,)
    directions = _checked_tangents(args, tangents, "jvp")
    run = Run(f, args, {}, tuple(range(len(args))))
    run.connect(directions)
    with enable_grad():
        duals = []
        for y in run.outs:
            dual: Tensor = constant(np.ones_like(y._array))
            if y.dtype.kind == "f":
                make_leaf(dual, needs=True)
            else:  # an integer output is piecewise constant: its derivative is 0
                dual._array = np.zeros(y.shape)
            duals.append(dual)
        pulled = run.pull(duals, graph=True)
        total = _inner(pulled, directions)
    pushed = _differentiate(total, duals, graph=run.connected)
    outs = run.finish(run.outs)
    return run.rebuild_result(outs), run.rebuild_result(run.finish(pushed))


@guarded
def hvp(f: Function, primals: Any, tangents: Any) -> Array:
    """Return the Hessian of a scalar function times a vector, without forming the Hessian.

    ``primals`` and ``tangents`` are tuples (the result is one too) or single arrays.
    """
    args = primals if isinstance(primals, tuple) else (primals,)
    directions = _checked_tangents(args, tangents, "hvp")
    run = Run(f, args, {}, tuple(range(len(args))))
    run.connect(directions)
    y = run.scalar("hvp")
    with enable_grad():
        total = _inner(run.pull([ones(y)], graph=True), directions)
    products = _differentiate(total, run.variables, graph=run.connected)
    results = run.by_argument(run.finish(products))
    return results if isinstance(primals, tuple) else results[0]


def _checked_tangents(args: tuple[Any, ...], tangents: Any, who: str) -> list[Any]:
    """Return the tangents, one for each leaf of the primals; raise for other shapes."""
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
    """Return the sum of the elementwise products."""
    products = [np.sum(g * v) for g, v in zip(gs, vs, strict=True)]
    return functools.reduce(operator.add, products, *([] if products else [0.0]))


def _differentiate(y: Array, xs: list[Tensor], *, graph: bool) -> list[Any]:
    """Return the gradients of a scalar, zero for an x that it does not depend on."""
    if not isinstance(y, Tensor):
        return [np.zeros_like(x._array) for x in xs]
    return pull([y], [ones(y)], xs, graph=graph)[0]


@overload
def jacobian(f: np.ufunc, argnums: Argnums = 0) -> Callable[..., Any]: ...
@overload
def jacobian(f: Callable[P, Any], argnums: Argnums = 0) -> Callable[P, Any]: ...
@guarded
def jacobian(f: Function, argnums: Argnums = 0) -> Function:
    """Return the Jacobian of f as a function: output shape + argument shape.

    Takes a row of a reverse sweep per output element. If f returns a container, so does the
    Jacobian.
    """
    numbers, single = as_argnums(argnums)

    def derivative(*args: Any, **kwargs: Any) -> Array:
        run = Run(f, args, kwargs, numbers)
        results = []
        for y in run.outs:
            columns = run.rows(y)
            by_argument = run.by_argument(run.finish(columns))
            results.append(by_argument[0] if single else by_argument)
        return run.rebuild_result(results)

    return DerivativeFunction(jacobian, f, argnums, derivative)


@overload
def hessian(f: np.ufunc, argnums: Argnums = 0) -> Callable[..., Any]: ...
@overload
def hessian(f: Callable[P, Any], argnums: Argnums = 0) -> Callable[P, Any]: ...
@guarded
def hessian(f: Function, argnums: Argnums = 0) -> Function:
    """Return the Hessian of a scalar function: of shape x.shape + x.shape.

    With several ``argnums``, a tuple of tuples.
    """
    return jacobian(grad(f, argnums), argnums)
