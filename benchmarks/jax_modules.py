"""The layers of the benchmark in JAX, under PyTorch's names and with its arguments.

JAX itself has no layers. A module here has the shapes of its parameters, under PyTorch's names and
in its order, and is a pure function of (parameters, x). What a step in training would also update
(the running statistics of batch norm) is left out, which favours JAX a little.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Params = dict[str, Any]
Shapes = dict[str, tuple[int, ...]]


class Module:
    """The shapes of parameters by name; called with the parameters and x."""

    shapes: Shapes

    def __call__(self, p: Params, x: Any) -> Any:
        raise NotImplementedError


class Function(Module):
    """A layer without parameters."""

    def __init__(self, f: Callable[[Any], Any]) -> None:
        self.f, self.shapes = f, {}

    def __call__(self, p: Params, x: Any) -> Any:  # noqa: ARG002
        return self.f(x)


class Sequential(Module):
    def __init__(self, *modules: Module) -> None:
        self.modules = modules
        self.shapes = {
            f"{i}.{name}": shape for i, m in enumerate(modules) for name, shape in m.shapes.items()
        }

    def __call__(self, p: Params, x: Any) -> Any:
        for i, module in enumerate(self.modules):
            x = module({name: p[f"{i}.{name}"] for name in module.shapes}, x)
        return x


class Linear(Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        self.shapes = {"weight": (outputs, inputs), "bias": (outputs,)}

    def __call__(self, p: Params, x: Any) -> Any:
        return x @ p["weight"].T + p["bias"]


class Conv2d(Module):
    def __init__(
        self, inputs: int, outputs: int, size: int, padding: int = 0, groups: int = 1
    ) -> None:
        self.shapes = {"weight": (outputs, inputs // groups, size, size), "bias": (outputs,)}
        self.padding, self.groups = [(padding, padding)] * 2, groups

    def __call__(self, p: Params, x: Any) -> Any:
        y = jax.lax.conv_general_dilated(
            x, p["weight"], (1, 1), self.padding, feature_group_count=self.groups
        )
        return y + p["bias"][:, None, None]


class BatchNorm(Module):
    """By the statistics of the batch, as in training."""

    def __init__(self, features: int) -> None:
        self.shapes = {"weight": (features,), "bias": (features,)}

    def __call__(self, p: Params, x: Any) -> Any:
        axes = (0, *range(2, x.ndim))
        shape = (-1, *[1] * (x.ndim - 2))
        scaled = (x - x.mean(axes, keepdims=True)) * jax.lax.rsqrt(
            x.var(axes, keepdims=True) + 1e-5
        )
        return scaled * p["weight"].reshape(shape) + p["bias"].reshape(shape)


class LayerNorm(Module):
    def __init__(self, features: int) -> None:
        self.shapes = {"weight": (features,), "bias": (features,)}

    def __call__(self, p: Params, x: Any) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred * jax.lax.rsqrt(jnp.mean(centred**2, -1, keepdims=True) + 1e-5)
        return scaled * p["weight"] + p["bias"]


class Embedding(Module):
    def __init__(self, rows: int, size: int) -> None:
        self.shapes = {"weight": (rows, size)}

    def __call__(self, p: Params, x: Any) -> Any:
        return p["weight"][x]


class LSTM(Module):
    """One layer; returns the outputs and None for the last states."""

    def __init__(self, inputs: int, hidden: int) -> None:
        gates = 4 * hidden
        self.shapes = {
            "weight_ih_l0": (gates, inputs),
            "weight_hh_l0": (gates, hidden),
            "bias_ih_l0": (gates,),
            "bias_hh_l0": (gates,),
        }

    def __call__(self, p: Params, x: Any) -> Any:
        given = x @ p["weight_ih_l0"].T + p["bias_ih_l0"] + p["bias_hh_l0"]
        start = jnp.zeros((x.shape[1], p["weight_hh_l0"].shape[1]), x.dtype)

        def step(state: Any, now: Any) -> Any:
            h, c = state
            i, f, g, o = jnp.split(now + h @ p["weight_hh_l0"].T, 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        return jax.lax.scan(step, (start, start), given)[1], None


class TransformerEncoderLayer(Module):
    """Of shape (S, N, E), without dropout, normalised after each part."""

    def __init__(self, size: int, heads: int, hidden: int, dropout: float) -> None:
        if dropout:
            raise NotImplementedError
        self.heads = heads
        self.shapes = {
            "self_attn.in_proj_weight": (3 * size, size),
            "self_attn.in_proj_bias": (3 * size,),
            "self_attn.out_proj.weight": (size, size),
            "self_attn.out_proj.bias": (size,),
            "linear1.weight": (hidden, size),
            "linear1.bias": (hidden,),
            "linear2.weight": (size, hidden),
            "linear2.bias": (size,),
            **{f"norm{i}.{name}": (size,) for i in (1, 2) for name in ("weight", "bias")},
        }

    def __call__(self, p: Params, x: Any) -> Any:
        norm = LayerNorm(x.shape[-1])

        def linear(name: str, x: Any) -> Any:
            return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

        def normed(name: str, x: Any) -> Any:
            return norm({"weight": p[f"{name}.weight"], "bias": p[f"{name}.bias"]}, x)

        projected = x @ p["self_attn.in_proj_weight"].T + p["self_attn.in_proj_bias"]
        q, k, v = (
            part.reshape(*x.shape[:2], self.heads, -1) for part in jnp.split(projected, 3, -1)
        )
        scores = jnp.einsum("snhd,tnhd->nhst", q, k) / jnp.sqrt(q.shape[-1]).astype(x.dtype)
        mixed = jnp.einsum("nhst,tnhd->snhd", jax.nn.softmax(scores, -1), v)
        x = normed("norm1", x + linear("self_attn.out_proj", mixed.reshape(x.shape)))
        return normed("norm2", x + linear("linear2", jax.nn.relu(linear("linear1", x))))


def ReLU() -> Function:  # noqa: N802
    return Function(jax.nn.relu)


def Flatten() -> Function:  # noqa: N802
    return Function(lambda x: x.reshape(len(x), -1))


def MaxPool2d(size: int, stride: int | None = None) -> Function:  # noqa: N802
    window, strides = (1, 1, size, size), (1, 1, *[stride or size] * 2)
    return Function(
        lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, strides, "VALID")
    )


BatchNorm1d = BatchNorm2d = BatchNorm


def cross_entropy(scores: Any, labels: Any) -> Any:
    """The mean over a batch."""
    logarithms = jax.nn.log_softmax(scores)
    return -jnp.mean(jnp.take_along_axis(logarithms, labels[:, None], 1))
