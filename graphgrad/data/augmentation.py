"""Small random changes of images that leave their labels true.

Each is a function ``(images, rng) -> images`` on (N, H, W) or (N, C, H, W) arrays, and draws
anew for every image; `Batches(augment=[…])` applies them.
"""

import math
from typing import Any

import numpy as np

from graphgrad.errors import ShapeError, UnsupportedError
from graphgrad.node import here


def _checked(who: str, images: Any) -> Any:
    images = np.asarray(images)
    if images.ndim not in (3, 4):
        message = f"{who}: images {images.shape}; they must be (N, H, W) or (N, C, H, W)"
        raise ShapeError(f"{message} (at {here()})")
    return images


def _not_negative(who: str, value: float) -> float:
    if not 0 <= value < math.inf:
        raise ShapeError(f"{who}: {value} must be 0 or more (at {here()})")
    return value


def _moved(images: Any, places: Any) -> Any:
    """Take image n at rows and columns ``places[n]``, a (2, 2) matrix and a shift (2,), bilinear.

    Places are counted from the middle of the image; outside of it, images are 0.
    """
    try:
        from scipy import ndimage
    except ImportError as error:
        message = "rotating and scaling need SciPy: pip install 'graphgrad[train]'"
        raise UnsupportedError(message) from error
    floating = images if images.dtype.kind == "f" else images.astype(np.float32)
    out = np.empty_like(floating)
    middle = (np.array(images.shape[-2:]) - 1) / 2
    for image, moved, (matrix, shift) in zip(floating, out, places, strict=True):
        offset = middle - matrix @ middle + shift
        planes = (image[None], moved[None]) if image.ndim == 2 else (image, moved)
        for plane, target in zip(*planes, strict=True):
            ndimage.affine_transform(plane, matrix, offset, output=target, order=1)
    return out if floating is images else np.rint(out).astype(images.dtype)


class Shift:
    """Move each image by up to so many whole pixels, up or down and sideways; 0 comes in."""

    def __init__(self, pixels: int) -> None:
        """Take the largest shift."""
        self.pixels = int(_not_negative("Shift", pixels))

    def __call__(self, images: Any, rng: np.random.Generator) -> Any:
        """Return the moved images."""
        images = _checked("Shift", images)
        p = self.pixels
        margins = [(0, 0)] * (images.ndim - 2) + [(p, p)] * 2
        return _cut(np.pad(images, margins), images.shape[-2:], rng)


class Crop:
    """Cut a window of a size out of each image, at a random place.

    Parameters
    ----------
    height, width
        Of the window.
    padding
        Zeros to put around the image first.
    """

    def __init__(self, height: int, width: int, padding: int = 0) -> None:
        """Take the size."""
        if min(height, width) < 1:
            raise ShapeError(f"Crop: {height} × {width} must be above 0 (at {here()})")
        self.size = (height, width)
        self.padding = int(_not_negative("Crop", padding))

    def __call__(self, images: Any, rng: np.random.Generator) -> Any:
        """Return the windows."""
        images = _checked("Crop", images)
        p = self.padding
        padded = np.pad(images, [(0, 0)] * (images.ndim - 2) + [(p, p)] * 2)
        if any(n < m for n, m in zip(padded.shape[-2:], self.size, strict=True)):
            message = f"Crop: a window of {self.size} from images {images.shape} padded by {p}"
            raise ShapeError(f"{message}: pad more (at {here()})")
        return _cut(padded, self.size, rng)


def _cut(images: Any, size: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Cut a window of a size out of each image, at a random place."""
    height, width = size
    rows = rng.integers(0, images.shape[-2] - height + 1, len(images))
    columns = rng.integers(0, images.shape[-1] - width + 1, len(images))
    windows = [
        image[..., row : row + height, column : column + width]
        for image, row, column in zip(images, rows, columns, strict=True)
    ]
    return np.stack(windows)


class Flip:
    """Mirror each image left to right with a probability. Not for digits: a mirrored 2 is none."""

    def __init__(self, probability: float = 0.5) -> None:
        """Take the probability."""
        if not 0 <= probability <= 1:
            raise ShapeError(f"Flip: probability {probability} is not in [0, 1] (at {here()})")
        self.probability = probability

    def __call__(self, images: Any, rng: np.random.Generator) -> Any:
        """Return the images, some of them mirrored."""
        images = _checked("Flip", images)
        flipped = rng.random(len(images)) < self.probability
        mirrored = images[..., ::-1]
        return np.where(flipped.reshape(-1, *[1] * (images.ndim - 1)), mirrored, images)


class Brightness:
    """Multiply each image by a factor from 1 − amount to 1 + amount."""

    def __init__(self, amount: float) -> None:
        """Take the largest change."""
        self.amount = _not_negative("Brightness", amount)

    def __call__(self, images: Any, rng: np.random.Generator) -> Any:
        """Return the brightened and darkened images; integers stay in their range."""
        images = _checked("Brightness", images)
        factors = rng.uniform(1 - self.amount, 1 + self.amount, len(images))
        factors = factors.reshape(-1, *[1] * (images.ndim - 1))
        if images.dtype.kind == "f":
            return images * factors.astype(images.dtype)
        limits = np.iinfo(images.dtype)
        return np.clip(np.rint(images * factors), limits.min, limits.max).astype(images.dtype)


class Rotate:
    """Turn each image about its middle by up to so many degrees, either way; bilinear."""

    def __init__(self, degrees: float) -> None:
        """Take the largest angle."""
        self.degrees = _not_negative("Rotate", degrees)

    def __call__(self, images: Any, rng: np.random.Generator) -> Any:
        """Return the turned images."""
        images = _checked("Rotate", images)
        angles = np.deg2rad(rng.uniform(-self.degrees, self.degrees, len(images)))
        turns = [np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in angles]
        return _moved(images, [(turn, 0) for turn in turns])


class Scale:
    """Enlarge or shrink each image about its middle, by a factor of up to 1 ± amount; bilinear."""

    def __init__(self, amount: float) -> None:
        """Take the largest change, below 1."""
        if not 0 <= amount < 1:
            raise ShapeError(f"Scale: {amount} must be in [0, 1) (at {here()})")
        self.amount = amount

    def __call__(self, images: Any, rng: np.random.Generator) -> Any:
        """Return the scaled images."""
        images = _checked("Scale", images)
        factors = rng.uniform(1 - self.amount, 1 + self.amount, len(images))
        return _moved(images, [(np.eye(2) / factor, 0) for factor in factors])
