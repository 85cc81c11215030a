"""Programs are as short as they can be with the same bits, in every order of memory."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.typing import Array


def source_of(f: Callable[..., Any], *args: Any) -> str:
    compiled: Any = gg.compile(f)
    for _ in range(2):
        compiled(*args)
    text: str = compiled.source
    return text


def lines_of(f: Callable[..., Any], *args: Any) -> list[str]:
    """Return the statements of a program, without comments."""
    body = source_of(f, *args).split('"""')[-1]
    lines = (line.partition("# ")[0].strip() for line in body.splitlines())
    return [line for line in lines if line and not line.startswith("with")]


X = np.arange(12.0).reshape(3, 4)
LABELS = np.array([0, 2, 1])


def double_negative(x: Any) -> Any:
    negative = -(x + 1)
    return np.exp(-negative)


def times_one(x: Any) -> Any:
    return np.exp((x + 1) * np.ones(4))


def minus_zero(x: Any) -> Any:
    return np.exp((x + 1) - 0)


def transposed_twice(x: Any) -> Any:
    return np.exp(x.T.T)


def same_shape(x: Any) -> Any:
    return np.exp(x.reshape(3, 4))


def labels_copied(x: Any, labels: Any) -> Any:
    return x[np.arange(3), labels.copy()] + 1


def broadcast(x: Any) -> Any:
    return np.broadcast_to(x.sum(axis=1, keepdims=True), (3, 4)) * x


def axis_kept(x: Any) -> Any:
    return x / x.sum(axis=(1,)).reshape(3, 1)


def copied(x: Any) -> Any:
    return np.copy(x + 1)


def equal_parts(x: Any) -> Any:
    return np.exp(x) + np.exp(x) * (np.ones(4) + np.ones(4))


def unneeded(x: Any) -> Any:
    np.exp(x)
    return x + 1


def zeros(x: Any) -> Any:
    out = np.zeros_like(x, shape=(3,), dtype=float)
    out[1:] += x[0, 0]
    return out


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (double_negative, ["return np.exp(x + 1)"]),
        (times_one, ["return np.exp(x + 1)"]),
        (minus_zero, ["return np.exp(x + 1)"]),
        (transposed_twice, ["return np.exp(x)"]),
        (same_shape, ["return np.exp(x)"]),
        (labels_copied, ["return x[arange_3, labels] + 1"]),
        (broadcast, ["return x.sum(axis=1, keepdims=True) * x"]),
        (axis_kept, ["return x / x.sum(axis=1, keepdims=True)"]),
        (copied, ["return x + 1"]),
        (equal_parts, ["t1 = np.exp(x)", "return t1 + t1 * 2.0"]),
        (unneeded, ["return x + 1"]),
        (zeros, ["out = np.zeros(3)", "out[1:] += x[0, 0]", "return out"]),
    ],
)
def test_what_changes_nothing_is_left_out(f: Any, expected: list[str]) -> None:
    args = (X, LABELS) if f is labels_copied else (X,)
    assert lines_of(f, *args) == expected


def returns_a_view(x: Any) -> Any:
    return x.reshape(3, 4), x.T.T


def copies_twice(x: Any) -> Any:
    y = x + 1
    return np.copy(y), np.copy(y)


def copies_and_returns(x: Any) -> Any:
    y = x + 1
    return y, np.copy(y)


def adds_twice(x: Any) -> Any:
    return x + 1, x + 1


def returns_a_part(x: Any) -> Any:
    return x + 1, (x + 1)[:2], -(-(x + 1))[1:]


def multiplies_by_one(x: Any) -> Any:
    return x * np.ones(4)


@pytest.mark.parametrize(
    "f", [copies_twice, copies_and_returns, adds_twice, returns_a_part, multiplies_by_one]
)
def test_results_never_share_memory(f: Any) -> None:
    compiled = gg.compile(f)
    for _ in range(4):
        found = compiled(X)
        parts = found if isinstance(found, tuple) else (found,)
        arrays = [*parts, X]
        assert not any(
            np.shares_memory(a, b) for k, a in enumerate(arrays) for b in arrays[k + 1 :]
        )


def test_results_are_new_at_each_call() -> None:
    def f(x: Any) -> Any:
        return np.zeros(3), np.ones(2) + 0 * x[0, 0], np.arange(3)

    compiled: Any = gg.compile(f)
    for _ in range(4):
        for result in compiled(X):
            result[...] += 1
        assert [r.tolist() for r in compiled(X)] == [[0, 0, 0], [1, 1], [0, 1, 2]]


def test_what_a_later_gradient_reads_is_kept_apart_from_the_results() -> None:
    def f(t: Any, labels: Any) -> Any:
        y = np.exp(t)
        return y[np.arange(3), labels.copy()].sum(), np.copy(y.data)

    compiled: Any = gg.compile(f)
    for _ in range(4):
        t, labels = gg.Tensor(X / 9, requires_grad=True), LABELS.copy()
        loss, y = compiled(t, labels)
        expected = np.zeros((3, 4))
        expected[np.arange(3), LABELS] = np.exp(X / 9)[np.arange(3), LABELS]
        y[...], labels[...] = 7, 0
        loss.backward()
        np.testing.assert_array_equal(t.grad, expected)


def orders(x: Array) -> Iterator[Array]:
    """Yield equal arrays in several orders of memory."""
    yield np.ascontiguousarray(x)
    yield np.asfortranarray(x)
    yield np.repeat(np.repeat(x, 2, 0), 3, 1)[::2, ::3]
    yield np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1]
    yield np.concatenate([x, x])[: len(x)].T.copy().T


def _sums(y: Any) -> tuple[Any, ...]:
    """Return sums whose last bits depend on the order in memory."""
    return y.sum(), y.sum(axis=0), y.sum(axis=1), y @ y.T


def standardised(x: Any) -> Any:
    z = (x - x.mean(axis=0)) / (x.std(axis=0) + 0.1)
    return (np.tanh(z) * z).sum()


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return (e / e.sum(axis=1, keepdims=True))[:, 1].sum() + np.maximum(x, 0).sum()


def chosen(x: Any) -> Any:
    return (np.where(x > 0, x, 0.1 * x) * x.T.T).sum(axis=0)[2:].prod()


@pytest.mark.parametrize(
    "f",
    [
        *(lambda x, f=f: _sums(f(x)) for f in (double_negative, times_one, minus_zero)),
        *(lambda x, f=f: _sums(f(x)) for f in (transposed_twice, broadcast, axis_kept)),
        *(lambda x, f=f: _sums(f(x)) for f in (copied, equal_parts)),
        *map(gg.value_and_grad, (standardised, softmax, chosen)),
    ],
)
def test_programs_have_the_same_bits_in_every_order_of_memory(f: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 4)) if "lambda" in repr(f) else rng.standard_normal((37, 29))
    for first in orders(x):
        compiled: Any = gg.compile(f)
        for _ in range(3):
            compiled(first)
        for other in orders(x):
            found, expected = compiled(other), f(other)
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_array_equal(a, b)
