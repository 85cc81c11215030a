"""A call that works of every public function and class, its arguments seen as they are given.

The calls come from what stands already (the domains of the ops, the tables of modules and
optimizers) and, for the rest, from `others` below: it calls, and a profiler notes the arguments.
"""

import copy
import inspect
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import graphgrad as gg
from graphgrad import data, nn, optim, viz
from graphgrad.checks.laws import Case
from graphgrad.engine.composite import Composite
from graphgrad.engine.domains import Reduction
from graphgrad.engine.op import Op
from graphgrad.nn import functional as F, init, models  # noqa: N812
from graphgrad.testing import typical_calls
from graphgrad.viz import plots
from tests.builders import leaf
from tests.every_module import EXAMPLES, Example
from tests.optimizer_cases import CASES, START

SPACES: dict[str, types.ModuleType] = {
    "gg": gg,
    "linalg": gg.linalg,
    "nn": nn,
    "nn.functional": F,
    "nn.init": init,
    "nn.models": models,
    "optim": optim,
    "data": data,
    "viz": viz,
    "viz.plots": plots,
    "testing": gg.testing,
}
# Records of numbers that the package makes and hands out, and what fills them
RECORDS = {
    *("viz.ModuleCall", "viz.ModuleNote", "viz.Numbers", "viz.Snapshot", "viz.OpStep", "viz.Value"),
    *("optim.Schedule", "viz.View", "viz.take", "viz.traced", "viz.Graph"),
    *("nn.SanityReport", "nn.SearchResult", "nn.TrialResult", "nn.Trial"),
}


class Good(NamedTuple):
    """A function and its arguments by name, those of ``*args`` as a tuple."""

    function: Callable[..., Any]
    arguments: dict[str, Any]

    def copied(self) -> dict[str, Any]:
        """Copy the arguments, together where that is possible, for a call may change them."""
        try:
            return copy.deepcopy(self.arguments)
        except Exception:  # noqa: BLE001 - figures and computed tensors have no copies
            return dict(self.arguments)


def signature_of(function: Any) -> Mapping[str, inspect.Parameter]:
    """Read the parameters of a function, a class or an op."""
    if isinstance(function, Op | Composite):
        body = function.body if isinstance(function, Composite) else function.forward
        if isinstance(function, Op) and isinstance(function.function, np.ufunc):
            body = (lambda x: x) if function.inputs == 1 else (lambda x, y: (x, y))
        return inspect.signature(body).parameters
    return inspect.signature(function).parameters


def apply(
    function: Any, arguments: Mapping[str, Any], like: Any = None, named: Collection[str] = ()
) -> Any:
    """Call a function with arguments by name, in their places as far as these are given.

    ``like``: another function, whose parameters these are; ``named``: which have no place.
    """
    like = function if like is None else like
    parameters = signature_of(like)
    if isinstance(like, Op | Composite):  # NumPy's order may have others between ours
        order = like.binder.order
        named = {n for k, n in enumerate(parameters) if order[k : k + 1] != (n,)}.union(named)
    given = dict(arguments)
    positional: list[Any] = []
    for name, parameter in parameters.items():
        if name not in given or name in named:
            break
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            positional.append(given.pop(name))
        elif parameter.kind is parameter.VAR_POSITIONAL:
            positional += given.pop(name)
    for name, parameter in parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            given.update(given.pop(name, {}))
    return function(*positional, **given)


def public() -> dict[str, Any]:
    """Name what the public namespaces hold, each thing once."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    for space, module in SPACES.items():
        for name in dir(module):
            if name.startswith("_"):
                continue
            value = getattr(module, name)
            home = str(getattr(value, "__module__", ""))
            own = home.startswith("graphgrad") and (
                space in {"gg", "linalg"} or module.__name__ in home
            )
            if isinstance(value, types.ModuleType) or not callable(value) or not own:
                continue
            if isinstance(value, type) and issubclass(value, Exception):
                continue
            if id(value) not in seen:
                seen.add(id(value))
                found[f"{space}.{name}"] = value
    for name, value in inspect.getmembers(gg.Tensor, inspect.isfunction):
        if not name.startswith("_"):
            found[f"Tensor.{name}"] = value
    return {name: found[name] for name in sorted(found) if name not in RECORDS}


def others(folder: Path) -> Iterator[Callable[[], Any]]:  # noqa: PLR0915 - a list of calls
    """Call what no table calls, one after another."""
    rng = np.random.default_rng(0)
    from graphgrad import testing
    from tests.examples.test_training_scripts import write_cifar10, write_mnist
    from tests.search_objectives import distance

    x = leaf(rng.standard_normal((2, 3)), name="x")
    image = rng.random((4, 3, 8, 8)).astype(np.float32)
    f = lambda a: (a * a).sum()  # noqa: E731
    points = np.array([1.0, 2.0])
    for transform in (gg.grad, gg.value_and_grad, gg.jacobian, gg.hessian):
        yield partial(transform, f, 0)
    yield lambda: gg.jvp(f, (points,), (points,))
    yield lambda: gg.hvp(f, (points,), (points,))
    yield lambda: gg.vjp(f, points)
    yield lambda: gg.gradients(x, [x], np.ones((2, 3)))
    yield lambda: gg.recompute(f, x, rngs=(rng,))
    yield lambda: gg.compile(f)
    yield lambda: gg.gradcheck(f, points, rng=rng)
    yield lambda: gg.explain_grad((x * x).sum(), x)
    yield lambda: gg.numerical_gradient(f, points, h=1e-4)
    yield lambda: gg.graph(f, points)
    yield lambda: gg.manual_seed(3)
    yield gg.detect_anomaly
    for index in (gg.argmax, gg.argmin, gg.argsort):
        yield partial(index, x, 0)
    yield lambda: F.identity(x)
    yield lambda: gg.op(lambda a: a, lambda g: g, name="same", symbol="=", doc="Same.")
    for name, args in {
        "sum": (0,), "mean": (0,), "prod": (0,), "var": (0,), "std": (0,), "max": (0,),
        "min": (0,), "cumsum": (0,), "cumprod": (0,), "trace": (), "argmax": (0,),
        "argmin": (0,), "argsort": (0,), "all": (0,), "any": (0,), "reshape": (3, 2), "ravel": (),
        "flatten": (), "transpose": (1, 0), "swapaxes": (0, 1), "diagonal": (), "repeat": (2, 0),
        "take": ([0, 1], 0), "sort": (0,), "astype": (np.float32,), "dot": (np.ones(3),),
        "clip": (-1.0, 1.0), "round": (1,), "register_hook": (lambda g: g,),
    }.items():  # fmt: skip
        yield partial(getattr(x, name), *args)
    yield lambda: x[:1].squeeze(0)
    yield lambda: x.backward(np.ones((2, 3)))
    tiny = nn.Sequential(nn.Affine(3, 4, rng=rng), nn.ReLU(), nn.Affine(4, 2, rng=rng))
    samples = data.Dataset(rng.standard_normal((12, 3)).astype(np.float32), rng.integers(0, 2, 12))
    batches = data.Batches(samples, 4, rng=rng, prefetch=0)
    optimizer = optim.Adam(tiny.parameters(), lr=0.01)
    watch = nn.Diagnosis(tiny)
    yield lambda: nn.Parameter(np.ones(2))
    yield lambda: nn.Buffer(np.ones(2))
    yield lambda: nn.ModuleList([nn.ReLU()])
    yield lambda: nn.Choice(["relu", "tanh"])
    yield lambda: nn.Range(1e-4, 1.0, log=True)
    yield lambda: nn.Diagnosis(tiny)
    yield lambda: nn.Checkpoints(folder / "steps")
    yield lambda: nn.Trainer(tiny, optimizer, batches, validation=samples, rngs=[rng])
    yield lambda: nn.accuracy(np.eye(3), np.array([0, 1, 1]))
    yield lambda: nn.functional_call(tiny, {"0.bias": np.ones(4)}, np.ones((2, 3)))
    yield lambda: nn.save(tiny, folder / "weights.safetensors")
    yield lambda: nn.load(folder / "weights.safetensors")
    yield lambda: nn.predict(tiny, np.ones((3, 3)))
    yield lambda: nn.sanity_checks(tiny, samples, steps=3, samples=4)
    yield lambda: nn.summary(tiny, (2, 3))
    convolution = nn.Conv2d(1, 2, 3, rng=rng)
    yield lambda: nn.to_affine(convolution, (1, 3, 3))
    yield lambda: nn.to_convolution(nn.Affine(9, 2, rng=rng), (1, 3, 3))
    space = {"lr": nn.Range(1e-6, 1e-2, log=True)}
    yield lambda: nn.search(distance, space, trials=2, maximize=False, rng=rng)
    yield lambda: F.causal_mask(3, 3)
    columns = F.im2col(image, 2, stride=2)
    yield lambda: F.im2col(image, 2, stride=2)
    yield lambda: F.col2im(columns, image.shape, 2, stride=2)
    yield lambda: F.conv_transpose1d(np.ones((1, 2, 4)), np.ones((2, 3, 2)))
    yield lambda: F.hardtanh(x)
    yield lambda: F.selu(x)
    yield lambda: F.relu6(x)
    yield lambda: F.sinusoidal_positions(4, 6)
    yield partial(F.attention_weights, x[None], x[None], x[None])
    yield partial(F.scaled_dot_product_attention, x[None], x[None], x[None])
    yield lambda: F.batch_norm(x, np.zeros(3), np.ones(3), training=True)
    yield lambda: init.initialize(tiny, init.kaiming_normal, rng=rng)
    yield lambda: init.fans((3, 4))
    for make in (
        init.kaiming_normal, init.kaiming_uniform, init.lecun_normal, init.lecun_uniform,
        init.normal, init.orthogonal, init.uniform, init.xavier_normal, init.xavier_uniform,
        init.zeros,
    ):  # fmt: skip
        yield partial(make, (3, 4), rng=rng)
    yield lambda: init.constant((3, 4), value=1.0)
    yield lambda: init.sparse((3, 4), rng=rng, nonzero=2)
    small: dict[str, Any] = {"num_classes": 3, "width": 0.05, "rng": rng}
    yield lambda: models.AlexNet(**small)
    yield lambda: models.ZFNet(**small)
    yield lambda: models.GoogLeNet(**small)
    yield lambda: models.VGG((1, 1, 1, 1, 1), **small)
    yield lambda: models.ResNet(models.BasicBlock, (1, 1, 1, 1), **small)
    yield lambda: models.Bottleneck(2, 3, 1)
    for make_model in (
        models.alexnet, models.zfnet, models.googlenet, models.vgg11, models.vgg16, models.vgg19,
        models.resnet18, models.resnet34, models.resnet50,
    ):  # fmt: skip
        yield partial(make_model, 3, width=0.05, rng=rng)
    yield lambda: models.LeNet5((1, 16, 16), rng=rng)
    yield lambda: models.SimpleConvNet((1, 8, 8), filters=2, kernel_size=3, hidden=4, rng=rng)
    yield lambda: models.DeepConvNet((1, 8, 8), maps=(1, 1, 2, 2, 2, 2), hidden=4, rng=rng)
    yield lambda: models.auxiliary_cross_entropy(np.ones((2, 3)), np.array([0, 1]))
    params = [nn.Parameter(start) for start in START]
    for p in params:
        p.grad = np.ones(p.shape)
    yield lambda: optim.Newton(params, damping=0.1)
    yield lambda: optim.Optimizer(params, lr=0.1)
    for schedule, how in {
        "StepLR": (3,), "MultiStepLR": ([1, 3],), "ExponentialLR": (0.9,), "InverseTimeLR": (0.1,),
        "CosineAnnealingLR": (5,), "LinearLR": (), "LambdaLR": (lambda _: 1.0,),
        "MomentumSchedule": (5,), "ReduceLROnPlateau": (),
    }.items():  # fmt: skip
        yield partial(getattr(optim, schedule), optimizer, *how)
    yield lambda: optim.OneCycleLR(optimizer, 0.1, total_steps=10)
    yield lambda: optim.OneCycleLR(optimizer, 0.1, epochs=2, steps_per_epoch=5)
    steps = [optim.StepLR(optimizer, 3), optim.StepLR(optimizer, 2)]
    yield lambda: optim.SequentialLR(optimizer, steps, [4])
    for name, how in {
        "RunningAverage": (), "clip_grad_norm": (1.0,), "clip_grad_value": (1.0,),
        "elastic_penalty": (0.1, 0.1), "l1_penalty": (0.1,), "l2_penalty": (0.1,),
    }.items():  # fmt: skip
        yield partial(getattr(optim, name), params, *how)
    yield lambda: optim.max_norm_(params[:1], 1.0, 0)
    yield lambda: data.Batches(samples, 4, rng=rng, prefetch=0)
    for kind, how in {
        "Brightness": (0.2,), "Crop": (6, 6, 1), "Flip": (0.5,), "PCA": (2,), "Rotate": (10.0,),
        "Scale": (0.1,), "Shift": (1,), "Whiten": (2,), "Dataset": (image, np.arange(4)),
    }.items():  # fmt: skip
        yield partial(getattr(data, kind), *how)
    yield lambda: next(iter(data.k_folds(samples, 3, rng=rng)))
    yield lambda: data.one_hot(np.array([0, 1, 2]), 3)
    yield lambda: data.split(samples, 0.5, rng=rng)
    yield data.load_digits
    files = folder / "mnist"
    write_mnist(files)
    yield lambda: data.load_mnist(folder=files, download=False)
    yield lambda: data.load_fashion_mnist(folder=files, download=False)
    cifar = folder / "cifar"
    write_cifar10(cifar)
    yield lambda: data.load_cifar10(folder=cifar, download=False)
    history = nn.Trainer(tiny, optimizer, batches, diagnosis=watch).fit(1)
    yield lambda: viz.training_page(history, folder / "page.html", diagnosis=watch)
    figure = plots.figure(4, 3)
    axes = figure.subplots()
    yield lambda: plots.figure(4, 3)
    yield lambda: plots.curve_style(1)
    yield lambda: plots.tidy(axes)
    yield lambda: plots.show_curves(axes, {"loss": [1.0, 0.5]})
    yield lambda: plots.save(figure, folder / "curve.png", dpi=30)
    yield lambda: plots.show_images(plots.figure(4, 3), image)
    op: Any = gg.tanh
    yield lambda: Case(op, typical_calls(op)[1])
    yield lambda: testing.calls(op)
    yield lambda: testing.check_call(op, typical_calls(op)[1])
    yield lambda: testing.check_op(op, examples=1)
    yield lambda: testing.check_module(nn.Linear(3, 2, rng=rng), np.ones((2, 3)))
    yield lambda: testing.check_optimizer(lambda params: optim.SGD(params, lr=0.01))
    yield lambda: testing.typical_calls(op)
    yield lambda: testing.axes((2, 3))
    yield lambda: testing.broadcastable(2)
    yield lambda: testing.elementwise_calls(op.domain)
    yield lambda: testing.reduction_calls(Reduction())
    yield testing.generators
    yield testing.shapes
    yield lambda: testing.sample((2, 3), rng=rng)
    yield lambda: testing.sample_apart([(2,)], [(0.0, 1.0)], rng=rng)
    yield lambda: testing.Sampler(rng=rng)


def _made_and_called(example: Example, rng: np.random.Generator) -> None:
    module = example.make(rng, np.float64)
    module(*example.inputs(lambda *shape: rng.standard_normal(shape)))


def tables() -> Iterator[Callable[[], Any]]:
    """Make and call the modules of the table, and the optimizers."""
    for example in EXAMPLES.values():
        rng = np.random.default_rng(0)
        yield partial(_made_and_called, example, rng)
    params = [nn.Parameter(start) for start in START]
    for case in reversed(CASES.values()):
        yield partial(getattr(optim, case.name), params, **case.options)


def good_calls(folder: Path) -> dict[str, Good]:  # noqa: C901
    """Return a call that works of everything public that takes arguments."""
    names = public()
    found: dict[str, Good] = {}
    by_code: dict[Any, list[tuple[str, Any]]] = {}
    for name, value in names.items():
        if isinstance(value, Op | Composite):
            typical = typical_calls(value)[0]
            found[name] = Good(value, _bound(value, typical.args, typical.kwargs))
            continue
        makes: Any = value
        if isinstance(value, type):
            makes = value.__init__ if value.__init__ is not object.__init__ else value.__new__  # type: ignore[misc]
        code = getattr(inspect.unwrap(makes), "__code__", None)
        if code is not None:
            by_code.setdefault(code, []).append((name, value))

    def see(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in by_code:
            given = dict(frame.f_locals)
            for name, value in by_code[frame.f_code]:
                own = dict(given)
                if isinstance(value, type):
                    first = own.pop(frame.f_code.co_varnames[0])
                    if (type(first) if not isinstance(first, type) else first) is not value:
                        continue
                if name not in found:
                    sys.setprofile(None)
                    own = {k: own[k] for k in signature_of(value) if k in own}
                    found[name] = Good(value, Good(value, own).copied())
                    sys.setprofile(see)

    for calls in (others(folder), tables()):
        for call in calls:
            sys.setprofile(see)
            try:
                call()
            finally:
                sys.setprofile(None)
    return {name: found[name] for name in sorted(found) if len(signature_of(found[name].function))}


def _bound(op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Give the arguments of an op their names, and let its first floating array be a Tensor."""
    parameters = signature_of(op)
    given: dict[str, Any] = {}
    rest = list(args)
    for name, parameter in parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            given[name], rest = tuple(rest), []
        elif parameter.kind is parameter.VAR_KEYWORD:
            continue
        elif rest:
            given[name] = rest.pop(0)
        elif name in kwargs:
            given[name] = kwargs[name]
    for name, value in given.items():
        if getattr(getattr(value, "dtype", None), "kind", "") == "f":
            given[name] = leaf(value)
            break
        if isinstance(value, list | tuple) and value and hasattr(value[0], "dtype"):
            given[name] = type(value)(map(gg.Tensor, value))
            break
    return given
