"""Recurrent layers against PyTorch: every combination of their arguments, in float64."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from graphgrad import nn
from tests.parity.compare import agree_as_modules

torch = pytest.importorskip("torch")


def flat(states: Any) -> list[Any]:
    return list(states) if isinstance(states, tuple) else [states]


@settings(max_examples=60)
@given(
    kind=st.sampled_from(["RNN", "LSTM", "GRU"]),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4)),
    batched=st.booleans(),
    states=st.booleans(),
    relu=st.booleans(),
    options=st.fixed_dictionaries(
        {
            "num_layers": st.integers(1, 3),
            "bias": st.booleans(),
            "batch_first": st.booleans(),
            "bidirectional": st.booleans(),
        }
    ),
)
def test_layers(
    kind: str,
    sizes: tuple[int, int, int, int],
    batched: bool,
    states: bool,
    relu: bool,
    options: dict[str, Any],
) -> None:
    length, batch, inputs, hidden = sizes
    if kind == "RNN":
        options = {**options, "nonlinearity": "relu" if relu else "tanh"}
    rng = np.random.default_rng(0)
    ours = getattr(nn, kind)(inputs, hidden, **options, rng=rng, dtype=float)
    theirs = getattr(torch.nn, kind)(inputs, hidden, **options).double()
    middle: tuple[int, ...] = (batch,) if batched else ()
    shape = (length, *middle, inputs)
    if batched and options["batch_first"]:
        shape = (batch, length, inputs)
    count = options["num_layers"] * (2 if options["bidirectional"] else 1)
    arrays = [rng.standard_normal(shape)]
    if states:
        number = 2 if kind == "LSTM" else 1
        arrays += [rng.standard_normal((count, *middle, hidden)) for _ in range(number)]

    def call(net: Any, x: Any, *hx: Any) -> list[Any]:
        out, end = net(x, hx[0] if len(hx) == 1 else hx) if hx else net(x)
        return [out, *flat(end)]

    agree_as_modules(ours, theirs, arrays, call)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
def test_cells(kind: str, batched: bool, bias: bool) -> None:
    rng = np.random.default_rng(0)
    ours = getattr(nn, kind)(3, 4, bias, rng=rng, dtype=float)
    theirs = getattr(torch.nn, kind)(3, 4, bias).double()
    middle = (2,) if batched else ()
    arrays = [rng.standard_normal((*middle, 3))]
    arrays += [rng.standard_normal((*middle, 4)) for _ in range(2 if kind == "LSTMCell" else 1)]

    def call(net: Any, x: Any, *hx: Any) -> list[Any]:
        return flat(net(x, hx[0] if len(hx) == 1 else hx))

    agree_as_modules(ours, theirs, arrays, call)
    agree_as_modules(ours, theirs, arrays[:1], lambda net, x: flat(net(x)))
