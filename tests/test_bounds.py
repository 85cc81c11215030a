"""The bounds of numerical_gradient, on random compositions whose derivatives mpmath knows."""

from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath
import numpy as np

from graphgrad.checks.differences import numerical_gradient

mp = mpmath.mp.clone()
mp.dps = 60
LARGEST = 1e40


class Unary(NamedTuple):
    """A function for NumPy and for mpmath, and its derivative."""

    f: Callable[[Any], Any]
    exact: Callable[[Any], Any]
    slope: Callable[[Any], Any]


UNARY = [
    Unary(np.sin, mp.sin, mp.cos),
    Unary(np.cos, mp.cos, lambda v: -mp.sin(v)),
    Unary(np.tanh, mp.tanh, lambda v: mp.sech(v) ** 2),
    Unary(np.arctan, mp.atan, lambda v: 1 / (1 + v * v)),
    Unary(lambda v: np.exp(-v * v), lambda v: mp.exp(-v * v), lambda v: -2 * v * mp.exp(-v * v)),
    Unary(lambda v: np.log1p(v * v), lambda v: mp.log(1 + v * v), lambda v: 2 * v / (1 + v * v)),
    Unary(lambda v: np.sqrt(1 + v * v), lambda v: mp.sqrt(1 + v * v), lambda v: v / mp.hypot(1, v)),
    Unary(
        lambda v: 1 / (1 + v * v), lambda v: 1 / (1 + v * v), lambda v: -2 * v / (1 + v * v) ** 2
    ),
    Unary(lambda v: v * v, lambda v: v * v, lambda v: 2 * v),
    Unary(lambda v: np.exp(v / 4), lambda v: mp.exp(v / 4), lambda v: mp.exp(v / 4) / 4),
]


class Composition:
    """A random function of one number: a list of steps, each from the values before."""

    def __init__(self, rng: np.random.Generator, *, wild: bool) -> None:
        self.steps: list[tuple[Any, ...]] = []
        for count in range(1, 1 + rng.integers(2, 7)):
            kind = rng.choice(["unary", "unary", "affine", "plus", "times"])
            a, b = (int(i) for i in rng.integers(max(0, count - 3), count, 2))
            scale = 10 ** rng.uniform(-8, 8) if wild and rng.random() < 0.4 else rng.uniform(0.3, 3)
            self.steps.append((kind, a, b, UNARY[rng.integers(len(UNARY))], scale, rng.normal()))
        self.x = float(rng.normal() * (10 ** rng.uniform(-8, 8) if wild else 1))

    def __call__(self, x: Any) -> Any:
        """Compute it by NumPy."""
        values = [x]
        for kind, a, b, unary, scale, shift in self.steps:
            v, w = values[a], values[b]
            match kind:
                case "unary":
                    values.append(unary.f(v))
                case "affine":
                    values.append(scale * v + shift)
                case "plus":
                    values.append(v + w)
                case _:
                    values.append(v * w)
        return values[-1]

    def slope(self) -> float:
        """Return its derivative at x, from 60 digits."""
        values = [(mp.mpf(self.x), mp.mpf(1))]
        for kind, a, b, unary, scale, shift in self.steps:
            (v, dv), (w, dw) = values[a], values[b]
            if abs(v) > LARGEST:  # mpmath would need as many digits
                return float("nan")
            match kind:
                case "unary":
                    values.append((unary.exact(v), unary.slope(v) * dv))
                case "affine":
                    values.append((scale * v + shift, scale * dv))
                case "plus":
                    values.append((v + w, dv + dw))
                case _:
                    values.append((v * w, v * dw + w * dv))
        return float(values[-1][1])


def measured(seed: int, *, wild: bool) -> tuple[float, float, float]:
    """Return a slope, the error of the numeric one, and its bound."""
    f = Composition(np.random.default_rng(seed), wild=wild)
    with np.errstate(all="ignore"):
        found, bound = numerical_gradient(f, f.x, bounds=True)
    true = f.slope()
    return true, abs(found - true), bound


def test_the_bounds_hold_and_are_near() -> None:
    """Of 4,000 none is broken; a few are far, as beside a number that is larger by 10^9."""
    results = np.array([measured(seed, wild=False) for seed in range(400)])
    slopes, errors, bounds = results.T
    assert np.all(errors <= bounds)
    assert np.quantile(bounds / np.maximum(abs(slopes), 1e-3), 0.98) < 1e-7


def test_the_bound_is_no_larger_where_neighbouring_numbers_are_far_apart() -> None:
    """The noise is measured at numbers that are exact, else that of x would be among it."""
    _, bound = numerical_gradient(np.sin, 1e6, bounds=True)
    assert bound < 1e-8


def test_wild_functions_seldom_break_the_bounds() -> None:
    """Scales of 1e-8 to 1e8: 29 of 3,933, most turn many times between neighbouring steps."""
    results = [measured(seed, wild=True) for seed in range(400)]
    finite = [row for row in results if np.isfinite(row[0])]
    broken = sum(error > bound for _, error, bound in finite)
    assert broken <= 0.01 * len(finite)
