"""AlexNet and ZFNet: a few convolutions, of which the first see much of the image at once."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import CALLED, PositiveFloat, guarded
from graphgrad.errors import ArgumentError
from graphgrad.nn.layers.activations import ReLU
from graphgrad.nn.layers.convolution import Conv2d
from graphgrad.nn.layers.dropout import Dropout
from graphgrad.nn.layers.linear import Linear
from graphgrad.nn.layers.normalization import LocalResponseNorm
from graphgrad.nn.layers.pooling import AdaptiveAvgPool2d, MaxPool2d
from graphgrad.nn.models.base import ImageClassifier, scaled
from graphgrad.nn.modules.containers import Sequential
from graphgrad.nn.modules.module import Module
from graphgrad.randomness import default_generator

PLACES = 6  # height and width of the maps that the first affine layer sees


class Geometry(NamedTuple):
    """In what the two networks differ."""

    first: tuple[int, int, int]  # kernel, stride and padding of the first convolution
    second: tuple[int, int, int]  # and of the second
    pooling: int  # padding of the pooling after them
    pooled_first: bool  # whether that comes before local response normalisation


class _FiveConvolutions(ImageClassifier):
    """Five convolutions, the last three of 3×3; pooling after the first, second and fifth."""

    geometry: Geometry

    def _build(
        self,
        num_classes: int,
        dropout: float,
        channels: int,
        maps: tuple[int, ...],
        width: float,
        local_response: bool,
        rng: np.random.Generator | None,
        dtype: DTypeLike,
    ) -> None:
        if len(maps) != 5:
            message = f"{CALLED}: maps={maps}; five convolutions need five numbers"
            raise ArgumentError(message)
        counts = [scaled(count, width) for count in maps]
        hidden = scaled(4096, width)
        how: dict[str, Any] = {"rng": default_generator(rng), "dtype": dtype}
        small = (3, 1, 1)
        kernels = (self.geometry.first, self.geometry.second, small, small, small)
        layers: dict[str, Module] = {}
        number = 0

        def add(module: Module) -> None:
            nonlocal number
            layers[str(number)] = module
            number += 1

        inputs = channels
        for i, (count, kernel) in enumerate(zip(counts, kernels, strict=True)):
            add(Conv2d(inputs, count, *kernel, **how))
            add(ReLU())
            pool = MaxPool2d(3, 2, self.geometry.pooling if i < 2 else 0)
            if i in {0, 1, 4} and self.geometry.pooled_first:
                add(pool)
            if local_response and i < 2:  # beside the numbering, which is torchvision's
                layers[f"norm{i}"] = LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
            if i in {0, 1, 4} and not self.geometry.pooled_first:
                add(pool)
            inputs = count
        self.in_channels = channels
        self.features = Sequential(layers)
        self.avgpool = AdaptiveAvgPool2d(PLACES)
        self.classifier = Sequential(
            Dropout(dropout, rng=rng),
            Linear(inputs * PLACES * PLACES, hidden, **how),
            ReLU(),
            Dropout(dropout, rng=rng),
            Linear(hidden, hidden, **how),
            ReLU(),
            Linear(hidden, num_classes, **how),
        )


class AlexNet(_FiveConvolutions):
    """The network that won ImageNet in 2012: deeper and larger than LeNet, ReLU, dropout.

    11×11 with stride 4, 5×5, and three of 3×3, then 4096 and 4096 units and the scores:
    61,100,840 parameters for 1000 classes. Numbers of kernels and names of parameters are those
    of torchvision's, which follows Krizhevsky, "One weird trick for parallelizing convolutional
    neural networks", 2014: one tower, and no local response normalisation. The first paper
    (Krizhevsky, Sutskever, Hinton, 2012) has 96, 256, 384, 384, 256 kernels in two halves that
    hardly see each other, and normalises after the first two; without the halves that is::

        nn.models.AlexNet(maps=(96, 256, 384, 384, 256), local_response=True)

    All parameters start as those of their layers, uniform in ±1/√n_in, as in torchvision.

    Shapes: x (N, channels, H, W), H and W at least 63, usually 224; the scores (N, num_classes).
    Where the maps are not 6×6 in the end, they are averaged, or repeated, to be.

    Parameters
    ----------
    num_classes
        Number of scores.
    dropout
        Probability to drop each input of the two hidden layers in training.
    channels
        Of the images.
    maps
        Output channels of the five convolutions.
    width
        Factor on the numbers of channels and hidden units.
    local_response
        Whether maps are normalised after the first two convolutions.
    rng
        Of the initial values and of dropout; None is the package's default generator.
    dtype
        Of the parameters.

    Raises
    ------
    ShapeError
        If the images given are too small or of other channels.
    """

    geometry = Geometry((11, 4, 2), (5, 1, 2), pooling=0, pooled_first=False)
    smallest = 63

    @guarded
    def __init__(
        self,
        num_classes: int = 1000,
        dropout: float = 0.5,
        *,
        channels: int = 3,
        maps: tuple[int, ...] = (64, 192, 384, 256, 256),
        width: PositiveFloat = 1.0,
        local_response: bool = False,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self._build(num_classes, dropout, channels, maps, width, local_response, rng, dtype)


class ZFNet(_FiveConvolutions):
    """The network that won ImageNet in 2013: AlexNet with a finer first layer and more maps.

    The first convolution is 7×7 with stride 2 instead of 11×11 with stride 4, so that its kernels
    lose less of the image; the second has stride 2 in turn. 512, 1024 and 512 maps follow:
    107,627,624 parameters for 1000 classes. Zeiler & Fergus, "Visualizing and understanding
    convolutional networks", 2013; their figure 3 has fewer, ``maps=(96, 256, 384, 384, 256)``,
    and table 2 the larger ones. Maps pooled for the first and second time are normalised in their
    contrast across channels there, by local response normalisation here.

    All parameters start as those of their layers, uniform in ±1/√n_in.

    Shapes: x (N, channels, H, W), H and W at least 53, usually 224; the scores (N, num_classes).
    Where the maps are not 6×6 in the end, they are averaged, or repeated, to be.

    Parameters
    ----------
    num_classes, dropout, channels, maps, width, local_response, rng, dtype
        As of :class:`AlexNet`.

    Raises
    ------
    ShapeError
        If the images given are too small or of other channels.
    """

    geometry = Geometry((7, 2, 1), (5, 2, 0), pooling=1, pooled_first=True)
    smallest = 53

    @guarded
    def __init__(
        self,
        num_classes: int = 1000,
        dropout: float = 0.5,
        *,
        channels: int = 3,
        maps: tuple[int, ...] = (96, 256, 512, 1024, 512),
        width: PositiveFloat = 1.0,
        local_response: bool = True,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self._build(num_classes, dropout, channels, maps, width, local_response, rng, dtype)


@guarded
def alexnet(num_classes: int = 1000, **options: Any) -> AlexNet:
    """Make an :class:`AlexNet`, which names the options."""
    return AlexNet(num_classes, **options)


@guarded
def zfnet(num_classes: int = 1000, **options: Any) -> ZFNet:
    """Make a :class:`ZFNet`, which names the options."""
    return ZFNet(num_classes, **options)
