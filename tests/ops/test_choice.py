"""where, select and nan_to_num: what was not chosen contributes exactly nothing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.errors import DtypeError, ShapeError
from graphgrad.ops.choice import masked
from tests.builders import leaf

Function = Callable[..., Any]

# Each is fine at 2; at 0 it, or one of its derivatives, is not finite.
BRANCHES: dict[str, Function] = {
    "log": np.log,
    "sqrt": np.sqrt,
    "divide": lambda x: 1 / x,
    "0 / 0": lambda x: x / x,
    "power -2": lambda x: x**-2,
    "power 1.5": lambda x: x**1.5,  # finite slope at 0, infinite curvature
    "power 2.5": lambda x: x**2.5,  # finite curvature, infinite third derivative
    "power array": lambda x: x ** np.full(2, 0.5),
    "power of recorded exponent": lambda x: x ** (x - x + 0.5),
    "exponent": lambda x: (x - 1) ** x,
    "cbrt": np.cbrt,
    "overflowing exp": lambda x: np.exp(1000 - 999 * x),
    "infinity times x": lambda x: x * np.array([np.inf, 1.0]),
    "arccos": lambda x: np.arccos(1 - x / 3),
    "arctanh": lambda x: np.arctanh(1 - x / 3),
    "log of a log": lambda x: np.log(np.log(x + 1)),
    "softplus of infinity": lambda x: gg.softplus(1 / x),
}


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("name", BRANCHES)
def test_an_untaken_branch_gives_exactly_zero_to_every_order(name: str, order: int) -> None:
    branch = BRANCHES[name]
    choices: list[Function] = [
        lambda x: np.where(x > 1, branch(x), 3 * x),
        lambda x: np.where(x <= 1, 3 * x, branch(x)),
        lambda x: np.select([x <= 1, x > 1], [3 * x, branch(x)]),
        lambda x: np.select([x > 1], [branch(x)], default=3 * x),
    ]

    def derivative(f: Function, x: Any) -> Any:
        for _ in range(order):
            f = gg.grad(lambda x, f=f: np.sum(f(x)))  # type: ignore[misc]
        return f(x)

    point = np.array([0.0, 2.0])
    with np.errstate(all="ignore"):
        taken = derivative(branch, np.array([2.0, 2.0]))[1]
        for choice in choices:
            found = derivative(choice, point)
            assert found[0] == (3 if order == 1 else 0)
            assert found[1] == pytest.approx(taken, rel=1e-13)


def test_masking_does_not_lose_curvature_where_the_gradient_is_zero() -> None:
    """Masking on a zero upstream alone would give 0 instead of 2."""
    f = lambda x: np.where(x > 0, np.log(x) ** 2, 0.0).sum()  # noqa: E731
    with np.errstate(divide="ignore"):
        assert gg.hessian(f)(np.array([1.0, 0.0])).tolist() == [[2, 0], [0, 0]]
    assert gg.hessian(lambda x: np.log(x) ** 2)(1.0) == 2


def test_a_zero_direction_gives_a_zero_slope() -> None:
    point = np.array([0.0, 1.0])
    with np.errstate(divide="ignore"):
        _, slope = gg.jvp(lambda x: np.where(x > 0, np.log(x), x), point, np.zeros(2))
        _, pull = gg.vjp(lambda x: np.where(x > 0, np.log(x), x), point)
    assert slope.tolist() == [0, 0]
    assert pull(np.zeros(2))[0].tolist() == [0, 0]


def test_without_a_choice_a_singularity_is_not_hidden() -> None:
    x = leaf([0.0])
    (0 * np.sqrt(x)).sum().backward()
    assert np.isnan(x.grad[0])


def test_nan_to_num_is_a_choice() -> None:
    x = leaf([0.0, 4.0])
    with np.errstate(divide="ignore"):
        y = np.nan_to_num(np.log(x), neginf=-9.0)
    assert y.data[0] == -9
    y.sum().backward()
    assert x.grad.tolist() == [0, 0.25]


def test_where_takes_any_condition_and_broadcasts() -> None:
    x, y = leaf(np.ones(3)), leaf(2.0)
    condition = leaf([[0.0], [-2.0]])
    z = np.where(condition, x, y)
    assert z.tolist() == [[2, 2, 2], [1, 1, 1]]
    z.sum().backward()
    assert x.grad.tolist() == [1, 1, 1]
    assert y.grad == 3
    assert condition.grad is None
    assert gg.where(True, x, y).shape == (3,)
    (gg.where(True, x, 0.0) + gg.where(False, 0, x)).sum().backward()
    assert x.grad.tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    ("conditions", "choices", "error", "words"),
    [
        ([np.array([True, False])], [], ShapeError, "1 conditions for 0 choices"),
        ([], [], ShapeError, "at least one"),
        ([np.array([1, 0])], [np.zeros(2)], DtypeError, "condition 0 is int.*not bool"),
    ],
)
def test_select_refuses(conditions: Any, choices: Any, error: type[Exception], words: str) -> None:
    default = leaf([1.0, 2.0])
    with pytest.raises(error, match=words) as caught:
        gg.select(conditions, choices, default)
    assert "test_choice.py" in str(caught.value)


def test_where_without_branches_says_what_is_missing() -> None:
    with pytest.raises(DtypeError, match="where: argument 'x' is missing"):
        np.where(leaf([1.0]))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_masked_is_where_for_all_memory_layouts_and_values(dtype: type) -> None:
    rng = np.random.default_rng(0)
    base: Any = rng.normal(size=(6, 4)).astype(dtype)
    base.flat[:6] = [np.nan, np.inf, -np.inf, -0.0, np.finfo(dtype).max, np.finfo(dtype).tiny]
    for x in (base, base[::-2, 1:], base.T, base[:0], base[0, 0], np.float32(3)):
        for shape in (np.shape(x), (1,) * np.ndim(x), ()):
            for mask in (rng.integers(0, 2, shape) > 0, rng.integers(-1, 2, shape)):
                found = masked(x, mask)
                np.testing.assert_array_equal(found, np.where(mask, x, x.dtype.type(0)))
                assert found.dtype == x.dtype
