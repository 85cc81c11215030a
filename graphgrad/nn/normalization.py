"""Layers that normalise: by the batch, within a sample, by neighbouring channels."""

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import counts, guarded, size as size_of
from graphgrad.engine.operands import shape_of
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError, ShapeError
from graphgrad.nn.functional.normalization import batch_norm, group_norm, layer_norm
from graphgrad.nn.functional.response import local_response_norm
from graphgrad.nn.module import Buffer, Module, Parameter


def _options(**pairs: tuple[Any, Any]) -> str:
    """Write ``, name=value`` for each value that is not the default beside it."""
    return "".join(f", {name}={x!r}" for name, (x, default) in pairs.items() if x != default)


class _BatchNorm(Module):
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
        """Start with weight 1 and bias 0, running mean 0 and variance 1."""
        num_features = size_of(type(self).__name__, "num_features", num_features)
        problem = _eps_problem(eps)
        if momentum is not None and not 0 <= momentum <= 1:
            problem = f"momentum = {momentum} must be from 0 to 1, or None"
        if problem:
            message = f"{type(self).__name__}({num_features}): {problem}"
            raise ArgumentError(message)
        self.num_features = num_features
        self.eps = float(eps)
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.weight = Parameter(np.ones(num_features, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_features, dtype)) if affine else None
        tracked = track_running_stats
        self.running_mean = Buffer(np.zeros(num_features, dtype)) if tracked else None
        self.running_var = Buffer(np.ones(num_features, dtype)) if tracked else None
        self.num_batches_tracked = Buffer(np.zeros((), np.int64)) if tracked else None

    def forward(self, x: Any) -> Tensor:
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
        seen = 1 if count is None else count.item() + 1  # batches, this one too
        out = batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or count is None,
            1 / seen if self.momentum is None else self.momentum,
            self.eps,
        )
        if self.training and count is not None:
            count.data = np.asarray(seen)
        return out

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.num_features}" + _options(
            eps=(self.eps, 1e-5),
            momentum=(self.momentum, 0.1),
            affine=(self.affine, True),
            track_running_stats=(self.track_running_stats, True),
        )


class BatchNorm1d(_BatchNorm):
    """Normalise each feature over the batch: y = (x − μ) / √(σ² + ε) · weight + bias.

    In training μ and σ² are those of the batch; the running statistics follow, r ← (1 − momentum)
    r + momentum · statistic, with the variance over m − 1 rather than m. After ``eval()`` the
    running statistics take the place of the batch's. Where the variance is 0 the output is the
    bias and the gradient of x finite. Ioffe and Szegedy, "Batch Normalization", 2015,
    algorithms 1 and 2.

    Shapes: x (N, C) or (N, C, L), the output alike; weight, bias, running_mean, running_var (C,),
    weight and running_var 1 at first, bias and running_mean 0.

    Parameters
    ----------
    num_features
        C.
    eps
        ε, what is added to the variance.
    momentum
        The share of the newest batch in the running statistics; None makes them the plain average
        over all batches.
    affine
        Whether weight and bias are there.
    track_running_stats
        Whether running statistics are kept; without, the batch's own are used after ``eval()`` too.
    dtype
        Of parameters and running statistics.

    Raises
    ------
    ArgumentError
        If an argument is out of range.
    ShapeError
        If x has another shape, or training sees fewer than two values of a feature.
    """

    axes: ClassVar[dict[int, str]] = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(_BatchNorm):
    """Normalise each channel over batch and places: y = (x − μ) / √(σ² + ε) · weight + bias.

    Shapes: x (N, C, H, W), the output alike; all else is as in :class:`BatchNorm1d`.

    Parameters
    ----------
    num_features
        C.
    eps, momentum, affine, track_running_stats, dtype
        As in :class:`BatchNorm1d`.

    Raises
    ------
    ShapeError
        As in :class:`BatchNorm1d`.
    """

    axes: ClassVar[dict[int, str]] = {4: "(N, C, H, W)"}


class LayerNorm(Module):
    """Normalise each sample over its last axes: y = (x − μ) / √(σ² + ε) · weight + bias.

    σ² is over m, not m − 1. Ba, Kiros and Hinton, "Layer Normalization", 2016, equation 3.

    Shapes: x (…, *normalized_shape), the output alike; weight and bias of normalized_shape, 1 and
    0 at first.

    Parameters
    ----------
    normalized_shape
        The lengths of the last axes; a number for one.
    eps
        ε, what is added to the variance.
    elementwise_affine
        Whether weight and bias are there.
    bias
        Whether bias is there too.
    dtype
        Of the parameters.

    Raises
    ------
    ArgumentError
        If an argument is out of range.
    ShapeError
        If x does not end in normalized_shape.
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
        """Start with weight 1 and bias 0."""
        given = normalized_shape
        shape = (given,) if isinstance(given, int | np.integer) else tuple(given)
        problem = _eps_problem(eps)
        if not shape or min(shape) < 1:
            problem = "every length must be above 0"
        if problem:
            raise ArgumentError(f"LayerNorm({normalized_shape}): {problem}")
        self.normalized_shape = tuple(int(n) for n in shape)
        self.eps = float(eps)
        self.elementwise_affine = elementwise_affine
        self.weight = Parameter(np.ones(shape, dtype)) if elementwise_affine else None
        self.bias = Parameter(np.zeros(shape, dtype)) if elementwise_affine and bias else None

    def forward(self, x: Any) -> Tensor:
        """Normalise."""
        return layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Return the arguments."""
        shape = self.normalized_shape
        return f"{shape[0] if len(shape) == 1 else shape}" + _options(
            eps=(self.eps, 1e-5),
            elementwise_affine=(self.elementwise_affine, True),
            bias=(self.bias is not None, self.elementwise_affine),
        )


class GroupNorm(Module):
    """Normalise groups of channels in each sample: y = (x − μ) / √(σ² + ε) · weight + bias.

    σ² is over m, not m − 1. One group normalises all of a sample, as many groups as channels each
    channel of a sample. Wu and He, "Group Normalization", 2018, equations 1 to 7.

    Shapes: x (N, C, …), the output alike; weight and bias (C,), 1 and 0 at first.

    Parameters
    ----------
    num_groups
        How many groups of C / num_groups channels.
    num_channels
        C, a multiple of num_groups.
    eps
        ε, what is added to the variance.
    affine
        Whether weight and bias are there.
    dtype
        Of the parameters.

    Raises
    ------
    ArgumentError
        If an argument is out of range.
    ShapeError
        If x has another number of channels.
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
        """Start with weight 1 and bias 0."""
        num_groups, num_channels = counts(
            "GroupNorm", num_groups=num_groups, num_channels=num_channels
        )
        problem = _eps_problem(eps)
        if num_channels % num_groups:
            problem = "num_channels must be a multiple of num_groups"
        if problem:
            raise ArgumentError(f"GroupNorm({num_groups}, {num_channels}): {problem}")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = float(eps)
        self.affine = affine
        self.weight = Parameter(np.ones(num_channels, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_channels, dtype)) if affine else None

    def forward(self, x: Any) -> Tensor:
        """Normalise."""
        shape = shape_of(x)
        if len(shape) < 2 or shape[1] != self.num_channels:
            message = (
                f"GroupNorm({self.num_groups}, {self.num_channels}): x {shape}; it must be "
                f"(N, C, …) with C = {self.num_channels}"
            )
            raise ShapeError(message)
        return group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.num_groups}, {self.num_channels}" + _options(
            eps=(self.eps, 1e-5), affine=(self.affine, True)
        )


class LocalResponseNorm(Module):
    """Divide by the activity of neighbouring channels: y = x / (k + α/size Σ x²)^β.

    The sum is over ``size`` channels around each; what lies outside counts as 0. The α of
    Krizhevsky, Sutskever and Hinton, 2012, section 3.3, is not divided by the size: their k = 2,
    n = 5, α = 10⁻⁴, β = 0.75 is ``LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)``.

    Shapes: x (N, C, …), the output alike.

    Parameters
    ----------
    size
        How many channels the sum is over, at least 1.
    alpha, beta, k
        As in the formula.

    Raises
    ------
    ArgumentError
        If size is below 1.
    ShapeError
        If x has fewer than two axes.
    """

    @guarded
    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        """Keep the numbers of the formula; there is nothing to learn."""
        size = size_of("LocalResponseNorm", "size", size)
        self.size = size
        self.alpha = float(alpha)
        self.beta = float(beta)
        self.k = float(k)

    def forward(self, x: Any) -> Tensor:
        """Divide."""
        return local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.size}" + _options(
            alpha=(self.alpha, 1e-4), beta=(self.beta, 0.75), k=(self.k, 1.0)
        )


def _eps_problem(eps: float) -> str:
    return "" if 0 <= eps < math.inf else f"eps = {eps} must be finite and not negative"
