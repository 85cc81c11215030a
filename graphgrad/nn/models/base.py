"""What the models share: checking images before anything is computed, and initial values."""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from graphgrad.arguments import CALLED, guarded
from graphgrad.engine.operands import as_array
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError, ShapeError
from graphgrad.nn.init import initialize
from graphgrad.nn.layers.pooling import AdaptiveAvgPool2d
from graphgrad.nn.modules.containers import Sequential
from graphgrad.nn.modules.module import Module
from graphgrad.randomness import default_generator
from graphgrad.typing import Array

Shape = tuple[int, ...]


def scaled(count: int, width: float) -> int:
    """Return a number of channels or units in a model of another width, at least 1."""
    return max(1, round(count * width))


class _Zeros(np.random.Generator):
    """Draws nothing but zeros, in no time."""

    def uniform(self, *_: Any, **__: Any) -> Array:
        """Return 0."""
        return 0.0


def overwritten() -> np.random.Generator:
    """Return a generator for layers whose initial values are drawn later, in another way."""
    return _Zeros(np.random.PCG64(0))


def draw(
    model: Module,
    functions: Mapping[type[Module], Callable[..., Any]],
    rng: np.random.Generator | None,
) -> None:
    """Draw the weights of the layers of each class, layer by layer: no second copy of them all."""
    generator = default_generator(rng)
    for layer in model.modules():
        for kind, function in functions.items():
            if isinstance(layer, kind):
                initialize(layer, function, rng=generator)


def images_of(x: Array, channels: int, smallest: int) -> Array:
    """Return the input as an array or tensor, once it is known to be a batch of fitting images.

    Raises
    ------
    ShapeError
        If x is not (N, channels, H, W), with H and W at least ``smallest``.
    """
    x = as_array(x)
    shape = x.shape
    if len(shape) != 4:
        remedy = "x[None] is a batch of one" if len(shape) == 3 else "see np.reshape"
        raise ShapeError(f"{CALLED}: x {shape}; images are (N, C, H, W): {remedy}")
    if shape[1] != channels:
        same = f"np.repeat(x, {channels}, axis=1)" if shape[1] == 1 else "convert the images"
        message = (
            f"{CALLED}: x {shape} has {shape[1]} channels, this model wants {channels}: {same}, or "
            f"make the model with channels={shape[1]}"
        )
        raise ShapeError(message)
    if min(shape[2:]) < smallest:
        message = (
            f"{CALLED}: x {shape}; images of {shape[2]}×{shape[3]} are too small, the layers "
            f"shrink them to nothing: enlarge them to {smallest}×{smallest} or more"
        )
        raise ShapeError(message)
    return x


def image_shape(shape: Any) -> Shape:
    """Return the shape of an image, once it is known to be one.

    Raises
    ------
    ArgumentError
        If it is not (channels, height, width), all above 0.
    """
    if not isinstance(shape, tuple | list) or len(shape) != 3 or min(shape) < 1:
        message = f"{CALLED}: input_shape={shape!r}; it is (channels, height, width), all above 0"
        raise ArgumentError(message)
    return tuple(map(int, shape))


def size_after(layers: Sequential, input_shape: Shape) -> Shape:
    """Return height and width of what convolutions and pooling leave of an image.

    Raises
    ------
    ShapeError
        If nothing is left.
    """
    size: Shape = input_shape[1:]
    layer: Any
    for layer in layers:
        if hasattr(layer, "kernel_size"):
            of = zip(size, layer.kernel_size, layer.stride, layer.padding, strict=True)
            left = tuple((n + 2 * p - k) // s + 1 for n, k, s, p in of)
            if min(left) < 1:
                message = (
                    f"{CALLED}: input_shape={input_shape} is too small: {layer!r} gets "
                    f"{size[0]}×{size[1]}; enlarge the images, or choose a smaller kernel or more "
                    "padding"
                )
                raise ShapeError(message)
            size = left
    return size


def flat(maps: Any) -> Array:
    """Return (N, C · H · W) of (N, C, H, W)."""
    return maps.reshape(maps.shape[0], math.prod(maps.shape[1:]))


class ImageClassifier(Module):
    """A model for images of any size, whose last maps are averaged to one size.

    ``features``, then ``avgpool``, flattened, then ``classifier``.
    """

    smallest: ClassVar[int]  # height and width of images of which something is left
    in_channels: int
    features: Sequential
    avgpool: AdaptiveAvgPool2d
    classifier: Sequential

    @guarded
    def forward(self, x: Array) -> Tensor:
        """Return scores (N, num_classes)."""
        x = images_of(x, self.in_channels, self.smallest)
        return self.classifier(flat(self.avgpool(self.features(x))))


class FixedSize(Module):
    """A model for images of one size: ``features``, flattened, then ``classifier``."""

    input_shape: Shape
    features: Sequential
    classifier: Sequential

    @guarded
    def forward(self, x: Array) -> Tensor:
        """Return scores (N, num_classes)."""
        x = as_array(x)
        if x.shape[1:] != self.input_shape or x.ndim != 4:
            sizes = ", ".join(map(str, self.input_shape))
            if x.ndim == 4:
                remedy = f"resize the images, or make the model with input_shape={x.shape[1:]}"
            elif x.shape == self.input_shape:
                remedy = "x[None] is a batch of one"
            else:
                remedy = f"x.reshape(-1, {sizes}), if that is what it holds"
            message = f"{CALLED}: x {x.shape}; this model is for images (N, {sizes}): {remedy}"
            raise ShapeError(message)
        return self.classifier(flat(self.features(x)))
