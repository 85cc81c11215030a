"""Activations as modules, thin over the functions."""

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import choice, counts, guarded, positive, size, wrong
from graphgrad.engine.integers import as_whole_numbers
from graphgrad.engine.tensor import Tensor
from graphgrad.nn.functional.activations import (
    check_interval,
    elu,
    hardtanh,
    identity,
    leaky_relu,
    log_softmax,
    logsigmoid,
    maxout,
    prelu,
    relu,
    relu6,
    selu,
    sigmoid,
    softmax,
    softplus,
    step,
    tanh,
)
from graphgrad.nn.functional.linear_units import FORMS, gelu, silu
from graphgrad.nn.functional.matrix_products import linear
from graphgrad.nn.layers.function_layers import (
    ElementwiseLayer,
    FunctionLayer,
    Layer,
    WeightedLayer,
    computes,
    layer_of,
)
from graphgrad.nn.modules.module import Parameter
from graphgrad.typing import Array


@layer_of(step)
class Step(ElementwiseLayer):
    """1 where x > 0, else 0, as in a perceptron: nothing below it learns."""


@layer_of(identity)
class Identity(ElementwiseLayer):
    """x itself: what regression has behind its last layer."""


@layer_of(sigmoid)
class Sigmoid(ElementwiseLayer):
    """σ(x) = 1 / (1 + e⁻ˣ), between 0 and 1."""

    saturates_at = (0, 1)


@layer_of(logsigmoid)
class LogSigmoid(ElementwiseLayer):
    """log σ(x), for x of any size."""


@layer_of(tanh)
class Tanh(ElementwiseLayer):
    """tanh(x) = 2σ(2x) − 1, between −1 and 1."""

    saturates_at = (-1, 1)


@layer_of(relu)
class ReLU(ElementwiseLayer):
    """max(x, 0)."""


@layer_of(relu6)
class ReLU6(ElementwiseLayer):
    """min(max(x, 0), 6)."""


@layer_of(hardtanh)
class Hardtanh(ElementwiseLayer):
    """x limited to an interval: ``nn.functional.hardtanh``."""

    min_val: float = -1.0
    max_val: float = 1.0

    def __post_init__(self) -> None:
        """Check the interval."""
        check_interval(self.min_val, self.max_val)


@layer_of(leaky_relu)
class LeakyReLU(ElementwiseLayer):
    """x where x > 0, else a · x with a fixed slope a: ``nn.functional.leaky_relu``."""

    negative_slope: float = 0.01


@computes(prelu)
class PReLU(Layer):
    """x where x > 0, else w · x with a slope w that is learnt: ``nn.functional.prelu``.

    ``weight`` is (num_parameters,), one slope for all or one for each channel, and ``init`` at
    first; weight decay pulls it to 0, that is to ReLU, so leave it out of that.
    """

    @guarded
    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, *, dtype: DTypeLike = np.float32
    ) -> None:
        self.num_parameters = size("PReLU", "num_parameters", num_parameters)
        self.elementwise = self.num_parameters == 1
        self.init = float(init)
        self.weight = Parameter(np.full(self.num_parameters, init, dtype))

    def forward(self, x: Array) -> Tensor:
        """Return max(x, 0) + w · min(x, 0)."""
        return prelu(x, self.weight)


@layer_of(elu)
class ELU(ElementwiseLayer):
    """x where x > 0, else α (eˣ − 1): ``nn.functional.elu``."""

    alpha: float = 1.0


@layer_of(selu)
class SELU(ElementwiseLayer):
    """λ · elu(x, α), which keeps mean 0 and variance 1: ``nn.functional.selu``."""


@layer_of(gelu)
class GELU(ElementwiseLayer):
    """x · Φ(x), Φ the normal distribution function: ``nn.functional.gelu``."""

    approximate: str = "none"

    def __post_init__(self) -> None:
        """Check the form."""
        choice("GELU", "approximate", self.approximate, FORMS)


@layer_of(silu)
class SiLU(ElementwiseLayer):
    """x · σ(x), also called swish: ``nn.functional.silu``."""


@layer_of(softplus)
class Softplus(ElementwiseLayer):
    """log(1 + exp(βx)) / β, a smooth ReLU: ``nn.functional.softplus``."""

    beta: float = 1.0
    threshold: float | None = None

    def __post_init__(self) -> None:
        """Check β."""
        positive("Softplus", "beta", self.beta)


@computes(maxout)
class Maxout(WeightedLayer):
    """The largest of k affine functions of x for each output, max over j of x W_jᵀ + b_j.

    ``nn.functional.maxout`` after a ``Linear`` of k times as many outputs. With two pieces, one of
    them 0, it is ReLU. ``weight`` is (out_features · pieces, in_features), the pieces of an output
    one below the other; ``bias`` is (out_features · pieces,). Both start uniform in
    ±1/√in_features. x is (…, in_features), the output (…, out_features).
    """

    @guarded
    def __init__(
        self,
        in_features: int,
        out_features: int,
        pieces: int = 2,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        in_features, out_features, pieces = counts(
            "Maxout", in_features=in_features, out_features=out_features, pieces=pieces
        )
        self.in_features = in_features
        self.out_features = out_features
        self.pieces = pieces
        rows = out_features * pieces
        self._draw((rows, in_features), (rows,) if bias else None, in_features, rng, dtype)

    def forward(self, x: Array) -> Tensor:
        """Return the largest piece of each output."""
        return maxout(linear(x, self.weight, self.bias), self.pieces)


class _AlongAxis(FunctionLayer):
    axis: int | tuple[int, ...] | None

    def __post_init__(self) -> None:
        """Take NumPy's integers too, but as little as the function a list."""
        who = type(self).__name__
        if isinstance(self.axis, list):
            raise wrong(who, "axis", self.axis, "a whole number, a tuple of them, or None")
        self.axis = as_whole_numbers(who, "axis", self.axis)


@layer_of(softmax)
class Softmax(_AlongAxis):
    """exp(x) / Σ exp(x) along an axis, or several: positive, and 1 in all."""

    axis: int | tuple[int, ...] | None = -1


@layer_of(log_softmax)
class LogSoftmax(_AlongAxis):
    """x − log Σ exp(x) along an axis, or several: exact where softmax is 0."""

    axis: int | tuple[int, ...] | None = -1
