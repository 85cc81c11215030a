"""check_op takes a user's own op, and finds the faults that it is there for.

For each law there is an op broken in just the way that the law forbids.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings

import graphgrad as gg
from graphgrad import testing
from graphgrad.checks import laws
from graphgrad.checks.laws import AnyOp
from graphgrad.engine.composite import Composite
from graphgrad.engine.domains import Call, Elementwise, Reduction, call, elementwise
from graphgrad.engine.op import TABLE
from graphgrad.errors import UnsupportedError
from graphgrad.testing import check_call, check_op

ONE = elementwise((0.2, 3.0))
TWO = elementwise((0.2, 3.0), (0.2, 3.0))
FIRST = settings(phases=[Phase.generate], max_examples=2000)  # the first found, not the smallest
OFF = 1 + 1e-9  # far above rounding, far below what differences can see


def square(rule: Callable[..., Any]) -> AnyOp:
    return gg.op(lambda x: x * x, rule, name="own_square", elementwise=True, domain=ONE)


def test_an_op_without_a_domain_says_so() -> None:
    with pytest.raises(UnsupportedError, match=r"bare has no domain; declare it with .*test_laws"):
        check_op(gg.op(lambda x: x, lambda g: g, name="bare"))


def writing(g: Any, x: Any) -> Any:
    result = 2 * g * x
    if not isinstance(x, gg.Tensor) and x.ndim:
        x += 1
    return result


def depending_on_the_kind(g: Any, x: Any) -> Any:
    return 2 * g * x * (1 if isinstance(g, gg.Tensor) else OFF)


def minding_strides(g: Any, x: Any) -> Any:
    reversed_memory = not isinstance(x, gg.Tensor) and x.ndim and x.strides[0] < 0
    return 2 * g * x * (OFF if reversed_memory else 1)


def minding_others(g: Any, x: Any, y: Any, wanted: Any) -> Any:
    return g * y * (1 if wanted[1] else OFF), g * x


FAULTS: dict[str, Callable[[], AnyOp]] = {
    "value_is_numpys": lambda: gg.op(
        np.square, lambda g, x: 2 * g * x, forward=lambda x: x * x * OFF, domain=ONE, replace=True
    ),
    "gradient_is_exact": lambda: gg.op(
        np.exp, lambda g, out: g * out * OFF, domain=ONE, replace=True
    ),
    "gradient_agrees_with_differences": lambda: square(lambda g, x: 2.001 * g * x),
    "arrays_and_tensors_agree": lambda: square(depending_on_the_kind),
    "backward_changes_nothing_else": lambda: square(writing),
    "gradient_has_its_inputs_dtype": lambda: gg.op(
        np.square,
        lambda g, x: 2 * g * x,
        forward=lambda x: np.float64(x) * x,
        domain=ONE,
        replace=True,
    ),
    "gradient_is_linear": lambda: square(lambda g, x: 2 * g * x + 1e-9),
    "memory_layout_does_not_matter": lambda: square(minding_strides),
    "inputs_are_independent": lambda: gg.op(
        lambda x, y: x * y, joint=minding_others, name="mul", elementwise=True, domain=TWO
    ),
}


@pytest.fixture(autouse=True)
def _the_table_as_it_was() -> Iterator[None]:
    """Declaring an op for a NumPy function enters it into the table."""
    before = dict(TABLE)
    yield
    TABLE.clear()
    TABLE.update(before)


def test_there_is_a_fault_for_every_law() -> None:
    assert list(FAULTS) == [law.__name__ for law in laws.LAWS]


@pytest.mark.parametrize("name", FAULTS)
def test_the_fault_is_found_and_its_law_named(name: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_op(FAULTS[name](), laws=[getattr(laws, name)])
    notes: list[str] = getattr(caught.value, "__notes__", [])
    note = [*notes, str(caught.value).split("\n", maxsplit=1)[0]][0]
    assert note.endswith(name.replace("_", " "))


def test_a_wrong_second_derivative_is_found() -> None:
    """The rule keeps x as `saved`, which is constant under differentiation."""
    lost = gg.op(
        lambda x: (x * x, x), lambda g, saved: 2 * g * saved, name="lost", elementwise=True
    )
    with pytest.raises(AssertionError, match=r"2 +input 0 .* WRONG"):
        check_op(lost, ONE)


def test_a_nan_is_found() -> None:
    with pytest.raises(AssertionError):
        check_op(square(lambda g, x: g * x * np.nan))


def test_a_lost_graph_is_found() -> None:
    detour = TABLE[np.square]
    for lossy in (lambda x: detour(x).numpy(), lambda x: detour(x).detach().numpy()):
        broken: AnyOp = Composite(np.square, lossy, ONE, "lossy")
        with pytest.raises(AssertionError, match="instead of a Tensor"):
            check_op(broken)


@pytest.mark.parametrize(
    "wanted",
    [
        lambda c: c.kwargs.get("axis", 0) is None,
        lambda c: isinstance(c.kwargs.get("axis"), int) and c.kwargs["axis"] < 0,
        lambda c: isinstance(c.kwargs.get("axis"), tuple) and len(c.kwargs["axis"]) == 2,
        lambda c: c.kwargs.get("axis") == (),
        lambda c: c.args[0].ndim == 0,
        lambda c: c.args[0].size == 0,
        lambda c: c.kwargs.get("keepdims"),
    ],
)
def test_reductions_are_called_in_every_way(wanted: Any) -> None:
    assert find(testing.calls(TABLE[np.sum]), wanted, settings=FIRST)


@pytest.mark.parametrize(
    "wanted",
    [
        lambda c: isinstance(c.args[0], float),
        lambda c: isinstance(c.args[1], float),
        lambda c: all(np.ndim(x) == 0 for x in c.args),
        lambda c: any(np.size(x) == 0 for x in c.args),
        lambda c: np.ndim(c.args[0]) == 1 and np.ndim(c.args[1]) == 3,
        lambda c: np.multiply(*c.args).size > max(map(np.size, c.args)),
    ],
)
def test_elementwise_ops_are_called_in_every_way(wanted: Any) -> None:
    assert find(testing.calls(TABLE[np.multiply]), wanted, settings=FIRST)


@given(testing.elementwise_calls(elementwise((-1.0, 1.0), avoid=(0.0, 0.5))))
def test_points_to_avoid_are_avoided_and_intervals_kept(drawn: Call) -> None:
    (x,) = drawn.args
    assert (np.abs(x) < 1).all()
    assert (np.abs(x) > 0.01).all()
    assert (np.abs(x - 0.5) > 0.01).all()


@given(testing.elementwise_calls(Elementwise(((-1.0, 1.0),) * 3, distinct=True)))
def test_distinct_inputs_are_apart(drawn: Call) -> None:
    arrays = np.broadcast_arrays(*drawn.args)
    for i in range(3):
        assert (np.abs(arrays[i] - arrays[i - 1]) > 1e-3).all()


@given(testing.reduction_calls(Reduction(distinct=True, minimum=2)))
def test_distinct_elements_are_apart_and_enough(drawn: Call) -> None:
    x = np.sort(drawn.args[0], axis=None)
    assert (np.diff(x) > 1e-3).all()
    counts = np.sum(np.ones_like(drawn.args[0]), **drawn.kwargs)
    assert (counts >= 2).all()


def test_the_sampler_of_cases_draws_unlike_numbers() -> None:
    r = testing.Sampler(rng=np.random.default_rng(0))
    numbers = np.concatenate([r(2, 3).ravel(), r().ravel(), r(0, 2).ravel(), r(40)])
    assert numbers.size == 47
    assert (np.abs(numbers) >= 0.3).all()
    assert (np.abs(numbers) <= 2.02).all()
    assert np.diff(np.sort(np.abs(numbers))).min() > 1e-3
    assert r(200).shape == (200,)


def test_random_calls_are_the_same_each_time() -> None:
    def shapes_drawn() -> list[Any]:
        seen: list[Any] = []
        check_op(TABLE[np.exp], laws=[lambda case: seen.append([p.shape for p in case.points])])
        return seen

    first = shapes_drawn()
    assert len(first) > 8
    assert shapes_drawn() == first


def test_typical_calls_alone_can_be_checked() -> None:
    seen: list[Call] = []
    check_op(gg.tanh, examples=0, laws=[lambda case: seen.append(case.call)])
    assert len(seen) == len(gg.testing.typical_calls(gg.tanh))


def test_one_call_can_be_checked() -> None:
    check_call(TABLE[np.multiply], call(np.ones((2, 3)), np.ones(3)))
    with pytest.raises(AssertionError, match="WRONG"):
        check_call(square(lambda g, x: 3 * g * x), call(np.ones(3)))


def test_without_hypothesis_the_extra_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "graphgrad.testing")
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ImportError, match=r"pip install 'graphgrad\[test\]'"):
        importlib.import_module("graphgrad.testing")
