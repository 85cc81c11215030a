"""Networks and layers in graphgrad and in PyTorch.

The names of modules and their arguments are the same in both libraries, so a builder takes `nn`
or `torch.nn`; graphgrad has the networks of Saito's book in `nn.models`, and PyTorch gets their
layers here. Shapes of parameters come in the same order, so both start from the same numbers.
"""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

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
    """A network, the shape of an image, the optimizer, and the goal: share of PyTorch's time."""

    build: Callable[[Any], Any]
    shape: tuple[int, ...]
    optimizer: tuple[str, float]
    goal: float


NETWORKS = {
    "784-50-10, SGD": Network(mlp, (784,), ("SGD", 1e-3), 0.6),
    "SimpleConvNet, Adam": Network(simple_convnet, (1, 28, 28), ("Adam", 1e-3), 1.5),
    "deep conv net, Adam": Network(deep_convnet, (1, 28, 28), ("Adam", 1e-3), 3.0),
}
BATCH = 100


class Layer(NamedTuple):
    """A layer, the shape of its input, and the goal."""

    build: Callable[[Any], Any]
    shape: tuple[int, ...]
    goal: float | None


LAYERS = {
    "max pooling 2×2": Layer(lambda m: m.MaxPool2d(2), (100, 30, 24, 24), 2.0),
    "max pooling 3×3, stride 2": Layer(lambda m: m.MaxPool2d(3, 2), (32, 64, 55, 55), 2.0),
    "batch norm, maps": Layer(lambda m: m.BatchNorm2d(16), (100, 16, 28, 28), 2.0),
    "batch norm, units": Layer(lambda m: m.BatchNorm1d(100), (100, 100), 2.0),
    "convolution 5×5": Layer(lambda m: m.Conv2d(1, 30, 5), (100, 1, 28, 28), None),
    "convolution 3×3": Layer(lambda m: m.Conv2d(64, 64, 3, padding=1), (32, 64, 32, 32), None),
    "convolution 1×1": Layer(lambda m: m.Conv2d(64, 64, 1), (32, 64, 32, 32), None),
}


def libraries(name: str) -> tuple[Any, Any, Callable[[Array], Any]]:
    """Return the modules, the optimizers, and the tensor of an array."""
    if name == "PyTorch":
        torch = importlib.import_module("torch")
        return torch.nn, torch.optim, torch.tensor
    gg = importlib.import_module("graphgrad")
    return gg.nn, gg.optim, gg.Tensor


def built(name: str, build: Callable[[Any], Any]) -> Any:
    """Build a model with the same numbers in either library."""
    module = libraries(name)[0]
    model = build(module)
    rng = np.random.default_rng(0)
    state = {}
    for key, p in model.state_dict().items():
        shape = tuple(p.shape)
        fan_in = np.prod(shape[1:], dtype=int) if len(shape) > 1 else 100
        values = rng.standard_normal(shape, dtype=np.float32) / np.float32(np.sqrt(fan_in))
        state[key] = values if key.endswith(("weight", "bias")) else np.asarray(p)
    if name == "PyTorch":
        torch = importlib.import_module("torch")
        state = {key: torch.tensor(value) for key, value in state.items()}
    model.load_state_dict(state)
    return model


def training_step(name: str, network: Network) -> Callable[[], float]:
    """Return one step on one batch, which returns its loss."""
    module, optimizers, tensor = libraries(name)
    model = built(name, network.build)
    rng = np.random.default_rng(1)
    x = tensor(rng.random((BATCH, *network.shape), dtype=np.float32))
    labels = rng.integers(0, 10, BATCH)
    target = tensor(labels) if name == "PyTorch" else labels
    kind, lr = network.optimizer
    optimizer = getattr(optimizers, kind)(model.parameters(), lr=lr)
    cross_entropy = module.functional.cross_entropy

    def step() -> float:
        optimizer.zero_grad()
        loss = cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def layer(name: str, case: Layer) -> Work:
    """Return forward and backward of one layer, which returns the gradient of its input."""
    model = built(name, case.build)
    tensor = libraries(name)[2]
    rng = np.random.default_rng(2)
    data = rng.standard_normal(case.shape, dtype=np.float32)
    x = tensor(data)
    x.requires_grad = True
    shape = tuple(model(x).shape)
    g = rng.standard_normal(shape, dtype=np.float32)
    upstream = tensor(g) if name == "PyTorch" else g

    def both_ways() -> Any:
        x.grad = None
        for p in model.parameters():
            p.grad = None
        model(x).backward(upstream)
        return x.grad

    return both_ways


PARAMETERS = 10_000_000


def adam(name: str) -> Work:
    """Return one step of Adam on ten million parameters, which returns some of them."""
    optimizers, tensor = libraries(name)[1:]
    rng = np.random.default_rng(3)
    p = tensor(rng.standard_normal(PARAMETERS, dtype=np.float32))
    p.requires_grad = True
    g = rng.standard_normal(PARAMETERS, dtype=np.float32)
    p.grad = tensor(g) if name == "PyTorch" else g
    optimizer = optimizers.Adam([p], lr=1e-3)

    def step() -> Any:
        optimizer.step()
        return p.detach().numpy()[:1000]

    return step
