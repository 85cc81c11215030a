"""Linear algebra where laws do not reach: singular matrices, equal values, norms at 0, triangles.

Where a derivative is a choice (norms at 0) or stops to exist (vectors of equal values) the tests
say which choice, and that there is an error.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import linalg
from graphgrad.checks.laws import AnyOp, Case
from graphgrad.engine.domains import call
from graphgrad.engine.graph import ancestors
from graphgrad.engine.op import TABLE
from graphgrad.errors import DtypeError, GraphError, LinalgError, ShapeError, UnsupportedError
from graphgrad.testing import check_call, typical_calls
from tests.builders import leaf

Function = Callable[..., Any]
Array = Any


def matrices(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng((seed, *shape)).uniform(-1, 1, shape)


def spread(*shape: int) -> Array:
    """Matrices with singular values (and eigenvalues) well apart from each other and from 0."""
    shift = np.zeros(shape[-2:])
    np.fill_diagonal(shift, 4.0 * np.arange(1, min(shape[-2:]) + 1))
    return matrices(*shape) + shift


def of_rank(n: int, rank: int) -> Array:
    return matrices(n, rank, seed=3) @ matrices(rank, n, seed=4)


def cofactors(a: Array) -> Array:
    out = np.zeros_like(a)
    for i, j in np.ndindex(a.shape):
        out[i, j] = (-1) ** (i + j) * np.linalg.det(np.delete(np.delete(a, i, 0), j, 1))
    return out


@pytest.mark.parametrize(
    "a",
    [
        *[of_rank(n, rank) for n in (1, 2, 3, 4, 5) for rank in range(n)],
        *[np.diag(d) for d in ([1.0, 2, 3, 0], [1.0, 2, 0, 0])],
    ],
)
def test_determinant_of_a_singular_matrix(a: Array) -> None:
    # det · inv is NaN or an error here; the gradient, a polynomial, is not
    np.testing.assert_allclose(gg.grad(np.linalg.det)(a), cofactors(a), atol=1e-9)
    assert gg.gradcheck(np.linalg.det, a, order=3 if len(a) < 4 else 2, atol=1e-6)


TRIANGLES: dict[str, tuple[Function, Function]] = {
    "cholesky": (np.linalg.cholesky, np.tril),
    "cholesky, upper": (lambda a: np.linalg.cholesky(a, upper=True), np.triu),
    "eigh": (np.linalg.eigh, np.tril),
    "eigh, upper": (lambda a: np.linalg.eigh(a, "u"), np.triu),
    "eigvalsh, upper": (lambda a: np.linalg.eigvalsh(a, "U"), np.triu),
    "pinv": (lambda a: np.linalg.pinv(a, hermitian=True), np.tril),
}


@pytest.mark.parametrize("name", TRIANGLES)
def test_only_the_triangle_that_numpy_reads_has_a_gradient(name: str) -> None:
    f, keep = TRIANGLES[name]
    _, pullback = gg.vjp(f, spread(2, 3, 3))
    ys = f(spread(2, 3, 3))
    outs = [matrices(*np.shape(y), seed=5) for y in (ys if isinstance(ys, tuple) else (ys,))]
    (g,) = pullback(outs if len(outs) > 1 else outs[0])
    np.testing.assert_array_equal(g, keep(g))
    assert np.count_nonzero(g) == 12


def test_cholesky_ignores_what_flows_into_its_zeros() -> None:
    t = leaf(np.eye(2) * 3 + 1)
    with np.errstate(divide="ignore"):
        np.sum(np.log(linalg.cholesky(t))).backward()  # 1/0 above
    assert np.isfinite(t.grad).all()


def test_repeated_eigenvalues_have_gradients() -> None:
    # symmetric functions of the values are smooth in the matrix, ties or not
    a = np.diag([2.0, 1, 2, 1]) + 1e-30
    ways: list[Function] = [linalg.eigvalsh, lambda a: linalg.eigh(a)[0]]
    for f in ways:
        t = leaf(a)
        (f(t) ** 3).sum().backward()
        np.testing.assert_allclose(t.grad, 3 * np.diag([4.0, 1, 4, 1]), atol=1e-12)
    # the largest of equal ones is a kink: the smallest subgradient shares evenly, like max
    t = leaf(np.eye(3))
    linalg.eigvalsh(t)[-1].backward()
    np.testing.assert_allclose(t.grad, np.eye(3) / 3, atol=1e-15)


def test_vectors_beside_repeated_eigenvalues_have_gradients() -> None:
    # the top vector does not care which basis the others have: its derivative exists
    q, _ = np.linalg.qr(matrices(4, 4))
    a = np.diag([0.0, 0, 0, 3])

    def top(a: Any) -> Any:
        return np.linalg.eigh(a)[1][:, 3] ** 2

    assert gg.gradcheck(top, a)
    assert gg.gradcheck(
        lambda a: top(a + np.diag([1.0, 1, 0, 0])), q @ a @ q.T + np.diag([0.0, 0, 1, 1])
    )
    hessian = gg.hessian(lambda a: np.linalg.eigvalsh(a)[3])(a)
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
    t = leaf(np.eye(3))
    with pytest.raises(GraphError, match=r"(eigh|svd) .*linalg.*are equal.*(eigvalsh|svdvals)"):
        f(t).backward()
    assert t.grad is None
    with pytest.raises(LinalgError, match="are equal"):
        gg.gradients(f(t), [t], create_graph=True)


@pytest.mark.parametrize(
    ("f", "shape"),
    [
        (lambda a: np.linalg.svd(a)[1], (3, 2)),
        (lambda a: np.linalg.svd(a)[2], (3, 2)),  # this side is square
        (lambda a: np.linalg.svd(a)[0], (2, 3)),
        (lambda a: np.linalg.svd(a)[0][:, :2], (3, 2)),  # the first ones are known
        (lambda a: np.linalg.svd(a)[2][:2], (2, 3)),
    ],
)
def test_full_matrices(f: Function, shape: tuple[int, ...]) -> None:
    assert gg.gradcheck(f, spread(*shape), order=2)
    t = leaf(spread(3, 2))
    with pytest.raises(GraphError, match=r"svd.*full_matrices=False"):
        gg.sum(gg.linalg.svd(t)[0][:, 2] ** 2 * np.arange(3.0)).backward()


@pytest.mark.parametrize(("values", "slopes"), [([2.0, 2, 2], [1, 1, 1]), ([3.0, 0], [1, 0])])
def test_equal_and_vanishing_singular_values(values: list[float], slopes: list[int]) -> None:
    # a singular value is an absolute value: at 0 its gradient is 0
    g = gg.grad(lambda a: np.sum(np.linalg.svdvals(a)))(np.diag(values))
    np.testing.assert_allclose(g, np.diag(slopes), atol=1e-12)


def test_one_vanishing_value_leaves_the_vectors_of_a_square_matrix_as_they_are() -> None:
    assert gg.gradcheck(lambda a: np.linalg.svd(a)[0] ** 2, np.diag([3.0, 1, 0]))


def test_pinv_where_the_rank_stays_the_same() -> None:
    # along matrices of rank 1 the pseudo-inverse is smooth
    assert gg.gradcheck(
        lambda x, y: np.linalg.pinv(np.outer(x, y)), matrices(3), matrices(2, seed=1), order=2
    )


@pytest.mark.parametrize("options", [{"rcond": 0.1}, {"rtol": 0.1}, {"rcond": np.array(0.1)}])
def test_pinv_with_a_cutoff(options: dict[str, Any]) -> None:
    check_call(linalg.pinv, call(np.diag([4.0, 1]), **options))
    with pytest.raises(GraphError, match=r"pinv.*rcond.*compose"):
        np.linalg.pinv(leaf(np.diag([4.0, 1])), rcond=0.5).sum().backward()


ORDERS = [None, 0, 1, 2, 3, 0.5, 2.5, -1, -2.5, np.inf, -np.inf]
OF_MATRICES = [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf]


def test_norms_of_integers_are_floating() -> None:
    assert np.linalg.norm(gg.Tensor([3, 4])).item() == 5
    assert np.linalg.norm(gg.Tensor([3, 4]), 1).dtype == float


AT_ZERO: list[Function] = [
    np.linalg.norm,
    np.linalg.vector_norm,
    *[lambda a, o=o: np.sum(np.linalg.norm(a, o, axis=-1)) for o in ORDERS],
    *[lambda a, o=o: gg.linalg.norm(a, o) for o in OF_MATRICES],
]


@pytest.mark.parametrize("f", AT_ZERO)
def test_norms_at_zero_have_gradient_zero(f: Function) -> None:
    t = leaf(np.zeros((3, 3)))
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


def test_multi_dot_takes_the_cheap_order() -> None:
    shapes = [(50, 2), (2, 50), (50, 3), (3, 50)]
    y = np.linalg.multi_dot([leaf(matrices(*s)) for s in shapes])
    made = [n.shape for n in ancestors([y._node])]
    assert made.count((50, 50)) == 1  # only the result


def test_named_tuples_stay() -> None:
    t = leaf(spread(3, 3))
    for recorded in (t, t.detach()):
        assert np.linalg.eigh(recorded).eigenvalues.shape == (3,)
        assert np.linalg.slogdet(recorded).logabsdet.shape == ()
        assert np.linalg.svd(recorded).Vh.shape == (3, 3)
        assert np.linalg.qr(recorded).R.shape == (3, 3)


OPS = {
    name: getattr(linalg, name)
    for name in linalg.__all__
    if getattr(linalg, name) in TABLE.values()
}


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_gradients_of_float32_are_computed_in_it(op: AnyOp) -> None:
    for drawn in typical_calls(op):
        case = Case(op, drawn)
        ts = [leaf(p.astype(np.float32)) for p in case.points]
        ys = [y for y in case.run(*ts) if y.requires_grad]
        if ys:
            gs = gg.gradients(ys, ts, [np.ones(y.shape, np.float32) for y in ys], create_graph=True)
            nodes = ancestors([g._node for g in gs if g.requires_grad])
            assert {n.dtype for n in nodes} <= {np.dtype(np.float32), None}, case


EMPTY: list[tuple[Function, tuple[int, ...]]] = [
    (np.linalg.det, (0, 4, 4)),
    (lambda a: np.linalg.slogdet(a)[1], (2, 0, 0)),
    (np.linalg.eigvalsh, (0, 3, 3)),
    (lambda a: np.linalg.qr(a)[1], (0, 3)),
    (lambda a: np.linalg.norm(a, axis=0), (0, 3)),
    (lambda a: np.linalg.norm(a, 1, axis=0), (0, 3)),
    (lambda a: np.linalg.norm(a, 3, axis=0), (0, 3)),
]


@pytest.mark.parametrize(("f", "shape"), EMPTY)
def test_empty_matrices(f: Function, shape: tuple[int, ...]) -> None:
    x = np.zeros(shape)
    t = leaf(x)
    y = f(t)
    np.testing.assert_array_equal(y.numpy(), f(x))
    y.sum().backward()
    np.testing.assert_array_equal(t.grad, x)


def ones(*shape: int) -> gg.Tensor:
    return leaf(np.ones(shape))


eye, half = leaf(np.eye(3)), leaf(np.eye(2, dtype=np.float16))


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
        (lambda: np.linalg.svd(eye, hermitian=True), UnsupportedError, "hermitian.*eigh"),
        (lambda: np.linalg.qr(ones(3, 2), mode="complete"), UnsupportedError, "complete.*reduced"),
        (lambda: np.linalg.qr(ones(2, 2), mode="raw"), UnsupportedError, "raw.*reduced"),
        (lambda: np.linalg.norm(ones(2, 2, 2), 1), ShapeError, r"\(2, 2, 2\).*axis="),
        (lambda: np.linalg.norm(ones(2), "fro"), ShapeError, "'fro' is for matrices"),
        (lambda: np.linalg.matrix_power(ones(2, 3), 2), LinalgError, r"square.*\(2, 3\)"),
        (lambda: np.linalg.multi_dot([eye, ones(3), eye]), LinalgError, "vectors at the ends"),
        (lambda: np.linalg.inv(half), DtypeError, r"float16.*astype\(np.float32\)"),
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
