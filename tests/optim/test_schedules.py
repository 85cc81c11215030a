"""Schedules: the values of PyTorch written down, the shell around them, and what they refuse."""

import functools
import math
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import optim
from graphgrad.errors import ArgumentError, DtypeError, GraphError, NonFiniteError, ShapeError
from tests.builders import every_refusal, leaf
from tests.groups import Groups


def groups(lr: float = 0.5, **options: Any) -> Groups:
    return Groups({"lr": lr, "momentum": 0.9, **options})


def two() -> Groups:
    return Groups({"lr": 1.0, "momentum": 0.9}, {"lr": 0.1, "momentum": 0.9})


def rates(optimizer: Any) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def sequence(m: Any, o: Any, **more: Any) -> Any:
    parts = [m.LinearLR(o, 0.25, total_iters=3), m.CosineAnnealingLR(o, 4)]
    return m.SequentialLR(o, parts, milestones=[3], **more)


# Arguments are written as for PyTorch: `m` is graphgrad.optim or torch's lr_scheduler.
SCHEDULES: dict[str, Any] = {
    "StepLR": lambda m, o, **more: m.StepLR(o, 3, gamma=0.5, **more),
    "MultiStepLR": lambda m, o, **more: m.MultiStepLR(o, [2, 5], **more),
    "ExponentialLR": lambda m, o, **more: m.ExponentialLR(o, 0.8, **more),
    "InverseTimeLR": lambda m, o, **more: m.InverseTimeLR(o, 0.25, **more),
    "CosineAnnealingLR": lambda m, o, **more: m.CosineAnnealingLR(o, 6, eta_min=0.1, **more),
    "LinearLR": lambda m, o, **more: m.LinearLR(o, 0.2, total_iters=4, **more),
    "LambdaLR": lambda m, o, **more: m.LambdaLR(o, lambda t: max(0, 1 - t / 5), **more),
    "SequentialLR": sequence,
    "OneCycleLR": lambda m, o, **more: m.OneCycleLR(o, 1.0, 8, **more),
}
# What PyTorch 2.13 gives from lr = 0.5, but for InverseTimeLR: 0.5 / (1 + 0.25 t).
VALUES: dict[str, list[float]] = {
    "StepLR": [0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125],
    "MultiStepLR": [0.5, 0.5, 0.05, 0.05, 0.05, 0.005, 0.005, 0.005],
    "ExponentialLR": [0.5, 0.4, 0.32, 0.256, 0.2048, 0.16384, 0.131072, 0.1048576],
    "InverseTimeLR": [0.5, 0.4, 1 / 3, 2 / 7, 0.25, 2 / 9, 0.2, 2 / 11],
    "CosineAnnealingLR": [0.5, 0.473205080757, 0.4, 0.3, 0.2, 0.126794919243, 0.1, 0.126794919243],
    "LinearLR": [0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.5],
    "LambdaLR": [0.5, 0.4, 0.3, 0.2, 0.1, 0.0, 0.0, 0.0],
    "SequentialLR": [0.125, 0.25, 0.375, 0.5, 0.426776695297, 0.25, 0.073223304703, 0.0],
    "OneCycleLR": [
        *(0.04, 0.819275104892, 0.971941777388, 0.81174565395),
        *(0.555984014123, 0.283060998209, 0.076641593834, 4e-06),
    ],
}


def made(name: str, optimizer: Any, **more: Any) -> Any:
    return SCHEDULES[name](optim, optimizer, **more)


@pytest.mark.parametrize("name", VALUES)
def test_values(name: str) -> None:
    expected = VALUES[name]
    optimizer = groups()
    schedule = made(name, optimizer)
    found = []
    for _ in expected:
        found.append(optimizer.param_groups[0]["lr"])
        assert schedule.get_last_lr() == [found[-1]]
        schedule.step()
    assert found == pytest.approx(expected, rel=1e-10, abs=1e-12)
    assert schedule.t == len(expected)
    assert [schedule.lr_at(t) for t in range(8)] == found, "without a step, and after them all"


def test_values_of_the_momentum() -> None:
    optimizer = groups()
    schedule = optim.OneCycleLR(optimizer, 1.0, 8)
    expected = [0.95, 0.868825509907, 0.852805833485, 0.868825509907]
    expected += [0.894401776195, 0.921694186956, 0.942336209961, 0.95]
    assert [schedule.momentum_at(t) for t in range(8)] == pytest.approx(expected, rel=1e-10)
    schedule.step()
    assert optimizer.param_groups[0]["momentum"] == pytest.approx(expected[1])


def test_values_in_three_phases() -> None:
    schedule = optim.OneCycleLR(groups(), 1.0, 8, pct_start=0.4, three_phase=True)
    expected = [0.04, 0.451688877629, 0.980556627335, 0.719399206241]
    expected += [0.116198304241, 0.034970717942, 0.012910611469, 4e-06]
    assert [schedule.lr_at(t) for t in range(8)] == pytest.approx(expected, rel=1e-10)


def test_the_momentum_rises_along_a_line() -> None:
    optimizer = groups()
    schedule = optim.MomentumSchedule(optimizer, total_steps=49)
    found = []
    for _ in range(51):
        found.append(optimizer.param_groups[0]["momentum"])
        schedule.step()
    assert found == pytest.approx([min(0.5 + 0.01 * t, 0.99) for t in range(51)])
    assert rates(optimizer) == [0.5]
    assert schedule.momentum_at(49) == 0.99


def test_of_adam_it_is_the_first_beta() -> None:
    optimizer = Groups({"lr": 0.5, "betas": (0.9, 0.999)})
    optim.MomentumSchedule(optimizer, total_steps=10).step()
    assert optimizer.param_groups[0]["betas"] == pytest.approx((0.549, 0.999))
    assert "momentum" not in optimizer.param_groups[0]


def test_groups_keep_rates_of_their_own() -> None:
    optimizer = two()
    schedule = optim.StepLR(optimizer, 2, gamma=0.5)
    for _ in range(5):
        schedule.step()
    assert rates(optimizer) == [0.25, 0.025]
    assert (schedule.lr_at(5), schedule.lr_at(5, 1)) == (0.25, 0.025)
    optim.OneCycleLR(optimizer, max_lr=[5.0, 0.5], total_steps=4)
    assert rates(optimizer) == pytest.approx([0.2, 0.02])


def test_a_group_that_came_later_starts_from_its_own_rate() -> None:
    optimizer = groups(1.0)
    schedule = optim.ExponentialLR(optimizer, 0.5)
    schedule.step()
    optimizer.param_groups.append({"lr": 8.0})
    schedule.step()
    assert rates(optimizer) == [0.25, 2.0]


WARMED = {n: s for n, s in SCHEDULES.items() if n not in ("SequentialLR", "OneCycleLR")}
WARMED["LinearLR"] = lambda m, o, **more: m.LinearLR(o, 1.0, 0.1, **more)


@pytest.mark.parametrize("name", WARMED)
def test_warmup_is_a_line_followed_by_the_schedule(name: str) -> None:
    """`warmup=4` says what PyTorch's users write as a LinearLR and a SequentialLR."""
    short = WARMED[name](optim, groups(), warmup=4)
    o = groups()
    parts = [optim.LinearLR(o, 1 / 5, total_iters=4), WARMED[name](optim, o)]
    long = optim.SequentialLR(o, parts, milestones=[4])
    found = [short.lr_at(t) for t in range(12)]
    assert found == pytest.approx([long.lr_at(t) for t in range(12)])
    assert found[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


def test_one_cycle_ends() -> None:
    """step() is called after the last batch too; one more is a mistake in the counting."""
    optimizer = groups()
    schedule = optim.OneCycleLR(optimizer, 1.0, epochs=1, steps_per_epoch=3)
    for _ in range(3):
        schedule.step()
    last = rates(optimizer)
    assert last == pytest.approx([4e-6])
    with pytest.raises(ShapeError, match="step 4 of 3"):
        schedule.step()
    assert schedule.t == 3
    assert rates(optimizer) == last


@pytest.mark.parametrize("steps", [1, 2, 10])
@pytest.mark.parametrize(
    ("pct", "three_phase"),
    [(0.0, False), (0.1, False), (0.5, False), (1.0, False), (0.0, True), (0.1, True), (0.5, True)],
)
def test_one_cycle_is_defined_at_every_step(steps: int, pct: float, three_phase: bool) -> None:
    """PyTorch divides by zero where a phase has no length: 10 steps of which 0.1 rise."""
    schedule = optim.OneCycleLR(groups(), 1.0, steps, pct_start=pct, three_phase=three_phase)
    assert all(4e-6 * 0.99 <= schedule.lr_at(t) <= 1.0 for t in range(steps + 1))
    assert schedule.lr_at(steps) == pytest.approx(4e-6)
    assert schedule.lr_at(steps - 1) == pytest.approx(1.0 if pct == 1.0 else 4e-6)


def quartic(w: gg.Tensor) -> gg.Tensor:
    return (w**4).sum() + w.sum()


START = [1.0, -2.0]


def trained(optimizer: Any, schedules: list[Any], steps: int) -> Any:
    (w,) = optimizer.param_groups[0]["params"]
    for _ in range(steps):
        optimizer.zero_grad()
        quartic(w).backward()
        optimizer.step()
        for schedule in schedules:
            schedule.step()
    return w.numpy()


@pytest.mark.parametrize(
    "make",
    [lambda p: optim.SGD(p, 0.01, momentum=0.9, nesterov=True), lambda p: optim.Adam(p, 0.01)],
)
@pytest.mark.parametrize("optimizer_first", [True, False])
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(make: Any, optimizer_first: bool) -> None:
    """The optimizer's state holds the rate, and the initial rate; so does the schedule's."""

    def all_of(w: gg.Tensor) -> list[Any]:
        optimizer = make([w])
        warm = optim.CosineAnnealingLR(optimizer, 20, warmup=3)
        return [optimizer, warm, optim.MomentumSchedule(optimizer, 20)]

    optimizer, *schedules = all_of(leaf(START))
    whole = trained(optimizer, schedules, 12).copy()
    first = all_of(leaf(START))
    half = trained(first[0], first[1:], 5)
    second = all_of(leaf(half))
    pairs = list(zip(second, first, strict=True))
    for mine, theirs in pairs if optimizer_first else pairs[::-1]:
        mine.load_state_dict(theirs.state_dict())
    np.testing.assert_array_equal(trained(second[0], second[1:], 7), whole)


def drops(metrics: list[float], **options: Any) -> list[int]:
    optimizer = groups(1.0)
    schedule = optim.ReduceLROnPlateau(optimizer, **options)
    found = []
    for i, metric in enumerate(metrics):
        before = rates(optimizer)
        schedule.step(metric)
        if rates(optimizer) != before:
            found.append(i)
    return found


SLOWLY = [1.0 - 0.001 * i for i in range(6)]


@pytest.mark.parametrize(
    ("metrics", "options", "expected"),
    [
        # after more than patience bad epochs
        ([1.0] * 10, {"patience": 3}, [4, 8]),
        ([1.0, 1.0, 1.0, 0.9, 0.9, 0.9, 0.9], {"patience": 2}, [6]),
        ([0.1, 0.2, 0.3, 0.4, 0.4, 0.4], {"patience": 1, "mode": "max"}, [5]),
        # after a drop it waits
        ([1.0] * 9, {"patience": 1, "cooldown": 0}, [2, 4, 6, 8]),
        ([1.0] * 9, {"patience": 1, "cooldown": 2}, [2, 6]),
        # what counts as better
        (SLOWLY, {"patience": 1}, []),
        (SLOWLY, {"patience": 1, "threshold": 0.1}, [2, 4]),
        (SLOWLY, {"patience": 1, "threshold": 1e-5, "threshold_mode": "abs"}, []),
        # best · (1 − threshold), as PyTorch writes it, lies above a negative best
        ([-1.0] * 10, {"patience": 3}, [4, 8]),
        ([-2.0] * 5, {"patience": 3, "mode": "max"}, [4]),
    ],
)
def test_when_a_plateau_drops(metrics: list[float], options: Any, expected: list[int]) -> None:
    assert drops(metrics, **options) == expected


def test_the_rate_has_a_floor() -> None:
    optimizer = two()
    schedule = optim.ReduceLROnPlateau(optimizer, patience=0, min_lr=[0.05, 0.0])
    for _ in range(4):
        schedule.step(1.0)
    assert rates(optimizer) == pytest.approx([0.05, 1e-4])


def test_a_group_added_later_has_the_floor_of_the_last_one() -> None:
    optimizer = two()
    schedule = optim.ReduceLROnPlateau(optimizer, patience=0, min_lr=[0.0, 0.05])
    optimizer.param_groups.append({"lr": 0.1, "momentum": 0.9})
    for _ in range(4):
        schedule.step(1.0)
    assert rates(optimizer)[2] == pytest.approx(0.05)


def test_a_metric_of_nan_is_an_error_and_counts_for_nothing() -> None:
    optimizer = groups()
    schedule = optim.ReduceLROnPlateau(optimizer, patience=0)
    schedule.step(1.0)
    before = schedule.state_dict()
    with pytest.raises(NonFiniteError, match=r"NaN; call loss\.explain_nan\(\)"):
        schedule.step(math.nan)
    assert schedule.state_dict() == before
    schedule.step(math.inf)  # worse than any, and no mistake
    assert rates(optimizer) == [0.05]


STATEFUL: dict[str, Any] = {
    **{name: functools.partial(made, name) for name in SCHEDULES},
    "MomentumSchedule": lambda o: optim.MomentumSchedule(o, 10),
    "ReduceLROnPlateau": lambda o: optim.ReduceLROnPlateau(o, patience=1, cooldown=1),
}
KEYS = {"MomentumSchedule": ["momentum"], "OneCycleLR": ["lr", "momentum"]}  # what they write


@pytest.mark.parametrize("name", STATEFUL)
def test_going_on_from_a_state(name: str) -> None:
    """Whatever the optimizer held before: the values are functions of the state."""
    metric = [1.0] if name == "ReduceLROnPlateau" else []
    optimizer = groups()
    schedule = STATEFUL[name](optimizer)
    for _ in range(3):
        schedule.step(*metric)
    other = groups(lr=77.0, momentum=0.1)
    resumed = STATEFUL[name](other)
    resumed.load_state_dict(schedule.state_dict())
    for _ in range(4):
        for key in KEYS.get(name, ["lr"]):
            assert other.param_groups[0][key] == optimizer.param_groups[0][key]
        schedule.step(*metric)
        resumed.step(*metric)


PLATEAU: Any = optim.ReduceLROnPlateau
WRONG: Any = {
    ArgumentError: {
        r"\[5, 3\] must increase": lambda o: optim.MultiStepLR(o, [5, 3]),
        r"\[5, 5\] must increase": lambda o: optim.MultiStepLR(o, [5, 5]),
        r"lr_lambda\(0\) = -1": lambda o: optim.LambdaLR(o, lambda t: t - 1),
        r"from 0 to 0\.5": lambda o: optim.OneCycleLR(o, 1.0, 5, pct_start=0.6, three_phase=True),
        "give total_steps, or epochs": lambda o: optim.OneCycleLR(o, 1.0),
        "factor = 1": lambda o: optim.ReduceLROnPlateau(o, factor=1.0),
        "t = -1 must be at least 0": lambda o: optim.StepLR(o, 3).lr_at(-1),
        "group 1 of 1": lambda o: optim.StepLR(o, 3).lr_at(0, group=1),
    },
    ShapeError: {
        "1 schedules and 1": lambda o: optim.SequentialLR(o, [optim.StepLR(o, 3)], [3]),
        "2 rates in max_lr for 1 groups": lambda o: optim.OneCycleLR(o, [1.0, 2.0], 5),
        "2 rates in min_lr": lambda o: optim.ReduceLROnPlateau(o, min_lr=[0.1, 0.1]),
    },
    GraphError: {
        "made for this optimizer": lambda o: optim.SequentialLR(o, [optim.StepLR(groups(), 3)], []),
        "no schedule of the learning rate by t": lambda o: optim.SequentialLR(o, [PLATEAU(o)], []),
    },
}


@every_refusal(WRONG)
def test_wrong_arguments_are_refused_and_nothing_changes(kind: Any, says: str, call: Any) -> None:
    optimizer = groups()
    with pytest.raises(kind, match=says) as raised:
        call(optimizer)
    assert "test_schedules.py:" in str(raised.value)
    assert rates(optimizer) == [0.5]
    assert optimizer.param_groups[0]["momentum"] == 0.9


@pytest.mark.parametrize(
    "make",
    [
        lambda o: optim.StepLR(o, 3),
        lambda o: optim.OneCycleLR(o, 1.0, 5),
        lambda o: optim.MomentumSchedule(o, 5),
        optim.ReduceLROnPlateau,
    ],
)
def test_only_an_optimizer_with_a_rate_has_a_schedule(make: Any) -> None:
    for wrong in (object(), [0.1]):
        with pytest.raises(DtypeError, match="must be an Optimizer"):
            make(wrong)
    for rateless in (Groups(), Groups({"momentum": 0.9})):
        with pytest.raises(GraphError, match="no param_groups with an 'lr'"):
            make(rateless)


@pytest.mark.parametrize("name", ["OneCycleLR", "MomentumSchedule"])
def test_an_optimizer_without_momentum_is_named(name: str) -> None:
    optimizer = Groups({"lr": 0.5})
    with pytest.raises(GraphError, match="neither 'momentum' nor 'betas'"):
        STATEFUL[name](optimizer)
    assert optimizer.param_groups == [{"lr": 0.5}]
    schedule = optim.OneCycleLR(optimizer, 1.0, 8, cycle_momentum=False)
    schedule.step()
    with pytest.raises(ArgumentError, match="does not change the momentum"):
        schedule.momentum_at(0)


@pytest.mark.parametrize("name", VALUES)
def test_an_older_schedule_is_refused_beside_a_newer_one(name: str) -> None:
    o = groups()
    older = made(name, o)
    state = {**older.state_dict(), "t": 5}
    newer = optim.StepLR(o, 3)
    before = repr(o.param_groups)
    for act in (older.step, lambda: older.load_state_dict(state)):
        with pytest.raises(GraphError, match=r"a newer schedule sets the lr .*SequentialLR"):
            act()
    for part in getattr(older, "schedulers", []):  # nor are the parts of a sequence
        with pytest.raises(GraphError, match="a newer schedule sets the lr"):
            part.step()
    assert repr(o.param_groups) == before
    assert older.t == 0
    newer.step()


def test_rates_and_momenta_have_a_schedule_each() -> None:
    o = groups()
    rate, momentum = optim.StepLR(o, 1, gamma=0.5), optim.MomentumSchedule(o, 2, 0.5, 0.9)
    for schedule in (rate, momentum, rate, momentum):
        schedule.step()
    assert (o.param_groups[0]["lr"], o.param_groups[0]["momentum"]) == (0.125, 0.9)
    optim.MomentumSchedule(o, 2)
    with pytest.raises(GraphError, match="a newer schedule sets the momentum"):
        momentum.step()


@pytest.mark.parametrize("name", VALUES)
def test_the_drops_of_a_plateau_stay_beside_a_schedule(name: str) -> None:
    o, alone = groups(), groups()
    schedule, undisturbed = made(name, o), made(name, alone)
    plateau = optim.ReduceLROnPlateau(o, factor=0.5, patience=0)
    plateau.step(1.0)  # the best so far: nothing beats it
    for drops in range(1, 4):
        plateau.step(1.0)
        assert rates(o) == pytest.approx([0.5**drops * rate for rate in rates(alone)])
        for each in (schedule, undisturbed):
            each.step()
        assert rates(o) == pytest.approx([0.5**drops * rate for rate in rates(alone)])
    saved = (schedule.state_dict(), plateau.state_dict(), repr(o.param_groups))
    schedule.load_state_dict(saved[0])
    plateau.load_state_dict(saved[1])
    assert repr(o.param_groups) == saved[2]


def test_a_schedule_made_after_a_drop_has_it_once() -> None:
    o = groups(1.0)
    plateau = optim.ReduceLROnPlateau(o, factor=0.1, patience=0)
    for _ in range(2):
        plateau.step(1.0)
    schedule = optim.StepLR(o, 1, gamma=0.5)
    assert rates(o) == pytest.approx([0.1])
    schedule.step()
    assert rates(o) == pytest.approx([0.05])


def test_a_line_of_one_step_ends_at_once() -> None:
    schedule = optim.LinearLR(groups(0.1), 0.5, total_iters=1)
    assert [schedule.lr_at(t) for t in range(3)] == pytest.approx([0.05, 0.1, 0.1])
