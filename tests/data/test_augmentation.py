"""Augmentation: what a change must leave alone, and that it does what its name says."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from graphgrad import data
from graphgrad.errors import ArgumentError, DtypeError, ShapeError
from tests.builders import Refusals, refuses

EVERY: dict[str, Any] = {
    "Shift": data.Shift(2),
    "Crop": data.Crop(7, 6, padding=1),
    "Flip": data.Flip(),
    "Brightness": data.Brightness(0.3),
    "Rotate": data.Rotate(20),
    "Scale": data.Scale(0.2),
}
DTYPES = [np.float16, np.float32, np.float64, np.uint8, np.int16, np.int32]
SHAPES = st.sampled_from([(3, 7, 6), (2, 1, 7, 6), (3, 2, 7, 6), (0, 1, 7, 6), (1, 3, 7, 6)])


class Extreme(np.random.Generator):
    """A generator that always draws the largest number, or the smallest."""

    def __init__(self, *, largest: bool) -> None:
        super().__init__(np.random.PCG64(0))
        self.largest = largest

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        return np.full(size, high if self.largest else low)

    def integers(self, low: Any, high: Any = None, size: Any = None, *_: Any, **__: Any) -> Any:
        return np.full(size, high - 1 if self.largest else low)


def drawn(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Any:
    return (np.random.default_rng(seed).random(shape) * 100).astype(dtype)


@pytest.mark.parametrize("name", EVERY)
@given(shape=SHAPES, dtype=st.sampled_from(DTYPES), seed=st.integers(0, 2**32))
def test_shape_and_dtype_are_kept_and_a_seed_gives_the_same_change(
    name: str, shape: tuple[int, ...], dtype: Any, seed: int
) -> None:
    images = drawn(shape, dtype)
    before = images.copy()
    images.flags.writeable = False  # a change in place would raise
    changed, again = (EVERY[name](images, np.random.default_rng(seed)) for _ in range(2))
    assert changed.shape == shape
    assert changed.dtype == dtype
    np.testing.assert_array_equal(changed, again)
    np.testing.assert_array_equal(images, before)
    assert not np.shares_memory(changed, images)


@pytest.mark.parametrize("name", EVERY)
def test_every_image_is_changed_in_its_own_way_and_its_channels_in_the_same(name: str) -> None:
    one = drawn((1, 1, 7, 6), np.float64)
    images = np.broadcast_to(one, (20, 3, 7, 6))
    changed = EVERY[name](images, np.random.default_rng(0))
    np.testing.assert_array_equal(changed[:, 0], changed[:, 1])
    np.testing.assert_array_equal(changed[:, 0], changed[:, 2])
    assert len(np.unique(changed, axis=0)) > 1
    flat = EVERY[name](images[:, 0], np.random.default_rng(0))  # (N, H, W)
    np.testing.assert_array_equal(flat, changed[:, 0])


STILL = [data.Shift(0), data.Crop(7, 6), data.Flip(0), data.Brightness(0), data.Rotate(0)]


@pytest.mark.parametrize("still", [*STILL, data.Scale(0)])
@given(shape=SHAPES, dtype=st.sampled_from(DTYPES))
def test_no_change_is_the_identity(still: Any, shape: tuple[int, ...], dtype: Any) -> None:
    images = drawn(shape, dtype)
    np.testing.assert_array_equal(still(images, np.random.default_rng(0)), images)


@given(pixels=st.integers(0, 4), seed=st.integers(0, 2**32))
def test_a_shift_moves_and_loses_nothing_within_the_margin(pixels: int, seed: int) -> None:
    images = np.zeros((5, 12, 13))
    images[:, 4:8, 4:9] = drawn((5, 4, 5), np.float64) + 1
    moved = data.Shift(pixels)(images, np.random.default_rng(seed))
    for image, after in zip(images, moved, strict=True):
        rows, columns = (int(places[0]) for places in np.nonzero(after))
        down, right = rows - 4, columns - np.nonzero(image)[1][0]
        assert max(abs(down), abs(right)) <= pixels
        np.testing.assert_array_equal(after, np.roll(image, (down, right), (0, 1)))


def test_a_shift_takes_every_place_and_fills_with_zeros() -> None:
    images = np.ones((2000, 3, 3))
    moved = data.Shift(1)(images, np.random.default_rng(0))
    kinds, counts = np.unique(moved, axis=0, return_counts=True)
    assert len(kinds) == 9
    assert counts.min() > 150  # 222 each on average
    gone = data.Shift(3)(images[:1], Extreme(largest=True))
    np.testing.assert_array_equal(gone, 0)  # moved by its whole width


@given(seed=st.integers(0, 2**32), padding=st.integers(0, 2))
def test_a_crop_is_a_window_of_the_image(seed: int, padding: int) -> None:
    images = drawn((4, 2, 6, 5), np.float32) + 1
    cut = data.Crop(3, 4, padding)(images, np.random.default_rng(seed))
    padded = np.pad(images, [(0, 0), (0, 0), (padding,) * 2, (padding,) * 2])
    for image, window in zip(padded, cut, strict=True):
        places = np.lib.stride_tricks.sliding_window_view(image, window.shape)
        assert (places == window).all(axis=(-1, -2, -3)).any()
    corner = data.Crop(3, 4)(images, Extreme(largest=True))
    np.testing.assert_array_equal(corner, images[..., 3:, 1:])


def test_a_flip_mirrors_its_share_left_to_right() -> None:
    images = drawn((1000, 1, 4, 4), np.uint8)
    flipped = data.Flip(0.3)(images, np.random.default_rng(0))
    same = (flipped == images).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(flipped[~same], images[~same][..., ::-1])
    assert 0.26 < 1 - same.mean() < 0.34
    np.testing.assert_array_equal(data.Flip(1)(images, np.random.default_rng(0)), images[..., ::-1])


def test_brightness_is_one_factor_per_image() -> None:
    images = drawn((500, 2, 3, 3), np.float64) + 1
    factors = data.Brightness(0.4)(images, np.random.default_rng(0)) / images
    np.testing.assert_allclose(factors, factors[:, :1, :1, :1] * np.ones_like(factors))
    assert 0.6 <= factors.min() < 0.62
    assert 1.38 < factors.max() <= 1.4


def test_brightness_keeps_integers_in_their_range() -> None:
    images = np.array([[[0, 1, 100, 200, 255]]], np.uint8)
    bright = data.Brightness(0.5)(images, Extreme(largest=True))
    np.testing.assert_array_equal(bright, [[[0, 2, 150, 255, 255]]])  # 1.5 rounds to even
    dark = data.Brightness(1)(images, Extreme(largest=False))
    np.testing.assert_array_equal(dark, 0)


@pytest.mark.parametrize("side", [1, 2, 5, 8, 28])
@pytest.mark.parametrize("degrees", [90, 180])
@pytest.mark.parametrize("dtype", [np.float64, np.uint8])
def test_quarter_turns_are_exact_at_the_edges_too(side: int, degrees: int, dtype: Any) -> None:
    images = drawn((2, 3, side, side), dtype) + dtype(1)
    for largest, sign in ((True, 1), (False, -1)):
        turned = data.Rotate(degrees)(images, Extreme(largest=largest))
        expected = np.rot90(images, sign * degrees // 90, axes=(-2, -1))
        np.testing.assert_allclose(turned, expected, rtol=1e-12)


def test_a_turn_there_and_back_is_nearly_the_image() -> None:
    """A smooth blob is turned by the angle that was asked for, about the middle."""
    rows, columns = np.mgrid[:21, :21] - 10.0
    image = np.exp(-((rows - 2) ** 2 + (columns - 5) ** 2) / 18)[None]
    there = data.Rotate(30)(image, Extreme(largest=True))
    back = data.Rotate(30)(there, Extreme(largest=False))
    assert np.abs(back - image)[:, 6:15, 6:15].max() < 0.05  # bilinear twice
    middle = [(there[0] * place).sum() / there.sum() for place in (rows, columns)]
    before = [(image[0] * place).sum() / image.sum() for place in (rows, columns)]
    angle = np.deg2rad(30)  # against the clock, rows counting downwards
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(middle, turn @ before, atol=0.25)  # some of it leaves the image


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_scaling_stretches_about_the_middle(factor: float) -> None:
    rows, columns = np.mgrid[:41, :41] - 20.0
    image = np.exp(-(rows**2 + 2 * columns**2) / 32)[None]
    scaled = data.Scale(0.5)(image, Extreme(largest=factor > 1))
    expected = np.exp(-(rows**2 + 2 * columns**2) / (32 * factor**2))
    np.testing.assert_allclose(scaled[0], expected, atol=0.02)


def test_bilinear_pixels_stay_in_the_range_of_the_image() -> None:
    images = drawn((50, 8, 8), np.float32)
    for change in (data.Rotate(180), data.Scale(0.9)):
        changed = change(images, np.random.default_rng(0))
        assert changed.min() >= 0
        assert changed.max() <= images.max()


@pytest.mark.parametrize("name", ["Rotate", "Scale"])
def test_integers_between_pixels_are_rounded_not_cut(name: str) -> None:
    images = drawn((5, 8, 8), np.uint8)
    whole = EVERY[name](images, np.random.default_rng(0))
    exact = EVERY[name](images.astype(np.float64), np.random.default_rng(0))
    assert np.abs(whole - exact).max() < 0.501


def changed(change: Any, images: Any) -> Any:
    return lambda: change(images, np.random.default_rng(0))


BATCH, ROWS = np.zeros((2, 8, 8)), np.zeros((10, 64))
REFUSED: Refusals = {
    ArgumentError: {},
    ShapeError: {
        **{
            rf"{name}: images \(10, 64\); .*\(N, C, H, W\)": changed(change, ROWS)
            for name, change in EVERY.items()
        },
        r"window of \(9, 8\) from images \(2, 8, 8\) padded by 0": changed(data.Crop(9, 8), BATCH),
    },
    DtypeError: {
        f"{name}: images of bool": changed(change, BATCH > 0) for name, change in EVERY.items()
    },
}
test_what_does_not_fit_is_refused = refuses(REFUSED)
