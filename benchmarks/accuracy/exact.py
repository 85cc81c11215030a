"""The functions that formulas use, twice: for arrays, and for one point in 60 digits.

``wide`` computes in ``np.longdouble``, of 64 bits on x86: fast enough to find the worst points.
``proof`` is mpmath, which then decides how wrong they are.
"""

from types import SimpleNamespace
from typing import Any

import mpmath
import numpy as np

Wide = np.longdouble
WIDE_ENOUGH = np.finfo(Wide).nmant >= 63
proof_context = mpmath.mp.clone()
proof_context.prec = 200

# ---------------------------------------------------------------------------- arrays


def _sinpi(x: Any) -> Any:
    """Compute sin(πx) without an error near its zeros."""
    near = np.rint(x)
    return np.sin(wide.pi * (x - near)) * (1 - 2 * np.mod(near, 2))


def _cospi(x: Any) -> Any:
    near = np.rint(x)
    half = 0.5 - np.abs(x - near)  # from the nearest zero
    return np.sin(wide.pi * half) * (1 - 2 * np.mod(near, 2))


def _erfc(x: Any) -> Any:
    """Sum the series of erf near 0, and evaluate the continued fraction of erfc elsewhere."""
    z = np.minimum(np.abs(x), 120)
    small, large = np.minimum(z, 2), np.maximum(z, 2)
    term = series = small
    for k in range(1, 80):
        term = term * (2 * small * small) / (2 * k + 1)
        series = series + term
    erf = series * np.exp(-small * small) * 2 / np.sqrt(wide.pi)
    fraction = large
    for k in range(120, 0, -1):
        fraction = large + Wide(k) / 2 / fraction
    tail = np.where(z < 2, 1 - erf, np.exp(-large * large) / np.sqrt(wide.pi) / fraction)
    return np.where(x < 0, 2 - tail, tail)


def _erf(x: Any) -> Any:
    z = np.clip(x, -1, 1)
    term = series = z
    for k in range(1, 50):
        term = term * (2 * z * z) / (2 * k + 1)
        series = series + term
    near = series * np.exp(-z * z) * 2 / np.sqrt(wide.pi)
    return np.where(np.abs(x) < 1, near, np.sign(x) * (1 - _erfc(np.abs(x))))


BOTH = "exp expm1 log log1p sqrt sin cos tan sinh cosh tanh sign power"
NUMPYS = "exp2 cbrt arcsin arccos arctan arctan2 arcsinh arccosh arctanh where"
wide = SimpleNamespace(
    **{name: getattr(np, name) for name in f"{BOTH} {NUMPYS}".split()},
    absolute=np.abs,
    sorted=lambda xs: list(np.sort(np.stack(xs), axis=0)),
    sinpi=_sinpi,
    cospi=_cospi,
    erf=_erf,
    erfc=_erfc,
    pi=Wide("3.14159265358979323846264338327950288"),
    ln2=Wide("0.693147180559945309417232121458176568"),
    ln10=Wide("2.30258509299404568401799145468436421"),
)

# ---------------------------------------------------------------------- one point, by mpmath

_mp = proof_context
MPMATHS = "sinpi cospi erf pi ln2 ln10"
INVERSE = "sin cos tan tan2 sinh cosh tanh"
proof = SimpleNamespace(
    **{name: getattr(_mp, name) for name in f"{BOTH} {MPMATHS}".split()},
    **{f"arc{name}": getattr(_mp, f"a{name}") for name in INVERSE.split()},
    exp2=lambda x: _mp.mpf(2) ** x,
    erfc=lambda x: _mp.erfc(max(-1000, min(x, 1000))),  # which overflows in it, else
    cbrt=lambda x: _mp.sign(x) * _mp.cbrt(abs(x)),
    where=lambda condition, x, y: x if condition else y,
    absolute=abs,
    sorted=sorted,
)


def prove(formula: Any, point: tuple[Any, ...]) -> Any:
    """Evaluate a formula at one point by mpmath; NaN where it is infinite or undefined."""
    try:
        return formula(proof, *[_mp.mpf(float(x)) for x in point])
    except ZeroDivisionError:
        return _mp.nan
