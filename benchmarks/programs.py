"""Programs of users, the same expression in each library: mixtures, regression, derivatives.

On `x` of graphgrad the expression is plain NumPy.
"""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

import graphgrad as gg
from benchmarks.libraries import HIPS, JAX, MYGRAD, OURS, TORCH, Array, Work, both_ways, computed

NUMPY = {
    OURS: "numpy",
    TORCH: "torch",
    JAX: "jax.numpy",
    HIPS: "autograd.numpy",
    MYGRAD: "mygrad",
}


def functions(peer: str) -> Any:
    """Import what a library has under NumPy's names."""
    return importlib.import_module(NUMPY[peer])


def constant(peer: str, a: Array) -> Any:
    """Return an array that needs no gradient, as users of a library would have it."""
    return functions(peer).asarray(a) if peer in (TORCH, JAX) else a


# ---------------------------------------------------------------------------- losses of data


def mixture(peer: str) -> Work:
    """Differentiate the log-likelihood of a mixture of Gaussians, float32."""
    m = functions(peer)
    rng = np.random.default_rng(4)
    x = constant(peer, rng.standard_normal((2000, 4), dtype=np.float32))

    def loss(logits: Any, means: Any, spreads: Any) -> Any:
        z = (x[:, None, :] - means) / spreads
        weights = m.exp(logits) / m.sum(m.exp(logits))
        parts = m.log(weights) - m.sum(m.log(spreads), -1) - 0.5 * m.sum(z * z, -1)
        top = m.amax(parts, 1, keepdims=True) if peer == TORCH else m.max(parts, 1, keepdims=True)
        return -m.mean(top[:, 0] + m.log(m.sum(m.exp(parts - top), 1)))

    means = rng.standard_normal((4, 4), dtype=np.float32)
    logits, spreads = np.linspace(-0.5, 0.5, 4, dtype=np.float32), 0.5 + np.abs(means)
    return both_ways(peer, loss, logits, means, spreads)


def regression(peer: str) -> Work:
    """Differentiate the loss of a logistic regression, float32."""
    m = functions(peer)
    rng = np.random.default_rng(5)
    x = constant(peer, rng.standard_normal((1000, 20), dtype=np.float32))
    y = constant(peer, rng.choice(np.array([-1, 1], np.float32), 1000))

    def loss(w: Any, b: Any) -> Any:
        return m.mean(m.log1p(m.exp(-y * (m.matmul(x, w) + b)))) + 0.01 * m.sum(w * w)

    return both_ways(peer, loss, rng.standard_normal(20, dtype=np.float32), np.zeros(1, np.float32))


# ------------------------------------------------------------------------------- derivatives


def rosenbrock(x: Any) -> Any:
    """Compute the banana function."""
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def of_all(peer: str, torch_name: str, name: str, f: Callable[[Any], Any], x: Array) -> Work:
    """Return what computes all derivatives of f at x: a hessian or a jacobian."""
    if peer == OURS:
        derive = getattr(gg, name)(f)
        return lambda: derive(x)
    if peer == TORCH:
        torch = importlib.import_module("torch")
        derive, point = getattr(torch.func, torch_name)(f), torch.tensor(x)
        return lambda: derive(point)
    if peer == JAX:
        jax = importlib.import_module("jax")
        derive, point = jax.jit(getattr(jax, name)(f)), jax.numpy.asarray(x)
        return lambda: derive(point).block_until_ready()
    derive = getattr(importlib.import_module("autograd"), name)(f)
    return lambda: derive(x)


def hessian(peer: str) -> Work:
    """Return the second derivatives of a function of R⁵⁰."""
    return of_all(peer, "hessian", "hessian", rosenbrock, np.linspace(-1.0, 1.0, 50))


def jacobian(peer: str) -> Work:
    """Return the first derivatives of a function from R⁵⁰ to R⁵⁰."""
    m = functions(peer)
    a = constant(peer, np.random.default_rng(6).standard_normal((50, 50)) / 7)

    def f(x: Any) -> Any:
        return m.tanh(m.matmul(a, x)) * x

    return of_all(peer, "jacrev", "jacobian", f, np.linspace(-1.0, 1.0, 50))


def simulation(peer: str, steps: int) -> Work:
    """Differentiate through a simulation whose forces are themselves gradients, float64."""
    start = np.linspace(-1.0, 1.0, 4)
    m = functions(peer)

    def energy(x: Any) -> Any:
        return m.sum(m.cos(x) + 0.5 * x * x)

    def after(force: Callable[[Any], Any], x: Any) -> Any:
        v = 0.0 * x
        for _ in range(steps):
            v = v - 0.01 * force(x)
            x = x + 0.01 * v
        return m.sum(x * x)

    if peer == TORCH:
        torch = importlib.import_module("torch")
        point = torch.tensor(start, requires_grad=True)

        def force(x: Any) -> Any:
            return torch.autograd.grad(energy(x), x, create_graph=True)[0]

        return lambda: torch.autograd.grad(after(force, point), point)[0]
    if peer == JAX:
        return _jax_simulation(energy, start, steps)
    grad = gg.grad if peer == OURS else importlib.import_module("autograd").grad
    derive = grad(lambda x: after(grad(energy), x))
    return lambda: derive(start)


def _jax_simulation(energy: Callable[[Any], Any], start: Array, steps: int) -> Work:
    import jax

    def step(state: Any, _: None) -> Any:
        x, v = state
        v = v - 0.01 * jax.grad(energy)(x)
        return (x + 0.01 * v, v), None

    def distance(x: Any) -> Any:
        (x, _), _ = jax.lax.scan(step, (x, jax.numpy.zeros_like(x)), None, steps)
        return (x * x).sum()

    derive, point = jax.jit(jax.grad(distance)), jax.numpy.asarray(start)
    return lambda: computed([derive(point)])[0]
