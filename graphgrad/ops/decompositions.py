"""Decompositions of matrices: Cholesky, QR, eigenvalues, singular values. All work on stacks.

Gradients go to the elements that NumPy reads: `cholesky`, `eigh` and `eigvalsh` read one triangle,
and the gradient is in that triangle.

The derivative of an eigenvector has terms 1 / (difference of two eigenvalues), and so has that of
a singular vector. If two values are equal, their vectors are not unique, and a result that depends
on them individually has no gradient: LinalgError. A result that does not depend on them (but on the
values, or on other vectors) has one.
"""

from typing import Any

import numpy as np

from graphgrad.engine.composite import composed
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.op import Op, op
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import UnsupportedError
from graphgrad.ops.determinants import to_triangle, transposed
from graphgrad.typing import Array

# ---------------------------------------------------------------------------- cholesky


def _cholesky_rule(g: Array, out: Array, upper: bool) -> Array:
    """Apply the formula of Murray (2016): S = L⁻ᵀ Φ(Lᵀ g) L⁻¹, moved to the triangle read."""
    if upper:
        return transposed(_cholesky_lower(transposed(g), transposed(out)))
    return _cholesky_lower(g, out)


def _cholesky_lower(g: Array, factor: Any) -> Array:
    inverse = np.linalg.inv(factor)
    c = transposed(factor) @ np.tril(g)
    half = (np.tril(c) + np.tril(c, -1)) / 2  # the diagonal counts half
    return to_triangle(transposed(inverse) @ half @ inverse, "L")


cholesky: Op[Tensor] = op(
    np.linalg.cholesky,
    _cholesky_rule,
    forward=lambda a, upper=False: np.linalg.cholesky(a, upper=upper),
    symbol="chol",
    domain=Cases(
        lambda r: call(r(3, 3) / 2 + 4 * np.eye(3)),
        lambda r: call(r(3, 3) / 2 + 4 * np.eye(3), upper=True),
        lambda r: call(r(2, 2, 2) / 2 + 3 * np.eye(2)),
        lambda r: call(r(1, 1) / 4 + 2),
        lambda r: call(r(0, 0)),
    ),
    doc=(
        "The lower triangular L with L Lᵀ = a; upper=True reads the other triangle and gives "
        "Lᵀ. Gradient: L⁻ᵀ tril(Lᵀ g) L⁻¹, half its diagonal, in the triangle that was read."
    ),
)

# ---------------------------------------------- differences of eigen- or singular values


def _over_gap(x: Array, gap: Any) -> Array:
    if ((gap == 0) & (np.abs(x) > 0)).any():
        message = (
            "two eigenvalues or singular values are equal (or one is 0), so the vectors that the "
            "result depends on are undefined; use the values alone (eigvalsh, svdvals), or "
            "a function of the whole matrix (inv, solve, pinv, norm)"
        )
        raise np.linalg.LinAlgError(message)
    return x / np.where(gap == 0, 1, gap)


over_gap: Op[Tensor] = op(
    _over_gap,
    lambda g, gap: over_gap(g, gap),
    lambda g, gap, out: -over_gap(g * out, gap),
    elementwise=True,
    name="over_gap",
    symbol="÷",
    domain=Cases(lambda r: call(r(2, 3, 3), r(3, 3) ** 2 + 0.5)),
    doc="x / gap, but 0 / 0 = 0, and x / 0 is an error. Gradients: those of a quotient.",
)


def _off_diagonal(x: Array, gap: Any) -> Array:
    """Divide the off-diagonal elements of square matrices; the diagonal becomes 0."""
    own = np.eye(x.shape[-1], dtype=bool)
    return over_gap(np.where(own, 0.0, x), np.where(own, 1.0, gap))


def _over_differences(x: Array, values: Array) -> Array:
    """Return x[i, j] / (values[j] − values[i]), and 0 on the diagonal."""
    return _off_diagonal(x, values[..., None, :] - values[..., :, None])


def _average_ties(g: Array, values: Array) -> Array:
    """Average the gradients of equal values, as `max` does, so that no basis is preferred."""
    equal = values[..., None, :] == values[..., :, None]
    share = equal / np.sum(equal, axis=-1, keepdims=True)
    return (share.astype(g.dtype) @ g[..., None])[..., 0]


def _ties(values: Array) -> Array:
    """Tell which neighbours are equal up to rounding: there each has a kink."""
    size = np.max(np.abs(values), axis=-1, keepdims=True, initial=0)
    return np.abs(np.diff(values, axis=-1)) <= 16 * np.finfo(values.dtype).eps * size


def _zeros(values: Array) -> Array:
    """Tell which values are 0 up to rounding."""
    size = np.max(np.abs(values), axis=-1, keepdims=True, initial=0)
    return np.abs(values) <= 16 * np.finfo(values.dtype).eps * size


# -------------------------------------------------------------------------------- eigh


def _eigh_rule(g: list[Any], out: Array, UPLO: str) -> tuple[Array]:
    values, vectors = out
    g_values, g_vectors = g
    vectors_t = transposed(vectors)
    inner = 0.0
    if g_vectors is not None:
        inner = vectors @ _over_differences(vectors_t @ g_vectors, values)
    if g_values is not None:
        inner = inner + vectors * _average_ties(g_values, values)[..., None, :]
    return (to_triangle(inner @ vectors_t, UPLO),)


_SYMMETRIC = (
    lambda r: call(r(3, 3) / 2 + np.diag([0.0, 4.0, 9.0])),
    lambda r: call(r(3, 3) / 2 + np.diag([0.0, 4.0, 9.0]), UPLO="U"),
    lambda r: call(r(2, 2, 2) / 2 + np.diag([0.0, 5.0])),
    lambda r: call(r(1, 1)),
    lambda r: call(r(0, 0)),
)


def _eigh(a: Array, UPLO: Any = "L") -> Array:
    return np.linalg.eigh(a, UPLO)


def _eigvalsh(a: Array, UPLO: Any = "L") -> Array:
    return np.linalg.eigvalsh(a, UPLO)


eigh: Op[tuple[Tensor, Tensor]] = op(
    np.linalg.eigh,
    joint=_eigh_rule,
    forward=_eigh,
    inputs=1,
    outputs=2,
    chooses=lambda out: _ties(out[0]),
    symbol="eigh",
    domain=Cases(*_SYMMETRIC),
    doc=(
        "Eigenvalues w (ascending) and eigenvectors V of symmetric matrices, of which one "
        "triangle is read. Gradient: V (diag(g_w) + Vᵀ g_V / (w_j − w_i)) Vᵀ, in that triangle."
    ),
)


def _eigvalsh_rule(g: Array, a: Array, UPLO: Any) -> Array:
    values, vectors = np.linalg.eigh(a, UPLO)
    scaled = vectors * _average_ties(g, values)[..., None, :]
    return to_triangle(scaled @ transposed(vectors), UPLO)


eigvalsh: Op[Tensor] = op(
    np.linalg.eigvalsh,
    _eigvalsh_rule,
    forward=_eigvalsh,
    chooses=lambda out: _ties(out),
    symbol="eigvalsh",
    domain=Cases(*_SYMMETRIC),
    doc="Eigenvalues of symmetric matrices, ascending. Gradient: V diag(g) Vᵀ, even in ties.",
)

# --------------------------------------------------------------------------------- svd


def _first(g: Array, k: int) -> Array:
    """Return the gradient of the first k vectors; raise if the arbitrary others have one."""
    if g is None:
        return None
    if (g[..., k:] != 0).any():
        message = (
            "with full_matrices=True some columns of U or rows of Vh are arbitrary and have no "
            "derivative; pass full_matrices=False"
        )
        raise np.linalg.LinAlgError(message)
    return g[..., :k]


def _svd_rule(g: list[Any], out: Array, full_matrices: bool) -> tuple[Array]:
    """Add the gradients by the singular vectors to those by the values.

    Inside the span of the vectors, with P = Uᵀ g_U and Q = Vᵀ g_V, the element (i, j) is half of
    ((P + Q) − (P + Q)ᵀ) / (s_j − s_i) + ((P − Q) − (P − Q)ᵀ) / (s_j + s_i).
    """
    u, s, vh = out
    g_u, g_s, g_vh = g
    rows, columns, k = u.shape[-2], vh.shape[-1], s.shape[-1]
    if full_matrices and rows != columns:
        u, g_u = u[..., :k], _first(g_u, k)
        vh = vh[..., :k, :]
        g_vh = None if g_vh is None else transposed(_first(transposed(g_vh), k))
    v = transposed(vh)
    inner, outside = 0.0, 0.0
    p = 0.0 if g_u is None else transposed(u) @ g_u
    q = 0.0 if g_vh is None else vh @ transposed(g_vh)
    if g_u is not None or g_vh is not None:
        same = _over_differences(p + q, s)
        opposite = _off_diagonal(p - q - transposed(p - q), s[..., None, :] + s[..., :, None])
        inner = u @ ((same + transposed(same) + opposite) / 2)
    if g_s is not None:
        # a singular value is an absolute value: at 0 its gradient is 0
        inner = inner + u * np.where(s == 0, 0.0, _average_ties(g_s, s))[..., None, :]
    if g_u is not None and rows > k:
        outside = over_gap(g_u - u @ p, s[..., None, :]) @ vh
    if g_vh is not None and columns > k:
        outside = outside + u @ transposed(over_gap(transposed(g_vh) - v @ q, s[..., None, :]))
    return (inner @ vh + outside,)


_ANY_MATRIX = (
    lambda r: call(r(3, 3) / 2 + np.diag([1.0, 4.0, 8.0])),
    lambda r: call(r(3, 2) / 2 + np.eye(3, 2) * [2.0, 6.0]),
    lambda r: call(r(2, 3) / 2 + np.eye(2, 3) * [2.0, 6.0, 0.0]),
    lambda r: call(r(2, 2, 2) / 2 + np.diag([2.0, 6.0])),
    lambda r: call(r(1, 1)),
)

_svd: Op[tuple[Tensor, Tensor, Tensor]] = op(
    lambda a, full_matrices: np.linalg.svd(a, full_matrices=full_matrices),
    joint=_svd_rule,
    inputs=1,
    outputs=3,
    chooses=lambda out: np.append(_ties(out[1]), _zeros(out[1])),
    name="svd",
    symbol="svd",
    domain=Cases(lambda r: call(r(3, 2) / 2 + np.eye(3, 2) * [2.0, 6.0], False)),
    doc=(
        "Singular vectors and values. Gradient: U (diag(g_s) + K) Vᵀ, where K is what Uᵀ g_U and "
        "Vᵀ g_V turn, over s_j − s_i and s_j + s_i."
    ),
)


def _svdvals_rule(g: Array, a: Array) -> Array:
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return (u * np.where(s == 0, 0.0, _average_ties(g, s))[..., None, :]) @ vh


_svdvals: Op[Tensor] = op(
    lambda a: np.linalg.svd(a, compute_uv=False),
    _svdvals_rule,
    chooses=lambda out: np.append(_ties(out), _zeros(out)),
    name="svdvals",
    symbol="svdvals",
    domain=Cases(*_ANY_MATRIX),
    doc="Singular values, descending. Gradient: U diag(g) Vᵀ, and 0 for a value of 0.",
)


@composed(np.linalg.svdvals, domain=Cases(*_ANY_MATRIX))
def svdvals(x: Array) -> Tensor:
    """Singular values of each matrix, descending."""
    return _svdvals(x)


@composed(
    np.linalg.svd,
    domain=Cases(
        *_ANY_MATRIX[:1],
        lambda r: call(r(3, 2) / 2 + np.eye(3, 2) * [2.0, 6.0], full_matrices=False),
        lambda r: call(r(2, 3) / 2 + np.eye(2, 3) * [2.0, 6.0, 0.0], full_matrices=False),
        lambda r: call(r(2, 4, 2) / 2 + np.eye(4, 2) * [2.0, 6.0], full_matrices=False),
        lambda r: call(r(2, 3) / 2 + np.eye(2, 3) * [2.0, 6.0, 0.0], compute_uv=False),
    ),
)
def svd(
    a: Array, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Array:
    """Singular value decomposition: U, the values s (descending) and Vh with a = U diag(s) Vh.

    Pass ``full_matrices=False`` for matrices that are not square: otherwise the last vectors of the
    larger of U and Vh are arbitrary, and a gradient by them is an error.
    """
    if hermitian:
        message = "svd: hermitian=True has no gradient rule; use eigh"
        raise UnsupportedError(message)
    return _svd(a, full_matrices) if compute_uv else _svdvals(a)


# ---------------------------------------------------------------------------------- qr


def _qr_tall(g_q: Array, g_r: Array, q: Array, r: Array) -> Array:
    """Apply the formula of Walter and Lehmann (2013) for no more columns than rows."""
    m = 0.0
    if g_r is not None:
        m = r @ transposed(np.triu(g_r))
    if g_q is not None:
        m = m - transposed(g_q) @ q
    side = q @ (np.tril(m) + transposed(np.tril(m, -1)))
    if g_q is not None:
        side = side + g_q
    return transposed(np.linalg.solve(r, transposed(side)))


def _qr_both(g_q: Array, g_r: Array, a: Array, q: Array, r: Array) -> Array:
    """Split a wide matrix: its first columns determine Q, the others are multiplied by Qᵀ."""
    rows, columns = a.shape[-2:]
    if rows >= columns:
        return _qr_tall(g_q, g_r, q, r)
    if g_r is None:
        first = _qr_tall(g_q, None, q, r[..., :rows])
        return np.concatenate([first, np.zeros_like(a[..., rows:])], axis=-1)
    rest = g_r[..., rows:]
    turned = a[..., rows:] @ transposed(rest)
    g_q = turned if g_q is None else g_q + turned
    first = _qr_tall(g_q, g_r[..., :rows], q, r[..., :rows])
    return np.concatenate([first, q @ rest], axis=-1)


_TALL_AND_WIDE = (
    lambda r: call(r(3, 3) / 2 + 3 * np.eye(3)),
    lambda r: call(r(4, 2) / 2 + 3 * np.eye(4, 2)),
    lambda r: call(r(2, 4) / 2 + 3 * np.eye(2, 4)),
    lambda r: call(r(2, 3, 2) / 2 + 3 * np.eye(3, 2)),
    lambda r: call(r(1, 1) / 4 + 1),
    lambda r: call(r(3, 0)),
)

_qr: Op[tuple[Tensor, Tensor]] = op(
    lambda a: np.linalg.qr(a),
    joint=lambda g, a, out: (_qr_both(g[0], g[1], a, out[0], out[1]),),
    outputs=2,
    chooses=lambda out: _zeros(np.diagonal(out[1], axis1=-2, axis2=-1)),
    name="qr",
    symbol="qr",
    domain=Cases(*_TALL_AND_WIDE),
    doc=(
        "Reduced QR decomposition. Gradient: (g_Q + Q C) R⁻ᵀ, where C is symmetric and has the "
        "lower triangle of R g_Rᵀ − g_Qᵀ Q."
    ),
)


def _qr_r_rule(g: Array, a: Array) -> Array:
    q, r = np.linalg.qr(a)
    return _qr_both(None, g, a, q, r)


_qr_r: Op[Tensor] = op(
    lambda a: np.linalg.qr(a, mode="r"),
    _qr_r_rule,
    chooses=lambda out: _zeros(np.diagonal(out, axis1=-2, axis2=-1)),
    name="qr_r",
    symbol="qr R",
    domain=Cases(*_TALL_AND_WIDE),
    doc=(
        "The triangular factor of the QR decomposition. Gradient: Q C R⁻ᵀ, where C is symmetric "
        "and has the lower triangle of R gᵀ."
    ),
)


@composed(
    np.linalg.qr,
    domain=Cases(
        *_TALL_AND_WIDE,
        lambda r: call(r(3, 2) / 2 + 3 * np.eye(3, 2), mode="r"),
        lambda r: call(r(2, 3) / 2 + 3 * np.eye(2, 3), mode="complete"),
    ),
)
def qr(a: Array, mode: str = "reduced") -> Array:
    """QR decomposition of matrices with independent (first) columns: Q and upper triangular R."""
    rows, columns = a.shape[-2:] if a.ndim > 1 else (0, 0)
    if mode == "r":
        return _qr_r(a)
    if mode == "reduced" or (mode == "complete" and rows <= columns):
        return _qr(a)
    message = f"qr: mode={mode!r} is not supported for shape {a.shape}"
    raise UnsupportedError(f"{message}; use 'reduced' or 'r'")
