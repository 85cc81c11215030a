"""Learning rates and momenta that change while learning.

A schedule is a pure function of the number of steps taken, ``schedule.lr_at(t)``, which can
be drawn without training anything, and a thin shell that counts the steps and writes what
the function says into ``optimizer.param_groups``::

    schedule = optim.CosineAnnealingLR(optimizer, T_max=95, warmup=5)
    for epoch in range(100):
        train(...)
        schedule.step()

Names, arguments and values are PyTorch's where it has the schedule. What ``t`` counts,
batches or epochs, is up to who calls ``step()``. Each group keeps a rate of its own: as in
PyTorch, its entry ``"initial_lr"`` holds the rate from which the schedules start, made from
``"lr"`` by the first of them. A rate set by hand lasts until the next ``step()``; to start
again from another rate, set ``"initial_lr"`` before a new schedule is made.

A schedule says what the rate is, so an optimizer follows one: the last that was made for it. To
step an older one is an error; `SequentialLR` lets several take turns. Only `ReduceLROnPlateau`, in
a module of its own, depends on how the training goes. It works beside a schedule: its drops stand
in the entry ``"lr_scale"`` of a group, by which every schedule multiplies its rates.
"""

import itertools
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from graphgrad.arguments import (
    CALLED,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    guarded,
    non_negative,
    several,
    whole,
)
from graphgrad.engine.graph import tick
from graphgrad.engine.recording import outside_traces
from graphgrad.errors import ArgumentError, GraphError, ShapeError
from graphgrad.optim.arguments import check_names, groups_of, rates_of
from graphgrad.optim.optimizer import Optimizer
from graphgrad.reprs import Described, counted


class Schedule(Described):
    """What all schedules share: the number of steps taken, and the groups they write to.

    The groups get the values of t = 0 at once. A schedule of yours gives `values`.
    """

    compiled_as_object: ClassVar[bool] = True
    t: int  # the number of steps taken

    @guarded
    def __init__(self, optimizer: Optimizer) -> None:
        groups_of(optimizer)
        self.optimizer = optimizer
        self.initial_lrs: list[float] = []
        self.t = 0
        self._number = tick()
        self._meet_groups()
        everything = self._all_values(0)
        self._writes = sorted({key for values in everything for key in values})
        # numbers, not the schedules themselves: no reference leads back from the optimizer
        optimizer.scheduled_by |= dict.fromkeys(self._writes, self._number)
        self._write(everything)

    def values(self, t: int, group: int, initial_lr: float) -> dict[str, float]:
        """Return what stands in a group after ``t`` steps: ``{"lr": 0.1}``."""
        raise NotImplementedError

    def check_followed(self) -> None:
        """Refuse to go on beside a newer schedule of the same values.

        Raises
        ------
        GraphError
            If the optimizer follows another one.
        """
        for key in self._writes:
            if self.optimizer.scheduled_by.get(key) != self._number:
                message = (
                    f"{type(self).__name__}: a newer schedule sets the {key} of this optimizer; "
                    "join them by optim.SequentialLR, or write the product as a LambdaLR"
                )
                raise GraphError(message)

    @outside_traces
    def step(self) -> None:
        """Count one step, and write the new values into the groups.

        Raises
        ------
        GraphError
            If a newer schedule sets the same values of this optimizer.
        """
        self.check_followed()
        everything = self._all_values(self.t + 1)
        self.t += 1
        self._write(everything)

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on from here."""
        return {"t": self.t, "initial_lrs": list(self.initial_lrs)}

    @guarded
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was taken, and write the values into the groups.

        Raises
        ------
        ShapeError
            If names are missing or unknown, or the number of groups differs; nothing changed.
        """
        self.check_followed()
        check_names(self.state_dict(), state)
        groups = self.optimizer.param_groups
        rates = rates_of(groups, "initial_lrs", list(state["initial_lrs"]), non_negative)
        self.t = whole(CALLED, "t", state["t"], 0)
        self.initial_lrs = rates
        for group, rate in zip(groups, rates, strict=True):
            group["initial_lr"] = rate
        self._write()

    def _value_at(self, key: str, t: int, group: int) -> float:
        """Return one value after t steps."""
        if group >= len(self.initial_lrs):
            raise ArgumentError(f"{CALLED}: group {group} of {len(self.initial_lrs)}")
        values = self.values(t, group, self.initial_lrs[group])
        if key not in values:
            raise ArgumentError(f"{CALLED}: it does not change the {key}")
        return values[key]

    def _meet_groups(self) -> None:
        """Note the initial rates, also of groups that were added since."""
        for group in self.optimizer.param_groups[len(self.initial_lrs) :]:
            undropped = group["lr"] / (group.get("lr_scale", 1.0) or 1.0)  # by a plateau
            self.initial_lrs.append(float(group.get("initial_lr", undropped)))

    def _all_values(self, t: int) -> list[dict[str, float]]:
        self._meet_groups()
        return [self.values(t, i, rate) for i, rate in enumerate(self.initial_lrs)]

    def _write(self, everything: list[dict[str, float]] | None = None) -> None:
        everything = self._all_values(self.t) if everything is None else everything
        groups = self.optimizer.param_groups
        for group, rate, values in zip(groups, self.initial_lrs, everything, strict=True):
            group.setdefault("initial_lr", rate)
            for key, value in values.items():
                if key == "momentum" and key not in group:  # as Adam calls it
                    group["betas"] = (value, *group["betas"][1:])
                elif key == "lr":
                    group["lr"] = value * group.get("lr_scale", 1.0)
                else:
                    group[key] = value

    def _state(self) -> str:
        """Say how many steps were taken, and what stands in the groups now."""
        return f"after {counted(self.t, 'step')}: {', '.join(now(self.optimizer, self._writes))}"


# ------------------------------------------------------------------------- learning rates


class RateSchedule(Schedule):
    """A learning rate as a function of t and the initial rate: subclasses give `rate`.

    ``warmup=n``, an argument of them all, puts n steps in front during which the rate rises
    along a straight line, lr(t) = lr₀ (t + 1)/(n + 1), lr₀ being the schedule's first rate;
    at t = n the schedule begins with its own t = 0. The first rate is never 0, which would
    waste a step.
    """

    @guarded
    def __init__(self, optimizer: Optimizer, warmup: NonNegativeInt = 0) -> None:
        self.warmup = warmup
        super().__init__(optimizer)

    def rate(self, t: int, initial_lr: float) -> float:
        """Return the rate after t steps, warm-up apart."""
        raise NotImplementedError

    def values(self, t: int, group: int, initial_lr: float) -> dict[str, float]:  # noqa: ARG002
        """Put the warm-up in front of the rate."""
        late = max(t - self.warmup, 0)
        early = min(1.0, (t + 1) / (self.warmup + 1))
        return {"lr": float(early * self.rate(late, initial_lr))}

    @guarded
    def lr_at(self, t: NonNegativeInt, group: NonNegativeInt = 0) -> float:
        """Return the learning rate after ``t`` steps, whatever was done so far."""
        return self._value_at("lr", t, group)

    def get_last_lr(self) -> list[float]:
        """Return the learning rate of each group now."""
        return [group["lr"] for group in self.optimizer.param_groups]


class StepLR(RateSchedule):
    """A drop every few steps: lr = lr₀ γ^⌊t / step_size⌋.

    The CS231n notes name a half every 5 epochs, a tenth every 20.
    """

    @guarded
    def __init__(
        self,
        optimizer: Optimizer,
        step_size: PositiveInt,
        gamma: PositiveFloat = 0.1,
        *,
        warmup: NonNegativeInt = 0,
    ) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, warmup)

    def rate(self, t: int, initial_lr: float) -> float:
        """Lr = lr₀ γ^⌊t / step_size⌋."""
        return float(initial_lr * self.gamma ** (t // self.step_size))


class MultiStepLR(RateSchedule):
    """A drop at each milestone: lr = lr₀ γ^(number of milestones ≤ t)."""

    @guarded
    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Sequence[int],
        gamma: PositiveFloat = 0.1,
        *,
        warmup: NonNegativeInt = 0,
    ) -> None:
        self.milestones = increasing(milestones)
        self.gamma = gamma
        super().__init__(optimizer, warmup)

    def rate(self, t: int, initial_lr: float) -> float:
        """Lr = lr₀ γ^(number of milestones ≤ t)."""
        return float(initial_lr * self.gamma ** bisect_right(self.milestones, t))


class ExponentialLR(RateSchedule):
    """Exponential decay: lr = lr₀ γ^t; for the CS231n notes' lr₀ e^(−kt) give γ = e^(−k)."""

    @guarded
    def __init__(
        self, optimizer: Optimizer, gamma: PositiveFloat, *, warmup: NonNegativeInt = 0
    ) -> None:
        self.gamma = gamma
        super().__init__(optimizer, warmup)

    def rate(self, t: int, initial_lr: float) -> float:
        """Lr = lr₀ γ^t."""
        return float(initial_lr * self.gamma**t)


class InverseTimeLR(RateSchedule):
    """1/t decay: lr = lr₀ / (1 + kt), halved after 1/k steps, as in the CS231n notes."""

    @guarded
    def __init__(
        self, optimizer: Optimizer, k: NonNegativeFloat, *, warmup: NonNegativeInt = 0
    ) -> None:
        self.k = k
        super().__init__(optimizer, warmup)

    def rate(self, t: int, initial_lr: float) -> float:
        """Lr = lr₀ / (1 + kt)."""
        return initial_lr / (1 + self.k * t)


class CosineAnnealingLR(RateSchedule):
    """Half a cosine: lr = η + (lr₀ − η)(1 + cos(πt / T_max))/2, η = eta_min.

    Behind T_max it rises again along the same cosine, as PyTorch's does. Without the
    restarts of Loshchilov and Hutter, "SGDR", 2017, equation 5. T_max does not count the
    steps of ``warmup``.
    """

    @guarded
    def __init__(
        self,
        optimizer: Optimizer,
        T_max: PositiveInt,
        eta_min: NonNegativeFloat = 0.0,
        *,
        warmup: NonNegativeInt = 0,
    ) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, warmup)

    def rate(self, t: int, initial_lr: float) -> float:
        """Lr = η + (lr₀ − η)(1 + cos(πt / T_max))/2."""
        return cosine(initial_lr, self.eta_min, t / self.T_max)


class LinearLR(RateSchedule):
    """A straight line from lr₀ · start_factor to lr₀ · end_factor in total_iters steps.

    With its defaults a warm-up, from a third; what follows it is joined by `SequentialLR`.
    ``warmup=`` of the other schedules is the shorter way.
    """

    @guarded
    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: PositiveFloat = 1 / 3,
        end_factor: NonNegativeFloat = 1.0,
        total_iters: PositiveInt = 5,
        *,
        warmup: NonNegativeInt = 0,
    ) -> None:
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, warmup)

    def rate(self, t: int, initial_lr: float) -> float:
        """Lr = lr₀ (start + (end − start) t / total_iters), and the end from there on."""
        return initial_lr * line(self.start_factor, self.end_factor, min(t / self.total_iters, 1.0))


class LambdaLR(RateSchedule):
    """A schedule by a function of yours, which is no part of the state: lr = lr₀ f(t)."""

    @guarded
    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float],
        *,
        warmup: NonNegativeInt = 0,
    ) -> None:
        self.lr_lambda = lr_lambda
        super().__init__(optimizer, warmup)

    def rate(self, t: int, initial_lr: float) -> float:
        """Lr = lr₀ f(t)."""
        return initial_lr * non_negative("LambdaLR", f"lr_lambda({t})", self.lr_lambda(t))


class SequentialLR(RateSchedule):
    """One schedule after the other: at each milestone the next begins, with its own t = 0.

        warm = optim.LinearLR(optimizer, 0.1, total_iters=5)
        cool = optim.CosineAnnealingLR(optimizer, T_max=95)
        schedule = optim.SequentialLR(optimizer, [warm, cool], milestones=[5])

    All are of this optimizer. Each starts from the initial rate, not from where the one before
    it ended. Only this one is stepped and saved.
    """

    @guarded
    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[RateSchedule], milestones: Sequence[int]
    ) -> None:
        self.schedulers = list(schedulers)
        self.milestones = increasing(milestones)
        if len(self.schedulers) != len(self.milestones) + 1:
            message = (
                f"SequentialLR: {len(self.schedulers)} schedules and {len(self.milestones)} "
                "milestones; between two schedules stands one milestone"
            )
            raise ShapeError(message)
        for i, part in enumerate(self.schedulers):
            if not isinstance(part, RateSchedule) or part.optimizer is not optimizer:
                message = (
                    f"SequentialLR: {i} is no schedule of the learning rate by t, made for this "
                    "optimizer"
                )
                raise GraphError(message)
        super().__init__(optimizer)

    def values(self, t: int, group: int, initial_lr: float) -> dict[str, float]:
        """Ask the schedule whose turn it is."""
        turn = bisect_right(self.milestones, t)
        start = self.milestones[turn - 1] if turn else 0
        return self.schedulers[turn].values(t - start, group, initial_lr)


# --------------------------------------------------------------------------------- curves


def line(start: float, end: float, passed: float) -> float:
    """Go from start to end along a straight line."""
    return start + (end - start) * passed


def cosine(start: float, end: float, passed: float) -> float:
    """Go from start to end along half a cosine, flat at both."""
    return end + (start - end) * (1 + math.cos(math.pi * passed)) / 2


def now(optimizer: Optimizer, keys: Sequence[str]) -> list[str]:
    """Write what stands in the groups of an optimizer: ``["lr 0.1, 0.01", "momentum 0.9"]``."""
    found = []
    for key in keys:
        held = [g[key] if key in g else g["betas"][0] for g in optimizer.param_groups]
        found.append(f"{key} {', '.join(f'{value:g}' for value in held)}")
    return found


def increasing(milestones: Iterable[int]) -> list[int]:
    """Require whole numbers, each above the one before it and above 0."""
    given = several(CALLED, "milestones", milestones, "numbers of steps")
    checked = [whole(CALLED, "a milestone", m, 1) for m in given]
    if any(a >= b for a, b in itertools.pairwise(checked)):
        raise ArgumentError(f"{CALLED}: milestones {checked} must increase")
    return checked
