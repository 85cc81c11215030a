"""Selection by conditions or numbers, counting, and interpolation."""

from typing import Any

import numpy as np

from graphgrad.engine.composite import composed
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.operands import as_array, refuse_recorded, unwrapped
from graphgrad.engine.recording import one_call, show_answer
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ShapeError, UnsupportedError
from graphgrad.ops.index import getitem, scatter, take
from graphgrad.ops.join import stack
from graphgrad.ops.shape import broadcast_arrays, ravel
from graphgrad.typing import Array


@composed(
    np.compress,
    domain=Cases(
        lambda r: call([True, False, True], r(3, 2), axis=0),
        lambda r: call([0, 1], r(3, 2), axis=1),
        lambda r: call([True, False, False, True], r(3, 2)),
    ),
)
def compress(condition: Array, a: Array, axis: int | None = None) -> Tensor:
    """Select the indices along an axis where a condition holds."""
    holds = np.asarray(unwrapped(condition))
    if holds.ndim != 1:
        message = f"compress: the condition {holds.shape} must have one axis; gg.extract takes any"
        raise ShapeError(message)
    return take(a, np.flatnonzero(holds), axis=axis)


@composed(
    np.extract,
    domain=Cases(lambda r: call([[True, False, True], [False, True, False]], r(2, 3))),
)
def extract(condition: Array, arr: Array) -> Tensor:
    """Select the elements where a condition holds, as a vector."""
    return take(arr, np.flatnonzero(unwrapped(condition)))


@one_call
def _numbers(count: int, given: Array, mode: Any) -> Array:
    """Return the numbers of choices, in range."""
    return np.take(np.arange(count), given, mode=mode)


@composed(
    np.choose,
    domain=Cases(
        lambda r: call([0, 2, 1], [r(3), r(3), r(3)]),
        lambda r: call(np.array([[1], [0]]), [r(), r(3)]),
        lambda r: call([3, -1, 1], [r(3), r(3)], mode="wrap"),
        lambda r: call([3, -1, 1], r(2, 3), mode="clip"),
    ),
)
def choose(a: Array, choices: Any, mode: str = "raise") -> Tensor:
    """Take each element from one of several arrays, by its number."""
    arrays = broadcast_arrays(unwrapped(a), *choices)
    given = as_array(unwrapped(a), "choose")
    if mode == "raise" and np.any(given < 0):
        message = f"choose: {np.min(given)} is the number of no choice; they start at 0"
        raise ShapeError(message)
    numbers = _numbers(len(choices), arrays[0], mode)
    grid = np.indices(numbers.shape, sparse=True)
    return getitem(stack(arrays[1:]), (numbers, *grid))


@composed(
    np.bincount,
    domain=Cases(
        lambda r: call([0, 2, 2], r(3)),
        lambda r: call(np.array([1, 1], np.uint8), r(2), minlength=4),
    ),
)
def bincount(x: Array, weights: Array = None, minlength: int = 0) -> Array:
    """Sum the weights of each number; plain counts where there are no weights."""
    x = as_array(unwrapped(x), "bincount")
    counts = np.bincount(x, minlength=minlength)
    if not isinstance(weights, Tensor):
        return counts if weights is None else np.bincount(x, weights, minlength)
    if weights.shape != x.shape:
        message = f"bincount: {x.size} numbers, weights of shape {weights.shape}"
        raise ShapeError(message)
    return scatter(weights.astype(np.float64), x, counts.shape)


@composed(
    np.interp,
    domain=Cases(
        lambda r: call(r(2, 3), np.array([-1.5, 0.03, 1.1]), r(3)),
        lambda r: call(r(4), r(3) / 4 + np.array([-1.5, 0, 1.5]), r(3), left=0.5, right=-1),
        lambda r: call(r(), [-2.5, 2.5], r(2)),
        lambda r: call(r(3), [0.4], r(1)),
    ),
)
def interp(x: Array, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Tensor:
    """Interpolate linearly between the points of a table.

    Differentiable in x, xp and fp. At a point of the table the derivative is the one of the two
    sides that is nearer to 0, and 0 if their signs differ; outside the table it is 0.
    """
    x, xp, fp = (
        v.astype(np.float64) if isinstance(v, Tensor) else np.asarray(v, dtype=np.float64)
        for v in (x, xp, fp)
    )
    if xp.ndim != 1 or fp.shape != xp.shape or not xp.size:
        message = (
            f"interp: xp {xp.shape} and fp {fp.shape} must be vectors of one length, not empty"
        )
        raise ShapeError(message)
    if any(isinstance(v, Tensor) and v.requires_grad for v in (left, right)):
        message = "interp: not differentiable in left and right; use gg.where"
        raise UnsupportedError(message)
    at, table = unwrapped(x), unwrapped(xp)
    below, above = at < table[0], at > table[-1]
    piece = np.clip(np.searchsorted(table, at, side="right") - 1, 0, table.size - 1)
    start = getitem(table, piece)
    show_answer("interp", 2 * piece + (at > start))
    # Piece i is between point i and the next; before the first and after the last it is constant.
    flat = np.zeros(1)
    runs = np.where(np.diff(table) == 0, 1.0, xp[1:] - xp[:-1])
    slopes = np.concatenate([flat, (fp[1:] - fp[:-1]) / runs, flat])
    before, after = slopes[piece], slopes[piece + 1]
    smaller = np.where(np.abs(before) < np.abs(after), before, after)
    least = np.where(np.sign(before) * np.sign(after) > 0, smaller, 0.0)
    slope = np.where(at == start, least, after)
    inside = np.where(below | above, table[0], x)  # an infinite x would make 0 · inf
    y = getitem(fp, piece) + slope * (inside - getitem(xp, piece))
    first = fp[0] if left is None else unwrapped(left)
    last = fp[-1] if right is None else unwrapped(right)
    return np.where(below, first, np.where(above, last, y))  # type: ignore[no-any-return]


@composed(
    np.histogram,
    domain=Cases(
        lambda r: call([0.5, 3, 1.5, 7, -1, 0.5], [0, 1, 2, 3], weights=r(6)),
        lambda r: call([[0.5, 3], [1.5, 0]], bins=2, weights=r(2, 2)),
        lambda r: call([0.5, 3, 1.5], 2, range=(0, 2), weights=r(3)),
    ),
)
def histogram(
    a: Array,
    bins: Any = 10,
    range: Any = None,  # noqa: A002 - NumPy's name
    density: Any = None,
    weights: Array = None,
) -> tuple[Array, Array]:
    """Sum the weights of the numbers in each bin; plain counts where there are no weights."""
    if isinstance(a, Tensor) and np.ndim(bins) == 0 and (range is None or isinstance(bins, str)):
        refuse_recorded(a, "histogram with edges that depend on the numbers", "a")
    values = np.ravel(unwrapped(a))
    if not isinstance(weights, Tensor):
        counts, edges = np.histogram(values, bins, range, density, weights)
        return show_answer("histogram", counts), edges
    if weights.shape != np.shape(a):
        shapes = f"numbers {np.shape(a)}, weights {weights.shape}"
        raise ShapeError(f"histogram: {shapes}; they must be equal")
    edges = np.histogram_bin_edges(values, bins, range)
    count = edges.size - 1
    numbers = np.searchsorted(edges, values, side="right") - 1
    numbers[values == edges[-1]] = count - 1  # only the last bin holds its right edge
    inside = (numbers >= 0) & (numbers < count)
    sums = scatter(getitem(ravel(weights), inside), numbers[inside], (count,))
    return (sums / (np.diff(edges.astype(float)) * np.sum(sums)) if density else sums), edges


# ---------------------------------------------------------------------- each value once

# Of several equal elements the first is the one that is taken, and gets the gradient.


@composed(
    np.unique,
    domain=Cases(
        lambda r: call(r(5)),
        lambda r: call(r(2, 3)),
        lambda r: call(r(3, 2), axis=0),
        lambda r: call(r()),
        lambda r: call(r(0)),
    ),
)
def unique(
    ar: Array,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    equal_nan: bool = True,
) -> Array:
    """Each value once, sorted; places, inverse and counts are plain. Gradient: g to the first."""
    theirs: Any = np.unique  # its overloads ask for constants
    _, index, *rest = theirs(
        unwrapped(ar), True, return_inverse, return_counts, axis, equal_nan=equal_nan
    )
    values = take(ravel(ar) if axis is None else ar, index, axis=0 if axis is None else axis)
    parts = [values, *[index] * bool(return_index), *rest]
    return tuple(parts) if len(parts) > 1 else values


def _like(named: Any, ar: Array) -> Array:
    """Replace NumPy's values by recorded ones, in the same order."""
    plain = np.ravel(unwrapped(ar))
    _, index = np.unique(plain, return_index=True, equal_nan=False)
    rank = np.argsort(np.argsort(named.values if hasattr(named, "values") else named))
    values = take(ravel(ar), index[rank])
    return named._replace(values=values) if hasattr(named, "values") else values


@composed(np.unique_values, domain=Cases(lambda r: call(r(5)), lambda r: call(r(2, 3))))
def unique_values(x: Array) -> Tensor:
    """Each value once, every NaN too. Gradient: g to the first of equal ones."""
    return _like(np.unique_values(unwrapped(x)), x)  # type: ignore[no-any-return]


@composed(np.unique_counts, domain=Cases(lambda r: call(r(5)), lambda r: call(r(2, 3))))
def unique_counts(x: Array) -> Array:
    """Each value once, and how often. Gradient: g to the first of equal ones."""
    return _like(np.unique_counts(unwrapped(x)), x)


@composed(np.unique_inverse, domain=Cases(lambda r: call(r(5)), lambda r: call(r(2, 3))))
def unique_inverse(x: Array) -> Array:
    """Each value once, and where x has it. Gradient: g to the first of equal ones."""
    return _like(np.unique_inverse(unwrapped(x)), x)


@composed(np.unique_all, domain=Cases(lambda r: call(r(5)), lambda r: call(r(2, 3))))
def unique_all(x: Array) -> Array:
    """Each value once, with places, inverse and counts. Gradient: g to the first of equal ones."""
    return _like(np.unique_all(unwrapped(x)), x)
