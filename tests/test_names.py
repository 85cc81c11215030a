"""Names that are not there: the nearest one is told, or the NumPy way of what PyTorch has."""

import importlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import data, nn, optim, viz
from graphgrad.errors import GraphgradError
from graphgrad.names import _SPACES, KEYWORD_HINTS, MODULE_HINTS, TENSOR_HINTS

T = gg.Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
SCOPE: dict[str, Any] = {
    "gg": gg,
    "np": np,
    "nn": nn,
    "optim": optim,
    "data": data,
    "viz": viz,
    "t": T,
    "rng": np.random.default_rng(0),
}
MODULES = {space: importlib.import_module(module) for module, space in _SPACES.items()}


def told(f: Callable[[], Any]) -> str:
    with pytest.raises((AttributeError, TypeError)) as caught:
        f()
    assert isinstance(caught.value, GraphgradError), caught.value
    assert re.search(r"\(at .+:\d+\)$", str(caught.value))
    return str(caught.value)


@pytest.mark.parametrize("space", MODULES)
def test_two_letters_the_wrong_way_round_are_understood(space: str) -> None:
    module = MODULES[space]
    names = [n for n in dir(module) if not n.startswith("_") and len(n) > 5]
    wrong = {n[0] + n[2] + n[1] + n[3:]: n for n in names if n[1] != n[2]}
    understood = 0
    for mistyped, name in wrong.items():
        near = re.search(r"did you mean ([\w.]+)\?", told(lambda m=mistyped: getattr(module, m)))  # type: ignore[misc]
        assert near, mistyped
        assert eval(near[1], SCOPE) is not None
        understood += near[1] == f"{space}.{name}"
    assert understood > 0.8 * len(wrong) > 0


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("gg.sigmiod", "gg.sigmoid"),
        ("gg.Linear", "nn.Linear"),
        ("gg.checkpoint", "use gg.recompute; nn.Checkpoints saves a training"),
        ("nn.Linaer", "nn.Linear"),
        ("nn.relu", "gg.relu"),
        ("optim.Adm", "optim.Adam"),
        ("optim.adam", "optim.Adam"),
        ("nn.functional.Softmax", "nn.Softmax"),
        ("gg.nothing_like_it", "dir(gg) lists"),
    ],
)
def test_the_nearest_name(wrong: str, right: str) -> None:
    assert right in told(lambda: eval(wrong, SCOPE))


@pytest.mark.parametrize("space", MODULE_HINTS)
def test_the_names_of_others_in_modules(space: str) -> None:
    for name, remedy in MODULE_HINTS[space].items():
        assert name not in dir(MODULES[space]), name
        assert remedy in told(lambda name=name: getattr(MODULES[space], name))  # type: ignore[misc]


def test_the_names_of_others_on_tensors() -> None:
    for name, remedy in TENSOR_HINTS.items():
        assert not hasattr(T, name), name
        assert name not in dir(T)
        assert remedy in told(lambda name=name: getattr(T, name))  # type: ignore[misc]
    parameter = nn.Parameter(np.ones(2))
    assert "reshape" in told(lambda: parameter.view(2))  # type: ignore[attr-defined]


def test_what_is_recommended_is_there() -> None:
    remedies = [
        *TENSOR_HINTS.values(),
        *(r for table in MODULE_HINTS.values() for r in table.values()),
    ]
    named = {
        n for r in remedies for n in re.findall(r"\b(?:gg|nn|optim|data|np|rng|t)(?:\.\w+)+", r)
    }
    assert len(named) > 30
    for name in named:
        eval(name, SCOPE)


@pytest.mark.parametrize("wrong", KEYWORD_HINTS)
def test_the_arguments_of_others(wrong: str) -> None:
    called: list[Callable[..., Any]] = [T.sum, T.mean, T.max, T.std, lambda **k: gg.sum(T, **k)]
    called += [lambda **k: gg.amax(T, **k), lambda **k: nn.functional.softmax(T, **k)]
    for f in called[: None if KEYWORD_HINTS[wrong] == "axis" else 5]:
        assert f"it is '{KEYWORD_HINTS[wrong]}' here" in told(lambda f=f: f(**{wrong: 1}))  # type: ignore[misc]


def test_a_mistyped_argument_is_understood() -> None:
    assert "did you mean 'keepdims'?" in told(lambda: gg.sum(T, keepdms=True))
    assert "it takes x" in told(lambda: gg.exp(T, qqq=1))


def test_protocols_look_names_up_as_before() -> None:
    for name in ("__array_interface__", "__cuda_array_interface__", "__dlpack__", "_private"):
        with pytest.raises(AttributeError) as caught:
            getattr(T, name)
        assert not isinstance(caught.value, GraphgradError)
        with pytest.raises(AttributeError) as caught:
            getattr(gg, name)
        assert not isinstance(caught.value, GraphgradError)
    with pytest.raises(ImportError):
        exec("from graphgrad.nn import Linaer")
