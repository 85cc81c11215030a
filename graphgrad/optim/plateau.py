"""The schedule that waits until learning stands still."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from graphgrad.arguments import (
    CALLED,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    guarded,
    non_negative,
    positive,
    whole,
)
from graphgrad.engine.recording import outside_traces
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError, NonFiniteError
from graphgrad.optim.arguments import check_names, groups_of, rates_of
from graphgrad.optim.optimizer import Optimizer
from graphgrad.optim.schedules import now
from graphgrad.reprs import Described


class ReduceLROnPlateau(Described):
    """Multiply the rates by ``factor`` when a metric has not improved for a while.

    ``step(metric)`` is called once an epoch, with the validation loss (mode "min") or the
    accuracy ("max"). After more than ``patience`` calls in a row without a new best, the
    rates drop, and the next ``cooldown`` calls are not counted. A metric is a new best if it
    beats the old one by more than ``threshold``, as such ("abs") or times the size of the old
    best ("rel"). The rates stay at or above ``min_lr`` (one, or one per group); changes below
    ``eps`` are not made. Unlike the other schedules it multiplies the rate that it finds, and it
    may stand beside one of them, whose later rates are multiplied too.

    As PyTorch's, but that "rel" takes the size |best|, so that a negative metric can stand
    still too, and that a metric of NaN is an error: nothing has been measured then.

    Raises
    ------
    GraphError
        For an optimizer without param_groups.
    NonFiniteError
        From ``step``, for NaN.
    """

    compiled_as_object: ClassVar[bool] = True

    @guarded
    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: Fraction = 0.1,
        patience: NonNegativeInt = 10,
        threshold: NonNegativeFloat = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: NonNegativeInt = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: NonNegativeFloat = 1e-8,
    ) -> None:
        """Check all of it; nothing is written before the first drop."""
        groups = groups_of(optimizer)
        if factor == 1:
            raise ArgumentError(f"{CALLED}: factor = 1 changes nothing")
        self.optimizer = optimizer
        self.mode = mode
        self.factor = positive(CALLED, "factor", factor)
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.min_lrs = rates_of(groups, "min_lr", min_lr, non_negative)
        self.eps = eps
        self.best = math.inf if mode == "min" else -math.inf
        self.bad_steps = 0
        self.cooldown_left = 0

    @outside_traces
    def step(self, metric: Any) -> None:
        """Compare the metric with the best so far; drop the rates if it is time."""
        value = float(metric.item() if isinstance(metric, Tensor) else metric)
        if math.isnan(value):
            message = (
                "ReduceLROnPlateau: the metric is NaN; call loss.explain_nan() to see where it "
                "comes from"
            )
            raise NonFiniteError(message)
        if self._improves(value):
            self.best, self.bad_steps = value, 0
        else:
            self.bad_steps += 1
        if self.cooldown_left:
            self.cooldown_left -= 1
            self.bad_steps = 0
        if self.bad_steps > self.patience:
            self._drop()
            self.cooldown_left, self.bad_steps = self.cooldown, 0

    def _improves(self, value: float) -> bool:
        if math.isinf(self.best):
            return value < self.best if self.mode == "min" else value > self.best
        margin = self.threshold * (abs(self.best) if self.threshold_mode == "rel" else 1.0)
        return value < self.best - margin if self.mode == "min" else value > self.best + margin

    def _drop(self) -> None:
        for i, group in enumerate(self.optimizer.param_groups):
            floor = self.min_lrs[min(i, len(self.min_lrs) - 1)]  # groups added since: as the last
            rate = max(group["lr"] * self.factor, floor)
            if group["lr"] - rate > self.eps:
                group["lr_scale"] = group.get("lr_scale", 1.0) * rate / group["lr"]
                group["lr"] = rate

    def get_last_lr(self) -> list[float]:
        """Return the learning rate of each group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on from here."""
        return {
            "best": self.best,
            "bad_steps": self.bad_steps,
            "cooldown_left": self.cooldown_left,
            "lrs": self.get_last_lr(),
        }

    @guarded
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was taken, with the rates of then.

        Raises
        ------
        ShapeError
            If names are missing or unknown, or the number of groups differs; nothing changed.
        """
        check_names(self.state_dict(), state)
        groups = groups_of(self.optimizer)
        rates = rates_of(groups, "lrs", list(state["lrs"]), non_negative)
        bad = whole(CALLED, "bad_steps", state["bad_steps"], 0)
        left = whole(CALLED, "cooldown_left", state["cooldown_left"], 0)
        self.best, self.bad_steps, self.cooldown_left = float(state["best"]), bad, left
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate

    def _state(self) -> str:
        """Say the best so far, since how many calls there was no new one, and the rates."""
        best = "nothing measured" if math.isinf(self.best) else f"best {self.best:g}"
        bad = f", {self.bad_steps} bad since" if self.bad_steps else ""
        return f"{best}{bad}: {', '.join(now(self.optimizer, ('lr',)))}"
