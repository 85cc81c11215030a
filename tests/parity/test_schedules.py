"""Schedules, clipping and averages against PyTorch's, over fifty steps."""

import math
import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.optim import lr_scheduler  # noqa: E402 - only where torch is

import graphgrad as gg  # noqa: E402
from graphgrad import optim  # noqa: E402
from tests.groups import Groups  # noqa: E402
from tests.optim.test_schedules import SCHEDULES as COMMON  # noqa: E402

STEPS = 50
RATES = (0.5, 0.02)

SCHEDULES: dict[str, Any] = {
    **{name: make for name, make in COMMON.items() if name not in ("InverseTimeLR", "OneCycleLR")},
    "cosine, up again": lambda m, o: m.CosineAnnealingLR(o, T_max=20),
    "linear": lambda m, o: m.LinearLR(o),
    "linear, down": lambda m, o: m.LinearLR(o, 1.0, 0.2, total_iters=30),
    "sequence": lambda m, o: m.SequentialLR(
        o,
        [m.LinearLR(o, 0.1, total_iters=5), m.CosineAnnealingLR(o, 30), m.ExponentialLR(o, 0.9)],
        milestones=[5, 35],
    ),
    "one cycle": lambda m, o: m.OneCycleLR(o, max_lr=[1.0, 0.1], total_steps=STEPS),
    "one cycle, linear": lambda m, o: m.OneCycleLR(
        o, 0.3, epochs=10, steps_per_epoch=5, anneal_strategy="linear", pct_start=0.45
    ),
    "one cycle, three phases": lambda m, o: m.OneCycleLR(
        o, 0.3, STEPS, three_phase=True, base_momentum=0.5, div_factor=10, final_div_factor=100
    ),
    "one cycle, rate only": lambda m, o: m.OneCycleLR(o, 0.3, STEPS, cycle_momentum=False),
}


def reference(kind: str) -> Any:
    """Make PyTorch's optimizer with two groups."""
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in RATES]
    if kind == "betas":
        return torch.optim.Adam(groups, lr=1.0)
    return torch.optim.SGD(groups, lr=1.0, momentum=0.9)


def ours(kind: str) -> Groups:
    """Make groups of the same values."""
    extra: dict[str, Any] = {"betas": (0.9, 0.999)} if kind == "betas" else {"momentum": 0.9}
    return Groups(*({"lr": lr, **extra} for lr in RATES))


def read(optimizer: Any) -> list[Any]:
    """List what a schedule may change."""
    return [
        (g["lr"], g["betas"] if "betas" in g else g["momentum"]) for g in optimizer.param_groups
    ]


@pytest.mark.parametrize("kind", ["momentum", "betas"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule(name: str, kind: str) -> None:
    mine, theirs = ours(kind), reference(kind)
    with warnings.catch_warnings():  # PyTorch's own SequentialLR calls what PyTorch deprecates
        warnings.simplefilter("ignore")
        schedule = SCHEDULES[name](optim, mine)
        torch_schedule = SCHEDULES[name](lr_scheduler, theirs)
        for t in range(STEPS):
            for a, b in zip(read(mine), read(theirs), strict=True):
                np.testing.assert_allclose(a[0], b[0], rtol=1e-11, err_msg=f"{t}")
                np.testing.assert_allclose(a[1], b[1], rtol=1e-11, err_msg=f"{t}")
            assert schedule.lr_at(t, 1) == mine.param_groups[1]["lr"]
            schedule.step()
            theirs.step()
            torch_schedule.step()


@pytest.mark.parametrize(
    "options",
    [
        {"patience": 2},
        {"patience": 0, "cooldown": 3, "factor": 0.5},
        {"patience": 1, "threshold": 0.05, "min_lr": [0.01, 0.005]},
        {"patience": 3, "threshold": 0.02, "threshold_mode": "abs"},
        {"patience": 2, "mode": "max", "eps": 1e-3},
    ],
    ids=str,
)
def test_plateau(options: dict[str, Any]) -> None:
    rng = np.random.default_rng(3)
    metrics = 1 + np.exp(-np.arange(STEPS) / 8) + rng.normal(0, 0.05, STEPS)
    mine, theirs = ours("momentum"), reference("momentum")
    schedule = optim.ReduceLROnPlateau(mine, **options)
    torch_schedule = lr_scheduler.ReduceLROnPlateau(theirs, **options)
    for metric in metrics:
        schedule.step(metric)
        torch_schedule.step(metric)
        np.testing.assert_allclose(schedule.get_last_lr(), torch_schedule.get_last_lr(), 1e-12)
    assert mine.param_groups[0]["lr"] < RATES[0], "it did drop"


@pytest.mark.parametrize("p", [1, 2, 2.5, math.inf])
@pytest.mark.parametrize("bound", [0.7, 1e6])
def test_clipping(p: float, bound: float) -> None:
    rng = np.random.default_rng(0)
    grads = [rng.normal(size=shape) for shape in ((3, 4), (5,), ())]
    mine = [gg.Tensor(np.zeros(g.shape), requires_grad=True) for g in grads]
    theirs = [torch.zeros(g.shape, dtype=torch.float64) for g in grads]
    for t, r, g in zip(mine, theirs, grads, strict=True):
        t.grad = g
        r.grad = torch.tensor(g)
    norm = optim.clip_grad_norm(mine, bound, norm_type=p)
    assert norm == pytest.approx(torch.nn.utils.clip_grad_norm_(theirs, bound, p).item(), 1e-12)
    for t, r in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(t.grad, r.grad, rtol=2e-6)
    optim.clip_grad_value(mine, 0.05)
    torch.nn.utils.clip_grad_value_(theirs, 0.05)
    for t, r in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(t.grad, r.grad, rtol=2e-6)


@pytest.mark.parametrize("axis", [0, 1])
def test_max_norm(axis: int) -> None:
    """PyTorch's renorm counts the axis of the units, ours those of one unit's weights."""
    w = np.random.default_rng(0).normal(size=(4, 6))
    mine = gg.Tensor(w, requires_grad=True)
    optim.max_norm_(mine, 2.0, axis=axis)
    np.testing.assert_allclose(mine.data, torch.renorm(torch.tensor(w), 2, 1 - axis, 2.0), 1e-6)
