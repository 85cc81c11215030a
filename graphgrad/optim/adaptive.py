"""Optimizers that give every element a rate of its own."""

from collections.abc import Callable, Mapping
from typing import Any

from graphgrad.optim import rules
from graphgrad.optim.optimizer import Optimizer, Params


class Adagrad(Optimizer):
    """h ← h + g², w ← w − η g / (√h + ε): what moved much moves less from now on.

    η = lr / (1 + (t − 1) · lr_decay) at step t; h starts at ``initial_accumulator_value``; g
    includes λw. Duchi, Hazan and Singer (2011).

    Parameters
    ----------
    params
        Tensors to learn, or dicts of them with options: see :class:`Optimizer`, also for errors.
    lr, lr_decay, weight_decay, initial_accumulator_value, eps
        lr, lr_decay, λ and the start of h ≥ 0; ε > 0.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )

    def rule(self, options: Mapping[str, Any]) -> Callable[..., Any]:  # noqa: ARG002
        """One for all options."""
        return rules.adagrad


class Adadelta(Optimizer):
    """Steps measured by earlier steps: Δ = g √(u + ε) / √(v + ε), w ← w − lr · Δ.

    v ← ρv + (1 − ρ)g² and, after Δ, u ← ρu + (1 − ρ)Δ²; g includes λw. Zeiler (2012), algorithm
    1, where lr = 1.

    Parameters
    ----------
    params
        Tensors to learn, or dicts of them with options: see :class:`Optimizer`, also for errors.
    lr, rho, eps, weight_decay
        lr ≥ 0, ρ in [0, 1), ε > 0, λ ≥ 0.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay)

    def rule(self, options: Mapping[str, Any]) -> Callable[..., Any]:  # noqa: ARG002
        """One for all options."""
        return rules.adadelta


class RMSprop(Optimizer):
    """v ← αv + (1 − α)g², w ← w − η g / (√v + ε): Adagrad that forgets.

    With ``centered`` the root is of v − ḡ², ḡ ← αḡ + (1 − α)g; with momentum b ← μb + the
    fraction, w ← w − ηb; g includes λw. Hinton, lecture 6e (2012); centred: Graves (2013).

    Parameters
    ----------
    params
        Tensors to learn, or dicts of them with options: see :class:`Optimizer`, also for errors.
    lr, alpha, eps, weight_decay, momentum, centered
        η ≥ 0, α in [0, 1), ε > 0, λ ≥ 0, μ ≥ 0.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
        )

    def rule(self, options: Mapping[str, Any]) -> Callable[..., Any]:
        """Keep only the state that these options need."""
        if options["momentum"] == 0:
            return rules.rmsprop_centered if options["centered"] else rules.rmsprop
        if options["centered"]:
            return rules.rmsprop_centered_momentum
        return rules.rmsprop_momentum


class Adam(Optimizer):
    """w ← w − η m̂ / (√v̂ + ε), the running means of g and g² freed of their start at zero.

    m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ); g includes
    λw. Kingma and Ba (2015), algorithm 1. With ``amsgrad`` the root is of the largest v so far
    (Reddi et al. 2018).

    Parameters
    ----------
    params
        Tensors to learn, or dicts of them with options: see :class:`Optimizer`, also for errors.
    lr, betas, eps, weight_decay, amsgrad
        η ≥ 0, β₁ and β₂ in [0, 1), ε > 0, λ ≥ 0.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(
            params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad
        )

    def rule(self, options: Mapping[str, Any]) -> Callable[..., Any]:
        """Keep the largest v only where it is asked for."""
        return rules.amsgrad if options["amsgrad"] else rules.adam


class AdamW(Adam):
    """`Adam` whose weight decay stays out of the means: w ← w − ηλw − η m̂ / (√v̂ + ε).

    Loshchilov and Hutter (2019), algorithm 2. Arguments and errors as of :class:`Adam`.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad)

    def rule(self, options: Mapping[str, Any]) -> Callable[..., Any]:
        """Keep the largest v only where it is asked for."""
        return rules.amsgrad_w if options["amsgrad"] else rules.adamw


AdaGrad, AdaDelta = Adagrad, Adadelta  # as their papers and Saito's book spell them
