"""Constants are written exactly, and their order in memory is kept."""

import base64
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from graphgrad.compiling.carry import CannotCarry, literal
from graphgrad.compiling.literals import array_text, scalar_text
from graphgrad.typing import Array


def evaluated(text: str) -> Any:
    return eval(text, {"np": np, "base64": base64, "zlib": zlib})


def arrays() -> Iterator[Array]:
    rng = np.random.default_rng(0)
    for dtype in "?bBhHiIlLefd":
        for shape in ((), (1,), (3,), (2, 3), (0, 2), (3, 1, 2), (400,)):
            yield (rng.standard_normal(shape) * 9).astype(dtype)
            yield np.zeros(shape, dtype)
            yield np.ones(shape, dtype)
    for x in (np.float64, np.float32, np.float16):
        yield np.array([np.nan, -np.nan, np.inf, -np.inf, -0.0, np.finfo(x).tiny, 0.1], x)
        yield np.full((2, 3), -0.0, x)
    yield np.array([7, -8], np.int64).view(np.float64)  # odd NaNs
    yield np.arange(5)
    yield np.arange(7, -9, -3)
    yield np.arange(5, dtype=np.int32)
    yield rng.standard_normal((3, 4)).T
    yield np.asfortranarray(rng.standard_normal((3, 4, 2)))
    yield rng.standard_normal((2, 3, 4)).transpose(1, 2, 0)
    yield np.broadcast_to(np.array([1.5, 2]), (3, 2))
    yield np.broadcast_to(np.float32(0.1), (3, 2))
    yield np.array(["2020-01-01"], "datetime64[D]")
    yield np.array([1.5], ">f8")
    yield np.array([1 + 2j, np.nan])


@pytest.mark.parametrize("array", list(arrays()), ids=lambda a: f"{a.dtype.str}{a.shape}")
def test_arrays_are_written_exactly(array: Array) -> None:
    found = evaluated(array_text(array))
    assert (found.shape, found.dtype) == (array.shape, array.dtype)
    assert found.tobytes() == array.tobytes()
    if array.size > 1:
        assert np.argsort(found.strides).tolist() == np.argsort(array.strides).tolist()


@pytest.mark.parametrize("dtype", "?bBhHiIlLefdg")
def test_scalars_are_written_exactly(dtype: str) -> None:
    rng = np.random.default_rng(0)
    for x in (rng.standard_normal(20) * 9).astype(dtype):
        found = evaluated(scalar_text(x))
        assert type(found) is type(x)
        assert found.tobytes() == x.tobytes()


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.arange(4), "np.arange(4)"),
        (np.arange(2, 5), "np.arange(2, 5)"),
        (np.zeros((2, 3)), "np.zeros((2, 3))"),
        (np.full(5, 0.1, np.float32), "np.full(5, 0.1, np.float32)"),
        (np.array([0.1, 0.2], np.float32), "np.array([0.1, 0.2], np.float32)"),
        (np.broadcast_to(0.5, (4,)), "np.broadcast_to(np.float64(0.5), 4)"),
        (np.array([[1.0, 2.0], [3.0, 4.0]]).T, "np.array([[1.0, 2.0], [3.0, 4.0]]).T"),
    ],
)
def test_regular_arrays_are_short(array: Array, text: str) -> None:
    assert array_text(array) == text


def test_constants_of_functions() -> None:
    constant = {2: np.int16, "a": (1.5, None, True), "b": [np.dtype("f4"), np.add, float]}
    assert evaluated(literal(constant)) == constant
    with pytest.raises(CannotCarry, match="a Generator"):
        literal(np.random.default_rng())
