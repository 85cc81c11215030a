"""Programs as they run: with planned memory, block by block, bit for bit as call by call."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.compiling.compiled import Compiled, Decided
from graphgrad.compiling.execution import executable
from graphgrad.compiling.planning import Plan, planned
from graphgrad.compiling.program import Program
from graphgrad.typing import Array
from tests.compiling.against_eager import assert_same

LARGE = 200_000


def _draw(*shape: int, dtype: Any = np.float32, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def _program(f: Callable[..., Any], *args: Any) -> Program:
    compiled = Compiled(f)
    for _ in range(3):
        compiled(*args)
    assert compiled._latest is not None, compiled.explain()
    return compiled._latest.program


def _plan(f: Callable[..., Any], *args: Any) -> Plan:
    plan = planned(_program(f, *args))
    assert plan is not None
    return plan


def branches(x: Array) -> Array:
    return np.tanh(x) + x * x + np.exp(-x)


def normalized(x: Array, scale: Array, shift: Array) -> Array:
    centered = x - x.mean(axis=1, keepdims=True)
    y = centered / np.sqrt((centered * centered).mean(axis=1, keepdims=True) + 1e-5)
    return np.sum(np.where(y > 0, y * scale + shift, 0.1 * y) ** 2)


def columns(x: Array, w: Array) -> Array:
    z = np.maximum(x - x.mean(axis=0), -1.0) / (x.std(axis=0) + 1) * w
    return np.sum(np.log1p(np.exp(-np.abs(z))) + 0.5 * z)


def layers(w: Array, v: Array, x: Array) -> Array:
    h = np.tanh(x @ w)
    h = np.tanh(h @ w.T) * 0.5 + h @ w
    return np.mean((h @ v) ** 2)


def in_place(x: Array) -> Array:
    y = x * 2
    total = np.sum(y)
    y += x
    y *= 0.5
    z = y + 1
    y -= z
    return y * z + total


def views(x: Array) -> Array:
    a = x * 3
    b = a.reshape(-1, 10)
    c = np.exp(-a)
    d = b.T * 2
    return c.reshape(-1, 10) + d.T, a - c


def small(x: Array, y: Array) -> Array:
    for _ in range(30):
        x = x * y
        y = np.tanh(x) + y
        x = x - 0.1 * y
    return np.sum(x)


def mixed(x: Array, n: Array) -> Array:
    mask = (x > 0.5) & (n > 3) | ~(n == 2)
    y = np.where(mask, x, 0.0) * n.astype(np.float32) + (n // 2) % 3
    return y.astype(np.float64) - 1.5, mask


PROGRAMS: dict[str, tuple[Callable[..., Any], Callable[[int], tuple[Any, ...]]]] = {
    "branches": (lambda x, g: gg.vjp(branches, x)[1](g),
                 lambda s: (_draw(LARGE, seed=s), _draw(LARGE, seed=s + 1))),
    "branches of a matrix": (lambda x: branches(x * 2), lambda s: (_draw(500, 300, seed=s),)),
    "normalized": (gg.value_and_grad(normalized, (0, 1, 2)),
                   lambda s: (_draw(3000, 64, seed=s), _draw(64, seed=s), _draw(64, seed=s + 2))),
    "columns": (gg.value_and_grad(columns, (0, 1)),
                lambda s: (_draw(3000, 64, dtype=float, seed=s), _draw(64, dtype=float))),
    "layers": (gg.value_and_grad(layers, (0, 1)),
               lambda s: (_draw(90, 90, seed=s), _draw(90, 3, seed=s), _draw(200, 90, seed=s))),
    "in place": (in_place, lambda s: (_draw(LARGE, seed=s),)),
    "views": (views, lambda s: (_draw(LARGE, seed=s),)),
    "small": (gg.value_and_grad(small, (0, 1)),
              lambda s: (_draw(16, seed=s), _draw(16, seed=s + 1))),
    "mixed": (mixed, lambda s: (_draw(LARGE, seed=s), np.arange(LARGE) % (5 + s))),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_planned_and_plain_calls_have_the_same_bits(name: str) -> None:
    f, draw = PROGRAMS[name]
    program = _program(f, *draw(0))
    assert planned(program) is not None
    fast = executable(program, name, Decided)
    plain = executable(program, name, Decided, plan=False)
    for seed in (0, 5, 9):
        assert_same(list(fast(*draw(seed))), list(plain(*draw(seed))))


@pytest.mark.parametrize("name", PROGRAMS)
def test_compiled_and_eager_have_the_same_bits(name: str) -> None:
    f, draw = PROGRAMS[name]
    fast = gg.compile(f)
    for seed in range(5):
        assert_same(fast(*draw(seed)), f(*draw(seed)))


@pytest.mark.parametrize("name", PROGRAMS)
def test_inputs_in_another_layout_have_the_same_bits(name: str) -> None:
    f, draw = PROGRAMS[name]
    fast = gg.compile(f)
    for _ in range(4):
        fast(*draw(0))
    turned = [np.asfortranarray(x) for x in draw(1)]
    gaps = [np.repeat(x, 2, axis=-1)[..., ::2] for x in draw(1)]
    assert_same(fast(*turned), f(*turned))
    assert_same(fast(*gaps), f(*gaps))


def test_results_are_never_in_a_buffer() -> None:
    f, draw = PROGRAMS["branches"]
    fast = gg.compile(f)
    for _ in range(3):
        fast(*draw(0))
    first = fast(*draw(1))
    kept = [x.copy() for x in first]
    fast(*draw(2))
    assert_same(first, tuple(kept))
    first[0][:] = 7
    assert_same(fast(*draw(2)), f(*draw(2)))


def test_a_view_keeps_its_buffer() -> None:
    def f(x: Array) -> Array:
        a = np.exp(x)
        top = a[:1000]  # a view of a, which later values must leave alone
        b = np.sin(x @ x) @ x
        c = np.cos(b @ x) @ x
        return top @ c, b

    x = _draw(1000, 1000, dtype=float) / 100
    fast = gg.compile(f)
    for _ in range(4):
        assert_same(fast(x), f(x))


def test_a_write_waits_for_reads_of_the_same_memory_in_another_order() -> None:
    def f(x: Array) -> Array:
        y = np.exp(x)
        turned = y[::-1]
        z = np.tanh(turned)
        y += z * 2
        return y

    fast = gg.compile(f)
    for k in range(4):
        assert_same(fast(_draw(2000, 100, seed=k)), f(_draw(2000, 100, seed=k)))


def test_arguments_that_share_memory_may_be_written_into() -> None:
    def f(x: Array, y: Array) -> None:
        x -= np.tanh(y) * 0.5 + 1

    fast = gg.compile(f)
    for k in range(5):
        ours, theirs = _draw(2000, 100, seed=k), _draw(2000, 100, seed=k)
        fast(ours, ours[::-1])
        f(theirs, theirs[::-1])
        assert_same(ours, theirs)


def test_buffers_are_used_again() -> None:
    def f(w: Array) -> Array:
        x = w
        for _ in range(20):
            x = np.tanh(x @ w)
        return x

    plan = _plan(f, _draw(200, 200))
    assert len(plan.memories) <= 2


def test_a_run_keeps_temporaries_in_a_few_slots() -> None:
    def f(x: Array) -> Array:
        y = x
        for _ in range(10):
            y = np.tanh(y) * 1.5 + x
        return y

    plan = _plan(f, _draw(LARGE))
    assert [len(run.calls) for run in plan.runs] == [30]
    assert plan.runs[0].slots <= 2
    assert not plan.memories


def test_threads_have_their_own_buffers() -> None:
    f, draw = PROGRAMS["layers"]
    fast = gg.compile(f)
    for _ in range(3):
        fast(*draw(0))
    expected = {k: f(*draw(k)) for k in range(4)}
    failures: list[BaseException] = []

    def work(k: int) -> None:
        try:
            args = draw(k)
            for _ in range(30):
                assert_same(fast(*args), expected[k])
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_an_exception_gives_the_buffers_back() -> None:
    def f(x: Array) -> Array:
        return np.linalg.inv(np.tanh(x @ x) * 2) @ x

    x = _draw(100, 100, dtype=float)
    program = _program(f, x)
    run = executable(program, "f", Decided)
    pool = _pool(run)
    run(x)
    (buffers,) = pool
    with pytest.raises(np.linalg.LinAlgError):
        run(np.zeros((100, 100)))
    assert len(pool) == 1
    assert pool[0] is buffers
    assert_same(run(x), (f(x),))


def _pool(run: Callable[..., Any]) -> list[Any]:
    cells = [cell.cell_contents for cell in run.__closure__ or ()]
    inner = next(f for f in cells if getattr(f, "__name__", "") == "program")
    return inner.__globals__["pool"]  # type: ignore[no-any-return]


def test_warnings_of_the_forward_part_are_given() -> None:
    f = gg.compile(lambda x: np.exp(np.log(x) * 2) + 1)
    for _ in range(4):
        f(np.ones(LARGE))
    with pytest.warns(RuntimeWarning, match="invalid value"):
        f(-np.ones(LARGE))


@pytest.mark.parametrize("number", [2, 0.1, -3, 1e300, float("nan"), float("inf"), 7_000_000_001])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32])
def test_numbers_convert_as_in_numpy(dtype: Any, number: float) -> None:
    def f(x: Array) -> Any:
        return x * number, np.maximum(x, number), number - x, x / number, x < number

    x = np.arange(12).astype(dtype)
    fast = gg.compile(f)
    with np.errstate(all="ignore"):
        try:
            expected = f(x)
        except OverflowError:
            return
        for _ in range(4):
            assert_same(fast(x), expected)


def test_functions_that_are_written_as_methods_do_the_same() -> None:
    def f(x: Array) -> Any:
        return (np.reshape(x, (6, 2)), np.reshape(x, (4, 3), "F"), np.reshape(x, -1, copy=True),
                np.transpose(x), np.transpose(x, (2, 0, 1)), np.swapaxes(x, 0, 1),
                np.squeeze(x), np.squeeze(x, 1), np.reshape(np.sum(x), (1, 1)))  # fmt: skip

    x = _draw(4, 1, 3)
    fast = gg.compile(f)
    for _ in range(4):
        assert_same(fast(x), f(x))
        assert [a.strides for a in fast(x)] == [a.strides for a in f(x)]


def test_reductions_have_the_same_bits() -> None:
    def f(x: Array) -> Any:
        return (x.sum(), x.sum(axis=0), np.sum(x, axis=-1, keepdims=True), x.max(axis=(0, 2)),
                np.min(x), np.prod(x, 1), (x > 0).sum(axis=1), x.sum(0))  # fmt: skip

    x = _draw(6, 5, 4)
    fast = gg.compile(f)
    for x in [_draw(6, 5, 4)] * 4 + [_draw(20, 30, 4)] * 4:
        assert_same(fast(x), f(x))
    assert type(fast(x)[0]) is type(f(x)[0])


@pytest.mark.parametrize("count", range(1, 10))
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, bool])
def test_reductions_of_a_short_axis_have_the_same_bits(dtype: Any, count: int) -> None:
    def f(x: Array) -> Any:
        found = x.sum(axis=-1), x.max(axis=2, keepdims=True), np.min(x, -1), x.prod(axis=(2,))
        return (*found, (x > 0).sum(axis=2, dtype=np.float32, keepdims=True))

    rng = np.random.default_rng(count)
    random = (rng.standard_normal((20, 15, count)) * 10.0 ** rng.integers(-3, 4, count)).astype(
        dtype
    )
    zeros = rng.choice([0.0, -0.0], random.shape).astype(dtype)
    fast = gg.compile(f)
    for x in [random, zeros] * 3 + [np.asfortranarray(random)]:
        with np.errstate(over="ignore"):
            assert_same(fast(x), f(x))
            pairs = zip(fast(x), f(x), strict=True)
        if dtype is not bool:
            assert all(np.array_equal(np.signbit(a), np.signbit(b)) for a, b in pairs)


_UNARY: list[Callable[[Array], Array]] = [
    np.tanh,
    np.exp,
    np.negative,
    np.square,
    np.abs,
    lambda a: a.copy(),
    lambda a: a * 0.5,
    lambda a: 1 - a,
    lambda a: a**2,
    lambda a: np.where(a > 0, a, 0.0),
    lambda a: a - a.mean(axis=0),
    lambda a: a / (1 + np.abs(a).max(axis=1, keepdims=True)),
    lambda a: a.T.T + 1,
    lambda a: a.copy("F") * 2,
    lambda a: a.reshape(-1)[::-1].reshape(a.shape) * 0.25,
]


def _random_function(seed: int) -> Callable[..., Any]:
    """Return a function that computes something else for each seed, and writes in place."""

    def f(x: Array, row: Array) -> Any:
        rng = np.random.default_rng(seed)
        values, totals = [x * 0.1, x + row], []
        for _ in range(25):
            a, b = (values[k] for k in rng.integers(0, len(values), 2))
            kind = rng.integers(0, 7)
            if kind < 3:
                values.append(_UNARY[rng.integers(0, len(_UNARY))](a))
            elif kind == 3:
                values.append(np.maximum(np.tanh(a), b * row))
            elif kind == 4:
                totals.append(np.sum(a * 0.01, axis=int(rng.integers(0, 2))))
            elif kind == 5:
                target = values[-1]
                target += np.sin(b)
                target[3:, ::2] *= 0.5
            else:
                view = np.tanh(values[-1])[2:]
                view -= 1
                totals.append(view.sum(axis=1))
            values[-1] = np.tanh(values[-1])
        return values[-1], values[int(rng.integers(0, len(values)))] + 1, totals

    return f


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("shape", [(700, 100), (9, 7)])
def test_random_programs_have_the_same_bits(seed: int, shape: tuple[int, int]) -> None:
    f = _random_function(seed)
    fast = gg.compile(f)
    drawn = [(_draw(*shape, seed=k), _draw(shape[1], seed=k)) for k in range(4)]
    for args in drawn:
        with np.errstate(all="ignore"):
            assert_same(fast(*args), f(*args))
    args = np.asfortranarray(drawn[-1][0]), np.repeat(drawn[-1][1], 2)[::2]
    with np.errstate(all="ignore"):
        assert_same(fast(*args), f(*args))
    assert isinstance(fast, Compiled)
    assert fast._latest is not None, fast.explain()
