"""A module as a function of its parameters and inputs, for gradcheck.

What is known of modules here is what their methods are called: this package stands below nn.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from graphgrad.arguments import function
from graphgrad.checks.inputs import names_of
from graphgrad.engine.graph import array_of
from graphgrad.engine.in_place import replace_with, writable
from graphgrad.errors import UnsupportedError
from graphgrad.randomness import default_generator

ADVICE = (
    "of a model, check again after some steps of training, since a gradient can be right at the "
    "start and wrong later; and first without a penalty, which can hide the gradient of the data"
)


def is_module(f: Any) -> bool:
    """Whether this is a module of nn."""
    return hasattr(f, "named_parameters") and hasattr(f, "forward")


class Twin:
    """A copy of a module in float64, called with values for its parameters and then its inputs.

    Whatever it draws at random is the same in each call, and its buffers are as at the start.
    """

    def __init__(self, module: Any, inputs: Sequence[Any], loss: Callable[..., Any] | None) -> None:
        if loss is not None:
            function("gradcheck", "loss", loss)
        try:
            self.module = copy.deepcopy(module).astype(np.float64)
        except Exception as error:
            message = f"gradcheck: this {type(module).__name__} cannot be copied: {error}"
            raise UnsupportedError(message) from error
        self.loss = loss
        named = [(n, p) for n, p in self.module.named_parameters() if p.requires_grad]
        self.parameters = [p for _, p in named]
        self.buffers = [(b, array_of(b).copy()) for b in self.module.buffers()]
        generators = [default_generator(), *_generators(self.module)]
        self.generators = [(g, g.bit_generator.state) for g in generators]
        self.inputs = [*(array_of(p).copy() for p in self.parameters), *inputs]
        self.names = [*(n for n, _ in named), *names_of(module.forward, inputs)]
        self.notes = [ADVICE]

    def __call__(self, *values: Any) -> Any:
        """Compute the output, or the loss."""
        count = len(self.parameters)
        for parameter, value in zip(self.parameters, values[:count], strict=True):
            replace_with(parameter, value)
        for buffer, before in self.buffers:
            writable(buffer)[...] = before
        for generator, state in self.generators:
            generator.bit_generator.state = state
        out = self.module(*values[count:])
        return out if self.loss is None else self.loss(out)


def _generators(module: Any) -> Iterator[np.random.Generator]:
    for part in module.modules():
        for value in vars(part).values():
            if isinstance(value, np.random.Generator):
                yield value
