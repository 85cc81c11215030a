"""Locally connected layers against convolutions, and against small ops to second order."""

from typing import Any

import numpy as np
from hypothesis import given, settings, strategies as st

from graphgrad import nn
from graphgrad.errors import ArgumentError, ShapeError
from tests.builders import Refusals, drawn, refuses
from tests.equality import assert_equals_composition

F = nn.functional


@st.composite
def layouts(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...], Any, Any, tuple[int, int]]:
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride = draw(pairs), draw(pairs)
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    least = [max(1, k - 2 * p) for k, p in zip(kernel, padding, strict=True)]
    size = [n + draw(st.integers(0, 3)) for n in least]
    batch, inputs, outputs = (draw(st.integers(1, 2)) for _ in range(3))
    fits = zip(size, kernel, stride, padding, strict=True)
    places = tuple((n + 2 * p - k) // s + 1 for n, k, s, p in fits)
    shape = (batch, inputs, *size)
    return shape, (outputs, inputs, *kernel), stride, padding, places


def composed(x: Any, weight: Any, bias: Any, stride: Any, padding: Any) -> Any:
    """Take every window by itself, by slicing, and contract it with the kernel of its place."""
    (down, across), (top, left) = stride, padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, top), (left, left)))
    height, width, _, _, kh, kw = weight.shape
    rows = []
    for i in range(height):
        places = []
        for j in range(width):
            a, b = i * down, j * across
            window = padded[:, :, a : a + kh, b : b + kw]
            places.append(np.einsum("nckl,ockl->no", window, weight[i, j]))
        rows.append(np.stack(places, axis=-1))
    return np.stack(rows, axis=-2) + bias


@settings(max_examples=25)
@given(layout=layouts())
def test_it_is_its_composition_to_second_order(layout: Any) -> None:
    shape, kernel, stride, padding, places = layout
    arrays = drawn(shape, (*places, *kernel), (kernel[0], *places))
    assert_equals_composition(
        lambda x, w, b: F.locally_connected2d(x, w, b, stride, padding),
        lambda x, w, b: composed(x, w, b, stride, padding),
        *arrays,
    )


def test_a_layer_with_the_numbers_of_a_convolution() -> None:
    """Shapes of the parameters, their initial range, and that the layer passes all arguments on."""
    conv = nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(0, 1), rng=np.random.default_rng(0))
    rng = np.random.default_rng(1)
    local = nn.LocallyConnected2d(2, 3, (7, 5), (3, 2), (2, 1), (0, 1), rng=rng)
    assert local.weight.shape == (3, 6, 3, 2, 3, 2)
    assert local.bias is not None
    assert local.bias.shape == (3, 3, 6)
    x = np.random.default_rng(2).standard_normal((4, 2, 7, 5)).astype(np.float32)
    assert conv.bias is not None
    local.weight.data[...] = conv.weight.numpy()
    local.bias.data[...] = conv.bias.numpy()[:, None, None]
    expected = conv(x).numpy()
    np.testing.assert_allclose(local(x).numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(local(x[0]).numpy(), expected[0], rtol=1e-5, atol=1e-6)
    table = nn.summary(local, (2, 7, 5))
    assert table.rows[0].multiply_adds == nn.summary(conv, (2, 7, 5)).rows[0].multiply_adds
    assert table.parameters == 18 * sum(p.size for p in conv.parameters())


X, W = np.zeros((2, 3, 6, 5)), np.zeros((5, 4, 2, 3, 2, 2))
REFUSED: Refusals = {
    ShapeError: {
        r"weight \(4, 2, 3, 2, 2\) must be \(OH": lambda: F.locally_connected2d(X, W[0]),
        r"x \(2, 2, 6, 5\) has 2 channels, .* wants 3": lambda: F.locally_connected2d(X[:, :2], W),
        "has 5 × 3 places, .* 5 × 4: it serves one size": lambda: F.locally_connected2d(
            X[..., :4], W
        ),
        r"bias \(2,\); weight .* needs \(2, 5, 4\)": lambda: F.locally_connected2d(
            X, W, np.zeros(2)
        ),
        r"x \(6, 5\) must be \(N, C": lambda: F.locally_connected2d(X[0, 0], W),
        r"spans \(3, 3\): take a smaller": lambda: nn.LocallyConnected2d(1, 2, 2, 3),
    },
    ArgumentError: {},
}
test_what_does_not_fit_is_refused = refuses(REFUSED)
