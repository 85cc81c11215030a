"""Fully connected layers as convolutions, and back: the same numbers in another shape."""

import copy
import math
from typing import Any, TypeVar

import numpy as np

from graphgrad.arguments import sizes
from graphgrad.engine.operands import shape_of
from graphgrad.engine.recording import no_grad
from graphgrad.errors import ShapeError, UnsupportedError
from graphgrad.nn.functional.convolution import conv2d
from graphgrad.nn.layers.activations import LogSoftmax, PReLU, Softmax
from graphgrad.nn.layers.convolution import Conv2d
from graphgrad.nn.layers.linear import Linear
from graphgrad.nn.layers.locally_connected import LocallyConnected2d
from graphgrad.nn.layers.normalization import BatchNorm1d, BatchNorm2d, GroupNorm, LayerNorm
from graphgrad.nn.layers.pooling import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    GlobalAvgPool2d,
    GlobalMaxPool2d,
)
from graphgrad.nn.layers.shape import Flatten
from graphgrad.nn.modules.containers import Sequential
from graphgrad.nn.modules.module import Module, Parameter
from graphgrad.typing import Array

Shape = tuple[int, ...]
M = TypeVar("M", bound=Module)

_WHOLE = "it takes in the whole image, so a window of a larger one would come out differently"
_ONE_SIZE = "it serves images of one size only"
_NOT_LOCAL: dict[type[Module], str] = {
    **dict.fromkeys((AdaptiveAvgPool2d, AdaptiveMaxPool2d, GlobalAvgPool2d), _WHOLE),
    **dict.fromkeys((GlobalMaxPool2d, GroupNorm, LayerNorm), _WHOLE),
    LocallyConnected2d: _ONE_SIZE,
    Linear: "before it a Flatten is missing",
}


def to_convolution(module: Module, input_shape: Shape) -> Any:
    """Turn fully connected layers into convolutions with the same numbers.

    A `Linear` on images becomes a `Conv2d` whose kernel is as large as the image. In a
    `Sequential` of layers on images, `Flatten`, and `Linear` layers with activations between
    them, the Flatten disappears, the first Linear becomes a Conv2d of the size of what came to
    it, the others Conv2ds of 1 × 1, BatchNorm1d becomes BatchNorm2d, and softmax goes over the
    channels. For an image of ``input_shape`` the result has one score per class,
    (N, classes, 1, 1). For a larger one it has in one pass a map of scores: those that the
    module gives for each window, the windows being as far apart as the strides of the layers
    multiply to.

    That the map equals the windows one by one holds in evaluation mode, and only where no layer
    pads (nor has ``ceil_mode``): with padding each window would have zeros around it, where in
    the large image its neighbourhood is. Such layers are converted all the same; their map is a
    different function of the image, and often a good one.

    The module stays as it is: everything is copied. What a module of your own does to images is
    not known here; it must not depend on their size.

    Parameters
    ----------
    module
        A Linear, or a Sequential; a Sequential in it may hold the Flatten or Linear layers.
    input_shape
        (C, H, W) of the images that the module was made for.

    Returns
    -------
    Conv2d or Sequential
        For a Linear a Conv2d, for a Sequential a Sequential.

    Raises
    ------
    ShapeError
        If the shapes of layers and images do not fit.
    UnsupportedError
        Naming the first layer that cannot be converted, and why.
    """
    shape = _image_shape("to_convolution", input_shape)
    if type(module) is Linear:
        return _convolution("this layer", module, shape)
    if not isinstance(module, Sequential):
        message = f"to_convolution: {type(module).__name__} is neither a Linear nor a Sequential"
        raise UnsupportedError(f"{message}; convert its layers one by one")
    first = next(module.parameters(), None)
    walk = _Walk(shape, np.dtype(np.float32) if first is None else first.dtype)
    converted = walk.through(module, "")
    if not walk.converted:
        message = f"to_convolution: there is no Flatten and Linear to convert in {module!r}"
        raise UnsupportedError(message)
    return converted


def to_affine(conv: Conv2d, input_shape: Shape | None = None) -> Linear:
    """Turn a convolution into the fully connected layer of the same function.

    With a kernel as large as the image this undoes :func:`to_convolution`. Otherwise the weight
    is a large matrix, mostly zeros, in which the same numbers come again for every place.

    Parameters
    ----------
    conv
        The convolution.
    input_shape
        (C, H, W) of the images; None is the size of the kernel.

    Returns
    -------
    Linear
        ``linear(x.reshape(N, -1))`` is ``conv(x).reshape(N, -1)``.

    Raises
    ------
    ShapeError
        If such images do not fit the convolution, or it pads and no shape is given.
    UnsupportedError
        If it is no Conv2d.
    """
    if type(conv) is not Conv2d:
        message = f"to_affine: {type(conv).__name__} is no Conv2d"
        raise UnsupportedError(message)
    kernel, weight = conv.kernel_size, conv.weight.data
    padded = conv.padding not in ("valid", (0, 0))
    if input_shape is None:
        if padded:
            message = f"to_affine: padding={conv.padding!r} leaves open how large the images are"
            raise ShapeError(f"{message}: give their shape, (C, H, W)")
        spans = (d * (k - 1) + 1 for k, d in zip(kernel, conv.dilation, strict=True))
        input_shape = conv.in_channels, *spans
    shape = _image_shape("to_affine", input_shape)
    if shape == weight.shape[1:] and not padded:
        matrix, places = weight.reshape(len(weight), -1), 1
    else:  # the columns are what it makes of images with a single 1
        ones = np.eye(math.prod(shape), dtype=weight.dtype).reshape(-1, *shape)
        how = (conv.stride, conv.padding, conv.dilation, conv.groups)
        found: Any = conv2d(ones, weight, None, *how)
        matrix, places = found.reshape(len(ones), -1).T, math.prod(found.shape[2:])
    linear = Linear(1, 1, conv.bias is not None, rng=np.random.default_rng(0))
    linear.out_features, linear.in_features = matrix.shape
    linear.weight = _parameter(matrix, conv.weight)
    if conv.bias is not None:
        linear.bias = _parameter(np.repeat(conv.bias.data, places), conv.bias)
    linear.training = conv.training
    return linear


class _Walk:
    """The way through a Sequential: images, then what Flatten made of them, then scores."""

    def __init__(self, shape: Shape, dtype: Any) -> None:
        self.shape = shape  # of an image, or of the kernel that the next Linear becomes
        self.dtype = dtype
        self.flat = False
        self.converted = False  # a Linear has been met; from then on the shape is (C, 1, 1)

    def through(self, sequential: Sequential, path: str) -> Sequential:
        """Convert layer by layer; without the Flatten they are numbered anew."""
        layers: dict[str, Module] = {}
        for name, layer in sequential.named_children():
            found = self.layer(layer, f"{path}{name}")
            if found is not None:
                layers[name] = found
        if all(name.isdigit() for name in layers):
            return _like(Sequential(*layers.values()), sequential)
        return _like(Sequential(layers), sequential)

    def layer(self, layer: Module, name: str) -> Module | None:
        """Return what takes the place of a layer; None for a Flatten."""
        if type(layer) is Sequential:
            return self.through(layer, f"{name}.")
        if type(layer) is Flatten:
            if layer.start_dim not in (1, -3) or layer.end_dim not in (-1, 3):
                raise self.refusal(name, layer, "a Flatten must take all axes but the first")
            self.flat = True
            return None
        return self.of_scores(layer, name) if self.flat else self.of_images(layer, name)

    def of_images(self, layer: Module, name: str) -> Module:
        """Copy a layer of the body, and see what images become in it."""
        for part in layer.modules():
            for kind, reason in _NOT_LOCAL.items():
                if isinstance(part, kind):
                    raise self.refusal(name, part, reason)
            if isinstance(part, Softmax | LogSoftmax) and part.axis not in (1, -3):
                raise self.refusal(name, part, "on images it must go over the channels, axis=-3")
        image = np.zeros((1, *self.shape), self.dtype)
        with no_grad():
            shape = shape_of(copy.deepcopy(layer).eval()(image))
        if len(shape) != 4:
            raise self.refusal(name, layer, f"it makes {shape} of {image.shape}, no (N, C, H, W)")
        self.shape = shape[1:]
        return copy.deepcopy(layer)

    def of_scores(self, layer: Module, name: str) -> Module:
        """Convert a layer behind the Flatten."""
        if type(layer) is Linear:
            found = _convolution(f'layer "{name}"', layer, self.shape)
            self.shape = found.out_channels, 1, 1
            self.converted = True
            return found
        by_channel = self.converted and isinstance(layer, PReLU)
        if by_channel or getattr(layer, "elementwise", False):
            return copy.deepcopy(layer)
        if self.converted and type(layer) is BatchNorm1d:
            found_norm = BatchNorm2d(layer.num_features)
            vars(found_norm).update(copy.deepcopy(vars(layer)))
            return found_norm
        if self.converted and isinstance(layer, Softmax | LogSoftmax) and layer.axis in (1, -1):
            found_max = copy.deepcopy(layer)
            found_max.axis = -3
            return found_max
        reason = "between Flatten and Linear only what goes element by element can stay"
        if self.converted:
            reason = "behind a Linear only activations, dropout, BatchNorm1d, softmax, Linear can"
        raise self.refusal(name, layer, reason)

    def refusal(self, name: str, layer: Module, why: str) -> UnsupportedError:
        """Say which layer stands in the way, and why."""
        message = f'to_convolution: layer "{name}", {layer!r}, cannot be converted: {why}'
        return UnsupportedError(message)


def _convolution(name: str, linear: Linear, shape: Shape) -> Conv2d:
    """Return the convolution whose kernel covers images of that shape."""
    channels, height, width = shape
    if linear.in_features != math.prod(shape):
        message = (
            f"to_convolution: {name}, {linear!r}, takes {linear.in_features} numbers, and gets "
            f"{math.prod(shape)} from images (C, H, W) of {shape}"
        )
        raise ShapeError(message)
    # Made for one channel, as the numbers drawn for it are replaced.
    conv = Conv2d(1, 1, (height, width), bias=False, rng=np.random.default_rng(0))
    conv.in_channels, conv.out_channels = channels, linear.out_features
    conv.weight = _parameter(linear.weight.data.reshape(-1, *shape), linear.weight)
    if linear.bias is not None:
        conv.bias = _parameter(linear.bias.data, linear.bias)
    return _like(conv, linear)


def _parameter(array: Array, like: Parameter) -> Parameter:
    """Copy numbers into a parameter, frozen if the one they come from is."""
    return Parameter(np.array(array, order="C"), requires_grad=like.requires_grad)


def _like(module: M, other: Module) -> M:
    """Give a module the mode of another."""
    module.training = other.training
    return module


def _image_shape(name: str, shape: Any) -> Shape:
    found = sizes(name, "input_shape", shape)
    if len(found) != 3:
        message = f"{name}: input_shape={shape!r} must be (C, H, W), without the batch"
        raise ShapeError(message)
    return found
