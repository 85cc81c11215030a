"""float16: its gradients are those of the same numbers in float64, rounded once at the end.

The rules of float16 nodes compute in float32, and contributions add up in it, so counts, squares
and sums that float16 cannot hold are no concern of any rule.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.checks.laws import Case
from graphgrad.engine.domains import Call, Reduction
from graphgrad.engine.record import constant
from graphgrad.errors import DtypeError, UnsupportedError
from graphgrad.nn.layers.losses import Loss
from graphgrad.testing import typical_calls
from tests.builders import leaf
from tests.every_module import EXAMPLES, Example
from tests.every_op import EVERY_OP
from tests.nn.test_every_module import every_example, inputs_of, made, outputs

HALF = np.float16
FINE = 2.0**-10  # two roundings to float16: of what the forward saved, and of the result

# Their rules take the difference of 1, or of a mean, and an output that was rounded to float16: its
# error, a share of the upstream gradient, is there in the difference too.
BY_ROUNDED_OUTPUT = {"tanh": 1, "attention": 1, "lstm_steps (lstm)": 1, "rnn_steps (rnn)": 1}
BY_ROUNDED_OUTPUT["recur"] = 20  # rounded forty times, once a step


def close(found: Any, exact: Any, what: str, scale: float = 0) -> None:
    """Equal but for rounding to float16, of this number, the largest of its array or a scale."""
    assert found.dtype == HALF, what
    exact = np.asarray(exact)
    with np.errstate(over="ignore"):
        rounded = exact.astype(HALF).astype(np.float64)
    finite = np.isfinite(rounded)
    scale = np.max(np.abs(rounded), initial=scale, where=finite)
    there = np.asarray(found, np.float64)
    np.testing.assert_array_equal(there[~finite], rounded[~finite], err_msg=what)
    error = np.abs(there - exact)[finite]
    np.testing.assert_array_less(error, 4 * FINE * scale + 1e-7, err_msg=what)


def pulled(case: Case, dtype: Any, factor: float) -> list[Any]:
    """Return the gradients at float16 numbers, computed in a dtype."""
    points = [p.astype(HALF).astype(dtype) for p in case.points]
    with np.errstate(all="ignore"):
        with gg.no_grad():
            outs = case.run(*map(constant, points))
        rng = np.random.default_rng(0)
        upstream = [np.asarray(factor * rng.uniform(-1, 1, y.shape)).astype(HALF) for y in outs]
        return case.pull([u.astype(y.dtype) for u, y in zip(upstream, outs, strict=True)], points)


@pytest.mark.parametrize("name", EVERY_OP)
def test_every_op(name: str) -> None:
    """Also where the upstream gradient is near the largest float16."""
    op = EVERY_OP[name]
    for call in typical_calls(op) if op.domain else ():
        case = Case(op, call)
        for factor in (1.0, 1e4):
            try:
                found = pulled(case, HALF, factor)
            except (TypeError, DtypeError, UnsupportedError):  # linear algebra has no float16
                break
            scale = factor * BY_ROUNDED_OUTPUT.get(name, 0)
            for g, e in zip(found, pulled(case, np.float64, factor), strict=True):
                close(g, e, repr(case), scale)


def module_gradients(example: Example, dtype: Any, rows: int = 0) -> list[Any]:
    """Return the gradients of a module's inputs and parameters, all of them float16 numbers."""
    module = made(example, dtype=HALF).astype(dtype)
    inputs = [x.astype(dtype) if x.dtype == HALF else x for x in inputs_of(example, HALF)]
    if rows:
        inputs = [np.concatenate([x] * (rows // len(x) + 1)) for x in inputs]
    given = [gg.Tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    with np.errstate(all="ignore"):
        outs = outputs(module(*given))
        rng = np.random.default_rng(2)
        low = 0 if rows else -1  # many that add up, or many signs
        upstream = [np.asarray(rng.uniform(low, 0.5, y.shape)).astype(HALF) for y in outs]
        wanted = [x for x in given if x.requires_grad]
        wanted += [p for p in module.parameters() if p.requires_grad]
        pairs = [(y, u.astype(y.dtype)) for y, u in zip(outs, upstream, strict=True)]
        ys, us = zip(*[p for p in pairs if p[0].requires_grad], strict=True)
        return list(gg.gradients(ys, wanted, us))


@every_example
def test_every_module(example: Example) -> None:
    if not outputs(made(example)(*map(gg.Tensor, inputs_of(example)))):
        return
    pairs = zip(module_gradients(example, HALF), module_gradients(example, np.float64), strict=True)
    for g, e in pairs:
        close(g, e, str(example), 0.1)


ROWS = 70_000  # float16 ends at 65,504
OVER_ROWS = {
    name: example
    for name, example in EXAMPLES.items()
    if isinstance(made(example), Loss | nn.Affine | nn.BatchNorm1d)
}
OVER_ROWS["BCEWithLogitsLoss"] = OVER_ROWS["BCEWithLogitsLoss"]._replace(
    make=lambda *_: nn.BCEWithLogitsLoss()
)


@pytest.mark.parametrize("example", OVER_ROWS.values(), ids=OVER_ROWS)
def test_every_loss_of_many_rows(example: Example) -> None:
    pairs = zip(
        module_gradients(example, HALF, ROWS),
        module_gradients(example, np.float64, ROWS),
        strict=True,
    )
    for g, e in pairs:
        assert np.any(g) or not np.any(np.asarray(e).astype(HALF))
        close(g, e, str(example), 200 if isinstance(made(example), nn.BatchNorm1d) else 0)


REDUCTIONS = {n: op for n, op in EVERY_OP.items() if isinstance(op.domain, Reduction)}
REDUCTIONS |= {n: EVERY_OP[n] for n in ("var", "std", "norm", "softmax", "log_softmax", "cumsum")}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_every_reduction_of_many_elements(name: str) -> None:
    op = REDUCTIONS[name]
    x = np.random.default_rng(0).uniform(0.995, 1.005, ROWS)  # so that a product is in range too
    case = Case(op, Call((x,), {}))
    for factor in (1.0, 1e4):
        pairs = zip(pulled(case, HALF, factor), pulled(case, np.float64, factor), strict=True)
        for g, e in pairs:
            close(g, e, name)


C = np.full(ROWS, 0.25, HALF)
CONTRIBUTIONS: dict[str, Callable[[Any], Any]] = {
    "stretched": lambda x: np.sum(C * x[0]),
    "looked up": lambda x: np.sum(x[np.zeros(ROWS, int)] * C),
    "taken": lambda x: np.sum(np.take(x, np.zeros(ROWS, int)) * C),
    "one by one": lambda x: sum(0.25 * x[0] for _ in range(3000)),
    "views": lambda x: sum(np.sum(x[:1]) * C[0] for _ in range(3000)),
    "joined": lambda x: np.sum(np.concatenate([x[:1]] * 3000) * C[:3000]),
    "tiled": lambda x: np.sum(np.tile(x, ROWS) * C),
    "repeated": lambda x: np.sum(np.repeat(x, ROWS) * C),
    "padded": lambda x: np.sum(np.pad(x, (0, ROWS - 1), mode="edge") * C),
    "windows": lambda x: np.sum(np.lib.stride_tricks.sliding_window_view(x, 1) * C[:1]) * 17_500,
    "product": lambda x: np.sum(np.ones((ROWS, 1), HALF) @ x * C),
    "einsum": lambda x: np.einsum("i,j->", x, C),
    "convolved": lambda x: np.sum(gg.nn.functional.conv1d(C[None, None, :], x[None, None, :])),
}


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("f", CONTRIBUTIONS.values(), ids=CONTRIBUTIONS)
def test_many_contributions(f: Callable[[Any], Any]) -> None:
    """Their sum is past 2048, where float16 no longer counts by ones, or passes over its end."""
    point = np.ones(1, HALF)
    exact = gg.grad(f)(point.astype(np.float64))
    (found,) = gg.gradients(f(x := leaf(point)), [x])
    close(found, exact, "")
    assert found > 700
    wide = leaf(point)
    (recorded,) = gg.gradients(f(wide), [wide], create_graph=True)
    close(recorded.data, exact, "recorded")


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_sum_may_pass_over_the_largest_number() -> None:
    """Contributions of 40,000, 40,000 and −40,000."""
    x = leaf(np.ones(2, HALF))
    big = np.float16(40_000)
    ((big * x - big * x) + big * x).sum().backward()
    np.testing.assert_array_equal(x.grad, big)
    rows = np.full((3, 2), 40_000, HALF) * np.array([[1], [1], [-1]], HALF)
    (g,) = gg.gradients([x * rows], [x], [np.ones((3, 2), HALF)])
    np.testing.assert_array_equal(g, 40_000)


@pytest.mark.filterwarnings("ignore:overflow")
def test_what_is_handed_out_is_float16() -> None:
    """Gradients of leaves, of results that keep theirs, of hooks, of transforms."""
    x = leaf(np.array([1.0, 300.0], HALF))
    y = x * x
    y.retain_grad()
    seen = []
    y.register_hook(lambda g: seen.append(g.dtype))
    np.sum(np.sqrt(y)).backward()
    assert {x.grad.dtype, y.grad.dtype, *seen} == {np.dtype(HALF)}
    np.testing.assert_array_equal(x.grad, [1, 0])  # 300² is infinite forwards
    f = lambda x: np.sum(np.arctan(x))  # noqa: E731
    at = np.array([0.0, 300.0], HALF)
    assert gg.grad(f)(at).dtype == gg.hessian(f)(at).dtype == HALF
    np.testing.assert_allclose(gg.grad(f)(at), [1, 1 / 90_001], rtol=1e-2)
    np.testing.assert_allclose(gg.hessian(f)(at)[1, 1], -2 * 300 / 90_001**2, atol=6e-8)


def test_a_hook_may_change_the_gradient() -> None:
    x = leaf(np.ones(2, HALF))
    y = 1.0 * x
    y.register_hook(lambda g: 2 * g)
    np.sum(y * np.array([1, 3], HALF)).backward()
    np.testing.assert_array_equal(x.grad, [2, 6])


def test_rules_of_a_users_own_get_float32() -> None:
    seen = []

    def rule(g: Any, x: Any, out: Any) -> Any:
        seen.extend([g.dtype, x.dtype, out.dtype])
        return g * 2 * x

    own = gg.op(lambda x: x * x, rule, name="own", elementwise=True)
    assert gg.grad(lambda x: np.sum(own(x)))(np.ones(3, HALF)).dtype == HALF
    assert set(seen) == {np.dtype(np.float32)}
