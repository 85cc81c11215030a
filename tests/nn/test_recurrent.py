"""Recurrent layers and embeddings: equal to their small steps, and what they refuse."""

from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import ArgumentError, DtypeError, IndexingError, ShapeError, UnsupportedError
from tests.builders import Refusals, assert_refused, every_refusal
from tests.equality import assert_equals_composition

F = nn.functional
T, N, D, H = 3, 2, 3, 2
KINDS = {"rnn tanh": 1, "rnn relu": 1, "lstm": 4, "gru": 3}


def arrays(kind: str, bias: bool = True) -> list[Any]:
    """Draw x, the initial states, the weights, the biases."""
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
    """Write the equations down, one small op after the other."""
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
def test_all_steps_at_once_equal_small_steps_to_second_order(
    kind: str, reverse: bool, bias: bool
) -> None:
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


# --------------------------------------------------------------------------------- modules

STACKED: dict[str, tuple[Any, Any]] = {
    "RNN": (nn.RNN, nn.RNNCell),
    "LSTM": (nn.LSTM, nn.LSTMCell),
    "GRU": (nn.GRU, nn.GRUCell),
}


def first(state: Any) -> Any:
    return state[0] if isinstance(state, tuple) else state


@pytest.mark.parametrize("name", STACKED)
def test_two_layers_both_ways_are_cells_one_after_another(name: str) -> None:
    layer_of, cell_of = STACKED[name]
    rng = np.random.default_rng(2)
    net = layer_of(D, H, num_layers=2, bidirectional=True, rng=rng, dtype=float)
    x, zeros = rng.standard_normal((T, N, D)), np.zeros((N, H))
    start = (zeros, zeros) if name == "LSTM" else zeros  # where the layer is given no state
    expected, ends = x, []
    for layer in range(2):
        outputs = []
        for end in ("", "_reverse"):
            cell = cell_of(expected.shape[2], H, rng=rng, dtype=float)
            state = net.state_dict()
            cell.load_state_dict({n: state[f"{n}_l{layer}{end}"] for n in cell.state_dict()})
            states: list[Any] = []
            for t in range(T)[::-1] if end else range(T):
                states.append(cell(expected[t], states[-1] if states else start))
            hs = np.stack([first(s).numpy() for s in states])
            outputs.append(hs[::-1] if end else hs)
            ends.append(states[-1])
        expected = np.concatenate(outputs, axis=2)
    found, finals = net(x)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(first(finals).numpy(), [first(s).numpy() for s in ends], rtol=1e-12)
    if name == "LSTM":
        np.testing.assert_allclose(finals[1].numpy(), [s[1].numpy() for s in ends], rtol=1e-12)


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


@pytest.mark.parametrize("name", STACKED)
def test_one_sequence_and_batch_first_are_the_same_numbers(name: str) -> None:
    rng = np.random.default_rng(3)
    options: dict[str, Any] = {"num_layers": 2, "bidirectional": True, "dtype": float}
    net = STACKED[name][0](D, H, rng=np.random.default_rng(0), **options)
    other = STACKED[name][0](D, H, batch_first=True, rng=np.random.default_rng(0), **options)
    x = rng.standard_normal((T, N, D))
    hx = tuple(rng.standard_normal((4, N, H)) for _ in net.states)
    given = hx[0] if len(hx) == 1 else hx
    out, end = net(x, given)
    swapped, swapped_end = other(np.swapaxes(x, 0, 1), given)
    np.testing.assert_array_equal(np.swapaxes(swapped.numpy(), 0, 1), out.numpy())
    np.testing.assert_array_equal(first(swapped_end).numpy(), first(end).numpy())
    alone = tuple(s[:, 1] for s in hx)
    out_1, end_1 = net(x[:, 1], alone[0] if len(alone) == 1 else alone)
    np.testing.assert_allclose(out_1.numpy(), out.numpy()[:, 1], rtol=1e-12)
    np.testing.assert_allclose(first(end_1).numpy(), first(end).numpy()[:, 1], rtol=1e-12)


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
        "LSTM: input_size = 0 must be at least 1": lambda: nn.LSTM(0, 3),
        "GRU: dropout = 1.5 must be from 0 to 1": lambda: nn.GRU(2, 3, dropout=1.5),
        "'elu'; there are .*tanh.*relu": lambda: nn.RNN(2, 3, nonlinearity="elu"),
        "RNNCell: nonlinearity": lambda: nn.RNNCell(2, 3, nonlinearity="elu"),
        "GRUCell: hidden_size = 0 must be at least 1": lambda: nn.GRUCell(2, 0),
        "Embedding: num_embeddings = 0 must be": lambda: nn.Embedding(0, 2),
        "padding_idx 3 is none of 3 rows": lambda: nn.Embedding(3, 2, padding_idx=3),
        "padding_idx -4": lambda: F.embedding([0], ones((3, 1)), -4),
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
        r"biases must be \(3,\)": lambda: F.rnn_layer(
            ones((1, 1, 2)), None, ones((3, 2)), ones((3, 3)), ones(2)
        ),
        r"weight \(3,\) must be \(V, D\)": lambda: F.embedding([0], ones(3)),
        r"\(3,\) float64; give floats \(V, D\)": lambda: nn.Embedding.from_pretrained(ones(3)),
    },
    DtypeError: {
        r"int64; use \.astype": lambda: nn.LSTM(2, 3)(ones((4, 5, 2), int)),
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


@every_refusal(REFUSED)
def test_what_does_not_fit_is_refused(kind: Any, says: str, call: Any) -> None:
    assert_refused(kind, says, call)


# ------------------------------------------------------------------------------- embedding


def test_rows_used_twice_get_both_gradients() -> None:
    weight = np.random.default_rng(5).standard_normal((4, 3))
    index = np.array([[0, 2], [2, 2]])
    assert_equals_composition(
        lambda w: F.embedding(index, w) ** 2, lambda w: (np.eye(4)[index] @ w) ** 2, weight
    )


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
