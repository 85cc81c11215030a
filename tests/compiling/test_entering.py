"""What a call of a compiled function compares before it runs a program."""

from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.compiling.compiled import Compiled
from graphgrad.typing import Array
from tests.compiling.against_eager import assert_same

Pair = namedtuple("Pair", ["first", "second"])  # noqa: PYI024 - without types, as users make them


def _warm(fast: Any, *args: Any, **kwargs: Any) -> None:
    for _ in range(4):
        fast(*args, **kwargs)


def _plain(x: Any) -> Any:
    return x.data if isinstance(x, gg.Tensor) else x


def test_the_structure_of_arguments_is_compared() -> None:
    def f(x: Any) -> Any:
        if isinstance(x, dict):
            return x["a"] - x["b"]
        return x[0] + x[1] if isinstance(x, list) else x[0] * x[1]

    fast, a, b = gg.compile(f), np.full(3, 5.0), np.full(3, 7.0)
    for x in ([a, b], (a, b), {"a": a, "b": b}, {"b": a, "a": b}, Pair(a, b)) * 4:
        assert_same(fast(x), f(x))


def test_arguments_by_name_may_come_in_any_order() -> None:
    fast = gg.compile(lambda a, b: a - b)
    x, y = np.ones(2), np.zeros(2)
    for _ in range(4):
        assert_same(fast(a=x, b=y), x - y)
        assert_same(fast(b=y, a=x), x - y)
        assert_same(fast(x, b=y), x - y)


@pytest.mark.parametrize(
    "other",
    [np.ones(4), np.ones((3, 1)), np.ones(3, np.float32), np.float64(1), 1.0, 2, gg.Tensor([1.0])],
)
def test_another_kind_of_argument_is_not_taken_for_the_first(other: Any) -> None:
    fast = gg.compile(lambda x: x * 2 + 1)
    _warm(fast, np.ones(3))
    for _ in range(4):
        found = fast(other)
        assert type(found) is type(other * 2 + 1)
        assert_same(np.asarray(_plain(found)), np.asarray(_plain(other * 2 + 1)))


@pytest.mark.parametrize(("value", "other"), [(1, True), (1, 1.0), (0.0, -0.0), ("a", "b"), (2, 3)])
def test_plain_arguments_are_compared_by_value_and_type(value: Any, other: Any) -> None:
    def g(x: Array, mode: Any) -> Array:
        if isinstance(mode, str):
            return x + ord(mode)
        return np.copysign(x, mode) + (1 if isinstance(mode, bool) else isinstance(mode, float) * 5)

    fast, x = gg.compile(g), np.ones(3)
    for mode in (value, other) * 5:
        assert_same(fast(x, mode), g(x, mode))


def test_what_a_closed_over_tensor_records_is_compared() -> None:
    w, v = (gg.Tensor(np.ones(3), requires_grad=True) for _ in range(2))

    def step(x: Array) -> Any:
        w.grad = v.grad = None
        loss = (x * w * v).sum()
        loss.backward()
        return loss.detach()

    fast = gg.compile(step)
    _warm(fast, np.ones(3))
    w.grad = None
    w.requires_grad = False
    for _ in range(4):
        fast(np.ones(3))
        assert w.grad is None
        assert v.grad is not None
    seen: list[Any] = []
    w.requires_grad = True
    w.register_hook(seen.append)
    fast(np.ones(3))
    assert len(seen) == 1


def test_values_that_the_function_reads_elsewhere_are_compared() -> None:
    settings: dict[str, Any] = {"rate": 0.5, "shape": (3,), "names": ["a"]}

    def f(x: Array) -> Array:
        return x.reshape(settings["shape"]) * settings["rate"] + len(settings["names"])

    fast, x = gg.compile(f), np.ones(3)
    _warm(fast, x)
    for key, value in [("rate", 0.25), ("shape", (3, 1)), ("names", ["a", "b"]), ("rate", 1)]:
        settings[key] = value
        for _ in range(4):
            assert_same(fast(x), f(x))


def test_results_of_every_structure_are_rebuilt() -> None:
    def f(x: Array) -> Any:
        return {"a": [x + 1, (x * 2,)], "b": Pair(x - 1, None), 3: "text", "t": gg.Tensor(x)}

    fast, x = Compiled(f), np.arange(3.0)
    for _ in range(5):
        found = fast(x)
        assert list(found) == ["a", "b", 3, "t"]
        assert type(found["b"]) is Pair
        assert found["b"].second is None
        assert found[3] == "text"
        assert type(found["t"]) is gg.Tensor
        assert_same(found["a"], f(x)["a"])


def test_programs_of_several_signatures_take_turns() -> None:
    fast = gg.compile(lambda x: np.tanh(x).sum(axis=0))
    for _ in range(4):
        for n in range(1, 9):
            x = np.arange(2.0 * n).reshape(2, n)
            assert_same(fast(x), np.tanh(x).sum(axis=0))


def test_decisions_that_alternate() -> None:
    def f(x: Array) -> Array:
        return x * 2 if (x > 0).all() else -x

    fast = gg.compile(f)
    for x in [np.ones(2), -np.ones(2)] * 6:
        assert_same(fast(x), f(x))


def test_recording_on_and_off_take_turns() -> None:
    w = gg.Tensor(np.ones(2), requires_grad=True)
    fast = gg.compile(lambda x: w * x)
    for _ in range(5):
        assert fast(np.ones(2)).requires_grad
        with gg.no_grad():
            assert not fast(np.ones(2)).requires_grad
