"""Small random changes of images that leave their labels true.

Each is a function ``(images, rng) -> images`` on (N, H, W) or (N, C, H, W) arrays, and draws
anew for every image; `Batches(augment=[…])` applies them.
"""

from typing import Any

import numpy as np

from graphgrad.arguments import CALLED, Fraction, NonNegativeInt, PositiveInt, guarded
from graphgrad.engine.operands import as_plain
from graphgrad.errors import ArgumentError, DtypeError, ShapeError, UnsupportedError
from graphgrad.reprs import Described
from graphgrad.typing import Array


def _checked(images: Array) -> Array:
    images = as_plain(CALLED, images, "images")
    if images.ndim not in (3, 4):
        message = f"{CALLED}: images {images.shape}; they must be (N, H, W) or (N, C, H, W)"
        raise ShapeError(message)
    if images.dtype.kind not in "fiu":
        message = f"{CALLED}: images of {images.dtype}; they must be floats or integers"
        raise DtypeError(message)
    return images


def _moved(images: Array, places: Any) -> Array:
    """Fill each place p of image n, counted from its middle, from ``places[n] @ p``; bilinear.

    Outside of itself, an image is 0.
    """
    try:
        from scipy import ndimage
    except ImportError as error:
        message = "rotating and scaling need SciPy: pip install 'graphgrad[train]'"
        raise UnsupportedError(message) from error
    floating = images.astype(np.result_type(images.dtype, np.float32), copy=False)
    out = np.empty_like(floating)
    middle = (np.array(images.shape[-2:]) - 1) / 2
    for image, moved, matrix in zip(floating, out, places, strict=True):
        planes = (image[None], moved[None]) if image.ndim == 2 else (image, moved)
        for plane, target in zip(*planes, strict=True):
            # "grid-constant": "constant" makes 0 of what rounding puts just outside of the edge
            ndimage.affine_transform(
                plane,
                matrix,
                middle - matrix @ middle,
                output=target,
                order=1,
                mode="grid-constant",
            )
    return (np.rint(out) if images.dtype.kind in "iu" else out).astype(images.dtype, copy=False)


def _cut(images: Array, size: tuple[int, int], rng: np.random.Generator) -> Array:
    """Cut a window of a size out of each image, at a random place."""
    windows = np.lib.stride_tricks.sliding_window_view(images, size, axis=(-2, -1))
    rows, columns = (rng.integers(0, n, len(images)) for n in windows.shape[-4:-2])
    return windows[np.arange(len(images)), ..., rows, columns, :, :]


class Shift(Described):
    """Move each image by up to so many whole pixels, up or down and sideways; 0 comes in."""

    @guarded
    def __init__(self, pixels: NonNegativeInt) -> None:
        self.pixels = pixels

    @guarded
    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        """Return the moved images."""
        images = _checked(images)
        p = self.pixels
        margins = [(0, 0)] * (images.ndim - 2) + [(p, p)] * 2
        return _cut(np.pad(images, margins), images.shape[-2:], rng)


class Crop(Described):
    """Cut a window of a size out of each image, at a random place.

    Parameters
    ----------
    height, width
        Of the window.
    padding
        Zeros to put around the image first.
    """

    @guarded
    def __init__(
        self, height: PositiveInt, width: PositiveInt, padding: NonNegativeInt = 0
    ) -> None:
        self.height, self.width, self.padding = height, width, padding

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the window."""
        return self.height, self.width

    @guarded
    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        """Return the windows."""
        images = _checked(images)
        p = self.padding
        padded = np.pad(images, [(0, 0)] * (images.ndim - 2) + [(p, p)] * 2)
        if any(n < m for n, m in zip(padded.shape[-2:], self.size, strict=True)):
            message = f"{CALLED}: a window of {self.size} from images {images.shape} padded by {p}"
            raise ShapeError(f"{message}: pad more")
        return _cut(padded, self.size, rng)


class Flip(Described):
    """Mirror each image left to right with a probability. Not for digits: a mirrored 2 is none."""

    @guarded
    def __init__(self, probability: Fraction = 0.5) -> None:
        self.probability = probability

    @guarded
    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        """Return the images, some of them mirrored."""
        images = _checked(images)
        flipped = rng.random(len(images)) < self.probability
        mirrored = images[..., ::-1]
        return np.where(flipped.reshape(-1, *[1] * (images.ndim - 1)), mirrored, images)


class Brightness(Described):
    """Multiply each image by a factor from 1 − amount to 1 + amount, 0 ≤ amount ≤ 1."""

    @guarded
    def __init__(self, amount: Fraction) -> None:
        self.amount = amount

    @guarded
    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        """Return the brightened and darkened images; integers stay in their range."""
        images = _checked(images)
        factors = rng.uniform(1 - self.amount, 1 + self.amount, len(images))
        factors = factors.reshape(-1, *[1] * (images.ndim - 1))
        if images.dtype.kind == "f":
            return images * factors.astype(images.dtype)
        limits = np.iinfo(images.dtype)
        return np.clip(np.rint(images * factors), limits.min, limits.max).astype(images.dtype)


class Rotate(Described):
    """Turn each image about its middle by up to so many degrees, either way; bilinear."""

    @guarded
    def __init__(self, degrees: float) -> None:
        if not 0 <= degrees <= 180:
            raise ArgumentError(f"{CALLED}: {degrees} must be from 0 to 180 degrees")
        self.degrees = degrees

    @guarded
    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        """Return the turned images."""
        images = _checked(images)
        angles = np.deg2rad(rng.uniform(-self.degrees, self.degrees, len(images)))
        turns = [np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) for a in angles]
        return _moved(images, turns)


class Scale(Described):
    """Enlarge or shrink each image about its middle, by a factor of up to 1 ± amount; bilinear."""

    @guarded
    def __init__(self, amount: float) -> None:
        if not 0 <= amount < 1:
            raise ArgumentError(f"{CALLED}: {amount} must be in [0, 1)")
        self.amount = amount

    @guarded
    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        """Return the scaled images."""
        images = _checked(images)
        factors = rng.uniform(1 - self.amount, 1 + self.amount, len(images))
        return _moved(images, [np.eye(2) / factor for factor in factors])
