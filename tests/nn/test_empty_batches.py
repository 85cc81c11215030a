"""Batches and sequences of no elements: an empty result of the right shape, or a clear error."""

from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.engine.trees import flatten
from graphgrad.errors import ShapeError
from tests.every_module import EXAMPLES

# Where the batch, and the length of the sequences, stand if not on the first axis.
_SECOND = "MultiheadAttention|RNN|RNN of relu|LSTM|GRU|PositionalEncoding|TransformerEncoderLayer"
SECOND = _SECOND.split("|")
SEQUENCES = [*SECOND, "MultiheadAttention, batch first", "LSTM, batch first", "TransformerEncoder"]

# What no batch, or no length, makes undefined, by a phrase of the error.
UNDEFINED = {
    "Loss": "the mean of nothing is undefined",
    "HalfSquaredError": "the mean of nothing is undefined",
    "BatchNorm": "training needs at least 2",
}
WORKS = {"L1Loss", "NLLLoss", "HingeLoss, squared"}  # of other reductions
NO_STEP = "there must be at least one step"


def outcome(name: str, axis: int, count: int) -> tuple[list[Any], list[Any]]:
    """Run a module forward and backward with so many elements along an axis of its inputs."""
    example = EXAMPLES[name]
    model = example.make(np.random.default_rng(0), np.float64)
    rng = np.random.default_rng(1)
    inputs = example.inputs(lambda *shape: rng.standard_normal(shape))
    length = inputs[0].shape[axis]
    inputs = tuple(
        np.take(x, np.arange(count) % length, axis)
        if np.ndim(x) > axis and x.shape[axis] == length and not is_state(name, number, axis)
        else x
        for number, x in enumerate(inputs)
    )
    given = [gg.Tensor(x, requires_grad=True) if x.dtype.kind == "f" else x for x in inputs]
    outs = [y for y in flatten(model(*given))[0] if isinstance(y, gg.Tensor)]
    for y in outs:
        if y.requires_grad:
            y.sum().backward(retain_graph=True)
    for t in given:
        if isinstance(t, gg.Tensor) and t.grad is not None:
            assert t.grad.shape == t.shape
    return outs, [p.grad for p in model.parameters()]


def is_state(name: str, number: int, axis: int) -> bool:
    """Whether an input is a first state, which has no axis of steps."""
    return number > 0 and axis == 0 and name in ("RNN of relu", "GRU")


def phrase_of(name: str) -> str:
    if name in WORKS:
        return ""
    return next((phrase for part, phrase in UNDEFINED.items() if part in name), "")


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_batch_of_nothing(name: str) -> None:
    axis = int(name in SECOND)
    phrase = phrase_of(name)
    if phrase:
        with pytest.raises(ShapeError, match=phrase):
            outcome(name, axis, 0)
        return
    outs, slopes = outcome(name, axis, 0)
    two, _ = outcome(name, axis, 2)
    four, _ = outcome(name, axis, 4)
    for y, a, b in zip(outs, two, four, strict=True):
        assert y.shape == tuple(2 * n - m for n, m in zip(a.shape, b.shape, strict=True))
        assert y.dtype == a.dtype
        assert y.size == 0 or not y.data.any()
    assert not any(g.any() for g in slopes if g is not None)


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences_of_no_length(name: str) -> None:
    axis = 1 - int(name in SECOND)
    if "RNN" in name or "GRU" in name or "LSTM" in name:
        with pytest.raises(ShapeError, match=NO_STEP):
            outcome(name, axis, 0)
        return
    outs, slopes = outcome(name, axis, 0)
    assert all(not y.size for y in outs)
    assert not any(g.any() for g in slopes if g is not None)


@pytest.mark.parametrize("batch_first", [False, True])
def test_attention_to_nothing(batch_first: bool) -> None:
    """A mean over no values is 0: what is left is the bias behind it."""
    layer = nn.MultiheadAttention(4, 2, batch_first=batch_first, rng=np.random.default_rng(0))
    query = gg.Tensor(np.ones((2, 3, 4), np.float32), requires_grad=True)
    nothing = np.ones((2, 0, 4) if batch_first else (0, 3, 4), np.float32)
    out, weights = layer(query, nothing, nothing)
    assert out.shape == (2, 3, 4)
    assert weights.size == 0
    bias = layer.out_proj.bias
    assert bias is not None
    np.testing.assert_array_equal(out.data, np.broadcast_to(bias.data, out.shape))
    out.sum().backward()
    assert query.grad is not None
    assert not query.grad.any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_any_axis_of_nothing_is_right_or_an_error_of_ours(axis: int) -> None:
    found = {}
    for name, example in EXAMPLES.items():
        inputs = example.inputs(lambda *shape: np.ones(shape))
        if np.ndim(inputs[0]) > axis:
            try:
                outcome(name, axis, 0)
            except ShapeError as error:
                found[name] = error
    in_numpys_words = {n: e for n, e in found.items() if e.__cause__ or "cannot resh" in str(e)}
    assert not in_numpys_words
