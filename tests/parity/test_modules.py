"""Every module that PyTorch has too: names, shapes, outputs, gradients, running statistics."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from tests.every_module import EXAMPLES
from tests.test_modules import inputs_of, made, outputs

torch = pytest.importorskip("torch")
tnn: Any = torch.nn


class BCEWithLogitsOfLabels(tnn.BCEWithLogitsLoss):  # type: ignore[misc]
    """PyTorch's takes floating targets only."""

    def forward(self, x: Any, target: Any) -> Any:
        return super().forward(x, target.double())


COUNTERPARTS: dict[str, Callable[[], Any]] = {
    # ------------------------------------------------------------------------- activations
    "Identity": tnn.Identity,
    "Sigmoid": tnn.Sigmoid,
    "Tanh": tnn.Tanh,
    "ReLU": tnn.ReLU,
    "LeakyReLU": lambda: tnn.LeakyReLU(0.2),
    "PReLU": tnn.PReLU,
    "PReLU per channel": lambda: tnn.PReLU(3, init=0.1),
    "ELU": lambda: tnn.ELU(0.5),
    "GELU": tnn.GELU,
    "GELU by tanh": lambda: tnn.GELU("tanh"),
    "SiLU": tnn.SiLU,
    "Softplus": lambda: tnn.Softplus(2.0, threshold=20.0),
    "Softmax": lambda: tnn.Softmax(-1),
    "LogSoftmax": lambda: tnn.LogSoftmax(1),
    # --------------------------------------------------------------------------- attention
    "MultiheadAttention": lambda: tnn.MultiheadAttention(4, 2),
    "MultiheadAttention, batch first": lambda: tnn.MultiheadAttention(
        4, 1, bias=False, batch_first=True
    ),
    # ------------------------------------------------------------------------- containers
    "Sequential": lambda: tnn.Sequential(tnn.Linear(3, 4), tnn.Linear(4, 2)),
    # ------------------------------------------------------------------------ convolution
    "Conv1d": lambda: tnn.Conv1d(2, 3, 2, stride=2, padding=1),
    "Conv2d": lambda: tnn.Conv2d(2, 3, (2, 3), padding="same"),
    "Conv2d in groups": lambda: tnn.Conv2d(2, 2, 2, stride=2, dilation=2, groups=2, bias=False),
    "ConvTranspose2d": lambda: tnn.ConvTranspose2d(
        2, 4, 2, stride=(2, 1), padding=1, output_padding=(1, 0), groups=2
    ),
    # ------------------------------------------------------------------------------ dense
    "Affine": lambda: tnn.Linear(3, 2),
    "Affine without bias": lambda: tnn.Linear(3, 2, bias=False),
    # ---------------------------------------------------------------------------- dropout
    "Dropout": lambda: tnn.Dropout(0.4),
    "Dropout2d": lambda: tnn.Dropout2d(0.4),
    "DropConnect": lambda: tnn.Linear(3, 2),  # in evaluation
    # -------------------------------------------------------------------------- embeddings
    "Embedding": lambda: tnn.Embedding(4, 3, padding_idx=1),
    # ----------------------------------------------------------------------------- losses
    "MSELoss": tnn.MSELoss,
    "L1Loss": lambda: tnn.L1Loss(reduction="none"),
    "HuberLoss": lambda: tnn.HuberLoss(delta=0.6),
    "CrossEntropyLoss": tnn.CrossEntropyLoss,
    "CrossEntropyLoss with options": lambda: tnn.CrossEntropyLoss(
        torch.ones(3), ignore_index=1, label_smoothing=0.25
    ),
    "NLLLoss": lambda: tnn.NLLLoss(torch.ones(3), ignore_index=1, reduction="sum"),
    "BCEWithLogitsLoss": lambda: BCEWithLogitsOfLabels(torch.ones(2, 1), pos_weight=torch.ones(3)),
    "KLDivLoss": lambda: tnn.KLDivLoss(reduction="batchmean"),
    "KLDivLoss of logarithms": lambda: tnn.KLDivLoss(log_target=True),
    "MultiMarginLoss": lambda: tnn.MultiMarginLoss(2, 0.5, torch.ones(3)),
    # ----------------------------------------------------------------------- normalization
    "BatchNorm1d": lambda: tnn.BatchNorm1d(3),
    "BatchNorm1d of sequences": lambda: tnn.BatchNorm1d(2, 0.1, momentum=None),
    "BatchNorm2d": lambda: tnn.BatchNorm2d(2, momentum=0.3),
    "BatchNorm2d without anything": lambda: tnn.BatchNorm2d(
        2, affine=False, track_running_stats=False
    ),
    "LayerNorm": lambda: tnn.LayerNorm(4),
    "LayerNorm of two axes": lambda: tnn.LayerNorm((2, 3), eps=0.1, bias=False),
    "GroupNorm": lambda: tnn.GroupNorm(2, 4),
    "GroupNorm without weight": lambda: tnn.GroupNorm(1, 2, affine=False),
    "LocalResponseNorm": lambda: tnn.LocalResponseNorm(3, alpha=0.5, k=2.0),
    # ---------------------------------------------------------------------------- pooling
    "MaxPool1d": lambda: tnn.MaxPool1d(3, 2, 1),
    "MaxPool2d": lambda: tnn.MaxPool2d(2),
    "MaxPool2d with options": lambda: tnn.MaxPool2d((2, 3), 2, (1, 0), (2, 1), ceil_mode=True),
    "AvgPool1d": lambda: tnn.AvgPool1d(2),
    "AvgPool2d": lambda: tnn.AvgPool2d(3, 2, 1, count_include_pad=False),
    "AvgPool2d with a divisor": lambda: tnn.AvgPool2d((2, 1), (1, 2), 0, True, True, 3),
    "LPPool2d": lambda: tnn.LPPool2d(2, 2),
    "AdaptiveAvgPool2d": lambda: tnn.AdaptiveAvgPool2d((2, None)),
    "AdaptiveMaxPool2d": lambda: tnn.AdaptiveMaxPool2d(2),
    "GlobalAvgPool2d": lambda: tnn.Sequential(tnn.AdaptiveAvgPool2d(1), tnn.Flatten()),
    "GlobalMaxPool2d": lambda: tnn.Sequential(tnn.AdaptiveMaxPool2d(1), tnn.Flatten()),
    # --------------------------------------------------------------------------- recurrent
    "RNN": lambda: tnn.RNN(3, 2, bidirectional=True),
    "RNN of relu": lambda: tnn.RNN(2, 2, nonlinearity="relu", bias=False),
    "LSTM": lambda: tnn.LSTM(3, 2, num_layers=2, bidirectional=True),
    "LSTM, batch first": lambda: tnn.LSTM(3, 2, bias=False, batch_first=True),
    "GRU": lambda: tnn.GRU(3, 2, num_layers=2, bidirectional=True),
    "RNNCell": lambda: tnn.RNNCell(3, 2),
    "LSTMCell": lambda: tnn.LSTMCell(3, 2),
    "GRUCell": lambda: tnn.GRUCell(3, 2),
    # ------------------------------------------------------------------------------ shape
    "Flatten": tnn.Flatten,
    "Flatten of some axes": lambda: tnn.Flatten(0, 1),
    # ------------------------------------------------------------------------- transformer
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
ABSENT: set[str] = {
    "Ensemble",
    "Ensemble of outputs",
    "LocallyConnected2d",
    "LocallyConnected2d with margins",
    "VanillaDropout",
    "PositionalEncoding",
    "Step",
    "Maxout",
    "Maxout without bias",
    "HalfSquaredError",
    "HingeLoss",
    "HingeLoss, squared",
    "AttributeHingeLoss",
}  # of which PyTorch has none


def test_every_example_has_a_counterpart_or_is_known_to_have_none() -> None:
    assert set(EXAMPLES) == set(COUNTERPARTS) | ABSENT
    assert not set(COUNTERPARTS) & ABSENT


def results(module: Any, inputs: list[Any], outs: list[Any]) -> dict[str, Any]:
    """Return outputs and gradients by name, after one backward pass."""
    rng = np.random.default_rng(0)
    found = {f"output {i}": y for i, y in enumerate(outs)}
    if any(y.requires_grad for y in outs):
        weights = [rng.uniform(-1, 1, tuple(y.shape)) for y in outs]
        if not isinstance(outs[0], gg.Tensor):
            weights = list(map(torch.tensor, weights))
        total: Any = sum((y * w).sum() for y, w in zip(outs, weights, strict=True))
        total.backward()
    found |= {f"∂ input {i}": x.grad for i, x in enumerate(inputs) if hasattr(x, "grad")}
    found |= {f"∂ {name}": p.grad for name, p in module.named_parameters()}
    found |= dict(module.named_buffers())
    return {name: None if x is None else as_numpy(x) for name, x in found.items()}


def as_numpy(x: Any) -> Any:
    return x.detach().numpy() if hasattr(x, "detach") else x


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("name", COUNTERPARTS)
def test_module(name: str, training: bool) -> None:
    example = EXAMPLES[name]
    if training and not example.reproducible:
        training = False
    ours, theirs = made(example), COUNTERPARTS[name]().double()
    theirs.load_state_dict({n: torch.tensor(a) for n, a in ours.state_dict().items()})
    ours.train(training)
    theirs.train(training)
    arrays = inputs_of(example)
    floating = [x.dtype.kind == "f" for x in arrays]
    xs = [gg.Tensor(x, requires_grad=f) for x, f in zip(arrays, floating, strict=True)]
    ts = [torch.tensor(x, requires_grad=f) for x, f in zip(arrays, floating, strict=True)]
    our_results = results(ours, xs, outputs(ours(*xs)))
    with warnings.catch_warnings():  # PyTorch's own, about itself
        warnings.simplefilter("ignore")
        outs = theirs(*ts)
    flat = [y for y in _flat(outs) if y.is_floating_point()]
    their_results = results(theirs, ts, flat)
    assert set(our_results) == set(their_results)
    for key, value in their_results.items():
        if value is None or our_results[key] is None:
            assert value is None or not np.any(value), key
            assert our_results[key] is None or not np.any(our_results[key]), key
            continue
        np.testing.assert_allclose(our_results[key], value, 1e-9, 1e-11, err_msg=key)


def _flat(outs: Any) -> list[Any]:
    if isinstance(outs, list | tuple):
        return [y for out in outs for y in _flat(out)]
    return [] if outs is None else [outs]
