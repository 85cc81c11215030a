"""GoogLeNet: modules that look with several kernels side by side."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import CALLED, NonNegativeFloat, PositiveFloat, guarded
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError
from graphgrad.nn.functional.losses.classification import cross_entropy
from graphgrad.nn.init import normal
from graphgrad.nn.layers.activations import ReLU
from graphgrad.nn.layers.convolution import Conv2d
from graphgrad.nn.layers.dropout import Dropout
from graphgrad.nn.layers.linear import Linear
from graphgrad.nn.layers.normalization import BatchNorm2d
from graphgrad.nn.layers.pooling import AdaptiveAvgPool2d, MaxPool2d
from graphgrad.nn.models.base import draw, flat, images_of, overwritten, scaled
from graphgrad.nn.modules.containers import Sequential
from graphgrad.nn.modules.module import Module
from graphgrad.ops.join import concatenate
from graphgrad.typing import Array

# Of each module the channels: 1×1; 1×1 before 3×3, 3×3; 1×1 before "5×5", "5×5"; 1×1 after pooling.
# Table 1 of the paper.
CHANNELS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}

# What torchvision's trained weights expect: images in −1 … 1, made from images that were
# normalised by the means and deviations of ImageNet's three channels.
_MEANS = (0.485, 0.456, 0.406)
_DEVIATIONS = (0.229, 0.224, 0.225)


class Scores(NamedTuple):
    """What a GoogLeNet with auxiliary classifiers returns in training; torchvision's order."""

    logits: Any
    aux_logits2: Any
    aux_logits1: Any


@guarded
def auxiliary_cross_entropy(scores: Array, target: Array, weight: NonNegativeFloat = 0.3) -> Array:
    """Return the cross-entropy of the scores, and ``weight`` times those of the auxiliary ones.

    Szegedy et al., 2014, section 5. Scores without auxiliary ones, as in evaluation, are taken
    for what they are.
    """
    if not isinstance(scores, Scores):
        return cross_entropy(scores, target)
    auxiliary = cross_entropy(scores.aux_logits1, target)
    auxiliary = auxiliary + cross_entropy(scores.aux_logits2, target)
    return cross_entropy(scores.logits, target) + weight * auxiliary


class NormalizedConv2d(Module):
    """A convolution without bias, batch normalisation with ε = 0.001, ReLU.

    Shapes and arguments are those of `Conv2d`.
    """

    @guarded
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        how: dict[str, Any] = {"bias": False, "rng": rng, "dtype": dtype}
        self.conv = Conv2d(in_channels, out_channels, kernel_size, stride, padding, **how)
        self.bn = BatchNorm2d(out_channels, eps=1e-3, dtype=dtype)
        self.relu = ReLU()

    def forward(self, x: Array) -> Tensor:
        """Return the rectified maps."""
        return self.relu(self.bn(self.conv(x)))


class Inception(Module):
    """Four ways side by side, their maps in one pile: 1×1, 3×3, 3×3, and pooling.

    A 1×1 convolution before each larger kernel, and after the pooling, keeps the number of
    channels low. The third way has 5×5 in the paper (Szegedy et al., 2014, figure 2b), but 3×3
    in torchvision, by a mistake which its trained weights have kept; so has this one, or else
    they would not load.

    Shapes: x (N, inputs, H, W); the output (N, the sum of channels 0, 2, 4 and 5, H, W).

    Parameters
    ----------
    inputs
        Channels that come.
    channels
        Six numbers: 1×1; 1×1 before 3×3, 3×3; 1×1 before the second 3×3, this; 1×1 after pooling.
    rng
        None is the package's default generator.
    dtype
        Of the parameters.

    Raises
    ------
    ArgumentError
        If there are not six numbers, or one is not above 0.
    """

    @guarded
    def __init__(
        self,
        inputs: int,
        channels: tuple[int, ...],
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if len(channels) != 6 or min(channels) < 1:
            message = f"{CALLED}: channels={channels}; six numbers above 0"
            raise ArgumentError(message)
        one, before_three, three, before_five, five, pooled = channels
        how: dict[str, Any] = {"rng": rng, "dtype": dtype}
        self.outputs = one + three + five + pooled
        self.branch1 = NormalizedConv2d(inputs, one, 1, **how)
        self.branch2 = Sequential(
            NormalizedConv2d(inputs, before_three, 1, **how),
            NormalizedConv2d(before_three, three, 3, padding=1, **how),
        )
        self.branch3 = Sequential(
            NormalizedConv2d(inputs, before_five, 1, **how),
            NormalizedConv2d(before_five, five, 3, padding=1, **how),
        )
        self.branch4 = Sequential(MaxPool2d(3, 1, 1), NormalizedConv2d(inputs, pooled, 1, **how))

    def forward(self, x: Array) -> Tensor:
        """Return all maps."""
        ways = (self.branch1, self.branch2, self.branch3, self.branch4)
        return concatenate([way(x) for way in ways], axis=1)


class AuxiliaryClassifier(Module):
    """Scores from maps in the middle of the network: they bring gradients there in training.

    Means over 4×4 bins, 1×1 convolution, two fully connected layers with dropout between them.

    Shapes: x (N, inputs, H, W); the scores (N, num_classes).
    """

    @guarded
    def __init__(
        self,
        inputs: int,
        num_classes: int,
        dropout: float = 0.7,
        *,
        width: PositiveFloat = 1.0,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        maps, hidden = (scaled(count, width) for count in (128, 1024))
        how: dict[str, Any] = {"rng": overwritten(), "dtype": dtype}
        self.avgpool = AdaptiveAvgPool2d(4)
        self.conv = NormalizedConv2d(inputs, maps, 1, **how)
        self.fc1 = Linear(maps * 4 * 4, hidden, **how)
        self.relu = ReLU()
        self.dropout = Dropout(dropout, rng=rng)
        self.fc2 = Linear(hidden, num_classes, **how)

    def forward(self, x: Array) -> Tensor:
        """Return the scores."""
        maps = self.conv(self.avgpool(x))
        return self.fc2(self.dropout(self.relu(self.fc1(flat(maps)))))


class GoogLeNet(Module):
    """The network that won ImageNet in 2014: 22 layers, nine inception modules, few parameters.

    Three convolutions, nine :class:`Inception` modules with pooling between them, the mean of
    each channel, scores. Szegedy et al., "Going deeper with convolutions", 2014, table 1. As in
    torchvision, whose names of parameters and buffers these are, there is batch normalisation
    after each convolution instead of local response normalisation, and 3×3 where the paper has
    5×5. 13,004,888 parameters for 1000 classes, 6,624,904 without the auxiliary classifiers.

    The weights start as N(0, 0.01²) and biases as 0; the normalisations bring each layer's output
    back to size.

    Shapes: x (N, channels, H, W), H and W at least 15, usually 224; the scores (N, num_classes).
    In training, with auxiliary classifiers, a :class:`Scores` of three such arrays, for
    :func:`auxiliary_cross_entropy`.

    Parameters
    ----------
    num_classes
        Number of scores.
    aux_logits
        Whether the two auxiliary classifiers, after modules 4a and 4d, are there.
    transform_input
        Whether images come normalised by the means and deviations of ImageNet's channels and are
        to be brought to −1 … 1, for which torchvision's trained weights were made.
    dropout, dropout_aux
        Probability to drop a unit in training, before the scores and in the auxiliary classifiers.
    channels
        Of the images.
    width
        Factor on the numbers of channels and hidden units.
    init_weights
        Whether to draw initial values; else all weights are 0 until trained ones are loaded.
    rng
        Of the initial values and of dropout; None is the package's default generator.
    dtype
        Of the parameters.

    Raises
    ------
    ShapeError
        If the images given are too small or of other channels.
    """

    smallest = 15  # height and width of images of which something is left

    @guarded
    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        dropout: float = 0.2,
        dropout_aux: float = 0.7,
        *,
        channels: int = 3,
        width: PositiveFloat = 1.0,
        init_weights: bool = True,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if transform_input and channels != 3:
            message = f"{CALLED}: channels={channels}; transform_input is for red, green and blue"
            raise ArgumentError(message)
        how: dict[str, Any] = {"rng": overwritten(), "dtype": dtype}
        first, third = (scaled(count, width) for count in (64, 192))
        self.in_channels = channels
        self.transform_input = transform_input
        self.conv1 = NormalizedConv2d(channels, first, 7, 2, 3, **how)
        self.maxpool1 = MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = NormalizedConv2d(first, first, 1, **how)
        self.conv3 = NormalizedConv2d(first, third, 3, padding=1, **how)
        self.maxpool2 = MaxPool2d(3, 2, ceil_mode=True)
        inputs = third
        outputs: dict[str, int] = {}

        def inception(name: str) -> Inception:
            nonlocal inputs
            counts = tuple(scaled(count, width) for count in CHANNELS[name])
            module = Inception(inputs, counts, **how)
            inputs = outputs[name] = module.outputs
            return module

        self.inception3a = inception("3a")
        self.inception3b = inception("3b")
        self.maxpool3 = MaxPool2d(3, 2, ceil_mode=True)
        self.inception4a = inception("4a")
        self.inception4b = inception("4b")
        self.inception4c = inception("4c")
        self.inception4d = inception("4d")
        self.inception4e = inception("4e")
        self.maxpool4 = MaxPool2d(2, 2, ceil_mode=True)
        self.inception5a = inception("5a")
        self.inception5b = inception("5b")
        self.aux1: AuxiliaryClassifier | None = None
        self.aux2: AuxiliaryClassifier | None = None
        if aux_logits:
            aux: dict[str, Any] = {"width": width, "rng": rng, "dtype": dtype}
            self.aux1 = AuxiliaryClassifier(outputs["4a"], num_classes, dropout_aux, **aux)
            self.aux2 = AuxiliaryClassifier(outputs["4d"], num_classes, dropout_aux, **aux)
        self.avgpool = AdaptiveAvgPool2d(1)
        self.dropout = Dropout(dropout, rng=rng)
        self.fc = Linear(inputs, num_classes, **how)
        if init_weights:
            draw(self, dict.fromkeys((Conv2d, Linear), partial(normal, std=0.01)), rng)

    @guarded
    def forward(self, x: Array) -> Tensor | Any:
        """Return scores (N, num_classes), in training the auxiliary ones beside them."""
        x = images_of(x, self.in_channels, self.smallest)
        if self.transform_input:
            factor = np.reshape(_DEVIATIONS, (3, 1, 1)) / 0.5
            shift = (np.reshape(_MEANS, (3, 1, 1)) - 0.5) / 0.5
            x = x * factor.astype(self.fc.weight.dtype) + shift.astype(self.fc.weight.dtype)
        x = self.maxpool1(self.conv1(x))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        x = self.inception4a(x)
        first = self.aux1(x) if self.training and self.aux1 is not None else None
        x = self.inception4d(self.inception4c(self.inception4b(x)))
        second = self.aux2(x) if self.training and self.aux2 is not None else None
        x = self.maxpool4(self.inception4e(x))
        x = self.inception5b(self.inception5a(x))
        logits = self.fc(self.dropout(flat(self.avgpool(x))))
        return logits if first is None else Scores(logits, second, first)


@guarded
def googlenet(num_classes: int = 1000, **options: Any) -> GoogLeNet:
    """Make a :class:`GoogLeNet`, which names the options."""
    return GoogLeNet(num_classes, **options)
