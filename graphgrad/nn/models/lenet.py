"""LeNet-5, of 1998."""

from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import guarded
from graphgrad.nn.layers.activations import Sigmoid
from graphgrad.nn.layers.convolution import Conv2d
from graphgrad.nn.layers.linear import Linear
from graphgrad.nn.layers.pooling import AvgPool2d
from graphgrad.nn.models.base import FixedSize, Shape, image_shape, size_after
from graphgrad.nn.modules.containers import Sequential
from graphgrad.nn.modules.module import Module
from graphgrad.randomness import default_generator


class LeNet5(FixedSize):
    """The first convolutional network in wide use: it read digits and postal codes.

    Two convolutions of 5×5 with 6 and 16 kernels, each with a sigmoid and a subsampling by 2, then
    120 and 84 units with sigmoids, then the scores: 61,706 parameters for images of 32×32. What
    today's networks have instead is a choice away::

        nn.models.LeNet5(activation=nn.ReLU, pooling=nn.MaxPool2d)

    It differs from the network of LeCun et al., "Gradient-based learning applied to document
    recognition", 1998, in this: subsampling there multiplied the mean by a weight learned for
    each map, added a bias, and only then came the sigmoid; the sigmoid was
    1.7159 tanh(2/3 a); each kernel of the second convolution saw 3, 4 or all of the 6 maps, a
    choice that broke the symmetry between them and saved 900 weights; and the scores were
    distances to fixed pictures of the digits rather than sums for a softmax.

    All parameters start as those of their layers, uniform in ±1/√n_in.

    Shapes: x (N, *input_shape); the scores (N, num_classes).

    Parameters
    ----------
    input_shape
        (channels, height, width).
    num_classes
        Number of scores.
    padding
        Zeros around the image: 2 makes 32×32 of MNIST's 28×28.
    activation, pooling
        Classes of modules: pooling is called with the 2 of its windows.
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
        input_shape: Shape = (1, 32, 32),
        num_classes: int = 10,
        *,
        padding: int = 0,
        activation: Callable[[], Module] = Sigmoid,
        pooling: Callable[[int], Module] = AvgPool2d,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        rng = default_generator(rng)
        self.input_shape = image_shape(input_shape)
        self.features = Sequential(
            Conv2d(input_shape[0], 6, 5, padding=padding, rng=rng, dtype=dtype),
            activation(),
            pooling(2),
            Conv2d(6, 16, 5, rng=rng, dtype=dtype),
            activation(),
            pooling(2),
        )
        height, width = size_after(self.features, self.input_shape)
        self.classifier = Sequential(
            Linear(16 * height * width, 120, rng=rng, dtype=dtype),
            activation(),
            Linear(120, 84, rng=rng, dtype=dtype),
            activation(),
            Linear(84, num_classes, rng=rng, dtype=dtype),
        )
