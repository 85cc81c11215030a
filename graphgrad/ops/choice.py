"""Selecting between arrays, element by element.

A branch that was not taken contributes exactly 0 to the gradient, even if its derivative is not
finite.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphgrad.engine.composite import composed
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.graph import Recorded
from graphgrad.engine.op import op
from graphgrad.engine.recording import one_call
from graphgrad.errors import DtypeError, ShapeError
from graphgrad.ops.elementwise import REAL, Elementary
from graphgrad.typing import Array

_WORDS = {2: np.int16, 4: np.int32, 8: np.int64}


@one_call
def masked_plain(x: Array, mask: Array) -> Array:
    """Return x where the mask is set, else 0, also for infinite or NaN x.

    Computed on the bits, as integers times 0 or 1: np.where takes 10 times as long for random
    masks, which the processor's branch prediction cannot handle (100,000 elements).
    """
    if not np.ndim(mask):
        return x if mask else np.zeros_like(x)
    if mask.dtype != bool:
        mask = mask != 0
    word = _WORDS[x.dtype.itemsize]
    if x.shape != mask.shape:
        return (x.view(word) * mask).view(x.dtype)
    out = np.empty_like(x)  # not a view, which the sweep would copy for a leaf
    np.multiply(x.view(word), mask, out=out.view(word))
    return out


masked: Elementary = op(
    masked_plain,
    lambda g, mask: keep(g, mask),
    None,
    elementwise=True,
    chooses=lambda mask: mask,
    name="masked",
    symbol="⊙",
    domain=Cases(
        lambda r: call(r(2, 3), np.array([[True, False, True], [False, False, True]])),
        lambda r: call(r(2, 3), np.array([[True], [False]])),
        lambda r: call(r(), np.bool_(True)),
        lambda r: call(r(0, 2), np.array([True, False])),
    ),
    doc="x where the mask is set, else 0. Gradient: g likewise.",
)


def keep(g: Array, mask: Array) -> Array:
    """Call `masked`; on plain arrays without binding arguments."""
    return masked(g, mask) if isinstance(g, Recorded) else masked_plain(g, mask)


where: Elementary = op(
    np.where,
    None,
    lambda g, condition: keep(g, condition),
    lambda g, condition: keep(g, np.logical_not(condition)),
    forward=lambda condition, x, y: np.where(condition, x, y),
    elementwise=True,
    masks=True,
    chooses=lambda condition: condition,
    symbol="where",
    domain=Cases(
        lambda r: call(np.array([True, False, True]), r(2, 3), r(2, 3)),
        lambda r: call(np.array([[True], [False]]), r(3), r()),
        lambda r: call(np.array([1, 0, -1]), r(3), 2.0),
        lambda r: call(np.array(True), r(), r(2)),
        lambda r: call(np.zeros((0, 2), bool), r(2), r(0, 2)),
    ),
    doc=(
        "x where the condition holds, else y. Gradients: g where chosen, else 0; a branch that "
        "was not taken gives 0 even where its own derivative is not finite."
    ),
)


@composed(
    np.select,
    domain=Cases(
        lambda r: call([np.array([True, False, False])], [r(3)]),
        lambda r: call(
            [np.array([True, False, False]), np.array([True, True, False])], [r(2, 3), r(3)], r()
        ),
        lambda r: call([np.array([[True], [False]]), np.array(True)], [r(3), 1.0], default=r(3)),
    ),
)
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Array:
    """Of several arrays, take the first whose condition holds. Gradients: g where chosen."""
    if len(condlist) != len(choicelist) or len(condlist) == 0:
        raise ShapeError(
            f"select: {len(condlist)} conditions for {len(choicelist)} choices; give one "
            "condition per choice, and at least one"
        )
    out = default
    for number in reversed(range(len(condlist))):
        condition = condlist[number]
        dtype = np.result_type(condition)
        if dtype.kind != "b":
            raise DtypeError(
                f"select: condition {number} is {dtype}, not bool; compare, e.g. with != 0"
            )
        out = where(condition, choicelist[number], out)
    return out


def _nan_to_num(x: Array, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Array:
    return np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


nan_to_num: Elementary = op(
    np.nan_to_num,
    lambda g, x: keep(g, np.isfinite(x)),
    forward=_nan_to_num,
    elementwise=True,
    masks=True,
    chooses=lambda x: np.isfinite(x),
    symbol="nan_to_num",
    domain=REAL,
    doc="x with numbers in place of NaN and ±∞. Gradient: g where x is finite, else 0.",
)
