"""The options of a view, and their checks."""

import math
from collections.abc import Callable
from typing import Literal, TypedDict, get_args

import numpy as np

from graphgrad.errors import PictureError
from graphgrad.viz.snapshots.snapshot import ModuleNote

MAX_TIMEOUT = 1_000_000  # seconds: operating systems wait for no more than 2³¹ ms
Direction = Literal["both", "forward", "backward"]
Layout = Literal["down", "right"]
Collapse = int | Callable[[ModuleNote], bool] | None


class ViewOptions(TypedDict, total=False):
    """The keywords of every method that draws or writes a graph; `Graph.render` explains them."""

    collapse: Collapse
    focus: int | str | None
    radius: int
    direction: Direction
    heat: bool | tuple[float, float]
    merge: bool | None
    layout: Layout | None


def check_limits(who: str, limit: object, timeout: object) -> None:
    """Raise PictureError unless limit and timeout are numbers in range."""
    if isinstance(limit, bool) or not isinstance(limit, int | float | np.number) or not limit >= 0:
        message = f"{who}: limit is a number of values from 0 on, not {limit!r}"
        raise PictureError(message)
    number = isinstance(timeout, int | float | np.number) and not isinstance(timeout, bool)
    if not number or not 0 < timeout <= MAX_TIMEOUT:  # type: ignore[operator]
        message = f"{who}: timeout is a number of seconds above 0, at most {MAX_TIMEOUT:,}"
        raise PictureError(f"{message}, not {timeout!r}")


def check_options(
    collapse: object,
    focus: object,
    radius: object,
    direction: object,
    heat: object,
    layout: object = None,
) -> tuple[float, float] | None:
    """Raise PictureError for an invalid option; return the limits of the heat, if given."""
    if isinstance(collapse, bool) or not (
        collapse is None
        or callable(collapse)
        or (isinstance(collapse, int | np.integer) and collapse >= 0)
    ):
        raise PictureError(
            "collapse: takes a depth from 0 on, or a function of a module's note, such as "
            f"lambda m: m.kind == 'Block', not {collapse!r}"
        )
    if isinstance(focus, bool) or not (focus is None or isinstance(focus, str | int | np.integer)):
        raise PictureError(
            f"focus: takes the name or id of a value, or the path of a module, not {focus!r}"
        )
    if isinstance(radius, bool) or not isinstance(radius, int | np.integer) or radius < 0:
        raise PictureError(f"radius: takes a number of ops from 0 on, not {radius!r}")
    if direction not in get_args(Direction):
        raise PictureError(f"direction: takes 'both', 'forward' or 'backward', not {direction!r}")
    if layout is not None and layout not in get_args(Layout):
        raise PictureError(f"layout: takes 'down' or 'right', not {layout!r}")
    if heat and direction == "forward":
        raise PictureError("heat: shows gradients, direction='forward' has none: take 'both'")
    if isinstance(heat, bool):
        return None
    match heat:
        case (float() | int() as low, float() | int() as high) if 0 < low < high < math.inf:
            return low, high
    raise PictureError(
        f"heat: takes True, or the norms at the ends of the scale, such as (1e-6, 1), not {heat!r}"
    )
