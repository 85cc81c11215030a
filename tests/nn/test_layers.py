"""Layers and functions: each has the other, with the same arguments and errors, and one text."""

import inspect
import re
from typing import Any

import numpy as np
import pytest

from graphgrad import nn
from graphgrad.errors import ArgumentError, DtypeError, GraphgradError
from graphgrad.nn import functional as F  # noqa: N812
from graphgrad.nn.layers.function_layers import FunctionLayer
from graphgrad.nn.layers.losses import Loss
from tests.bad_arguments import BAD
from tests.every_call import signature_of
from tests.every_module import EXAMPLES
from tests.nn.test_every_module import inputs_of, made

FUNCTIONS = {name: f for name, f in vars(F).items() if callable(f) and not name.startswith("_")}
CLASSES = {
    name: c for name, c in vars(nn).items() if isinstance(c, type) and issubclass(c, nn.Module)
}
LAYERS: dict[str, Any] = {name: c for name, c in CLASSES.items() if "_function" in vars(c)}
THIN = {type(made(e)): e for e in EXAMPLES.values() if isinstance(made(e), FunctionLayer)}

NO_LAYER = {
    **dict.fromkeys(("attention_weights", "scaled_dot_product_attention"), "MultiheadAttention"),
    "causal_mask": "what is_causal means",
    **dict.fromkeys(("im2col", "col2im"), "what Saito's convolution is made of"),
}
NO_FUNCTION = {
    **dict.fromkeys(("Module", "ModuleList", "Sequential", "Ensemble"), "made of other modules"),
    **dict.fromkeys(("TransformerEncoder", "TransformerEncoderLayer"), "made of other modules"),
    "MultiheadAttention": "scaled_dot_product_attention between Linear layers",
}
OTHER_NAMES = {
    "Affine": "Saito's name of Linear",
    "BCEWithLogitsLoss": "PyTorch's names",
    "DropConnect": "linear of a dropout of its weight",
    "PositionalEncoding": "sinusoidal_positions, added",
}


def core(name: str) -> str:
    return re.sub("_|(loss|layer|cell|[12]d)$", "", name.lower())


def test_every_function_has_a_layer_and_every_layer_a_function() -> None:
    have = {id(c._function) for c in LAYERS.values()}
    assert {name for name, f in FUNCTIONS.items() if id(f) not in have} == NO_LAYER.keys()
    assert CLASSES.keys() - LAYERS.keys() == NO_FUNCTION.keys()


def test_they_have_the_same_name() -> None:
    pairs = {name: getattr(c._function, "__name__", "") for name, c in LAYERS.items()}
    assert {a for a, b in pairs.items() if core(a) != core(b)} == OTHER_NAMES.keys()


@pytest.mark.parametrize("kind", THIN, ids=lambda c: c.__name__)
def test_they_have_the_same_arguments_and_defaults(kind: Any) -> None:
    of_layer = {n: p.default for n, p in inspect.signature(kind).parameters.items()}
    of_function = {n: p.default for n, p in signature_of(kind._function).items() if n != "training"}
    inputs = 2 if issubclass(kind, Loss) else 1
    assert of_layer == dict(list(of_function.items())[inputs:])


@pytest.mark.parametrize("kind", THIN, ids=lambda c: c.__name__)
def test_what_the_function_refuses_the_layer_refuses_when_it_is_made(kind: Any) -> None:
    layer = made(THIN[kind])
    inputs = inputs_of(THIN[kind])
    kept = {name: getattr(layer, name) for name in inspect.signature(kind).parameters}
    for name in kept.keys() - {"weight", "pos_weight"}:
        for make in BAD.values():
            given = kept | {name: make()}
            refused: list[type[Exception]] = []
            try:
                with np.errstate(all="ignore"):
                    kind._function(*inputs, **given)
            except GraphgradError as error:
                refused = [type(error)] if isinstance(error, ArgumentError | DtypeError) else []
            if refused:
                with pytest.raises(refused[0], match=f"^{kind.__name__}: .*{name}"):
                    kind(**given)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_help_of_a_function_explains_all_parameters_or_none(name: str) -> None:
    _, title, rest = inspect.getdoc(FUNCTIONS[name]).partition("\nParameters\n----------\n")  # type: ignore[union-attr]
    entries = re.findall(r"^(\w.*)$", rest.partition("\n\n")[0], re.MULTILINE)
    explained = {part for entry in entries for part in entry.split(", ")}
    assert explained == (set(inspect.signature(FUNCTIONS[name]).parameters) if title else set())


@pytest.mark.parametrize("name", LAYERS)
def test_the_help_of_a_layer_ends_with_that_of_its_function(name: str) -> None:
    text, said = inspect.getdoc(LAYERS[name]), inspect.getdoc(LAYERS[name]._function)
    assert text
    assert said
    assert re.sub(r"\n +", "\n", text).endswith(re.sub(r"\n +", "\n", said))
