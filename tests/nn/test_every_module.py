"""What holds for every module of nn: gradients, dtypes, saving, repr, modes, summary."""

import copy
import math
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.engine.operands import unwrapped
from graphgrad.engine.trees import flatten
from graphgrad.errors import GraphgradError
from tests.every_module import EXAMPLES, Example

every_example = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
CLASSES = {x for x in vars(nn).values() if isinstance(x, type) and issubclass(x, nn.Module)} - {
    nn.Module
}


def made(example: Example, seed: int = 0, dtype: Any = np.float64) -> nn.Module:
    return example.make(np.random.default_rng(seed), dtype)


def inputs_of(example: Example, dtype: Any = np.float64) -> list[Any]:
    rng = np.random.default_rng(1)
    drawn = example.inputs(lambda *shape: rng.uniform(-2, 2, shape))
    return [np.asarray(x, dtype if np.asarray(x).dtype.kind == "f" else None) for x in drawn]


def outputs(result: Any) -> list[Any]:
    return [y for y in flatten(result)[0] if hasattr(y, "dtype") and y.dtype.kind == "f"]


def assert_same(ours: Any, theirs: Any) -> None:
    for a, b in zip(outputs(ours), outputs(theirs), strict=True):
        np.testing.assert_array_equal(unwrapped(a), unwrapped(b))


def test_every_class_has_an_example() -> None:
    there = {type(m) for e in EXAMPLES.values() for m in made(e).modules()}
    assert {c.__name__ for c in CLASSES - there - {nn.ModuleList}} == set()


@every_example
def test_gradients_are_those_of_numerical_differentiation(example: Example) -> None:
    inputs = inputs_of(example)
    floats = [i for i, x in enumerate(inputs) if x.dtype.kind == "f"]
    names = [name for name, p in made(example).named_parameters() if p.requires_grad]
    values = [p.data for _, p in made(example).named_parameters() if p.requires_grad]
    weights = np.random.default_rng(2)

    def run(*variables: Any) -> Any:
        module = made(example)  # anew, so that it draws the same masks
        given = list(inputs)
        for i, x in zip(floats, variables, strict=False):
            given[i] = x
        parameters = dict(zip(names, variables[len(floats) :], strict=True))
        outs = outputs(nn.functional_call(module, parameters, *given))
        return sum((y * w).sum() for y, w in zip(outs, scale, strict=True))

    scale = [weights.uniform(0.5, 1.5, y.shape) for y in outputs(made(example)(*inputs))]
    variables = [*(inputs[i] for i in floats), *values]
    if not any(x.size for x in variables):
        return
    total = sum(x.size for x in variables)
    report = gg.gradcheck(run, *variables, order=2 if total <= 12 else 1)
    assert report, report


@every_example
def test_float32_stays_float32(example: Example) -> None:
    module = made(example, dtype=np.float32)
    inputs = [
        gg.Tensor(x, requires_grad=True) if x.dtype.kind == "f" else x
        for x in inputs_of(example, np.float32)
    ]
    outs = outputs(module(*inputs))
    assert {y.dtype for y in outs} == {np.dtype(np.float32)}
    total: Any = sum(y.sum() for y in outs)
    if total.requires_grad:
        total.backward()
    for p in module.parameters():
        assert p.dtype == np.float32
        assert not p.requires_grad or p.grad is not None, "each parameter has a part in it"


@every_example
def test_a_state_dict_carries_everything(example: Example) -> None:
    """What another module computes differs, and is the same once the state is loaded."""
    inputs = inputs_of(example)
    trained = made(example)
    trained(*inputs)  # moves running statistics
    other = made(example, seed=3).eval()
    loaded = other.load_state_dict(trained.state_dict())
    assert loaded == ([], [])
    assert_same(other(*inputs), trained.eval()(*inputs))


@every_example
def test_evaluation_is_deterministic_and_changes_nothing(example: Example) -> None:
    module = made(example).eval()
    inputs = inputs_of(example)
    state = module.state_dict()
    assert_same(module(*inputs), module(*inputs))
    np.testing.assert_equal(module.state_dict(), state)


@every_example
def test_its_repr_is_what_one_would_type(example: Example) -> None:
    module = made(example)
    if next(module.children(), None) is not None:
        return
    again = eval(repr(module), nn.__dict__)  # our own text
    assert type(again) is type(module)
    assert repr(again) == repr(module)
    shapes = {name: p.shape for name, p in module.named_parameters()}
    assert {name: p.shape for name, p in again.named_parameters()} == shapes


@every_example
def test_a_deep_copy_is_independent(example: Example) -> None:
    module = made(example)
    other = copy.deepcopy(module)
    before = module.state_dict()
    for x in (*other.parameters(), *other.buffers()):
        x.data += 1
    np.testing.assert_equal(module.state_dict(), before)


@every_example
def test_a_summary_counts_it(example: Example) -> None:
    inputs = inputs_of(example)
    if any(x.dtype.kind != "f" or not x.ndim for x in inputs):
        return
    module = made(example)
    module.training = True
    shapes = [x.shape[1:] for x in inputs]
    try:
        table = nn.summary(module, shapes)
    except GraphgradError:
        assert any(x.ndim < 2 for x in inputs) or len({len(x) for x in inputs}) > 1
        return
    assert module.training
    assert not module._forward_hooks, "the hooks are gone"
    assert table.parameters == sum(math.prod(p.shape) for p in module.parameters())
    assert sum(row.parameters for row in table.rows) == table.parameters
    assert type(module).__name__ in str(table)
