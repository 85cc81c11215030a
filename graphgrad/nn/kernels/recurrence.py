"""The steps of recurrent layers through time, each kind one op.

Each op returns, beside the hidden states, what else its backward pass needs, as outputs of
its own. So these are functions of the inputs too, and the rule differentiates to every order.
The projection of the inputs, one matrix product for all steps, is an ordinary fully connected
layer before it.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from graphgrad.engine.domains import Cases, call
from graphgrad.engine.graph import Recorded
from graphgrad.engine.op import Op, op
from graphgrad.engine.recording import one_call
from graphgrad.engine.tensor import Tensor
from graphgrad.ops.choice import keep
from graphgrad.typing import Array


def _forth(length: int, reverse: bool) -> Iterable[int]:
    """Return the steps in the order in which the states come about."""
    return range(length - 1, -1, -1) if reverse else range(length)


def _before(states: Any, first: Any, reverse: bool) -> Array:
    """Return the state before each step."""
    if reverse:
        return np.concatenate((states[1:], first[None]))
    return np.concatenate((first[None], states[:-1]))


def _joined(steps: list[Any], reverse: bool) -> Array:
    """Stack what the way back found, step by step, in the order of time."""
    return np.stack(steps if reverse else steps[::-1])


def _multiplier(w: Array, like: Array) -> Callable[[Any], Any]:
    """Return h ↦ h Wᵀ, which writes into one buffer; measured twice as fast with Wᵀ in order."""
    matrix, buffer = np.ascontiguousarray(w.T), np.empty_like(like)
    return lambda h: np.matmul(h, matrix, out=buffer)


def _product(g: Array, states: Any) -> Array:
    """Return Σₜ gₜᵀ hₜ: the gradient of a matrix that every step multiplies by."""
    return np.reshape(g, (-1, g.shape[-1])).T @ np.reshape(states, (-1, states.shape[-1]))


# ----------------------------------------------------------------------------- simple steps


def _rnn(
    z: Array, h0: Array, w_hh: Array, nonlinearity: str = "tanh", reverse: bool = False
) -> Array:
    hs = np.empty_like(z, dtype=np.result_type(z, h0, w_hh))
    product, h = _multiplier(w_hh, hs[0]), h0
    for t in _forth(len(z), reverse):
        h = np.add(z[t], product(h), out=hs[t])
        if nonlinearity == "tanh":
            np.tanh(h, out=h)
        else:
            np.maximum(h, 0, out=h)
    return hs


def _rnn_rule(
    g: Array, h0: Array, w_hh: Array, out: Array, nonlinearity: str, reverse: bool, wanted: Any
) -> Array:
    slope = 1 - out * out if nonlinearity == "tanh" else out > 0
    dh, dzs = np.zeros_like(out[0]), []
    for t in _forth(len(out), not reverse):
        dh = dh + g[t]
        dz = dh * slope[t] if nonlinearity == "tanh" else keep(dh, slope[t])
        dzs.append(dz)
        dh = dz @ w_hh
    dz = _joined(dzs, reverse)
    return dz, dh, _product(dz, _before(out, h0, reverse)) if wanted[2] else None


RNN_STEPS: Op[Tensor] = op(
    _rnn,
    joint=_rnn_rule,
    inputs=3,
    chooses=lambda out, nonlinearity: out > 0 if nonlinearity == "relu" else np.bool_(True),
    name="rnn",
    symbol="RNN",
    domain=Cases(
        lambda r: call(r(3, 2, 2), r(2, 2), r(2, 2)),
        lambda r: call(r(2, 1, 3), r(1, 3), r(3, 3), reverse=True),
        lambda r: call(1 + np.abs(r(3, 1, 2)), r(1, 2), 0.1 * r(2, 2), "relu"),
        lambda r: call(r(3, 1, 1), r(1, 1), r(1, 1)),
        lambda r: call(r(2, 0, 2), r(0, 2), r(2, 2)),
    ),
    doc="hₜ = tanh or relu of zₜ + hₜ₋₁ Wᵀ. Gradients: back through time.",
)

# ----------------------------------------------------------------------------------- LSTM


def _lstm(
    z: Array, h0: Array, c0: Array, w_hh: Array, reverse: bool = False
) -> tuple[Array, Array, Array]:
    """Return hidden states, cell states and the gates i, f, g, o, (T, N, H) and (T, N, 4, H)."""
    (length, n, _), size = z.shape, h0.shape[-1]
    gates: Any = np.empty_like(z, dtype=np.result_type(z, h0, c0, w_hh))
    hs, cs = (np.empty_like(gates, shape=(length, n, size)) for _ in range(2))
    product, h, c = _multiplier(w_hh, gates[0]), h0, c0
    # σ(x) = tanh(x / 2) / 2 + 1/2, so that one tanh serves all gates; as large as a step, beside
    # which NumPy computes twice as fast
    half: Any = np.full((n, 4, size), 0.5, gates.dtype)
    half[:, 2] = 1
    half = half.reshape(n, 4 * size)
    offset = 1 - half
    for t in _forth(length, reverse):
        a = np.add(z[t], product(h), out=gates[t])
        a *= half
        np.tanh(a, out=a)
        a *= half
        a += offset
        i, f, g, o = (a[:, k * size : (k + 1) * size] for k in range(4))
        c = np.multiply(f, c, out=cs[t])
        c += i * g
        h = np.tanh(c, out=hs[t])
        h *= o
    return hs, cs, gates.reshape(length, n, 4, size)


# A logistic gate a has the slope (1 − a) a, a tanh (1 − a)(1 + a): in one, (1 − a)(a + 0 or 1).
_TANH_THIRD = np.array([[0.0], [0.0], [1.0], [0.0]])


def _lstm_rule(
    g: Array, h0: Array, c0: Array, w_hh: Array, out: Array, reverse: bool, wanted: Any
) -> Array:
    hs, cs, gates = out
    dhs, dcs, dgates = g
    cells_before = _before(cs, c0, reverse)
    tanh = _TANH_THIRD.astype(gates.dtype)
    if dcs is None and dgates is None and not any(isinstance(x, Recorded) for x in (dhs, w_hh, hs)):
        dz, dh, dc = _lstm_back(dhs, cs, gates, cells_before, w_hh, reverse)
        return dz, dh, dc, _product(dz, _before(hs, h0, reverse)) if wanted[3] else None
    dh = dc = np.zeros_like(hs[0])
    dzs = []
    for t in _forth(len(hs), not reverse):
        a, cell = gates[t], np.tanh(cs[t])
        i, f, candidate, o = (a[:, k] for k in range(4))
        dh = dh if dhs is None else dh + dhs[t]
        dc = dc + dh * o * (1 - cell * cell)
        dc = dc if dcs is None else dc + dcs[t]
        da = np.stack((dc * candidate, dc * cells_before[t], dc * i, dh * cell), axis=1)
        da = da if dgates is None else da + dgates[t]
        dz = np.reshape(da * ((1 - a) * (a + tanh)), (len(a), w_hh.shape[0]))
        dzs.append(dz)
        dh = dz @ w_hh
        dc = dc * f
    dz = _joined(dzs, reverse)
    return dz, dh, dc, _product(dz, _before(hs, h0, reverse)) if wanted[3] else None


@one_call
def _lstm_back(
    dhs: Any, cs: Any, gates: Any, cells_before: Any, w_hh: Any, reverse: bool
) -> tuple[Array, Array, Array]:
    """Do what the rule's loop does, for arrays and for hidden states only, in buffers."""
    length, n, _, size = gates.shape
    tanh = np.broadcast_to(_TANH_THIRD, (n, 4, size)).astype(gates.dtype)
    dz = np.empty_like(gates)
    dh, dc, slope = np.zeros((3, n, size), gates.dtype)
    slopes = np.empty_like(gates[0])
    for t in _forth(length, not reverse):
        a, da, cell = gates[t], dz[t], np.tanh(cs[t])
        i, f, candidate, o = (a[:, k] for k in range(4))
        dh += dhs[t]
        np.multiply(cell, cell, out=slope)
        np.subtract(1.0, slope, out=slope)
        slope *= o
        slope *= dh
        dc += slope
        for k, (d, value) in enumerate(
            ((dc, candidate), (dc, cells_before[t]), (dc, i), (dh, cell))
        ):
            np.multiply(d, value, out=da[:, k])
        da *= np.subtract(1.0, a, out=slopes)
        da *= np.add(a, tanh, out=slopes)
        np.matmul(da.reshape(n, 4 * size), w_hh, out=dh)
        dc *= f
    return dz.reshape(length, n, 4 * size), dh, dc


LSTM_STEPS: Op[Any] = op(
    _lstm,
    joint=_lstm_rule,
    inputs=4,
    outputs=3,
    name="lstm",
    symbol="LSTM",
    domain=Cases(
        lambda r: call(r(2, 2, 8), r(2, 2), r(2, 2), r(8, 2)),
        lambda r: call(r(3, 1, 4), r(1, 1), r(1, 1), r(4, 1), reverse=True),
        lambda r: call(r(2, 0, 8), r(0, 2), r(0, 2), r(8, 2)),
    ),
    doc="Steps of a long short-term memory, with all its states. Gradients: back through time.",
)

# ------------------------------------------------------------------------------------ GRU


def _gru(
    z: Array, h0: Array, w_hh: Array, b_hh: Array, reverse: bool = False
) -> tuple[Array, Array, Array]:
    """Return hidden states, the gates r, z, n, (T, N, 3, H), and what r multiplies."""
    (length, n, _), size = z.shape, h0.shape[-1]
    gates: Any = np.empty_like(z, dtype=np.result_type(z, h0, w_hh, b_hh))
    hs, recalled = (np.empty_like(gates, shape=(length, n, size)) for _ in range(2))
    product, h = _multiplier(w_hh, gates[0]), h0
    for t in _forth(length, reverse):
        u: Any = product(h)
        u += b_hh
        logistic, candidate = gates[t, :, : 2 * size], gates[t, :, 2 * size :]
        np.add(z[t, :, : 2 * size], u[:, : 2 * size], out=logistic)
        logistic *= 0.5  # σ(x) = tanh(x / 2) / 2 + 1/2
        np.tanh(logistic, out=logistic)
        logistic *= 0.5
        logistic += 0.5
        recalled[t] = u[:, 2 * size :]
        np.multiply(logistic[:, :size], recalled[t], out=candidate)
        candidate += z[t, :, 2 * size :]
        np.tanh(candidate, out=candidate)
        kept = np.subtract(h, candidate, out=hs[t])
        kept *= logistic[:, size:]
        kept += candidate
        h = hs[t]
    return hs, gates.reshape(length, n, 3, size), recalled


def _gru_rule(g: Array, h0: Array, w_hh: Array, out: Array, reverse: bool, wanted: Any) -> Array:
    hs, gates, recalled = out
    dhs, dgates, drecalled = g
    before = _before(hs, h0, reverse)
    dh = np.zeros_like(hs[0])
    dzs, dus = [], []
    for t in _forth(len(hs), not reverse):
        reset, update, candidate = (gates[t, :, k] for k in range(3))
        dh = dh if dhs is None else dh + dhs[t]
        dn, dy = dh * (1 - update), dh * (before[t] - candidate)
        if dgates is not None:
            dn, dy = dn + dgates[t, :, 2], dy + dgates[t, :, 1]
        dn = dn * (1 - candidate * candidate)
        dy = dy * (update * (1 - update))
        dr = dn * recalled[t]
        dr = dr if dgates is None else dr + dgates[t, :, 0]
        dr = dr * (reset * (1 - reset))
        dq = dn * reset
        dq = dq if drecalled is None else dq + drecalled[t]
        dzs.append(np.concatenate((dr, dy, dn), axis=1))
        dus.append(np.concatenate((dr, dy, dq), axis=1))
        dh = dh * update + dus[-1] @ w_hh
    dz, du = _joined(dzs, reverse), _joined(dus, reverse)
    dw = _product(du, before) if wanted[2] else None
    db = np.sum(du, axis=(0, 1)) if wanted[3] else None
    return dz, dh, dw, db


GRU_STEPS: Op[Any] = op(
    _gru,
    joint=_gru_rule,
    inputs=4,
    outputs=3,
    name="gru",
    symbol="GRU",
    domain=Cases(
        lambda r: call(r(2, 2, 6), r(2, 2), r(6, 2), r(6)),
        lambda r: call(r(3, 1, 3), r(1, 1), r(3, 1), r(3), reverse=True),
        lambda r: call(r(2, 1, 3), r(1, 1), r(3, 1), 0.0),
        lambda r: call(r(2, 0, 6), r(0, 2), r(6, 2), r(6)),
    ),
    doc="Steps of gated recurrent units, with all their states. Gradients: back through time.",
)
