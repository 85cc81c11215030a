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

from tests.parity.compare import OURS, THEIRS, derivatives  # noqa: E402
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


def call_of(name: str, case: Case, function: Any) -> Any:
    """Make the call of the variables alone; what PyTorch gets is in its tensors."""

    def call(*variables: Any) -> Any:
        args, kwargs = case.arguments(list(map(BEFORE.get(name, lambda x: x), variables)))
        if function is not case.op:
            leaves, rebuild = flatten((args, kwargs))
            args, kwargs = rebuild(
                [torch.as_tensor(np.array(x)) if isinstance(x, np.ndarray) else x for x in leaves]
            )
        result = function(*args, **kwargs)
        if function is case.op and name in AFTER and isinstance(result, tuple):
            return AFTER[name](*result)
        if result is NotImplemented:
            raise NotImplementedError
        return result

    return call


@pytest.mark.parametrize("name", [name for name in EVERY_OP if name in COUNTERPARTS])
def test_agrees_with_pytorch(name: str) -> None:
    op = EVERY_OP[name]
    compared = 0
    for call in (*typical_calls(op), *random_calls(op)):
        case = Case(op, call)
        theirs, ours = (call_of(name, case, function) for function in (COUNTERPARTS[name], op))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PyTorch's
            try:
                expected = derivatives(THEIRS, theirs, case.points, 2)
            except NotImplementedError:
                continue
        found = derivatives(OURS, ours, case.points, 2)
        for number, (a, b) in enumerate(zip(found, expected, strict=True)):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9, err_msg=f"{case}: {number}")
        compared += 1
    assert compared


def test_every_op_has_its_counterpart_or_a_reason() -> None:
    missing = {name for name in EVERY_OP if name not in COUNTERPARTS and name not in ABSENT}
    assert not missing
    assert not set(ABSENT) & set(COUNTERPARTS)
