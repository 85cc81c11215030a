"""Choices that ops make on the way: at their kinks, each is known to the gradient check."""

import contextlib
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.checks.gradcheck import gradcheck
from graphgrad.checks.laws import Case
from graphgrad.errors import ArgumentError, GraphError, LinalgError, ShapeError
from graphgrad.testing import Sampler, typical_calls
from tests.every_module import EXAMPLES
from tests.every_op import EVERY_OP

ON_KINKS: dict[str, Any] = {  # numbers among which are the ties, zeros and bounds of most ops
    "whole numbers": np.round,
    "ones": np.ones_like,
    "zeros": np.zeros_like,
}
OUTSIDE = {  # where the matrix is singular they have no derivative, and neither kink nor jump
    "qr",
    "qr_r",
    "cond",
}


def undeclared(report: Any) -> list[Any]:
    """List the elements at kinks that nothing declares, and the wrong ones."""
    return [
        (c.name, index, judged)
        for c in report.comparisons
        for index, judged in c.judged.items()
        if judged.verdict == "WRONG" or "declare it" in judged.why
    ]


@pytest.mark.parametrize("name", [n for n in EVERY_OP if n not in OUTSIDE])
def test_every_op_declares_its_kinks(name: str) -> None:
    one = EVERY_OP[name]
    if one.domain is None:
        return
    for call in typical_calls(one):
        for numbers in ON_KINKS.values():
            case = Case(one, call)
            case.points = [np.asarray(numbers(p)) for p in case.points]
            if not any(p.size for p in case.points):
                continue
            with (
                np.errstate(all="ignore"),
                contextlib.suppress(LinalgError, GraphError, ShapeError),
            ):
                report = gradcheck(case.run, *case.points, elements=2)
                assert not undeclared(report), f"{case}\n{report}"


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_module_declares_its_kinks(name: str) -> None:
    for numbers in ON_KINKS.values():
        rng = np.random.default_rng(0)
        module = EXAMPLES[name].make(rng, np.float64)
        for p in module.parameters():
            p.data = numbers(p.data)
        inputs = EXAMPLES[name].inputs(Sampler(rng=rng))
        moved = [numbers(x) if getattr(x, "dtype", None) == np.float64 else x for x in inputs]
        with np.errstate(all="ignore"), contextlib.suppress(ArgumentError):
            report = gradcheck(module, *moved, fast=True)
            assert not undeclared(report), report


QUESTIONS: dict[str, Any] = {
    "interp": lambda x: np.interp(x, [0.0, 1.0, 2.0], [0.0, 3.0, 1.0]),
    "astype": lambda x: x * x.astype(int),
    "histogram": lambda x: x * np.histogram(x, [0.0, 1.0, 2.0])[0][0],
    "searchsorted": lambda x: x * np.searchsorted([0.0, 1.0, 2.0], x),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_is_computed_without_a_graph_is_a_choice(name: str) -> None:
    report = gradcheck(QUESTIONS[name], 1.0)
    assert not undeclared(report)
    assert name in str(report)


def test_equal_eigenvalues_are_a_kink() -> None:
    """Each is the smaller or the larger of two that cross; their vectors jump."""
    assert "at a kink: eigvalsh" in str(gradcheck(np.linalg.eigvalsh, np.eye(2)))
    report = gradcheck(lambda x: np.linalg.eigh(x)[1], np.diag([1.0, 1 + 1e-15]))
    assert "not differentiable: eigh" in str(report)
    assert gradcheck(lambda x: gg.linalg.norm(x, "nuc"), np.ones((3, 3)))
