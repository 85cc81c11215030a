"""Convolutions against compositions of small ops, the documents' numbers, numerical gradients."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.lib.stride_tricks import sliding_window_view

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import ArgumentError, DtypeError, ShapeError
from graphgrad.nn.kernels import correlation
from graphgrad.nn.kernels.convolution import CONV2D
from tests.builders import Refusals, drawn, memory_of, refuses
from tests.equality import assert_equals_composition

F = nn.functional
NONE = ((0, 0), (0, 0))


def composed(
    x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Any:
    """Convolve by padding, windows and one einsum; padding is (top, bottom), (left, right)."""
    (kh, kw), (dh, dw) = weight.shape[2:], dilation
    padded = np.pad(x, ((0, 0), (0, 0), *padding))
    windows = sliding_window_view(padded, (dh * (kh - 1) + 1, dw * (kw - 1) + 1), (2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1], ::dh, ::dw]
    n, c, height, width = windows.shape[:4]
    outputs = len(weight)
    windows = windows.reshape(n, groups, c // groups, height, width, kh, kw)
    kernel = weight.reshape(groups, outputs // groups, c // groups, kh, kw)
    y = np.einsum("ngchwkl,gockl->ngohw", windows, kernel)
    return y.reshape(n, outputs, height, width) + bias.reshape(-1, 1, 1)


CASES: dict[str, tuple[Any, ...]] = {  # x, weight, stride, padding, dilation, groups
    "plain": ((2, 2, 5, 4), (3, 2, 3, 2), (1, 1), NONE, (1, 1), 1),
    "padded": ((2, 2, 4, 5), (2, 2, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    "padded past the kernel": ((1, 2, 2, 3), (2, 2, 2, 1), (1, 1), ((3, 2), (1, 2)), (1, 1), 1),
    "strides that leave a rest": ((2, 1, 6, 7), (2, 1, 3, 2), (2, 3), NONE, (1, 1), 1),
    "a stride past the kernel": ((1, 2, 7, 5), (2, 2, 1, 2), (3, 3), ((1, 0), (0, 1)), (1, 1), 1),
    "dilated": ((1, 2, 6, 5), (1, 2, 3, 2), (1, 1), ((1, 1), (2, 2)), (2, 3), 1),
    "dilated, with a stride": ((1, 2, 7, 6), (2, 2, 3, 2), (2, 2), ((1, 2), (0, 1)), (2, 3), 1),
    "groups": ((2, 4, 4, 3), (6, 2, 2, 2), (1, 1), ((0, 1), (1, 0)), (1, 1), 2),
    "depthwise": ((2, 3, 4, 4), (3, 1, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 3),
    "1 × 1": ((2, 3, 9, 8), (2, 3, 1, 1), (1, 1), NONE, (1, 1), 1),
    "1 × 1 on a few places": ((2, 3, 2, 2), (2, 3, 1, 1), (1, 1), NONE, (1, 1), 1),
    "no images": ((0, 2, 4, 4), (3, 2, 3, 3), (1, 1), NONE, (1, 1), 1),
}
BLOCK_SIZES = {"one block": 1 << 21, "blocks of images": 2000, "blocks of rows": 200}


@pytest.mark.parametrize("block", BLOCK_SIZES)
@pytest.mark.parametrize("lines", [True, False], ids=["by lines", "by windows"])
@pytest.mark.parametrize("name", CASES)
def test_conv2d_is_its_composition_to_second_order(
    name: str, lines: bool, block: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever way it goes and however it is cut into blocks; strides only go by windows."""
    x, weight, stride, padding, dilation, groups = CASES[name]
    monkeypatch.setattr(correlation, "COLUMNS", BLOCK_SIZES[block])
    monkeypatch.setattr(correlation, "LEAST_PLACES", 1)
    monkeypatch.setattr(
        correlation,
        "_lines_are_better",
        lambda _shape, _groups, down, across: lines and down.stride == across.stride == 1,
    )
    how = (stride, padding, dilation, groups)
    arrays = drawn(x, weight, weight[:1])
    assert_equals_composition(
        lambda x, w, b: CONV2D(x, w, b, *how), lambda x, w, b: composed(x, w, b, *how), *arrays
    )


def test_each_way_is_taken_where_it_is_faster() -> None:
    """Few channels, strides and single elements by windows; wide kernels on stride 1 by lines."""

    def by_lines(weight: tuple[int, ...], size: int = 28, groups: int = 1, stride: int = 1) -> bool:
        axis = correlation.Axis(size, size, weight[2], stride)
        return correlation._lines_are_better(weight, groups, axis, axis)

    assert not by_lines((30, 1, 5, 5))
    assert not by_lines((64, 32, 3, 3), stride=2)
    assert not by_lines((64, 64, 1, 1))
    assert by_lines((64, 64, 1, 1), size=7)
    assert by_lines((32, 32, 3, 3))
    assert by_lines((32, 1, 3, 3), groups=32)


numbers = st.integers(1, 3)


@st.composite
def convolutions(draw: Any) -> tuple[Any, ...]:
    groups = draw(st.integers(1, 2))
    inner, outer = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    kernel = draw(st.tuples(numbers, numbers))
    stride = draw(st.tuples(numbers, numbers))
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    least = [max(1, d * (k - 1) + 1 - 2 * p) for k, p, d in zip(kernel, padding, dilation)]  # noqa: B905
    size = [n + draw(st.integers(0, 3)) for n in least]
    x = (draw(st.integers(1, 2)), groups * inner, *size)
    return x, (groups * outer, inner, *kernel), stride, padding, dilation, groups


@settings(max_examples=40)
@given(case=convolutions())
def test_conv_transpose2d_is_the_adjoint_and_has_the_slopes_of_differences(case: Any) -> None:
    """⟨conv(x), y⟩ = ⟨x, convᵀ(y)⟩ for the x of the size that output_padding says."""
    x, weight, stride, padding, dilation, groups = case
    a, w, b = drawn(x, weight, (weight[1] * groups,))
    out = F.conv2d(a, w, None, stride, padding, dilation, groups)
    (y,) = drawn(out.shape, seed=1)
    extra = []
    for i in (0, 1):
        reach = dilation[i] * (weight[2 + i] - 1) + 1
        extra.append(x[2 + i] - ((y.shape[2 + i] - 1) * stride[i] - 2 * padding[i] + reach))
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        return
    how: Any = (stride, padding, tuple(extra), groups, dilation)
    back = F.conv_transpose2d(y, w, None, *how)
    assert back.shape == x
    assert np.sum(out * y) == pytest.approx(np.sum(a * back), rel=1e-10, abs=1e-10)
    report = gg.gradcheck(lambda y, w, b: F.conv_transpose2d(y, w, b, *how), y, w, b)
    assert report, report


@pytest.mark.parametrize(
    ("function", "x", "weight"),
    [
        (F.conv1d, (2, 5), (3, 2, 2)),
        (F.conv2d, (2, 5, 4), (3, 2, 2, 2)),
        (F.conv_transpose1d, (2, 5), (2, 3, 2)),
        (F.conv_transpose2d, (2, 5, 4), (2, 3, 2, 2)),
    ],
)
def test_a_single_image_needs_no_batch(function: Any, x: Any, weight: Any) -> None:
    one, w = drawn(x, weight)
    np.testing.assert_array_equal(function(one, w), function(one[None], w)[0])
    assert gg.gradcheck(function, one, w)


def test_same_keeps_the_size_and_puts_the_odd_zero_at_the_end() -> None:
    x, w, b = drawn((1, 2, 5, 4), (3, 2, 2, 4), (3,))
    same = F.conv2d(x, w, b, padding="same", dilation=(3, 1))
    expected = composed(x, w, b, (1, 1), ((1, 2), (1, 2)), (3, 1), 1)
    np.testing.assert_allclose(same, expected, rtol=1e-12)


@pytest.mark.parametrize("size", [1, 8], ids=["by lines", "by windows"])
def test_halves_are_rounded_once_after_the_bias(size: int) -> None:
    """2049 is 2048 in half precision, and so is 2048 + 1."""
    x, w = np.ones((1, 2049, size, size), np.float16), np.ones((1, 2049, 1, 1), np.float16)
    np.testing.assert_array_equal(F.conv2d(x, w, np.ones(1, np.float16)), 2050)


def test_columns_are_never_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """In and out are 512 KB each; the columns of all images would be 4.6 MB."""
    monkeypatch.setattr(correlation, "COLUMNS", 1 << 16)
    monkeypatch.setattr(correlation, "LEAST_PLACES", 1)
    images, weights = drawn((8, 16, 32, 32), (16, 16, 3, 3))
    x = gg.Tensor(images, dtype=np.float32, requires_grad=True)
    w = gg.Tensor(weights, dtype=np.float32, requires_grad=True)
    size = x.data.nbytes
    recorded, during_forward = memory_of(lambda: F.conv2d(x, w, padding=1))
    upstream = np.ones((8, 16, 32, 32), np.float32)
    _, peak = memory_of(lambda: F.conv2d(x, w, padding=1).backward(upstream))
    assert recorded < 1.1 * size  # the output
    assert during_forward < 2 * size
    assert peak < 4 * size  # output, a copy of the upstream gradient, gradient of x


IMAGE = np.zeros((2, 3, 8, 8), np.float32)
KERNEL = np.zeros((4, 3, 3, 3), np.float32)
REFUSED: Refusals = {
    ShapeError: {
        r"conv2d: x \(2, 3, 8, 8\) has 3 channels, weight \(4, 5, 3, 3\) wants 5": lambda: F.conv2d(
            IMAGE, np.zeros((4, 5, 3, 3))
        ),
        r"has 3 channels, weight \(4, 3, 3, 3\) in 2 groups wants 6": lambda: F.conv2d(
            IMAGE, KERNEL, groups=2
        ),
        "groups=3 must divide the 4 of weight": lambda: F.conv2d(IMAGE, KERNEL, groups=3),
        r"is \(10, 2\) with its padding, and the kernel spans \(5, 5\)": lambda: F.conv2d(
            IMAGE[..., :2], KERNEL, dilation=2, padding=(1, 0)
        ),
        r"x must be \(N, C, H, W\) or": lambda: F.conv2d(IMAGE[0, 0], KERNEL),
        r"x must be \(N, C, L\) or \(C, L\), and weight have 3 axes": lambda: F.conv1d(
            IMAGE, KERNEL
        ),
        r"bias \(3,\); weight \(4, 3, 3, 3\) needs \(4,\)": lambda: F.conv2d(
            IMAGE, KERNEL, np.zeros(3)
        ),
        r"padding=\(6, 6\) leaves \(-2, -2\): pad less": lambda: F.conv_transpose2d(
            IMAGE, KERNEL[:3], padding=6
        ),
        r"has 3 channels, weight \(4, 3, 3, 3\) wants 4": lambda: F.conv_transpose2d(IMAGE, KERNEL),
    },
    ArgumentError: {
        'conv2d: padding="same" keeps the size': lambda: F.conv2d(
            IMAGE, KERNEL, stride=2, padding="same"
        ),
        r"output_padding=\(2, 2\) must be smaller than stride=\(2, 2\) or": lambda: (
            F.conv_transpose2d(IMAGE, KERNEL[:3], stride=2, output_padding=2)
        ),
        "groups must divide both": lambda: nn.Conv2d(4, 6, 3, groups=4),
        'Conv2d: padding="same"': lambda: nn.Conv2d(4, 6, 3, stride=2, padding="same"),
    },
    DtypeError: {
        "padding = 'same' must be a whole": lambda: nn.ConvTranspose2d(4, 6, 3, padding="same"),
    },
}
test_what_does_not_fit_is_refused = refuses(REFUSED)


def test_a_refused_layer_has_drawn_nothing() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ArgumentError, match=r"output_padding=\(1, 1\) must be smaller"):
        nn.ConvTranspose2d(4, 6, 3, output_padding=1, rng=rng)
    assert rng.random() == np.random.default_rng(0).random()


@pytest.mark.parametrize(
    ("layer", "image", "out", "count"),
    [
        (nn.Conv2d(4, 6, 3, padding=1, groups=2), (8, 8), (8, 8), 64 * 6 * 2 * 9),
        (nn.Conv1d(4, 6, 3), (8,), (6,), 6 * 6 * 4 * 3),
        (nn.ConvTranspose2d(4, 6, 3, stride=2), (8, 8), (17, 17), 64 * 4 * 6 * 9),
    ],
)
def test_multiply_adds_are_one_per_weight_and_place(
    layer: Any, image: Any, out: Any, count: int
) -> None:
    assert layer.multiply_adds(((10, 4, *image),), (10, 6, *out)) == 10 * count
