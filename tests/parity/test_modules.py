"""Every module that PyTorch has too: names, shapes, outputs, gradients, running statistics."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest

from tests.every_module import EXAMPLES
from tests.nn.test_every_module import inputs_of, made
from tests.parity.compare import agree_as_modules

torch = pytest.importorskip("torch")
tnn: Any = torch.nn


class BCEWithLogitsOfLabels(tnn.BCEWithLogitsLoss):  # type: ignore[misc]
    """PyTorch's takes floating targets only."""

    def forward(self, x: Any, target: Any) -> Any:
        return super().forward(x, target.double())


# What is not written there as here: the others are evaluated from our repr.
COUNTERPARTS: dict[str, Callable[[], Any]] = {
    "Softmax": lambda: tnn.Softmax(-1),
    "LogSoftmax": lambda: tnn.LogSoftmax(1),
    "MultiheadAttention": lambda: tnn.MultiheadAttention(4, 2),
    "MultiheadAttention, batch first": lambda: tnn.MultiheadAttention(
        4, 1, bias=False, batch_first=True
    ),
    "Sequential": lambda: tnn.Sequential(tnn.Linear(3, 4), tnn.Linear(4, 2)),
    "DropConnect": lambda: tnn.Linear(3, 2),  # in evaluation
    "CrossEntropyLoss with options": lambda: tnn.CrossEntropyLoss(
        torch.ones(3), ignore_index=1, label_smoothing=0.25
    ),
    "NLLLoss": lambda: tnn.NLLLoss(torch.ones(3), ignore_index=1, reduction="sum"),
    "BCEWithLogitsLoss": lambda: BCEWithLogitsOfLabels(torch.ones(2, 1), pos_weight=torch.ones(3)),
    "MultiMarginLoss": lambda: tnn.MultiMarginLoss(2, 0.5, torch.ones(3)),
    "GlobalAvgPool2d": lambda: tnn.Sequential(tnn.AdaptiveAvgPool2d(1), tnn.Flatten()),
    "GlobalMaxPool2d": lambda: tnn.Sequential(tnn.AdaptiveMaxPool2d(1), tnn.Flatten()),
    "TransformerEncoderLayer": lambda: tnn.TransformerEncoderLayer(
        4, 2, 3, dropout=0.0, activation="gelu", norm_first=True
    ),
    "TransformerEncoder": lambda: tnn.TransformerEncoder(
        tnn.TransformerEncoderLayer(2, 1, 3, dropout=0.0, activation="gelu", batch_first=True),
        2,
        tnn.LayerNorm(2, 0.1),
        enable_nested_tensor=False,
    ),
}
_ABSENT = """Ensemble, Ensemble of outputs, LocallyConnected2d, LocallyConnected2d with margins,
VanillaDropout, PositionalEncoding, Step, Maxout, Maxout without bias, HalfSquaredError, HingeLoss,
HingeLoss| squared, AttributeHingeLoss"""
ABSENT = {name.strip().replace("|", ",") for name in _ABSENT.split(",")}  # PyTorch has none


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in ABSENT])
def test_module(name: str, training: bool) -> None:
    example = EXAMPLES[name]
    ours = made(example)
    make = COUNTERPARTS.get(name, lambda: eval(repr(ours), vars(tnn)))  # our own text
    theirs = make().double()
    for net in (ours, theirs):
        net.train(training and example.reproducible)
    with warnings.catch_warnings():  # PyTorch's own, about itself
        warnings.simplefilter("ignore")
        agree_as_modules(ours, theirs, inputs_of(example))
