"""Errors in ULP: sampling, the search uphill from the worst points, and the verdict of mpmath."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import graphgrad as gg
from benchmarks.accuracy.cases import Case, Formula, Input
from benchmarks.accuracy.exact import Wide, proof_context as mp, prove, wide

BOUND = 4.0  # ULP, times the condition number where that is above 1
Array = np.ndarray[Any, Any]
Runner = Callable[..., list[Array]]  # from the inputs to the value and the gradients

# ------------------------------------------------------------------------------------- points


def _one(spec: Input, dtype: Any, count: int, rng: np.random.Generator, third: int) -> Array:
    """Draw numbers of all exponents, of usual size, or near where something happens."""
    info = np.finfo(dtype)
    sign = rng.choice((-1.0, 1.0), count)
    if third == 0:
        exponents = rng.uniform(info.minexp - info.nmant, info.maxexp, count)
        x = sign * np.exp2(exponents.astype(Wide))
    elif third == 1:
        x = sign * rng.uniform(0, spec.usual ** rng.uniform(0, 1, count))
    else:
        place = rng.choice(spec.near, count)
        x = place + sign * np.exp2(rng.uniform(-info.nmant - 2, 0, count)) * rng.uniform(
            0.5, 1, count
        )
    return x.astype(dtype)


def sample(case: Case, dtype: Any, count: int, rng: np.random.Generator) -> list[Array]:
    """Draw points: a third over all exponents, one of usual size, one near singular points."""
    info = np.finfo(dtype)
    parts = []
    for third in range(3):
        xs = [_one(spec, dtype, count // 3, rng, third) for spec in case.inputs]
        for x in xs[1:]:  # numbers of like size meet, and numbers that nearly cancel
            close = xs[0] * (
                1 + np.exp2(rng.uniform(-info.nmant, 2, len(x))) * rng.choice((-1, 1), len(x))
            )
            with np.errstate(over="ignore"):
                x[:] = np.where(rng.uniform(size=len(x)) < 0.5, x, close.astype(dtype))
        parts.append(xs)
    return _allowed(case, [np.concatenate(xs) for xs in zip(*parts, strict=True)])


def _allowed(case: Case, points: list[Array]) -> list[Array]:
    """Reflect numbers into the domain; leave out its ends, kinks and what is not finite."""
    keep: Any = True
    for x, spec in zip(points, case.inputs, strict=True):
        if spec.low == 0:
            np.abs(x, out=x)
        keep = keep & np.isfinite(x) & (x > spec.low) & (x < spec.high)
        for place in spec.near:
            keep = keep & (x != place)
    return [x[keep] for x in points]


def neighbours(case: Case, points: list[Array], rng: np.random.Generator) -> list[Array]:
    """Move each point by 64 random shares of itself, from an ULP to half."""
    dtype = points[0].dtype
    near = []
    for x in points:
        around = np.repeat(x, 64)
        step = np.exp2(rng.uniform(-np.finfo(dtype).nmant, -1, len(around)))
        moved = around * (1 + step * rng.choice((-1, 0, 1), len(around)))
        near.append(moved.astype(dtype))
    return _allowed(case, near)


# ------------------------------------------------------------------------------------- errors


def spacing(exact: Array, dtype: Any) -> Array:
    """Return the distance of the numbers of a dtype around exact ones."""
    info = np.finfo(dtype)
    exponent = np.where(exact == 0, info.minexp, np.frexp(exact)[1] - 1)
    places = np.clip(exponent, info.minexp, info.maxexp - 1) - info.nmant
    return np.asarray(np.ldexp(Wide(1), places))


def ulps(found: Array, exact: Array, dtype: Any) -> Array:
    """Return errors in ULP; the first number beyond the range stands for all that follow."""
    top = np.ldexp(Wide(1), np.finfo(dtype).maxexp)
    exact = np.clip(exact, -top, top)
    error = np.abs(np.clip(found.astype(Wide), -top, top) - exact) / spacing(exact, dtype)
    return np.where(np.isnan(exact), 0, np.where(np.isnan(found), np.inf, error)).astype(float)


def evaluate(formula: Formula, points: list[Array]) -> Array:
    """Evaluate a formula in longdouble."""
    return np.asarray(formula(wide, *[x.astype(Wide) for x in points]), Wide)


def condition(formula: Formula, points: list[Array], exact: Array) -> Array:
    """Return by how many ULP the result changes where each input changes by one: at least 1."""
    dtype = points[0].dtype
    unit = spacing(exact, dtype)
    change: Any = 0
    for i in range(len(points)):
        moved = [y.astype(Wide) for y in points]
        moved[i] = moved[i] + spacing(moved[i], dtype)
        change = change + np.abs(formula(wide, *moved) - exact) / unit
    return np.asarray(np.fmax(1, change), float)


class Worst(NamedTuple):
    """The error of one output at a point in ULP, and the condition number there."""

    error: float
    point: tuple[float, ...]
    condition: float

    @property
    def scaled(self) -> float:
        """The error over the condition number."""
        return self.error / self.condition


NOWHERE = Worst(0.0, (), 1.0)


class Found(NamedTuple):
    """What one output of a case shows in one library and dtype."""

    largest: Worst  # by error
    steepest: Worst  # by scaled error
    outside: list[Array]  # the points beyond the bound, inputs and result normal numbers,
    by: Array  # and their scaled errors
    denormal: Worst  # the worst by scaled error where an input or the result is no normal number


def confirmed(run: Any, formula: Formula, points: list[Array]) -> list[Worst]:
    """Let mpmath say how wrong a library is at a few points."""
    dtype = points[0].dtype
    found = run(*points) if len(points[0]) else ()
    rows = []
    for i, point in enumerate(zip(*points, strict=True)):
        exact = prove(formula, point)
        if mp.isnan(exact):
            continue
        scale = mp.mpf(float(spacing(_rounded(exact)[None], dtype)[0]))
        with np.errstate(all="ignore"):
            here = [x[i : i + 1] for x in points]
            number = condition(formula, here, evaluate(formula, here))[0]
        rows.append(Worst(_error(found[i], exact, scale, dtype), tuple(map(float, point)), number))
    return rows


def _rounded(exact: Any) -> Any:
    high = float(exact)
    return Wide(high) + Wide(float(exact - high)) if np.isfinite(high) else Wide(high)


def _error(found: Any, exact: Any, scale: Any, dtype: Any) -> float:
    top = mp.ldexp(1, int(np.finfo(dtype).maxexp))
    if np.isnan(found):
        return float("inf")
    value = mp.mpf(float(found))
    return float(abs(max(-top, min(top, value)) - max(-top, min(top, exact))) / scale)


def measured(
    case: Case, run: Runner, points: list[Array], rng: np.random.Generator, climbs: int = 8
) -> Iterator[Found]:
    """Measure a library at points and uphill of the worst of them; one result per output."""
    with np.errstate(all="ignore"):
        for output, formula in enumerate((case.value, *case.slopes)):
            yield _measured(case, lambda *x, i=output: run(*x)[i], formula, points, rng, climbs)


class _Errors(NamedTuple):
    """Points with their errors as longdouble has them."""

    points: list[Array]
    error: Array
    scaled: Array
    normal: Any

    def best(self, count: int, among: Any = True) -> Array:
        """Return the places of the largest errors of both kinds."""
        orders = [np.argsort(np.where(among, x, -1))[-count:] for x in (self.error, self.scaled)]
        return np.unique(np.concatenate(orders))


def _errors(run: Any, formula: Formula, points: list[Array]) -> _Errors:
    dtype = points[0].dtype
    exact = evaluate(formula, points)
    error = ulps(run(*points), exact, dtype)
    numbers = np.ones_like(error)
    large = np.flatnonzero(error > 0.4)  # of what is rounded correctly, the worst
    if len(large):
        numbers[large] = condition(formula, [x[large] for x in points], exact[large])
    tiny = np.finfo(dtype).smallest_normal
    normal: Any = np.abs(exact) >= tiny
    for x in points:
        normal = normal & (np.abs(x) >= tiny)
    return _Errors(points, error, error / numbers, normal)


def _measured(
    case: Case,
    run: Any,
    formula: Formula,
    points: list[Array],
    rng: np.random.Generator,
    climbs: int,
) -> Found:
    parts = [_errors(run, formula, points)]
    for _ in range(climbs):
        last = parts[-1]
        best = last.best(8, last.normal)
        near = neighbours(case, [x[best] for x in last.points], rng)
        if not len(near[0]):
            break
        near = [np.concatenate([x[best], y]) for x, y in zip(last.points, near, strict=True)]
        parts.append(_errors(run, formula, near))
    every = _Errors(
        [np.concatenate(xs) for xs in zip(*(p.points for p in parts), strict=True)],
        *(np.concatenate([p[i] for p in parts]) for i in (1, 2, 3)),
    )

    def proved(among: Any) -> list[Worst]:
        chosen = every.best(12, among)
        chosen = chosen[np.broadcast_to(among, every.error.shape)[chosen]]
        return confirmed(run, formula, [x[chosen] for x in every.points]) or [NOWHERE]

    rows, rest = proved(every.normal), proved(~every.normal)
    beyond = every.normal & (every.scaled > BOUND)
    return Found(
        max(rows, key=lambda w: w.error),
        max(rows, key=lambda w: w.scaled),
        [x[beyond] for x in every.points],
        every.scaled[beyond],
        max(rest, key=lambda w: w.scaled),
    )


def ours(case: Case) -> Runner:
    """Run graphgrad."""

    def run(*points: Array) -> list[Array]:
        tensors = [
            gg.Tensor(x, requires_grad=True) if spec.varied else x
            for x, spec in zip(points, case.inputs, strict=True)
        ]
        with np.errstate(all="ignore"):
            out = case.ours(*tensors)
            out.backward(np.ones_like(out.data))
        return [out.data, *[t.grad for t in tensors if isinstance(t, gg.Tensor)]]

    return run
