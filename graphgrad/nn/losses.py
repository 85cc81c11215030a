"""Losses as modules: the functions of ``nn.functional``, their options remembered."""

from typing import Any

from numpy.typing import ArrayLike

from graphgrad.arguments import guarded, whole
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError, ShapeError
from graphgrad.nn.functional.distances import half_squared_error, huber_loss, l1_loss, mse_loss
from graphgrad.nn.functional.entropies import (
    KL_REDUCTIONS,
    binary_cross_entropy_with_logits,
    kl_div,
)
from graphgrad.nn.functional.hinges import attribute_hinge_loss, hinge_loss, multi_margin_loss
from graphgrad.nn.functional.likelihoods import cross_entropy, nll_loss
from graphgrad.nn.functional.targets import REDUCTIONS, check_reduction
from graphgrad.nn.module import Buffer, Module


class Loss(Module):
    """What all losses share: how the losses of a batch become one number.

    Parameters
    ----------
    reduction
        "mean", "sum", or "none": an array of losses.
    """

    reductions: tuple[str, ...] = REDUCTIONS

    @guarded
    def __init__(self, *, reduction: str = "mean") -> None:
        """Remember the options."""
        check_reduction(type(self).__name__, reduction, self.reductions)
        self.reduction = reduction

    def options(self) -> dict[str, Any]:
        """Return the options that are not as usual, by name."""
        return {} if self.reduction == "mean" else {"reduction": self.reduction}

    def extra_repr(self) -> str:
        """Return the arguments."""
        return ", ".join(f"{name}={value!r}" for name, value in self.options().items())


def _weights(who: str, name: str, values: ArrayLike | None) -> Buffer | None:
    """Keep weights as a buffer, in the state dict as PyTorch has them."""
    if values is None:
        return None
    weights = Buffer(values)
    if weights.dtype.kind != "f":
        weights = Buffer(weights.data.astype(float))
    if not weights.ndim and name == "weight":
        raise ShapeError(f"{who}: {name} is a number; give an array")
    return weights


def _shown(**weights: Buffer | None) -> dict[str, Any]:
    return {name: w.tolist() for name, w in weights.items() if w is not None}


class MSELoss(Loss):
    """The mean of (x − target)² over all elements; see ``nn.functional.mse_loss``.

    Shapes: x and target (…), the same; the output (), or (…) for reduction "none".
    """

    def forward(self, x: Any, target: Any) -> Tensor:
        """Return the loss."""
        return mse_loss(x, target, reduction=self.reduction)


class HalfSquaredError(Loss):
    """½ Σ (x − target)² of each sample, averaged over the batch: Saito's sum of squares.

    Its gradient is (x − target) / N. See ``nn.functional.half_squared_error``.

    Shapes: x and target (…, D), the same; the output (), or (…) for reduction "none".
    """

    def forward(self, x: Any, target: Any) -> Tensor:
        """Return the loss."""
        return half_squared_error(x, target, reduction=self.reduction)


class L1Loss(Loss):
    """The mean of |x − target| over all elements; the gradient is 0 where they are equal.

    See ``nn.functional.l1_loss``. Shapes: x and target (…), the same; the output (), or (…)
    for reduction "none".
    """

    def forward(self, x: Any, target: Any) -> Tensor:
        """Return the loss."""
        return l1_loss(x, target, reduction=self.reduction)


class HuberLoss(Loss):
    """The mean of ½ d² where |d| ≤ δ, else δ (|d| − ½ δ), with d = x − target.

    See ``nn.functional.huber_loss``. Shapes: x and target (…), the same; the output (), or
    (…) for reduction "none".

    Parameters
    ----------
    reduction
        "mean", "sum" or "none".
    delta
        δ, above 0.

    Raises
    ------
    ArgumentError
        If δ is not above 0.
    """

    @guarded
    def __init__(self, *, reduction: str = "mean", delta: float = 1.0) -> None:
        """Remember the options."""
        super().__init__(reduction=reduction)
        if not delta > 0:
            raise ArgumentError(f"HuberLoss: delta={delta} is not above 0")
        self.delta = delta

    def options(self) -> dict[str, Any]:
        """Return the options that are not as usual, by name."""
        return super().options() | ({} if self.delta == 1 else {"delta": self.delta})

    def forward(self, x: Any, target: Any) -> Tensor:
        """Return the loss."""
        return huber_loss(x, target, reduction=self.reduction, delta=self.delta)


class CrossEntropyLoss(Loss):
    """The mean of −log softmax(logits) at the label, exact for logits of any size.

    See ``nn.functional.cross_entropy``. Shapes: logits (N, C), (C,) or (N, C, …); labels of
    classes (N,), () or (N, …), or distributions of the shape of the logits; the output (), or
    for reduction "none" the shape of the classes.

    Parameters
    ----------
    weight
        Of each class, (C,): a buffer.
    ignore_index
        The class number of samples that do not count.
    reduction
        "mean", "sum" or "none".
    label_smoothing
        ε, 0 … 1: the targets are t (1 − ε) + ε / C.

    Raises
    ------
    ArgumentError
        If an option has a value that it cannot have.
    """

    @guarded
    def __init__(
        self,
        weight: ArrayLike | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        """Remember the options."""
        super().__init__(reduction=reduction)
        if not 0 <= label_smoothing <= 1:
            message = f"CrossEntropyLoss: label_smoothing={label_smoothing} is not in 0 … 1"
            raise ArgumentError(message)
        self.weight = _weights("CrossEntropyLoss", "weight", weight)
        self.ignore_index = whole("CrossEntropyLoss", "ignore_index", ignore_index)
        self.label_smoothing = label_smoothing

    def options(self) -> dict[str, Any]:
        """Return the options that are not as usual, by name."""
        own: dict[str, Any] = _shown(weight=self.weight)
        if self.ignore_index != -100:
            own["ignore_index"] = self.ignore_index
        if self.label_smoothing:
            own["label_smoothing"] = self.label_smoothing
        return own | super().options()

    def forward(self, logits: Any, labels: Any) -> Tensor:
        """Return the loss."""
        return cross_entropy(
            logits,
            labels,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(Loss):
    """The mean of −log_probabilities at the label: what follows a ``LogSoftmax``.

    See ``nn.functional.nll_loss``. Shapes: log-probabilities (N, C), (C,) or (N, C, …); labels
    (N,), () or (N, …); the output (), or for reduction "none" the shape of the labels.

    Parameters
    ----------
    weight
        Of each class, (C,): a buffer.
    ignore_index
        The class number of samples that do not count.
    reduction
        "mean", "sum" or "none".
    """

    @guarded
    def __init__(
        self,
        weight: ArrayLike | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        """Remember the options."""
        super().__init__(reduction=reduction)
        self.weight = _weights("NLLLoss", "weight", weight)
        self.ignore_index = whole("NLLLoss", "ignore_index", ignore_index)

    def options(self) -> dict[str, Any]:
        """Return the options that are not as usual, by name."""
        own: dict[str, Any] = _shown(weight=self.weight)
        if self.ignore_index != -100:
            own["ignore_index"] = self.ignore_index
        return own | super().options()

    def forward(self, log_probabilities: Any, labels: Any) -> Tensor:
        """Return the loss."""
        return nll_loss(
            log_probabilities,
            labels,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


class BCEWithLogitsLoss(Loss):
    """The mean of −t log σ(x) − (1 − t) log σ(−x): a logistic loss for each logit.

    See ``nn.functional.binary_cross_entropy_with_logits``. Shapes: logits and target (…), the
    same; the output (), or (…) for reduction "none".

    Parameters
    ----------
    weight
        A factor for each loss, of a shape that broadcasts to the logits: a buffer.
    reduction
        "mean", "sum" or "none".
    pos_weight
        A factor for the losses of t = 1, of a shape that broadcasts to the logits: a buffer.
    """

    @guarded
    def __init__(
        self,
        weight: ArrayLike | None = None,
        *,
        reduction: str = "mean",
        pos_weight: ArrayLike | None = None,
    ) -> None:
        """Remember the options."""
        super().__init__(reduction=reduction)
        self.weight = _weights("BCEWithLogitsLoss", "weight", weight)
        self.pos_weight = _weights("BCEWithLogitsLoss", "pos_weight", pos_weight)

    def options(self) -> dict[str, Any]:
        """Return the options that are not as usual, by name."""
        return _shown(weight=self.weight, pos_weight=self.pos_weight) | super().options()

    def forward(self, logits: Any, target: Any) -> Tensor:
        """Return the loss."""
        return binary_cross_entropy_with_logits(
            logits, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class KLDivLoss(Loss):
    """How far a distribution is from the target: t (log t − x), x its logarithms.

    "mean" divides by the number of elements, as in PyTorch; "batchmean" is the divergence
    itself, averaged over the batch. See ``nn.functional.kl_div``.

    Shapes: log-probabilities and target (N, …), the same; the output (), or (N, …) for
    reduction "none".

    Parameters
    ----------
    reduction
        "mean", "batchmean", "sum" or "none".
    log_target
        Whether the target is given as logarithms.
    """

    reductions = KL_REDUCTIONS

    @guarded
    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        """Remember the options."""
        super().__init__(reduction=reduction)
        self.log_target = log_target

    def options(self) -> dict[str, Any]:
        """Return the options that are not as usual, by name."""
        return super().options() | ({"log_target": True} if self.log_target else {})

    def forward(self, log_probabilities: Any, target: Any) -> Tensor:
        """Return the loss."""
        return kl_div(
            log_probabilities, target, reduction=self.reduction, log_target=self.log_target
        )


class _Hinge(Loss):
    """What HingeLoss and AttributeHingeLoss share: their options."""

    @guarded
    def __init__(
        self, delta: float = 1.0, *, squared: bool = False, reduction: str = "mean"
    ) -> None:
        """Remember the options."""
        super().__init__(reduction=reduction)
        self.delta = delta
        self.squared = squared

    def options(self) -> dict[str, Any]:
        """Return the options that are not as usual, by name."""
        own: dict[str, Any] = {} if self.delta == 1 else {"delta": self.delta}
        if self.squared:
            own["squared"] = True
        return own | super().options()


class HingeLoss(_Hinge):
    """The multiclass hinge loss Σ_j max(0, s_j − s_label + Δ) of the CS231n notes.

    A sum over the classes; PyTorch's :class:`MultiMarginLoss` is this divided by C. See
    ``nn.functional.hinge_loss``.

    Shapes: scores (N, C) or (C,); labels (N,) or (); the output (), or that of the labels for
    reduction "none".

    Parameters
    ----------
    delta
        Δ, how far the right score must be ahead.
    squared
        Whether each term is squared.
    reduction
        "mean" over the samples, "sum" or "none".
    """

    def forward(self, scores: Any, labels: Any) -> Tensor:
        """Return the loss."""
        return hinge_loss(
            scores, labels, delta=self.delta, squared=self.squared, reduction=self.reduction
        )


class AttributeHingeLoss(_Hinge):
    """Σ_j max(0, Δ − t_j s_j): a binary support vector machine for each attribute.

    See ``nn.functional.attribute_hinge_loss``, and :class:`HingeLoss` for the parameters.

    Shapes: scores and target (…, A), the same, targets 1 and −1; the output (), or (…) for
    reduction "none".
    """

    def forward(self, scores: Any, target: Any) -> Tensor:
        """Return the loss."""
        return attribute_hinge_loss(
            scores, target, delta=self.delta, squared=self.squared, reduction=self.reduction
        )


class MultiMarginLoss(Loss):
    """PyTorch's multiclass hinge loss: w_label / C · Σ_j max(0, s_j − s_label + margin)^p.

    It divides by the number of classes C; :class:`HingeLoss`, the one of the CS231n notes,
    does not. See ``nn.functional.multi_margin_loss``.

    Shapes: scores (N, C) or (C,); labels (N,) or (); the output (), or that of the labels for
    reduction "none".

    Parameters
    ----------
    p
        1, or 2 for the squared form.
    margin
        How far the right score must be ahead.
    weight
        Of each class, (C,): a buffer.
    reduction
        "mean" over the samples, "sum" or "none".

    Raises
    ------
    ArgumentError
        If p is neither 1 nor 2.
    """

    @guarded
    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: ArrayLike | None = None,
        *,
        reduction: str = "mean",
    ) -> None:
        """Remember the options."""
        super().__init__(reduction=reduction)
        if p not in (1, 2):
            raise ArgumentError(f"MultiMarginLoss: p={p} is neither 1 nor 2")
        self.p = int(p)
        self.margin = margin
        self.weight = _weights("MultiMarginLoss", "weight", weight)

    def options(self) -> dict[str, Any]:
        """Return the options that are not as usual, by name."""
        own: dict[str, Any] = {} if self.p == 1 else {"p": self.p}
        if self.margin != 1:
            own["margin"] = self.margin
        return own | _shown(weight=self.weight) | super().options()

    def forward(self, scores: Any, labels: Any) -> Tensor:
        """Return the loss."""
        return multi_margin_loss(
            scores, labels, self.p, self.margin, self.weight, reduction=self.reduction
        )
