"""What a schedule sees of an optimizer: its groups."""

from typing import Any


class Groups:
    """An optimizer without parameters, for tests of what is written into its groups."""

    def __init__(self, *groups: dict[str, Any]) -> None:
        self.param_groups = list(groups)
