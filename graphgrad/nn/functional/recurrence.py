"""Recurrent layers as functions: one layer, in one direction."""

from typing import Any

from graphgrad.arguments import choice, guarded
from graphgrad.engine.graph import Absent
from graphgrad.engine.operands import as_array, as_floating, shape_of
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ShapeError
from graphgrad.nn.functional.docstrings import like
from graphgrad.nn.functional.matrix_products import linear
from graphgrad.nn.kernels.recurrence import GRU_STEPS, LSTM_STEPS, RNN_STEPS
from graphgrad.typing import Array

NONLINEARITIES = ("tanh", "relu")


def _check(
    name: str, x: Array, states: dict[str, Any], weights: tuple[Array, ...], gates: int
) -> None:
    """Refuse what does not fit, before anything is computed."""
    w_ih, w_hh, b_ih, b_hh = weights
    x_shape, inner, outer = x.shape, shape_of(w_hh, name), shape_of(w_ih, name)
    rows, size = inner if len(inner) == 2 else (0, 0)
    problem = ""
    if len(inner) != 2 or rows != gates * size or outer[:1] != (rows,) or len(outer) != 2:
        problem = f"weights must be ({gates}·H, D) and ({gates}·H, H)"
    elif len(x_shape) != 3 or x_shape[2] != outer[1]:
        problem = f"x must be (T, N, D) with D = {outer[1]}; transpose or reshape it"
    elif x_shape[0] == 0:
        problem = "there must be at least one step"
    for bias in (b_ih, b_hh):
        if bias is not None and shape_of(bias, name) != (rows,):
            problem = f"biases must be {(rows,)}"
    for label, state in states.items():
        if state is not None and not problem and shape_of(state, name) != (x_shape[1], size):
            problem = f"{label} {shape_of(state)} must be {(x_shape[1], size)}"
    if problem:
        shapes = f"x {x_shape}, w_ih {outer}, w_hh {inner}"
        raise ShapeError(f"{name}: {problem}: {shapes}")
    as_floating(name, x)


def _sum(b_ih: Array, b_hh: Array) -> Array:
    """Return the sum of the two biases, either of which may be missing."""
    return b_hh if b_ih is None else b_ih if b_hh is None else b_ih + b_hh


def _start(state: Any, x: Array, w_hh: Array) -> Array:
    """Return the given state, or zeros."""
    return Absent(0.0, (x.shape[1], w_hh.shape[1]), x.dtype) if state is None else state


@guarded
def rnn_layer(
    x: Array,
    h0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array = None,
    b_hh: Array = None,
    *,
    nonlinearity: str = "tanh",
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """Run a simple recurrent layer over a sequence: hₜ = φ(W_ih xₜ + b_ih + W_hh hₜ₋₁ + b_hh).

    Elman, "Finding Structure in Time", 1990.

    Parameters
    ----------
    x
        (T, N, D).
    h0
        The state before the first step, (N, H); None is zeros.
    w_ih, w_hh
        (H, D) and (H, H).
    b_ih, b_hh
        (H,), or None.
    nonlinearity
        φ: "tanh" or "relu" (0 at 0); anything else is an ArgumentError.
    reverse
        Run from the last step to the first; the output keeps the order of x.

    Returns
    -------
    tuple
        All states (T, N, H), and the last of the run (N, H).

    Raises
    ------
    ShapeError
        If shapes do not fit, or there is no step.
    DtypeError
        If x is not floating.
    """
    choice("rnn_layer", "nonlinearity", nonlinearity, NONLINEARITIES)
    x = as_array(x)
    _check("rnn_layer", x, {"h0": h0}, (w_ih, w_hh, b_ih, b_hh), 1)
    z = linear(x, w_ih, _sum(b_ih, b_hh))
    hs = RNN_STEPS(z, _start(h0, x, w_hh), w_hh, nonlinearity, reverse)
    return hs, hs[0 if reverse else -1]


@like(rnn_layer)
@guarded
def lstm_layer(
    x: Array,
    h0: Array,
    c0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array = None,
    b_hh: Array = None,
    *,
    reverse: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run a layer of long short-term memory over a sequence.

    With z = W_ih xₜ + b_ih + W_hh hₜ₋₁ + b_hh in four parts i, f, g, o::

        cₜ = σ(z_f) cₜ₋₁ + σ(z_i) tanh(z_g)
        hₜ = σ(z_o) tanh(cₜ)

    Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997; with the forget gate of Gers,
    Schmidhuber and Cummins, 2000.

    Parameters
    ----------
    h0, c0
        The states before the first step, (N, H); None is zeros.
    w_ih, w_hh
        (4H, D) and (4H, H), rows in the order i, f, g, o.
    b_ih, b_hh
        (4H,), or None.

    Returns
    -------
    tuple
        All hidden states (T, N, H), and h and c after the run (N, H).
    """
    x = as_array(x)
    _check("lstm_layer", x, {"h0": h0, "c0": c0}, (w_ih, w_hh, b_ih, b_hh), 4)
    z = linear(x, w_ih, _sum(b_ih, b_hh))
    hs, cs, _ = LSTM_STEPS(z, _start(h0, x, w_hh), _start(c0, x, w_hh), w_hh, reverse)
    last = 0 if reverse else -1
    return hs, hs[last], cs[last]


@like(rnn_layer)
@guarded
def gru_layer(
    x: Array,
    h0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array = None,
    b_hh: Array = None,
    *,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """Run a layer of gated recurrent units over a sequence.

    With z = W_ih xₜ + b_ih and u = W_hh hₜ₋₁ + b_hh, each in three parts r, y, n::

        r, y = σ(z_r + u_r), σ(z_y + u_y)
        n = tanh(z_n + r u_n)
        hₜ = (1 − y) n + y hₜ₋₁

    Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", 2014, with r
    behind the matrix product, as PyTorch has it.

    Parameters
    ----------
    w_ih, w_hh
        (3H, D) and (3H, H), rows in the order r, y, n.
    b_ih, b_hh
        (3H,), or None.

    Returns
    -------
    tuple
        All states (T, N, H), and the last of the run (N, H).
    """
    x = as_array(x)
    _check("gru_layer", x, {"h0": h0}, (w_ih, w_hh, b_ih, b_hh), 3)
    z = linear(x, w_ih, b_ih)
    b_hh = Absent(0.0) if b_hh is None else b_hh
    hs, _, _ = GRU_STEPS(z, _start(h0, x, w_hh), w_hh, b_hh, reverse)
    return hs, hs[0 if reverse else -1]
