"""Checks before a long training run: CS231n, "Neural Networks Part 3", sanity checks."""

import copy
import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphgrad.arguments import PositiveFloat, PositiveInt, guarded, is_number, wrong
from graphgrad.data.dataset import checked
from graphgrad.engine.recording import no_grad
from graphgrad.errors import ShapeError
from graphgrad.nn.functional.losses.classification import cross_entropy, nll_loss
from graphgrad.nn.functional.losses.distributions import binary_cross_entropy_with_logits
from graphgrad.nn.functional.losses.margins import hinge_loss, multi_margin_loss
from graphgrad.nn.layers.dropout import DropConnect, Dropout
from graphgrad.nn.layers.losses import (
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HingeLoss,
    MultiMarginLoss,
    NLLLoss,
)
from graphgrad.nn.modules.module import Module
from graphgrad.optim.adaptive import Adam
from graphgrad.randomness import default_generator
from graphgrad.typing import Array

_FIRST_LOSS = 256  # samples at most, of which the initial loss is taken
_STRENGTHS = (0.0, 1e-3, 1e-2, 1e-1)


@dataclass(frozen=True)
class SanityCheck:
    """One check: its name, whether it went well (None: it could not be made), and numbers."""

    name: str
    passed: bool | None
    detail: str

    def __str__(self) -> str:
        mark = {True: "✓", False: "✗", None: "–"}[self.passed]
        return f"{mark} {self.name}: {self.detail}"


@dataclass(frozen=True)
class SanityReport:
    """What the checks found. Print it."""

    checks: tuple[SanityCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(check.passed is not False for check in self.checks)

    def __getitem__(self, name: str) -> SanityCheck:
        """Return a check by its name."""
        return next(check for check in self.checks if check.name == name)

    def __str__(self) -> str:
        return "\n".join(map(str, self.checks))

    __repr__ = __str__


@guarded
def sanity_checks(
    model: Module,
    dataset: tuple[Any, Any],
    loss: Callable[..., Any] = cross_entropy,
    *,
    expected: float | None = None,
    tolerance: PositiveFloat = 0.3,
    penalty: Callable[[list[Any], float], Any] | None = None,
    samples: PositiveInt = 20,
    steps: PositiveInt = 1000,
    lr: PositiveFloat = 3e-3,
    goal: PositiveFloat = 0.01,
    rng: np.random.Generator | None = None,
) -> SanityReport:
    """Check that an untrained model starts and learns as it should, before a long training run.

    - "initial loss": near what it is when nothing is known and all scores are about 0.
    - "penalty": the loss with regularisation rises with the strength of it.
    - "overfitting": a few samples can be learnt by heart, by Adam, without penalty and dropout.
    - "all layers learn": each parameter that is not frozen has changed in that.

    All is done on copies: model, modes, gradients and random generators stay as they are.

    Parameters
    ----------
    model
        Any module, called with images.
    dataset
        Images and labels; at most 256 of them are looked at.
    loss
        Of the model's output and labels, one number; a function or a module.
    expected
        The initial loss by theory. None derives it: ln C for ``cross_entropy`` and ``nll_loss``,
        (C − 1) Δ for ``hinge_loss`` (Δ² if squared), that / C for ``multi_margin_loss``, ln 2
        for ``binary_cross_entropy_with_logits`` (functions with usual arguments, or modules).
        Of other losses the check is left out.
    tolerance
        How far from it the loss may be, relatively. Scores of deviation s add about s² / 2.
    penalty
        Of the weights (parameters of two axes or more) and a strength: ``optim.l2_penalty``.
    samples, steps, lr
        How many samples to overfit, in how many steps of Adam at most, at which rate.
    goal
        The share of the initial loss, real or expected, that counts as near zero.
    rng
        Chooses the samples. None is a generator of its own, seeded with 0.

    Raises
    ------
    DtypeError
        If the model is no module.
    ArgumentError
        If a number is out of range.
    ShapeError
        If images and labels do not belong together, or the loss is not one number.
    """
    data = checked(dataset)
    order = (rng or np.random.default_rng(0)).permutation(data.size)[:_FIRST_LOSS]
    many, few = data.take(order), data.take(order[:samples])
    with _generator_restored(), np.errstate(all="ignore"):
        first, expected = _initial(_plain_copy(model), many, loss, expected, tolerance)
        raised = _penalised(_plain_copy(model), many, loss, penalty)
        learnt = _overfitted(_plain_copy(model), few, loss, steps, lr, goal, expected)
    return SanityReport((first, raised, *learnt))


@contextmanager
def _generator_restored() -> Iterator[None]:
    """Put the package's default generator back to where it was."""
    bits = default_generator().bit_generator
    before = bits.state
    try:
        yield
    finally:
        bits.state = before


def _plain_copy(model: Module) -> Module:
    """Return a copy in training mode that drops nothing."""
    twin = copy.deepcopy(model).train()
    for module in twin.modules():
        if isinstance(module, Dropout | DropConnect):
            module.training = False
        elif isinstance(getattr(module, "dropout", None), float):  # recurrent, attention
            module.dropout = 0.0  # type: ignore[attr-defined]
    return twin


def _number(value: Array) -> float:
    if getattr(value, "shape", ()) != ():
        message = f"sanity_checks: the loss has shape {value.shape}; it must be one number"
        raise ShapeError(f"{message}: use reduction='mean'")
    if not is_number(value):
        raise wrong("sanity_checks", "the loss or penalty", value, "one number")
    return float(value.item() if hasattr(value, "item") else value)


def _initial(
    model: Module, data: Any, loss: Any, expected: float | None, tolerance: float
) -> tuple[SanityCheck, float | None]:
    """Return the check, and what the loss should be."""
    with no_grad():
        scores = model(data.images)
        value = _number(loss(scores, data.labels))
    theory = ""
    if expected is None:
        expected, theory = _theory(loss, scores)
    if expected is None:
        text = f"{value:.4g}; what it should be is not known of this loss, give expected="
        return SanityCheck("initial loss", None, text), None
    good = abs(value - expected) <= tolerance * abs(expected)
    text = f"{value:.4g}, in theory {theory}{expected:.4g}"
    if not good:
        text += "; look at the initial weights, the scale of the inputs, and the loss"
    return SanityCheck("initial loss", good, text), expected


def _theory(loss: Any, scores: Array) -> tuple[float | None, str]:
    """Return the loss where all scores are 0, and its formula."""
    shape = scores.shape
    classes = shape[1] if len(shape) > 1 else shape[-1] if shape else 1
    reduced = getattr(loss, "reduction", "mean") == "mean"
    if not reduced:
        return None, ""
    if loss in (cross_entropy, nll_loss) or isinstance(loss, CrossEntropyLoss | NLLLoss):
        return math.log(classes), f"ln {classes} = "
    if loss is binary_cross_entropy_with_logits or isinstance(loss, BCEWithLogitsLoss):
        return math.log(2), "ln 2 = "
    if loss is hinge_loss or isinstance(loss, HingeLoss):
        margin = getattr(loss, "delta", 1.0) ** (2 if getattr(loss, "squared", False) else 1)
        return (classes - 1) * margin, f"{classes} − 1 = " if margin == 1 else ""
    if loss is multi_margin_loss or isinstance(loss, MultiMarginLoss):
        margin = getattr(loss, "margin", 1.0) ** getattr(loss, "p", 1)
        return (classes - 1) / classes * margin, ""
    return None, ""


def _penalised(model: Module, data: Any, loss: Any, penalty: Any) -> SanityCheck:
    if penalty is None:
        return SanityCheck("penalty", None, "none given")
    weights = [p for p in model.parameters() if p.ndim > 1]
    with no_grad():
        value = _number(loss(model(data.images), data.labels))
        values = [value + _number(penalty(weights, strength)) for strength in _STRENGTHS]
    good = all(a < b for a, b in itertools.pairwise(values))
    text = "raising its strength gives losses " + ", ".join(f"{v:.4g}" for v in values)
    return SanityCheck("penalty", good, text)


def _overfitted(
    model: Module,
    data: Any,
    loss: Any,
    steps: int,
    lr: float,
    goal: float,
    expected: float | None,
) -> tuple[SanityCheck, SanityCheck]:
    named = dict(model.named_parameters())
    learning = {name: p for name, p in named.items() if p.requires_grad}
    name, every = "overfitting", "all layers learn"
    if not learning:
        text = "no parameter learns: all are frozen, or the model has none"
        return SanityCheck(name, passed=False, detail=text), SanityCheck(every, None, text)
    before = {key: p.data.copy() for key, p in learning.items()}
    optimizer = Adam(learning.values(), lr=lr)
    values: list[float] = []
    near = 0.0
    for _ in range(steps + 1):
        optimizer.zero_grad()
        value = loss(model(data.images), data.labels)
        values.append(_number(value))
        near = goal * (values[0] if expected is None else min(values[0], expected))
        if len(values) > steps or not values[-1] > near:  # NaN ends it too
            break
        if not getattr(value, "requires_grad", False):
            text = "the loss does not depend on any parameter"
            return SanityCheck(name, passed=False, detail=text), SanityCheck(every, None, text)
        value.backward()
        optimizer.step()
    good = values[-1] <= near
    text = f"loss {values[0]:.4g} → {values[-1]:.2g} on {data.size} samples in {len(values) - 1} "
    text += "steps" if good else f"steps, not below {near:.2g}"
    learnt = SanityCheck(name, good, text)
    if len(values) == 1:
        return learnt, SanityCheck(every, None, "no step was taken")
    still = [key for key, p in learning.items() if np.array_equal(p.data, before[key])]
    frozen = len(named) - len(learning)
    text = f"{len(learning) - len(still)} of {len(learning)} parameters changed"
    text += f", {frozen} more are frozen" if frozen else ""
    text += f"; without gradient: {', '.join(still)}" if still else ""
    return learnt, SanityCheck(every, not still, text)
