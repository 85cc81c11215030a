"""Linear algebra: NumPy's values, gradients of first and second order, and the special points.

Vectors of eigh, svd and qr are known up to their signs, so these are tested by functions
that do not depend on signs. Where a derivative is a choice (norms at 0) or stops to exist
(vectors of equal values) the tests say which choice, and that there is an error.
"""

from collections.abc import Callable
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import graphgrad as gg
from graphgrad import linalg
from graphgrad.engine.graph import ancestors
from graphgrad.engine.op import TABLE
from graphgrad.engine.plain import PLAIN
from graphgrad.errors import DtypeError, GraphError, LinalgError, ShapeError, UnsupportedError

Function = Callable[..., Any]
Array = Any


def outputs(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]


def differences(f: Callable[[Array], float], x: Array, h: float = 1e-3) -> Array:
    """Central differences of fourth order, extrapolated: right to about ten digits."""

    def moved(index: tuple[int, ...], step: float) -> float:
        y = x.copy()
        y[index] += step
        return f(y)

    slope = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        near, middle, far = ((moved(i, k * h) - moved(i, -k * h)) / (2 * k * h) for k in (1, 2, 3))
        slope[i] = 1.5 * near - 0.6 * middle + 0.1 * far
    return slope


def check(f: Function, *xs: Array, order: int = 2, rtol: float = 1e-6) -> list[Array]:
    """Compare values with NumPy's, first and second derivatives with differences."""
    rng = np.random.default_rng(7)
    values = [np.asarray(v) for v in outputs(f(*xs))]
    ts = [gg.Tensor(x, requires_grad=True) for x in xs]
    for y, v in zip(outputs(f(*ts)), values, strict=True):
        assert y.shape == v.shape
        np.testing.assert_allclose(y.numpy(), v, rtol=1e-12, atol=1e-12)
    weights = [rng.standard_normal(v.shape) for v in values]

    def loss(*inputs: Any) -> Any:
        return sum(np.sum(y * w) for y, w in zip(outputs(f(*inputs)), weights, strict=True))

    def close(actual: Array, expected: Array) -> None:
        scale = 1 + np.abs(expected).max(initial=0)
        np.testing.assert_allclose(actual / scale, expected / scale, rtol=0, atol=rtol)

    plain = gg.gradients(loss(*ts), ts)
    for i, g in enumerate(plain):
        close(g, differences(lambda x, i=i: loss(*xs[:i], x, *xs[i + 1 :]), xs[i]))  # type: ignore[misc]
    if order == 2:
        directions = [rng.standard_normal(x.shape) for x in xs]

        def slope(*inputs: Array) -> Any:
            ts = [gg.Tensor(x, requires_grad=True) for x in inputs]
            found = gg.gradients(loss(*ts), ts)
            return sum(np.sum(g * d) for g, d in zip(found, directions, strict=True))

        recorded = gg.gradients(loss(*ts), ts, create_graph=True)
        total = sum(np.sum(g * d) for g, d in zip(recorded, directions, strict=True))
        for i, (t, g) in enumerate(zip(ts, recorded, strict=True)):
            close(g.numpy(), plain[i])
            second = np.zeros(t.shape)
            if isinstance(total, gg.Tensor) and total.requires_grad:  # else f is linear
                second = gg.gradients(total, [t], retain_graph=True)[0]
            close(second, differences(lambda x, i=i: slope(*xs[:i], x, *xs[i + 1 :]), xs[i]))  # type: ignore[misc]
    return list(plain)


def matrices(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng((seed, *shape)).uniform(-1, 1, shape)


def regular(*batch: int, n: int, seed: int = 0) -> Array:
    return matrices(*batch, n, n, seed=seed) + 2 * np.eye(n)


def spread(*shape: int, seed: int = 0) -> Array:
    """Matrices with singular values (and eigenvalues) well apart from each other and from 0."""
    shift = np.zeros(shape[-2:])
    np.fill_diagonal(shift, 4.0 * np.arange(1, min(shape[-2:]) + 1))
    return matrices(*shape, seed=seed) + shift


BATCHES = [(), (2,)]
COUNTS = [1, 2, 4]
any_regular = st.tuples(st.sampled_from(BATCHES), st.sampled_from(COUNTS), st.integers(0, 9)).map(
    lambda drawn: regular(*drawn[0], n=drawn[1], seed=drawn[2])
)

# ------------------------------------------------------------- inverse, solve, determinants


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("n", COUNTS)
def test_inverse_and_determinants(batch: tuple[int, ...], n: int) -> None:
    a = regular(*batch, n=n)
    check(np.linalg.inv, a)
    check(np.linalg.det, a)
    check(lambda a: np.linalg.slogdet(a)[1], a)
    check(np.linalg.pinv, a)
    for power in (-2, 0, 1, 2, 5):
        check(lambda a, power=power: np.linalg.matrix_power(a, power), a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 3), (3,)),
        ((3, 3), (3, 2)),
        ((2, 3, 3), (3,)),
        ((2, 3, 3), (3, 2)),
        ((2, 3, 3), (2, 3, 2)),
        ((3, 3), (2, 3, 1)),
        ((2, 1, 2, 2), (3, 2, 2)),
        ((1, 2, 2), (4, 2, 1)),
    ],
)
def test_solve_for_vectors_and_matrices(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    check(np.linalg.solve, matrices(*a) + 2 * np.eye(a[-1]), matrices(*b, seed=1))


def test_solve_leaves_out_what_nobody_asked_for() -> None:
    a, b = regular(n=3), gg.Tensor(matrices(3), requires_grad=True)
    np.linalg.solve(a, b).sum().backward()
    np.testing.assert_allclose(b.grad, np.linalg.solve(a.T, np.ones(3)))


def minor_expansion(a: Array) -> Array:
    """Cofactors by their definition."""
    n = len(a)
    out = np.zeros_like(a)
    for i, j in np.ndindex(n, n):
        out[i, j] = (-1) ** (i + j) * np.linalg.det(np.delete(np.delete(a, i, 0), j, 1))
    return out


def of_rank(n: int, rank: int) -> Array:
    return matrices(n, rank, seed=3) @ matrices(rank, n, seed=4)


@pytest.mark.parametrize(("n", "rank"), [(n, r) for n in (1, 2, 3, 4, 5) for r in range(n)])
def test_determinant_of_a_singular_matrix(n: int, rank: int) -> None:
    # det · inv is NaN or an error here; the gradient, a polynomial, is not
    a = of_rank(n, rank)
    (g,) = check(np.linalg.det, a)
    np.testing.assert_allclose(g, minor_expansion(a) * FIRST_WEIGHT, atol=1e-9)


FIRST_WEIGHT = np.random.default_rng(7).standard_normal(())  # that `check` gives to a number


def test_determinant_with_exact_zeros() -> None:
    a = np.stack([np.diag([1.0, 2, 3, 0]), np.diag([1.0, 2, 0, 0]), np.zeros((4, 4)), np.eye(4)])
    t = gg.Tensor(a, requires_grad=True)
    np.linalg.det(t).sum().backward()
    expected = np.zeros((4, 4, 4))
    expected[0, 3, 3] = 6
    expected[3] = np.eye(4)
    np.testing.assert_allclose(t.grad, expected, atol=1e-12)
    check(np.linalg.det, a)


def test_third_derivative_of_determinants() -> None:
    # det(a + t d) is a polynomial in t; its derivatives are known from its values
    def along(a: Array, d: Array) -> list[float]:
        def f(t: Any) -> Any:
            return np.linalg.det(a + t * d)

        found = []
        for _ in range(3):
            f = gg.grad(f)
            found.append(f(0.0))
        return found

    for a, d in [
        (of_rank(3, 1), matrices(3, 3)),
        (of_rank(2, 1), matrices(2, 2)),
        (regular(n=4), matrices(4, 4)),
    ]:
        n = len(a)
        points = np.arange(-2.0, 3)[: n + 1]
        poly = np.polynomial.Polynomial.fit(points, [np.linalg.det(a + t * d) for t in points], n)
        expected = [poly.deriv(k)(0.0) for k in (1, 2, 3)]
        np.testing.assert_allclose(along(a, d), expected, rtol=1e-8, atol=1e-9)


def test_sign_of_slogdet_is_constant() -> None:
    t = gg.Tensor(regular(2, n=3), requires_grad=True)
    sign, _ = np.linalg.slogdet(t)
    sign.sum().backward()
    np.testing.assert_array_equal(t.grad, np.zeros((2, 3, 3)))


# -------------------------------------------------------- triangles: cholesky and eigenvalues


def symmetric(a: Array) -> Array:
    return a + np.swapaxes(a, -1, -2)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("n", COUNTS)
def test_cholesky(batch: tuple[int, ...], n: int) -> None:
    a = matrices(*batch, n, n) / 2 + 2 * np.eye(n)
    (lower,) = check(np.linalg.cholesky, a)
    (upper,) = check(lambda a: np.linalg.cholesky(a, upper=True), a)
    np.testing.assert_array_equal(lower, np.tril(lower))  # what NumPy did not read has no gradient
    np.testing.assert_array_equal(upper, np.triu(upper))


def test_cholesky_ignores_what_flows_into_its_zeros() -> None:
    t = gg.Tensor(np.eye(2) * 3 + 1, requires_grad=True)
    with np.errstate(divide="ignore"):
        np.sum(np.log(linalg.cholesky(t))).backward()  # 1/0 above
    assert np.isfinite(t.grad).all()


@pytest.mark.parametrize("uplo", ["L", "u"])
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("n", COUNTS)
def test_eigenvalues_and_vectors(batch: tuple[int, ...], n: int, uplo: Any) -> None:
    a = spread(*batch, n, n)
    weight = symmetric(matrices(n, n, seed=5))
    weights = matrices(n, seed=6)

    def projected(a: Any) -> Any:  # sum of w_k v_k vᵀ_k, and then a function of both
        w, v = np.linalg.eigh(a, uplo)
        return np.sum((v * weights) @ np.swapaxes(v, -1, -2) * weight) + np.sum(w**3)

    (g,) = check(projected, a)
    keep = np.tril if uplo == "L" else np.triu
    np.testing.assert_array_equal(g, keep(g))
    check(lambda a: np.linalg.eigh(a, uplo)[0], a)
    check(lambda a: np.linalg.eigh(a, uplo)[1] ** 2, a)
    check(lambda a: np.linalg.eigvalsh(a, uplo), a)


def test_repeated_eigenvalues_have_gradients() -> None:
    # symmetric functions of the values are smooth in the matrix, ties or not
    a = np.diag([2.0, 1, 2, 1]) + 1e-30
    ways: list[Function] = [linalg.eigvalsh, lambda a: linalg.eigh(a)[0]]
    for f in ways:
        t = gg.Tensor(a, requires_grad=True)
        (f(t) ** 3).sum().backward()
        np.testing.assert_allclose(t.grad, 3 * np.diag([4.0, 1, 4, 1]), atol=1e-12)
    # the largest of equal ones is a kink: the smallest subgradient shares evenly, like max
    t = gg.Tensor(np.eye(3), requires_grad=True)
    linalg.eigvalsh(t)[-1].backward()
    np.testing.assert_allclose(t.grad, np.eye(3) / 3, atol=1e-15)


def test_vectors_beside_repeated_eigenvalues_have_gradients() -> None:
    # the top vector does not care which basis the others have: its derivative exists
    q, _ = np.linalg.qr(matrices(4, 4))
    a = np.zeros((4, 4))
    a[3, 3] = 3.0  # eigenvalues 0, 0, 0, 3

    def top(a: Any) -> Any:
        return np.linalg.eigh(a)[1][:, 3] ** 2

    check(top, a, order=1)
    check(
        lambda a: top(a + np.diag([1.0, 1, 0, 0])), q @ a @ q.T + np.diag([0.0, 0, 1, 1]), order=1
    )
    t = gg.Tensor(a, requires_grad=True)
    hessian = gg.hessian(lambda a: np.linalg.eigvalsh(a)[3])(t).numpy()
    np.testing.assert_allclose(hessian[3, :3, 3, :3], 2 / 3 * np.eye(3), atol=1e-12)


@pytest.mark.parametrize(
    "f",
    [
        lambda t: np.sum(np.linalg.eigh(t)[1] * np.arange(9.0).reshape(3, 3)),
        lambda t: np.sum(np.linalg.svd(t)[0] * np.arange(9.0).reshape(3, 3)),
        lambda t: np.sum(np.linalg.svd(t)[2] * np.arange(9.0).reshape(3, 3)),
    ],
)
def test_vectors_of_equal_values_are_an_error(f: Function) -> None:
    t = gg.Tensor(np.eye(3), requires_grad=True)
    with pytest.raises(
        GraphError, match=r"(eigh|svd) .*test_linalg.*are equal.*(eigvalsh|svdvals)"
    ):
        f(t).backward()
    assert t.grad is None
    with pytest.raises(LinalgError, match="are equal"):
        gg.gradients(f(t), [t], create_graph=True)


# ------------------------------------------------------------------------- svd, qr, pinv

SHAPES = [(1, 1), (2, 2), (3, 3), (4, 2), (2, 4), (2, 3, 2), (2, 1, 2, 3)]


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_and_vectors(shape: tuple[int, ...]) -> None:
    a = spread(*shape)
    k = min(shape[-2:])
    weights = matrices(k, seed=6)

    def mixed(a: Any) -> Any:  # U and V only together, where their signs cancel
        u, s, vh = np.linalg.svd(a, full_matrices=False)
        return (u * weights) @ vh, (u * weights) @ np.swapaxes(u, -1, -2), s

    check(mixed, a)
    check(lambda a: np.linalg.svd(a, full_matrices=False)[0] ** 2, a)
    check(lambda a: np.linalg.svd(a, full_matrices=False)[2] ** 2, a)
    check(lambda a: np.linalg.svd(a, compute_uv=False), a)
    check(np.linalg.svdvals, a)


def test_full_matrices() -> None:
    check(lambda a: np.linalg.svd(a)[0] ** 2, spread(3, 3))  # square: nothing is added
    check(lambda a: np.linalg.svd(a)[1], spread(3, 2))
    check(lambda a: np.linalg.svd(a)[2] ** 2, spread(3, 2))  # this side is square
    check(lambda a: np.linalg.svd(a)[0] ** 2, spread(2, 3))
    check(lambda a: np.linalg.svd(a)[0][:, :2] ** 2, spread(3, 2))  # the first ones are known
    check(lambda a: np.linalg.svd(a)[2][:2] ** 2, spread(2, 3))
    t = gg.Tensor(spread(3, 2), requires_grad=True)
    with pytest.raises(GraphError, match=r"svd.*full_matrices=False"):
        gg.sum(gg.linalg.svd(t)[0][:, 2] ** 2 * np.arange(3.0)).backward()


def test_equal_and_vanishing_singular_values() -> None:
    t = gg.Tensor(np.eye(3) * 2, requires_grad=True)
    gg.sum(linalg.svdvals(t)).backward()
    np.testing.assert_allclose(t.grad, np.eye(3), atol=1e-12)
    # a singular value is an absolute value: at 0 its gradient is 0
    t = gg.Tensor(np.diag([3.0, 0]), requires_grad=True)
    gg.sum(linalg.svdvals(t)).backward()
    np.testing.assert_allclose(t.grad, np.diag([1.0, 0]), atol=1e-12)
    # one vanishing value leaves the vectors of a square matrix as they are
    check(
        lambda a: np.linalg.svd(a)[0] ** 2, np.diag([3.0, 1, 0]) + 0.1 * of_rank(3, 1) * 0, order=1
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_qr(shape: tuple[int, ...]) -> None:
    a = spread(*shape)

    def signless(a: Any) -> Any:  # the signs of Q's columns and R's rows cancel in these
        q, r = np.linalg.qr(a)
        return q**2, r**2, q[..., :, :1] * r[..., :1, :]

    check(signless, a)
    check(lambda a: np.linalg.qr(a)[0] ** 2, a)
    check(lambda a: np.linalg.qr(a)[1] ** 2, a)
    check(lambda a: linalg.qr(a, mode="r") ** 2, a)
    if shape[-2] <= shape[-1]:
        check(lambda a: np.linalg.qr(a, "complete")[1] ** 2, a)


@pytest.mark.parametrize("shape", SHAPES)
def test_pinv(shape: tuple[int, ...]) -> None:
    check(np.linalg.pinv, spread(*shape))


def test_pinv_where_the_rank_stays_the_same() -> None:
    # along matrices of rank 1 the pseudo-inverse is smooth
    def f(x: Any, y: Any) -> Any:
        return np.linalg.pinv(np.outer(x, y))

    check(f, matrices(3), matrices(2, seed=1), rtol=1e-5)


def test_pinv_of_symmetric_matrices_reads_a_triangle() -> None:
    (g,) = check(lambda a: np.linalg.pinv(a, hermitian=True), spread(2, 3, 3))
    np.testing.assert_array_equal(g, np.tril(g))


def test_pinv_with_a_cutoff() -> None:
    a = gg.Tensor(np.diag([4.0, 1]), requires_grad=True)
    cutoffs: list[dict[str, Any]] = [{"rcond": 0.1}, {"rtol": 0.1}, {"rcond": np.array(0.1)}]
    for options in cutoffs:
        check(lambda a, o=options: np.linalg.pinv(a, **o), a.numpy())
    with pytest.raises(GraphError, match=r"pinv.*rcond.*compose"):
        np.linalg.pinv(a, rcond=0.5).sum().backward()


# ------------------------------------------------------------------------------- norms

ORDERS = [None, 0, 1, 2, 3, 0.5, 2.5, -1, -2.5, np.inf, -np.inf]


@pytest.mark.parametrize("order", ORDERS)
def test_vector_norms(order: Any) -> None:
    a = matrices(2, 3, 2) + 2 * np.sign(matrices(2, 3, 2))
    for axis, keepdims in ((0, False), (-1, True)):
        check(lambda a, i=axis, k=keepdims: np.linalg.norm(a, order, i, k), a)
    check(lambda a: np.linalg.norm(a, order), a[0, :, 0])
    if order is not None:
        for axes, keepdims in ((None, False), (None, True), ((0, 2), False), ((-1,), True)):

            def f(a: Any, axes: Any = axes, keepdims: Any = keepdims) -> Any:
                return np.linalg.vector_norm(a, axis=axes, ord=order, keepdims=keepdims)

            check(f, a)


@pytest.mark.parametrize("order", [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
def test_matrix_norms(order: Any) -> None:
    a = spread(2, 3, 2)
    check(lambda a: np.linalg.norm(a, order), a[0])
    for axes in ((1, 2), (-1, 0), (0, -2)):
        for keepdims in (False, True):
            check(lambda a, i=axes, k=keepdims: np.linalg.norm(a, order, i, k), a)
    if order is not None:
        check(lambda a: np.linalg.matrix_norm(a, ord=order), a)
        check(lambda a: np.linalg.matrix_norm(a, ord=order, keepdims=True), a)


@pytest.mark.parametrize("p", [None, 2, -2, 1, -1, "fro", "nuc", np.inf])
def test_condition_number(p: Any) -> None:
    check(lambda a: np.linalg.cond(a, p), spread(3, 3), rtol=1e-5)
    check(lambda a: np.linalg.cond(a, p), spread(2, 2, 2), rtol=1e-5)


def test_norm_of_all_axes_and_of_numbers() -> None:
    check(np.linalg.norm, matrices(2, 3, 2))
    check(lambda a: linalg.norm(a, keepdims=True), matrices(2, 3))
    check(np.linalg.norm, np.array(-2.0))
    assert np.linalg.norm(gg.Tensor([3, 4])).item() == 5
    assert np.linalg.norm(gg.Tensor([3, 4]), 1).dtype == float  # as NumPy, also of integers


AT_ZERO: list[Function] = [
    np.linalg.norm,
    np.linalg.vector_norm,
    *[lambda a, o=o: np.sum(np.linalg.norm(a, o, axis=-1)) for o in ORDERS],
    *[lambda a, o=o: gg.linalg.norm(a, o) for o in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)],
]


@pytest.mark.parametrize("f", AT_ZERO)
def test_norms_at_zero_have_gradient_zero(f: Function) -> None:
    t = gg.Tensor(np.zeros((3, 3)), requires_grad=True)
    with np.errstate(divide="ignore"):  # orders below 0 divide by 0 on the way, in NumPy too
        f(t).backward()
    np.testing.assert_array_equal(t.grad, np.zeros((3, 3)))


@pytest.mark.parametrize("order", ORDERS)
def test_norm_of_a_zero_row_to_second_order(order: Any) -> None:
    # the row that is 0 adds nothing, and spoils nothing of the other rows
    x = np.array([[0.0, 0, 0], [1, -2, 3]])

    def f(a: Any) -> Any:
        return np.sum(np.linalg.norm(a, order, axis=1) ** 3) + np.sum(
            np.linalg.norm(a, order, axis=1)
        )

    with np.errstate(divide="ignore"):
        g, h = gg.grad(f)(x), gg.hessian(f)(x)
    np.testing.assert_array_equal(g[0], np.zeros(3))
    np.testing.assert_array_equal(h[0], np.zeros((3, 2, 3)))
    np.testing.assert_allclose(g[1:], gg.grad(f)(x[1:]))
    np.testing.assert_allclose(h[1:, :, 1:], gg.hessian(f)(x[1:]))


def test_norm_of_order_p_with_a_zero_element() -> None:
    x = np.array([0.0, 2, -1])
    for order in (3, 4, 0.5, -1):
        with np.errstate(divide="ignore"):
            g = gg.grad(lambda a, o=order: np.linalg.norm(a, o))(x)
        assert np.isfinite(g).all()
        assert g[0] == 0
    h = gg.hessian(lambda a: np.linalg.norm(a, 4))(x)
    np.testing.assert_array_equal(h[0], np.zeros(3))


# ------------------------------------------------------------------------------- chains


@given(st.lists(st.integers(0, 3), min_size=3, max_size=6), st.booleans(), st.booleans())
def test_multi_dot(sizes: list[int], row: bool, column: bool) -> None:
    arrays = [matrices(n, m, seed=i) for i, (n, m) in enumerate(pairwise(sizes))]
    if row:
        arrays[0] = matrices(sizes[1], seed=8)
    if column:
        arrays[-1] = matrices(sizes[-2], seed=9)
    ts = [gg.Tensor(a, requires_grad=True) for a in arrays]
    expected = np.linalg.multi_dot(arrays)
    y = np.linalg.multi_dot(ts)
    np.testing.assert_allclose(y.numpy(), expected, atol=1e-12)
    w = matrices(*y.shape, seed=5)
    for i, g in enumerate(gg.gradients(y, ts, w)):
        z = matrices(*arrays[i].shape, seed=6)
        moved = np.linalg.multi_dot([*arrays[:i], z, *arrays[i + 1 :]])
        np.testing.assert_allclose(np.vdot(g, z), np.vdot(w, moved), atol=1e-12)


def test_multi_dot_takes_the_cheap_order() -> None:
    shapes = [(50, 2), (2, 50), (50, 3), (3, 50)]
    y = np.linalg.multi_dot([gg.Tensor(matrices(*s), requires_grad=True) for s in shapes])
    made = [n.shape for n in ancestors([y._node])]
    assert made.count((50, 50)) == 1  # only the result


# --------------------------------------------------------------------- kinds of results


def test_named_tuples_stay() -> None:
    t = gg.Tensor(spread(3, 3), requires_grad=True)
    for recorded in (t, t.detach()):
        assert np.linalg.eigh(recorded).eigenvalues.shape == (3,)
        assert np.linalg.slogdet(recorded).logabsdet.shape == ()
        assert np.linalg.svd(recorded).Vh.shape == (3, 3)
        assert np.linalg.qr(recorded).R.shape == (3, 3)


def test_an_output_may_be_used_twice_and_others_not_at_all() -> None:
    def f(a: Any) -> Any:
        w, v = np.linalg.eigh(a)
        return np.sum(w * w) + np.sum(w**3) + np.sum(v[:, 0] ** 4)

    check(f, spread(3, 3))


@pytest.mark.parametrize(
    "f",
    [
        np.linalg.inv,
        np.linalg.det,
        lambda a: np.linalg.slogdet(a)[1],
        lambda a: np.linalg.solve(a, a),
        np.linalg.cholesky,
        np.linalg.eigvalsh,
        lambda a: np.linalg.eigh(a)[1],
        np.linalg.svdvals,
        lambda a: np.linalg.svd(a)[0],
        lambda a: np.linalg.qr(a)[0],
        np.linalg.pinv,
        np.linalg.norm,
        lambda a: np.linalg.norm(a, 3, axis=0),
        lambda a: np.linalg.norm(a, "nuc"),
        lambda a: np.linalg.matrix_power(a, 0),
        lambda a: np.linalg.multi_dot([a, a, a]),
    ],
)
def test_single_precision_all_the_way(f: Function) -> None:
    t = gg.Tensor(spread(3, 3).astype(np.float32), requires_grad=True)
    y = f(t)
    assert y.dtype == np.float32
    (g,) = gg.gradients(y, [t], np.ones(y.shape, np.float32), create_graph=True)
    assert g.dtype == np.float32
    if g.requires_grad:  # nothing in the graph of the gradient is computed in double
        assert {n.dtype for n in ancestors([g._node])} <= {np.dtype(np.float32), None}


EMPTY: list[tuple[Function, tuple[int, ...]]] = [
    (np.linalg.inv, (0, 0)),
    (np.linalg.inv, (0, 2, 2)),
    (np.linalg.det, (0, 0)),
    (np.linalg.det, (0, 4, 4)),
    (lambda a: np.linalg.slogdet(a)[1], (2, 0, 0)),
    (lambda a: np.linalg.solve(a, np.ones((0, 2))), (0, 0)),
    (np.linalg.cholesky, (0, 0)),
    (lambda a: np.linalg.eigh(a)[1], (0, 0)),
    (np.linalg.eigvalsh, (0, 3, 3)),
    (lambda a: np.linalg.qr(a)[0], (3, 0)),
    (lambda a: np.linalg.qr(a)[1], (0, 3)),
    (np.linalg.pinv, (0, 2)),
    (np.linalg.norm, (0,)),
    (lambda a: np.linalg.norm(a, axis=0), (0, 3)),
    (lambda a: np.linalg.norm(a, 1, axis=0), (0, 3)),
    (lambda a: np.linalg.norm(a, 3, axis=0), (0, 3)),
    (lambda a: np.linalg.matrix_power(a, 3), (0, 0)),
]


@pytest.mark.parametrize(("f", "shape"), EMPTY)
def test_empty_matrices(f: Function, shape: tuple[int, ...]) -> None:
    x = np.zeros(shape)
    t = gg.Tensor(x, requires_grad=True)
    y = f(t)
    np.testing.assert_array_equal(y.numpy(), f(x))
    y.sum().backward()
    np.testing.assert_array_equal(t.grad, x)


# ------------------------------------------------------------------------------ errors


def ones(*shape: int) -> gg.Tensor:
    return gg.Tensor(np.ones(shape), requires_grad=True)


eye = gg.Tensor(np.eye(3), requires_grad=True)
half = gg.Tensor(np.eye(2, dtype=np.float16), requires_grad=True)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: np.linalg.inv(ones(2, 3)), LinalgError, r"inv: \(2, 3\).*square.*pinv"),
        (lambda: np.linalg.inv(ones(2, 2)), LinalgError, "inv.*Singular.*pinv"),
        (lambda: np.linalg.solve(eye, ones(4)), ShapeError, "3 equations.*4 rows"),
        (
            lambda: np.linalg.solve(ones(2, 3, 3), ones(2, 3)),
            ShapeError,
            r"2 rows.*solve\(a, b\[\.\.\., None\]\)",
        ),
        (lambda: np.linalg.cholesky(-eye), LinalgError, "positive definite.*eigh"),
        (lambda: linalg.eigh(eye, "X"), ShapeError, "UPLO"),
        (lambda: np.linalg.svd(eye, hermitian=True), UnsupportedError, "hermitian.*eigh"),
        (lambda: np.linalg.qr(ones(3, 2), mode="complete"), UnsupportedError, "complete.*reduced"),
        (lambda: np.linalg.qr(ones(2, 2), mode="raw"), UnsupportedError, "raw.*reduced"),
        (lambda: np.linalg.norm(ones(2, 2, 2), 1), ShapeError, r"\(2, 2, 2\).*axis="),
        (lambda: np.linalg.norm(ones(2), "fro"), ShapeError, "'fro' is for matrices"),
        (lambda: np.linalg.norm(ones(2, 2), 3), ShapeError, "ord=3"),
        (lambda: np.linalg.norm(ones(2, 2), axis=(0, 0)), ShapeError, "two axes"),
        (lambda: np.linalg.norm(ones(2, 2), axis=(0, 2)), ShapeError, "two axes"),
        (lambda: np.linalg.matrix_power(ones(2, 3), 2), LinalgError, r"square.*\(2, 3\)"),
        (lambda: linalg.matrix_power(eye, 1.5), DtypeError, "integer"),
        (lambda: np.linalg.multi_dot([eye]), ShapeError, "two arrays"),
        (lambda: np.linalg.multi_dot([eye, ones(3), eye]), LinalgError, "vectors at the ends"),
        (lambda: np.linalg.inv(half), DtypeError, r"float16.*astype\(np.float32\)"),
        (lambda: np.linalg.svd(half), DtypeError, r"float16.*astype\(np.float32\)"),
        (lambda: np.linalg.lstsq(eye, ones(3)), UnsupportedError, r"np.linalg.lstsq.*pinv"),
        (lambda: np.linalg.eig(eye), UnsupportedError, r"np.linalg.eig.*eigh"),
    ],
)
def test_errors_name_the_op_and_the_remedy(call: Function, kind: type, words: str) -> None:
    with pytest.raises(kind, match=words + r".*\(at test_linalg.py:\d+\)"):
        call()


def test_singular_matrix_met_in_the_gradient() -> None:
    t = ones(2, 2)
    _, logarithm = np.linalg.slogdet(t)
    assert logarithm.item() == -np.inf
    with pytest.raises(GraphError, match=r"slogdet \(built at test_linalg.py:\d+\).*Singular"):
        logarithm.backward()
    assert t.grad is None


# ------------------------------------------------------------------------------- names


def test_gg_linalg_has_the_ops_of_np_linalg() -> None:
    for name in linalg.__all__:
        theirs = getattr(np.linalg, name)
        ours = getattr(linalg, name)
        assert ours is TABLE.get(theirs) or (theirs in PLAIN and ours is theirs), name
    missing = {n for n in np.linalg.__all__ if n not in linalg.__all__}
    assert missing <= {"LinAlgError", "eig", "eigvals", "lstsq", "tensorinv", "tensorsolve"}


def test_rank_is_answered_plainly() -> None:
    assert np.linalg.matrix_rank(eye) == 3
    assert linalg.matrix_rank(np.eye(2)) == 2


@given(any_regular)
def test_identities_that_tie_the_ops_together(a: Array) -> None:
    # d log|det| = tr(a⁻¹ da), and the inverse is what solves for the identity
    n = a.shape[-1]
    t = gg.Tensor(a, requires_grad=True)
    (g,) = gg.gradients(np.linalg.slogdet(t)[1].sum(), [t])
    np.testing.assert_allclose(g, np.swapaxes(np.linalg.inv(a), -1, -2), rtol=1e-9, atol=1e-9)
    w = matrices(*a.shape, seed=2)
    (by_inverse,) = gg.gradients(linalg.inv(t), [t], w)
    (by_solve,) = gg.gradients(linalg.solve(t, np.eye(n)), [t], w)
    (by_power,) = gg.gradients(linalg.matrix_power(t, -1), [t], w)
    (by_pinv,) = gg.gradients(linalg.pinv(t), [t], w)
    for other in (by_solve, by_power, by_pinv):
        np.testing.assert_allclose(other, by_inverse, rtol=1e-7, atol=1e-7)


def test_every_pair_of_functions_of_one_matrix_agrees() -> None:
    # three ways to the same number: its gradient must not depend on the way
    a = symmetric(matrices(3, 3)) / 4 + 2 * np.eye(3)

    def full(g: Array) -> Array:  # a gradient in one triangle, spread over both
        return (g + g.T) / 2

    ways: list[Function] = [
        np.linalg.det,
        lambda a: np.prod(np.diagonal(np.linalg.cholesky(a))) ** 2,
        lambda a: np.prod(np.linalg.eigvalsh(a)),
        lambda a: np.prod(np.linalg.svdvals(a)),
        lambda a: np.abs(np.prod(np.diagonal(np.linalg.qr(a)[1]))),
        lambda a: np.exp(np.linalg.slogdet(a)[1]),
    ]
    for f, h in combinations(ways, 2):
        np.testing.assert_allclose(full(gg.grad(f)(a)), full(gg.grad(h)(a)), rtol=1e-10)
