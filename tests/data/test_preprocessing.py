"""Pre-processing: numbers of the training data only, and what each transform promises."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from graphgrad import data
from graphgrad.errors import ArgumentError, DtypeError, GraphError, ShapeError
from tests.builders import Refusals, refuses

EVERY: dict[str, Any] = {
    kind.__name__: kind for kind in (data.Center, data.Standardize, data.PCA, data.Whiten)
}


def cloud(n: int = 200, seed: int = 0, dtype: Any = np.float64) -> Any:
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal((n, 4)) @ rng.standard_normal((4, 4))
    return (mixed + np.array([5, -3, 0, 1])).astype(dtype)


@pytest.mark.parametrize("name", EVERY)
def test_test_images_get_the_numbers_of_the_training_images(name: str) -> None:
    """One image alone, or among others far off, gives what it gives among many."""
    train, test = cloud(), cloud(30, seed=1) * 9 + 70
    fitted = EVERY[name]().fit(train)
    whole = fitted(test)
    np.testing.assert_allclose(fitted(test[:1]), whole[:1], rtol=1e-12)
    np.testing.assert_allclose(fitted(test)[5:], fitted(test[5:]), rtol=1e-12)
    assert np.abs(whole.mean(axis=0)).max() > 1  # it is the training images that have mean 0
    np.testing.assert_allclose(fitted(train).mean(axis=0), 0, atol=1e-12)
    assert fitted.fit(train) is fitted


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
def test_shapes_dtypes_and_inputs_are_kept(name: str, dtype: Any) -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 2, 3, 3)).astype(dtype)
    before = images.copy()
    images.flags.writeable = False
    changed = EVERY[name]().fit(images)(images)
    assert changed.shape == ((50, 18) if name in ("PCA", "Whiten") else images.shape)
    assert changed.dtype == (np.float64 if dtype is np.float64 else np.float32)
    np.testing.assert_array_equal(images, before)


def test_center_and_standardize() -> None:
    train = cloud()
    np.testing.assert_allclose(data.Center().fit(train)(train), train - train.mean(axis=0))
    scaled = data.Standardize().fit(train)(train)
    np.testing.assert_allclose(scaled.std(axis=0), 1)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)


def test_a_pixel_that_never_changes_is_only_centred() -> None:
    """0.1 has a mean that is off by a rounding error, and a deviation of 1e-17: no divisor."""
    train = cloud()
    train[:, 1] = 0.1
    scaled = data.Standardize().fit(train)
    assert np.abs(scaled(train)[:, 1]).max() < 1e-15
    np.testing.assert_allclose(scaled(train + 2)[:, 1], 2)


def test_means_of_many_float32_images_lose_no_digits() -> None:
    """Added up in float32, 300,000 values of about 1000 would be off by a thousandth."""
    values = np.random.default_rng(0).normal(1000, 1, (300_000, 2)).astype(np.float32)
    exact = values.astype(np.float64)
    fitted = data.Standardize().fit(values)
    np.testing.assert_allclose(fitted.mean, exact.mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(fitted.deviation, exact.std(axis=0), rtol=1e-5)


@given(
    n=st.integers(2, 40), d=st.integers(1, 8), seed=st.integers(0, 2**32), kept=st.integers(1, 8)
)
def test_pca_has_axes_and_variances_of_the_covariance(n: int, d: int, seed: int, kept: int) -> None:
    rng = np.random.default_rng(seed)
    train = rng.standard_normal((n, d)) * np.arange(1, d + 1) + 3
    kept = min(kept, n, d)
    fitted = data.PCA(kept).fit(train)
    assert fitted.axes.shape == (kept, d)
    np.testing.assert_allclose(fitted.axes @ fitted.axes.T, np.eye(kept), atol=1e-12)
    assert (fitted.axes.max(axis=1) == np.abs(fitted.axes).max(axis=1)).all()
    covariance = np.cov(train.T, bias=True).reshape(d, d)
    largest = np.linalg.eigvalsh(covariance)[::-1][:kept]
    np.testing.assert_allclose(fitted.variances, largest, atol=1e-10)
    np.testing.assert_allclose(
        np.cov(fitted(train).T, bias=True).reshape(kept, kept), np.diag(largest), atol=1e-10
    )


@pytest.mark.parametrize("name", ["PCA", "Whiten"])
def test_the_inverse_gives_the_images_back(name: str) -> None:
    train = cloud().reshape(200, 2, 2)
    whole = EVERY[name]().fit(train)
    np.testing.assert_allclose(whole.inverse(whole(train)), train, atol=1e-12)
    one = EVERY[name](1).fit(train)
    back = one.inverse(one(train))
    assert back.shape == train.shape
    lost = ((back - train) ** 2).sum(axis=(1, 2)).mean()
    np.testing.assert_allclose(
        lost, whole.variances[1:].sum(), rtol=1e-9
    )  # no projection is better


def test_whitening_gives_the_identity_as_covariance() -> None:
    train = cloud()
    white = data.Whiten(epsilon=0).fit(train)(train)
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(4), atol=1e-12)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-12)
    softly = np.cov(data.Whiten(epsilon=0.5).fit(train)(train).T, bias=True)
    variances = data.PCA().fit(train).variances
    np.testing.assert_allclose(softly, np.diag(variances / (variances + 0.5)), atol=1e-12)


def test_digits_whitened_stay_finite_though_pixels_never_change() -> None:
    train, test = data.load_digits()
    white = data.Whiten().fit(train.images)
    assert np.abs(white(test.images)).max() < 1e3
    covariance = np.cov(white(train.images).T, bias=True)
    np.testing.assert_allclose(covariance[:50, :50], np.eye(50), atol=0.03)  # epsilon is felt
    kept = data.PCA(20).fit(train.images).variances.sum()
    assert 0.88 < kept / train.images.var(axis=0).sum() < 0.91


@pytest.mark.parametrize("name", EVERY)
def test_images_that_do_not_fit_are_refused(name: str) -> None:
    transform = EVERY[name]()
    for images, kind, says in (
        (np.zeros((0, 4)), ShapeError, "images .*N above 0"),
        (np.zeros(4), ShapeError, "images .*N above 0"),
        (cloud() * 1j, DtypeError, "dtype complex128"),
    ):
        with pytest.raises(kind, match=rf"{name}\.fit: {says}"):
            transform.fit(images)
    with pytest.raises(GraphError, match=rf"{name}: nothing learnt yet; call \.fit\(training"):
        transform(cloud())
    transform.fit(cloud())
    for wrong in (cloud()[:, :3], cloud()[0], np.float64(3)):
        with pytest.raises(ShapeError, match=rf"{name}: images .*, fitted to \(N, 4\)"):
            transform(wrong)


REFUSED: Refusals = {
    ArgumentError: {},
    ShapeError: {
        r"PCA\.fit: 5 components .* have 4 axes": lambda: data.PCA(5).fit(cloud()),
        r"PCA\.inverse: coordinates \(1, 3\); give \(N, 4\)": lambda: (
            data.PCA().fit(cloud()).inverse(np.zeros((1, 3)))
        ),
    },
    GraphError: {"nothing learnt yet": lambda: data.Whiten().inverse(np.zeros((1, 4)))},
}
test_what_does_not_fit_is_refused = refuses(REFUSED)
