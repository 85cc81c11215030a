"""Optimizers against PyTorch's: all of 20 steps, and the numbers written down elsewhere.

python -m tests.parity.test_optim    prints those numbers
"""

from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import optim
from tests.optimizer_cases import CASES, START, Case, X, Y, loss_of, run

torch = pytest.importorskip("torch")


def pytorchs(case: Case) -> tuple[Any, list[float]]:
    w, b = params = [torch.tensor(p, requires_grad=True) for p in START]
    make = getattr(torch.optim, case.theirs or case.name)
    x, y = torch.tensor(X), torch.tensor(Y)
    return run(make(params, **case.options, **case.extra), params, lambda: loss_of(w, b, x, y))


def test_defaults_are_pytorchs() -> None:
    w, p = gg.Tensor([1.0], requires_grad=True), torch.ones(1, requires_grad=True)
    for name in ("SGD", "Adagrad", "Adadelta", "RMSprop", "Adam", "AdamW", "LBFGS"):
        ours = getattr(optim, name)([w]).param_groups[0]
        theirs = getattr(torch.optim, name)([p]).param_groups[0]
        common = ours.keys() & theirs.keys() - {"params"}
        assert {k: ours[k] for k in common} == {k: theirs[k] for k in common}, name
        assert ours.keys() <= theirs.keys()


@pytest.mark.parametrize("name", CASES)
def test_twenty_steps_are_pytorchs(name: str) -> None:
    case = CASES[name]
    w, b = params = [gg.Tensor(p.copy(), requires_grad=True) for p in START]
    optimizer = getattr(optim, case.name)(params, **case.options)
    points, losses = run(optimizer, params, lambda: loss_of(w, b, X, Y))
    their_points, their_losses = pytorchs(case)
    np.testing.assert_allclose(points, their_points, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(losses, their_losses, rtol=1e-9, atol=1e-9)


def main() -> None:
    """Print the table of tests/optim/test_steps.py."""
    for name, case in CASES.items():
        points, losses = pytorchs(case)
        final = " ".join(f"{v:.9f}" for v in points[-1])
        print(f"{name}: {final} | {losses[9]:.9f} {losses[19]:.9f}")  # noqa: T201


if __name__ == "__main__":
    main()
