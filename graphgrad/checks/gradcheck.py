"""Checking gradients against numerical differentiation.

How far to step is decided by :func:`step_size`; how to compare, and how to say it, in report.py.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from graphgrad.arguments import guarded, positive, whole
from graphgrad.checks.report import Comparison, Report, compare
from graphgrad.engine.graph import Recorded
from graphgrad.engine.operands import as_array, unwrapped
from graphgrad.engine.record import constant
from graphgrad.engine.recording import enable_grad, no_grad
from graphgrad.engine.tensor import Tensor
from graphgrad.engine.transforms import gradients, vjp
from graphgrad.engine.trees import flatten
from graphgrad.errors import ArgumentError, DtypeError, GraphError, ShapeError
from graphgrad.typing import Array

Kind = Literal["central", "forward"]
Outputs = Callable[[Sequence[Any]], list[Any]]  # from the points to the arrays or Tensors of f

HIGHEST = 8  # order: each takes many times as long as the one before it
_EPS = float(np.finfo(np.float64).eps)


# ------------------------------------------------------------------ numerical differentiation


def step_size(x: Array, kind: Kind = "central") -> Array:
    """Return the step for each element of x that balances truncation against rounding.

    The central difference errs by h² from cutting the series off, the forward one by h;
    rounding adds eps / h to both. Best are eps^(1/3) and eps^(1/2), in units of max(1, |x|).
    """
    return _EPS ** (1 / 3 if kind == "central" else 1 / 2) * np.maximum(1.0, np.abs(x))


@guarded
def numerical_gradient(
    f: Callable[[Any], Any], x: ArrayLike | Recorded, h: Array = None, kind: Kind = "central"
) -> Array:
    """Differentiate a function of one array by differences of its values.

    Central: (f(x + h) − f(x − h)) / 2h. Forward: (f(x + h) − f(x)) / h, where f(x) is computed
    once. One element of x moves at a time, in float64. f is given fresh copies, so x is never
    written to, and f must compute with its argument rather than with an array that it closes over.

    Parameters
    ----------
    f
        From an array of x's shape (a Tensor, if x is one) to one number, plain or a Tensor.
    x
        Where to differentiate: numbers of any shape.
    h
        The step, a number or an array of x's shape; None chooses it, see :func:`step_size`.
    kind
        ``"central"`` or ``"forward"``.

    Returns
    -------
    The gradient, a plain float64 array of x's shape.

    Raises
    ------
    ShapeError
        If f returns more than one number, or h is not positive.
    DtypeError
        If f returns no real number.
    """
    point, tensor_in = _float64(x), isinstance(x, Recorded)

    def values(points: Sequence[Any]) -> list[Any]:
        (argument,) = points
        y = f(constant(argument) if tensor_in else argument)
        y = unwrapped(y)
        if np.shape(y) != () and np.size(y) != 1:
            message = (
                f"numerical_gradient: f returned shape {np.shape(y)}, not one number; sum it, "
                "or use gg.gradcheck, which takes any outputs"
            )
            raise ShapeError(message)
        return [_real(y, "numerical_gradient")]

    with no_grad():
        return differences(values, [point], 0, [1.0], h, kind)[()]


def differences(
    f: Outputs, points: Sequence[Any], which: int, cotangents: Sequence[Any], h: Array, kind: Kind
) -> Array:
    """Differentiate the sum over f's outputs of output · cotangent in one of the points.

    Outputs are subtracted before they are summed, so that those which do not move cancel
    exactly.
    """
    x = points[which]
    steps = as_array(step_size(x, kind) if h is None else h, "h").astype(np.float64)
    if np.shape(steps) != x.shape:
        try:
            steps = np.broadcast_to(steps, x.shape)
        except ValueError as error:
            message = f"h of shape {steps.shape} does not fit an input {x.shape}"
            raise ShapeError(message) from error
    if np.asarray(h).dtype == bool or not ((steps > 0) & np.isfinite(steps)).all():
        message = f"h={h}: a step is a positive number"
        raise ShapeError(message)
    result = np.zeros(x.shape)

    def moved(index: tuple[int, ...], step: float) -> tuple[float, list[Any]]:
        fresh = [p.copy() for p in points]
        fresh[which][index] += step
        place = float(fresh[which][index])  # the step that rounding left
        return place, [unwrapped(y) for y in f(fresh)]

    at_x = []
    if kind == "forward" and x.size:  # once for all elements; copied, lest f returns one buffer
        at_x = [np.copy(unwrapped(y)) for y in f([p.copy() for p in points])]
    for index in np.ndindex(x.shape):
        right, above = moved(index, float(steps[index]))
        central = kind == "central"
        left, below = moved(index, -float(steps[index])) if central else (float(x[index]), at_x)
        if left == right:
            message = f"h={float(steps[index])} is too small a step from {right}"
            raise ArgumentError(message)
        with np.errstate(all="ignore"):
            rises = zip(above, below, cotangents, strict=True)
            total = sum(float(np.sum((a - b) * c)) for a, b, c in rises)
            result[index] = total / (right - left)
    return result


def _float64(x: Array) -> Array:
    """Return a float64 array of our own, in C order."""
    return np.array(as_array(unwrapped(x), "gradcheck"), dtype=np.float64, order="C")


def _real(y: Array, who: str) -> Array:
    array = np.asarray(y)
    if array.dtype.kind not in "fiub":
        message = f"{who}: f returned {type(y).__name__} of dtype {array.dtype}, not real numbers"
        raise DtypeError(message)
    return array.astype(np.float64)


# ------------------------------------------------------------------ gradients of a function


@guarded
def gradcheck(
    f: Callable[..., Any],
    *inputs: Any,
    order: int = 1,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    h: Array = None,
    kind: Kind = "central",
    rng: np.random.Generator | None = None,
) -> Report:
    """Compare the gradients of a function with numerical differentiation, in float64.

    Outputs of any shape are multiplied by fixed random numbers and summed. Order 2 also
    compares the gradient of the first-order gradients with differences of these, both in
    the inputs and in the upstream gradients; and so on.

    Parameters
    ----------
    f
        From Tensors to a Tensor of any shape, or a container of several.
    inputs
        Arrays, Tensors or numbers, also in nested lists, tuples and dicts. Floating ones are
        differentiated, after promotion to float64; everything else is held constant.
    order
        The highest order of derivative to compare, 1 to 8; each costs a multiple of the last.
    rtol, atol
        An element passes if |a − n| ≤ max(rtol · |a|, rtol · |n|, atol).
    h, kind
        Step and kind of difference, as for :func:`numerical_gradient`.
    rng
        Draws the random numbers; None starts from the same seed each time.

    Returns
    -------
    A report that is true when every gradient agrees. Print it.

    Raises
    ------
    DtypeError
        If no input is floating, or f returns something else than floating Tensors.
    GraphError
        If f gives different values for the same inputs, so that no difference means anything.
    """
    whole("gradcheck", "order", order, 1, HIGHEST)
    positive("gradcheck", "rtol", rtol, zero=True)
    positive("gradcheck", "atol", atol, zero=True)
    leaves, rebuild = flatten([_listed(x) for x in inputs])
    names = _names(f, inputs)
    places = [i for i, x in enumerate(leaves) if _is_floating(x)]
    if not places:
        kinds = ", ".join(str(getattr(x, "dtype", type(x).__name__)) for x in leaves) or "none"
        message = (
            f"gradcheck: no input is floating (given: {kinds}); pass 3.0 or x.astype(float) "
            "where a gradient is wanted"
        )
        raise DtypeError(message)

    def of_variables(*variables: Any) -> list[Any]:
        full = list(leaves)
        for place, variable in zip(places, variables, strict=True):
            full[place] = variable
        return _outputs(f(*rebuild(full)))

    points = [_float64(leaves[i]) for i in places]
    draw = np.random.default_rng(0) if rng is None else rng
    labels = [names[i] for i in places]
    comparisons: list[Comparison] = []
    notes: list[str] = []
    g: Callable[..., Any] = of_variables
    for level in range(1, order + 1):
        outs = _evaluate(g, points)
        if level == 1:
            notes += _notes(outs)
            _require_same(outs, _evaluate(g, points))
        upstream = [draw.uniform(0.5, 1.5, y.shape) * draw.choice((-1, 1), y.shape) for y in outs]
        upstream = [np.asarray(u) for u in upstream]
        found = _analytic(g, points, upstream)
        for i, label in enumerate(labels):
            numeric = differences(_values_of(g), points, i, upstream, h, kind)
            comparisons.append(compare(label, level, found[i], numeric, rtol, atol))
        labels += [f"upstream {k}" if len(outs) > 1 else "upstream" for k in range(len(outs))]
        g, points = _derived(g, len(points)), [*points, *upstream]
    return Report(tuple(comparisons), tuple(notes))


def _derived(f: Callable[..., Any], count: int) -> Callable[..., Any]:
    """Return the function from the inputs and upstream gradients of f to its gradients."""

    def derivative(*args: Any) -> list[Any]:
        _, pullback = vjp(f, *args[:count])
        return list(pullback(list(args[count:])))

    return derivative


def _analytic(f: Callable[..., Any], points: Sequence[Any], upstream: Sequence[Any]) -> list[Any]:
    """Return the gradients that the engine finds."""
    variables = [Tensor(p, requires_grad=True) for p in points]
    with enable_grad():
        outs = f(*variables)
    pairs = [(y, u) for y, u in zip(outs, upstream, strict=True) if _is_recorded(y)]
    if not pairs:  # f is constant
        return [np.zeros(p.shape) for p in points]
    ys, us = zip(*pairs, strict=True)
    return [np.asarray(g) for g in gradients(ys, variables, us)]


def _values_of(f: Callable[..., Any]) -> Outputs:
    return lambda points: _evaluate(f, points)


def _evaluate(f: Callable[..., Any], points: Sequence[Any]) -> list[Any]:
    """Return the plain outputs of f, recording nothing."""
    with no_grad():
        return [unwrapped(y) for y in f(*[constant(p.copy()) for p in points])]


def _is_recorded(y: Array) -> bool:
    return isinstance(y, Tensor) and y.requires_grad


def _outputs(result: Any) -> list[Any]:
    """List the Tensors that f returned."""
    outs, _ = flatten(result)
    for y in outs:
        if not isinstance(y, Tensor):
            message = (
                f"gradcheck: f returned {type(y).__name__} instead of a Tensor; compute it from "
                "the inputs by NumPy's or gg's functions, without .numpy() or .item()"
            )
            raise DtypeError(message)
        if y.dtype.kind != "f":
            message = (
                f"gradcheck: f returned a Tensor of dtype {y.dtype}, which has no gradient; "
                "return floating outputs only"
            )
            raise DtypeError(message)
    return outs


def _require_same(first: Iterable[Any], second: Iterable[Any]) -> None:
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True)):
        message = (
            "gradcheck: f gave different values for the same inputs; seed what it draws, inside "
            "f, and let it change nothing that it computes with"
        )
        raise GraphError(message)


def _notes(outs: Sequence[Any]) -> list[str]:
    """Say what is differentiated, if not one number, and what makes differences worthless."""
    notes = []
    shapes = [str(np.shape(y)) for y in outs]
    if any(shape != "()" for shape in shapes):
        outputs = f"{'output' if len(shapes) == 1 else 'outputs'} of shape {', '.join(shapes)}"
        notes.append(f"compared is the gradient of the sum of random numbers times the {outputs}")
    coarse = sorted({str(y.dtype) for y in outs if y.dtype != np.float64})
    if coarse:
        notes.append(f"f computes in {', '.join(coarse)}, too coarse for differences")
    for y in map(np.asarray, outs):
        notes += [
            f"an output of f is {y[tuple(index)]} at {index}: it has no slope"
            for index in np.argwhere(~np.isfinite(y))[:1].tolist()
        ]
    return notes


def _listed(x: Array) -> Array:
    """Take a list of plain numbers for an array, a list that holds arrays for a container."""
    if isinstance(x, list | tuple):
        leaves, _ = flatten(x)
        if leaves and all(isinstance(v, float | int) and not isinstance(v, bool) for v in leaves):
            array = np.array(x)
            return array if array.dtype.kind == "f" else x
    return x


def _is_floating(x: Array) -> bool:
    if isinstance(x, float):
        return True
    if getattr(getattr(x, "dtype", None), "kind", "") == "c" or isinstance(x, complex):
        as_array(x)  # says that complex numbers are not supported
    return getattr(getattr(x, "dtype", None), "kind", "") == "f"


def _names(f: Callable[..., Any], inputs: Sequence[Any]) -> list[str]:
    """Name each leaf of the inputs as f's signature does."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):  # some functions written in C do not tell
        parameters = []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    known = getattr(f, "order", None) or [p.name for p in parameters if p.kind in positional]
    labels: list[str] = []
    for i, x in enumerate(inputs):
        label = known[i] if i < len(known) else f"input {i}"
        count = len(flatten(_listed(x))[0])
        labels += [f"{label} ({k})" for k in range(count)] if count > 1 else [label] * count
    return labels
