"""Stochastic gradient descent: plain, with momentum, with Nesterov's momentum."""

from collections.abc import Callable, Mapping
from typing import Any

from graphgrad.optim import rules
from graphgrad.optim.optimizer import Optimizer, Params


class SGD(Optimizer):
    """Gradient descent: w ← w − η(g + λw), or with momentum w ← w − ηv.

    With momentum μ and dampening τ, v ← μv + (1 − τ)(g + λw), where v starts as the first
    gradient; with ``nesterov`` the step is η(g + λw + μv). The rate multiplies v when the step is
    made, as in PyTorch; the velocity of Saito's book and of CS231n, v ← μv − ηg, is −η times this
    one and the path is the same while the rate stays.

    Parameters
    ----------
    params
        Tensors to learn, or dicts of them with options: see :class:`Optimizer`.
    lr
        The learning rate η, ≥ 0; may be changed between steps.
    momentum, dampening, nesterov, weight_decay
        μ ≥ 0, τ, whether to look ahead (with μ > 0 and τ = 0), λ ≥ 0.

    Raises
    ------
    GraphError
        If a parameter is no leaf that requires a gradient, or there is none.
    ArgumentError
        If an option is out of range.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
        )

    def rule(self, options: Mapping[str, Any]) -> Callable[..., Any]:
        """Without momentum there is no state to keep."""
        if options["momentum"] == 0:
            return rules.sgd
        return rules.nesterov if options["nesterov"] else rules.momentum

    def _complaints(self, options: Mapping[str, Any]) -> list[str]:
        found = super()._complaints(options)
        if (
            not found
            and options.get("nesterov")
            and (options["momentum"] == 0 or options["dampening"] != 0)
        ):
            found.append("nesterov needs a momentum above 0 and dampening = 0")
        return found


class Momentum(SGD):
    """`SGD` with momentum: v ← μv + g + λw, w ← w − ηv; μ = 0.9 unless told otherwise.

    Polyak (1964). Arguments and errors as of :class:`SGD`.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.9,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(params, lr, momentum, dampening, weight_decay, nesterov)


class Nesterov(SGD):
    """`SGD` with Nesterov's momentum: v ← μv + g, w ← w − η(g + μv); μ = 0.9 by default.

    Written for the point that looks ahead, as PyTorch and the CS231n notes do: with u = −ηv,
    w ← w − μ u_before + (1 + μ) u. Other code is about that writes w ← w + μ² u − (1 + μ) η g
    with the *new* u in the place of the one before; it is another method, with a longer stride.
    Sutskever et al., On the importance of initialization and momentum in deep learning (2013);
    arXiv:1212.0901, section 3.5. Arguments and errors as of :class:`SGD`.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.9,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = True,
    ) -> None:
        super().__init__(params, lr, momentum, dampening, weight_decay, nesterov)
