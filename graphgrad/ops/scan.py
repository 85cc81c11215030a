"""Cumulative sums and products, differences, integrals."""

import math
from typing import Any

import numpy as np

from graphgrad.arguments import WIDEST, whole
from graphgrad.engine.composite import composed
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.op import Op, op
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import DtypeError, ShapeError
from graphgrad.typing import Array

# ----------------------------------------------------------------------------- along an axis


def along(ndim: int, axis: int, part: slice) -> tuple[slice, ...]:
    """Return an index that slices one axis and takes all of the others."""
    index = [slice(None)] * ndim
    index[axis] = part
    return tuple(index)


def _shifted(x: Array, axis: int, first: float) -> Array:
    """Shift the elements by one along the axis; drop the last, start with a constant."""
    front = np.full_like(x[along(x.ndim, axis, slice(0, 1))], first)
    return np.concatenate([front, x[along(x.ndim, axis, slice(0, -1))]], axis=axis)


_LINES = Cases(
    lambda r: call(r(4)),
    lambda r: call(r(3, 4)),
    lambda r: call(r(3, 4), axis=0),
    lambda r: call(r(2, 3, 4), axis=-2),
    lambda r: call(r()),
    lambda r: call(r(2, 0), axis=1),
)

# ------------------------------------------------------------------------------------- sums


def _cumsum_rule(g: Array, a_shape: tuple[int, ...], axis: int | None) -> Array:
    """Sum g cumulatively from the end."""
    along_axis = 0 if axis is None else axis
    total = np.flip(np.cumsum(np.flip(g, along_axis), axis=along_axis), along_axis)
    return total.reshape(a_shape) if axis is None else total


cumsum: Op[Tensor] = op(
    np.cumsum,
    _cumsum_rule,
    forward=lambda a, axis=None: np.cumsum(a, axis=axis),
    symbol="Σ…",
    domain=_LINES,
    doc="Running sums along the axis. Gradient: the running sums of g from the end.",
)

# --------------------------------------------------------------- first-order recurrences

# Each is the gradient of the other, so both have derivatives of every order. The gradient of a
# cumulative product needs them, since it cannot divide: an element may be 0.


_SHORT, _WIDE = 32, 512  # with fewer steps, or larger ones, a loop is fastest


def _recur(b: Array, a: Array, axis: int) -> Array:
    s = np.array(np.moveaxis(b, axis, 0), order="C")
    a = np.ascontiguousarray(np.moveaxis(a, axis, 0))
    n = len(s)
    if n <= _SHORT or s[0].size >= _WIDE:
        for i in range(1, n):
            s[i] += a[i] * s[i - 1]
        return np.moveaxis(s, 0, axis)
    # first within rows of `width` elements, all rows at once; then from row to row
    width = math.isqrt(n)
    rows = -(-n // width)
    more = [(0, rows * width - n)] + [(0, 0)] * (s.ndim - 1)
    s = np.pad(s, more).reshape(rows, width, *s.shape[1:])
    a = np.pad(a, more).reshape(s.shape)
    weight = np.cumprod(a, axis=1)
    for i in range(1, width):
        s[:, i] += a[:, i] * s[:, i - 1]
    for k in range(1, rows):
        s[k] += weight[k] * s[k - 1, -1]
    return np.moveaxis(s.reshape(rows * width, *s.shape[2:])[:n], 0, axis)


def _recur_back(b: Array, a: Array, axis: int) -> Array:
    coming = np.roll(np.flip(a, axis), 1, axis)
    return np.flip(_recur(np.flip(b, axis), coming, axis), axis)


_PAIRS = Cases(
    lambda r: call(r(5), r(5), 0),
    lambda r: call(r(3, 4), r(3, 4), -1),
    lambda r: call(r(3, 4), r(3, 4), 0),
    lambda r: call(r(40), r(40), 0),
    lambda r: call(r(1, 2), r(1, 2), 0),
    lambda r: call(r(0), r(0), 0),
)


def _carried(g: Array, a: Array, out: Array, axis: int) -> Array:
    return recur_back(g, a, axis) * _shifted(out, axis, 0)


recur: Op[Tensor] = op(
    _recur,
    lambda g, a, axis: recur_back(g, a, axis),
    _carried,
    name="recur",
    symbol="s←b+a·s",
    domain=_PAIRS,
    doc="sᵢ = bᵢ + aᵢ sᵢ₋₁ along the axis. Gradient of b: recur_back(g, a), rᵢ; of a: rᵢ sᵢ₋₁.",
)
recur_back: Op[Tensor] = op(
    _recur_back,
    lambda g, a, axis: recur(g, a, axis),
    lambda g, a, out, axis: _shifted(recur(g, a, axis), axis, 0) * out,
    name="recur_back",
    symbol="b+a·s→s",
    domain=_PAIRS,
    doc="sᵢ = bᵢ + aᵢ₊₁ sᵢ₊₁ along the axis. Gradient of b: recur(g, a), rᵢ; of a: rᵢ₋₁ sᵢ.",
)

# --------------------------------------------------------------------------------- products


def _cumprod_rule(g: Array, a: Array, out: Array, axis: int | None) -> Array:
    """Multiply the product before each element by the gradient that comes from later ones."""
    if axis is None or not a.shape:
        flat = _shifted(out, 0, 1) * recur_back(g, a.reshape(out.shape), 0)
        return flat.reshape(a.shape)
    return _shifted(out, axis, 1) * recur_back(g, a, axis)


cumprod: Op[Tensor] = op(
    np.cumprod,
    _cumprod_rule,
    forward=lambda a, axis=None: np.cumprod(a, axis=axis),
    symbol="Π…",
    domain=_LINES,
    doc="Running products along the axis. Gradient: outᵢ₋₁ Rᵢ with Rᵢ = gᵢ + aᵢ₊₁ Rᵢ₊₁.",
)

# ------------------------------------------------- the same by the names of the array API


def _accumulated(
    x: Array, axis: int | None, include_initial: bool, name: str, accumulate: Any, first: float
) -> Array:
    ndim = np.ndim(x)
    if axis is None:
        if ndim != 1:
            message = f"{name}: an array {np.shape(x)} of {ndim} axes; give axis="
            raise ShapeError(message)
        axis = 0
    out = accumulate(x, axis=axis)
    if not include_initial:
        return out
    shape = [1 if i == axis % ndim else n for i, n in enumerate(np.shape(x))]
    return np.concatenate([np.full(shape, first, out.dtype), out], axis=axis)


_STARTED = Cases(
    lambda r: call(r(4)),
    lambda r: call(r(3, 4), axis=-1),
    lambda r: call(r(3, 4), axis=0, include_initial=True),
    lambda r: call(r(4), include_initial=True),
)


def _cumulative_sum(x: Array, axis: int | None = None, include_initial: bool = False) -> Array:
    """Return running sums along the axis; with ``include_initial`` they start from 0."""
    return _accumulated(x, axis, include_initial, "cumulative_sum", np.cumsum, 0)


def _cumulative_prod(x: Array, axis: int | None = None, include_initial: bool = False) -> Array:
    """Return running products along the axis; with ``include_initial`` they start from 1."""
    return _accumulated(x, axis, include_initial, "cumulative_prod", np.cumprod, 1)


_cumulative_sum.__name__, _cumulative_prod.__name__ = "cumulative_sum", "cumulative_prod"
# NumPy has them from 2.1 on
cumulative_sum = composed(getattr(np, "cumulative_sum", _cumulative_sum), domain=_STARTED)(
    _cumulative_sum
)
cumulative_prod = composed(getattr(np, "cumulative_prod", _cumulative_prod), domain=_STARTED)(
    _cumulative_prod
)


@composed(np.nancumsum, domain=_LINES)
def nancumsum(a: Array, axis: int | None = None) -> Array:
    """Return running sums along the axis, with NaN as 0; a NaN gets no gradient."""
    return np.cumsum(np.where(np.isnan(a), 0.0, a), axis=axis)


@composed(np.nancumprod, domain=_LINES)
def nancumprod(a: Array, axis: int | None = None) -> Array:
    """Return running products along the axis, with NaN as 1; a NaN gets no gradient."""
    return np.cumprod(np.where(np.isnan(a), 1.0, a), axis=axis)


# ------------------------------------------------------------------------------ differences


def _end(x: Array, shape: tuple[int, ...], axis: int) -> Array:
    """Broadcast a number so that it can be joined to an array along the axis."""
    if np.ndim(x):
        return x
    return np.broadcast_to(x, [1 if i == axis % len(shape) else n for i, n in enumerate(shape)])


@composed(
    np.diff,
    domain=Cases(
        lambda r: call(r(5)),
        lambda r: call(r(3, 4), 2),
        lambda r: call(r(3, 4), axis=0),
        lambda r: call(r(4, 2), n=3, axis=-2),
        lambda r: call(r(3, 4), prepend=r(3, 2), append=r()),
        lambda r: call(r(2, 3), n=0),
        lambda r: call(r(2), n=4),
    ),
)
def diff(a: Array, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Array:
    """Return the n-th differences along the axis: aᵢ₊₁ − aᵢ, n times.

    Raises
    ------
    ShapeError
        If n is negative, or ``a`` is a single number.
    """
    shape = np.shape(a)
    n = whole("diff", "n", n, most=WIDEST)
    if n < 0 or not shape:
        message = f"diff: order {n} of an array {shape}; n is at least 0, and a has an axis"
        raise ShapeError(message)
    if n == 0:
        return a
    parts = [x if x is a else _end(x, shape, axis) for x in (prepend, a, append) if x is not None]
    a = np.concatenate(parts, axis=axis) if len(parts) > 1 else a
    later, earlier = (along(len(shape), axis, s) for s in (slice(1, None), slice(-1)))
    for _ in range(min(n, np.shape(a)[axis])):  # after that many steps the result is empty
        a = a[later] - a[earlier]
    return a


def _typed(x: Array, dtype: Any) -> Array:
    return x if x.dtype == dtype else x.astype(dtype)


def _dtype_of(x: Array) -> Array:
    return x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype


def _floats(x: Array, beside: Any = np.float64) -> Array:
    """Convert integers to floating point, so that sums and differences do not overflow."""
    own = _dtype_of(x)
    if own.kind == "f" or not np.ndim(x):
        return x
    return np.asarray(x, np.result_type(own, beside, np.float16))


@composed(
    np.ediff1d,
    domain=Cases(
        lambda r: call(r(5)),
        lambda r: call(r(2, 3), r(2), r(1)),
        lambda r: call(r(3), to_begin=r()),
    ),
)
def ediff1d(ary: Array, to_end: Any = None, to_begin: Any = None) -> Array:
    """Return the differences of the flattened array, with values before and after them."""
    for name, end in (("to_begin", to_begin), ("to_end", to_end)):
        if end is not None and not np.can_cast(_dtype_of(end), _dtype_of(ary), "same_kind"):
            message = f"ediff1d: {name} is {_dtype_of(end)}, too much for ary, {_dtype_of(ary)}"
            raise DtypeError(f"{message}; use .astype(float) on ary")
    parts = [x for x in (to_begin, np.diff(np.ravel(ary)), to_end) if x is not None]
    joined = np.concatenate([np.ravel(x) for x in parts]) if len(parts) > 1 else parts[0]
    return _typed(joined, np.result_type(ary))


@composed(
    np.trapezoid,
    domain=Cases(
        lambda r: call(r(5)),
        lambda r: call(r(3, 4), dx=0.5),
        lambda r: call(r(3, 4), r(3), axis=0),
        lambda r: call(r(3, 4), x=r(3, 4)),
    ),
)
def trapezoid(y: Array, x: Array = None, dx: Any = 1.0, axis: int = -1) -> Array:
    """Return the integral of y along the axis by the trapezoidal rule, at the points x."""
    ndim = np.ndim(y)
    if x is not None:
        y, x = _floats(y, _dtype_of(x)), _floats(x, _dtype_of(y))
        dx = np.diff(x, axis=axis if np.ndim(x) > 1 else -1)
        if np.ndim(x) == 1:
            dx = np.reshape(dx, [-1 if i == axis % ndim else 1 for i in range(ndim)])
    middles = y[along(ndim, axis, slice(1, None))] + y[along(ndim, axis, slice(-1))]
    return np.sum(dx * middles / 2.0, axis=axis)


# ----------------------------------------------------------------------- numerical gradients


def _slopes(f: Any, spacing: Any, axis: int, edge_order: int) -> Array:
    """Differentiate f along one axis by differences of second order."""
    f, spacing = _floats(f), _floats(spacing)
    f = np.moveaxis(f, axis, -1)
    n = np.shape(f)[-1]
    if n < edge_order + 1:
        message = f"gradient: {n} points along axis {axis}; {edge_order + 1} are needed"
        raise ShapeError(message)
    if np.ndim(spacing) > 1 or (np.ndim(spacing) and np.size(spacing) != n):
        message = f"gradient: spacing {np.shape(spacing)} for {n} points along axis {axis}"
        raise ShapeError(f"{message}; give one number, or a place for each")
    # the derivative of the parabola through three neighbours: weighted slopes of two secants
    if np.ndim(spacing):
        h = np.diff(spacing)
        slope = np.diff(f) / h
        wide = h[1:] + h[:-1]
        inside = (slope[..., 1:] * h[:-1] + slope[..., :-1] * h[1:]) / wide
        left, right = h[:1] / wide[:1], h[-1:] / wide[-1:]
    else:
        slope = np.diff(f) / spacing
        inside = (f[..., 2:] - f[..., :-2]) / (2 * spacing)
        left = right = 0.5
    first, last = slope[..., :1], slope[..., -1:]
    if edge_order == 2:
        bend = np.diff(slope)
        first = first - left * bend[..., :1]
        last = last + right * bend[..., -1:]
    slopes = np.concatenate([first, inside, last], axis=-1)
    dtype = np.result_type(f)
    return np.moveaxis(_typed(slopes, dtype if dtype.kind == "f" else float), -1, axis)


@composed(
    np.gradient,
    domain=Cases(
        lambda r: call(r(5)),
        lambda r: call(r(3, 4), 0.5),
        lambda r: call(r(3, 4), axis=0, edge_order=2),
        lambda r: call(r(3, 4), 2.0, np.array([0.0, 1.0, 3.0, 3.5]), edge_order=2),
        lambda r: call(r(2, 3, 4), np.array([0.0, 2.0, 3.0, 5.0]), axis=-1),
    ),
)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Array:
    """Return the derivatives of f along each axis, by central differences; a tuple for several.

    ``varargs`` are the spacings: nothing, one number for all, or per axis a number or the
    places of the points. Differentiable in f and in the spacings.

    Raises
    ------
    ShapeError
        If the spacings do not fit, or there are too few points.
    """
    ndim = np.ndim(f)
    axes = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if len(varargs) == 1 and np.ndim(varargs[0]) == 0:
        varargs *= len(axes)
    spacings = varargs or (1.0,) * len(axes)
    if len(spacings) != len(axes):
        message = f"gradient: {len(spacings)} spacings for {len(axes)} axes"
        raise DtypeError(message)
    if edge_order not in {1, 2}:
        raise ShapeError(f"gradient: edge_order {edge_order}; 1 or 2")
    slopes = tuple(_slopes(f, h, i, edge_order) for h, i in zip(spacings, axes, strict=True))
    return slopes[0] if len(axes) == 1 else slopes
