"""Layers that normalise: by the batch, within a sample, by neighbouring channels."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import (
    counts,
    guarded,
    is_number,
    non_negative,
    share,
    size as size_of,
    sizes,
)
from graphgrad.engine.operands import shape_of
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError, ShapeError
from graphgrad.nn.functional.normalization import batch_norm, group_norm, layer_norm
from graphgrad.nn.functional.response_norm import local_response_norm
from graphgrad.nn.layers.function_layers import FunctionLayer, Layer, computes, layer_of
from graphgrad.nn.modules.module import Buffer, Parameter
from graphgrad.typing import Array


class _BatchNorm(Layer):
    """What batch normalisation is for any number of axes."""

    axes: ClassVar[dict[int, str]]  # the inputs that are taken, by their number of axes
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Buffer | None
    running_var: Buffer | None
    num_batches_tracked: Buffer | None

    @guarded
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        name = type(self).__name__
        self.num_features = size_of(name, "num_features", num_features)
        self.eps = non_negative(name, "eps", eps)
        self.momentum = None if momentum is None else share(name, "momentum", momentum)
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.weight = Parameter(np.ones(num_features, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_features, dtype)) if affine else None
        tracked = track_running_stats
        self.running_mean = Buffer(np.zeros(num_features, dtype)) if tracked else None
        self.running_var = Buffer(np.ones(num_features, dtype)) if tracked else None
        self.num_batches_tracked = Buffer(np.zeros((), np.int64)) if tracked else None

    def forward(self, x: Array) -> Tensor:
        """Normalise; in training, move the running statistics if nothing went wrong."""
        shape = shape_of(x)
        if len(shape) not in self.axes or shape[1] != self.num_features:
            wanted = " or ".join(self.axes.values())
            message = (
                f"{type(self).__name__}({self.num_features}): x {shape}; it must be {wanted} "
                f"with C = {self.num_features}"
            )
            raise ShapeError(message)
        count = self.num_batches_tracked
        momentum = self.momentum
        if momentum is None:  # a plain average over all batches, this one too
            momentum = 1.0 if count is None else 1 / (count.item() + 1)
        out = batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or count is None,
            momentum,
            self.eps,
        )
        if self.training and count is not None:
            count.data += 1
        return out


@computes(batch_norm)
class BatchNorm1d(_BatchNorm):
    """Normalise each feature over the batch, x (N, C) or (N, C, L): ``nn.functional.batch_norm``.

    ``weight`` and ``bias`` are (C,), 1 and 0 at first; ``running_mean`` and ``running_var`` are
    buffers (C,), 0 and 1 at first, that follow in training and after ``eval()`` take the place of
    the batch's statistics; ``num_batches_tracked`` counts batches. ``affine`` and
    ``track_running_stats`` say whether these are there. A ``momentum`` of None makes the running
    statistics the plain average over all batches.
    """

    axes: ClassVar[dict[int, str]] = {2: "(N, C)", 3: "(N, C, L)"}


@computes(batch_norm)
class BatchNorm2d(_BatchNorm):
    """Normalise each channel over batch and places of x (N, C, H, W), as :class:`BatchNorm1d`."""

    axes: ClassVar[dict[int, str]] = {4: "(N, C, H, W)"}


@computes(layer_norm)
class LayerNorm(Layer):
    """Normalise each sample over its last axes: ``nn.functional.layer_norm``.

    ``weight`` and ``bias`` are of ``normalized_shape``, 1 and 0 at first; without
    ``elementwise_affine`` there is neither.
    """

    weight: Parameter | None
    bias: Parameter | None

    @guarded
    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        given = (normalized_shape,) if is_number(normalized_shape) else normalized_shape
        shape = sizes("LayerNorm", "normalized_shape", given)
        if not shape:
            raise ArgumentError("LayerNorm: normalized_shape = () has no axis to normalise over")
        self.normalized_shape = shape
        self.eps = non_negative("LayerNorm", "eps", eps)
        self.elementwise_affine = elementwise_affine
        self.weight = Parameter(np.ones(shape, dtype)) if elementwise_affine else None
        self.bias = Parameter(np.zeros(shape, dtype)) if elementwise_affine and bias else None

    def forward(self, x: Array) -> Tensor:
        """Normalise."""
        return layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def usual(self) -> dict[str, Any]:
        """Say that there is no bias without a weight."""
        return {"bias": self.elementwise_affine}


@computes(group_norm)
class GroupNorm(Layer):
    """Normalise groups of channels in each sample: ``nn.functional.group_norm``.

    ``weight`` and ``bias`` are (num_channels,), 1 and 0 at first; ``affine`` says whether they are
    there.
    """

    weight: Parameter | None
    bias: Parameter | None

    @guarded
    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        num_groups, num_channels = counts(
            "GroupNorm", num_groups=num_groups, num_channels=num_channels
        )
        if num_channels % num_groups:
            message = f"GroupNorm: num_channels = {num_channels} must be a multiple of num_groups"
            raise ArgumentError(f"{message} = {num_groups}")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = non_negative("GroupNorm", "eps", eps)
        self.affine = affine
        self.weight = Parameter(np.ones(num_channels, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_channels, dtype)) if affine else None

    def forward(self, x: Array) -> Tensor:
        """Normalise."""
        shape = shape_of(x)
        if len(shape) < 2 or shape[1] != self.num_channels:
            message = (
                f"GroupNorm({self.num_groups}, {self.num_channels}): x {shape}; it must be "
                f"(N, C, …) with C = {self.num_channels}"
            )
            raise ShapeError(message)
        return group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


@layer_of(local_response_norm)
class LocalResponseNorm(FunctionLayer):
    """Divide by the activity of neighbouring channels: ``nn.functional.local_response_norm``."""

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def __post_init__(self) -> None:
        """Check the number of channels."""
        self.size = size_of("LocalResponseNorm", "size", self.size)
