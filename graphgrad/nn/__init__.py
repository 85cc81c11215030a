"""Neural networks on graphgrad: modules, functions of a network, initial values."""

if __name__ != "graphgrad.nn":
    raise ImportError(
        f"this folder is the package graphgrad.nn, imported as {__name__!r}: a second copy of it "
        "would have classes of its own; write `from graphgrad import nn`"
    )

from typing import TYPE_CHECKING

from graphgrad.names import install_getattr as _install_getattr
from graphgrad.nn import functional as functional, init as init
from graphgrad.nn.conversion import (
    to_affine as to_affine,
    to_convolution as to_convolution,
)
from graphgrad.nn.ensemble import Ensemble as Ensemble
from graphgrad.nn.evaluation import accuracy as accuracy, predict as predict
from graphgrad.nn.layers.activations import (
    ELU as ELU,
    GELU as GELU,
    SELU as SELU,
    Hardtanh as Hardtanh,
    Identity as Identity,
    LeakyReLU as LeakyReLU,
    LogSigmoid as LogSigmoid,
    LogSoftmax as LogSoftmax,
    Maxout as Maxout,
    PReLU as PReLU,
    ReLU as ReLU,
    ReLU6 as ReLU6,
    Sigmoid as Sigmoid,
    SiLU as SiLU,
    Softmax as Softmax,
    Softplus as Softplus,
    Step as Step,
    Tanh as Tanh,
)
from graphgrad.nn.layers.attention import MultiheadAttention as MultiheadAttention
from graphgrad.nn.layers.convolution import (
    Conv1d as Conv1d,
    Conv2d as Conv2d,
    ConvTranspose1d as ConvTranspose1d,
    ConvTranspose2d as ConvTranspose2d,
)
from graphgrad.nn.layers.dropout import (
    DropConnect as DropConnect,
    Dropout as Dropout,
    Dropout2d as Dropout2d,
    VanillaDropout as VanillaDropout,
)
from graphgrad.nn.layers.embedding import Embedding as Embedding
from graphgrad.nn.layers.linear import Affine as Affine, Linear as Linear
from graphgrad.nn.layers.locally_connected import LocallyConnected2d as LocallyConnected2d
from graphgrad.nn.layers.losses import (
    AttributeHingeLoss as AttributeHingeLoss,
    BCEWithLogitsLoss as BCEWithLogitsLoss,
    CrossEntropyLoss as CrossEntropyLoss,
    HalfSquaredError as HalfSquaredError,
    HingeLoss as HingeLoss,
    HuberLoss as HuberLoss,
    KLDivLoss as KLDivLoss,
    L1Loss as L1Loss,
    MSELoss as MSELoss,
    MultiMarginLoss as MultiMarginLoss,
    NLLLoss as NLLLoss,
)
from graphgrad.nn.layers.normalization import (
    BatchNorm1d as BatchNorm1d,
    BatchNorm2d as BatchNorm2d,
    GroupNorm as GroupNorm,
    LayerNorm as LayerNorm,
    LocalResponseNorm as LocalResponseNorm,
)
from graphgrad.nn.layers.pooling import (
    AdaptiveAvgPool2d as AdaptiveAvgPool2d,
    AdaptiveMaxPool2d as AdaptiveMaxPool2d,
    AvgPool1d as AvgPool1d,
    AvgPool2d as AvgPool2d,
    GlobalAvgPool2d as GlobalAvgPool2d,
    GlobalMaxPool2d as GlobalMaxPool2d,
    LPPool2d as LPPool2d,
    MaxPool1d as MaxPool1d,
    MaxPool2d as MaxPool2d,
)
from graphgrad.nn.layers.recurrent import (
    GRU as GRU,
    LSTM as LSTM,
    RNN as RNN,
    GRUCell as GRUCell,
    LSTMCell as LSTMCell,
    RNNCell as RNNCell,
)
from graphgrad.nn.layers.shape import Flatten as Flatten
from graphgrad.nn.layers.transformer import (
    PositionalEncoding as PositionalEncoding,
    TransformerEncoder as TransformerEncoder,
    TransformerEncoderLayer as TransformerEncoderLayer,
)
from graphgrad.nn.modules.containers import ModuleList as ModuleList, Sequential as Sequential
from graphgrad.nn.modules.functional_call import functional_call as functional_call
from graphgrad.nn.modules.module import Buffer as Buffer, Module as Module, Parameter as Parameter
from graphgrad.nn.modules.summary import summary as summary
from graphgrad.nn.storage import load as load, save as save
from graphgrad.reprs import public as _public

if TYPE_CHECKING:
    from graphgrad.nn import models as models
    from graphgrad.nn.diagnosis.sanity import (
        SanityReport as SanityReport,
        sanity_checks as sanity_checks,
    )
    from graphgrad.nn.diagnosis.watching import Diagnosis as Diagnosis
    from graphgrad.nn.training.checkpoints import Checkpoints as Checkpoints
    from graphgrad.nn.training.history import History as History
    from graphgrad.nn.training.trainer import Trainer as Trainer
    from graphgrad.nn.tuning.findings import (
        SearchResult as SearchResult,
        TrialResult as TrialResult,
    )
    from graphgrad.nn.tuning.hyperparameters import search as search
    from graphgrad.nn.tuning.ranges import Choice as Choice, Range as Range
    from graphgrad.nn.tuning.workers import Trial as Trial

_ON_FIRST_USE = {
    "Checkpoints": "graphgrad.nn.training.checkpoints",
    "Choice": "graphgrad.nn.tuning.ranges",
    "Diagnosis": "graphgrad.nn.diagnosis.watching",
    "History": "graphgrad.nn.training.history",
    "Range": "graphgrad.nn.tuning.ranges",
    "SanityReport": "graphgrad.nn.diagnosis.sanity",
    "SearchResult": "graphgrad.nn.tuning.findings",
    "Trainer": "graphgrad.nn.training.trainer",
    "Trial": "graphgrad.nn.tuning.workers",
    "TrialResult": "graphgrad.nn.tuning.findings",
    "models": "graphgrad.nn.models",
    "sanity_checks": "graphgrad.nn.diagnosis.sanity",
    "search": "graphgrad.nn.tuning.hyperparameters",
}
_install_getattr(__name__, _ON_FIRST_USE)


def __dir__() -> list[str]:
    """Name what is public, loaded or not, so that Tab offers that alone."""
    return _public(__name__, "functional", "init", *_ON_FIRST_USE)
