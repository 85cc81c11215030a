"""Windows as rows: Saito's shapes, the adjoint, and convolutions as one product."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from graphgrad import nn
from graphgrad.errors import ShapeError
from tests.builders import Refusals, drawn, refuses

F = nn.functional


@st.composite
def layouts(draw: Any) -> tuple[tuple[int, ...], dict[str, Any]]:
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride, dilation = draw(pairs), draw(pairs), draw(pairs)
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    least = [d * (k - 1) + 1 - 2 * p for k, d, p in zip(kernel, dilation, padding, strict=True)]
    size = [max(1, n) + draw(st.integers(0, 3)) for n in least]
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 2)), *size)
    how = {"stride": stride, "padding": padding, "dilation": dilation}
    return shape, {"kernel_size": kernel, **how}


@pytest.mark.parametrize(("images", "rows"), [(1, 9), (10, 90)])
def test_the_books_shapes(images: int, rows: int) -> None:
    assert F.im2col(np.zeros((images, 3, 7, 7)), (5, 5)).shape == (rows, 75)


def test_rows_and_columns_are_in_the_books_order() -> None:
    """A row is a window: images, then places row by row; in it channels, then rows of the window.

    In any other order a weight reshaped to a matrix would meet the wrong pixels.
    """
    x = np.arange(2 * 2 * 3 * 4).reshape(2, 2, 3, 4)
    rows = F.im2col(x, (2, 3), stride=1)
    places = [(n, i, j) for n in range(2) for i in range(2) for j in range(2)]
    for row, (n, i, j) in zip(rows, places, strict=True):
        np.testing.assert_array_equal(row, x[n, :, i : i + 2, j : j + 3].ravel())


@settings(max_examples=40)
@given(layout=layouts())
def test_they_are_adjoint(layout: Any) -> None:
    """⟨im2col x, c⟩ = ⟨x, col2im c⟩: each gradient is the other map."""
    shape, how = layout
    (x,) = drawn(shape)
    columns = F.im2col(x, **how)
    c = np.random.default_rng(1).standard_normal(columns.shape)
    np.testing.assert_allclose(np.vdot(columns, c), np.vdot(x, F.col2im(c, shape, **how)))


def test_dtypes_stay() -> None:
    for dtype in (np.float32, int):
        assert F.im2col(np.ones((1, 1, 3, 3), dtype), 2).dtype == dtype


X = np.zeros((2, 3, 5, 5))
REFUSED: Refusals = {
    ShapeError: {
        r"im2col: x \(5, 5\) must be \(N, C, H, W\)": lambda: F.im2col(X[0, 0], 2),
        r"im2col: x \(2, 3, 5, 5\).*\(6, 6\): take a smaller": lambda: F.im2col(X, 6),
        r"columns \(32, 11\).*\(2, 3, 5, 5\) make \(32, 12\)": lambda: F.col2im(
            np.zeros((32, 11)), X.shape, 2
        ),
        r"image_shape=\(5, 5\) must be \(N, C": lambda: F.col2im(X, (5, 5), 2),
    },
}
test_what_does_not_fit_is_refused = refuses(REFUSED)
