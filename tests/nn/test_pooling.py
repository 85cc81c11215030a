"""Pooling against compositions of small ops and numerical gradients, and at its kinks."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.lib.stride_tricks import sliding_window_view

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import ArgumentError, DtypeError, ShapeError
from graphgrad.nn.kernels import pooling as pooling_ops
from tests.builders import Refusals, memory_of, refuses
from tests.equality import assert_equals_composition

F = nn.functional
INF, NAN = math.inf, math.nan


def distinct(shape: tuple[int, ...], seed: int = 0) -> Any:
    """Draw numbers of both signs of which no two are close: equal ones are a kink."""
    size = math.prod(shape)
    order = np.random.default_rng(seed).permutation(size)
    return ((order - size // 3) / 7.0 + 0.05).reshape(shape)


def windows(fill: float, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    (kh, kw), (dh, dw) = kernel, dilation
    padded = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)), constant_values=fill)
    seen = sliding_window_view(padded, (dh * (kh - 1) + 1, dw * (kw - 1) + 1), (2, 3))
    return seen[:, :, :: stride[0], :: stride[1], ::dh, ::dw]


KINDS: dict[str, tuple[Any, ...]] = {  # x, kernel, stride, padding, dilation
    "side by side, few taps": ((2, 2, 4, 6), (2, 3), (2, 3), (0, 0), (1, 1)),
    "side by side, many taps": ((2, 1, 6, 6), (3, 3), (3, 3), (0, 0), (1, 1)),
    "a rest that no window meets": ((2, 2, 5, 7), (2, 2), (2, 2), (0, 0), (1, 1)),
    "overlapping": ((2, 2, 5, 7), (3, 3), (2, 2), (0, 0), (1, 1)),
    "overlapping, padded": ((1, 2, 5, 4), (3, 2), (1, 2), (1, 1), (1, 1)),
    "side by side, padded": ((1, 2, 5, 4), (2, 2), (2, 2), (1, 1), (1, 1)),
    "a margin as wide as the rest": ((1, 2, 3, 3), (3, 3), (3, 3), (1, 1), (1, 1)),
    "gaps between windows": ((2, 1, 7, 5), (2, 1), (3, 2), (0, 0), (1, 1)),
    "dilated": ((1, 2, 7, 6), (3, 2), (1, 2), (1, 0), (2, 3)),
    "a window of one element": ((2, 2, 3, 3), (1, 1), (1, 1), (0, 0), (1, 1)),
    "one window": ((2, 2, 3, 4), (3, 4), (1, 1), (0, 0), (1, 1)),
    "no images": ((0, 2, 4, 4), (2, 2), (2, 2), (0, 0), (1, 1)),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
undilated = pytest.mark.parametrize(
    "kind", [k for k in KINDS.values() if k[4] == (1, 1)], ids=[n for n in KINDS if n != "dilated"]
)


@pytest.fixture(params=[1, 1 << 18], ids=["an image at a time", "all in one block"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooling_ops, "FEW_ARRAYS", request.param)


@pytest.mark.usefixtures("blocks")
@every_kind
def test_max_pool2d_is_the_maximum_over_windows(kind: Any) -> None:
    shape, *how = kind
    assert_equals_composition(
        lambda x: F.max_pool2d(x, *how) ** 2,
        lambda x: windows(-INF, x, *how).max((-2, -1)) ** 2,
        distinct(shape),
    )


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("include", [True, False])
@undilated
def test_avg_pool2d_is_the_mean_over_windows(kind: Any, include: bool) -> None:
    shape, kernel, stride, padding, ones = kind
    how = kernel, stride, padding, ones
    counts = windows(float(include), np.ones((1, 1, *shape[2:])), *how).sum((-2, -1))
    assert_equals_composition(
        lambda x: F.avg_pool2d(x, kernel, stride, padding, count_include_pad=include) ** 2,
        lambda x: (windows(0.0, x, *how).sum((-2, -1)) / counts) ** 2,
        distinct(shape),
    )


@pytest.mark.parametrize("p", [1, 2, 2.5])
@undilated
def test_lp_pool2d_is_the_root_of_the_sum_of_powers(kind: Any, p: float) -> None:
    shape, kernel, stride, _, ones = kind
    assert_equals_composition(
        lambda x: F.lp_pool2d(x, p, kernel, stride),
        lambda x: (windows(0.0, x, kernel, stride, (0, 0), ones) ** p).sum((-2, -1)) ** (1 / p),
        distinct(shape) if p == 2 else np.abs(distinct(shape)),
        rtol=1e-8,
    )


@st.composite
def arguments(draw: Any, axes: int, *, dilated: bool) -> dict[str, Any]:
    several = st.tuples(*[st.integers(1, 3)] * axes)
    kernel, stride = draw(several), draw(several)
    dilation = draw(several) if dilated else (1,) * axes
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    ceil_mode = draw(st.booleans())
    least = [  # rounding up, the first window may reach over the end
        max(1, span - 2 * p - (s - 1 if ceil_mode else 0))
        for span, p, s in zip(spans, padding, stride, strict=True)
    ]
    sizes = [n + draw(st.integers(0, 3)) for n in least]
    leading = draw(st.sampled_from([(1,), (2, 1), (1, 2)]))
    found = {"shape": (*leading, *sizes), "kernel_size": kernel, "stride": stride}
    found |= {"padding": padding, "ceil_mode": ceil_mode}
    return found | ({"dilation": dilation} if dilated else {})


def by_hand(x: Any, how: dict[str, Any]) -> tuple[Any, Any]:
    """Return the maxima of (1, H, W), and how many windows each element wins, by loops."""
    kernel, stride, padding, dilation = (
        how[k] for k in ("kernel_size", "stride", "padding", "dilation")
    )
    shape = F.max_pool2d(x, **how).shape
    best, wins = np.full(shape, -INF), np.zeros_like(x)
    for _, i, j in np.ndindex(shape):
        winner = None
        for k, m in itertools.product(*map(range, kernel)):
            row = stride[0] * i + dilation[0] * k - padding[0]
            column = stride[1] * j + dilation[1] * m - padding[1]
            if not (0 <= row < x.shape[1] and 0 <= column < x.shape[2]):
                continue
            value = x[0, row, column]
            older: Any = None if winner is None else x[winner]
            if older is None or value > older or (np.isnan(value) and not np.isnan(older)):
                winner = (0, row, column)
        if winner is not None:
            best[0, i, j] = x[winner]
            wins[winner] += 1
    return best, wins


@settings(max_examples=120)
@given(how=arguments(2, dilated=True), data=st.data())
def test_the_first_of_ties_wins_and_nan_beats_all(how: Any, data: Any) -> None:
    """Also where everything is −∞: a margin, which is −∞ as well, never gets the gradient."""
    shape = (1, *how.pop("shape")[-2:])
    values = st.sampled_from([-INF, -1.0, 0.0, 1.0, INF, NAN])
    drawn = data.draw(st.lists(values, min_size=math.prod(shape), max_size=math.prod(shape)))
    x = np.array(drawn).reshape(shape)
    best, wins = by_hand(x, how)
    t = gg.Tensor(x, requires_grad=True)
    y = F.max_pool2d(t, **how)
    y.backward(np.ones(y.shape))
    np.testing.assert_array_equal(y.numpy(), best)
    np.testing.assert_array_equal(t.grad, wins)


def test_the_numbers_of_the_documents() -> None:
    x = np.array([[[1.0, 2, 1, 0], [0, 1, 2, 3], [3, 0, 1, 2], [2, 4, 0, 1]]])
    np.testing.assert_array_equal(F.max_pool2d(x, 2), [[[2, 3], [4, 2]]])
    np.testing.assert_array_equal(F.avg_pool2d(x, 2), [[[1, 1.5], [2.25, 1]]])
    np.testing.assert_allclose(F.lp_pool2d(x, 2, 2), np.sqrt([[[6, 14], [29, 6]]]))
    line = np.arange(5.0).reshape(1, 1, 5)  # bins may overlap
    np.testing.assert_allclose(F.adaptive_avg_pool2d(line, (1, 3)), [[[0.5, 2, 3.5]]])
    np.testing.assert_allclose(F.adaptive_max_pool2d(line, (2, 3)), [[[1, 3, 4], [1, 3, 4]]])
    maps = np.zeros((1, 224, 224), np.float32)
    assert nn.MaxPool2d(2)(maps).shape == (1, 112, 112)
    overlapping = nn.MaxPool2d(3, stride=2)
    assert overlapping(maps[:, :55, :55]).shape == (1, 27, 27)  # (55 − 3) / 2 + 1


def test_a_window_partly_over_the_image_has_the_length_of_its_part() -> None:
    y: Any = F.lp_pool2d(np.array([[[3.0, 4, 5]]]), 2, (1, 2), ceil_mode=True)
    np.testing.assert_allclose(y, [[[5, 5]]])
    y = F.avg_pool2d(np.array([[[3.0, 4, 5]]]), (1, 2), ceil_mode=True)
    np.testing.assert_allclose(y, [[[3.5, 5]]])


@pytest.mark.parametrize(
    ("x", "bins", "slope"),
    [
        (np.ones((1, 2, 2)), 1, [[[1, 0], [0, 0]]]),
        (np.ones((1, 3, 3)), 2, [[[1, 1, 0], [1, 1, 0], [0, 0, 0]]]),  # overlapping in the middle
        (np.array([[[1.0, NAN, INF, NAN]]]), 1, [[[0, 1, 0, 0]]]),
    ],
)
def test_adaptive_max_pooling_takes_the_first_of_ties_too(x: Any, bins: int, slope: Any) -> None:
    t = gg.Tensor(x, requires_grad=True)
    y = F.adaptive_max_pool2d(t, bins)
    y.backward(np.ones(y.shape))
    np.testing.assert_array_equal(y.numpy(), np.full(y.shape, x.max()))
    np.testing.assert_array_equal(t.grad, slope)


@pytest.mark.parametrize("p", [2, 2.5, 3])
def test_the_length_of_zeros_has_slope_0(p: float) -> None:
    """And second derivative 0, while a window beside it is what it is."""
    x = np.array([[[0.0, 0.0, 3.0, 4.0]]])

    def total(t: Any) -> Any:
        return F.lp_pool2d(t, p, (1, 2)).sum()

    beside = gg.grad(lambda t: (t**p).sum() ** (1 / p))(x[0, 0, 2:])
    np.testing.assert_allclose(gg.grad(total)(x)[0, 0], [0, 0, *beside], rtol=1e-12)
    second = gg.hessian(total)(x).reshape(4, 4)
    assert np.isfinite(second).all()
    assert not second[:2].any()
    assert not second[:, :2].any()
    np.testing.assert_allclose(second[2:, 2:] @ x[0, 0, 2:], 0, atol=1e-12)
    assert second[2, 2] > 0


def test_whole_numbers() -> None:
    """Their maxima are whole; what divides gives floats."""
    x = np.arange(16).reshape(1, 4, 4)
    for dtype in (np.int64, np.uint8, np.int16):
        y: Any = F.max_pool2d(x.astype(dtype), 2, padding=1)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, [[[0, 2, 3], [8, 10, 11], [12, 14, 15]]])
    assert F.avg_pool2d(x, 2).dtype == float
    np.testing.assert_array_equal(F.avg_pool2d(x, 2), [[[2.5, 4.5], [10.5, 12.5]]])


def test_a_maximum_keeps_one_byte_for_a_window() -> None:
    x = gg.Tensor(np.ones((10, 8, 64, 64), np.float32), requires_grad=True)
    kept, _ = memory_of(lambda: F.max_pool2d(x, 2))
    assert kept < x.data.nbytes / 4 + x.data.size / 4 + 20_000


IMAGE = np.zeros((1, 2, 4, 5))
REFUSED: Refusals = {
    ShapeError: {
        r"max_pool2d: padding=2 is over half .*kernel_size=3.*pad less": lambda: F.max_pool2d(
            IMAGE, 3, padding=2
        ),
        r"x \(1, 2, 4, 5\) is \(4, 5\) with its padding, and the kernel spans \(5, 2\)": lambda: (
            F.max_pool2d(IMAGE, (5, 2))
        ),
        r"max_pool2d: .* spans \(5, 5\): take a smaller kernel": lambda: nn.MaxPool2d(
            3, dilation=2
        )(IMAGE),
        r"max_pool2d: x \(4, 4\) must be \(N, C, H, W\) or \(C, H, W\)": lambda: F.max_pool2d(
            np.zeros((4, 4)), 2
        ),
        r"avg_pool1d: x \(1, 2, 4, 5\) must be \(N, C, L\) or \(C, L\)": lambda: F.avg_pool1d(
            IMAGE, 2
        ),
        r"max_pool2d: x \(2, 1, 0, 3\) has no elements": lambda: F.max_pool2d(
            np.zeros((2, 1, 0, 3)), 2, padding=1
        ),
    },
    ArgumentError: {
        "LPPool2d: norm_type=inf must be 1 or more and finite; for the largest .* max_pool2d": (
            lambda: nn.LPPool2d(INF, 2)
        ),
    },
    DtypeError: {
        r"LPPool2d: kernel_size = 2\.5 must be a whole number": lambda: nn.LPPool2d(2, 2.5),
        "max_pool2d: x is bool, pooling takes real numbers": lambda: F.max_pool2d(IMAGE > 0, 2),
    },
}
test_what_does_not_fit_is_refused = refuses(REFUSED)
