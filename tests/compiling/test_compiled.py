"""What a compiled function does as its original does: results, graphs, changes outside, errors."""

import functools
import itertools
import operator
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn, optim
from graphgrad.compiling.compiled import Compiled
from graphgrad.errors import GraphError, LinalgError, UnsupportedError
from graphgrad.typing import Array
from tests.compiling.against_eager import assert_same
from tests.optimizer_cases import CASES

Function = Callable[..., Any]


def draws(*shapes: tuple[int, ...], count: int = 4) -> list[list[Array]]:
    """Draw arguments for some calls."""
    rng = np.random.default_rng(0)
    return [[rng.standard_normal(shape) for shape in shapes] for _ in range(count)]


def compiled(f: Function) -> Any:
    return gg.compile(f)


def test_a_function_runs_as_a_program_from_the_third_call_on() -> None:
    ran = 0

    def f(x: Array) -> Array:
        nonlocal_count()
        return np.tanh(x) * 2

    def nonlocal_count() -> None:
        nonlocal ran
        ran += 1

    g = compiled(lambda x: np.tanh(x) * 2)
    for (x,) in draws((3,)):
        assert_same(g(x), np.tanh(x) * 2)
    assert "a program of 2 calls" in g.explain()
    with_counter = compiled(f)
    for (x,) in draws((3,)):
        with_counter(x)
    assert ran == 4
    assert "changes ran" in with_counter.explain()


@pytest.mark.parametrize("transform", [gg.grad, gg.value_and_grad, gg.hessian, gg.jacobian])
def test_transforms_are_compiled_and_compiled_functions_transformed(transform: Function) -> None:
    def f(x: Array) -> Array:
        return np.sum(np.tanh(x) ** 3 * x)

    outside, inside = compiled(transform(f)), transform(compiled(f))
    for (x,) in draws((4,)):
        assert_same(outside(x), transform(f)(x))
        assert_same(inside(x), transform(f)(x))
    assert "a program" in outside.explain()


def test_results_with_a_graph_send_gradients_to_what_the_function_closes_over() -> None:
    net, reference = (nn.Linear(3, 2, rng=np.random.default_rng(0)) for _ in range(2))
    pairs: Any = zip(net.parameters(), reference.parameters(), strict=True)
    pairs = list(pairs)
    fast = compiled(net)
    for (x,) in draws((4, 3)):
        ours, theirs = fast(x.astype("f4")), reference(x.astype("f4"))
        assert ours.requires_grad
        for scores in (ours, theirs):
            (scores * scores).sum().backward()
        for p, q in pairs:
            assert_same(p.grad, q.grad)
    assert "a program" in fast.explain()


def test_backward_notices_that_a_parameter_was_overwritten() -> None:
    net = nn.Linear(3, 2, rng=np.random.default_rng(0))
    fast = compiled(lambda x: net(x).sum())
    x = np.ones((4, 3), np.float32)
    loss = [fast(x) for _ in range(3)][-1]
    net.weight.data[0] = 1
    with pytest.raises(GraphError, match="overwritten"):
        loss.backward()


def test_second_derivatives_of_what_draws_are_refused() -> None:
    rng = np.random.default_rng(0)
    fast = compiled(lambda x: np.sum(nn.functional.dropout(x, rng=rng) ** 2))
    for _ in range(3):
        gg.grad(fast)(np.ones(3))
    with pytest.raises(UnsupportedError, match="compile the gradient"):
        gg.hessian(fast)(np.ones(3))


def two_layers() -> nn.Module:
    rng = np.random.default_rng(0)
    return nn.Sequential(
        nn.Linear(7, 5, rng=rng), nn.ReLU(), nn.Dropout(0.5, rng=rng), nn.Linear(5, 3, rng=rng)
    )


FIRST_ORDER = [name for name in CASES if "LBFGS" not in name]


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_a_training_step_with_all_that_belongs_to_it(name: str) -> None:
    def learning(wrap: Function) -> tuple[nn.Module, Any, Function]:
        net = two_layers()
        case = CASES[name]
        optimizer = getattr(optim, case.name)(net.parameters(), **case.options)
        schedule = optim.StepLR(optimizer, 2)
        average = optim.RunningAverage(net.parameters(), 0.9)

        def step(x: Array, labels: Array) -> Any:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), labels)
            loss.backward()
            optim.clip_grad_norm(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            average.update()
            return loss.detach()

        return net, (optimizer, average), wrap(step)

    rng = np.random.default_rng(1)
    net, (optimizer, average), fast = learning(gg.compile)
    reference, (its_optimizer, its_average), slow = learning(lambda f: f)
    for _ in range(6):
        x, labels = rng.standard_normal((4, 7)).astype(np.float32), rng.integers(0, 3, 4)
        assert_same(fast(x, labels).data, slow(x, labels).data)
        assert_same(net.state_dict(), reference.state_dict())
        for p, q in zip(net.parameters(), reference.parameters(), strict=True):
            assert_same(p.grad, q.grad)
        assert optimizer.lr == its_optimizer.lr
        assert_same(average.averages, its_average.averages)
    assert "a program" in fast.explain()  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [optim.LBFGS, optim.Newton])
def test_optimizers_that_ask_for_the_loss_run_as_usual(kind: Any) -> None:
    def learning(wrap: Function) -> tuple[Any, Function]:
        w = gg.Tensor(np.array([1.0, -2.0, 0.5]), requires_grad=True)
        optimizer = kind([w])

        def closure() -> Any:
            optimizer.zero_grad()
            loss = (w**4 + w**2).sum()
            if kind is optim.LBFGS:
                loss.backward()
            return loss

        def step() -> Any:
            optimizer.step(closure)

        return w, wrap(step)

    (w, fast), (v, slow) = learning(gg.compile), learning(lambda f: f)
    for _ in range(4):
        fast()
        slow()
        assert_same(w.data, v.data)
    assert "runs as usual" in fast.explain()  # type: ignore[attr-defined]


class Halving(optim.Optimizer):
    """An optimizer of a user, whose step is no method of ours."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, lr=lr)

    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                p.data -= group["lr"] / 2 * p.grad


def steps(optimizer_of: Function, wrap: Function, read: Function) -> tuple[Any, Any, Function]:
    w = gg.Tensor(np.array([1.0, -2.0, 0.5]), requires_grad=True)
    optimizer = optimizer_of([w])
    schedule = optim.StepLR(optimizer, 100)

    def step() -> Any:
        optimizer.zero_grad()
        (w**4).sum().backward()
        optimizer.step()
        return w.detach() * read(optimizer, schedule)

    return w, optimizer, wrap(step)


def a_group(optimizer: Any, _: Any) -> float:
    return float(optimizer.param_groups[0]["lr"])


READS: dict[str, Function] = {
    "nothing": lambda *_: 1.0,
    "the rate": lambda optimizer, _: optimizer.lr,
    "a group": a_group,
    "a method": lambda _, schedule: schedule.get_last_lr()[0],
}


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, Halving])
@pytest.mark.parametrize("read", READS)
def test_a_rate_that_changes_between_calls(kind: Any, read: str) -> None:
    make = functools.partial(kind, lr=0.01)
    w, optimizer, fast = steps(make, gg.compile, READS[read])
    v, its_optimizer, slow = steps(make, lambda f: f, READS[read])
    for k in range(8):
        if k % 3 == 2:
            optimizer.lr = its_optimizer.lr = 0.01 / k
        assert_same(fast().data, slow().data)
        assert_same(w.data, v.data)


def test_parameters_changed_by_hand() -> None:
    def learning(wrap: Function) -> tuple[Any, Function]:
        w: Any = gg.Tensor(np.ones(3), requires_grad=True)

        def step(x: Array) -> Any:
            w.grad = None
            loss = (w * x).tanh().sum()
            loss.backward()
            with gg.no_grad():
                slope: Any = w.grad
                w[...] = w - 0.1 * slope
            return loss.detach()

        return w, wrap(step)

    (w, fast), (v, slow) = learning(gg.compile), learning(lambda f: f)
    for (x,) in draws((3,), count=5):
        assert_same(fast(x).data, slow(x).data)
        assert_same(w.data, v.data)
    assert "a program" in fast.explain()  # type: ignore[attr-defined]


def test_a_trainer_learns_the_same_bits() -> None:
    rng = np.random.default_rng(0)
    samples = rng.standard_normal((60, 7)).astype(np.float32), rng.integers(0, 3, 60)

    def losses(**options: Any) -> list[float]:
        net = two_layers()
        batches = gg.data.Batches(samples, 16, rng=np.random.default_rng(1))
        trainer = nn.Trainer(
            net, optim.Adam(net.parameters()), batches, progress=False, clip_norm=1.0, **options
        )
        trainer.fit(3)
        return trainer.history.losses

    assert losses(compile=True) == losses()


# ------------------------------------------------------------------ never a wrong answer


def test_each_way_of_a_decision_has_its_program() -> None:
    def f(x: Array) -> Array:
        return x * 2 if x.sum() > 0 else x - 1

    fast = compiled(f)
    for (x,) in draws((3,), count=12):
        assert_same(fast(x), f(x))
    assert "2 programs" in fast.explain()


def test_numbers_drawn_before_a_decision_are_given_back() -> None:
    def make(wrap: Function) -> Function:
        rng = np.random.default_rng(0)

        def f(x: Array) -> Array:
            noisy = x + rng.standard_normal(3)
            return noisy if x[0] > 0 else -noisy

        return wrap(f)  # type: ignore[no-any-return]

    fast, slow = make(gg.compile), make(lambda f: f)
    for (x,) in draws((3,), count=12):
        assert_same(fast(x), slow(x))


class Hidden:
    """Holds an array where nobody looks."""

    __slots__ = ("array",)

    def __init__(self) -> None:
        self.array = np.ones(3)


def impure_functions() -> dict[str, Function]:
    hidden, counter = Hidden(), itertools.count()
    calls: list[int] = []
    rng = np.random.default_rng(0)
    draw = rng.random
    return {
        "an array in a slot": lambda x: x * hidden.array,
        "a counter": lambda x: x * next(counter),
        "the clock": lambda x: x * time.perf_counter(),
        "a list": lambda x: x * len(calls.__iadd__([1])),
        "a method that draws": lambda x: x * draw(),
        "an array written into": lambda x: (np.zeros(3).__iadd__(0), np.array([x[0], 1]))[1],
        "a number": lambda x: x * float(x.sum()),
    }


@pytest.mark.parametrize("name", impure_functions())
def test_what_a_program_cannot_repeat_runs_as_usual(name: str) -> None:
    fast = compiled(impure_functions()[name])
    for (x,) in draws((3,)):
        fast(x)
    assert "runs as usual" in fast.explain()


def test_what_a_function_closes_over_is_read_anew() -> None:
    array, tensor, scale = np.ones(3), gg.Tensor(np.ones(3)), 2.0
    holder = {"values": [np.ones(3)]}

    def f(x: Array) -> Any:
        return x * array * scale + tensor * holder["values"][0]

    fast = compiled(f)
    for number, (x,) in enumerate(draws((3,), count=12)):
        if number == 4:
            array[:] = 7
        elif number == 5:
            array = np.full(3, 8.0)
        elif number == 6:
            tensor.data[0] = 9
        elif number == 7:
            tensor = gg.Tensor(np.full(3, 10.0))
        elif number == 8:
            scale = 3.0
        elif number == 9:
            holder["values"][0] = np.full(3, 11.0)
        elif number == 10:
            holder["values"] = [np.full(3, 12.0)]
        assert_same(fast(x).data, f(x).data)


def test_modes_and_shapes_have_programs_of_their_own() -> None:
    net = nn.Sequential(nn.Dropout(0.5, rng=np.random.default_rng(0)))
    fast = compiled(lambda x: net(x) * 2)
    for _ in range(4):
        fast(gg.Tensor(np.ones(3)))
    net.eval()
    for n in (3, 4, 3, 3):
        assert_same(fast(gg.Tensor(np.ones(n))).data, np.full(n, 2.0))
    with gg.no_grad():
        assert not fast(gg.Tensor(np.ones(3), requires_grad=True)).requires_grad
    assert fast(gg.Tensor(np.ones(3), requires_grad=True)).requires_grad


def test_results_are_fresh() -> None:
    constant = compiled(lambda x: (x + 0, np.arange(3.0), gg.Tensor(np.ones(2))))
    for _ in range(4):
        found = constant(np.zeros(3))
        found[0][:] = 5
        found[1][:] = 5
        found[2].data[:] = 5
    assert_same(constant(np.zeros(3))[:2], (np.zeros(3), np.arange(3.0)))
    assert_same(constant(np.zeros(3))[2].data, np.ones(2))


def test_an_error_is_that_of_the_function() -> None:
    def f(a: Array) -> Array:
        return np.sum(np.linalg.inv(a))

    fast = compiled(gg.value_and_grad(f))
    for _ in range(3):
        fast(np.eye(2))
    with pytest.raises(LinalgError, match=r"Singular.*test_compiled"):
        fast(np.zeros((2, 2)))
    assert_same(fast(np.eye(2)), fast(np.eye(2)))


def test_an_error_while_tracing_leaves_everything_as_it_was() -> None:
    w = gg.Tensor(np.ones(3), requires_grad=True)
    array = np.ones(3)

    def f(x: Array) -> Any:
        y = w * array
        if x.shape == (3,):
            raise ValueError("stop")
        return y

    with pytest.raises(ValueError, match="stop"):
        compiled(f)(np.ones(3))
    assert type(array) is np.ndarray
    assert type(w.data) is np.ndarray


def test_threads_may_run_a_program_at_once() -> None:
    def f(x: Array) -> Array:
        return np.sum(np.tanh(x) ** 2)

    fast = compiled(gg.grad(f))
    arguments = [x for (x,) in draws((1000,), count=8)]
    expected = [gg.grad(f)(x) for x in arguments]
    found: dict[int, list[Array]] = {k: [] for k in range(8)}

    def work(k: int) -> None:
        found[k] += [fast(arguments[k]) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, results in found.items():
        for result in results:
            assert_same(result, expected[k])


def test_methods_partials_and_keywords() -> None:
    class Scale:
        def __init__(self) -> None:
            self.w = np.array([1.0, 2.0])

        @gg.compile
        def of(self, x: Array, *, power: int = 1) -> Array:
            return self.w * x**power

    scale = Scale()
    shifted = compiled(functools.partial(operator.add, np.ones(2)))
    for number, (x,) in enumerate(draws((2,))):
        scale.w = scale.w + number
        assert_same(scale.of(x, power=2), scale.w * x**2)
        assert_same(shifted(x), 1 + x)


def test_there_is_no_source_before_a_call_and_a_reason_after_a_refusal() -> None:
    fast = compiled(lambda x: float(x.sum()))
    with pytest.raises(GraphError, match="not been called"):
        _ = fast.source
    fast(np.ones(2))
    with pytest.raises(GraphError, match=r"Python number.*test_compiled"):
        _ = fast.source
    assert isinstance(fast, Compiled)


def test_a_gradient_that_is_a_constant() -> None:
    u, v = (gg.Tensor(x, requires_grad=True) for x in (1.5, 2.5))

    def f() -> Any:
        u.grad = v.grad = None
        (u + v).backward()
        return u.grad, v.grad

    fast = compiled(f)
    for _ in range(4):
        for g in fast():
            g[...] = 7  # it is the caller's
    assert_same(fast(), (np.array(1.0), np.array(1.0)))
    assert "a program" in fast.explain()


def test_a_loss_that_was_swept_runs_as_usual() -> None:
    w = gg.Tensor(np.ones(3), requires_grad=True)

    def step() -> Any:
        w.grad = None
        loss = (w * w).sum()
        loss.backward()
        return loss

    fast = compiled(step)
    for _ in range(4):
        assert fast().item() == 3
    assert "detach()" in fast.explain()


def test_the_same_tensor_passed_twice_is_no_program_for_two() -> None:
    fast = compiled(lambda a, b: a * b)
    p, q = gg.Tensor(2.0), gg.Tensor(5.0)
    for _ in range(3):
        assert fast(p, p).item() == 4
    assert fast(p, q).item() == 10


class Settings:
    """Plain values in a class."""

    scale = 2.0


def test_values_in_classes_and_signs_of_zeros_are_compared() -> None:
    fast = compiled(lambda x: np.copysign(x, Settings.scale) * 2)
    try:
        for scale in (2.0, 2.0, 2.0, -2.0, 0.0, 0.0, 0.0, -0.0):
            Settings.scale = scale
            assert_same(fast(np.ones(2)), np.copysign(np.ones(2), scale) * 2)
    finally:
        Settings.scale = 2.0


def test_a_change_is_not_made_twice_when_the_rest_fails() -> None:
    buffer = np.zeros(1)

    def f(a: Array) -> Array:
        buffer[:] += 1
        return np.linalg.inv(a)

    fast = compiled(f)
    for _ in range(4):
        fast(np.eye(2))
    with pytest.raises(Exception, match="Singular"):
        fast(np.zeros((2, 2)))
    assert buffer[0] == 5


def test_a_decision_by_pythons_random_numbers_runs_as_usual() -> None:
    fast = compiled(lambda x: x * 2 if np.random.rand() < 2 else x)  # noqa: NPY002
    for _ in range(3):
        fast(np.ones(2))
    assert "random numbers" in fast.explain()
