"""Bad input: each error names the op, the shapes, the user's source line and the remedy."""

import functools
import pickle
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import errors
from graphgrad.errors import GraphgradError, ShapeError
from tests.every_op import EVERY_OP


def leaf(shape: tuple[int, ...] = (3,)) -> gg.Tensor:
    return gg.Tensor(np.ones(shape), requires_grad=True)


def changed() -> None:
    x = leaf()
    x.name = "w"
    y = np.exp(x).sum() + (x * x).sum()
    x.data += 1
    y.backward()


def wrong_rule() -> None:
    bad = gg.op(lambda x: x * 1, lambda g: np.ones(2), name="bad")  # noqa: ARG005
    bad(leaf()).sum().backward()


def assign_to_leaf() -> None:
    w = leaf()
    w -= 0.1 * w


# what is done, the kind of error, and the words that its message must have, in any order
BAD: dict[str, tuple[Callable[[], Any], type[Exception], list[str]]] = {
    "shapes": (
        lambda: leaf((3,)) + leaf((4,)),
        ValueError,
        ["add", r"\(3,\)", r"\(4,\)", "reshape one of them"],
    ),
    "positional": (lambda: leaf().sum(0, True), TypeError, ["sum", "keepdims=True"]),  # type: ignore[arg-type]
    "positional of cumsum": (
        lambda: leaf().cumsum(0, True),  # type: ignore[arg-type]
        TypeError,
        ["cumsum: argument 'dtype' is not supported; call .astype"],
    ),
    "index": (lambda: leaf()[7], IndexError, ["getitem", r"\(3,\)", "index 7"]),
    "singular": (
        lambda: np.linalg.inv(gg.Tensor(np.zeros((2, 2)))),
        np.linalg.LinAlgError,
        ["inv", r"\(2, 2\)", "[Ss]ingular"],
    ),
    "changed": (changed, RuntimeError, ["multiply", r"\(3,\)", "input 0 'w'.*overwritten", "copy"]),
    "unknown ufunc": (lambda: np.frompyfunc(abs, 1, 1)(leaf()), TypeError, ["np.abs", "gg.op"]),
    "wrong rule": (wrong_rule, ValueError, ["bad", r"\(3,\)", r"\(2,\)", "input's shape"]),
    "leaf in place": (assign_to_leaf, RuntimeError, ["subtract", r"gg\.no_grad\(\)"]),
    "missing argument": (lambda: gg.matmul(leaf()), TypeError, ["matmul", "missing"]),
    "extra argument": (lambda: gg.exp(leaf(), 1, 2, 3), TypeError, ["exp", "arguments"]),
    "unknown argument": (lambda: gg.sum(leaf(), axes=1), TypeError, ["sum", "'axes'"]),
}


@pytest.mark.parametrize("name", BAD)
def test_the_message(name: str) -> None:
    attempt, kind, words = BAD[name]
    with pytest.raises(kind) as caught:
        attempt()
    message = str(caught.value)
    assert isinstance(caught.value, GraphgradError), message
    for word in words:
        assert re.search(word, message), (word, message)
    assert re.search(r"test_errors\.py:\d+", message), message


def test_the_line_is_the_one_that_built_the_node() -> None:
    x = leaf()
    y = gg.exp(x)  # <- this line
    line = test_the_line_is_the_one_that_built_the_node.__code__.co_firstlineno + 2
    y.data[...] = 0
    y.data = y.data
    with pytest.raises(
        GraphgradError, match=rf"exp \(3,\) float64 \(built at test_errors.py:{line}\)"
    ):
        y.sum().backward()


def test_errors_inside_a_file_that_is_not_there() -> None:
    scope: dict[str, Any] = {"leaf": leaf}
    exec(
        compile("def f():\n    return leaf((2,)) + leaf((3,))\n", "<notebook cell>", "exec"), scope
    )
    with pytest.raises(GraphgradError, match=r"<notebook cell>:2"):
        scope["f"]()


@pytest.mark.parametrize("op", [np.add, np.multiply, np.matmul])
def test_a_refused_call_leaves_nothing_behind(op: Any) -> None:
    x, y = leaf((2, 3)), leaf((4, 5))
    before = x._node, y._node
    with pytest.raises(GraphgradError):
        op(x, y)
    assert (x._node, y._node) == before


JUNK: list[Any] = ["text", None, object(), np.ones((7, 5, 3)), np.array(["a"]), [[1.0], [2.0, 3.0]]]


def causes(error: BaseException) -> list[BaseException]:
    """List what stands behind an exception, without ever coming back to one."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None:
            assert one not in found, f"{one!r} is among its own causes"
            found.append(one)
            waiting += [one.__cause__] if one.__cause__ else [one.__context__]
    return found


@pytest.mark.parametrize("name", EVERY_OP)
def test_no_exception_is_its_own_cause(name: str) -> None:
    op, raised = EVERY_OP[name], 0
    x = leaf((2, 3))
    for junk in JUNK:
        for arguments in ((x, junk), (junk, x), (x, x, junk), ([x, junk],), (x, junk, junk)):
            try:
                op(*arguments)
            except Exception as error:  # noqa: BLE001 - whatever it is
                causes(error)
                raised += 1
    assert raised


@pytest.mark.parametrize("error", [KeyError("a"), MemoryError(), GraphgradError("said already")])
def test_an_error_that_is_not_numpys_comes_through_as_it_is(error: Exception) -> None:
    def forward(_: Any) -> Any:
        raise error

    def change(t: Any) -> None:
        t += Odd()

    class Odd:
        dtype = np.dtype(float)
        shape = ()

        def __array_ufunc__(self, *_: Any, **__: Any) -> Any:
            raise error

        __array_function__ = __array_ufunc__

    own = gg.op(forward, lambda g: g, name="own")
    for attempt in (lambda: own(leaf()), lambda: change(gg.Tensor([1.0]))):
        with pytest.raises(type(error)) as caught:
            attempt()
        assert causes(caught.value) == [error]


FILLS: dict[str, Callable[[Any, Any], None]] = {
    "an element": lambda out, t: out.__setitem__(0, t[0]),
    "a slice": lambda out, t: out.__setitem__(slice(None), t),
    "the method": lambda out, t: out.fill(t[0]),
}


@pytest.mark.parametrize("name", FILLS)
def test_filling_a_plain_array_names_the_one_that_can_be_filled(name: str) -> None:
    """NumPy puts an error of its own last, and ours as its cause."""
    t = leaf()
    with pytest.raises((ValueError, GraphgradError)) as caught:
        FILLS[name](np.zeros(3), t)
    told = str(caught.value) + str(caught.value.__cause__)
    assert "gg.Tensor(np.zeros(n))" in told
    out = gg.Tensor(np.zeros(3))
    for i in range(3):
        out[i] = t[i] * 2.0
    out.sum().backward()
    assert t.grad is not None
    assert t.grad.tolist() == [2, 2, 2]


def test_the_shapes_of_an_elementwise_op_are_said_once() -> None:
    x = gg.Tensor(np.ones((3, 4)), requires_grad=True)
    with pytest.raises(ShapeError) as caught:
        np.add(x, np.ones(5))
    text = str(caught.value)
    assert text.count("(3, 4)") == text.count("(5,)") == 1
    assert "could not be broadcast together; shapes must be equal or 1" in text


@pytest.mark.parametrize("shape", [(12,), (3, 4), (0,)])
def test_the_item_of_several_elements(shape: tuple[int, ...]) -> None:
    x = gg.Tensor(np.ones(shape))
    with pytest.raises(ShapeError, match=r"elements, not one; choose one .* \(at test_errors.py:"):
        x.item()
    assert gg.Tensor(np.ones((1, 1))).item() == 1


FAMILY = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, GraphgradError)]


@pytest.mark.parametrize("kind", FAMILY)
def test_every_error_knows_the_users_line_in_other_processes_too(kind: type[Any]) -> None:
    error = kind("what is wrong")
    assert re.fullmatch(r"what is wrong \(at test_errors.py:\d+\)", str(error))
    assert error.message == "what is wrong"
    other = pickle.loads(pickle.dumps(error))
    assert (str(other), other.line) == (str(error), error.line)


def test_a_module_of_pythons_own_is_no_line_of_the_users() -> None:
    """It called the op, for the user or for a thread in which no line of theirs runs."""
    x = gg.Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ShapeError) as caught:
        functools.singledispatch(np.sum)(x, 7)
    assert re.search(r"\(at test_errors.py:\d+\)$", str(caught.value))
    with ThreadPoolExecutor(1) as pool:
        error = pool.submit(np.sum, x, 7).exception()
    assert isinstance(error, ShapeError)
    assert error.line is None
    assert str(error) == error.message
