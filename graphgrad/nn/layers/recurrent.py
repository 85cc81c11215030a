"""Recurrent layers: several stacked, in one direction or both, and single cells."""

import functools
import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from graphgrad.arguments import DEEPEST, choice, counts, guarded, share, whole
from graphgrad.engine.operands import as_array, as_floating, shape_of
from graphgrad.engine.tensor import Tensor
from graphgrad.errors import ShapeError
from graphgrad.nn.functional.dropouts import dropout
from graphgrad.nn.functional.recurrence import NONLINEARITIES, gru_layer, lstm_layer, rnn_layer
from graphgrad.nn.init import uniform_parameter
from graphgrad.nn.layers.function_layers import Layer, computes
from graphgrad.randomness import default_generator
from graphgrad.typing import Array


class _Steps(Layer):
    """What layers and cells share."""

    gates: ClassVar[int]

    def _layer(self, *inputs: Any, **options: Any) -> tuple[Array, ...]:
        """Run one layer in one direction."""
        return self._function(*inputs, **options)  # type: ignore[no-any-return]


class _Simple(_Steps):
    """What RNN and RNNCell share."""

    gates = 1
    nonlinearity: str

    def _layer(self, *inputs: Any, **options: Any) -> tuple[Array, ...]:
        return super()._layer(*inputs, nonlinearity=self.nonlinearity, **options)


class _Recurrent(_Steps):
    """What RNN, LSTM and GRU share: layers, directions, the order of axes."""

    states: ClassVar[tuple[str, ...]] = ("h",)

    @guarded
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        name = type(self).__name__
        input_size, hidden_size = counts(name, input_size=input_size, hidden_size=hidden_size)
        num_layers = whole(name, "num_layers", num_layers, 1, DEEPEST)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.batch_first = batch_first
        self.dropout = share(name, "dropout", dropout)
        self.bidirectional = bidirectional
        self.bias = bias
        self.rng = rng
        generator, bound = default_generator(rng), 1 / math.sqrt(hidden_size)
        rows = self.gates * hidden_size
        for layer in range(num_layers):
            inputs = input_size if layer == 0 else hidden_size * self.directions
            for reverse in range(self.directions):
                shapes: dict[str, tuple[int, ...]] = {
                    "weight_ih": (rows, inputs),
                    "weight_hh": (rows, hidden_size),
                }
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                for name, shape in shapes.items():
                    parameter = uniform_parameter(shape, bound, rng=generator, dtype=dtype)
                    setattr(self, _name(name, layer, reverse), parameter)

    @property
    def directions(self) -> int:
        """1, or 2 if bidirectional."""
        return 2 if self.bidirectional else 1

    def weights(self, layer: int, reverse: int) -> tuple[Array, Array, Array, Array]:
        """Return w_ih, w_hh, b_ih, b_hh of a layer in a direction; None for missing biases."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return tuple(getattr(self, _name(n, layer, reverse), None) for n in names)  # type: ignore[return-value]

    def forward(self, x: Array, hx: Array = None) -> tuple[Tensor, Any]:
        """Return the states of the last layer, and the last state of each layer."""
        x = as_array(x)
        given = (hx,) if hx is not None and len(self.states) == 1 else hx
        given = self._checked(x, given)
        batched = x.ndim == 3
        if not batched:
            x = x[:, None]
        elif self.batch_first:
            x = np.swapaxes(x, 0, 1)
        ends = []
        for layer in range(self.num_layers):
            outputs = []
            for reverse in range(self.directions):
                number = layer * self.directions + reverse
                first = tuple(
                    None if s is None else s[number] if batched else s[number][None] for s in given
                )
                weights = self.weights(layer, reverse)
                out, *last = self._layer(x, *first, *weights, reverse=bool(reverse))
                outputs.append(out)
                ends.append(last)
            x = np.concatenate(outputs, axis=-1) if self.bidirectional else outputs[0]
            if self.dropout and layer + 1 < self.num_layers:
                x = dropout(x, self.dropout, self.training, rng=self.rng)
        finals = tuple(np.stack(column) for column in zip(*ends, strict=True))
        if not batched:
            x, finals = x[:, 0], tuple(state[:, 0] for state in finals)
        elif self.batch_first:
            x = np.swapaxes(x, 0, 1)
        return x, finals[0] if len(finals) == 1 else finals

    def _checked(self, x: Array, hx: Array) -> tuple[Array, ...]:
        """Return the initial states, None for each where none are given."""
        who = type(self).__name__
        layout = "(N, T, D)" if self.batch_first else "(T, N, D)"
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            message = (
                f"{who}: x {x.shape} must be {layout}, or (T, D) for one sequence, with "
                f"D = {self.input_size}"
            )
            raise ShapeError(message)
        as_floating(who, x)
        if hx is None:
            return (None,) * len(self.states)
        if not isinstance(hx, tuple | list) or len(hx) != len(self.states):
            message = f"{who}: give the initial states as ({', '.join(self.states)})"
            raise ShapeError(message)
        batch = (x.shape[0 if self.batch_first else 1],) if x.ndim == 3 else ()
        shape = (self.num_layers * self.directions, *batch, self.hidden_size)
        for name, state in zip(self.states, hx, strict=True):
            if shape_of(state) != shape:
                message = f"{who}: the initial {name} {shape_of(state)} must be {shape}"
                raise ShapeError(message)
        return tuple(as_array(s, who) for s in hx)

    def multiply_adds(self, inputs: tuple[Array, ...], output: Array) -> int:  # noqa: ARG002
        """Count the two matrix products of every step, layer and direction."""
        steps = math.prod(inputs[0][:-1])
        matrices = [
            self.weights(k, r)[:2] for k in range(self.num_layers) for r in range(self.directions)
        ]
        return int(steps * sum(w.size for pair in matrices for w in pair))


def _name(name: str, layer: int, reverse: int) -> str:
    return f"{name}_l{layer}{'_reverse' if reverse else ''}"


@computes(rnn_layer)
class RNN(_Simple, _Recurrent):
    """Simple recurrent layers (Elman, 1990), each ``nn.functional.rnn_layer``.

    Each further layer reads the states of the one below. Both directions have weights of their
    own, and their states stand side by side. ``weight_ih_l0`` is (H, D), ``weight_hh_l0`` (H, H),
    ``bias_ih_l0`` and ``bias_hh_l0`` (H,); likewise ``…_l1``, and ``…_l0_reverse`` for the way
    back; D is 2H (H) in further layers. All start uniform in ±1/√H.

    Shapes, with L layers and B = 1 or 2 directions: x (T, N, D), or (N, T, D) if batch_first, or
    (T, D) for one sequence; h0, or zeros, (L·B, N, H). Returns the states of the last layer
    (T, N, B·H), and the last state of each layer and direction, (L·B, N, H), which stays so with
    batch_first. ``dropout`` is the share of the outputs of each layer but the last that training
    sets to 0.
    """

    @guarded
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.nonlinearity = choice("RNN", "nonlinearity", nonlinearity, NONLINEARITIES)
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            rng=rng,
            dtype=dtype,
        )


@computes(lstm_layer)
class LSTM(_Recurrent):
    """Layers of long short-term memory, each ``nn.functional.lstm_layer``; else as :class:`RNN`.

    Weights and biases have 4H rows, in the order i, f, g, o, and there are two states:
    ``output, (h, c) = lstm(x, (h0, c0))``.
    """

    gates = 4
    states = ("h", "c")


@computes(gru_layer)
class GRU(_Recurrent):
    """Layers of gated recurrent units, each ``nn.functional.gru_layer``; else as :class:`RNN`.

    Weights and biases have 3H rows, in the order r, y, n.
    """

    gates = 3


# ----------------------------------------------------------------------------------- cells


class _Cell(_Steps):
    """What the cells share: one step of one layer."""

    states: ClassVar[int] = 1

    @guarded
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        input_size, hidden_size = counts(
            type(self).__name__, input_size=input_size, hidden_size=hidden_size
        )
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = self.gates * hidden_size
        drawn = functools.partial(
            uniform_parameter,
            bound=1 / math.sqrt(hidden_size),
            rng=default_generator(rng),
            dtype=dtype,
        )
        self.weight_ih, self.weight_hh = drawn((rows, input_size)), drawn((rows, hidden_size))
        self.bias_ih, self.bias_hh = (drawn((rows,)) if bias else None for _ in range(2))

    def weights(self) -> tuple[Array, Array, Array, Array]:
        """Return w_ih, w_hh, b_ih, b_hh; None for missing biases."""
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def forward(self, x: Array, hx: Array = None) -> Tensor | Any:
        """Return the state after the step; of several, a tuple."""
        x = as_array(x)
        who = type(self).__name__
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            message = f"{who}: x {x.shape} must be (N, {self.input_size}) or ({self.input_size},)"
            raise ShapeError(message)
        if hx is None:
            given: tuple[Array, ...] = (None,) * self.states
        else:
            given = (hx,) if self.states == 1 else tuple(hx)
            shape = (*x.shape[:-1], self.hidden_size)
            found = [shape_of(s) for s in given]
            if found != [shape] * self.states:
                message = f"{who}: initial states {found} must be {[shape] * self.states}"
                raise ShapeError(message)
            given = tuple(as_array(s, who) for s in given)
        if x.ndim == 1:
            first = tuple(s if s is None else s[None] for s in given)
            after = tuple(s[0] for s in self._layer(x[None, None], *first, *self.weights())[1:])
        else:
            after = self._layer(x[None], *given, *self.weights())[1:]
        return after if self.states > 1 else after[0]

    def multiply_adds(self, inputs: tuple[Array, ...], output: Array) -> int:  # noqa: ARG002
        """Count the two matrix products."""
        return int(math.prod(inputs[0][:-1]) * (self.weight_ih.size + self.weight_hh.size))


@computes(rnn_layer)
class RNNCell(_Simple, _Cell):
    """One step of an :class:`RNN`: ``h = cell(x, h0)``, x (N, D) or (D,), h0 (N, H) or (H,).

    ``weight_ih`` is (H, D), ``weight_hh`` (H, H), ``bias_ih`` and ``bias_hh`` (H,), all uniform in
    ±1/√H.
    """

    @guarded
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.nonlinearity = choice("RNNCell", "nonlinearity", nonlinearity, NONLINEARITIES)
        super().__init__(input_size, hidden_size, bias, rng=rng, dtype=dtype)


@computes(lstm_layer)
class LSTMCell(_Cell):
    """One step of an :class:`LSTM`: ``h, c = cell(x, (h0, c0))``; weights have 4H rows."""

    gates = 4
    states = 2


@computes(gru_layer)
class GRUCell(_Cell):
    """One step of a :class:`GRU`: ``h = cell(x, h0)``; weights have 3H rows."""

    gates = 3
