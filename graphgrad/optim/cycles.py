"""Schedules that change the momentum, and the one that changes rate and momentum together."""

from collections.abc import Sequence
from typing import Any

from graphgrad.arguments import choice, flag, positive, share, whole
from graphgrad.errors import ArgumentError, ShapeError
from graphgrad.optim.arguments import groups_of, need_momentum
from graphgrad.optim.schedules import RateSchedule, Schedule, cosine, line, value_at

_ANNEALING = {"cos": cosine, "linear": line}


class OneCycleLR(RateSchedule):
    """One rise and one long fall of the rate; the momentum falls and rises against it.

    From max_lr / div_factor up to max_lr during the share pct_start of the steps, then down
    to max_lr / (div_factor · final_div_factor); the momentum (or Adam's β₁) goes from
    max_momentum to base_momentum and back. ``three_phase``: down to where it began in as many
    steps as it rose, and to the end in the rest. Smith and Topin, "Super-Convergence", 2018.

    The rates come from max_lr alone, the optimizer's own play no part. ``step()`` is called
    after every batch; after the last one the values stay, one call more is an error.
    """

    def __init__(
        self,
        optimizer: Any,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        """Take the number of steps, as such or as epochs × steps_per_epoch, and the range."""
        name = "OneCycleLR"
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                message = f"{name}: give total_steps, or epochs and steps_per_epoch"
                raise ArgumentError(message)
            epochs = whole(name, "epochs", epochs, 1)
            total_steps = epochs * whole(name, "steps_per_epoch", steps_per_epoch, 1)
        elif epochs is not None or steps_per_epoch is not None:
            message = f"{name}: give either total_steps, or epochs and steps_per_epoch"
            raise ArgumentError(message)
        self.total_steps = whole(name, "total_steps", total_steps, 1)
        self.three_phase = flag(name, "three_phase", three_phase)
        self.pct_start = share(name, "pct_start", pct_start, 0.5 if three_phase else 1.0)
        self.anneal_strategy = choice(name, "anneal_strategy", anneal_strategy, ("cos", "linear"))
        self._anneal = _ANNEALING[anneal_strategy]
        self.cycle_momentum = flag(name, "cycle_momentum", cycle_momentum)
        self.base_momentum = share(name, "base_momentum", base_momentum)
        self.max_momentum = share(name, "max_momentum", max_momentum)
        self.div_factor = positive(name, "div_factor", div_factor)
        self.final_div_factor = positive(name, "final_div_factor", final_div_factor)
        groups = groups_of(name, optimizer)
        peaks = list(max_lr) if isinstance(max_lr, Sequence) else [max_lr] * len(groups)
        if len(peaks) != len(groups):
            message = f"{name}: {len(peaks)} rates in max_lr for {len(groups)} groups"
            raise ShapeError(message)
        self.max_lr = max_lr
        self.max_lrs = [positive(name, "max_lr", peak) for peak in peaks]
        if cycle_momentum:
            need_momentum(name, groups, "pass cycle_momentum=False")
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

    def momentum_at(self, t: int, group: int = 0) -> float:
        """Return the momentum after ``t`` steps."""
        return value_at(self, "momentum", t, group)


class MomentumSchedule(Schedule):
    """Momentum along a straight line, from ``start`` to ``end`` in ``total_steps`` steps.

    The CS231n notes' typical setting: from 0.5 slowly up to 0.99, over several epochs. With
    Adam and its like it is β₁ that changes. PyTorch has none.
    """

    def __init__(
        self, optimizer: Any, total_steps: int, start: float = 0.5, end: float = 0.99
    ) -> None:
        """Take the number of steps and both ends, from 0 to 1."""
        name = "MomentumSchedule"
        self.total_steps = whole(name, "total_steps", total_steps, 1)
        self.start, self.end = share(name, "start", start), share(name, "end", end)
        need_momentum(name, groups_of(name, optimizer), "use another optimizer")
        super().__init__(optimizer)

    def values(self, t: int, group: int, initial_lr: float) -> dict[str, float]:  # noqa: ARG002
        """Momentum = start + (end − start) t / total_steps, and the end from there on."""
        return {"momentum": line(self.start, self.end, min(t / self.total_steps, 1.0))}

    def momentum_at(self, t: int, group: int = 0) -> float:
        """Return the momentum after ``t`` steps, whatever was done so far."""
        return value_at(self, "momentum", t, group)
