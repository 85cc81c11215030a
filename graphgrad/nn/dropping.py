"""Modules that drop elements by chance while they train."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import guarded
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError
from graphgrad.nn.dense import Affine
from graphgrad.nn.functional.dropping import dropout, dropout2d, vanilla_dropout
from graphgrad.nn.functional.projections import affine
from graphgrad.nn.module import Module


def _probability(who: str, p: float) -> float:
    if not 0 <= p <= 1:
        raise ArgumentError(f"{who}: p={p} is not in 0 … 1")
    return p


class Dropout(Module):
    """In training sets each element to 0 with probability p, and divides the others by 1 − p.

    In evaluation it passes its input on. See ``nn.functional.dropout``. For
    ``gg.recompute``, give the generator in ``rngs=`` unless it is the default one.

    Shapes: x (…); the output (…).

    Parameters
    ----------
    p
        0 … 1.
    rng
        None is the package's default generator.

    Raises
    ------
    ArgumentError
        If p is not in 0 … 1.
    """

    @guarded
    def __init__(self, p: float = 0.5, *, rng: np.random.Generator | None = None) -> None:
        """Remember the probability and where chance comes from."""
        self.p = _probability(type(self).__name__, p)
        self.rng = rng

    def forward(self, x: Any) -> Tensor:
        """Drop, if in training."""
        return dropout(x, self.p, self.training, rng=self.rng)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.p}"


class Dropout2d(Dropout):
    """In training sets whole channels to 0 with probability p; see ``nn.functional.dropout2d``.

    Shapes: x (N, C, H, W); the output the same. Parameters as of :class:`Dropout`.
    """

    def forward(self, x: Any) -> Tensor:
        """Drop, if in training."""
        return dropout2d(x, self.p, self.training, rng=self.rng)


class VanillaDropout(Dropout):
    """Dropout as in Saito's book: in training zeros alone, in evaluation a factor of 1 − p.

    See ``nn.functional.vanilla_dropout``. Shapes: x (…); the output (…). Parameters as of
    :class:`Dropout`.
    """

    def forward(self, x: Any) -> Tensor:
        """Drop in training, scale in evaluation."""
        return vanilla_dropout(x, self.p, self.training, rng=self.rng)


class DropConnect(Affine):
    """A fully connected layer that in training drops its weights, not its inputs.

    y = x (M ∘ W)ᵀ / (1 − p) + b: each element of the mask M is 0 with probability p, drawn
    anew for each batch. In evaluation y = x Wᵀ + b, the mean. Wan et al., "Regularization of
    Neural Networks using DropConnect", 2013, draw a mask for each sample, mask b too, and
    in evaluation sample the pre-activations from the normal distribution of the same mean and
    variance.

    ``weight`` (outputs, inputs) and ``bias`` (outputs,) start as those of :class:`Affine`.
    Shapes: x (…, inputs), any batch shape; the output (…, outputs).

    Parameters
    ----------
    in_features, out_features
        Numbers of inputs and outputs, above 0.
    p
        0 … 1.
    bias
        Whether b is there.
    rng
        Of the initial values and of the masks; None is the package's default generator.
    dtype
        Of the parameters.

    Raises
    ------
    ArgumentError
        If a number is not above 0, or p is not in 0 … 1.
    ShapeError
        If an input has another last axis than ``in_features``.
    """

    @guarded
    def __init__(
        self,
        in_features: int,
        out_features: int,
        p: float = 0.5,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        """Draw the initial values."""
        self.p = _probability("DropConnect", p)
        super().__init__(in_features, out_features, bias, rng=rng, dtype=dtype)
        self.rng = rng

    def forward(self, x: Any) -> Tensor:
        """Return x Wᵀ + b, with some of W dropped if in training."""
        return affine(x, dropout(self.weight, self.p, self.training, rng=self.rng), self.bias)

    def extra_repr(self) -> str:
        """Return the arguments."""
        without = "" if self.bias is not None else ", bias=False"
        return f"{self.in_features}, {self.out_features}, {self.p}{without}"
