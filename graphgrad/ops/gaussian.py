"""The error function and its kin: integrals of the bell curve, which NumPy does not have."""

import functools
import math
from typing import Any

import numpy as np

from graphgrad.engine.op import op
from graphgrad.ops.elementwise import REAL, Elementary
from graphgrad.pieces import in_pieces
from graphgrad.typing import Array

SLOPE = 2 / math.sqrt(math.pi)  # of erf at 0

# erfc(z) = exp(−z²) P(z) / Q(z) for z ≥ 0, up to where it rounds to 0; and erf(x) = x S(x²) for
# |x| < ½. The coefficients, lowest power first, are weighted least-squares and Chebyshev fits in 50
# digits; those of P and Q are all positive, so that nothing cancels. The relative errors of P / Q
# are 7e-9 in single precision and 6e-17 in double, of S 1.5e-9 and 4e-18.
_SINGLE = (
    10.2,
    (1.00000001, 1.24094111, 0.734289825, 0.230511932, 0.0330721333),
    (1.0, 2.36932088, 2.40777238, 1.33038599, 0.408597156, 0.0586181643),
    (1.12837917, -0.37612609, 0.112828314, -0.0267577327, 0.00471908257),
)
_DOUBLE = (
    27.4,
    (
        *(1.0, 2.1934742799217077, 2.3798941208407567, 1.640477628095963, 0.7839961214513338),
        *(0.26829978179556985, 0.06574374507682479, 0.01116158556577937),
        *(0.001200491535616248, 6.32393110448374e-05),
    ),
    (
        *(1.0, 3.3218534470172063, 5.128204346600036, 4.857435908443068, 3.1356947433865834),
        *(1.4467968494702492, 0.48538463800402726, 0.11759166193538478),
        *(0.019839439701523656, 0.0021278158452364415, 0.00011208876039034729),
    ),
    (
        *(1.1283791670955126, -0.37612638903183476, 0.11283791670925353, -0.026866170632887928),
        *(0.00522397737302147, -0.0008548297753674966, 0.00012053335124353741),
        *(-1.4845849259707869e-05, 1.4725865480556744e-06),
    ),
)


def _fits(dtype: Any) -> Array:
    return _SINGLE if dtype.itemsize == 4 else _DOUBLE


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    """Evaluate by Horner's rule."""
    y = x * coefficients[-1]
    for c in coefficients[-2:0:-1]:
        y += c
        y *= x
    y += coefficients[0]
    return y


def widened(function: Any) -> Array:
    """Let a function of float32 and float64 take halves, in single precision, and integers."""

    @functools.wraps(function)  # its parameters' names too
    def wide(x: Array, *more: Any) -> Array:
        if x.dtype.kind != "f":
            return function(x.astype(float), *more)
        if x.dtype.itemsize == 2:
            return function(x.astype(np.float32), *more).astype(x.dtype)
        return function(x, *more)

    return wide


def past_underflow(dtype: Any) -> float:
    """Return a z where erfc(z) is 0 in a dtype."""
    return _fits(dtype)[0]  # type: ignore[no-any-return]


def scaled_erfc(z: Array) -> Array:
    """Return exp(z²) erfc(z) for z from 0 to ``past_underflow``."""
    _, above, below, _ = _fits(z.dtype)
    y = _polynomial(z, above)
    y /= _polynomial(z, below)
    return y


@widened
def _erf(x: Array) -> Array:
    bound, _, _, series = _fits(x.dtype)

    def piece(x: Array) -> Array:
        z = np.minimum(np.abs(x), bound)
        near = (z < 0.5).astype(x.dtype)
        square = z * z
        far = 1 - scaled_erfc(z) * np.exp(-square)
        far *= 1 - near  # a product takes less time than a choice
        y = _polynomial(square, series)
        y *= z
        y *= near
        return np.copysign(y + far, x)

    return in_pieces(piece, x)


@widened
def _erfc(x: Array) -> Array:
    bound = past_underflow(x.dtype)

    def piece(x: Array) -> Array:
        z = np.minimum(np.abs(x), bound)
        # exp would enlarge the rounding error of z²: that is z² − square, found by a z of few bits
        short = np.rint(z * 16) / 16
        square = z * z
        error = short * short - square
        error += (z - short) * (z + short)
        y = scaled_erfc(z)
        y *= np.exp(-square)
        y -= y * error
        sign = np.copysign(x.dtype.type(1), x)
        y *= sign
        y += 1 - sign  # 2 − erfc(−x) for negative x
        return y

    return in_pieces(piece, x)


# An op of its own, for the product rule on exp(−x²) would make 0 · ∞ of its slope at ±∞.
bell: Elementary = op(
    lambda x: np.exp(-(np.minimum(np.abs(x), 200) ** 2)),
    lambda g, x: g * (np.clip(x, -200, 200) * (-2 * bell(x))),
    elementwise=True,
    name="bell",
    symbol="exp(−x²)",
    domain=REAL,
    doc="exp(−x²). Gradient: −2 g · x exp(−x²), 0 at ±∞.",
)
erf: Elementary = op(
    _erf,
    lambda g, x: g * (SLOPE * bell(x)),
    elementwise=True,
    name="erf",
    symbol="erf",
    domain=REAL,
    doc="2/√π ∫₀ˣ exp(−t²) dt. Gradient: g · 2/√π · exp(−x²).",
)
erfc: Elementary = op(
    _erfc,
    lambda g, x: g * (-SLOPE * bell(x)),
    elementwise=True,
    name="erfc",
    symbol="erfc",
    domain=REAL,
    doc="1 − erf(x), accurate where erf is nearly 1. Gradient: −g · 2/√π · exp(−x²).",
)
