"""Every module of nn with typical inputs: what the generic tests of modules walk through."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from graphgrad import nn

Sample = Callable[..., Any]  # r(2, 3) draws a float64 array of that shape


class Example(NamedTuple):
    """A module, made from a generator and a dtype, and inputs for it, made from a sampler."""

    make: Callable[[np.random.Generator, Any], nn.Module]
    inputs: Callable[[Sample], tuple[Any, ...]]
    reproducible: bool = True  # False: what training draws differs from call to call


def on(inputs: list[Any], cls: Any, *args: Any, reproducible: bool = True, **options: Any) -> Any:
    """Give a module inputs: shapes to draw, arrays, or functions of the sampler."""
    takes = inspect.signature(cls).parameters

    def make(rng: np.random.Generator, dtype: Any) -> Any:
        given = {"rng": rng, "dtype": dtype}
        return cls(*args, **options, **{name: given[name] for name in given if name in takes})

    def drawn(r: Sample) -> tuple[Any, ...]:
        return tuple(
            r(*x) if isinstance(x, tuple) else x(r) if callable(x) else x.copy() for x in inputs
        )

    return Example(make, drawn, reproducible)


def pair(cls: Any, *options: Any) -> Any:
    """Make a module of two layers."""

    def make(*, rng: np.random.Generator, dtype: Any) -> Any:
        return cls([nn.Affine(3, 4, rng=rng, dtype=dtype) for _ in range(2)], *options)

    return make


def sequence(*, rng: np.random.Generator, dtype: Any) -> nn.Module:
    first, second = (nn.Affine(*n, rng=rng, dtype=dtype) for n in ((3, 4), (4, 2)))
    return nn.Sequential(first, second)


def encoder(*, rng: np.random.Generator, dtype: Any) -> nn.Module:
    layer = nn.TransformerEncoderLayer(
        2, 1, 3, dropout=0.0, activation="gelu", batch_first=True, rng=rng, dtype=dtype
    )
    return nn.TransformerEncoder(layer, 2, nn.LayerNorm(2, 0.1, dtype=dtype))


def weighted(cls: Any, *args: Any, **options: Any) -> Any:
    """Make a loss with a weight for each class."""
    return lambda *, dtype: cls(*args, weight=np.array([0.5, 2.0, 1.0], dtype), **options)


def binary(*, dtype: Any) -> nn.Module:
    weight, pos_weight = np.array([[2.0], [0.5]], dtype), np.array([1.0, 3.0, 0.5], dtype)
    return nn.BCEWithLogitsLoss(weight, pos_weight=pos_weight)


MATRIX = [(2, 3)]
LABELS = np.array([0, 2, 2, 1])
EXAMPLES: dict[str, Example] = {
    "Step": on(MATRIX, nn.Step),
    "Identity": on(MATRIX, nn.Identity),
    "Sigmoid": on(MATRIX, nn.Sigmoid),
    "Tanh": on(MATRIX, nn.Tanh),
    "ReLU": on(MATRIX, nn.ReLU),
    "ReLU6": on([lambda r: 5 * r(2, 3)], nn.ReLU6),
    "Hardtanh": on(MATRIX, nn.Hardtanh, -0.5, 1.5),
    "LogSigmoid": on(MATRIX, nn.LogSigmoid),
    "SELU": on(MATRIX, nn.SELU),
    "LeakyReLU": on(MATRIX, nn.LeakyReLU, 0.2),
    "PReLU": on([(5,)], nn.PReLU),
    "PReLU per channel": on([(2, 3, 2)], nn.PReLU, 3, init=0.1),
    "ELU": on(MATRIX, nn.ELU, 0.5),
    "GELU": on(MATRIX, nn.GELU),
    "GELU by tanh": on(MATRIX, nn.GELU, "tanh"),
    "SiLU": on(MATRIX, nn.SiLU),
    "Softplus": on(MATRIX, nn.Softplus, 2.0, threshold=20.0),
    "Maxout": on([(4, 3)], nn.Maxout, 3, 2, pieces=3),
    "Maxout without bias": on([(3, 2)], nn.Maxout, 2, 1, bias=False),
    "Softmax": on(MATRIX, nn.Softmax),
    "LogSoftmax": on([(2, 3, 2)], nn.LogSoftmax, axis=1),
    "MultiheadAttention": on([(2, 2, 4), (3, 2, 4), (3, 2, 4)], nn.MultiheadAttention, 4, 2),
    "MultiheadAttention, batch first": on(
        *([(2, 2, 4), (2, 3, 4), (2, 3, 4)], nn.MultiheadAttention, 4, 1),
        bias=False,
        batch_first=True,
    ),
    "Ensemble": on(MATRIX, pair(nn.Ensemble)),
    "Ensemble of outputs": on(MATRIX, pair(nn.Ensemble, "outputs")),
    "Sequential": on(MATRIX, sequence),
    "Conv1d": on([(2, 2, 5)], nn.Conv1d, 2, 3, 2, stride=2, padding=1),
    "Conv2d": on([(2, 2, 3, 4)], nn.Conv2d, 2, 3, (2, 3), padding="same"),
    "Conv2d in groups": on(
        [(1, 2, 5, 4)], nn.Conv2d, 2, 2, 2, stride=2, dilation=2, groups=2, bias=False
    ),
    "ConvTranspose1d": on(
        *([(2, 2, 3)], nn.ConvTranspose1d, 2, 4, 3),
        stride=2,
        padding=1,
        output_padding=1,
        groups=2,
    ),
    "ConvTranspose2d": on(
        *([(2, 2, 3, 2)], nn.ConvTranspose2d, 2, 4, 2),
        stride=(2, 1),
        padding=1,
        output_padding=(1, 0),
        groups=2,
    ),
    "Linear": on([(4, 3)], nn.Linear, 3, 2),
    "Linear without bias": on([(2, 2, 3)], nn.Linear, 3, 2, bias=False),
    "Dropout": on([(3, 4)], nn.Dropout, 0.4, reproducible=False),
    "Dropout2d": on([(2, 3, 2, 2)], nn.Dropout2d, 0.4, reproducible=False),
    "VanillaDropout": on([(3, 4)], nn.VanillaDropout, 0.4, reproducible=False),
    "DropConnect": on([(4, 3)], nn.DropConnect, 3, 2, 0.4, reproducible=False),
    "Embedding": on([np.array([[0, 3], [3, 2]])], nn.Embedding, 4, 3, padding_idx=1),
    "LocallyConnected2d": on([(2, 1, 3, 3)], nn.LocallyConnected2d, 1, 2, 3, 2),
    "LocallyConnected2d with margins": on(
        *([(1, 1, 2, 3)], nn.LocallyConnected2d, 1, 1, (2, 3), (1, 2)),
        stride=(2, 3),
        padding=(1, 0),
        bias=False,
    ),
    "MSELoss": on([(2, 3), (2, 3)], nn.MSELoss),
    "HalfSquaredError": on([(2, 3), (2, 3)], nn.HalfSquaredError),
    "L1Loss": on([(2, 2), (2, 2)], nn.L1Loss, reduction="none"),
    "HuberLoss": on([(2, 2), (2, 2)], nn.HuberLoss, delta=0.6),
    "CrossEntropyLoss": on([(4, 3), LABELS], nn.CrossEntropyLoss),
    "CrossEntropyLoss with options": on(
        [(2, 3, 2), np.array([[0, 1], [2, 2]])],
        weighted(nn.CrossEntropyLoss, ignore_index=1, label_smoothing=0.25),
    ),
    "NLLLoss": on(
        [(4, 3), np.array([0, 2, 1, 2])], weighted(nn.NLLLoss, ignore_index=1, reduction="sum")
    ),
    "BCEWithLogitsLoss": on([(2, 3), np.array([[0, 1, 1], [1, 0, 0]])], binary),
    "KLDivLoss": on([(2, 3), lambda r: r(2, 3) ** 2 + 0.1], nn.KLDivLoss, reduction="batchmean"),
    "KLDivLoss of logarithms": on([(2, 3), (2, 3)], nn.KLDivLoss, log_target=True),
    "HingeLoss": on([(4, 3), LABELS], nn.HingeLoss, 0.5),
    "HingeLoss, squared": on([(4, 3), LABELS], nn.HingeLoss, squared=True, reduction="sum"),
    "AttributeHingeLoss": on([(2, 3), np.array([[1, -1, -1], [-1, 1, 1]])], nn.AttributeHingeLoss),
    "MultiMarginLoss": on([(4, 3), LABELS], weighted(nn.MultiMarginLoss, 2, 0.5)),
    "BatchNorm1d": on([(4, 3)], nn.BatchNorm1d, 3),
    "BatchNorm1d of sequences": on([(2, 2, 3)], nn.BatchNorm1d, 2, 0.1, momentum=None),
    "BatchNorm2d": on([(2, 2, 2, 3)], nn.BatchNorm2d, 2, momentum=0.3),
    "BatchNorm2d without anything": on(
        [(2, 2, 1, 2)], nn.BatchNorm2d, 2, affine=False, track_running_stats=False
    ),
    "LayerNorm": on([(2, 4)], nn.LayerNorm, 4),
    "LayerNorm of two axes": on([(2, 2, 3)], nn.LayerNorm, (2, 3), eps=0.1, bias=False),
    "GroupNorm": on([(2, 4, 3)], nn.GroupNorm, 2, 4),
    "GroupNorm without weight": on([(2, 2, 2, 1)], nn.GroupNorm, 1, 2, affine=False),
    "LocalResponseNorm": on([(2, 5, 2)], nn.LocalResponseNorm, 3, alpha=0.5, k=2.0),
    "MaxPool1d": on([(2, 1, 5)], nn.MaxPool1d, 3, 2, 1),
    "MaxPool2d": on([(1, 2, 4, 5)], nn.MaxPool2d, 2),
    "MaxPool2d with options": on(
        [(1, 2, 4, 4)], nn.MaxPool2d, (2, 3), 2, (1, 0), (2, 1), ceil_mode=True
    ),
    "AvgPool1d": on([(2, 4)], nn.AvgPool1d, 2),
    "AvgPool2d": on([(1, 2, 4, 3)], nn.AvgPool2d, 3, 2, 1, count_include_pad=False),
    "AvgPool2d with a divisor": on(
        [(1, 1, 3, 4)], nn.AvgPool2d, (2, 1), (1, 2), 0, True, divisor_override=3
    ),
    "LPPool2d": on([(1, 1, 4, 2)], nn.LPPool2d, 2, 2),
    "AdaptiveAvgPool2d": on([(1, 2, 3, 2)], nn.AdaptiveAvgPool2d, (2, None)),
    "AdaptiveMaxPool2d": on([(1, 2, 3, 2)], nn.AdaptiveMaxPool2d, 2),
    "GlobalAvgPool2d": on([(2, 2, 3, 2)], nn.GlobalAvgPool2d),
    "GlobalMaxPool2d": on([(2, 2, 3, 2)], nn.GlobalMaxPool2d),
    "RNN": on([(3, 2, 3)], nn.RNN, 3, 2, bidirectional=True),
    "RNN of relu": on([(3, 2, 2), (1, 2, 2)], nn.RNN, 2, 2, nonlinearity="relu", bias=False),
    "LSTM": on([(3, 2, 3)], nn.LSTM, 3, 2, num_layers=2, bidirectional=True),
    "LSTM, batch first": on([(2, 3, 3)], nn.LSTM, 3, 2, bias=False, batch_first=True),
    "GRU": on([(3, 2, 3), (4, 2, 2)], nn.GRU, 3, 2, num_layers=2, bidirectional=True),
    "RNNCell": on([(2, 3), (2, 2)], nn.RNNCell, 3, 2),
    "LSTMCell": on([(2, 3)], nn.LSTMCell, 3, 2),
    "GRUCell": on([(2, 3), (2, 2)], nn.GRUCell, 3, 2),
    "Flatten": on([(2, 3, 2)], nn.Flatten),
    "Flatten of some axes": on([(2, 3, 2)], nn.Flatten, 0, 1),
    "PositionalEncoding": on([(2, 2, 3)], nn.PositionalEncoding, 3),
    "TransformerEncoderLayer": on(
        *([(3, 2, 4)], nn.TransformerEncoderLayer, 4, 2, 3),
        dropout=0.0,
        activation="gelu",
        norm_first=True,
    ),
    "TransformerEncoder": on([(1, 2, 2)], encoder),
}
