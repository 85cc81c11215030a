"""Networks and layers in graphgrad, PyTorch and JAX.

The names of modules and their arguments are the same in all, so a builder takes `nn`, `torch.nn` or
`benchmarks.jax_modules`; graphgrad has the networks of Saito's book in `nn.models`, and the others
get their layers here. Shapes of parameters come in the same order, so all start from the same
numbers.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from benchmarks.libraries import JAX, computed, loaded

Array = np.ndarray[Any, Any]
Work = Callable[[], Any]


def mlp(m: Any) -> Any:
    """784 → 50 → 10, as Saito's two-layer net."""
    return m.Sequential(m.Linear(784, 50), m.ReLU(), m.Linear(50, 10))


def simple_convnet(m: Any) -> Any:
    """Build Saito's SimpleConvNet: 30 filters 5×5, pooling, 100 hidden units."""
    if hasattr(m, "models"):
        return m.models.SimpleConvNet()
    return m.Sequential(
        m.Conv2d(1, 30, 5),
        m.ReLU(),
        m.MaxPool2d(2),
        m.Flatten(),
        m.Linear(30 * 12 * 12, 100),
        m.ReLU(),
        m.Linear(100, 10),
    )


def deep_convnet(m: Any) -> Any:
    """Build the deep network of Saito's chapter 8, dropout left out so that losses are equal."""
    if hasattr(m, "models"):
        return m.models.DeepConvNet(dropout=0.0)
    layers: list[Any] = []
    channels = 1
    for out, padding in ((16, 1), (16, 1), (32, 1), (32, 2), (64, 1), (64, 1)):
        layers += [m.Conv2d(channels, out, 3, padding=padding), m.ReLU()]
        if channels == out:
            layers.append(m.MaxPool2d(2))
        channels = out
    return m.Sequential(*layers, m.Flatten(), m.Linear(64 * 4 * 4, 50), m.ReLU(), m.Linear(50, 10))


class Network(NamedTuple):
    """A network, the shape of an image, and the optimizer."""

    build: Callable[[Any], Any]
    shape: tuple[int, ...]
    optimizer: tuple[str, float]


NETWORKS = {
    "784-50-10 of modules, SGD": Network(mlp, (784,), ("SGD", 1e-3)),
    "SimpleConvNet, Adam": Network(simple_convnet, (1, 28, 28), ("Adam", 1e-3)),
    "deep conv net, Adam": Network(deep_convnet, (1, 28, 28), ("Adam", 1e-3)),
}
BATCH = 100


class Layer(NamedTuple):
    """A layer, the shape of its input, which number of rows it looks up, and its output."""

    build: Callable[[Any], Any]
    shape: tuple[int, ...]
    rows: int | None = None  # inputs are whole numbers below it
    output: Callable[[Any], Any] = lambda y: y


LAYERS = {
    "layer norm": Layer(lambda m: m.LayerNorm(1000), (1000, 1000)),
    "batch norm, maps": Layer(lambda m: m.BatchNorm2d(16), (100, 16, 28, 28)),
    "batch norm, units": Layer(lambda m: m.BatchNorm1d(100), (100, 100)),
    "max pooling 2×2": Layer(lambda m: m.MaxPool2d(2), (100, 30, 24, 24)),
    "max pooling 3×3, stride 2": Layer(lambda m: m.MaxPool2d(3, 2), (32, 64, 55, 55)),
    "embedding": Layer(lambda m: m.Embedding(10_000, 128), (32, 100), rows=10_000),
    "LSTM, 100 steps": Layer(lambda m: m.LSTM(128, 128), (100, 32, 128), output=lambda y: y[0]),
    "transformer block": Layer(
        lambda m: m.TransformerEncoderLayer(128, 4, 512, dropout=0.0), (64, 32, 128)
    ),
    "convolution 1×1": Layer(lambda m: m.Conv2d(64, 64, 1), (32, 64, 32, 32)),
    "convolution 5×5, 1 channel": Layer(lambda m: m.Conv2d(1, 30, 5), (100, 1, 28, 28)),
    "convolution 3×3, depth-wise": Layer(
        lambda m: m.Conv2d(64, 64, 3, padding=1, groups=64), (32, 64, 32, 32)
    ),
    "convolution 3×3, 64 channels": Layer(
        lambda m: m.Conv2d(64, 64, 3, padding=1), (32, 64, 32, 32)
    ),
    "convolution 3×3, 128 channels": Layer(
        lambda m: m.Conv2d(128, 128, 3, padding=1), (32, 128, 16, 16)
    ),
}


def numbers(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Draw weights and biases, the same for each library."""
    rng = np.random.default_rng(0)
    drawn = {}
    for name, shape in shapes.items():
        if "weight" in name or "bias" in name:
            fan_in = np.prod(shape[1:], dtype=int) if len(shape) > 1 else 100
            values = rng.standard_normal(shape, dtype=np.float32)
            values /= np.float32(np.sqrt(fan_in))
            drawn[name] = values
    return drawn


def built(peer: str, build: Callable[[Any], Any]) -> Any:
    """Build a model of graphgrad or PyTorch with those numbers."""
    library = loaded(peer)
    model = build(library.nn)
    state = model.state_dict()
    drawn = numbers({key: tuple(p.shape) for key, p in state.items()})
    model.load_state_dict({**state, **{k: library.constant(a) for k, a in drawn.items()}})
    return model


def training_step(peer: str, network: Network) -> Callable[[], float]:
    """Return one step on one batch, which returns its loss."""
    rng = np.random.default_rng(1)
    x = rng.random((BATCH, *network.shape), dtype=np.float32)
    labels = rng.integers(0, 10, BATCH)
    kind, lr = network.optimizer
    if peer == JAX:
        return _jax_training_step(network.build, x, labels, kind, lr)
    library = loaded(peer)
    model = built(peer, network.build)
    inputs, target = library.constant(x), library.constant(labels)
    optimizer = getattr(library.optim, kind)(model.parameters(), lr=lr)
    cross_entropy = library.nn.functional.cross_entropy

    def step() -> float:
        optimizer.zero_grad()
        loss = cross_entropy(model(inputs), target)
        loss.backward()
        optimizer.step()
        return loss.item()  # type: ignore[no-any-return]

    return step


def _jax_training_step(
    build: Callable[[Any], Any], x: Array, labels: Array, kind: str, lr: float
) -> Callable[[], float]:
    import jax

    from benchmarks import jax_modules, optimizing

    model = build(jax_modules)
    images, target = jax.numpy.asarray(x), jax.numpy.asarray(labels)
    params = {name: jax.numpy.asarray(a) for name, a in numbers(model.shapes).items()}
    rule, memories = optimizing.JAX_RULES[kind](lr)
    zeros = jax.tree.map(jax.numpy.zeros_like, params)
    state = (params, *[jax.tree.map(jax.numpy.copy, zeros) for _ in range(memories)])

    def loss(params: Any) -> Any:
        return jax_modules.cross_entropy(model(params, images), target)

    @functools.partial(jax.jit, donate_argnums=1)
    def step(count: Any, state: Any) -> Any:
        found, gradient = jax.value_and_grad(loss)(state[0])
        updated = {
            name: rule(count, gradient[name], *[part[name] for part in state]) for name in params
        }
        return found, tuple({k: v[i] for k, v in updated.items()} for i in range(memories + 1))

    taken = 0

    def one() -> float:
        nonlocal state, taken
        taken += 1
        found, state = step(np.float32(taken), state)
        return float(found)

    return one


def layer(peer: str, case: Layer) -> Work:
    """Return forward and backward of one layer, which returns the gradient of its input.

    Where the input is whole numbers, the gradient of the weight.
    """
    rng = np.random.default_rng(2)
    if case.rows is None:
        x: Array = rng.standard_normal(case.shape, dtype=np.float32)
    else:
        x = rng.integers(0, case.rows, case.shape)

    def upstream(shape: tuple[int, ...]) -> Array:
        return rng.standard_normal(shape, dtype=np.float32)

    if peer == JAX:
        return _jax_layer(case, x, upstream)
    library = loaded(peer)
    model = built(peer, case.build)
    parameters = list(model.parameters())
    inputs = library.constant(x) if case.rows else library.leaf(x)
    wanted = parameters[0] if case.rows else inputs
    g = library.constant(upstream(tuple(case.output(model(inputs)).shape)))
    leaves = parameters if case.rows else [inputs, *parameters]

    def both_ways() -> Any:
        for leaf in leaves:
            leaf.grad = None
        case.output(model(inputs)).backward(g)
        return wanted.grad

    return both_ways


def _jax_layer(case: Layer, x: Array, upstream: Callable[[tuple[int, ...]], Array]) -> Work:
    import jax

    from benchmarks import jax_modules

    model = case.build(jax_modules)
    params = {name: jax.numpy.asarray(a) for name, a in numbers(model.shapes).items()}
    inputs = jax.numpy.asarray(x)

    def forward(params: Any, x: Any) -> Any:
        return case.output(model(params, x))

    g = jax.numpy.asarray(upstream(jax.eval_shape(forward, params, inputs).shape))

    def both_ways(params: Any, x: Any, g: Any) -> Any:
        if case.rows:
            y, pull = jax.vjp(lambda params: forward(params, x), params)
            (of_params,) = pull(g)
            return of_params["weight"], y
        y, pull = jax.vjp(forward, params, x)
        of_params, of_x = pull(g)
        return of_x, y, *of_params.values()

    compiled = jax.jit(both_ways)
    return lambda: computed(compiled(params, inputs, g))[0]
