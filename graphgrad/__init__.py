"""graphgrad: NumPy, differentiated, and visible.

Write ordinary NumPy on a :class:`Tensor`; the engine records it as a graph; ``backward()``
sends gradients through it by the chain rule; ``gg.graph(t)`` draws it.
"""

from typing import TYPE_CHECKING, Any

from graphgrad import ops as ops
from graphgrad.anomaly import detect_anomaly as detect_anomaly
from graphgrad.node import enable_grad as enable_grad
from graphgrad.node import is_grad_enabled as is_grad_enabled
from graphgrad.node import no_grad as no_grad
from graphgrad.randomness import manual_seed as manual_seed
from graphgrad.registry import op as op
from graphgrad.tensor import Tensor as Tensor
from graphgrad.transforms import checkpoint as checkpoint
from graphgrad.transforms import grad as grad
from graphgrad.transforms import gradients as gradients
from graphgrad.transforms import hessian as hessian
from graphgrad.transforms import hvp as hvp
from graphgrad.transforms import jacobian as jacobian
from graphgrad.transforms import jvp as jvp
from graphgrad.transforms import value_and_grad as value_and_grad
from graphgrad.transforms import vjp as vjp

if TYPE_CHECKING:  # loaded on first use, see __getattr__
    from graphgrad import testing as testing
    from graphgrad import viz as viz
    from graphgrad.viz import graph as graph

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load what plain differentiation does not need when it is first asked for."""
    import importlib

    if name in ("testing", "viz"):
        return importlib.import_module(f"graphgrad.{name}")
    if name == "graph":
        return importlib.import_module("graphgrad.viz").graph
    raise AttributeError(f"module 'graphgrad' has no attribute {name!r}")
