"""VGG: depth from the smallest kernels."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import CALLED, PositiveFloat, guarded
from graphgrad.errors import ArgumentError
from graphgrad.nn.init import kaiming_normal, normal
from graphgrad.nn.layers.activations import ReLU
from graphgrad.nn.layers.convolution import Conv2d
from graphgrad.nn.layers.dropout import Dropout
from graphgrad.nn.layers.linear import Linear
from graphgrad.nn.layers.pooling import AdaptiveAvgPool2d, MaxPool2d
from graphgrad.nn.models.base import ImageClassifier, draw, overwritten, scaled
from graphgrad.nn.modules.containers import Sequential

MAPS = (64, 128, 256, 512, 512)  # of the five stages
PLACES = 7  # height and width of the maps that the first affine layer sees


class VGG(ImageClassifier):
    """Convolutions of 3×3 alone, two to four in a row, then pooling by 2; five such stages.

    Two 3×3 kernels in a row see 5×5 pixels, three see 7×7, with fewer weights and a ReLU between
    each two. Simonyan & Zisserman, "Very deep convolutional networks for large-scale image
    recognition", 2014. :func:`vgg11`, :func:`vgg16` and :func:`vgg19` are configurations A, D
    and E there: so many layers have weights, the last three being fully connected. Names of
    parameters are torchvision's.

    VGG-16 has 138,357,544 parameters for 1000 classes, 102,764,544 of them in the first fully
    connected layer. The table of the CS231n notes counts 15.2 million activations for an image of
    224×224: the image, and the outputs of convolutions, pooling and fully connected layers. Its
    last line says 24 million (93 MB), which is a slip: the sum of its lines is 15,237,608 (61 MB).
    ``nn.summary`` has lines for ReLU and dropout too.

    The weights of convolutions start as N(0, 2 / n_out), He's for gradients, those of the fully
    connected layers as N(0, 0.01²), and biases as 0, as in torchvision.

    Shapes: x (N, channels, H, W), H and W at least 32, usually 224; the scores (N, num_classes).
    Where the maps are not 7×7 in the end, they are averaged, or repeated, to be.

    Parameters
    ----------
    stages
        Numbers of convolutions in each of the five stages.
    num_classes
        Number of scores.
    dropout
        Probability to drop each unit of the two hidden layers in training.
    channels
        Of the images.
    width
        Factor on the numbers of channels and hidden units.
    init_weights
        Whether to draw initial values, which takes seconds; else all are 0, until
        ``load_state_dict`` brings others.
    rng
        Of the initial values and of dropout; None is the package's default generator.
    dtype
        Of the parameters.

    Raises
    ------
    ShapeError
        If the images given are too small or of other channels.
    """

    smallest = 2 ** len(MAPS)

    @guarded
    def __init__(
        self,
        stages: tuple[int, ...],
        num_classes: int = 1000,
        dropout: float = 0.5,
        *,
        channels: int = 3,
        width: PositiveFloat = 1.0,
        init_weights: bool = True,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if len(stages) != len(MAPS) or min(stages) < 1:
            message = f"{CALLED}: stages={stages}; five numbers above 0, (2, 2, 3, 3, 3) is VGG-16"
            raise ArgumentError(message)
        how: dict[str, Any] = {"rng": overwritten(), "dtype": dtype}
        self.features = Sequential()
        inputs = channels
        for count, maps in zip(stages, MAPS, strict=True):
            for _ in range(count):
                outputs = scaled(maps, width)
                self.features.append(Conv2d(inputs, outputs, 3, padding=1, **how)).append(ReLU())
                inputs = outputs
            self.features.append(MaxPool2d(2))
        hidden = scaled(4096, width)
        self.in_channels = channels
        self.avgpool = AdaptiveAvgPool2d(PLACES)
        self.classifier = Sequential(
            Linear(inputs * PLACES * PLACES, hidden, **how),
            ReLU(),
            Dropout(dropout, rng=rng),
            Linear(hidden, hidden, **how),
            ReLU(),
            Dropout(dropout, rng=rng),
            Linear(hidden, num_classes, **how),
        )
        if init_weights:
            convolutions = partial(kaiming_normal, fan="out")
            draw(self, {Conv2d: convolutions, Linear: partial(normal, std=0.01)}, rng)


@guarded
def vgg11(num_classes: int = 1000, **options: Any) -> VGG:
    """Make a :class:`VGG` of 11 layers with weights."""
    return VGG((1, 1, 2, 2, 2), num_classes, **options)


@guarded
def vgg16(num_classes: int = 1000, **options: Any) -> VGG:
    """Make a :class:`VGG` of 16 layers with weights, 138,357,544 parameters for 1000 classes."""
    return VGG((2, 2, 3, 3, 3), num_classes, **options)


@guarded
def vgg19(num_classes: int = 1000, **options: Any) -> VGG:
    """Make a :class:`VGG` of 19 layers with weights."""
    return VGG((2, 2, 4, 4, 4), num_classes, **options)
