"""Large arrays in pieces: each element once, and no piece larger than it should be."""

from typing import Any

import numpy as np
from hypothesis import given, strategies as st

from graphgrad.pieces import MANY_ARRAYS, flat_pieces, in_pieces, pieces, spans


@given(st.integers(0, 100), st.integers(0, 30))
def test_spans_are_one_behind_the_other(length: int, step: int) -> None:
    found = spans(length, step)
    assert [i for span in found for i in range(span.start, span.stop)] == list(range(length))
    assert all(span.stop - span.start <= max(1, step) for span in found)


@given(
    st.lists(st.integers(1, 7), min_size=1, max_size=3),
    st.lists(st.sampled_from([1, 2, -1]), min_size=3, max_size=3),
    st.integers(0, 200),
)
def test_pieces_are_views_of_a_size_that_meet_each_element_once(
    shape: list[int], steps: list[int], size: int
) -> None:
    whole = np.zeros([2 * n for n in shape])
    array = whole[tuple(slice(None, None, s) for s in steps[: len(shape)])]
    array = array[tuple(slice(n) for n in shape)]
    other = np.arange(array.size).reshape(array.shape)
    for a, b in pieces((array, other), size):
        assert a.nbytes <= max(size, array.itemsize)
        np.add(a, b + 1, out=a)
    np.testing.assert_array_equal(array, other + 1)
    assert whole.sum() == array.sum()


def test_flat_pieces_have_the_dtype_and_the_order_of_the_memory() -> None:
    array = np.arange(60_000, dtype=np.float32).reshape(200, 300)
    for laid in (array, np.asfortranarray(array), array[::-1].T):
        found = list(flat_pieces(laid, np.float64))
        assert max(piece.nbytes for piece in found) <= MANY_ARRAYS
        np.testing.assert_array_equal(np.concatenate(found), np.ravel(laid, "K"))


@given(st.integers(1, 40), st.integers(1, 2000), st.booleans())
def test_a_function_in_pieces_gives_what_it_gives_on_the_whole(
    rows: int, columns: int, transposed: bool
) -> None:
    x = np.random.default_rng(0).standard_normal((rows, columns))
    x = x.T if transposed else x
    calls = []

    def noted(a: Any, b: Any) -> Any:
        calls.append(a.nbytes)
        return a * b + 1

    np.testing.assert_array_equal(in_pieces(noted, x, x), x * x + 1)
    assert max(calls) <= MANY_ARRAYS
