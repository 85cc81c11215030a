"""Determinants. Their gradient is a polynomial, so it exists for singular matrices too.

The gradient of det is the matrix of cofactors. In the basis of the singular vectors it is diagonal,
with the products of all singular values but one; its derivative has the products of all but two.
There is no division, so a singular value of 0 is no problem.
"""

from typing import Any

import numpy as np

from graphgrad.engine.domains import Cases, call
from graphgrad.engine.op import Op, op
from graphgrad.engine.tensor import Tensor
from graphgrad.ops.ranges import has_full_precision
from graphgrad.typing import Array

REGULAR = Cases(
    lambda r: call(r(3, 3) + 4 * np.eye(3)),
    lambda r: call(r(2, 2) + 4 * np.eye(2)),
    lambda r: call(r(2, 4, 4) + 5 * np.eye(4)),
    lambda r: call(r(1, 1) + 4),
    lambda r: call(r(0, 0)),
    lambda r: call(r(0, 2, 2)),
)


def transposed(a: Array) -> Array:
    """Swap the last two axes, of an array or a Tensor."""
    return a.swapaxes(-1, -2)


def to_triangle(s: Array, uplo: str) -> Array:
    """Move the gradient of a symmetric matrix to the triangle that NumPy read."""
    if uplo.upper() == "L":
        return np.tril(s) + np.tril(transposed(s), -1)
    return np.triu(s) + np.triu(transposed(s), 1)


def _products_but(s: Array) -> Array:
    """Return ``p`` with p[i, k] the product of all s but s[i] and s[k] (but s[i] if i = k)."""
    rest = np.where(np.eye(s.shape[-1], dtype=bool), 1, s[..., None, :])
    left = np.ones_like(rest)
    left[..., 1:] = np.cumprod(rest[..., :-1], axis=-1)
    right = np.ones_like(rest)
    right[..., :-1] = np.cumprod(rest[..., :0:-1], axis=-1)[..., ::-1]
    return left * right


def _rotation(u: Array, vh: Any) -> Array:
    """Return +1 or −1: the determinant of u times that of vh, for each pair."""
    return np.sign(np.linalg.det(u) * np.linalg.det(vh))[..., None, None]


def _cofactors(a: Array) -> Array:
    if a.shape[-1] < 2 or not a.size:
        return np.ones_like(a)
    try:
        inverse = np.linalg.inv(a)
        condition = np.linalg.norm(a, axis=(-2, -1)) * np.linalg.norm(inverse, axis=(-2, -1))
        det = np.linalg.det(a)
        if (condition < np.finfo(a.dtype).eps ** -0.5).all() and has_full_precision(np.abs(det), 1):
            return det[..., None, None] * transposed(inverse)
    except np.linalg.LinAlgError:
        pass
    u, s, vh = np.linalg.svd(a)
    but_one = np.diagonal(_products_but(s), axis1=-2, axis2=-1)
    return _rotation(u, vh) * (u * but_one[..., None, :]) @ vh


def _cofactors_change(a: Array, h: Array) -> Array:
    """Return the change of the cofactors of a along h; symmetric as a bilinear form."""
    if a.shape[-1] < 2 or not a.size:
        return np.zeros_like(a)
    u, s, vh = np.linalg.svd(a)
    turned = transposed(u) @ h @ transposed(vh)
    but_two = np.where(np.eye(s.shape[-1], dtype=bool), 0, _products_but(s))
    own = np.diagonal(turned, axis1=-2, axis2=-1)
    diagonal = (but_two @ own[..., None]) * np.eye(s.shape[-1], dtype=s.dtype)
    return _rotation(u, vh) * (u @ (diagonal - but_two * transposed(turned)) @ vh)


def _third(g: Array, a: Array, h: Array) -> Array:
    """Differentiate ``cofactors_change`` by a: exact up to 3 × 3, else for regular a."""
    n = h.shape[-1]
    if n <= 2:
        return np.zeros_like(h)
    if n == 3:  # the determinant is cubic: its third derivative does not depend on a
        return cofactors_change(g, h)
    x = transposed(np.linalg.inv(a))
    xg, xh = x @ transposed(g) @ x, x @ transposed(h) @ x
    dots = [np.sum(p * q, (-2, -1))[..., None, None] for p, q in ((g, x), (h, x), (g, xh))]
    both = xh @ transposed(g) @ x + xg @ transposed(h) @ x
    inside = (dots[0] * dots[1] - dots[2]) * x - dots[0] * xh - dots[1] * xg + both
    return np.linalg.det(a)[..., None, None] * inside


cofactors_change: Op[Tensor] = op(
    _cofactors_change,
    _third,
    lambda g, a: cofactors_change(a, g),
    name="cofactors_change",
    symbol="∂cof",
    domain=Cases(
        lambda r: call(r(3, 3), r(3, 3)),
        lambda r: call(r(2, 2), r(2, 2)),
        lambda r: call(r(2, 4, 4) + 6 * np.eye(4), r(2, 4, 4)),
        lambda r: call(np.outer(r(3), r(3)), r(3, 3)),
    ),
    doc="The change of the cofactors of a along h. Gradient by h: the same along g.",
)
cofactors: Op[Tensor] = op(
    _cofactors,
    lambda g, a: cofactors_change(a, g),
    name="cofactors",
    symbol="cof",
    domain=Cases(
        lambda r: call(r(3, 3)),
        lambda r: call(r(2, 2)),
        lambda r: call(r(2, 4, 4) + 6 * np.eye(4)),
        lambda r: call(np.outer(r(3), r(3))),
        lambda r: call(r(1, 1)),
    ),
    doc="The matrix of cofactors, det(a) a⁻ᵀ where a is regular. Gradient: its change along g.",
)
det: Op[Tensor] = op(
    np.linalg.det,
    lambda g, a: g[..., None, None] * cofactors(a),
    forward=lambda a: np.linalg.det(a),
    symbol="det",
    domain=Cases(
        *REGULAR.calls,
        lambda r: call(np.outer(r(3), r(3))),
        lambda r: call(r(4, 2) @ r(2, 4)),
    ),
    doc=(
        "Determinant. Gradient: g times the cofactors, exact for singular matrices too; so are "
        "second derivatives, and up to 3 × 3 all; further ones need a regular matrix."
    ),
)


def _slogdet_rule(g: list[Any], a: Array) -> tuple[Array]:
    if g[1] is None:  # only the sign was used: it is constant
        return (np.zeros_like(a),)
    return (g[1][..., None, None] * transposed(np.linalg.inv(a)),)


slogdet: Op[tuple[Tensor, Tensor]] = op(
    np.linalg.slogdet,
    joint=_slogdet_rule,
    forward=lambda a: np.linalg.slogdet(a),
    outputs=2,
    symbol="log|det|",
    domain=REGULAR,
    doc=(
        "Sign and logarithm of |det|. Gradients: 0 for the sign, a⁻ᵀ for the logarithm (an "
        "error where a is singular)."
    ),
)
