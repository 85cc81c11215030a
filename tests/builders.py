"""What several files of tests build: leaves, small networks, their graphs, refused calls."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.viz import Graph

# Names that could do harm, and how a picture shows them.
HOSTILE = {
    "</script><img src=x onerror=1>": "</script><img src=x onerror=1>",
    "a & b &lt; 'c`d\" ]]> -->": "a & b &lt; 'c`d\" ]]> -->",
    "\\N \\G \\\\ C:\\new": "\\N \\G \\\\ C:\\new",
    "one\ntwo\rthree\tfour\u2028five": "one two three four five",
    "nul \0 esc \x1b[31m": "nul \ufffd esc \ufffd[31m",
    "turned \u202e round\u2066": "turned \ufffd round\ufffd",
    "שלום 日本 😀": "שלום 日本 😀",
    "lone \ud800": "lone \ufffd",  # half a character, which no file can hold
    '"]; click v1; }; subgraph x {': '"]; click v1; }; subgraph x {',
    "end": "end",
    "#35;&lt;<br/>%%{init}%%": "#35;&lt;<br/>%%{init}%%",
    "1. list": "1. list",
    "x" * 10_000: "x" * 21 + "…" + "x" * 10,
}


class Block(nn.Module):
    """Two layers and a way around them."""

    def __init__(self, rng: Any, width: int = 6) -> None:
        self.inner = nn.Affine(width, width, rng=rng)
        self.outer = nn.Affine(width, width, rng=rng)

    def forward(self, x: Any) -> Any:
        return x + self.outer(gg.tanh(self.inner(x)))


class Net(nn.Module):
    """Blocks of one kind one after the other."""

    def __init__(self, blocks: int) -> None:
        rng = np.random.default_rng(0)
        self.stem = nn.Affine(4, 6, rng=rng)
        self.blocks = [Block(rng) for _ in range(blocks)]
        self.head = nn.Affine(6, 3, rng=rng)

    def forward(self, x: Any) -> Any:
        x = gg.relu(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Named(nn.Module):
    """Layers whose paths end in names."""

    def __init__(self, names: list[str], width: int) -> None:
        rng = np.random.default_rng(0)
        self.parts = {name: nn.Affine(width, width, rng=rng) for name in names}

    def forward(self, x: Any) -> Any:
        for layer in self.parts.values():
            x = layer(x)
        return x


def traced(model: nn.Module, *shape: int) -> Graph:
    """The graph of a model's mean output, with its modules."""
    x = gg.Tensor(np.random.default_rng(1).standard_normal(shape), dtype=np.float32, name="x")
    with gg.viz.tracing():
        loss = model(x).mean()
    return gg.graph(loss)


def network() -> gg.Tensor:
    """Groups in groups, ways past blocks, a leaf and a result outside of them, one input twice."""
    rng = np.random.default_rng(0)

    class Around(nn.Module):
        def __init__(self) -> None:
            self.inner = nn.Sequential(
                nn.Affine(3, 3, rng=rng), nn.ReLU(), nn.Affine(3, 3, bias=False, rng=rng)
            )

        def forward(self, x: Any) -> Any:
            return self.inner(x) + x

    net = nn.Sequential(nn.Affine(3, 3, rng=rng), nn.Sequential(Around(), Around()), Around())
    x = gg.Tensor(np.ones((2, 3)), requires_grad=True, name="x")
    with gg.viz.tracing():
        y: gg.Tensor = net(x)
        y.name = "y"
        return gg.sum(y * y)


def leaf(data: Any = 2.0, name: str | None = None, dtype: Any = None) -> gg.Tensor:
    """Make a tensor that is differentiated."""
    return gg.Tensor(data, dtype=dtype, requires_grad=True, name=name)


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def drawn(*shapes: tuple[int, ...], seed: int = 0) -> list[Any]:
    """Draw an array of each shape, all from one generator."""
    rng = seeded(seed)
    return [rng.standard_normal(shape) for shape in shapes]


# For each kind of error: what it says, as a pattern, and the call that is refused.
Refusals = dict[type[Exception], dict[str, Callable[[], Any]]]


def every_refusal(table: Refusals) -> pytest.MarkDecorator:
    """Run a test once for each entry, with ``kind``, ``says`` and ``call``."""
    cases = [(kind, says, call) for kind, calls in table.items() for says, call in calls.items()]
    return pytest.mark.parametrize(("kind", "says", "call"), cases, ids=[case[1] for case in cases])


def assert_refused(kind: type[Exception], says: str, call: Callable[[], Any]) -> None:
    """Assert the error and its words, and that it names the line of the call."""
    with pytest.raises(kind, match=says) as caught:
        call()
    assert f"(at {Path(call.__code__.co_filename).name}:" in str(caught.value)


def refuses(table: Refusals) -> Any:
    """Make the test of a table: each call in it is refused as it says."""

    @every_refusal(table)
    def test_what_does_not_fit_is_refused(kind: Any, says: str, call: Any) -> None:
        assert_refused(kind, says, call)

    return test_what_does_not_fit_is_refused


def memory_of(call: Callable[[], Any]) -> tuple[int, int]:
    """Return the bytes that are kept while the result of a call lives, and the most of them."""
    tracemalloc.start()
    try:
        _result = call()
        return tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
