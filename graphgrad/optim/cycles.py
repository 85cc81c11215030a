"""Schedules that change the momentum, and the one that changes rate and momentum together."""

from collections.abc import Sequence
from typing import Literal

from graphgrad.arguments import (
    CALLED,
    Fraction,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    guarded,
    positive,
    share,
)
from graphgrad.errors import ArgumentError, ShapeError
from graphgrad.optim.arguments import groups_of, need_momentum, rates_of
from graphgrad.optim.optimizer import Optimizer
from graphgrad.optim.schedules import RateSchedule, Schedule, cosine, line

_ANNEALING = {"cos": cosine, "linear": line}


class OneCycleLR(RateSchedule):
    """One rise and one long fall of the rate; the momentum falls and rises against it.

    From max_lr / div_factor up to max_lr during the share pct_start of the steps, then down
    to max_lr / (div_factor · final_div_factor); the momentum (or Adam's β₁) goes from
    max_momentum to base_momentum and back. ``three_phase``: down to where it began in as many
    steps as it rose, and to the end in the rest. Smith and Topin, "Super-Convergence", 2018.

    The rates come from max_lr alone, the optimizer's own play no part. ``step()`` is called
    after every batch, total_steps or epochs · steps_per_epoch times; one call more is an error.
    """

    @guarded
    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: PositiveInt | None = None,
        epochs: PositiveInt | None = None,
        steps_per_epoch: PositiveInt | None = None,
        pct_start: Fraction = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: Fraction = 0.85,
        max_momentum: Fraction = 0.95,
        div_factor: PositiveFloat = 25.0,
        final_div_factor: PositiveFloat = 1e4,
        three_phase: bool = False,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                message = f"{CALLED}: give total_steps, or epochs and steps_per_epoch"
                raise ArgumentError(message)
            total_steps = epochs * steps_per_epoch
        elif epochs is not None or steps_per_epoch is not None:
            message = f"{CALLED}: give either total_steps, or epochs and steps_per_epoch"
            raise ArgumentError(message)
        self.total_steps = total_steps
        self.three_phase = three_phase
        self.pct_start = share(CALLED, "pct_start", pct_start, 0.5 if three_phase else 1.0)
        self.anneal_strategy = anneal_strategy
        self._anneal = _ANNEALING[anneal_strategy]
        self.cycle_momentum = cycle_momentum
        self.base_momentum = base_momentum
        self.max_momentum = max_momentum
        self.div_factor = div_factor
        self.final_div_factor = final_div_factor
        groups = groups_of(optimizer)
        self.max_lr = max_lr
        self.max_lrs = rates_of(groups, "max_lr", max_lr, positive)
        if cycle_momentum:
            need_momentum(groups, "pass cycle_momentum=False")
        rise, last = self.pct_start * self.total_steps, self.total_steps - 1
        self._ends = [rise - 1, 2 * rise - 2, last] if three_phase else [rise - 1, last]
        super().__init__(optimizer)

    def values(self, t: int, group: int, initial_lr: float) -> dict[str, float]:  # noqa: ARG002
        """Find the phase of t, and how much of it has passed."""
        if t > self.total_steps:
            message = f"OneCycleLR: step {t} of {self.total_steps}; call step() once a batch"
            raise ShapeError(message)
        peak = self.max_lrs[min(group, len(self.max_lrs) - 1)]
        first = peak / self.div_factor
        rates = [first, peak, *([first] if len(self._ends) == 3 else [])]
        rates.append(first / self.final_div_factor)
        high, low = self.max_momentum, self.base_momentum
        momenta = [high, low, high, high]
        phase = next((i for i, end in enumerate(self._ends) if t <= end), len(self._ends) - 1)
        start, end = (self._ends[phase - 1] if phase else 0), self._ends[phase]
        passed = min((t - start) / (end - start), 1.0) if end > start else 1.0
        values = {"lr": self._anneal(rates[phase], rates[phase + 1], passed)}
        if self.cycle_momentum:
            values["momentum"] = self._anneal(momenta[phase], momenta[phase + 1], passed)
        return values

    @guarded
    def momentum_at(self, t: NonNegativeInt, group: NonNegativeInt = 0) -> float:
        """Return the momentum after ``t`` steps."""
        return self._value_at("momentum", t, group)


class MomentumSchedule(Schedule):
    """Momentum along a straight line, from ``start`` to ``end`` in ``total_steps`` steps.

    The CS231n notes' typical setting: from 0.5 slowly up to 0.99, over several epochs. With
    Adam and its like it is β₁ that changes. PyTorch has none.
    """

    @guarded
    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: PositiveInt,
        start: Fraction = 0.5,
        end: Fraction = 0.99,
    ) -> None:
        self.total_steps, self.start, self.end = total_steps, start, end
        need_momentum(groups_of(optimizer), "use another optimizer")
        super().__init__(optimizer)

    def values(self, t: int, group: int, initial_lr: float) -> dict[str, float]:  # noqa: ARG002
        """Momentum = start + (end − start) t / total_steps, and the end from there on."""
        return {"momentum": line(self.start, self.end, min(t / self.total_steps, 1.0))}

    @guarded
    def momentum_at(self, t: NonNegativeInt, group: NonNegativeInt = 0) -> float:
        """Return the momentum after ``t`` steps, whatever was done so far."""
        return self._value_at("momentum", t, group)
