"""The same computation here and in PyTorch: outputs, gradients, gradients of the gradients."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

import graphgrad as gg
from graphgrad.engine.operands import unwrapped
from graphgrad.engine.trees import flatten


class Library(NamedTuple):
    """What both libraries can do, called alike."""

    leaf: Callable[..., Any]
    constant: Callable[[Any], Any]
    gradients: Callable[[Any, list[Any]], Any]


OURS = Library(
    lambda a, needs=True: gg.Tensor(a, requires_grad=needs),
    lambda a: a,
    lambda total, xs: gg.gradients(total, xs, create_graph=True),
)
THEIRS = Library(
    lambda a, needs=True: torch.tensor(a, requires_grad=needs),
    torch.tensor,
    lambda total, xs: torch.autograd.grad(
        total, xs, create_graph=True, allow_unused=True, materialize_grads=True
    ),
)


def as_numpy(x: Any) -> Any:
    return x.numpy(force=True) if isinstance(x, torch.Tensor) else unwrapped(x)


def floating(result: Any) -> list[Any]:
    """List the floating outputs; PyTorch's are in lists or tuples as ours are."""
    return [y for y in flatten(result)[0] if hasattr(y, "dtype") and as_numpy(y).dtype.kind == "f"]


def weighted(library: Library, outs: list[Any], rng: np.random.Generator) -> Any:
    """Add up everything, each element with a weight of its own."""
    weights = [rng.uniform(-1, 1, tuple(y.shape)).astype(as_numpy(y).dtype) for y in outs]
    return sum((y * library.constant(w)).sum() for y, w in zip(outs, weights, strict=True))


def derivatives(library: Library, function: Any, arrays: Any, order: int) -> list[Any]:
    """Return outputs, gradients of their weighted sum, gradients of the sum of those, …"""
    rng = np.random.default_rng(1)
    variables = [library.leaf(a) for a in arrays]
    outs = floating(function(*variables))
    found = list(outs)
    for _ in range(order):
        total = weighted(library, outs, rng)
        needed = getattr(total, "requires_grad", False)
        nothing = [np.zeros(np.shape(a)) for a in arrays]
        outs = list(library.gradients(total, variables)) if needed else nothing
        found += outs
        if not needed:
            outs = [library.constant(zeros) for zeros in nothing]
    return [as_numpy(y) for y in found]


def agree(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    *arrays: Any,
    order: int = 2,
    tolerance: float = 1e-10,
) -> None:
    """Assert equal outputs and derivatives up to an order."""
    found = derivatives(OURS, ours, arrays, order)
    for number, (a, b) in enumerate(
        zip(found, derivatives(THEIRS, theirs, arrays, order), strict=True)
    ):
        close(a, b, tolerance, f"quantity {number}")


def close(a: Any, b: Any, tolerance: float, what: str = "") -> None:
    """Compare, relative to the largest element."""
    a, b = np.asarray(as_numpy(a)), np.asarray(as_numpy(b))
    largest = np.abs(b).max(initial=0, where=np.isfinite(b))
    np.testing.assert_allclose(a, b, tolerance, tolerance * max(1.0, largest), err_msg=what)


def results(library: Library, module: Any, arrays: Any, call: Callable[..., Any]) -> dict[str, Any]:
    """Return outputs, gradients and buffers by name, after one backward pass."""
    inputs = [library.leaf(a, np.asarray(a).dtype.kind == "f") for a in arrays]
    outs = floating(call(module, *inputs))
    if any(y.requires_grad for y in outs):
        weighted(library, outs, np.random.default_rng(0)).backward()
    found = {f"output {i}": y for i, y in enumerate(outs)}
    found |= {f"∂ input {i}": x.grad for i, x in enumerate(inputs)}
    found |= {f"∂ {name}": p.grad for name, p in module.named_parameters()}
    return found | dict(module.named_buffers())


def agree_as_modules(
    ours: Any,
    theirs: Any,
    arrays: Any,
    call: Callable[..., Any] = lambda net, *xs: net(*xs),
    tolerance: float = 1e-9,
) -> None:
    """Give theirs our weights; assert equal outputs, gradients and running statistics."""
    theirs.load_state_dict({n: torch.tensor(a) for n, a in ours.state_dict().items()})
    found = results(OURS, ours, arrays, call)
    expected = results(THEIRS, theirs, arrays, call)
    assert list(found) == list(expected)
    for name, value in expected.items():
        if value is None or found[name] is None:
            assert value is None or not np.any(as_numpy(value)), name
            assert found[name] is None or not np.any(as_numpy(found[name])), name
        else:
            close(found[name], value, tolerance, name)
