"""Activations as modules, thin over the functions."""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import counts, guarded, size
from graphgrad.engine.integers import as_whole_numbers
from graphgrad.engine.tensor import Tensor
from graphgrad.nn.functional.activations import (
    check_beta,
    elu,
    leaky_relu,
    log_softmax,
    maxout,
    prelu,
    relu,
    sigmoid,
    softmax,
    softplus,
    step,
    tanh,
)
from graphgrad.nn.functional.gates import check_approximation, gelu, silu
from graphgrad.nn.functional.projections import affine
from graphgrad.nn.module import Module, Parameter
from graphgrad.randomness import default_generator


class Step(Module):
    """1 where x > 0, else 0, as in a perceptron. Its gradient is 0: nothing below it learns."""

    def forward(self, x: Any) -> Tensor:
        """Return 1 where x > 0, else 0."""
        return step(x)


class Identity(Module):
    """x itself: what regression has behind its last layer."""

    def forward(self, x: Any) -> Tensor:
        """Return x."""
        return x  # type: ignore[no-any-return]


class Sigmoid(Module):
    """σ(x) = 1 / (1 + e⁻ˣ), between 0 and 1."""

    def forward(self, x: Any) -> Tensor:
        """Return σ(x)."""
        return sigmoid(x)


class Tanh(Module):
    """tanh(x) = 2σ(2x) − 1, between −1 and 1."""

    def forward(self, x: Any) -> Tensor:
        """Return tanh(x)."""
        return tanh(x)


class ReLU(Module):
    """max(x, 0). Its gradient at 0 is 0."""

    def forward(self, x: Any) -> Tensor:
        """Return max(x, 0)."""
        return relu(x)


class LeakyReLU(Module):
    """x where x > 0, else a · x; see :func:`nn.functional.leaky_relu` for the gradient at 0.

    Parameters
    ----------
    negative_slope
        The fixed slope a.
    """

    @guarded
    def __init__(self, negative_slope: float = 0.01) -> None:
        """Keep the slope."""
        self.negative_slope = float(negative_slope)

    def forward(self, x: Any) -> Tensor:
        """Return max(x, 0) + a · min(x, 0)."""
        return leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"negative_slope={self.negative_slope}"


class PReLU(Module):
    """x where x > 0, else w · x with a slope w that is learnt.

    He et al., "Delving Deep into Rectifiers", 2015, equation 1. ``weight`` is (num_parameters,);
    weight decay pulls it to 0, that is to ReLU, so leave it out of that.

    Shapes: x (N, C, …), or any for a single slope; the output as x.

    Parameters
    ----------
    num_parameters
        1 for a single slope, or C for one for each channel.
    init
        The slope to start from.
    dtype
        Of the parameter.

    Raises
    ------
    ArgumentError
        If the number is below 1.
    ShapeError
        If it is not 1 and not the number of channels of an input.
    """

    @guarded
    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, *, dtype: DTypeLike = np.float32
    ) -> None:
        """Set the slopes."""
        num_parameters = size("PReLU", "num_parameters", num_parameters)
        self.num_parameters = num_parameters
        self.init = float(init)
        self.weight = Parameter(np.full(num_parameters, init, dtype))

    def forward(self, x: Any) -> Tensor:
        """Return max(x, 0) + w · min(x, 0)."""
        return prelu(x, self.weight)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.num_parameters}, init={self.init}"


class ELU(Module):
    """x where x > 0, else α (eˣ − 1); see :func:`nn.functional.elu`.

    Parameters
    ----------
    alpha
        Minus the value at −∞.
    """

    @guarded
    def __init__(self, alpha: float = 1.0) -> None:
        """Keep α."""
        self.alpha = float(alpha)

    def forward(self, x: Any) -> Tensor:
        """Return x or α (eˣ − 1)."""
        return elu(x, self.alpha)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"alpha={self.alpha}"


class GELU(Module):
    """x · Φ(x), Φ the normal distribution function; see :func:`nn.functional.gelu`.

    Parameters
    ----------
    approximate
        "none", or "tanh".

    Raises
    ------
    ArgumentError
        If it is neither.
    """

    @guarded
    def __init__(self, approximate: str = "none") -> None:
        """Keep the form."""
        check_approximation("GELU", approximate)
        self.approximate = approximate

    def forward(self, x: Any) -> Tensor:
        """Return x · Φ(x)."""
        return gelu(x, self.approximate)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """x · σ(x), also called swish; see :func:`nn.functional.silu`."""

    def forward(self, x: Any) -> Tensor:
        """Return x · σ(x)."""
        return silu(x)


class Softplus(Module):
    """log(1 + exp(βx)) / β, a smooth ReLU; see :func:`nn.functional.softplus`.

    Parameters
    ----------
    beta
        How sharply it bends, above 0.
    threshold
        Where βx is larger than this, return x. It is exact without.

    Raises
    ------
    ArgumentError
        If beta is not above 0.
    """

    @guarded
    def __init__(self, beta: float = 1.0, threshold: float | None = None) -> None:
        """Keep the arguments."""
        check_beta("Softplus", beta)
        self.beta = float(beta)
        self.threshold = threshold

    def forward(self, x: Any) -> Tensor:
        """Return log(1 + exp(βx)) / β."""
        return softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """Return the arguments."""
        limit = "" if self.threshold is None else f", threshold={self.threshold}"
        return f"beta={self.beta}{limit}"


class Maxout(Module):
    """The largest of k affine functions of x for each output, max over j of x W_jᵀ + b_j.

    Goodfellow et al., "Maxout Networks", 2013. With two pieces, one of them 0, it is ReLU; it has
    k times the parameters of ``Affine``. Equal pieces share the gradient.

    ``weight`` is (out_features · k, in_features), the pieces of an output one below the other;
    ``bias`` is (out_features · k,). Both start uniform in ±1/√in_features.

    Shapes: x (…, in_features), any batch shape; the output (…, out_features).

    Parameters
    ----------
    in_features, out_features
        Numbers of inputs and outputs, above 0.
    pieces
        k, above 0.
    bias
        Whether b is there.
    rng
        None is the package's default generator.
    dtype
        Of the parameters.

    Raises
    ------
    ArgumentError
        If a number is not above 0.
    ShapeError
        If an input has another last axis than ``in_features``.
    """

    bias: Parameter | None

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
        """Draw the initial values."""
        in_features, out_features, pieces = counts(
            "Maxout", in_features=in_features, out_features=out_features, pieces=pieces
        )
        self.in_features = in_features
        self.out_features = out_features
        self.pieces = pieces
        rng = default_generator(rng)
        bound = 1 / math.sqrt(in_features)
        rows = out_features * pieces
        self.weight = Parameter(rng.uniform(-bound, bound, (rows, in_features)).astype(dtype))
        self.bias = None
        if bias:
            self.bias = Parameter(rng.uniform(-bound, bound, rows).astype(dtype))

    def forward(self, x: Any) -> Tensor:
        """Return the largest piece of each output."""
        return maxout(affine(x, self.weight, self.bias), self.pieces)

    def extra_repr(self) -> str:
        """Return the arguments."""
        without = "" if self.bias is not None else ", bias=False"
        return f"{self.in_features}, {self.out_features}, pieces={self.pieces}{without}"

    def multiply_adds(self, inputs: tuple[Any, ...], output: Any) -> int:  # noqa: ARG002
        """Count outputs · pieces · inputs for each sample."""
        return int(math.prod(output) * self.pieces * self.in_features)


class Softmax(Module):
    """exp(x) / Σ exp(x) along an axis: positive, and 1 in all.

    Parameters
    ----------
    axis
        Or several, or None for all.
    """

    @guarded
    def __init__(self, axis: int | tuple[int, ...] | None = -1) -> None:
        """Keep the axis."""
        self.axis = as_whole_numbers("Softmax", "axis", axis)

    def forward(self, x: Any) -> Tensor:
        """Return exp(x) / Σ exp(x)."""
        return softmax(x, axis=self.axis)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"axis={self.axis}"


class LogSoftmax(Module):
    """x − log Σ exp(x) along an axis, exact where softmax is 0.

    Parameters
    ----------
    axis
        Or several, or None for all.
    """

    @guarded
    def __init__(self, axis: int | tuple[int, ...] | None = -1) -> None:
        """Keep the axis."""
        self.axis = as_whole_numbers("LogSoftmax", "axis", axis)

    def forward(self, x: Any) -> Tensor:
        """Return log softmax(x)."""
        return log_softmax(x, axis=self.axis)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"axis={self.axis}"
