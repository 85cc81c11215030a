"""The contestants: their names, and what differs between those that work alike."""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.turns import JAX as JAX

Array = np.ndarray[Any, Any]
Work = Callable[[], Any]

OURS = "graphgrad"
TORCH = "PyTorch"
HIPS = "HIPS autograd"
MYGRAD = "MyGrad"
BY_HAND = "NumPy by hand"

MODULES = {TORCH: "torch", JAX: "jax", HIPS: "autograd", MYGRAD: "mygrad"}


def installed() -> tuple[list[str], list[str]]:
    """Name the peers that are there, and those that are not."""
    found = {name: importlib.util.find_spec(module) for name, module in MODULES.items()}
    return [n for n, spec in found.items() if spec], [n for n, spec in found.items() if not spec]


class Library(NamedTuple):
    """A library of tensors with `backward()`: its modules, and how it takes an array in."""

    functions: Any
    nn: Any
    optim: Any
    constant: Callable[[Array], Any]
    leaf: Callable[[Array], Any]


def loaded(peer: str) -> Library:
    """Import graphgrad or PyTorch."""
    if peer == OURS:
        import graphgrad as gg

        return Library(gg, gg.nn, gg.optim, np.asarray, lambda a: gg.Tensor(a, requires_grad=True))
    torch = importlib.import_module("torch")
    return Library(
        torch,
        torch.nn,
        torch.optim,
        torch.from_numpy,
        lambda a: torch.tensor(a, requires_grad=True),
    )


def computed(values: Any) -> Any:
    """Wait until JAX has computed what it promised."""
    for value in values:
        value.block_until_ready()
    return values


def both_ways(
    peer: str, f: Callable[..., Any], *arrays: Array, upstream: Array | None = None
) -> Work:
    """Return forward and backward of f at arrays, which returns its gradients.

    ``f`` gets the tensors of the library alone. Without ``upstream`` its result is one number.
    """
    if peer == JAX:
        return _jax_both_ways(f, arrays, upstream)
    if peer == HIPS:
        from autograd import value_and_grad

        both = value_and_grad(f, tuple(range(len(arrays))))
        return lambda: both(*arrays)[1]
    if peer == MYGRAD:
        leaves: list[Any] = [importlib.import_module("mygrad").tensor(a) for a in arrays]
        g: Any = upstream
    else:
        library = loaded(peer)
        leaves = [library.leaf(a) for a in arrays]
        g = None if upstream is None else library.constant(upstream)

    def work() -> list[Any]:
        for leaf in leaves:
            leaf.grad = None
        f(*leaves).backward(g)
        return [leaf.grad for leaf in leaves]

    def work_of_mygrad() -> list[Any]:  # it forgets old gradients by itself
        f(*leaves).backward(g)
        return [leaf.grad for leaf in leaves]

    return work_of_mygrad if peer == MYGRAD else work


def _jax_both_ways(
    f: Callable[..., Any], arrays: tuple[Array, ...], upstream: Array | None
) -> Work:
    import jax

    leaves = [jax.numpy.asarray(a) for a in arrays]
    if upstream is None:

        def to_one(*leaves: Any) -> Any:
            value, gradients = jax.value_and_grad(f, tuple(range(len(leaves))))(*leaves)
            return *gradients, value

        compiled = jax.jit(to_one)
        return lambda: computed(compiled(*leaves))[:-1]

    def to_many(g: Any, *leaves: Any) -> Any:
        value, pull = jax.vjp(f, *leaves)
        return *pull(g), value

    g, compiled = jax.numpy.asarray(upstream), jax.jit(to_many)
    return lambda: computed(compiled(g, *leaves))[:-1]
