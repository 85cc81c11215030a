"""Linear algebra: inverse, determinant, linear systems, powers. All work on stacks."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphgrad.engine.composite import composed
from graphgrad.engine.domains import Cases, call
from graphgrad.engine.op import TABLE, Op, op
from graphgrad.engine.operands import as_array, unwrapped
from graphgrad.engine.plain import PLAIN, REMEDIES
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import LinalgError, ShapeError
from graphgrad.ops.determinants import REGULAR, to_triangle, transposed
from graphgrad.ops.products import cross, matmul, outer, tensordot, vecdot
from graphgrad.ops.ranges import has_full_precision, has_value, scale_of
from graphgrad.typing import Array

# ------------------------------------------------------------------- inverse and solve


def _inv_rule(g: Array, out: Array) -> Array:
    out_t = transposed(out)
    return -(out_t @ g @ out_t)


inv: Op[Tensor] = op(
    np.linalg.inv,
    _inv_rule,
    forward=lambda a: np.linalg.inv(a),
    symbol="inv",
    domain=REGULAR,
    doc="The inverse X of each matrix. Gradient: −Xᵀ g Xᵀ.",
)


def _solve_rule(
    g: Array, a: Array, b_shape: tuple[int, ...], out: Array, wanted: tuple[bool, bool]
) -> tuple[Array, Array]:
    vector = len(b_shape) == 1  # as in NumPy 2: any other b is a stack of matrices
    if vector:
        g, out = g[..., None], out[..., None]
    b_gradient = np.linalg.solve(transposed(a), g)
    a_gradient = -(b_gradient @ transposed(out)) if wanted[0] else None
    return a_gradient, b_gradient[..., 0] if vector else b_gradient


def _solve(a: Array, b: Array) -> Array:
    rows = np.shape(b)[-1 if np.ndim(b) == 1 else -2] if np.ndim(b) else None
    if a.ndim >= 2 and a.shape[-1] == a.shape[-2] and rows not in (None, a.shape[-1]):
        remedy = ""
        if np.shape(b)[-1] == a.shape[-1]:
            remedy = "; for a stack of vectors write solve(a, b[..., None])[..., 0]"
        message = f"solve: {a.shape[-1]} equations, but b {np.shape(b)} has {rows} rows{remedy}"
        raise ShapeError(message)
    return np.linalg.solve(a, b)


solve: Op[Tensor] = op(
    np.linalg.solve,
    joint=_solve_rule,
    forward=_solve,
    broadcasts=True,
    symbol="solve",
    domain=Cases(
        lambda r: call(r(3, 3) + 4 * np.eye(3), r(3)),
        lambda r: call(r(3, 3) + 4 * np.eye(3), r(3, 2)),
        lambda r: call(r(2, 3, 3) + 4 * np.eye(3), r(3)),
        lambda r: call(r(2, 3, 3) + 4 * np.eye(3), r(3, 2)),
        lambda r: call(r(3, 3) + 4 * np.eye(3), r(2, 3, 1)),
        lambda r: call(r(2, 1, 2, 2) + 4 * np.eye(2), r(3, 2, 2)),
        lambda r: call(r(0, 0), r(0, 2)),
        lambda r: call(r(2, 2) + 4 * np.eye(2), r(2, 0)),
    ),
    doc="x with a x = b. Gradients: with h = solve(aᵀ, g), −h xᵀ for a and h for b.",
)

# ------------------------------------------------------------------------ pseudo-inverse


def _pinv(a: Array, rcond: Any = None, hermitian: bool = False, rtol: Any = None) -> Array:
    """Return the pseudo-inverse, and whether it ignored singular values above rounding errors."""
    if rcond is None and rtol is None:
        return np.linalg.pinv(a, hermitian=hermitian), False
    cut = rcond if rtol is None else rtol
    kwargs: dict[str, Any] = {"rcond": rcond} if rtol is None else {"rtol": rtol}
    out = np.linalg.pinv(a, hermitian=hermitian, **kwargs)
    if not a.size:
        return out, False
    s = np.linalg.svd(a, compute_uv=False, hermitian=hermitian)
    largest = s.max(axis=-1, keepdims=True)
    rounding = max(a.shape[-2:]) * np.finfo(s.dtype).eps * largest
    return out, bool(((s <= np.asarray(cut)[..., None] * largest) & (s > rounding)).any())


def _pinv_rule(g: Array, a: Array, out: Array, saved: bool, hermitian: bool) -> Array:
    if saved:
        message = (
            "rcond or rtol cut off singular values that are not 0, and this pseudo-inverse has "
            "no gradient rule; compose it: u, s, vh = svd(a, full_matrices=False), then "
            "(vh.mT * where(s > cut, 1 / s, 0)) @ u.mT"
        )
        raise np.linalg.LinAlgError(message)
    if hermitian:  # NumPy reads the lower triangle
        a = np.tril(a) + transposed(np.tril(a, -1))
        return to_triangle(_pinv_tall(g, a, out), "L")
    if a.shape[-2] < a.shape[-1]:
        return transposed(_pinv_tall(transposed(g), transposed(a), transposed(out)))
    return _pinv_tall(g, a, out)


def _pinv_tall(g: Array, a: Array, p: Any) -> Array:
    """Apply the differential of Golub and Pereyra (1973) where a has no more columns than rows.

    With P = a⁺: −Pᵀ g Pᵀ + (1 − aP) gᵀ P Pᵀ + Pᵀ P gᵀ (1 − Pa), associated so that nothing
    has more elements than a. The products of three P are of a / s, if they leave the range.
    """
    if has_value(a):
        unit = scale_of(unwrapped(a), (-2, -1))
        if not (has_full_precision(unit, 4) and has_full_precision(1 / unit, 4)):
            return _pinv_tall(g / unit, a / unit, p * unit) / unit
    pt, gt = transposed(p), transposed(g)
    left = gt @ (p @ pt)
    right = pt @ (p @ gt)
    return left - a @ (p @ left) + right - right @ (p @ a) - pt @ g @ pt


pinv: Op[Tensor] = op(
    np.linalg.pinv,
    _pinv_rule,
    forward=_pinv,
    symbol="pinv",
    domain=Cases(
        lambda r: call(r(3, 2) + 2 * np.eye(3, 2)),
        lambda r: call(r(2, 3) + 2 * np.eye(2, 3)),
        lambda r: call(r(2, 3, 3) + 4 * np.eye(3)),
        lambda r: call(r(3, 3) + 4 * np.eye(3), hermitian=True),
        lambda r: call(r(3, 2) + 2 * np.eye(3, 2), rcond=1e-6),
        lambda r: call(r(0, 2)),
    ),
    doc=(
        "Moore-Penrose inverse. Gradient: that of Golub and Pereyra, which holds where the rank "
        "stays the same; hermitian=True reads, and sends the gradient to, the lower triangle."
    ),
)

# ----------------------------------------------------------------------------- powers


@composed(
    np.linalg.matrix_power,
    domain=Cases(
        lambda r: call(r(3, 3), 2),
        lambda r: call(r(2, 2, 2), 5),
        lambda r: call(r(2, 1, 3, 3), 0),
        lambda r: call(r(3, 3), 1),
        lambda r: call(r(3, 3) + 4 * np.eye(3), -3),
        lambda r: call(r(0, 0), 3),
    ),
)
def matrix_power(a: Array, n: int) -> Tensor:
    """Raise each matrix to the n-th power, by repeated squaring; its inverse if n < 0."""
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise LinalgError(f"matrix_power: square matrices are needed, got {a.shape}")
    n = operator.index(n)
    if n == 0:  # where: recorded, with a gradient of exactly 0
        return np.where(np.False_, a, np.eye(a.shape[-1], dtype=a.dtype))  # type: ignore[return-value]
    square = inv(a) if n < 0 else a
    n = abs(n)
    power: Any = None
    while True:
        if n & 1:
            power = square if power is None else power @ square
        n >>= 1
        if not n:
            return power  # type: ignore[no-any-return]
        square = square @ square


def _cheapest_split(sizes: list[int]) -> Array:
    """Order a chain of products: ``split[i, j]`` says where to cut the matrices i … j."""
    count = len(sizes) - 1
    cost = {(i, i): 0 for i in range(count)}
    split = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            cost[i, j], split[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            )
    return split


@composed(
    np.linalg.multi_dot,
    domain=Cases(
        lambda r: call([r(2, 3), r(3, 4)]),
        lambda r: call([r(2, 3), r(3, 4), r(4, 2)]),
        lambda r: call([r(3), r(3, 4), r(4, 2), r(2)]),
        lambda r: call([r(5, 2), r(2, 4), r(4, 1), r(1, 3)]),
    ),
)
def multi_dot(arrays: Sequence[Any]) -> Tensor:
    """Product of a chain of matrices in the cheapest order; the first and last may be vectors."""
    chain = [as_array(a) for a in arrays]
    if len(chain) < 2:
        raise ShapeError("multi_dot: two arrays at least are needed")
    for a in (chain[0], chain[-1], *chain[1:-1]):
        if a.ndim != 2 and not (a.ndim == 1 and (a is chain[0] or a is chain[-1])):
            message = "multi_dot: matrices are needed, or vectors at the ends, got shapes "
            raise LinalgError(f"{message}{[c.shape for c in chain]}")
    first, last = chain[0], chain[-1]
    sizes = [1 if first.ndim == 1 else first.shape[0], *(a.shape[-1] for a in chain[:-1])]
    sizes.append(1 if last.ndim == 1 else last.shape[-1])
    split = _cheapest_split(sizes)

    def product(i: int, j: int) -> Array:
        if i == j:
            return chain[i]
        k = split[i, j]
        return product(i, k) @ product(k + 1, j)

    out: Tensor = product(0, len(chain) - 1)
    return out


# ---------------------------------------------- np.linalg's own names for the products

TABLE[np.linalg.matmul] = matmul
TABLE[np.linalg.tensordot] = tensordot
TABLE[np.linalg.vecdot] = vecdot


@composed(np.linalg.outer, domain=Cases(lambda r: call(r(3), r(2)), lambda r: call(r(0), r(2))))
def vector_outer(x1: Array, x2: Array) -> Tensor:
    """All products of an element of one vector and one of another."""
    if np.ndim(x1) != 1 or np.ndim(x2) != 1:
        message = f"outer: two vectors are needed, got shapes {np.shape(x1)} and {np.shape(x2)}"
        raise ShapeError(f"{message}; np.outer flattens")
    return outer(x1, x2)


@composed(
    np.linalg.cross,
    domain=Cases(lambda r: call(r(2, 3), r(3)), lambda r: call(r(3, 2), r(3, 2), axis=0)),
)
def vector_cross(x1: Array, x2: Array, axis: int = -1) -> Tensor:
    """Cross product of vectors of three numbers."""
    if np.shape(x1)[axis] != 3 or np.shape(x2)[axis] != 3:
        message = f"cross: vectors of 3 numbers are needed, got {np.shape(x1)} and {np.shape(x2)}"
        raise ShapeError(message)
    out: Tensor = cross(x1, x2, axis=axis)
    return out


PLAIN.add(np.linalg.matrix_rank)
REMEDIES |= {
    np.linalg.lstsq: "write pinv(a) @ b, or qr and solve",
    np.linalg.eig: "for symmetric matrices use eigh; others have complex eigenvalues",
    np.linalg.eigvals: "for symmetric matrices use eigvalsh; others have complex eigenvalues",
    np.linalg.tensorinv: "reshape to a matrix and use inv",
    np.linalg.tensorsolve: "reshape to a matrix and use solve",
}
