"""Sweeps for many rows at once: `gg.jacobian` takes them where nothing is recorded or observed."""

from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.checks.laws import Case
from graphgrad.engine import rows
from graphgrad.engine.recording import Observer, observing
from graphgrad.testing import typical_calls
from tests.every_op import EVERY_OP

WITH_DOMAIN = {name: op for name, op in EVERY_OP.items() if op.domain is not None}


def row_by_row(f: Any, *args: Any) -> Any:
    """Return the Jacobian as an observer has it computed, one upstream gradient at a time."""
    with observing(Observer()):
        return gg.jacobian(f)(*args)


@pytest.mark.parametrize("name", WITH_DOMAIN)
def test_every_rule_gives_all_rows_as_it_gives_each(name: str) -> None:
    for call in typical_calls(WITH_DOMAIN[name])[:8]:
        case = Case(WITH_DOMAIN[name], call)

        def f(points: list[Any], case: Case = case) -> Any:
            # a sine, so that the upstream gradients are no rows of an identity
            return [np.sin(y) for y in case.run(*points)]

        if not case.points:
            continue
        for found, expected in zip(
            gg.jacobian(f)(case.points), row_by_row(f, case.points), strict=True
        ):
            for u, v in zip(found, expected, strict=True):
                assert u.dtype == v.dtype
                np.testing.assert_allclose(u, v, rtol=1e-12, atol=1e-14, err_msg=repr(case))


# elementwise, but for arrays of two axes alone
THRICE = gg.op(
    lambda x: 3 * x, lambda g: 3 * np.einsum("ij->ij", g), name="thrice", elementwise=True
)


def slices(x: Any) -> Any:
    return np.stack([x[0, 1:] * x[1, :2], x[[0, 0, 1], [1, 1, 2]][:2], x[..., 0] ** 2])


PROGRAMS: dict[str, Any] = {
    "slices and indices": slices,
    "several outputs": lambda x: np.linalg.qr(x.T)[0] * np.linalg.qr(x.T)[1][0],
    "one output of several": lambda x: np.linalg.qr(x.T)[1],
    "a branch not taken": lambda x: np.where(x > 1, np.sqrt(np.abs(x - 1)), x) * x.sum(),
    "broadcasting": lambda x: x[:, :1] * x + x[0] * x[1, 2] - x.mean(),
    "a result of no axes": lambda x: np.sum(np.tanh(x) @ x.T),
    "a user's op": lambda x: THRICE(x) * x,
}


@pytest.mark.parametrize("elements", [1, 20, 10**6])
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_have_one_jacobian(
    name: str, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_ELEMENTS", elements)
    x = np.random.default_rng(0).uniform(0.2, 2, (2, 3))
    f = PROGRAMS[name]
    expected = row_by_row(f, x)
    np.testing.assert_allclose(gg.jacobian(f)(x), expected, rtol=1e-12, atol=1e-14)
    again = gg.hessian(lambda x: np.sum(f(x) ** 2))
    with observing(Observer()):
        expected = again(x)
    np.testing.assert_allclose(again(x), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_rows_of_small_floats_are_small_floats(dtype: Any) -> None:
    x = np.arange(1, 4, dtype=dtype) / 4
    found = gg.jacobian(lambda x: np.exp(x) * x.sum())(x)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, row_by_row(lambda x: np.exp(x) * x.sum(), x))


def test_a_hook_gets_each_row() -> None:
    seen: list[Any] = []

    def hook(g: Any) -> Any:
        seen.append(g.shape)
        return g * 10

    def f(x: Any) -> Any:
        y = x * 2
        y.register_hook(hook)
        return y

    np.testing.assert_array_equal(gg.jacobian(f)(np.ones(3)), 20 * np.eye(3))
    assert seen == [(3,)] * 3


def test_a_sweep_takes_as_many_rows_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_ELEMENTS", 24)
    taken: list[int] = []

    def watched(node: Any, g: Any, *args: Any, **more: Any) -> Any:
        taken.append(len(g))
        return rows.rules_for_rows(node, g, *args, **more)

    monkeypatch.setattr("graphgrad.engine.sweep.rules_for_rows", watched)
    gg.jacobian(lambda x: np.exp(np.tile(x, 2))[:7])(np.ones(4))  # 8 elements at most
    assert set(taken) == {3, 1}
    assert sum(taken) == 7 * len(taken) / 3
