"""Recurrent layers and embeddings: equal to their small steps, and what they refuse."""

from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import ArgumentError, DtypeError, IndexingError, ShapeError, UnsupportedError
from tests.builders import Refusals, refuses
from tests.equality import assert_equals_composition

F = nn.functional
T, N, D, H = 3, 2, 3, 2
KINDS = {"rnn tanh": 1, "rnn relu": 1, "lstm": 4, "gru": 3}


def arrays(kind: str, bias: bool = True) -> list[Any]:
    rng = np.random.default_rng(1)
    rows = KINDS[kind] * H
    shapes = [(T, N, D), (N, H), *[(N, H)] * (kind == "lstm"), (rows, D), (rows, H)]
    shapes += [(rows,), (rows,)] * bias
    return [rng.uniform(-1, 1, shape) for shape in shapes]


def fused(kind: str, reverse: bool, *inputs: Any) -> Any:
    if kind == "lstm":
        return F.lstm_layer(*inputs, reverse=reverse)
    if kind == "gru":
        return F.gru_layer(*inputs, reverse=reverse)
    return F.rnn_layer(*inputs, nonlinearity=kind.split()[1], reverse=reverse)


def small_steps(kind: str, reverse: bool, x: Any, *inputs: Any) -> Any:
    count = 2 if kind == "lstm" else 1
    states, (w_ih, w_hh, *biases) = list(inputs[:count]), inputs[count:]
    b_ih, b_hh = biases or (0.0, 0.0)
    outputs = []
    for t in range(T)[::-1] if reverse else range(T):
        h = states[0]
        z, u = x[t] @ w_ih.T + b_ih, h @ w_hh.T + b_hh
        if kind == "lstm":
            i, f, g, o = np.split(z + u, 4, axis=1)
            states[1] = gg.sigmoid(f) * states[1] + gg.sigmoid(i) * np.tanh(g)
            states[0] = gg.sigmoid(o) * np.tanh(states[1])
        elif kind == "gru":
            (zr, zy, zn), (ur, uy, un) = np.split(z, 3, axis=1), np.split(u, 3, axis=1)
            y = gg.sigmoid(zy + uy)
            n = np.tanh(zn + gg.sigmoid(zr + ur) * un)
            states[0] = (1 - y) * n + y * h
        else:
            states[0] = gg.relu(z + u) if "relu" in kind else np.tanh(z + u)
        outputs.append(states[0])
    return np.stack(outputs[::-1] if reverse else outputs), *states


@pytest.mark.parametrize("bias", [True, False], ids=["biases", "no biases"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forth", "back"])
@pytest.mark.parametrize("kind", KINDS)
def test_all_steps_at_once_equal_small_steps(kind: str, reverse: bool, bias: bool) -> None:
    assert_equals_composition(
        lambda *inputs: fused(kind, reverse, *inputs),
        lambda *inputs: small_steps(kind, reverse, *inputs),
        *arrays(kind, bias),
    )


def test_only_the_last_state_is_used() -> None:
    """Then no gradient of the other outputs arrives at the op."""
    inputs = arrays("lstm")
    for which in (1, 2):
        assert_equals_composition(
            lambda *given, which=which: fused("lstm", False, *given)[which],
            lambda *given, which=which: small_steps("lstm", False, *given)[which],
            *inputs,
        )


def test_gates_far_out_neither_warn_nor_overflow() -> None:
    """Where every gate is 0 or 1 to the last digit, the cell just counts."""
    x, h, c, w_ih, w_hh = arrays("lstm", bias=False)
    b = np.repeat([1000.0, 1000.0, 1000.0, 1000.0], H)
    ends = F.lstm_layer(x, h, c, w_ih, w_hh, b)[2]
    np.testing.assert_allclose(ends, c + T, rtol=1e-15)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_one_sequence_is_a_batch_of_one(kind: Any) -> None:
    net = kind(D, H, num_layers=2, bidirectional=True, rng=np.random.default_rng(0), dtype=float)
    x = np.random.default_rng(3).standard_normal((T, D))
    with gg.no_grad():
        (out, end), (outs, ends) = net(x), net(x[:, None])
    np.testing.assert_array_equal(out, outs[:, 0])
    np.testing.assert_array_equal(np.stack(end), np.stack(ends)[..., 0, :])


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_layer_and_cell_have_the_nonlinearity_that_was_asked_for(nonlinearity: str) -> None:
    rng = np.random.default_rng(0)
    options: dict[str, Any] = {"nonlinearity": nonlinearity, "rng": rng, "dtype": float}
    layer: Any = nn.RNN(D, H, **options)
    cell: Any = nn.RNNCell(D, H, **options)
    x, h = rng.standard_normal((1, N, D)), rng.standard_normal((N, H))
    for net, found in ((layer, layer(x, h[None])[0][0]), (cell, cell(x[0], h))):
        wanted = F.rnn_layer(x, h, *net.parameters(), nonlinearity=nonlinearity)[1]
        np.testing.assert_array_equal(found.numpy(), wanted.numpy())


def test_dropout_lies_between_layers_in_training_only() -> None:
    """The first layer's states are what they were, and evaluation drops nothing."""
    x = np.random.default_rng(4).standard_normal((T, N, D))
    nets = [nn.GRU(D, 50, num_layers=2, dropout=p, rng=np.random.default_rng(0)) for p in (0, 0.5)]
    (plain, plain_end), (thinned, thinned_end) = (net(x) for net in nets)
    np.testing.assert_array_equal(plain_end.numpy()[0], thinned_end.numpy()[0])
    assert np.all(plain.numpy() != thinned.numpy())
    np.testing.assert_array_equal(nets[1].eval()(x)[0].numpy(), plain.numpy())


def test_long_sequences_do_not_recurse_and_keep_their_gradient() -> None:
    """A state that is only carried on has a gradient of 1 through 2,000 steps."""
    h0 = gg.Tensor([[0.5]], requires_grad=True)
    hs, _ = F.rnn_layer(
        np.zeros((2000, 1, 1)), h0, np.zeros((1, 1)), np.ones((1, 1)), nonlinearity="relu"
    )
    hs[-1].sum().backward()
    np.testing.assert_array_equal(h0.grad, [[1.0]])


ones = np.ones
REFUSED: Refusals = {
    ArgumentError: {
        "'elu'; there are .*tanh.*relu": lambda: nn.RNN(2, 3, nonlinearity="elu"),
        "padding_idx 3 is none of 3 rows": lambda: nn.Embedding(3, 2, padding_idx=3),
    },
    ShapeError: {
        r"x \(4, 5\) must be .*D = 2": lambda: nn.LSTM(2, 3)(ones((4, 5))),
        r"initial states as \(h, c\)": lambda: nn.LSTM(2, 3)(ones((4, 5, 2)), ones((1, 5, 3))),
        r"initial h \(2, 5, 3\) must be \(1, 5, 3\)": lambda: nn.GRU(2, 3)(
            ones((4, 5, 2)), ones((2, 5, 3))
        ),
        r"x \(3,\) must be \(N, 2\) or \(2,\)": lambda: nn.LSTMCell(2, 3)(ones(3)),
        r"initial states \[\(1, 3\)\] must be \[\(4, 3\)\]": lambda: nn.GRUCell(2, 3)(
            ones((4, 2)), ones((1, 3))
        ),
        r"weights must be \(3·H, D\) and \(3·H, H\)": lambda: F.gru_layer(
            ones((1, 1, 2)), None, ones((3, 2)), ones((4, 1))
        ),
        r"weight \(3,\) must be \(V, D\)": lambda: F.embedding([0], ones(3)),
        r"\(3,\) float64; give floats \(V, D\)": lambda: nn.Embedding.from_pretrained(ones(3)),
    },
    DtypeError: {
        "float64; give integers": lambda: nn.Embedding(3, 2)([0.0]),
    },
    IndexingError: {
        "from 0 to 3, .* rows 0 to 2": lambda: nn.Embedding(3, 2)([0, 3]),
        "from -1 to -1": lambda: nn.Embedding(3, 2)([-1]),
    },
    UnsupportedError: {
        "not differentiable in 'index'": lambda: F.embedding(
            gg.Tensor([0.0], requires_grad=True), ones((3, 1))
        )
    },
}
test_what_does_not_fit_is_refused = refuses(REFUSED)


@pytest.mark.parametrize("padding_idx", [1, -3])
def test_padding_is_zeros_and_is_never_learned(padding_idx: int) -> None:
    table = nn.Embedding(4, 2, padding_idx=padding_idx, rng=np.random.default_rng(0))
    out = table([[0, 1], [1, 3]])
    np.testing.assert_array_equal(out.numpy()[[0, 1], [1, 0]], 0)
    out.sum().backward()
    np.testing.assert_array_equal(table.weight.grad, [[1, 1], [0, 0], [0, 0], [1, 1]])


def test_given_vectors() -> None:
    vectors = np.arange(6.0).reshape(3, 2)
    frozen = nn.Embedding.from_pretrained(vectors)
    np.testing.assert_array_equal(frozen([2, 0]).numpy(), [[4, 5], [0, 1]])
    assert not frozen.weight.requires_grad
    learned = nn.Embedding.from_pretrained(vectors, freeze=False, padding_idx=0)
    learned([0, 1]).sum().backward()
    np.testing.assert_array_equal(learned.weight.grad, [[0, 0], [1, 1], [0, 0]])


def test_an_index_changed_later_does_not_matter() -> None:
    table = nn.Embedding(3, 1, rng=np.random.default_rng(0))
    index = np.array([0, 1])
    out = table(index)
    index[:] = 2
    out.sum().backward()
    np.testing.assert_array_equal(table.weight.grad, [[1], [1], [0]])
