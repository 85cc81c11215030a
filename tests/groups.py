"""What a schedule sees of an optimizer: its groups."""

from typing import Any

from graphgrad.optim import Optimizer


class Groups(Optimizer):
    """An optimizer without parameters, for tests of what is written into its groups."""

    def __init__(self, *groups: dict[str, Any]) -> None:  # pyright: ignore[reportMissingSuperCall]
        self.param_groups = list(groups)
        self.scheduled_by = {}
