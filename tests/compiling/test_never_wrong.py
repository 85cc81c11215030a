"""Attacks: what a program might freeze, miss, confuse or share; a compiled function never does."""

import itertools
import math
import operator
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.typing import Array
from tests.compiling.against_eager import assert_same, why_not

Function = Callable[..., Any]
Make = Callable[[], tuple[Function, Callable[[int], Any]]]
CALLS = 6


def normal(*shapes: tuple[int, ...]) -> Callable[[int], Any]:
    """Draw other arguments for each call."""
    return lambda k: [np.random.default_rng(k).standard_normal(shape) for shape in shapes]


class Holder:
    """An object with state."""

    def __init__(self) -> None:
        self.scale, self.weights, self.parts = 2.0, np.ones(3), [np.ones(3), np.zeros(3)]


ATTACKS: dict[str, Make] = {}


def attack(make: Make) -> Make:
    """List an attack: it makes a function, and its arguments for the k-th call."""
    ATTACKS[make.__name__.replace("_", " ")] = make
    return make


# ------------------------------------------------------------------------- decisions


@attack
def a_branch() -> Any:
    return lambda x: x * 2 if x[0] > 0 else x - 1, normal((3,))


@attack
def branches_in_a_branch() -> Any:
    def f(x: Array) -> Any:
        if (x > 0).any():
            return x.max() if np.sum(x) > 0 else x.min()
        return x.sum()

    return f, normal((3,))


@attack
def a_loop_of_as_many_turns_as_values_say() -> Any:
    def f(x: Array) -> Any:
        y, turns = x, 0
        while y.sum() ** 2 < 9 and turns < 4:
            y, turns = y * 2 + 0.1, turns + 1
        return y

    return f, normal((3,))


@attack
def a_range_of_a_value() -> Any:
    def f(x: Array, n: Array) -> Any:
        for _ in range(int(n[0])):
            x = np.sin(x)
        return x

    return f, lambda k: [np.full(3, 0.1 * k), np.array([k % 3])]


@attack
def a_chosen_element() -> Any:
    return lambda x: x[np.argmax(x)] * x[int(np.argmin(x))], normal((5,))


@attack
def a_sort_by_python() -> Any:
    def f(x: Any) -> Any:
        return np.stack(sorted(x, key=operator.methodcaller("item")))

    return f, normal((4,))


@attack
def a_key_of_a_dict() -> Any:
    table = {0: 1.0, 1: 5.0}
    return lambda x, n: x * table[int(n)], lambda k: [np.full(3, 1.0 * k), np.int64(k % 2)]


@attack
def a_number_as_the_key_itself() -> Any:
    table = {0: 1.0, 1: 5.0}
    return lambda x, n: x * table[n], lambda k: [np.full(3, 1.0 * k), np.int64(k % 2)]


@attack
def any_and_all_and_max_of_python() -> Any:
    return lambda x: x * max(x) + min(x) * any(x > 1) - sum(x), normal((3,))


@attack
def isinstance_of_an_array() -> Any:
    return lambda x: x * 2 if isinstance(x, np.ndarray) else x * 3, normal((3,))


@attack
def the_type_of_a_scalar() -> Any:
    return lambda x: x.sum() * (2 if isinstance(x.sum(), float) else 3), normal((3,))


@attack
def equality_with_a_python_number() -> Any:
    return lambda x: x * (10 if np.round(x[0]) == 1 else 20), normal((3,))


# ---------------------------------------------------------------- shapes that values decide


@attack
def a_mask() -> Any:
    return lambda x: x[x > 0].sum() * len(x[x > 0]), normal((6,))


@attack
def a_mask_whose_count_is_a_divisor() -> Any:
    return lambda x: np.ones(x[x > 0].shape[0] + 1) * x[0], normal((6,))


@attack
def nonzero() -> Any:
    return lambda x: x[np.nonzero(x > 0.2)[0]].size * x, normal((6,))


@attack
def unique() -> Any:
    return lambda x: np.unique(x).size * 1.5, lambda k: [np.arange(6) % (k + 1)]


@attack
def repeat_and_bincount() -> Any:
    def f(n: Array) -> Any:
        return np.repeat(np.arange(3.0), n).size + np.bincount(n).size * 10.0

    return f, lambda k: [np.array([k, 1, 2])]


@attack
def a_slice_up_to_a_value() -> Any:
    return lambda x, n: x[: int(n)].mean(), lambda k: [np.arange(9.0) + k, np.int64(k + 1)]


@attack
def a_slice_up_to_a_traced_value() -> Any:
    return lambda x, n: x[:n].size * x, lambda k: [np.arange(9.0) + k, np.int64(k + 1)]


@attack
def a_mask_with_a_gradient() -> Any:
    return gg.value_and_grad(lambda x: (x[x > 0] ** 2).mean()), normal((6,))


# ----------------------------------------------------------------------- what f closes over


@attack
def an_array_changed_in_place_between_calls() -> Any:
    weights = np.ones(3)

    def arguments(k: int) -> Any:
        weights[...] = k
        return normal((3,))(k)

    return lambda x: x * weights, arguments


@attack
def an_array_rebound_between_calls() -> Any:
    weights = np.ones(3)

    def arguments(k: int) -> Any:
        nonlocal weights
        weights = np.full(3, float(k))
        return normal((3,))(k)

    return lambda x: x * weights, arguments


@attack
def an_array_rebound_to_another_dtype() -> Any:
    weights: Any = np.ones(3)

    def arguments(k: int) -> Any:
        nonlocal weights
        weights = np.full(3, k, [np.float64, np.float32, np.int64][k % 3])
        return [np.array([1.5, 2.5, 3.5], np.float32) * k]

    return lambda x: x * weights, arguments


@attack
def attributes_of_an_object() -> Any:
    holder = Holder()

    def arguments(k: int) -> Any:
        holder.scale = float(k // 3)
        holder.weights = np.full(3, float(k))
        holder.parts[1] = np.full(3, k + 0.5)
        return normal((3,))(k)

    return lambda x: x * holder.weights * holder.scale + holder.parts[1], arguments


@attack
def a_list_that_grows() -> Any:
    parts = [np.ones(3)]

    def arguments(k: int) -> Any:
        parts.append(np.full(3, float(k)))
        return normal((3,))(k)

    return lambda x: sum((x * p for p in parts), x), arguments


@attack
def a_view_of_what_is_changed() -> Any:
    whole = np.zeros(6)
    part = whole[::2]

    def arguments(k: int) -> Any:
        whole[...] = k
        return normal((3,))(k)

    return lambda x: x + part, arguments


@attack
def a_default_argument() -> Any:
    def f(x: Array, weights: Array = np.ones(3)) -> Any:  # noqa: B008
        return x * weights

    def arguments(k: int) -> Any:
        f.__defaults__[0][...] = k  # type: ignore[index]
        return normal((3,))(k)

    return f, arguments


GLOBAL = np.ones(3)
NUMBER = 1.0


@attack
def globals_() -> Any:
    def arguments(k: int) -> Any:
        globals()["GLOBAL"] = np.full(3, float(k))
        globals()["NUMBER"] = float(k // 2)
        return normal((3,))(k)

    return lambda x: x * GLOBAL + NUMBER, arguments


@attack
def a_function_that_is_replaced() -> Any:
    functions: dict[str, Any] = {"f": np.sin}

    def arguments(k: int) -> Any:
        functions["f"] = [np.sin, np.cos][k // 3]
        return normal((3,))(k)

    return lambda x: functions["f"](x) * 1, arguments


@attack
def a_tensor_that_gets_another_array() -> Any:
    w = gg.Tensor(np.ones(3), requires_grad=True)

    def arguments(k: int) -> Any:
        w.data = np.full(3, float(k))
        return normal((3,))(k)

    return gg.value_and_grad(lambda x: (x * w.detach()).sum()), arguments


# --------------------------------------------------------------------------- time and chance


@attack
def a_counter() -> Any:
    counters = iter([itertools.count(), itertools.count()])

    def make() -> Function:
        counter = next(counters)
        return lambda x: x * next(counter)

    return make, normal((3,))


@attack
def a_counter_in_a_cell() -> Any:
    def make() -> Function:
        calls = 0

        def f(x: Array) -> Any:
            nonlocal calls
            calls += 1
            return x * calls

        return f

    return make, normal((3,))


@attack
def draws_of_a_generator() -> Any:
    def make() -> Function:
        rng = np.random.default_rng(0)
        return lambda x: x + rng.standard_normal(3) * rng.random() + rng.integers(5, size=3)

    return make, normal((3,))


@attack
def as_many_draws_as_values_say() -> Any:
    def make() -> Function:
        rng = np.random.default_rng(0)
        return lambda x: (
            x.sum() + rng.random(int((x > 0).sum())).sum() + rng.random((x > 0.5).sum()).sum()
        )

    return make, normal((4,))


@attack
def a_decision_by_chance() -> Any:
    def make() -> Function:
        rng = np.random.default_rng(0)
        return lambda x: x * rng.random() if rng.random() < 0.5 else x + rng.normal()

    return make, normal((3,))


@attack
def shuffles() -> Any:
    def make() -> Function:
        rng = np.random.default_rng(0)

        def f(x: Array) -> Any:
            y = x.copy()
            rng.shuffle(y)
            return y * rng.permutation(4) + rng.permuted(x) + x[rng.choice(4, 4)]

        return f

    return make, normal((4,))


@attack
def a_generator_made_inside() -> Any:
    return lambda x: x * np.random.default_rng(3).random(3), normal((3,))


@attack
def the_state_of_a_generator() -> Any:
    def make() -> Function:
        rng = np.random.default_rng(0)

        def f(x: Array) -> Any:
            before = rng.bit_generator.state
            y = rng.random(3)
            rng.bit_generator.state = before
            return x * y + rng.random(3)

        return f

    return make, normal((3,))


@attack
def legacy_draws_of_numpy() -> Any:
    def make() -> Function:
        state = np.random.RandomState(0)
        return lambda x: x * state.rand(3)

    return make, normal((3,))


# -------------------------------------------------------------- writes, and shared memory


@attack
def a_buffer_written_between_its_uses() -> Any:
    def f(x: Array) -> Any:
        buffer = np.zeros(3)
        first = x + buffer
        buffer[0] = 1
        second = x + buffer
        buffer += 2
        return first, second, x * buffer

    return f, normal((3,))


@attack
def a_plain_buffer_that_takes_results() -> Any:
    def f(x: Array) -> Any:
        buffer = np.zeros(3)
        np.add(x, 1, out=buffer)
        return buffer * x, buffer.sum()

    return f, normal((3,))


@attack
def elements_put_into_a_plain_array() -> Any:
    def f(x: Array) -> Any:
        buffer = np.zeros(3)
        buffer[1] = x[0]
        return buffer + x

    return f, normal((3,))


@attack
def writes_to_an_argument() -> Any:
    def f(x: Array) -> Any:
        x += 1
        x[0] = x[1] * 2
        return x * 2

    return f, normal((3,))


@attack
def one_array_given_twice_in_some_calls() -> Any:
    def arguments(k: int) -> Any:
        x, y = normal((3,), (3,))(k)
        return [x, x] if k < 3 else [x, y]

    return lambda x, y: x * 2 + y * 3, arguments


@attack
def writes_to_an_argument_given_twice() -> Any:
    def f(x: Array, y: Array) -> Any:
        x += 1
        return x * y

    def arguments(k: int) -> Any:
        x, y = normal((3,), (3,))(k)
        return [x, y] if k < 3 else [x, x]

    return f, arguments


@attack
def writes_to_an_argument_that_is_given_once_later() -> Any:
    def f(x: Array, y: Array) -> Any:
        x += 1
        return x * y

    def arguments(k: int) -> Any:
        x, y = normal((3,), (3,))(k)
        return [x, x] if k < 3 else [x, y]

    return f, arguments


@attack
def writes_to_an_argument_that_overlaps() -> Any:
    def f(x: Array, y: Array) -> Any:
        first = y * 1.0
        x[:] = 0
        return first, y + 1

    def arguments(k: int) -> Any:
        whole = normal((6,))(k)[0]
        return [whole[:3], whole[3:]] if k < 3 else [whole[:3], whole[1:4]]

    return f, arguments


@attack
def a_view_that_sees_a_write() -> Any:
    def f(x: Array) -> Any:
        y = x * 1.0
        part, copied = y[1:], y[1:].copy()
        y[1] = 7
        y *= 2
        return part, copied, y.reshape(3, 1), y.T

    return f, normal((3,))


@attack
def a_write_to_a_closed_over_array() -> Any:
    def make() -> Function:
        total = np.zeros(3)

        def f(x: Array) -> Any:
            total[...] = total + x
            return total * 2

        return f

    return make, normal((3,))


@attack
def an_argument_returned() -> Any:
    return lambda x: (x, x[1:], x.T, x * 1), normal((3,))


# ------------------------------------------------------------------------- leaks to Python


@attack
def floats_and_items() -> Any:
    def f(x: Array) -> Any:
        return x * float(x[0]) + x.sum().item() + math.sin(x[1]) + complex(x[2]).real + round(x[0])

    return f, normal((3,))


@attack
def lists_and_texts() -> Any:
    return lambda x: (x.tolist()[0], f"{x[0]:.3f}", str(x), repr(x[1]), x.tobytes()), normal((3,))


@attack
def numbers_made_of_items() -> Any:
    return lambda x, n: np.float32(2) * x.sum().item() / (1 + n.item()), lambda k: [
        np.full(3, 0.1 * k, np.float32),
        np.array(k),
    ]


@attack
def as_plain_arrays() -> Any:
    return lambda x: np.array([x[0], 2.0]) * np.asarray(x)[:2] + np.array(x)[1:], normal((3,))


@attack
def a_table_at_traced_places() -> Any:
    return lambda n: np.eye(4)[n] * 2, lambda k: [np.array([k % 4, 1])]


@attack
def objects_and_texts_of_numpy() -> Any:
    double = np.frompyfunc(lambda v: v * 2, 1, 1)
    return lambda x: (double(x).astype(float), np.array2string(x)), normal((3,))


@attack
def an_iterator_over_elements() -> Any:
    return lambda x: [v * 2 for v in x] + list(x.flat), normal((3,))


@attack
def a_copy_and_a_pickle() -> Any:
    import copy
    import pickle

    return lambda x: (copy.copy(x) * 2, copy.deepcopy(x), pickle.loads(pickle.dumps(x))), normal(
        (3,)
    )


@attack
def memory_of_an_array() -> Any:
    return lambda x: (x.flags.c_contiguous, x.strides, x.base is None), lambda k: [
        np.ones((4, 4)).T if k % 2 else np.ones((4, 4)),
    ]


@attack
def a_decision_by_layout() -> Any:
    def arguments(k: int) -> Any:
        x = np.random.default_rng(k).standard_normal((3, 4))
        return [np.asfortranarray(x) if k > 2 else x]

    return lambda x: x * 2 if x.flags.c_contiguous else x * 3, arguments


# ------------------------------------------------------------------------------ kinds of arrays


@attack
def arrays_of_every_layout() -> Any:
    def arguments(k: int) -> Any:
        x = np.random.default_rng(k).standard_normal((6, 8))
        kinds = [x, np.asfortranarray(x), x[::2], x[:, ::-1], x.T, np.broadcast_to(x[:1], (6, 8))]
        return [kinds[k % 6][:3, :4]]

    return gg.value_and_grad(lambda x: (np.sin(x) @ np.cos(x).T).sum() + x.sum()), arguments


@attack
def arrays_of_every_dtype() -> Any:
    def arguments(k: int) -> Any:
        kinds = [np.float16, np.float32, np.float64, np.int8, np.uint8, np.bool_]
        return [np.arange(4).astype(kinds[k % 6]), np.float32(0.5)]

    return lambda x, s: (x * 2 + s, np.sum(x), x + x, x * s), arguments


@attack
def other_byte_orders() -> Any:
    return lambda x: (np.exp(x), x.sum(), x[1:]), lambda k: [
        np.arange(4.0).astype(">f8" if k < 3 else "<f8") + k
    ]


@attack
def byte_swapped_arrays() -> Any:
    return lambda x: np.exp(x) * x, lambda k: [(np.arange(4.0) + k).astype(">f8")]


@attack
def numbers_and_empty_arrays() -> Any:
    return lambda x: (x * 2, np.sum(x)), lambda k: [
        [np.array(1.5), np.float64(1.5), 1.5, np.zeros((0, 3)), np.zeros(0), 2][k % 6]
    ]


@attack
def nan_and_infinities_and_zeros() -> Any:
    values = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0]

    def arguments(k: int) -> Any:
        return [np.roll(values, k), np.roll(values, 2 * k)]

    def f(x: Array, y: Array) -> Any:
        with np.errstate(all="ignore"):
            return x * y, x + 0.0, x - y, -x, np.maximum(x, y), x * 1.0, x / 1, np.abs(x) + y

    return f, arguments


@attack
def warnings_of_numpy() -> Any:
    def f(x: Array) -> Any:
        with np.errstate(divide="raise"):
            try:
                return 1 / x
            except FloatingPointError:
                return x * 0

    return f, lambda k: [np.array([1.0, k % 2])]


@attack
def a_subclass() -> Any:
    class Mine(np.ndarray):
        pass

    return lambda x: x * 2, lambda k: [(np.arange(3.0) + k).view(Mine)]


@attack
def two_equal_factors_of_a_product() -> Any:
    """BLAS computes a product with itself transposed by another function."""

    def f(x: Array) -> Any:
        a, b = np.exp(x), np.exp(x)
        return a @ b.T, x.copy() @ x.copy().T, x @ x.T

    return f, normal((17, 13))


# ----------------------------------------------------------------------------- other attacks


@attack
def nested_compilation() -> Any:
    inner = gg.compile(lambda x: np.sin(x) * 2)
    return lambda x: inner(x) + inner(x * 2), normal((3,))


@attack
def threads_inside() -> Any:
    def f(x: Array) -> Any:
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(np.sin(x)))
        thread.start()
        thread.join()
        return found[0] * 2 + x

    return f, normal((3,))


@attack
def caught_exceptions() -> Any:
    def f(x: Array) -> Any:
        try:
            y = x.reshape(2, 2)
        except ValueError:
            y = x * 3
        try:
            return np.linalg.inv(y * 0) if x.size == 4 else y
        except np.linalg.LinAlgError:
            return y * 5

    return f, normal((4,))


@attack
def an_exception_that_values_decide() -> Any:
    def f(x: Array) -> Any:
        try:
            return np.linalg.cholesky(x)
        except np.linalg.LinAlgError:
            return x * 0

    return f, lambda k: [np.eye(2) * (1 if k < 3 else -1)]


@attack
def a_cache_of_results() -> Any:
    def make() -> Function:
        cache: dict[str, Any] = {}

        def f(x: Array) -> Any:
            if "y" not in cache:
                cache["y"] = x * 2
            return x + cache["y"]

        return f

    return make, normal((3,))


@attack
def results_kept_in_a_list() -> Any:
    def make() -> Function:
        history: list[Any] = []

        def f(x: Array) -> Any:
            history.append(x * 2)
            return [np.asarray(h) + 1 for h in history]

        return f

    return make, normal((3,))


@attack
def results_kept_in_an_attribute() -> Any:
    def make() -> Function:
        holder = Holder()

        def f(x: Array) -> Any:
            y = x + holder.weights
            holder.weights = y * 0.5
            return y

        return f

    return make, normal((3,))


@attack
def a_moving_average() -> Any:
    def make() -> Function:
        average: Any = 0.0

        def f(x: Array) -> Any:
            nonlocal average
            average = 0.9 * average + 0.1 * x.mean()
            return x - average

        return f

    return make, normal((3,))


@attack
def vectorized_python() -> Any:
    def f(x: Any) -> Any:
        return np.vectorize(lambda v: v * 2 if v > 0 else v)(x)

    return f, normal((4,))


@attack
def python_along_an_axis() -> Any:
    weights = np.ones(1)

    def arguments(k: int) -> Any:
        weights[...] = k
        return normal((3, 4))(k)

    return lambda x: np.apply_along_axis(lambda row: row.sum() * weights[0], 1, x), arguments


@attack
def piecewise_python() -> Any:
    return lambda x: np.piecewise(x, [x < 0, x >= 0], [lambda v: -v, lambda v: v * v]), normal((4,))


@attack
def second_derivatives() -> Any:
    def f(x: Array) -> Any:
        return gg.hessian(lambda v: (np.tanh(v) ** 3).sum() * (v[0] if v[1] > 0 else v[2]))(x)

    return f, normal((3,))


@attack
def no_grad_inside() -> Any:
    def loss(x: Array) -> Any:
        with gg.no_grad():
            scale = (x * 2).sum()
        return (x * scale).sum()

    return gg.value_and_grad(loss), normal((3,))


WRONG: dict[str, str] = {}  # attacks that succeed, and why


def cases() -> list[Any]:
    return [
        pytest.param(name, marks=pytest.mark.xfail(reason=WRONG[name], strict=True))
        if name in WRONG
        else name
        for name in ATTACKS
    ]


@pytest.mark.parametrize("name", cases())
def test_attack(name: str) -> None:
    """Without and with compilation the same values, also of the arguments afterwards."""
    made, arguments = ATTACKS[name]()
    makes = getattr(made, "__name__", "") == "make"
    slow = made() if makes else made
    fast: Any = gg.compile(made() if makes else made)
    for k in range(CALLS):
        given, also = arguments(k), arguments(k)
        expected = slow(*given)
        assert_same(fast(*also), expected, f"call {k}, value")
        assert_same(also, given, f"call {k}, arguments")


def test_an_exception_is_the_same() -> None:
    def f(x: Array) -> Any:
        if x[0] > 1:
            raise KeyError("too large")
        return x.reshape(2, 2) * np.linalg.inv(x.reshape(2, 2))

    fast = gg.compile(f)
    given = [np.ones(4), np.arange(4.0), np.full(3, 0.5), np.full(4, 2.0), np.arange(4.0)]
    for x in [np.arange(4.0), *given]:
        try:
            expected = f(x)
        except Exception as error:  # noqa: BLE001 - compared
            with pytest.raises(type(error)):
                fast(x)
        else:
            assert_same(fast(x), expected, "value")


def test_the_clock_is_read_at_each_call() -> None:
    fast = gg.compile(lambda x: x * 0 + time.perf_counter())
    found = [float(fast(np.zeros(1))[0]) for _ in range(5)]
    assert found == sorted(set(found))


def test_numpys_own_draws_are_drawn_at_each_call() -> None:
    fast = gg.compile(lambda x: x * 0 + np.random.rand(2))  # noqa: NPY002
    found = {tuple(fast(np.zeros(2))) for _ in range(5)}
    assert len(found) == 5


def test_other_threads_see_no_traced_array() -> None:
    weights, seen, ready, done = np.ones(3), [], threading.Event(), threading.Event()

    def f(x: Array) -> Any:
        ready.set()
        done.wait(5)
        return x * weights

    def other() -> None:
        ready.wait(5)
        seen.append(weights * 2)
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    fast: Any = gg.compile(f)
    assert_same(fast(np.ones(3)), np.ones(3), "value")
    thread.join()
    assert type(seen[0]) is np.ndarray


def test_results_share_no_memory_with_later_ones() -> None:
    def f(x: Array) -> Any:
        return x * 2, np.ones(3)

    fast = gg.compile(f)
    found = [fast(np.full(3, float(k))) for k in range(5)]
    for array in [array for pair in found for array in pair]:
        array[...] = 100
    for k, values in enumerate(fast(np.full(3, float(k))) for k in range(5)):
        assert_same(values, (np.full(3, 2.0 * k), np.ones(3)), "value")


def test_nothing_traced_is_left_in_results() -> None:
    def f(x: Array) -> Any:
        return {"a": [x * 2, x.sum().item()], "b": (gg.Tensor(x) * 3,)}

    fast = gg.compile(f)
    for k in range(4):
        found = fast(np.ones(3) * k)
        assert type(found["a"][0]) is np.ndarray
        assert type(found["a"][1]) is float
        assert type(found["b"][0].data) is np.ndarray
    assert why_not(fast) is None
