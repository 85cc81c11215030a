"""The same work in graphgrad and in its peers: a small op, a training step.

Every function returns the work as a callable, which makes fresh gradients on each call and
returns what it computed, so that the results can be compared before the times are.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import graphgrad as gg
from benchmarks.libraries import JAX, both_ways
from graphgrad import nn, optim

Array = np.ndarray[Any, Any]
OPS: dict[str, Callable[[Any, Any, Any], Any]] = {
    # the namespace of the peer, x, y
    "multiply": lambda _, x, y: x * y,
    "add": lambda _, x, y: x + y,
    "exp": lambda m, x, _: m.exp(x),
    "tanh": lambda m, x, _: m.tanh(x),
}
BINARY = ("multiply", "add", "400 ops")


def graph_of_400(m: Any, x: Any, y: Any) -> Any:
    """Compute 400 small ops."""
    z = x
    for _ in range(100):
        z = m.tanh(z * y + x) - y
    return z


OPS["400 ops"] = graph_of_400


# ------------------------------------------------------------------ one small op, both ways


def small_op(peer: str, op: str, x: Array, y: Array) -> Callable[[], tuple[Any, ...]]:
    """Return forward and backward of one op on float64 arrays."""
    compute = OPS[op]
    seed = np.ones_like(x) if x.ndim else None
    inputs = 2 if op in BINARY else 1

    if peer == "HIPS autograd":
        import autograd.numpy as anp
        from autograd import elementwise_grad, grad

        differentiate = elementwise_grad if x.ndim else grad
        a, b = (x, y) if x.ndim else (float(x), float(y))
        if inputs == 2:
            both = differentiate(lambda a, b: compute(anp, a, b), (0, 1))
            return lambda: tuple(both(a, b))
        one = differentiate(lambda a: compute(anp, a, None))
        return lambda: (one(a),)

    if peer == JAX:
        return _jax_small_op(compute, x, y, inputs)
    if peer == "graphgrad":
        module: Any = gg
        leaves: list[Any] = [gg.Tensor(a, requires_grad=True) for a in (x, y)]
    elif peer == "PyTorch":
        import torch

        module = torch
        leaves = [torch.tensor(a, requires_grad=True) for a in (x, y)]
        seed = None if seed is None else torch.tensor(seed)
    else:
        import mygrad

        module = mygrad
        leaves = [mygrad.tensor(a) for a in (x, y)]
    u, v = leaves
    set_to_none = peer != "MyGrad"  # which forgets old gradients by itself

    def both_ways() -> tuple[Any, ...]:
        if set_to_none:
            u.grad = None
            v.grad = None
        z = compute(module, u, v)
        z.backward(seed)
        return u.grad, v.grad

    def one_way() -> tuple[Any, ...]:
        if set_to_none:
            u.grad = None
        z = compute(module, u, None)
        z.backward(seed)
        return (u.grad,)

    return both_ways if inputs == 2 else one_way


def _jax_small_op(
    compute: Callable[[Any, Any, Any], Any], x: Array, y: Array, inputs: int
) -> Callable[[], tuple[Any, ...]]:
    import jax

    def f(*leaves: Any) -> Any:
        return compute(jax.numpy, leaves[0], leaves[-1])

    return both_ways(JAX, f, *(x, y)[:inputs], upstream=np.ones_like(x) if x.ndim else None)


# ------------------------------------------------------------------------- a training step


class Problem:
    """784 → 50 → 10, a batch of 100, float32: what every contestant starts from."""

    def __init__(self) -> None:
        """Draw images, labels and weights."""
        rng = np.random.default_rng(0)
        self.x = rng.random((100, 784), dtype=np.float32)
        self.labels = rng.integers(0, 10, 100)
        self.lr = 1e-3
        self.start = [
            (0.05 * rng.standard_normal((784, 50))).astype(np.float32),
            np.zeros(50, np.float32),
            (0.1 * rng.standard_normal((50, 10))).astype(np.float32),
            np.zeros(10, np.float32),
        ]


def training_step(peer: str, problem: Problem) -> Callable[[], float]:
    """Return one step of gradient descent, which returns its loss."""
    return {
        "graphgrad": _graphgrad,
        "NumPy by hand": _numpy,
        "PyTorch": _pytorch,
        "JAX": _jax,
        "HIPS autograd": _autograd,
        "MyGrad": _mygrad,
    }[peer](problem)


def _graphgrad(problem: Problem) -> Callable[[], float]:
    x, labels = gg.Tensor(problem.x), problem.labels
    params = [gg.Tensor(p, requires_grad=True) for p in problem.start]
    W1, b1, W2, b2 = params
    optimizer = optim.SGD(params, problem.lr)

    def step() -> float:
        optimizer.zero_grad()
        hidden = (x @ W1 + b1).relu()
        loss = nn.functional.cross_entropy(hidden @ W2 + b2, labels)
        loss.backward()
        optimizer.step()
        return loss.item()  # type: ignore[no-any-return]

    return step


def _numpy(problem: Problem) -> Callable[[], float]:
    x, labels, lr = problem.x, problem.labels, problem.lr
    W1, b1, W2, b2 = (p.copy() for p in problem.start)
    rows = np.arange(len(x))

    def step() -> float:
        z1 = x @ W1 + b1
        h = np.maximum(z1, 0)
        scores = h @ W2 + b2
        shifted = scores - scores.max(axis=1, keepdims=True)
        y = np.exp(shifted)
        total = y.sum(axis=1, keepdims=True)
        loss = (np.log(total)[:, 0] - shifted[rows, labels]).mean()
        y /= total
        y[rows, labels] -= 1
        y /= len(x)
        dz1 = y @ W2.T * (z1 > 0)
        for p, g in ((W1, x.T @ dz1), (b1, dz1.sum(axis=0)), (W2, h.T @ y), (b2, y.sum(axis=0))):
            np.subtract(p, lr * g, out=p)
        return float(loss)

    return step


def _pytorch(problem: Problem) -> Callable[[], float]:
    import torch

    x, labels = torch.tensor(problem.x), torch.tensor(problem.labels)
    params = [torch.tensor(p, requires_grad=True) for p in problem.start]
    W1, b1, W2, b2 = params
    optimizer = torch.optim.SGD(params, problem.lr)

    def step() -> float:
        optimizer.zero_grad()
        hidden = torch.relu(torch.addmm(b1, x, W1))
        loss = torch.nn.functional.cross_entropy(torch.addmm(b2, hidden, W2), labels)
        loss.backward()
        optimizer.step()
        return loss.item()  # type: ignore[no-any-return]

    return step


def _jax(problem: Problem) -> Callable[[], float]:
    import jax
    from jax import numpy as jnp

    from benchmarks.jax_modules import cross_entropy

    x, labels = jnp.asarray(problem.x), jnp.asarray(problem.labels)
    params = [jnp.array(p) for p in problem.start]

    def loss_of(params: list[Any]) -> Any:
        W1, b1, W2, b2 = params
        return cross_entropy(jax.nn.relu(x @ W1 + b1) @ W2 + b2, labels)

    @functools.partial(jax.jit, donate_argnums=0)
    def update(params: list[Any]) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(params)
        return loss, [p - problem.lr * g for p, g in zip(params, gradients, strict=True)]

    def step() -> float:
        nonlocal params
        loss, params = update(params)
        return float(loss)

    return step


def _autograd(problem: Problem) -> Callable[[], float]:
    import autograd.numpy as anp
    from autograd import value_and_grad

    x, labels, lr = problem.x, problem.labels, np.float32(problem.lr)
    params = [p.copy() for p in problem.start]
    rows = np.arange(len(x))

    def loss_of(params: list[Any]) -> Any:
        W1, b1, W2, b2 = params
        hidden = anp.maximum(anp.dot(x, W1) + b1, 0)
        scores = anp.dot(hidden, W2) + b2
        shifted = scores - anp.max(scores, axis=1, keepdims=True)
        log_softmax = shifted - anp.log(anp.sum(anp.exp(shifted), axis=1, keepdims=True))
        return -anp.mean(log_softmax[rows, labels])

    both = value_and_grad(loss_of)

    def step() -> float:
        loss, gradients = both(params)
        for p, g in zip(params, gradients, strict=True):
            np.subtract(p, lr * g, out=p)
        return float(loss)

    return step


def _mygrad(problem: Problem) -> Callable[[], float]:
    import mygrad
    from mygrad.nnet import relu, softmax_crossentropy

    x, labels, lr = problem.x, problem.labels, np.float32(problem.lr)
    params = [mygrad.tensor(p.copy()) for p in problem.start]
    W1, b1, W2, b2 = params

    def step() -> float:
        hidden = relu(mygrad.matmul(x, W1) + b1)
        loss = softmax_crossentropy(mygrad.matmul(hidden, W2) + b2, labels)
        loss.backward()
        for p in params:
            p.data -= lr * p.grad
        return loss.item()  # type: ignore[no-any-return]

    return step
