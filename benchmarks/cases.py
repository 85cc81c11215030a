"""Every case that is timed: how each library does it, and the goals.

A goal is the largest share of a peer's time that we want to take.
"""

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from benchmarks import networks, optimizing, peers, programs
from benchmarks.libraries import BY_HAND, HIPS, JAX, MYGRAD, TORCH, Work, both_ways, loaded

ALL = (TORCH, JAX, HIPS, MYGRAD)
COMPILED = (TORCH, JAX)
MILLION = 1_000_000
FLOAT32 = 4  # bytes


class Case(NamedTuple):
    """What a library does, who else does it, the goals, and what no library can do without."""

    kind: str
    work: Callable[[str], Work]  # of a library; it returns what it computed
    peers: tuple[str, ...] = COMPILED
    goals: Mapping[str, float] = MappingProxyType({})
    threads: int = 1
    flops: float = 0.0  # of its matrix products
    bytes: float = 0.0  # of the arrays that it reads and writes, each once
    memory: float | None = None  # the goal: share of PyTorch's memory at the peak


class Kind(NamedTuple):
    """A section: its heading, and what users should know of its cases."""

    heading: str
    text: str


KINDS = {
    "ops": Kind(
        "One small op, and a graph of 400",
        "Forward and backward in float64; the 400 are products, sums, tanh and differences.",
    ),
    "steps": Kind(
        "Steps of training",
        "Forward, cross-entropy, backward and update on a batch of 100, float32. HIPS autograd and "
        "MyGrad as their users would write it, NumPy with its gradients by hand.",
    ),
    "elementwise": Kind(
        "A million floats, one by one",
        "Forward and backward, float32. The three branches are tanh(x) + x · x + exp(−x).",
    ),
    "layers": Kind(
        "Layers",
        "Forward and backward, float32, the same numbers in each library: batch norm on maps "
        "(100, 16, 28, 28) and on units (100, 100); cross-entropy of 100 rows of 10; embedding of "
        "32 rows of 100 numbers below 10,000 as 128 floats; LSTM from 128 to 128, batch 32; "
        "transformer block of 128 with 4 heads and 512 hidden units, 64 places, batch 32; "
        "convolutions of maps (32, 64, 32, 32), those of 128 channels (32, 128, 16, 16).",
    ),
    "optimizers": Kind("Updates of ten million parameters", "One step, float32."),
    "programs": Kind(
        "Programs in plain NumPy",
        "The same expression in each library, float32: the log-likelihood of a mixture of four "
        "Gaussians at 2000 points in R⁴, and logistic regression of 1000 points in R²⁰.",
    ),
    "derivatives": Kind(
        "Derivatives of derivatives",
        "Float64. Hessian of the banana function on R⁵⁰, jacobian of tanh(A x) · x; PyTorch by "
        "torch.func. The simulation's 200 forces are each the gradient of an energy, and the whole "
        "is differentiated by where it starts.",
    ),
    "compiled": Kind(
        "Compiled",
        "Cases from above by `gg.compile`, after three calls; a call with all that it compares.",
    ),
}
CASES: dict[str, Case] = {}


# ------------------------------------------------------------------------------- small ops


def _small_op(op: str, shape: tuple[int, ...], peer: str) -> Work:
    x, y = np.random.default_rng(0).uniform(0.5, 1.5, (2, *shape))
    return peers.small_op(peer, op, x, y)


for _shape, _of in (((), "scalar"), ((16,), "16 floats")):
    for _op in ("multiply", "add", "exp", "tanh"):
        CASES[f"{_op}, {_of}"] = Case(
            "ops", partial(_small_op, _op, _shape), ALL, {TORCH: 0.28, JAX: 0.85, MYGRAD: 0.45}
        )
for _shape, _of, _goal in (((), "scalars", 0.5), ((16,), "16 floats", 0.65)):
    CASES[f"400 ops, {_of}"] = Case(
        "ops", partial(_small_op, "400 ops", _shape), ALL, {TORCH: _goal}
    )


# ---------------------------------------------------------------------------------- steps


def _step(peer: str) -> Work:
    return peers.training_step(peer, peers.Problem())


def convolved(batch: int, inputs: int, outputs: int, size: int, height: int) -> float:
    """Count the flops of a convolution, of its square output's height, and of both gradients."""
    return 3 * 2.0 * batch * inputs * outputs * size**2 * height**2


_MLP_FLOPS = 2 * 100 * (2 * 784 * 50 + 3 * 50 * 10)
_SIMPLE_FLOPS = convolved(100, 1, 30, 5, 24) + 3 * 2 * 100 * (30 * 12 * 12 * 100 + 100 * 10)
_DEEP_FLOPS = sum(
    convolved(100, inputs, outputs, 3, height)
    for inputs, outputs, height in (
        *((1, 16, 28), (16, 16, 28), (16, 32, 14), (32, 32, 16), (32, 64, 8), (64, 64, 8)),
    )
)
CASES["784-50-10"] = Case(
    "steps",
    _step,
    (*ALL, BY_HAND),
    {TORCH: 0.55, JAX: 1.1, BY_HAND: 1.3},
    flops=_MLP_FLOPS,
)
for _name, _goals, _flops, _memory in (
    ("784-50-10 of modules, SGD", {}, _MLP_FLOPS, None),
    ("SimpleConvNet, Adam", {TORCH: 0.6, JAX: 0.3}, _SIMPLE_FLOPS, 0.6),
    ("deep conv net, Adam", {TORCH: 1.4, JAX: 0.4}, _DEEP_FLOPS, 0.6),
):
    CASES[_name] = Case(
        "steps",
        partial(networks.training_step, network=networks.NETWORKS[_name]),
        goals=_goals,
        flops=_flops,
        memory=_memory,
    )


# ----------------------------------------------------------------------------- elementwise


def _function(peer: str, name: str) -> Callable[[Any], Any]:
    """Find an elementwise function of a library."""
    if peer == JAX:
        functions: Any = importlib.import_module("jax.nn")
    else:
        functions = loaded(peer).nn.functional
    found: Callable[..., Any] = getattr(functions, name)
    return partial(found, approximate=False) if peer == JAX and name == "gelu" else found


def _three_branches(peer: str) -> Callable[[Any], Any]:
    m = programs.functions(peer)
    return lambda x: m.tanh(x) + x * x + m.exp(-x)


def _elementwise(name: str, peer: str) -> Work:
    rng = np.random.default_rng(7)
    x, g = (rng.standard_normal(MILLION, dtype=np.float32) for _ in range(2))
    f = _three_branches(peer) if name == "three branches" else _function(peer, name)
    return both_ways(peer, f, x, upstream=g)


for _name, _goal in {
    "three branches": 0.7,
    "tanh": 0.35,
    "sigmoid": 2.2,
    "silu": 2.6,
    "gelu": 4.0,
    "relu": 1.8,
}.items():
    CASES[f"{_name}, 10⁶"] = Case(
        "elementwise",
        partial(_elementwise, _name),
        goals={TORCH: _goal},
        bytes=5 * FLOAT32 * MILLION,  # x, y; g, x or y, and the gradient
    )


# ---------------------------------------------------------------------------------- layers


def _layer(name: str, kind: str = "layers", *, threads: int = 1, **facts: Any) -> Case:
    work = partial(networks.layer, case=networks.LAYERS[name])
    return Case(kind, work, threads=threads, **facts)


def _cross_entropy(peer: str) -> Work:
    rng = np.random.default_rng(8)
    scores = rng.standard_normal((100, 10), dtype=np.float32)
    labels = rng.integers(0, 10, 100)
    if peer == JAX:
        from benchmarks.jax_modules import cross_entropy

        return both_ways(peer, lambda x: cross_entropy(x, labels), scores)
    library = loaded(peer)
    target = library.constant(labels)
    return both_ways(peer, lambda x: library.nn.functional.cross_entropy(x, target), scores)


_MAPS = 100 * 16 * 28 * 28
_POOLED = 32 * 64 * 55 * 55
_DEPTHWISE = 32 * 64 * 32 * 32
_3x3_64 = convolved(32, 64, 64, 3, 32)
_3x3_128 = convolved(32, 128, 128, 3, 16)
_TOKENS, _EMBEDDED = 64 * 32, 128
CASES |= {
    "layer norm, 10⁶": _layer(
        "layer norm", "elementwise", goals={TORCH: 5.0}, bytes=5 * FLOAT32 * MILLION
    ),
    "batch norm, maps": _layer("batch norm, maps", goals={TORCH: 0.9}, bytes=5 * FLOAT32 * _MAPS),
    "batch norm, units": _layer("batch norm, units", goals={TORCH: 1.2}),
    "max pooling 2×2": _layer(
        "max pooling 2×2", goals={TORCH: 0.5}, bytes=2.5 * FLOAT32 * 100 * 30 * 24 * 24
    ),
    "max pooling 3×3, stride 2": _layer(
        "max pooling 3×3, stride 2", goals={TORCH: 0.5}, bytes=2.5 * FLOAT32 * _POOLED
    ),
    "cross-entropy": Case("layers", _cross_entropy, goals={TORCH: 0.8}),
    "embedding": _layer("embedding", goals={TORCH: 1.2}, bytes=FLOAT32 * 128 * (10_000 + 4 * 3200)),
    "LSTM, 100 steps": _layer(
        "LSTM, 100 steps", goals={TORCH: 1.2}, flops=3 * 2 * 3200 * 2 * 4 * 128 * 128
    ),
    "transformer block": _layer(
        "transformer block",
        goals={TORCH: 0.85},
        flops=3 * 2 * _TOKENS * _EMBEDDED * (4 * _EMBEDDED + 2 * 512 + 2 * 64),
    ),
    "convolution 1×1": _layer("convolution 1×1", flops=convolved(32, 64, 64, 1, 32)),
    "convolution 5×5, 1 channel": _layer(
        "convolution 5×5, 1 channel", flops=convolved(100, 1, 30, 5, 24)
    ),
    "convolution 3×3, depth-wise": _layer(
        "convolution 3×3, depth-wise", goals={TORCH: 1.2}, bytes=5 * FLOAT32 * _DEPTHWISE
    ),
    "convolution 3×3, 64 channels": _layer(
        "convolution 3×3, 64 channels", goals={TORCH: 1.3}, flops=_3x3_64
    ),
    "convolution 3×3, 128 channels": _layer(
        "convolution 3×3, 128 channels", goals={TORCH: 1.45}, flops=_3x3_128
    ),
    "convolution 3×3, 64 channels, two threads": _layer(
        "convolution 3×3, 64 channels", goals={TORCH: 1.35}, flops=_3x3_64, threads=2
    ),
    "convolution 3×3, 128 channels, two threads": _layer(
        "convolution 3×3, 128 channels", goals={TORCH: 1.35}, flops=_3x3_128, threads=2
    ),
}


# ---------------------------------------------------- optimizers, programs and derivatives

for _name, _goal, _arrays in (("SGD", 1.2, 3), ("momentum", 0.9, 5), ("Adam", 0.4, 7)):
    CASES[f"{_name}, 10⁷"] = Case(
        "optimizers",
        partial(optimizing.step, name=_name),
        goals={TORCH: _goal},
        bytes=_arrays * FLOAT32 * optimizing.PARAMETERS,
    )
CASES |= {
    "Gaussian mixture": Case("programs", programs.mixture, ALL, {TORCH: 1.5}),
    "logistic regression": Case("programs", programs.regression, ALL, {TORCH: 0.5}),
    "hessian": Case("derivatives", programs.hessian, (TORCH, JAX, HIPS), {TORCH: 0.6}),
    "jacobian": Case("derivatives", programs.jacobian, (TORCH, JAX, HIPS), {TORCH: 1.0}),
    "simulation with 200 forces": Case(
        "derivatives", partial(programs.simulation, steps=200), (TORCH, JAX, HIPS), {TORCH: 1.0}
    ),
}


# ----------------------------------------------------------------------------- gg.compile


def _compiled(name: str, peer: str) -> Work:
    """Return the work of a case; that of graphgrad compiled."""
    work = CASES[name].work(peer)
    if peer != "graphgrad":
        return work
    compiled: Work = importlib.import_module("graphgrad").compile(work)
    for _ in range(3):
        compiled()
    return compiled


_COMPILED_GOALS = {  # of PyTorch's and JAX's time
    "400 ops, scalars": (0.1, 2.0),
    "400 ops, 16 floats": (0.1, 2.0),
    "784-50-10": (0.38, 0.75),
    "784-50-10 of modules, SGD": (0.38, 0.75),
    "SimpleConvNet, Adam": (None, None),
    "three branches, 10⁶": (0.45, 2.2),
    "batch norm, units": (0.6, 1.0),
    "cross-entropy": (0.6, 1.0),
    "LSTM, 100 steps": (None, None),
    "transformer block": (None, None),
    "Gaussian mixture": (1.2, None),
    "logistic regression": (0.13, 0.7),
    "hessian": (0.25, None),
    "jacobian": (0.15, None),
    "simulation with 200 forces": (None, None),
}
for _name, (_torch, _jax) in _COMPILED_GOALS.items():
    _goals = {peer: goal for peer, goal in ((TORCH, _torch), (JAX, _jax)) if goal is not None}
    _names = (*COMPILED, BY_HAND) if BY_HAND in CASES[_name].peers else COMPILED
    if BY_HAND in _names:
        _goals[BY_HAND] = 1.0
    CASES[f"{_name}, compiled"] = Case("compiled", partial(_compiled, _name), _names, _goals)
