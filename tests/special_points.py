"""The rows of docs/conventions.md that are numbers: what the derivatives are at special points.

`m` is graphgrad or PyTorch, which write these functions alike. `second` is the gradient of the
sum of the first derivatives, so that a NaN or a lost term anywhere in the Hessian shows.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

inf, nan = math.inf, math.nan
Vector = tuple[Any, ...]
ENDS: Vector = ([-inf, inf],)
NANS: Vector = ([nan, nan],)


@dataclass(frozen=True)
class Point:
    """A function, a point, and its derivatives there; None for `second` means zeros."""

    f: Callable[..., Any]
    at: tuple[Any, ...]
    first: Vector
    second: Vector | None = None
    torch_first: Vector | None = None  # where PyTorch has other numbers
    torch_second: Vector | None = None


def F(m: Any) -> Any:  # noqa: N802 - its usual name
    return m.nn.functional


POINTS = {
    "max of ties": Point(lambda m, x: m.amax(x), ([3.0, 1, 3],), ([0.5, 0, 0.5],)),
    "min of ties": Point(lambda m, x: m.amin(x), ([3.0, 1, 1],), ([0, 0.5, 0.5],)),
    "square of max of ties": Point(
        lambda m, x: m.amax(x) ** 2, ([3.0, 1, 3],), ([3, 0, 3],), ([1, 0, 1],)
    ),
    "maximum of equals": Point(lambda m, x, y: m.maximum(x, y), (2.0, 2.0), (0.5, 0.5)),
    "minimum of equals": Point(lambda m, x, y: m.minimum(x, y), (2.0, 2.0), (0.5, 0.5)),
    "fmax beside NaN": Point(lambda m, x, y: m.fmax(x, y), (nan, 1.0), (0, 1)),
    "relu at 0": Point(lambda m, x: m.relu(x), (0.0,), (0,)),
    "relu at infinities": Point(lambda m, x: m.relu(x), ENDS, ([0, 1],)),
    "erf at infinities": Point(lambda m, x: m.erf(x), ENDS, ([0, 0],), None, None, NANS),
    "erfc at infinities": Point(lambda m, x: m.erfc(x), ENDS, ([0, 0],), None, None, NANS),
    "leaky relu at 0": Point(lambda m, x: F(m).leaky_relu(x, 0.01), (0.0,), (0.01,)),
    "leaky relu of slope 2 at 0": Point(
        lambda m, x: F(m).leaky_relu(x, 2.0), (0.0,), (1,), torch_first=(2,)
    ),
    "leaky relu of slope -1 at 0": Point(
        lambda m, x: F(m).leaky_relu(x, -1.0), (0.0,), (0,), torch_first=(-1,)
    ),
    "leaky relu at infinities": Point(lambda m, x: F(m).leaky_relu(x, 0.01), ENDS, ([0.01, 1],)),
    "prelu at 0": Point(lambda m, x, w: F(m).prelu(x, w), ([0.0], [0.25]), ([0.25], [0])),
    "prelu of slope 2 at 0": Point(
        lambda m, x, w: F(m).prelu(x, w), ([0.0], [2.0]), ([1], [0]), torch_first=([2], [0])
    ),
    "prelu of slope -1 at 0": Point(
        lambda m, x, w: F(m).prelu(x, w), ([0.0], [-1.0]), ([0], [0]), torch_first=([-1], [0])
    ),
    "prelu at infinities": Point(
        lambda m, x, w: F(m).prelu(x, w), ([-inf, inf], [0.25]), ([0.25, 1], [-inf]), ([1, 0], [1])
    ),
    "elu at 0": Point(lambda m, x: F(m).elu(x), (0.0,), (1,)),
    "elu of alpha 0.5 at 0": Point(lambda m, x: F(m).elu(x, 0.5), (0.0,), (0.5,)),
    "elu of alpha 2 at 0": Point(lambda m, x: F(m).elu(x, 2.0), (0.0,), (1,), torch_first=(2,)),
    "elu of alpha -1 at 0": Point(lambda m, x: F(m).elu(x, -1.0), (0.0,), (0,), torch_first=(-1,)),
    "elu at infinities": Point(lambda m, x: F(m).elu(x, 0.5), ENDS, ([0, 1],)),
    "selu at 0": Point(
        lambda m, x: F(m).selu(x), (0.0,), (1.0507009873554805,), torch_first=(1.7580993408473766,)
    ),
    "hardtanh at its bounds": Point(lambda m, x: F(m).hardtanh(x), ([-1.0, 1.0],), ([0, 0],)),
    "relu6 at its bounds": Point(lambda m, x: F(m).relu6(x), ([0.0, 6.0],), ([0, 0],)),
    "gelu at infinities": Point(lambda m, x: F(m).gelu(x), ENDS, ([0, 1],), None, NANS, NANS),
    "gelu by tanh at infinities": Point(
        lambda m, x: F(m).gelu(x, approximate="tanh"), ENDS, ([0, 1],), None, NANS, NANS
    ),
    "silu at infinities": Point(lambda m, x: F(m).silu(x), ENDS, ([0, 1],), None, NANS, NANS),
    "softplus at infinities": Point(lambda m, x: F(m).softplus(x), ENDS, ([0, 1],)),
    "abs at 0": Point(lambda m, x: m.abs(x), (0.0,), (0,)),
    "sign at 0": Point(lambda m, x: m.sign(x), (0.0,), (0,)),
    "clip at its bounds": Point(
        lambda m, x: m.clip(x, -1.0, 1.0), ([-1.0, 1.0],), ([0, 0],), torch_first=([1, 1],)
    ),
    "norm at 0": Point(
        lambda m, x: m.linalg.norm(x), ([0.0, 0, 0],), ([0, 0, 0],), torch_second=([nan, nan, nan],)
    ),
    "norms of rows, one 0": Point(
        lambda m, x: m.linalg.norm(x, None, -1),
        ([[0.0, 0], [3, 4]],),
        ([[0, 0], [0.6, 0.8]],),
        ([[0, 0], [0.032, -0.024]],),
        torch_second=([[nan, nan], [0.032, -0.024]],),
    ),
    "std of constants": Point(lambda m, x: m.std(x, correction=0), ([1.0, 1, 1],), ([0, 0, 0],)),
    "hypot(0, 0)": Point(
        lambda m, x, y: m.hypot(x, y), (0.0, 0.0), (0, 0), None, (nan, nan), (nan, nan)
    ),
    "sinc at 0": Point(
        lambda m, x: m.sinc(x), (0.0,), (0,), (-(math.pi**2) / 3,), torch_second=(nan,)
    ),
    "arctan2(0, 0)": Point(
        lambda m, x, y: m.arctan2(x, y), (0.0, 0.0), (0, 0), torch_second=(nan, nan)
    ),
    "copysign(0, -1)": Point(
        lambda m, x, y: m.copysign(x, y), (0.0, -1.0), (0, 0), torch_second=(nan, 0)
    ),
    "sqrt at 0": Point(lambda m, x: m.sqrt(x), (0.0,), (inf,), (-inf,)),
    "x ** 0 at 0": Point(lambda _, x: x**0, (0.0,), (0,)),
    "x ** 2 at 0": Point(lambda _, x: x**2, (0.0,), (0,), (2,)),
    "x ** y at (0, 0)": Point(lambda _, x, y: x**y, (0.0, 0.0), (0, 0), torch_second=(nan, nan)),
    "x ** y at (0, 2)": Point(
        lambda _, x, y: x**y, (0.0, 2.0), (0, 0), (2, 0), torch_second=(nan, nan)
    ),
    "x ** y at (0, -1)": Point(lambda _, x, y: x**y, (0.0, -1.0), (-inf, -inf), (inf, inf)),
    "x ** y at (-2, 3)": Point(lambda _, x, y: x**y, (-2.0, 3.0), (12, nan), (nan, nan)),
    "prod with a zero": Point(lambda m, x: m.prod(x), ([0.0, 3, 4],), ([12, 0, 0],), ([7, 4, 3],)),
    "prod with two zeros": Point(
        lambda m, x: m.prod(x), ([0.0, 0, 4],), ([0, 0, 0],), ([4, 4, 0],)
    ),
    "cumprod with a zero": Point(
        lambda m, x: m.cumprod(x, 0), ([0.0, 3, 4],), ([16, 0, 0],), ([8, 5, 3],)
    ),
    "cumprod with two zeros": Point(
        lambda m, x: m.cumprod(x, 0), ([0.0, 0, 4],), ([1, 0, 0],), ([5, 5, 0],)
    ),
    "logaddexp(-inf, -inf)": Point(
        lambda m, x, y: m.logaddexp(x, y), (-inf, -inf), (0.5, 0.5), None, (nan, nan), (nan, nan)
    ),
    "logaddexp(inf, inf)": Point(
        lambda m, x, y: m.logaddexp(x, y), (inf, inf), (0.5, 0.5), None, (nan, nan), (nan, nan)
    ),
    "log not taken": Point(
        lambda m, x: m.where(x > 0, m.log(x), x),
        ([0.0, 1.0],),
        ([1, 1],),
        ([0, -1],),
        ([nan, 1],),
        ([nan, -1],),
    ),
    "sqrt not taken": Point(
        lambda m, x: m.where(x > 0, m.sqrt(x), x),
        ([0.0, 4.0],),
        ([1, 0.25],),
        ([0, -1 / 32],),
        ([nan, 0.25],),
        ([nan, -1 / 32],),
    ),
    "division not taken": Point(
        lambda m, x: m.where(x > 0, 1 / x, x),
        ([0.0, 1.0],),
        ([1, -1],),
        ([0, 2],),
        ([nan, -1],),
        ([nan, 2],),
    ),
    "power not taken": Point(
        lambda m, x: m.where(x > 0, x**-0.5, x),
        ([0.0, 1.0],),
        ([1, -0.5],),
        ([0, 0.75],),
        ([nan, -0.5],),
        ([nan, 0.75],),
    ),
    "overflowing exp not taken": Point(
        lambda m, x: m.where(x > 1, x, m.exp(1000 * x)),
        ([2.0, 0.0],),
        ([1, 1e3],),
        ([0, 1e6],),
        ([nan, 1e3],),
        ([nan, 1e6],),
    ),
    "infinity times x not taken": Point(
        lambda m, x: m.where(x > 1, x * x, inf * x),
        ([2.0, 3.0],),
        ([4, 6],),
        ([2, 2],),
        NANS,
        ([2, 2],),
    ),
    "log(x) ** 2 at 1": Point(lambda m, x: m.log(x) ** 2, (1.0,), (0,), (2,)),
    "duplicate indices": Point(
        lambda _, x: x[[0, 0, 2]] ** 2, ([1.0, 2, 3],), ([4, 0, 6],), ([4, 0, 2],)
    ),
}
