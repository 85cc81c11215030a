"""Every module and loss, compiled with its backward pass: the same bits as without."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.engine.trees import flatten
from tests.compiling.against_eager import MOST, assert_same, programs, why_not
from tests.every_module import EXAMPLES

CALLS = 4  # the first two are traced
UNCOMPILED: dict[str, str] = {}  # modules that run as usual when compiled, and why


def step_of(module: Any) -> Callable[..., Any]:
    """Return a function that computes all outputs and, in the parameters, the gradients."""

    def step(*inputs: Any) -> Any:
        module.zero_grad()
        outs = [y for y in flatten(module(*inputs))[0] if y is not None]
        loss: Any = gg.Tensor(0.0)
        for y in outs:
            loss = loss + (y * np.cos(np.arange(y.size)).reshape(y.shape)).sum()
        if loss.requires_grad:
            loss.backward()
        return [y.detach() if isinstance(y, gg.Tensor) else y for y in outs]

    return step


def state_of(module: Any) -> Any:
    """List everything that a step may change."""
    generators = [
        value.bit_generator.state["state"]
        for part in module.modules()
        for value in vars(part).values()
        if isinstance(value, np.random.Generator)
    ]
    grads = [p.grad for p in module.parameters()]
    return [module.state_dict(), grads, [dict(s) for s in generators]]


def check(name: str, dtype: Any, *, training: bool) -> None:
    example = EXAMPLES[name]
    module = example.make(np.random.default_rng(1), dtype)
    module.train(training)
    reference = copy.deepcopy(module)
    fast: Any = gg.compile(step_of(module))
    slow = step_of(reference)
    rng = np.random.default_rng(2)
    draws = [example.inputs(lambda *shape: rng.uniform(-2, 2, shape)) for _ in range(CALLS)]
    for k, inputs in enumerate(draws):
        given = [
            rng.permutation(x.reshape(-1)).reshape(x.shape) if x.dtype.kind != "f"
            else x.astype(dtype)
            for x in map(np.asarray, inputs)
        ]  # fmt: skip
        gg.manual_seed(k)
        expected = slow(*given)
        gg.manual_seed(k)
        assert_same(fast(*given), expected, f"call {k}, output")
        assert_same(state_of(module), state_of(reference), f"call {k}, state")
        assert why_not(fast) is None, why_not(fast)
    assert 1 <= programs(fast) <= MOST, fast.explain()


COMPILED = [name for name in EXAMPLES if name not in UNCOMPILED]


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("name", COMPILED)
def test_same_bits_as_without(name: str, training: bool) -> None:
    check(name, np.float32, training=training)


@pytest.mark.whole
@pytest.mark.parametrize("name", COMPILED)
def test_same_bits_in_double_precision(name: str) -> None:
    check(name, np.float64, training=True)


@pytest.mark.parametrize("name", UNCOMPILED)
def test_what_is_listed_does_not_compile(name: str) -> None:
    with pytest.raises(AssertionError):
        check(name, np.float32, training=True)
