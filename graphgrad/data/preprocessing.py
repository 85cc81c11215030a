"""Transforms whose numbers come from the training data alone.

``fit`` looks at the training images; calling the transform then applies those same numbers to
any images, those of the test included.
"""

from typing import Any, Self

import numpy as np

from graphgrad.errors import GraphError, ShapeError
from graphgrad.node import here


class _Fitted:
    """What the transforms share: they refuse to run before they have seen training data."""

    mean: Any = None

    def _checked(self, images: Any) -> Any:
        images = np.asarray(images)
        who = type(self).__name__
        if self.mean is None:
            message = f"{who}: nothing learnt yet; call .fit(training images) first (at {here()})"
            raise GraphError(message)
        if images.shape[1:] != self.mean.shape:
            message = f"{who}: images {images.shape}, fitted to (N, {str(self.mean.shape)[1:]}"
            raise ShapeError(f"{message} (at {here()})")
        return images

    def _training(self, images: Any) -> Any:
        images = np.asarray(images)
        if images.ndim < 2 or not len(images):
            message = f"{type(self).__name__}: images {images.shape}; give (N, …), N above 0"
            raise ShapeError(f"{message} (at {here()})")
        return images if images.dtype.kind == "f" else images.astype(np.float32)


class Center(_Fitted):
    """Subtract the mean of each pixel over the training images."""

    def fit(self, images: Any) -> Self:
        """Learn the means from images (N, …)."""
        images = self._training(images)
        self.mean = images.mean(axis=0)
        return self

    def __call__(self, images: Any) -> Any:
        """Return images − mean."""
        return self._checked(images) - self.mean


class Standardize(_Fitted):
    """Subtract the mean of each pixel and divide by its standard deviation.

    A pixel that never changes in training is only centred.
    """

    def fit(self, images: Any) -> Self:
        """Learn means and standard deviations from images (N, …)."""
        images = self._training(images)
        self.mean = images.mean(axis=0)
        deviation = images.std(axis=0)
        self.deviation = np.where(deviation == 0, np.ones_like(deviation), deviation)
        return self

    def __call__(self, images: Any) -> Any:
        """Return (images − mean) / deviation."""
        return (self._checked(images) - self.mean) / self.deviation


class PCA(_Fitted):
    """Rotate onto the axes of largest variance, and keep the first of them.

    With the centred training data X = U S Vᵀ, (N, D), the axes are the rows of Vᵀ, and their
    variances S² / N.

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

    def __init__(self, components: int | None = None) -> None:
        """Remember how many."""
        self.components = components

    def fit(self, images: Any) -> Self:
        """Learn mean, axes and variances from images (N, …)."""
        images = self._training(images)
        rows = images.reshape(len(images), -1)
        axes_there = min(rows.shape)
        if not 1 <= (self.components or axes_there) <= axes_there:
            message = f"PCA: {self.components} components of images {images.shape}, which have "
            raise ShapeError(f"{message}{axes_there} axes (at {here()})")
        mean = rows.mean(axis=0)
        _, singular, axes = np.linalg.svd(rows - mean, full_matrices=False)
        self.axes = axes[: self.components]
        self.variances = (singular**2 / len(rows))[: self.components]
        self.mean = mean.reshape(images.shape[1:])
        return self

    def __call__(self, images: Any) -> Any:
        """Return the coordinates (N, components)."""
        images = self._checked(images) - self.mean
        coordinates = images.reshape(len(images), -1) @ self.axes.T
        if self.epsilon is None:
            return coordinates
        return coordinates / np.sqrt(self.variances + self.epsilon)

    def inverse(self, coordinates: Any) -> Any:
        """Return images (N, …) from coordinates; what was not kept is the mean's."""
        coordinates = np.asarray(coordinates)
        if self.mean is None or coordinates.shape[1:] != self.variances.shape:
            message = f"{type(self).__name__}.inverse: coordinates {coordinates.shape}; fit first, "
            raise ShapeError(f"{message}and give (N, components) (at {here()})")
        if self.epsilon is not None:
            coordinates = coordinates * np.sqrt(self.variances + self.epsilon)
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

    def __init__(self, components: int | None = None, epsilon: float = 1e-5) -> None:
        """Remember both."""
        super().__init__(components)
        self.epsilon = epsilon
