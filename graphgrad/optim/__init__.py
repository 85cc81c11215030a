"""Optimizers, learning-rate schedules, and what else is done to parameters and gradients."""

if __name__ != "graphgrad.optim":
    raise ImportError(
        f"this folder is the package graphgrad.optim, imported as {__name__!r}: a second copy of "
        "it would have classes of its own; write `from graphgrad import optim`"
    )

from graphgrad.names import install_getattr as _install_getattr
from graphgrad.optim.adaptive import (
    AdaDelta as AdaDelta,
    Adadelta as Adadelta,
    AdaGrad as AdaGrad,
    Adagrad as Adagrad,
    Adam as Adam,
    AdamW as AdamW,
    RMSprop as RMSprop,
)
from graphgrad.optim.averaging import RunningAverage as RunningAverage
from graphgrad.optim.clipping import (
    clip_grad_norm as clip_grad_norm,
    clip_grad_value as clip_grad_value,
)
from graphgrad.optim.cycles import MomentumSchedule as MomentumSchedule, OneCycleLR as OneCycleLR
from graphgrad.optim.lbfgs import LBFGS as LBFGS
from graphgrad.optim.newton import Newton as Newton
from graphgrad.optim.optimizer import Optimizer as Optimizer
from graphgrad.optim.penalties import (
    elastic_penalty as elastic_penalty,
    l1_penalty as l1_penalty,
    l2_penalty as l2_penalty,
    max_norm_ as max_norm_,
)
from graphgrad.optim.plateau import ReduceLROnPlateau as ReduceLROnPlateau
from graphgrad.optim.schedules import (
    CosineAnnealingLR as CosineAnnealingLR,
    ExponentialLR as ExponentialLR,
    InverseTimeLR as InverseTimeLR,
    LambdaLR as LambdaLR,
    LinearLR as LinearLR,
    MultiStepLR as MultiStepLR,
    Schedule as Schedule,
    SequentialLR as SequentialLR,
    StepLR as StepLR,
)
from graphgrad.optim.sgd import SGD as SGD, Momentum as Momentum, Nesterov as Nesterov
from graphgrad.reprs import public as _public

_install_getattr(__name__)


def __dir__() -> list[str]:
    """Name what is public, so that Tab offers that alone."""
    return _public(__name__)
