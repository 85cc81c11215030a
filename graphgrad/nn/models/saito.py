"""The two convolutional networks of Saito's "Deep Learning from Scratch"."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import CALLED, guarded
from graphgrad.errors import ArgumentError
from graphgrad.nn.init import initialize, kaiming_normal
from graphgrad.nn.layers.activations import ReLU
from graphgrad.nn.layers.convolution import Conv2d
from graphgrad.nn.layers.dropout import Dropout
from graphgrad.nn.layers.linear import Linear
from graphgrad.nn.layers.pooling import MaxPool2d
from graphgrad.nn.models.base import FixedSize, Shape, image_shape, overwritten, size_after
from graphgrad.nn.modules.containers import Sequential


class SimpleConvNet(FixedSize):
    """Convolution, ReLU, pooling by 2; affine, ReLU; affine: Saito's chapter 7.

    For the real digits of scikit-learn, 8×8::

        nn.models.SimpleConvNet((1, 8, 8), kernel_size=3, padding=1)

    Weights start as N(0, 2 / n_in), He's, and biases as 0. Saito's N(0, 0.01²) is
    ``nn.init.initialize(net, nn.init.normal, std=0.01, rng=rng)``.

    Shapes: x (N, *input_shape); the scores (N, num_classes).

    Parameters
    ----------
    input_shape
        (channels, height, width).
    num_classes
        Number of scores.
    filters, kernel_size, stride, padding
        Of the convolution.
    hidden
        Units between the affine layers.
    rng
        None is the package's default generator.
    dtype
        Of the parameters.

    Raises
    ------
    ShapeError
        If the images are too small, or those given later are of another shape.
    """

    @guarded
    def __init__(
        self,
        input_shape: Shape = (1, 28, 28),
        num_classes: int = 10,
        *,
        filters: int = 30,
        kernel_size: int = 5,
        stride: int = 1,
        padding: int = 0,
        hidden: int = 100,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        how: dict[str, Any] = {"rng": overwritten(), "dtype": dtype}
        self.input_shape = image_shape(input_shape)
        self.features = Sequential(
            Conv2d(input_shape[0], filters, kernel_size, stride, padding, **how),
            ReLU(),
            MaxPool2d(2),
        )
        height, width = size_after(self.features, self.input_shape)
        self.classifier = Sequential(
            Linear(filters * height * width, hidden, **how),
            ReLU(),
            Linear(hidden, num_classes, **how),
        )
        initialize(self, kaiming_normal, rng=rng)


class DeepConvNet(FixedSize):
    """Six convolutions of 3×3, pooled by 2 after each second, and two affine: Saito's chapter 8.

    Dropout follows the ReLU of the hidden units and, as in Saito's book, the scores too. All
    convolutions pad by 1, the fourth by 2 where that is what makes its maps even: of MNIST's
    28×28, pooled to 14×14, it makes 16×16. Images of 8×8 need no such thing.

    Weights start as N(0, 2 / n_in), He's, as in Saito's book, and biases as 0.

    Shapes: x (N, *input_shape); the scores (N, num_classes).

    Parameters
    ----------
    input_shape
        (channels, height, width), at least 8×8.
    num_classes
        Number of scores.
    maps
        Output channels of the six convolutions.
    hidden
        Units between the affine layers.
    dropout
        Probability to drop each unit in training; 0 for none.
    rng
        Of the initial values and of dropout; None is the package's default generator.
    dtype
        Of the parameters.

    Raises
    ------
    ArgumentError
        If ``maps`` are not six.
    ShapeError
        If the images are too small, or those given later are of another shape.
    """

    @guarded
    def __init__(
        self,
        input_shape: Shape = (1, 28, 28),
        num_classes: int = 10,
        *,
        maps: tuple[int, ...] = (16, 16, 32, 32, 64, 64),
        hidden: int = 50,
        dropout: float = 0.5,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if len(maps) != 6:
            message = f"{CALLED}: maps={maps}; six convolutions need six numbers"
            raise ArgumentError(message)
        how: dict[str, Any] = {"rng": overwritten(), "dtype": dtype}
        self.input_shape = image_shape(input_shape)
        self.features = Sequential()
        channels = input_shape[0]
        fourth = tuple(2 if n // 2 % 4 == 2 else 1 for n in input_shape[1:])  # 14 → 16
        for i, count in enumerate(maps):
            padding = fourth if i == 3 else 1
            self.features.append(Conv2d(channels, count, 3, padding=padding, **how)).append(ReLU())
            if i % 2:
                self.features.append(MaxPool2d(2))
            channels = count
        height, width = size_after(self.features, self.input_shape)
        self.classifier = Sequential(
            Linear(channels * height * width, hidden, **how),
            ReLU(),
            Dropout(dropout, rng=rng),
            Linear(hidden, num_classes, **how),
            Dropout(dropout, rng=rng),
        )
        initialize(self, kaiming_normal, rng=rng)
