"""Programs as text: it reads well, runs when it is pasted, and computes the same bits."""

import copy
import io
import tokenize
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.compiling.compiled import Compiled
from graphgrad.engine.trees import flatten
from graphgrad.errors import GraphError
from tests.compiling.against_eager import assert_same


def mlp(W1: Any, b1: Any, W2: Any, b2: Any, x: Any, labels: Any) -> Any:
    h = np.maximum(x @ W1 + b1, 0)
    scores = h @ W2 + b2
    shifted = scores - scores.max(axis=1, keepdims=True)
    logp = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -logp[np.arange(len(labels)), labels].mean()


def squared(w: Any, x: Any, y: Any) -> Any:
    error = x @ w - y
    return np.mean(error**2)


def logistic(w: Any, b: Any, X: Any, y: Any) -> Any:
    z = X @ w + b
    return np.mean(np.logaddexp(0, z) - y * z)


def recurrent(h: Any, W: Any, xs: Any) -> Any:
    for x in xs:
        h = np.tanh(h @ W + x)
    return (h * h).sum()


def branching(x: Any) -> Any:
    scale = 2.0 if (x > 0).all() else -1.0
    return (scale * np.exp(-x) / (1 - x**2)).sum()


def einsums(a: Any, b: Any) -> Any:
    return np.einsum("ij,jk->ik", a, b).sum() + np.einsum("ij->j", a)[0] ** 3


def indexing(x: Any) -> Any:
    y = x[1:, ::2] * x[:-1, [0, 2]] + x[1:, -1:]
    return np.where(y > 0, y, 0.1 * y).sum() - x[0, 1]


def losses(x: Any, y: Any) -> Any:
    p = nn.functional.softmax(x)
    return nn.functional.mse_loss(p, y) + nn.functional.huber_loss(x, y) + np.abs(x).max()


def convolution(x: Any, w: Any, b: Any) -> Any:
    y = nn.functional.conv2d(x, w, b, padding=1)
    return nn.functional.gelu(nn.functional.max_pool2d(y, 2)).sum()


def precedences(x: Any, y: Any) -> Any:
    a = -(x**2) + (-x) ** 2 - (x - (y - x)) * (x + y) / (x / y)
    b = 2.0 ** -np.abs(x) + (x % y) // 0.3 - -y
    return (a * (x - y > 0) + b * ((x < y) & (y > 0))).sum()


def constants(x: Any) -> Any:
    weights = np.linspace(0.1, 1.7, 300).reshape(3, 100)
    few = np.array([0.1, -0.0, np.inf])
    return (x * weights).sum() + (x[:, 0] + np.float32(0.1)).sum() + (x[:, 1] / few).sum()


def statistics(x: Any) -> Any:
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    z = (x - mean) / (deviation + 1e-5)
    return (z.T @ z).sum() + np.sort(x, axis=0)[0].prod()


def _draw(*shapes: Any) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    return lambda rng: tuple(
        rng.integers(0, 3, s[0]) if isinstance(s, list) else rng.standard_normal(s) for s in shapes
    )


CASES: list[Any] = [
    (mlp, (0, 1, 2, 3), _draw((7, 5), 5, (5, 3), 3, (4, 7), [4])),
    (squared, 0, _draw(3, (5, 3), 5)),
    (logistic, (0, 1), _draw(3, (), (6, 3), 6)),
    (recurrent, (0, 1), _draw((2, 3), (3, 3), (4, 2, 3))),
    (branching, 0, _draw(4)),
    (einsums, (0, 1), _draw((2, 3), (3, 4))),
    (indexing, 0, _draw((3, 4))),
    (losses, 0, _draw((3, 4), (3, 4))),
    (convolution, (0, 1, 2), _draw((2, 3, 6, 6), (4, 3, 3, 3), 4)),
    (precedences, (0, 1), _draw((3, 4), (3, 4))),
    (constants, 0, _draw((3, 100))),
    (statistics, 0, _draw((5, 3))),
]


def compiled_of(f: Any, draw: Any, *, calls: int = 3) -> tuple[Any, tuple[Any, ...]]:
    """Compile and call; return the compiled function and the last arguments."""
    rng = np.random.default_rng(0)
    compiled, args = gg.compile(f), ()
    for _ in range(calls):
        args = draw(rng)
        compiled(*args)
    return compiled, args


def run_text(text: str, name: str, inputs: Any) -> Any:
    """Run a program in a namespace of its own; return what it returns and what it changed."""
    namespace: dict[str, Any] = {}
    exec(compile(text, "<pasted>", "exec"), namespace)
    inputs = copy.deepcopy(inputs)
    with np.errstate(all="ignore"):
        found = namespace[name](*inputs)
    return found, [x for x in inputs if isinstance(x, np.ndarray | np.generic)]


def assert_runs_when_pasted(compiled: Any, args: tuple[Any, ...], path: Path) -> None:
    assert isinstance(compiled, Compiled)
    program = compiled._program()
    inputs = program.inputs(flatten((args, {}))[0])
    assert inputs is not None
    ours = copy.deepcopy(inputs)
    with np.errstate(all="ignore"):
        expected = program.call(*ours)
    changed = [x for x in ours if isinstance(x, np.ndarray | np.generic)]
    compiled.save(path)
    for text in (compiled.source, path.read_text()):
        assert_same(run_text(text, program.name, inputs), (expected, changed))
    assert_reads_well(compiled.source)


def assert_reads_well(text: str) -> None:
    assert all(len(line) <= 100 for line in text.splitlines() if "b64decode" not in line)
    assert not any(line != line.rstrip() for line in text.splitlines())
    list(tokenize.generate_tokens(io.StringIO(text).readline))


@pytest.mark.parametrize(("f", "argnums", "draw"), CASES, ids=lambda x: getattr(x, "__name__", ""))
def test_every_program_runs_when_it_is_pasted(
    f: Any, argnums: Any, draw: Any, tmp_path: Path
) -> None:
    derivative = gg.value_and_grad(f, argnums)
    with np.errstate(all="ignore"):
        compiled, args = compiled_of(derivative, draw)
        assert_same(compiled(*args), derivative(*args))
    assert_runs_when_pasted(compiled, args, tmp_path / "grad.py")


def _networks() -> list[Any]:
    rng = np.random.default_rng(0)
    return [
        nn.Sequential(nn.Linear(6, 5, rng=rng), nn.ReLU(), nn.Linear(5, 3, rng=rng)),
        nn.Sequential(nn.Linear(6, 8, rng=rng), nn.Dropout(0.5, rng=rng), nn.Linear(8, 3, rng=rng)),
        nn.Sequential(nn.Linear(6, 8, rng=rng), nn.GELU(), nn.Linear(8, 3, rng=rng)),
    ]


@pytest.mark.parametrize("k", range(3))
def test_training_steps_run_when_they_are_pasted(k: int, tmp_path: Path) -> None:
    net = _networks()[k]

    def step(x: Any, labels: Any) -> Any:
        net.zero_grad()
        loss = nn.functional.cross_entropy(net(x), labels)
        loss.backward()
        with gg.no_grad():
            for p in net.parameters():
                p -= 0.1 * p.grad  # noqa: PLW2901 - in place
        return loss.detach()

    draw = _draw((4, 6), [4])
    compiled, args = compiled_of(step, lambda rng: (draw(rng)[0].astype(np.float32), draw(rng)[1]))
    assert_runs_when_pasted(compiled, args, tmp_path / "step.py")
    last = "layer2_weight -= 0.1 * dlayer2_weight"
    assert last in compiled.source


def test_the_gradient_of_the_squared_error() -> None:
    compiled, _ = compiled_of(gg.value_and_grad(squared), _draw(3, (5, 3), 5))
    assert (
        compiled.source
        == '''\
import numpy as np


def value_and_grad_of_squared(w, x, y):
    """value_and_grad(squared), written by graphgrad for these arguments:

    w  float64  (3,)
    x  float64  (5, 3)
    y  float64  (5,)
    """
    # ---------- forward ----------
    error = x @ w - y                 # (5,)
    squared = (error ** 2).sum() / 5  # return np.mean(error**2)

    # ---------- backward ----------
    with np.errstate(all="ignore"):
        derror = 0.2 * (2 * error)  # (5,)  return np.mean(error**2)
        dw = x.T @ derror           # (3,)  error = x @ w - y

    return squared, dw
'''
    )


def test_the_gradient_of_a_network() -> None:
    compiled, _ = compiled_of(gg.value_and_grad(mlp, (0, 1, 2, 3)), CASES[0][2])
    assert (
        compiled.source
        == '''\
import numpy as np

from graphgrad.ops.choice import keep

arange_4 = np.arange(4)


def value_and_grad_of_mlp(W1, b1, W2, b2, x, labels):
    """value_and_grad(mlp), written by graphgrad for these arguments:

    W1      float64  (7, 5)
    b1      float64  (5,)
    W2      float64  (5, 3)
    b2      float64  (3,)
    x       float64  (4, 7)
    labels  int64    (4,)
    """
    # ---------- forward ----------
    # h = np.maximum(x @ W1 + b1, 0)
    t1 = x @ W1 + b1                           # (4, 5)
    h = np.maximum(t1, 0)                      # (4, 5)
    scores = h @ W2 + b2                       # (4, 3)
    # shifted = scores - scores.max(axis=1, keepdims=True)
    t2 = scores.max(axis=1, keepdims=True)     # (4, 1)
    shifted = scores - t2                      # (4, 3)
    # logp = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    t3 = np.exp(shifted)                       # (4, 3)
    t4 = t3.sum(axis=1, keepdims=True)         # (4, 1)
    logp = shifted - np.log(t4)                # (4, 3)
    # return -logp[np.arange(len(labels)), labels].mean()
    mlp = -(logp[arange_4, labels].sum() / 4)

    # ---------- backward ----------
    with np.errstate(all="ignore"):
        # return -logp[np.arange(len(labels)), labels].mean()
        dlogp = np.zeros((4, 3))                     # (4, 3)
        np.add.at(dlogp, (arange_4, labels), -0.25)
        # logp = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        dshifted = dlogp + (-dlogp).sum(axis=1, keepdims=True) / t4 * t3  # (4, 3)
        # shifted = scores - scores.max(axis=1, keepdims=True)
        g1 = (scores == t2) | np.isnan(scores)       # (4, 3)
        g2 = g1.sum(axis=1, keepdims=True, dtype=np.float64)  # (4, 1)
        dscores = dshifted + keep((-dshifted).sum(axis=1, keepdims=True) / g2, g1)  # (4, 3)
        # scores = h @ W2 + b2
        db2 = dscores.sum(axis=0)                    # (3,)
        dh = dscores @ W2.T                          # (4, 5)
        dW2 = h.T @ dscores                          # (5, 3)
        # h = np.maximum(x @ W1 + b1, 0)
        g3 = keep(dh, t1 > 0) + keep(0.5 * dh, t1 == 0)  # (4, 5)
        db1 = g3.sum(axis=0)                         # (5,)
        dW1 = x.T @ g3                               # (7, 5)

    return mlp, dW1, db1, dW2, db2
'''
    )


def test_there_is_nothing_to_save_before_a_call(tmp_path: Path) -> None:
    compiled: Any = gg.compile(squared)
    with pytest.raises(GraphError, match="squared has no program"):
        compiled.save(tmp_path / "grad.py")
    assert not list(tmp_path.iterdir())
