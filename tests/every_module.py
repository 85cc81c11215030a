"""Every module of nn with typical inputs: what the generic tests of modules walk through."""

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


def pair(rng: np.random.Generator, dtype: Any) -> list[nn.Module]:
    return [nn.Affine(3, 4, rng=rng, dtype=dtype) for _ in range(2)]


EXAMPLES: dict[str, Example] = {
    # ------------------------------------------------------------------------- activations
    "Step": Example(lambda *_: nn.Step(), lambda r: (r(2, 3),)),
    "Identity": Example(lambda *_: nn.Identity(), lambda r: (r(2, 3),)),
    "Sigmoid": Example(lambda *_: nn.Sigmoid(), lambda r: (r(2, 3),)),
    "Tanh": Example(lambda *_: nn.Tanh(), lambda r: (r(2, 3),)),
    "ReLU": Example(lambda *_: nn.ReLU(), lambda r: (r(2, 3),)),
    "LeakyReLU": Example(lambda *_: nn.LeakyReLU(0.2), lambda r: (r(2, 3),)),
    "PReLU": Example(lambda _, dtype: nn.PReLU(dtype=dtype), lambda r: (r(5),)),
    "PReLU per channel": Example(
        lambda _, dtype: nn.PReLU(3, init=0.1, dtype=dtype), lambda r: (r(2, 3, 2),)
    ),
    "ELU": Example(lambda *_: nn.ELU(0.5), lambda r: (r(2, 3),)),
    "GELU": Example(lambda *_: nn.GELU(), lambda r: (r(2, 3),)),
    "GELU by tanh": Example(lambda *_: nn.GELU("tanh"), lambda r: (r(2, 3),)),
    "SiLU": Example(lambda *_: nn.SiLU(), lambda r: (r(2, 3),)),
    "Softplus": Example(lambda *_: nn.Softplus(2.0, threshold=20.0), lambda r: (r(2, 3),)),
    "Maxout": Example(
        lambda rng, dtype: nn.Maxout(3, 2, pieces=3, rng=rng, dtype=dtype), lambda r: (r(4, 3),)
    ),
    "Maxout without bias": Example(
        lambda rng, dtype: nn.Maxout(2, 1, bias=False, rng=rng, dtype=dtype), lambda r: (r(3, 2),)
    ),
    "Softmax": Example(lambda *_: nn.Softmax(), lambda r: (r(2, 3),)),
    "LogSoftmax": Example(lambda *_: nn.LogSoftmax(axis=1), lambda r: (r(2, 3, 2),)),
    # --------------------------------------------------------------------------- attention
    "MultiheadAttention": Example(
        lambda rng, dtype: nn.MultiheadAttention(4, 2, rng=rng, dtype=dtype),
        lambda r: (r(2, 2, 4), r(3, 2, 4), r(3, 2, 4)),
    ),
    "MultiheadAttention, batch first": Example(
        lambda rng, dtype: nn.MultiheadAttention(
            4, 1, bias=False, batch_first=True, rng=rng, dtype=dtype
        ),
        lambda r: (r(2, 2, 4), r(2, 3, 4), r(2, 3, 4)),
    ),
    # ------------------------------------------------------------------------- containers
    "Ensemble": Example(lambda rng, dtype: nn.Ensemble(pair(rng, dtype)), lambda r: (r(2, 3),)),
    "Ensemble of outputs": Example(
        lambda rng, dtype: nn.Ensemble(pair(rng, dtype), "outputs"), lambda r: (r(2, 3),)
    ),
    "Sequential": Example(
        lambda rng, dtype: nn.Sequential(
            nn.Affine(3, 4, rng=rng, dtype=dtype), nn.Affine(4, 2, rng=rng, dtype=dtype)
        ),
        lambda r: (r(2, 3),),
    ),
    # ------------------------------------------------------------------------ convolution
    "Conv1d": Example(
        lambda rng, dtype: nn.Conv1d(2, 3, 2, stride=2, padding=1, rng=rng, dtype=dtype),
        lambda r: (r(2, 2, 5),),
    ),
    "Conv2d": Example(
        lambda rng, dtype: nn.Conv2d(2, 3, (2, 3), padding="same", rng=rng, dtype=dtype),
        lambda r: (r(2, 2, 3, 4),),
    ),
    "Conv2d in groups": Example(
        lambda rng, dtype: nn.Conv2d(
            2, 2, 2, stride=2, dilation=2, groups=2, bias=False, rng=rng, dtype=dtype
        ),
        lambda r: (r(1, 2, 5, 4),),
    ),
    "ConvTranspose2d": Example(
        lambda rng, dtype: nn.ConvTranspose2d(
            2, 4, 2, stride=(2, 1), padding=1, output_padding=(1, 0), groups=2, rng=rng, dtype=dtype
        ),
        lambda r: (r(2, 2, 3, 2),),
    ),
    # ------------------------------------------------------------------------------ dense
    "Affine": Example(
        lambda rng, dtype: nn.Affine(3, 2, rng=rng, dtype=dtype), lambda r: (r(4, 3),)
    ),
    "Affine without bias": Example(
        lambda rng, dtype: nn.Affine(3, 2, bias=False, rng=rng, dtype=dtype),
        lambda r: (r(2, 2, 3),),
    ),
    # ----------------------------------------------------------------------------- dropout
    "Dropout": Example(lambda rng, _: nn.Dropout(0.4, rng=rng), lambda r: (r(3, 4),), False),
    "Dropout2d": Example(
        lambda rng, _: nn.Dropout2d(0.4, rng=rng), lambda r: (r(2, 3, 2, 2),), False
    ),
    "VanillaDropout": Example(
        lambda rng, _: nn.VanillaDropout(0.4, rng=rng), lambda r: (r(3, 4),), False
    ),
    "DropConnect": Example(
        lambda rng, dtype: nn.DropConnect(3, 2, 0.4, rng=rng, dtype=dtype),
        lambda r: (r(4, 3),),
        False,
    ),
    # -------------------------------------------------------------------------- embeddings
    "Embedding": Example(
        lambda rng, dtype: nn.Embedding(4, 3, padding_idx=1, rng=rng, dtype=dtype),
        lambda _: (np.array([[0, 3], [3, 2]]),),
    ),
    # ------------------------------------------------------------------------------ local
    "LocallyConnected2d": Example(
        lambda rng, dtype: nn.LocallyConnected2d(1, 2, 3, 2, rng=rng, dtype=dtype),
        lambda r: (r(2, 1, 3, 3),),
    ),
    "LocallyConnected2d with margins": Example(
        lambda rng, dtype: nn.LocallyConnected2d(
            1, 1, (2, 3), (1, 2), stride=(2, 3), padding=(1, 0), bias=False, rng=rng, dtype=dtype
        ),
        lambda r: (r(1, 1, 2, 3),),
    ),
    # ----------------------------------------------------------------------------- losses
    "MSELoss": Example(lambda *_: nn.MSELoss(), lambda r: (r(2, 3), r(2, 3))),
    "HalfSquaredError": Example(lambda *_: nn.HalfSquaredError(), lambda r: (r(2, 3), r(2, 3))),
    "L1Loss": Example(lambda *_: nn.L1Loss(reduction="none"), lambda r: (r(2, 2), r(2, 2))),
    "HuberLoss": Example(lambda *_: nn.HuberLoss(delta=0.6), lambda r: (r(2, 2), r(2, 2))),
    "CrossEntropyLoss": Example(
        lambda *_: nn.CrossEntropyLoss(), lambda r: (r(4, 3), np.array([0, 2, 2, 1]))
    ),
    "CrossEntropyLoss with options": Example(
        lambda _, dtype: nn.CrossEntropyLoss(
            np.array([0.5, 2.0, 1.0], dtype), ignore_index=1, label_smoothing=0.25
        ),
        lambda r: (r(2, 3, 2), np.array([[0, 1], [2, 2]])),
    ),
    "NLLLoss": Example(
        lambda _, dtype: nn.NLLLoss(
            np.array([0.5, 2.0, 1.0], dtype), ignore_index=1, reduction="sum"
        ),
        lambda r: (r(4, 3), np.array([0, 2, 1, 2])),
    ),
    "BCEWithLogitsLoss": Example(
        lambda _, dtype: nn.BCEWithLogitsLoss(
            np.array([[2.0], [0.5]], dtype), pos_weight=np.array([1.0, 3.0, 0.5], dtype)
        ),
        lambda r: (r(2, 3), np.array([[0, 1, 1], [1, 0, 0]])),
    ),
    "KLDivLoss": Example(
        lambda *_: nn.KLDivLoss(reduction="batchmean"), lambda r: (r(2, 3), r(2, 3) ** 2 + 0.1)
    ),
    "KLDivLoss of logarithms": Example(
        lambda *_: nn.KLDivLoss(log_target=True), lambda r: (r(2, 3), r(2, 3))
    ),
    "HingeLoss": Example(lambda *_: nn.HingeLoss(0.5), lambda r: (r(4, 3), np.array([0, 2, 2, 1]))),
    "HingeLoss, squared": Example(
        lambda *_: nn.HingeLoss(squared=True, reduction="sum"),
        lambda r: (r(4, 3), np.array([0, 2, 2, 1])),
    ),
    "AttributeHingeLoss": Example(
        lambda *_: nn.AttributeHingeLoss(), lambda r: (r(2, 3), np.array([[1, -1, -1], [-1, 1, 1]]))
    ),
    "MultiMarginLoss": Example(
        lambda _, dtype: nn.MultiMarginLoss(2, 0.5, np.array([0.5, 2.0, 1.0], dtype)),
        lambda r: (r(4, 3), np.array([0, 2, 2, 1])),
    ),
    # ----------------------------------------------------------------------- normalization
    "BatchNorm1d": Example(lambda _, dtype: nn.BatchNorm1d(3, dtype=dtype), lambda r: (r(4, 3),)),
    "BatchNorm1d of sequences": Example(
        lambda _, dtype: nn.BatchNorm1d(2, 0.1, momentum=None, dtype=dtype), lambda r: (r(2, 2, 3),)
    ),
    "BatchNorm2d": Example(
        lambda _, dtype: nn.BatchNorm2d(2, momentum=0.3, dtype=dtype), lambda r: (r(2, 2, 2, 3),)
    ),
    "BatchNorm2d without anything": Example(
        lambda _, dtype: nn.BatchNorm2d(2, affine=False, track_running_stats=False, dtype=dtype),
        lambda r: (r(2, 2, 1, 2),),
    ),
    "LayerNorm": Example(lambda _, dtype: nn.LayerNorm(4, dtype=dtype), lambda r: (r(2, 4),)),
    "LayerNorm of two axes": Example(
        lambda _, dtype: nn.LayerNorm((2, 3), eps=0.1, bias=False, dtype=dtype),
        lambda r: (r(2, 2, 3),),
    ),
    "GroupNorm": Example(lambda _, dtype: nn.GroupNorm(2, 4, dtype=dtype), lambda r: (r(2, 4, 3),)),
    "GroupNorm without weight": Example(
        lambda _, dtype: nn.GroupNorm(1, 2, affine=False, dtype=dtype), lambda r: (r(2, 2, 2, 1),)
    ),
    "LocalResponseNorm": Example(
        lambda *_: nn.LocalResponseNorm(3, alpha=0.5, k=2.0), lambda r: (r(2, 5, 2),)
    ),
    # ----------------------------------------------------------------------------- pooling
    "MaxPool1d": Example(lambda *_: nn.MaxPool1d(3, 2, 1), lambda r: (r(2, 1, 5),)),
    "MaxPool2d": Example(lambda *_: nn.MaxPool2d(2), lambda r: (r(1, 2, 4, 5),)),
    "MaxPool2d with options": Example(
        lambda *_: nn.MaxPool2d((2, 3), 2, (1, 0), (2, 1), ceil_mode=True),
        lambda r: (r(1, 2, 4, 4),),
    ),
    "AvgPool1d": Example(lambda *_: nn.AvgPool1d(2), lambda r: (r(2, 4),)),
    "AvgPool2d": Example(
        lambda *_: nn.AvgPool2d(3, 2, 1, count_include_pad=False), lambda r: (r(1, 2, 4, 3),)
    ),
    "AvgPool2d with a divisor": Example(
        lambda *_: nn.AvgPool2d((2, 1), (1, 2), 0, True, divisor_override=3),
        lambda r: (r(1, 1, 3, 4),),
    ),
    "LPPool2d": Example(lambda *_: nn.LPPool2d(2, 2), lambda r: (r(1, 1, 4, 2),)),
    "AdaptiveAvgPool2d": Example(
        lambda *_: nn.AdaptiveAvgPool2d((2, None)), lambda r: (r(1, 2, 3, 2),)
    ),
    "AdaptiveMaxPool2d": Example(lambda *_: nn.AdaptiveMaxPool2d(2), lambda r: (r(1, 2, 3, 2),)),
    "GlobalAvgPool2d": Example(lambda *_: nn.GlobalAvgPool2d(), lambda r: (r(2, 2, 3, 2),)),
    "GlobalMaxPool2d": Example(lambda *_: nn.GlobalMaxPool2d(), lambda r: (r(2, 2, 3, 2),)),
    # --------------------------------------------------------------------------- recurrent
    "RNN": Example(
        lambda rng, dtype: nn.RNN(3, 2, bidirectional=True, rng=rng, dtype=dtype),
        lambda r: (r(3, 2, 3),),
    ),
    "RNN of relu": Example(
        lambda rng, dtype: nn.RNN(2, 2, nonlinearity="relu", bias=False, rng=rng, dtype=dtype),
        lambda r: (r(3, 2, 2), r(1, 2, 2)),
    ),
    "LSTM": Example(
        lambda rng, dtype: nn.LSTM(3, 2, num_layers=2, bidirectional=True, rng=rng, dtype=dtype),
        lambda r: (r(3, 2, 3),),
    ),
    "LSTM, batch first": Example(
        lambda rng, dtype: nn.LSTM(3, 2, bias=False, batch_first=True, rng=rng, dtype=dtype),
        lambda r: (r(2, 3, 3),),
    ),
    "GRU": Example(
        lambda rng, dtype: nn.GRU(3, 2, num_layers=2, bidirectional=True, rng=rng, dtype=dtype),
        lambda r: (r(3, 2, 3), r(4, 2, 2)),
    ),
    "RNNCell": Example(
        lambda rng, dtype: nn.RNNCell(3, 2, rng=rng, dtype=dtype), lambda r: (r(2, 3), r(2, 2))
    ),
    "LSTMCell": Example(
        lambda rng, dtype: nn.LSTMCell(3, 2, rng=rng, dtype=dtype), lambda r: (r(2, 3),)
    ),
    "GRUCell": Example(
        lambda rng, dtype: nn.GRUCell(3, 2, rng=rng, dtype=dtype), lambda r: (r(2, 3), r(2, 2))
    ),
    # ------------------------------------------------------------------------------ shape
    "Flatten": Example(lambda *_: nn.Flatten(), lambda r: (r(2, 3, 2),)),
    "Flatten of some axes": Example(lambda *_: nn.Flatten(0, 1), lambda r: (r(2, 3, 2),)),
    # ------------------------------------------------------------------------- transformer
    "PositionalEncoding": Example(lambda *_: nn.PositionalEncoding(3), lambda r: (r(2, 2, 3),)),
    "TransformerEncoderLayer": Example(
        lambda rng, dtype: nn.TransformerEncoderLayer(
            4, 2, 3, dropout=0.0, activation="gelu", norm_first=True, rng=rng, dtype=dtype
        ),
        lambda r: (r(3, 2, 4),),
    ),
    "TransformerEncoder": Example(
        lambda rng, dtype: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(
                2, 1, 3, dropout=0.0, activation="gelu", batch_first=True, rng=rng, dtype=dtype
            ),
            2,
            nn.LayerNorm(2, 0.1, dtype=dtype),
        ),
        lambda r: (r(1, 2, 2),),
    ),
}
