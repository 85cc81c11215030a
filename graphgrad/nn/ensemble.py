"""Several models that decide together."""

from collections.abc import Iterable
from typing import Literal

import numpy as np

from graphgrad.arguments import CALLED, guarded
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ArgumentError, ShapeError
from graphgrad.nn.modules.module import Module
from graphgrad.ops.join import stack
from graphgrad.ops.likelihood import log_softmax, logsumexp
from graphgrad.typing import Array


class Ensemble(Module):
    """The mean of what several models say: of their probabilities, or of their outputs.

    Of n classifiers with scores s₁ … sₙ the output is log(mean softmax(sᵢ)): scores again, whose
    softmax is the mean of the probabilities, so that losses and `accuracy` take them as those of
    one model. Its log-likelihood is never below the mean of theirs, for the logarithm is concave.

    The models differ by their initial values, are checkpoints of one training run, or have
    different architectures; the more they differ, the more there is to gain. Saved and loaded as
    one model, with the names ``models.0.…``.

    Shapes: x as the models take it; the output as theirs, (N, C) for scores.

    Parameters
    ----------
    models
        At least one.
    mean
        Of ``"probabilities"`` (along axis 1 of the scores), or of ``"outputs"`` as they are.

    Raises
    ------
    ArgumentError
        If there is no model.
    ShapeError
        If outputs differ in shape.
    """

    @guarded
    def __init__(
        self, models: Iterable[Module], mean: Literal["probabilities", "outputs"] = "probabilities"
    ) -> None:
        self.models = list(models)
        self.mean = mean
        if not self.models:
            raise ArgumentError(f"{CALLED}: no models; give at least one")

    def forward(self, x: Array) -> Tensor:
        """Ask all of them."""
        outputs = [model(x) for model in self.models]
        shapes = [out.shape for out in outputs]
        if len(set(shapes)) > 1:
            message = f"Ensemble: the models' outputs have shapes {shapes}; they must be alike"
            raise ShapeError(message)
        if self.mean == "outputs":
            return stack(outputs).mean(axis=0)
        each = stack([log_softmax(scores, axis=1) for scores in outputs])
        return logsumexp(each, axis=0) - float(np.log(len(outputs)))

    def extra_repr(self) -> str:
        """Return the arguments."""
        return "" if self.mean == "probabilities" else f"mean={self.mean!r}"
