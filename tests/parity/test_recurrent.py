"""Recurrent layers against PyTorch: every combination of their arguments, in float64."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import graphgrad as gg
from graphgrad import nn
from graphgrad.engine.operands import unwrapped

torch = pytest.importorskip("torch")


def flat(states: Any) -> list[Any]:
    return list(states) if isinstance(states, tuple) else [states]


def assert_close(ours: Any, theirs: Any, tolerance: float, what: str) -> None:
    np.testing.assert_allclose(
        unwrapped(ours), theirs.detach().numpy(), tolerance, tolerance, err_msg=what
    )


def compare(ours: Any, theirs: Any, arrays: list[Any], call: Any) -> None:
    """Give both the same weights and inputs; compare outputs and every gradient."""
    rng = np.random.default_rng(1)
    theirs.load_state_dict({n: torch.tensor(a) for n, a in ours.state_dict().items()})
    xs = [gg.Tensor(a, requires_grad=True) for a in arrays]
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    total, their_total = 0.0, 0.0
    for number, (y, t) in enumerate(zip(call(ours, *xs), call(theirs, *ts), strict=True)):
        assert_close(y, t, 1e-10, f"output {number}")
        upstream = rng.standard_normal(y.shape)
        total = total + (y * upstream).sum()
        their_total = their_total + (t * torch.tensor(upstream)).sum()
    total.backward()  # type: ignore[attr-defined]
    their_total.backward()  # type: ignore[attr-defined]
    for number, (x, t) in enumerate(zip(xs, ts, strict=True)):
        assert_close(x.grad, t.grad, 1e-9, f"input {number}")
    grads = dict(theirs.named_parameters())
    assert [n for n, _ in ours.named_parameters()] == list(grads)
    for name, p in ours.named_parameters():
        assert_close(p.grad, grads[name].grad, 1e-9, name)


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

    compare(ours, theirs, arrays, call)


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

    compare(ours, theirs, arrays, call)
    compare(ours, theirs, arrays[:1], lambda net, x: flat(net(x)))


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_training_follows_pytorch(kind: str) -> None:
    """Twenty steps of descent through two layers in both directions, from the same start."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 4, 3))
    options: dict[str, Any] = {"num_layers": 2, "bidirectional": True}
    ours = getattr(nn, kind)(3, 2, **options, rng=rng, dtype=float)
    theirs = getattr(torch.nn, kind)(3, 2, **options).double()
    theirs.load_state_dict({n: torch.tensor(a) for n, a in ours.state_dict().items()})
    losses, their_losses = [], []
    for _ in range(20):
        loss = ((ours(x)[0] - 0.5) ** 2).mean()
        loss.backward()
        their_loss = ((theirs(torch.tensor(x))[0] - 0.5) ** 2).mean()
        their_loss.backward()
        for p in ours.parameters():
            p.data -= 0.5 * p.grad
        with torch.no_grad():
            for p in theirs.parameters():
                p.sub_(0.5 * p.grad)
        ours.zero_grad()
        theirs.zero_grad()
        losses.append(loss.item())
        their_losses.append(their_loss.item())
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(losses, their_losses, rtol=1e-10)
