"""Products and einsum: NumPy's values, and gradients that are exact to the last bit.

All are linear in each operand. So with f the product of x and y, the gradient g of
<w, f(x, y)> by x obeys <g, z> = <w, f(z, y)> for every z, and the gradient of <g, z> by y
is the gradient of <w, f(z, y)> by y. On small whole numbers no digit is lost: no step
width, no tolerance.
"""

from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, strategies as st

import graphgrad as gg
from graphgrad.errors import ShapeError
from tests.builders import leaf
from tests.linear import whole

Shape = tuple[int, ...]
Product = Callable[..., Any]


def check_product(f: Product, *shapes: Shape) -> None:
    xs, zs = ([whole(s, 10 * seed + i) for i, s in enumerate(shapes)] for seed in (1, 2))
    ts = [leaf(x) for x in xs]
    y, value = f(*ts), f(*xs)
    assert type(y) is gg.Tensor
    np.testing.assert_array_equal(y.numpy(), value, strict=np.ndim(value) > 0)
    w = whole(np.shape(value), 3)
    plain = gg.gradients(y, ts, w, retain_graph=True)
    recorded = gg.gradients(y, ts, w, create_graph=True)
    for i, z in enumerate(zs):
        assert plain[i].shape == shapes[i]
        assert np.vdot(plain[i], z) == np.vdot(w, f(*xs[:i], z, *xs[i + 1 :]))
        np.testing.assert_array_equal(recorded[i].numpy(), plain[i])
        others = [j for j in range(len(xs)) if j != i]
        if not others:
            continue
        moved = [leaf(x) for x in xs]
        expected = gg.gradients(f(*moved[:i], z, *moved[i + 1 :]), [moved[j] for j in others], w)
        mixed = gg.gradients(recorded[i], [ts[j] for j in others], z, retain_graph=True)
        for a, b in zip(mixed, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_cross_along_any_axes() -> None:
    check_product(lambda x, y: np.cross(x, y, 0, 1, -2), (3, 2), (2, 3))
    check_product(lambda x, y: np.cross(x, y, -1, 0, 1), (4, 2, 3), (3, 2))


def test_cross_of_two_components() -> None:
    # NumPy deprecates what it computes here, so the values are spelt out
    a, b, c = leaf([2.0, 3.0]), np.array([5.0, 7.0]), np.array([1.0, 2, 4])
    z = gg.cross(a, b)
    assert z.shape == ()
    assert z.item() == 2 * 7 - 3 * 5
    z.backward()
    np.testing.assert_array_equal(a.grad, [7, -5])
    np.testing.assert_array_equal(gg.cross(a, c).numpy(), np.cross([2.0, 3, 0], c))
    np.testing.assert_array_equal(gg.cross(c, a).numpy(), np.cross(c, [2.0, 3, 0]))


def test_outer_of_linalg_takes_vectors_only() -> None:
    with pytest.raises(ShapeError, match=r"two vectors .*\(2, 2\)"):
        np.linalg.outer(gg.Tensor(np.ones((2, 2))), np.ones(2))


def test_one_matrix_for_a_batch_needs_no_batch_of_gradients() -> None:
    # a layer on (batch, time, features): the gradient of its weight is one product
    made: list[Shape] = []
    x, w = whole((4, 5, 3)), leaf(whole((3, 2)))
    rule = gg.matmul.rules[1]
    assert rule is not None
    g = whole((4, 5, 2))

    class Spy(np.ndarray[Any, Any]):
        def __array_finalize__(self, _: Any) -> None:
            made.append(self.shape)

    np.testing.assert_array_equal(
        rule(g.view(Spy), x.view(Spy), w.shape), np.einsum("bti,bto->io", x, g)
    )
    assert (4, 3, 2) not in made


@st.composite
def einsums(draw: Any) -> tuple[str, list[Shape]]:
    """Draw subscripts, with everything that NumPy allows in them, and shapes that fit."""
    lengths = {c: draw(st.integers(0, 3)) for c in "iJk"}
    dots = draw(hnp.array_shapes(min_dims=0, max_dims=2, max_side=3))
    terms, shapes, seen = [], [], set()
    for _ in range(draw(st.integers(1, 3))):
        labels = draw(st.lists(st.sampled_from("iJk"), max_size=3))
        ones = {c: draw(st.booleans()) for c in labels}  # a label of length 1 is stretched
        sizes = [1 if ones[c] else lengths[c] for c in labels]
        seen.update(labels)
        if draw(st.booleans()):
            kept = dots[draw(st.integers(0, len(dots))) :]
            kept = tuple(1 if draw(st.booleans()) else n for n in kept)
            place = draw(st.integers(0, len(labels)))
            labels.insert(place, "...")
            sizes[place:place] = kept
        terms.append("".join(labels))
        shapes.append(tuple(sizes))
    subscripts = draw(st.sampled_from([",", " , "])).join(terms)
    if draw(st.booleans()):
        output = draw(st.lists(st.sampled_from(sorted(seen)), unique=True)) if seen else []
        if any("..." in term for term in terms):
            output.insert(draw(st.integers(0, len(output))), "...")
        subscripts += "->" + "".join(output)
    return subscripts, shapes


@given(einsums(), st.sampled_from([False, True, "greedy", "optimal"]))
def test_einsum(drawn: tuple[str, list[Shape]], optimize: Any) -> None:
    subscripts, shapes = drawn
    check_product(lambda *xs: np.einsum(subscripts, *xs, optimize=optimize), *shapes)


@pytest.mark.parametrize("optimize", [False, True, ["einsum_path", (0, 1), (0, 1)]])
def test_einsum_with_labels_by_number(optimize: Any) -> None:
    def f(x: Any, y: Any, z: Any) -> Any:
        operands: list[Any] = [x, [30, 0], y, [0, 1, ...], z, [..., 1], [30, ...]]
        return np.einsum(*operands, optimize=optimize)

    check_product(f, (2, 3), (3, 4, 5), (5, 4))
    check_product(lambda x: np.einsum(x, [1, 0, 1]), (2, 3, 2))  # implicit output
    check_product(lambda x: np.einsum(x, [40, 2]), (2, 3))  # numbers in NumPy's order


def test_einsum_of_large_operands_goes_through_blas_and_agrees() -> None:
    check_product(lambda x, y: np.einsum("bij,jk->bik", x, y), (30, 20, 20), (20, 20))


def test_a_diagonal_carries_infinite_gradients_without_nan() -> None:
    # multiplied by a mask, the zeros beside it would become inf * 0
    x = leaf(np.eye(2))
    np.einsum("ii->i", x).backward(np.array([np.inf, 1]))
    np.testing.assert_array_equal(x.grad, [[np.inf, 0], [0, 1]])


def test_einsum_of_one_operand_is_no_view() -> None:
    # NumPy gives a writeable view; a write into it must not change the input unseen
    x = gg.Tensor(np.eye(2))
    np.einsum("ii->i", x)[0] = 5.0
    assert x.data[0, 0] == 1


def ones(*shape: int) -> gg.Tensor:
    return leaf(np.ones(shape))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ones(3, 4) @ ones(5, 2), r"\(3, 4\) @ \(5, 2\): inner dimensions 4 and 5"),
        (lambda: ones(2, 3) @ 2.0, r"use \* with a scalar"),
        (lambda: ones(2, 3, 4) @ ones(5, 4, 2), "axes before the matrix must be equal or 1"),
        (lambda: np.dot(ones(2, 3), ones(2, 3)), "dot.*not aligned"),
        (lambda: np.cross(ones(4), ones(4)), r"cross.*2 or 3 numbers.*\(4,\)"),
        (lambda: np.linalg.cross(ones(2), ones(2)), r"cross.*3 numbers.*\(2,\)"),
        (
            lambda: np.einsum("ij,jk", ones(2, 3), ones(4, 5)),
            r"'ij,jk': label 'j' has length 3 in operand 0 \(2, 3\) and 4 in operand 1 \(4, 5\)",
        ),
        (lambda: np.einsum("ii", ones(2, 3)), "label 'i' has length 2 in operand 0"),
        (lambda: np.einsum("...i,...i", ones(2, 3), ones(3, 3)), "an axis of '...'"),
        (lambda: np.einsum("ijk", ones(2, 3)), r"operand 0 has 2 axes \(2, 3\), its term names 3"),
        (lambda: np.einsum("ij,j", ones(2, 3)), "do not name 1 operands"),
    ],
)
def test_shapes_that_do_not_fit(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ShapeError, match=words + r".*\(at test_products.py:\d+\)"):
        call()
