"""Every op that PyTorch has too: value, gradients, and gradients of the gradients."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.checks.laws import AnyOp, Case
from graphgrad.engine.domains import Call
from graphgrad.engine.trees import flatten
from graphgrad.testing import calls, typical_calls
from tests.every_op import EVERY_OP

torch = pytest.importorskip("torch")

from tests.parity.counterparts import ABSENT, COUNTERPARTS  # noqa: E402

RANDOM_CALLS = 4  # beside the typical ones


# What both sides compute of the inputs first: both libraries read one triangle of a symmetric
# matrix, but PyTorch gives the gradient of the symmetrised one.
def symmetric(a: Any) -> Any:
    return (a + a.mT) / 2


BEFORE = {"cholesky": symmetric, "eigh": symmetric, "eigvalsh": symmetric}

# What is compared of our outputs, where the sign of vectors is arbitrary.
AFTER: dict[str, Callable[..., Any]] = {
    "eigh": lambda w, v: (w, gg.einsum("...ik,...jk->...kij", v, v)),
    "svd": lambda u, s, vh: (s, gg.einsum("...ik,...kj->...kij", u, vh)),
    "qr": lambda q, r: gg.einsum("...ik,...kj->...kij", q, r),
}


def random_calls(op: AnyOp) -> list[Call]:
    """Draw calls as the tests of the laws do."""
    from hypothesis import HealthCheck, Phase, given, settings

    found: list[Call] = []

    @settings(
        max_examples=RANDOM_CALLS,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(calls(op))
    def collect(drawn: Call) -> None:
        found.append(drawn)

    collect()
    return found


def ours(name: str, case: Case, weights: np.random.Generator) -> list[Any]:
    """Return values, gradients and second gradients."""
    variables = [gg.Tensor(p, requires_grad=True) for p in case.points]
    args, kwargs = case.arguments(list(map(BEFORE.get(name, lambda x: x), variables)))
    result = case.op(*args, **kwargs)
    if name in AFTER and isinstance(result, tuple):
        result = AFTER[name](*result)
    outs = [y for y in flatten(result)[0] if y.dtype.kind == "f"]
    total: Any = sum((y * weights.uniform(-1, 1, y.shape)).sum() for y in outs)
    grads = first = [gg.Tensor(np.zeros(p.shape)) for p in case.points]
    second = first
    if isinstance(total, gg.Tensor) and total.requires_grad:
        grads = gg.gradients(total, variables, create_graph=True)
        slope: Any = sum((g * weights.uniform(-1, 1, g.shape)).sum() for g in grads)
        if slope.requires_grad:
            second = gg.gradients(slope, variables)
    return [y._array if isinstance(y, gg.Tensor) else y for y in (*outs, *grads, *second)]


def theirs(function: Any, name: str, case: Case, weights: np.random.Generator) -> Any:
    """Do the same in PyTorch."""
    variables = [torch.tensor(p, requires_grad=True) for p in case.points]
    args, kwargs = case.arguments(list(map(BEFORE.get(name, lambda x: x), variables)))
    leaves, rebuild = flatten((args, kwargs))
    args, kwargs = rebuild(
        [torch.as_tensor(np.array(x)) if isinstance(x, np.ndarray) else x for x in leaves]
    )
    result = function(*args, **kwargs)
    if result is NotImplemented:
        return result
    outs = [y for y in flatten(result)[0] if y.is_floating_point()]
    total: Any = sum((y * torch.tensor(weights.uniform(-1, 1, tuple(y.shape)))).sum() for y in outs)
    grads = second = [torch.zeros(p.shape, dtype=torch.float64) for p in case.points]
    options = {"allow_unused": True, "materialize_grads": True}
    if total.requires_grad:
        grads = torch.autograd.grad(total, variables, create_graph=True, **options)
        slope: Any = sum(
            (g * torch.tensor(weights.uniform(-1, 1, tuple(g.shape)))).sum() for g in grads
        )
        if slope.requires_grad:
            second = torch.autograd.grad(slope, variables, **options)
    return [y.detach().numpy(force=True) for y in (*outs, *grads, *second)]


@pytest.mark.parametrize("name", [name for name in EVERY_OP if name in COUNTERPARTS])
def test_agrees_with_pytorch(name: str) -> None:
    op = EVERY_OP[name]
    compared = 0
    for call in (*typical_calls(op), *random_calls(op)):
        case = Case(op, call)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PyTorch's
            reference = theirs(COUNTERPARTS[name], name, case, np.random.default_rng(0))
        if reference is NotImplemented:
            continue
        found = ours(name, case, np.random.default_rng(0))
        for number, (a, b) in enumerate(zip(found, reference, strict=True)):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9, err_msg=f"{case}: {number}")
        compared += 1
    assert compared


def test_every_op_has_its_counterpart_or_a_reason() -> None:
    missing = {name for name in EVERY_OP if name not in COUNTERPARTS and name not in ABSENT}
    assert not missing
    assert not set(ABSENT) & set(COUNTERPARTS)
