"""Transforms whose numbers come from the training data alone.

``fit`` looks at the training images; calling the transform then applies those same numbers to
any images, those of the test included.
"""

import math
from typing import Any, Self

import numpy as np

from graphgrad.arguments import CALLED, NonNegativeFloat, Size, guarded
from graphgrad.engine.operands import as_plain
from graphgrad.errors import DtypeError, GraphError, ShapeError
from graphgrad.ops.ranges import scale_of
from graphgrad.reprs import Described
from graphgrad.typing import Array


class _Fitted(Described):
    """What the transforms share: they refuse to run before they have seen training data."""

    mean: Any = None

    def _state(self) -> str:
        if self.mean is None:
            return "not fitted yet"
        return f"fitted to images of shape {self.mean.shape}"

    def _refuse_unfitted(self) -> None:
        if self.mean is None:
            message = f"{CALLED}: nothing learnt yet; call .fit(training images) first"
            raise GraphError(message)

    def _checked(self, images: Array) -> Array:
        self._refuse_unfitted()
        images = as_plain(CALLED, images, "images")
        if images.ndim < 1 or images.shape[1:] != self.mean.shape:
            fitted = ", ".join(["N", *map(str, self.mean.shape)])
            message = f"{CALLED}: images {images.shape}, fitted to ({fitted})"
            raise ShapeError(message)
        return images

    def _training(self, images: Array) -> Array:
        images = as_plain(CALLED, images, "images")
        if images.ndim < 2 or not len(images):
            message = f"{CALLED}: images {images.shape}; give (N, …), N above 0"
            raise ShapeError(message)
        if images.dtype.kind not in "fiu":
            message = f"{CALLED}: images of {images.dtype}; give floats or integers"
            raise DtypeError(message)
        return images.astype(np.float64 if images.dtype == np.float64 else np.float32, copy=False)


def _mean(images: Array) -> Array:
    """Average over the images; float32 would lose digits in adding up tens of thousands."""
    return images.mean(axis=0, dtype=np.float64).astype(images.dtype)


class Center(_Fitted):
    """Subtract the mean of each pixel over the training images."""

    @guarded
    def fit(self, images: Array) -> Self:
        """Learn the means from images (N, …)."""
        self.mean = _mean(self._training(images))
        return self

    @guarded
    def __call__(self, images: Array) -> Array:
        """Return images − mean."""
        return self._checked(images) - self.mean


class Standardize(_Fitted):
    """Subtract the mean of each pixel and divide by its standard deviation.

    A pixel that never changes in training is only centred.
    """

    @guarded
    def fit(self, images: Array) -> Self:
        """Learn means and standard deviations from images (N, …)."""
        images = self._training(images)
        mean = _mean(images)
        centred = images - mean
        scale = scale_of(centred, 0)[0]  # for the squares neither to overflow nor to vanish
        centred /= scale
        deviation = scale * np.sqrt(_mean(np.square(centred, out=centred)))
        still = images.min(axis=0) == images.max(axis=0)  # rounding may leave it a deviation
        self.mean, self.deviation = mean, np.where(still, np.ones_like(mean), deviation)
        return self

    @guarded
    def __call__(self, images: Array) -> Array:
        """Return (images − mean) / deviation."""
        return (self._checked(images) - self.mean) / self.deviation


class PCA(_Fitted):
    """Rotate onto the axes of largest variance, and keep the first of them.

    With the centred training data X = U S Vᵀ, (N, D), the axes are the rows of Vᵀ, each
    with the sign that makes its largest entry positive, and their variances S² / N.

    Parameters
    ----------
    components
        How many axes to keep; None keeps all min(N, D).

    Raises
    ------
    ShapeError
        If there are fewer axes than components.
    """

    epsilon: float | None = None

    @guarded
    def __init__(self, components: Size | None = None) -> None:
        self.components = components

    @guarded
    def fit(self, images: Array) -> Self:
        """Learn mean, axes and variances from images (N, …)."""
        images = self._training(images)
        rows = images.reshape(len(images), -1)
        axes_there = min(rows.shape)
        kept = axes_there if self.components is None else self.components
        if not 1 <= kept <= axes_there:
            message = f"{CALLED}: {kept} components of images {images.shape}, which"
            raise ShapeError(f"{message} have {axes_there} axes")
        mean = _mean(rows)
        _, singular, axes = np.linalg.svd(rows - mean, full_matrices=False)
        largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
        self.axes = (axes * np.sign(largest))[:kept]  # else it would depend on the machine
        self.deviations = (singular / np.sqrt(len(rows), dtype=singular.dtype))[:kept]
        self.mean = mean.reshape(images.shape[1:])
        return self

    @property
    def variances(self) -> Array:
        """The variance of each coordinate over the training images."""
        return np.square(self.deviations)

    @guarded
    def __call__(self, images: Array) -> Array:
        """Return the coordinates (N, components)."""
        images = self._checked(images) - self.mean
        coordinates = images.reshape(len(images), -1) @ self.axes.T
        if self.epsilon is None:
            return coordinates
        return coordinates / self._widths()

    def _widths(self) -> Array:
        """Return √(variance + ε), without squaring."""
        return np.hypot(self.deviations, self.deviations.dtype.type(math.sqrt(self.epsilon or 0)))

    @guarded
    def inverse(self, coordinates: Any) -> Array:
        """Return images (N, …) from coordinates; what was not kept is the mean's."""
        self._refuse_unfitted()
        coordinates = as_plain(CALLED, coordinates, "coordinates")
        if coordinates.ndim != 2 or coordinates.shape[1:] != self.deviations.shape:
            message = f"{CALLED}: coordinates {coordinates.shape}; give "
            raise ShapeError(f"{message}(N, {len(self.deviations)})")
        if self.epsilon is not None:
            coordinates = coordinates * self._widths()
        return (coordinates @ self.axes).reshape(-1, *self.mean.shape) + self.mean


class Whiten(PCA):
    """PCA with each coordinate divided by its standard deviation: variances of 1.

    Parameters
    ----------
    components
        How many axes to keep; None keeps all.
    epsilon
        Added to the variances, so that axes of mere noise are not blown up.
    """

    @guarded
    def __init__(self, components: Size | None = None, epsilon: NonNegativeFloat = 1e-5) -> None:
        super().__init__(components)
        self.epsilon = epsilon
