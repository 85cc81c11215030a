"""Layers that pool: one number for every window. They have no parameters."""

from dataclasses import KW_ONLY
from typing import Any, ClassVar

from graphgrad.nn.functional.pooling import (
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    bin_counts,
    check_divisor,
    check_norm_type,
    global_avg_pool2d,
    global_max_pool2d,
    lp_pool2d,
    max_pool1d,
    max_pool2d,
    pool_sizes,
)
from graphgrad.nn.layers.function_layers import FunctionLayer, layer_of


class _Pool(FunctionLayer):
    """What layers over windows share: each size becomes a number per axis."""

    axes: ClassVar[int] = 2
    kernel_size: Any
    stride: Any = None
    padding: Any = 0
    dilation: Any = 1

    def __post_init__(self) -> None:
        """Write each size out per axis."""
        given = self.kernel_size, self.stride, self.padding, self.dilation
        sizes = pool_sizes(type(self).__name__, self.axes, *given)
        self.kernel_size, self.stride, self.padding, self.dilation = sizes

    def usual(self) -> dict[str, Any]:
        """Say that a stride of None is the kernel size."""
        return {"stride": self.kernel_size}


@layer_of(max_pool2d)
class MaxPool2d(_Pool):
    """The largest element of each window: ``nn.functional.max_pool2d``."""

    kernel_size: Any
    stride: Any = None
    padding: Any = 0
    dilation: Any = 1
    _: KW_ONLY
    ceil_mode: bool = False


@layer_of(max_pool1d)
class MaxPool1d(_Pool):
    """The largest element of each window of sequences: ``nn.functional.max_pool1d``."""

    axes = 1
    kernel_size: Any
    stride: Any = None
    padding: Any = 0
    dilation: Any = 1
    _: KW_ONLY
    ceil_mode: bool = False


@layer_of(avg_pool2d)
class AvgPool2d(_Pool):
    """The mean of each window: ``nn.functional.avg_pool2d``."""

    kernel_size: Any
    stride: Any = None
    padding: Any = 0
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None

    def __post_init__(self) -> None:
        """Check the divisor too."""
        super().__post_init__()
        self.divisor_override = check_divisor("AvgPool2d", self.divisor_override)


@layer_of(avg_pool1d)
class AvgPool1d(_Pool):
    """The mean of each window of sequences: ``nn.functional.avg_pool1d``."""

    axes = 1
    kernel_size: Any
    stride: Any = None
    padding: Any = 0
    ceil_mode: bool = False
    count_include_pad: bool = True


@layer_of(lp_pool2d)
class LPPool2d(_Pool):
    """The p-th root of the sum of xᵖ in each window: ``nn.functional.lp_pool2d``."""

    norm_type: Any
    kernel_size: Any
    stride: Any = None
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        """Check p too."""
        super().__post_init__()
        check_norm_type("LPPool2d", self.norm_type)


class _Adaptive(FunctionLayer):
    """What layers over a given number of bins share."""

    output_size: Any

    def __post_init__(self) -> None:
        """Write the number of bins out per axis."""
        self.output_size = bin_counts(type(self).__name__, self.output_size)


@layer_of(adaptive_avg_pool2d)
class AdaptiveAvgPool2d(_Adaptive):
    """The means of a given number of bins: ``nn.functional.adaptive_avg_pool2d``."""

    output_size: Any


@layer_of(adaptive_max_pool2d)
class AdaptiveMaxPool2d(_Adaptive):
    """The maxima of a given number of bins: ``nn.functional.adaptive_max_pool2d``."""

    output_size: Any


@layer_of(global_avg_pool2d)
class GlobalAvgPool2d(FunctionLayer):
    """The mean of each channel: ``nn.functional.global_avg_pool2d``."""


@layer_of(global_max_pool2d)
class GlobalMaxPool2d(FunctionLayer):
    """The largest element of each channel: ``nn.functional.global_max_pool2d``."""
