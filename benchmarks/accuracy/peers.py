"""The cases in PyTorch and JAX, as their users write them; a case that is not here, they lack."""

import importlib.util
from typing import Any

import numpy as np

from benchmarks.accuracy.cases import Case
from benchmarks.accuracy.measure import Array, Runner

SAME_NAME = """
    multiply divide reciprocal square sqrt hypot deg2rad rad2deg exp exp2 expm1 log log2 log10
    log1p logaddexp logaddexp2 sin cos tan arcsin arccos arctan arctan2 sinc sinh cosh tanh
    arcsinh arccosh arctanh
"""


def installed() -> list[str]:
    """Name the peers that are there."""
    modules = {"PyTorch": "torch", "JAX": "jax"}
    return [name for name, module in modules.items() if importlib.util.find_spec(module)]


def runner(peer: str, case: Case) -> Runner | None:
    """Return what runs a case in a peer, or None."""
    return (_torch if peer == "PyTorch" else _jax)(case)


def _reductions(library: Any) -> dict[str, Any]:
    return {
        name: lambda *xs, name=name: getattr(library, name)(library.stack(xs, -1), -1)
        for name in ("sum", "mean", "prod")
    }


def _torch(case: Case) -> Runner | None:
    import torch
    from torch.nn import functional

    def row(*xs: Any) -> Any:
        return torch.stack(xs, -1)

    def of_first(loss: Any) -> Any:
        return lambda *xs: loss(
            row(*xs), torch.zeros(len(xs[0]), dtype=torch.long), reduction="none"
        )

    table: dict[str, Any] = {name: getattr(torch, name) for name in SAME_NAME.split()}
    table |= {
        "power": torch.pow,
        "sigmoid": torch.sigmoid,
        "erf": torch.erf,
        "erfc": torch.erfc,
        "softplus": functional.softplus,
        "logsigmoid": functional.logsigmoid,
        "gelu": functional.gelu,
        "gelu by tanh": lambda x: functional.gelu(x, approximate="tanh"),
        "silu": functional.silu,
        "elu": functional.elu,
        "selu": functional.selu,
        **_reductions(torch),
        "var": lambda *xs: torch.var(row(*xs), -1, correction=0),
        "std": lambda *xs: torch.std(row(*xs), -1, correction=0),
        "norm": lambda *xs: torch.linalg.vector_norm(row(*xs), dim=-1),
        "norm of order 3": lambda *xs: torch.linalg.vector_norm(row(*xs), 3, dim=-1),
        "logsumexp": lambda *xs: torch.logsumexp(row(*xs), -1),
        "softmax": lambda *xs: torch.softmax(row(*xs), -1)[..., 0],
        "log_softmax": lambda *xs: torch.log_softmax(row(*xs), -1)[..., 0],
        "cross_entropy": of_first(functional.cross_entropy),
        "multi_margin_loss": of_first(functional.multi_margin_loss),
        "binary_cross_entropy": lambda x, t: functional.binary_cross_entropy_with_logits(
            x, t, reduction="none"
        ),
        "kl_div": lambda x, t: functional.kl_div(x, t, reduction="none"),
        "kl_div of logarithms": lambda x, t: functional.kl_div(
            x, t, reduction="none", log_target=True
        ),
        "mse_loss": lambda x, t: functional.mse_loss(x, t, reduction="none"),
        "l1_loss": lambda x, t: functional.l1_loss(x, t, reduction="none"),
        "huber_loss": lambda x, t: functional.huber_loss(x, t, reduction="none"),
    }
    function = table.get(case.name)
    if function is None:
        return None

    def run(*points: Array) -> list[Array]:
        tensors = [
            torch.tensor(x, requires_grad=spec.varied)
            for x, spec in zip(points, case.inputs, strict=True)
        ]
        out = function(*tensors)
        out.backward(torch.ones_like(out))
        grads = [t.grad.numpy() for t in tensors if t.requires_grad]
        return [out.detach().numpy(), *grads]

    return run


def _jax(case: Case) -> Runner | None:
    import jax
    from jax import numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def row(*xs: Any) -> Any:
        return jnp.stack(xs, -1)

    table: dict[str, Any] = {name: getattr(jnp, name) for name in SAME_NAME.split()}
    table |= {
        "cbrt": jnp.cbrt,
        "power": jnp.power,
        "sigmoid": jax.nn.sigmoid,
        "erf": jax.scipy.special.erf,
        "erfc": jax.scipy.special.erfc,
        "softplus": jax.nn.softplus,
        "logsigmoid": jax.nn.log_sigmoid,
        "gelu": lambda x: jax.nn.gelu(x, approximate=False),
        "gelu by tanh": jax.nn.gelu,
        "silu": jax.nn.silu,
        "elu": jax.nn.elu,
        "selu": jax.nn.selu,
        **_reductions(jnp),
        "var": lambda *xs: jnp.var(row(*xs), -1),
        "std": lambda *xs: jnp.std(row(*xs), -1),
        "norm": lambda *xs: jnp.linalg.norm(row(*xs), axis=-1),
        "norm of order 3": lambda *xs: jnp.linalg.norm(row(*xs), 3, axis=-1),
        "logsumexp": lambda *xs: jax.scipy.special.logsumexp(row(*xs), -1),
        "softmax": lambda *xs: jax.nn.softmax(row(*xs), -1)[..., 0],
        "log_softmax": lambda *xs: jax.nn.log_softmax(row(*xs), -1)[..., 0],
        "cross_entropy": lambda *xs: -jax.nn.log_softmax(row(*xs), -1)[..., 0],
    }
    function = table.get(case.name)
    if function is None:
        return None
    varied = tuple(i for i, spec in enumerate(case.inputs) if spec.varied)

    def both(*points: Any) -> Any:
        out, back = jax.vjp(function, *points)
        grads = back(jnp.ones_like(out))
        return [out, *[grads[i] for i in varied]]

    compiled = jax.jit(both)

    def run(*points: Array) -> list[Array]:
        count = len(points[0])
        size = 1 << (count - 1).bit_length()  # of few sizes, as each is compiled anew
        padded = [np.resize(x, size) for x in points]
        return [np.asarray(y)[:count] for y in compiled(*padded)]

    return run
