"""The running average: its weights, and that lending it to the model loses nothing."""

import contextlib

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import optim
from graphgrad.errors import ArgumentError, GraphError
from tests.builders import Refusals, leaf, refuses


def averaged(values: list[float], decay: float | None) -> tuple[gg.Tensor, optim.RunningAverage]:
    w = leaf([-1e6])  # where it was before the first update must not count
    average = optim.RunningAverage([w], decay)
    for value in values:
        w.data[...] = value
        average.update()
    return w, average


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.999, 1 - 1e-9, None])
def test_an_exponential_average_has_weights_that_sum_to_one(decay: float | None) -> None:
    """Without a decay all steps count alike."""
    values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0]
    _, average = averaged(values, decay)
    weights = (1.0 if decay is None else decay) ** np.arange(6, -1, -1.0)
    expected = np.average(values, weights=weights)
    np.testing.assert_allclose(average.averages[0], [expected], rtol=1e-7)
    np.testing.assert_allclose(averaged([7.0] * 5, decay)[1].averages[0], [7.0], rtol=1e-14)


def test_lent_and_given_back() -> None:
    w, average = averaged([1.0, 3.0], None)
    memory = w.data
    for _ in range(2):
        with average.applied():
            assert w.numpy() == 2.0
            assert w.data is memory, "others may hold the array"
        assert w.numpy() == 3.0
        assert w.data is memory
    with contextlib.suppress(KeyError), average.applied():
        w.data[...] = 99.0
        raise KeyError
    assert w.numpy() == 3.0, "after an error too"
    assert average.averages[0] == 2.0
    average.update()


def test_training_on_the_averages_is_a_mistake() -> None:
    w, average = averaged([1.0, 3.0], None)
    says = r"parameter 0 \(1,\) was changed inside applied\(\)"
    with pytest.raises(GraphError, match=says), average.applied():
        w.data -= 0.1
    assert w.numpy() == 3.0
    assert average.averages[0] == 2.0


def test_inside_applied_nothing_is_averaged() -> None:
    w, average = averaged([1.0, 3.0], None)
    state = average.state_dict()
    with average.applied():
        for action in (
            average.update,
            average.applied().__enter__,
            lambda: average.load_state_dict(state),
        ):
            with pytest.raises(GraphError, match=r"inside applied\(\)"):
                action()
        assert w.numpy() == 2.0
    assert w.numpy() == 3.0


def test_before_the_first_update_there_is_nothing_to_apply() -> None:
    w = leaf([3.0])
    block = optim.RunningAverage([w]).applied()
    with pytest.raises(GraphError, match=r"call update\(\) after"), block:
        pass
    assert w.numpy() == 3.0


def test_halves_are_averaged_in_single_precision() -> None:
    """A thousandth of the way is less than halves can resolve near 1."""
    w = leaf(1.0, dtype="f2")
    average = optim.RunningAverage([w], decay=0.999)
    for value in [1.0] * 500 + [1.5] * 500:
        w.data[...] = value
        average.update()
    assert average.averages[0].dtype == np.float32
    assert average.averages[0] == pytest.approx(1.3112, abs=1e-3)
    with average.applied():
        assert w.dtype == np.float16
        assert w.numpy() == np.float16(average.averages[0])
    assert w.numpy() == 1.5


def test_large_and_strided_parameters() -> None:
    rng = np.random.default_rng(0)
    w = leaf(rng.normal(size=(300, 250)))
    average = optim.RunningAverage([w], decay=None)
    first = w.numpy().copy()
    average.update()
    w.data = rng.normal(size=(250, 300)).T
    average.update()
    np.testing.assert_allclose(average.averages[0], (first + w.numpy()) / 2, rtol=1e-13, atol=1e-15)


def test_going_on_from_a_state() -> None:
    values = [3.0, 1.0, 4.0, 1.0, 5.0]
    w, average = averaged(values[:3], 0.9)
    state = average.state_dict()
    for value in values[3:]:
        w.data[...] = value
        average.update()
    v = leaf([0.0])
    resumed = optim.RunningAverage([v], 0.9)
    resumed.load_state_dict(state)
    for value in values[3:]:
        v.data[...] = value
        resumed.update()
    np.testing.assert_array_equal(resumed.averages[0], average.averages[0])
    assert resumed.updates == 5


REFUSED: Refusals = {
    ArgumentError: {
        "decay = 1.0": lambda: optim.RunningAverage([leaf([1.0])], 1.0),
    },
    GraphError: {
        "empty": lambda: optim.RunningAverage([]),
        "parameter 1 is no leaf": lambda: optim.RunningAverage([leaf([1.0]), leaf([1.0]) * 2]),
        "no leaf of floating numbers": lambda: optim.RunningAverage([gg.Tensor([1, 2])]),
    },
}
test_what_does_not_fit_is_refused = refuses(REFUSED)
