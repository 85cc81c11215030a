"""ResNet: layers that learn what to add to their input."""

from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import CALLED, PositiveFloat, guarded
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError, DtypeError
from graphgrad.nn.init import kaiming_normal
from graphgrad.nn.layers.activations import Identity, ReLU
from graphgrad.nn.layers.convolution import Conv2d
from graphgrad.nn.layers.linear import Linear
from graphgrad.nn.layers.normalization import BatchNorm2d
from graphgrad.nn.layers.pooling import AdaptiveAvgPool2d, MaxPool2d
from graphgrad.nn.models.base import draw, flat, images_of, overwritten, scaled
from graphgrad.nn.modules.containers import Sequential
from graphgrad.nn.modules.module import Module
from graphgrad.randomness import default_generator
from graphgrad.typing import Array


class _Block(Module):
    """y = ReLU(F(x) + x), where x takes a 1×1 convolution if F changes its shape."""

    expansion: ClassVar[int]  # outputs for each of the planes
    downsample: Sequential | None
    relu: ReLU

    def _shortcut(self, inputs: int, outputs: int, stride: int, dtype: DTypeLike) -> None:
        self.downsample = None
        if stride != 1 or inputs != outputs:
            how: dict[str, Any] = {"bias": False, "rng": overwritten(), "dtype": dtype}
            self.downsample = Sequential(
                Conv2d(inputs, outputs, 1, stride, **how), BatchNorm2d(outputs, dtype=dtype)
            )

    def residual(self, x: Array) -> Array:
        """Return F(x)."""
        raise NotImplementedError

    def last_norm(self) -> BatchNorm2d:
        """Return the normalisation that F ends with."""
        raise NotImplementedError

    def forward(self, x: Array) -> Tensor:
        """Return the rectified sum."""
        residual = self.residual(x)
        return self.relu(residual + (x if self.downsample is None else self.downsample(x)))


class BasicBlock(_Block):
    """Two convolutions of 3×3, the first with the stride, and the way past them.

    y = ReLU(BN(W₂ ∗ ReLU(BN(W₁ ∗ x))) + x). Where the shape changes, x is replaced by its 1×1
    convolution with the same stride, normalised. He, Zhang, Ren & Sun, "Deep residual learning for
    image recognition", 2015, figure 5 left.

    Shapes: x (N, inputs, H, W); the output (N, planes, H / stride, W / stride).

    Parameters
    ----------
    inputs, planes
        Numbers of channels that come and go.
    stride
        Of the first convolution.
    dtype
        Of the parameters. The convolutions start as 0: a :class:`ResNet` draws them.
    """

    expansion: ClassVar[int] = 1

    @guarded
    def __init__(
        self, inputs: int, planes: int, stride: int = 1, *, dtype: DTypeLike = np.float32
    ) -> None:
        how: dict[str, Any] = {"padding": 1, "bias": False, "rng": overwritten(), "dtype": dtype}
        self.conv1 = Conv2d(inputs, planes, 3, stride, **how)
        self.bn1 = BatchNorm2d(planes, dtype=dtype)
        self.relu1 = ReLU()
        self.conv2 = Conv2d(planes, planes, 3, **how)
        self.bn2 = BatchNorm2d(planes, dtype=dtype)
        self._shortcut(inputs, planes, stride, dtype)
        self.relu = ReLU()

    def residual(self, x: Array) -> Array:
        """Return what is added to x."""
        return self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))

    def last_norm(self) -> BatchNorm2d:
        """Return the normalisation after the second convolution."""
        return self.bn2


class Bottleneck(_Block):
    """1×1 to fewer channels, 3×3 among them, 1×1 to four times as many, and the way past them.

    The stride is that of the 3×3, as torchvision has it; in the paper (He et al., 2015, figure 5
    right) it is that of the first 1×1, which then sees one place in four only. The shapes of the
    parameters are the same, and so weights trained one way load the other way, but give other
    scores.

    Shapes: x (N, inputs, H, W); the output (N, 4 planes, H / stride, W / stride).

    Parameters
    ----------
    inputs, planes
        Numbers of channels that come, and that the 3×3 convolution sees.
    stride
        Of the 3×3 convolution.
    dtype
        Of the parameters. The convolutions start as 0: a :class:`ResNet` draws them.
    """

    expansion: ClassVar[int] = 4

    @guarded
    def __init__(
        self, inputs: int, planes: int, stride: int = 1, *, dtype: DTypeLike = np.float32
    ) -> None:
        how: dict[str, Any] = {"bias": False, "rng": overwritten(), "dtype": dtype}
        outputs = self.expansion * planes
        self.conv1 = Conv2d(inputs, planes, 1, **how)
        self.bn1 = BatchNorm2d(planes, dtype=dtype)
        self.relu1 = ReLU()
        self.conv2 = Conv2d(planes, planes, 3, stride, 1, **how)
        self.bn2 = BatchNorm2d(planes, dtype=dtype)
        self.relu2 = ReLU()
        self.conv3 = Conv2d(planes, outputs, 1, **how)
        self.bn3 = BatchNorm2d(outputs, dtype=dtype)
        self._shortcut(inputs, outputs, stride, dtype)
        self.relu = ReLU()

    def residual(self, x: Array) -> Array:
        """Return what is added to x."""
        x = self.relu1(self.bn1(self.conv1(x)))
        return self.bn3(self.conv3(self.relu2(self.bn2(self.conv2(x)))))

    def last_norm(self) -> BatchNorm2d:
        """Return the normalisation after the third convolution."""
        return self.bn3


class ResNet(Module):
    """Stages of blocks that add to what they get: gradients reach the first layer undiminished.

    A convolution of 7×7 and pooling, both by 2; stages of blocks, each but the first halving the
    image and doubling the channels; the mean of each channel; scores. He, Zhang, Ren & Sun, "Deep
    residual learning for image recognition", 2015, table 1; names of parameters and buffers are
    torchvision's. :func:`resnet18`, :func:`resnet34` and :func:`resnet50` have 11,689,512,
    21,797,672 and 25,557,032 parameters for 1000 classes.

    The weights of convolutions start as N(0, 2 / n_out), He's for gradients; normalisations with
    scale 1 and shift 0; the last layer uniform in ±1/√n_in.

    Shapes: x (N, channels, H, W) of any size, usually 224; the scores (N, num_classes).

    Parameters
    ----------
    block
        :class:`BasicBlock` or :class:`Bottleneck`.
    layers
        Number of blocks in each stage; the stages are named layer1, layer2, …
    num_classes
        Number of scores.
    zero_init_residual
        Whether the last normalisation of each block starts with scale 0, so that at first a block
        adds nothing (Goyal et al., "Accurate, large minibatch SGD", 2017, section 5.1).
    channels
        Of the images.
    width
        Factor on the numbers of channels, 64 in the first stage.
    small_images
        Whether to begin with a convolution of 3×3 with stride 1 and no pooling, as the paper does
        for images of 32×32 (section 4.2); it is right for 8×8 too.
    init_weights
        Whether to draw initial values; else all weights are 0 until trained ones are loaded.
    rng
        Of the initial values; None is the package's default generator.
    dtype
        Of the parameters.

    Raises
    ------
    ShapeError
        If the images given have other channels.
    DtypeError
        If the block is neither of the two.
    """

    @guarded
    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        layers: tuple[int, ...],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        *,
        channels: int = 3,
        width: PositiveFloat = 1.0,
        small_images: bool = False,
        init_weights: bool = True,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if not (isinstance(block, type) and issubclass(block, _Block)):
            message = f"{CALLED}: block={block!r}; it is BasicBlock or Bottleneck"
            raise DtypeError(message)
        counts = tuple(layers)
        if not counts or min(counts) < 1:
            message = f"{CALLED}: layers={layers}; numbers of blocks, (2, 2, 2, 2) is ResNet-18"
            raise ArgumentError(message)
        inputs = scaled(64, width)
        self.in_channels = channels
        stem = (3, 1, 1) if small_images else (7, 2, 3)
        self.conv1 = Conv2d(channels, inputs, *stem, bias=False, rng=overwritten(), dtype=dtype)
        self.bn1 = BatchNorm2d(inputs, dtype=dtype)
        self.relu = ReLU()
        self.maxpool = Identity() if small_images else MaxPool2d(3, 2, 1)
        self.stages = len(counts)
        for number, count in enumerate(counts):
            planes = scaled(64 * 2**number, width)
            stage = Sequential()
            for i in range(count):
                stride = 2 if i == 0 and number > 0 else 1
                stage.append(block(inputs, planes, stride, dtype=dtype))
                inputs = planes * block.expansion
            setattr(self, f"layer{number + 1}", stage)
        self.avgpool = AdaptiveAvgPool2d(1)
        for layer in self.modules():
            gain = layer.last_norm().weight if isinstance(layer, _Block) else None
            if zero_init_residual and gain is not None:
                gain.data = np.zeros_like(gain.data)
        generator = default_generator(rng) if init_weights else overwritten()
        if init_weights:
            draw(self, {Conv2d: partial(kaiming_normal, fan="out")}, generator)
        self.fc = Linear(inputs, num_classes, rng=generator, dtype=dtype)

    @guarded
    def forward(self, x: Array) -> Tensor:
        """Return scores (N, num_classes)."""
        x = images_of(x, self.in_channels, 1)
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for number in range(1, self.stages + 1):
            x = getattr(self, f"layer{number}")(x)
        return self.fc(flat(self.avgpool(x)))


@guarded
def resnet18(num_classes: int = 1000, **options: Any) -> ResNet:
    """Make a :class:`ResNet` of 18 layers with weights."""
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, **options)


@guarded
def resnet34(num_classes: int = 1000, **options: Any) -> ResNet:
    """Make a :class:`ResNet` of 34 layers with weights."""
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes, **options)


@guarded
def resnet50(num_classes: int = 1000, **options: Any) -> ResNet:
    """Make a :class:`ResNet` of 50 layers with weights."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, **options)
