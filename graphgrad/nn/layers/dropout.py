"""Modules that drop elements by chance while they train."""

from dataclasses import KW_ONLY

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import Fraction, guarded
from graphgrad.engine.tensor import Tensor
from graphgrad.nn.functional.dropouts import dropout, dropout2d, vanilla_dropout
from graphgrad.nn.functional.matrix_products import linear
from graphgrad.nn.layers.function_layers import ElementwiseLayer, computes, layer_of
from graphgrad.nn.layers.linear import Linear
from graphgrad.typing import Array


@layer_of(dropout, "training")
class Dropout(ElementwiseLayer):
    """In training sets elements to 0 by chance: ``nn.functional.dropout``.

    In evaluation it passes its input on. For ``gg.recompute``, give the generator in ``rngs=``
    unless it is the default one.
    """

    p: Fraction = 0.5
    _: KW_ONLY
    rng: np.random.Generator | None = None


@layer_of(dropout2d, "training")
class Dropout2d(Dropout):
    """In training sets whole channels to 0 by chance: ``nn.functional.dropout2d``."""

    elementwise = False


@layer_of(vanilla_dropout, "training")
class VanillaDropout(Dropout):
    """Dropout as in Saito's book: ``nn.functional.vanilla_dropout``.

    In training zeros alone, in evaluation a factor of 1 − p.
    """


@computes(linear)
class DropConnect(Linear):
    """A fully connected layer that in training drops its weights, not its inputs.

    y = x (M ∘ W)ᵀ / (1 − p) + b: each element of the mask M is 0 with probability p, drawn
    anew for each batch. In evaluation y = x Wᵀ + b, the mean. Wan et al., "Regularization of
    Neural Networks using DropConnect", 2013, draw a mask for each sample, mask b too, and
    in evaluation sample the pre-activations from the normal distribution of the same mean and
    variance.

    ``weight`` and ``bias`` are those of :class:`Linear`; ``rng`` draws the masks too.
    """

    @guarded
    def __init__(
        self,
        in_features: int,
        out_features: int,
        p: Fraction = 0.5,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.p = p
        super().__init__(in_features, out_features, bias, rng=rng, dtype=dtype)
        self.rng = rng

    def forward(self, x: Array) -> Tensor:
        """Return x Wᵀ + b, with some of W dropped if in training."""
        return linear(x, dropout(self.weight, self.p, self.training, rng=self.rng), self.bias)
