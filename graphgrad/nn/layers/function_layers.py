"""Layers over functions: what they show, and those that only keep the arguments of a function."""

import inspect
import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar, dataclass_transform

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import guarded
from graphgrad.engine.tensor import Tensor
from graphgrad.nn.init import uniform_parameter
from graphgrad.nn.modules.module import Module, Parameter
from graphgrad.randomness import default_generator
from graphgrad.typing import Array

M = TypeVar("M", bound=type[Module])
_NOT_ARGUMENTS = ("rng", "dtype")  # of the initial values, which a repr does not tell


class Layer(Module):
    """A module whose repr is the call that made it, from the arguments that it keeps."""

    by_name: ClassVar[tuple[str, ...]] = ()  # arguments without a default that show their names
    elementwise = False  # whether it treats all elements of x alike, wherever they lie
    # What the output tends to at both ends, where it is a tanh that is scaled and moved.
    saturates_at: ClassVar[tuple[float, float] | None] = None
    _function: ClassVar[Callable[..., Any]]  # set by `computes`

    def extra_repr(self) -> str:
        """Return the arguments, those that have their defaults left out."""
        parts = []
        usual = self.usual()
        for name, parameter in inspect.signature(type(self)).parameters.items():
            if name in _NOT_ARGUMENTS or not hasattr(self, name):
                continue
            value, default = _typed(getattr(self, name)), usual.get(name, parameter.default)
            if isinstance(default, bool):  # whether there is a bias: an array or None
                value = value is not None and value is not False
            if default is inspect.Parameter.empty and name not in self.by_name:
                parts.append(f"{value!r}")
            elif value != _typed(default):
                parts.append(f"{name}={value!r}")
        return ", ".join(parts)

    def usual(self) -> dict[str, Any]:
        """Return what a default of None stands for here, by name."""
        return {}


def _typed(value: Array) -> Array:
    """Return an argument as one would type it: one number for equal ones, a list for an array."""
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "tolist"):
        return value.tolist()
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


class WeightedLayer(Layer):
    """A layer with a weight and perhaps a bias."""

    axes_of_sample: ClassVar[int] = 1  # of the output
    weight: Parameter
    bias: Parameter | None

    def _draw(
        self,
        weight: tuple[int, ...],
        bias: tuple[int, ...] | None,
        fan_in: int,
        rng: np.random.Generator | None,
        dtype: DTypeLike,
    ) -> None:
        """Draw both, of these shapes, uniform in ±1/√fan_in as in PyTorch."""
        bound, rng = 1 / math.sqrt(fan_in), default_generator(rng)
        self.weight = uniform_parameter(weight, bound, rng=rng, dtype=dtype)
        self.bias = None if bias is None else uniform_parameter(bias, bound, rng=rng, dtype=dtype)

    def multiply_adds(self, inputs: tuple[Array, ...], output: Array) -> int:  # noqa: ARG002
        """Count one for each weight and sample."""
        return int(self.weight.size * math.prod(output[: -self.axes_of_sample]))


class FunctionLayer(Layer):
    """A layer that computes one function, whose further arguments it keeps: see `layer_of`."""

    _arguments: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        """Check the arguments as the function does, once they are kept."""

    def forward(self, x: Array) -> Tensor:
        """Call the function."""
        return self._computed(x)

    def _computed(self, *inputs: Any) -> Tensor:
        kept = {name: getattr(self, name) for name in self._arguments}
        out: Tensor = self._function(*inputs, **kept)
        return out


class ElementwiseLayer(FunctionLayer):
    """A function layer that treats all elements of x alike, as most activations do."""

    elementwise = True


F = TypeVar("F", bound=type[FunctionLayer])


def computes(function: Callable[..., Any]) -> Callable[[M], M]:
    """Say which function a class of modules computes, and show its docstring in the help."""

    def complete(cls: M) -> M:
        cls._function = staticmethod(function)  # type: ignore[attr-defined]
        if cls.__doc__ and function.__doc__:  # not with python -OO
            said = textwrap.indent(inspect.cleandoc(function.__doc__), "    ")
            own = inspect.cleandoc(cls.__doc__)
            cls.__doc__ = f"{own}\n\n``{function.__name__}``:\n\n{said}\n"
        return cls

    return complete


@dataclass_transform(eq_default=False)
def layer_of(function: Callable[..., Any], *more: str) -> Callable[[F], F]:
    """Make a class the layer of a function: its annotated attributes are the arguments.

    Those of ``__init__``, which is written by ``dataclass``, and after the inputs of the function
    too; ``more`` names other attributes that the function gets, such as ``training``.
    """

    def complete(cls: F) -> F:
        dataclass(repr=False, eq=False, match_args=False)(cls)
        init: Any = cls.__init__
        # in the file "<string>" its errors would name that as the user's line
        init.__code__ = init.__code__.replace(co_filename=f"{__file__}:{cls.__name__}")
        cls.__init__ = guarded(init)  # type: ignore[method-assign]
        cls._arguments = (*(field.name for field in fields(cls)), *more)  # type: ignore[arg-type]
        return computes(function)(cls)

    return complete
