"""Losses as modules: the functions of ``nn.functional``, their options remembered."""

from dataclasses import KW_ONLY
from typing import Any

from graphgrad.arguments import CALLED, Fraction, PositiveFloat
from graphgrad.engine.operands import as_plain
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ShapeError
from graphgrad.nn.functional.losses.checks import Reduction
from graphgrad.nn.functional.losses.classification import cross_entropy, nll_loss
from graphgrad.nn.functional.losses.distributions import (
    KLReduction,
    binary_cross_entropy_with_logits,
    kl_div,
)
from graphgrad.nn.functional.losses.margins import (
    Power,
    attribute_hinge_loss,
    hinge_loss,
    multi_margin_loss,
)
from graphgrad.nn.functional.losses.regression import (
    half_squared_error,
    huber_loss,
    l1_loss,
    mse_loss,
)
from graphgrad.nn.layers.function_layers import FunctionLayer, layer_of
from graphgrad.nn.modules.module import Buffer
from graphgrad.typing import Array


class Loss(FunctionLayer):
    """What all losses share: two inputs, and weights that are buffers, as PyTorch has them."""

    def __post_init__(self) -> None:
        """Make buffers of weights."""
        for name in ("weight", "pos_weight"):
            if getattr(self, name, None) is not None:
                setattr(self, name, self._weights(name))

    def _weights(self, name: str) -> Buffer:
        weights = as_plain(CALLED, getattr(self, name), name)
        if not weights.ndim and name == "weight":
            raise ShapeError(f"{CALLED}: {name} is a number; give an array")
        return Buffer(weights if weights.dtype.kind == "f" else weights.astype(float))

    def forward(self, x: Array, target: Array) -> Tensor:  # type: ignore[override] # of two inputs
        """Return the loss."""
        return self._computed(x, target)


@layer_of(mse_loss)
class MSELoss(Loss):
    """The mean of (x − target)² over all elements: ``nn.functional.mse_loss``."""

    _: KW_ONLY
    reduction: Reduction = "mean"


@layer_of(half_squared_error)
class HalfSquaredError(Loss):
    """Half the sum of squares of each sample: ``nn.functional.half_squared_error``."""

    _: KW_ONLY
    reduction: Reduction = "mean"


@layer_of(l1_loss)
class L1Loss(Loss):
    """The mean of |x − target| over all elements: ``nn.functional.l1_loss``."""

    _: KW_ONLY
    reduction: Reduction = "mean"


@layer_of(huber_loss)
class HuberLoss(Loss):
    """Half the square, but linear for outliers: ``nn.functional.huber_loss``."""

    _: KW_ONLY
    reduction: Reduction = "mean"
    delta: PositiveFloat = 1.0


@layer_of(cross_entropy)
class CrossEntropyLoss(Loss):
    """The mean of −log softmax(logits) at the label: ``nn.functional.cross_entropy``.

    The weight of each class is a buffer.
    """

    weight: Any = None
    _: KW_ONLY
    ignore_index: int = -100
    reduction: Reduction = "mean"
    label_smoothing: Fraction = 0.0


@layer_of(nll_loss)
class NLLLoss(Loss):
    """The mean of −log_probabilities at the label: ``nn.functional.nll_loss``.

    What follows a ``LogSoftmax``. The weight of each class is a buffer.
    """

    weight: Any = None
    _: KW_ONLY
    ignore_index: int = -100
    reduction: Reduction = "mean"


@layer_of(binary_cross_entropy_with_logits)
class BCEWithLogitsLoss(Loss):
    """A logistic loss for each logit: ``nn.functional.binary_cross_entropy_with_logits``.

    Both weights are buffers.
    """

    weight: Any = None
    _: KW_ONLY
    reduction: Reduction = "mean"
    pos_weight: Any = None


@layer_of(kl_div)
class KLDivLoss(Loss):
    """How far a distribution is from the target: ``nn.functional.kl_div``."""

    _: KW_ONLY
    reduction: KLReduction = "mean"
    log_target: bool = False


@layer_of(hinge_loss)
class HingeLoss(Loss):
    """The multiclass hinge loss of the CS231n notes: ``nn.functional.hinge_loss``."""

    delta: float = 1.0
    _: KW_ONLY
    squared: bool = False
    reduction: Reduction = "mean"


@layer_of(attribute_hinge_loss)
class AttributeHingeLoss(Loss):
    """A support vector machine for each attribute: ``nn.functional.attribute_hinge_loss``."""

    delta: float = 1.0
    _: KW_ONLY
    squared: bool = False
    reduction: Reduction = "mean"


@layer_of(multi_margin_loss)
class MultiMarginLoss(Loss):
    """PyTorch's multiclass hinge loss: ``nn.functional.multi_margin_loss``.

    The weight of each class is a buffer.
    """

    p: Power = 1
    margin: float = 1.0
    weight: Any = None
    _: KW_ONLY
    reduction: Reduction = "mean"
