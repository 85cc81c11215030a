"""What holds for every module of nn: the laws, its repr, and what a summary counts."""

import math
from typing import Any

import numpy as np
import pytest

from graphgrad import nn
from graphgrad.engine.operands import unwrapped
from graphgrad.engine.trees import flatten
from graphgrad.errors import GraphgradError
from graphgrad.testing import check_module
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


def test_every_class_has_an_example() -> None:
    there = {type(m) for e in EXAMPLES.values() for m in made(e).modules()}
    assert {c.__name__ for c in CLASSES - there - {nn.ModuleList}} == set()


RESTING: dict[type, list[str]] = {
    nn.LSTMCell: ["weight_hh"],  # the first state is 0
    nn.TransformerEncoder: ["layers"],  # a norm of two numbers makes 1 and -1 of them
}


@every_example
def test_the_laws_of_modules_hold(example: Example) -> None:
    module = made(example)
    check_module(module, *inputs_of(example), resting=RESTING.get(type(module), ()))


@every_example
def test_a_state_dict_carries_what_another_seed_drew(example: Example) -> None:
    trained, other = made(example), made(example, seed=3).eval()
    trained(*inputs_of(example))  # moves running statistics
    other.load_state_dict(trained.state_dict())
    found = [outputs(module(*inputs_of(example))) for module in (other, trained.eval())]
    ours, theirs = ([unwrapped(y) for y in ys] for ys in found)
    np.testing.assert_equal(ours, theirs)


@every_example
def test_elementwise_layers_say_so(example: Example) -> None:
    module, (x, *others) = made(example).eval(), inputs_of(example)
    rng = np.random.default_rng(2)
    for p in module.parameters():
        p.data = rng.standard_normal(p.shape)
    order = rng.permutation(x.size)
    moved = x.reshape(-1)[order].reshape(x.shape)
    y, z = (unwrapped(outputs(module(v, *others))[0]) for v in (x, moved))
    same = y.shape == x.shape and bool((y.reshape(-1)[order] == z.reshape(-1)).all())
    only_in_evaluation = isinstance(module, nn.BatchNorm2d | nn.Dropout2d)
    assert getattr(module, "elementwise", False) == (same and not others and not only_in_evaluation)


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
