"""Batches: each sample once an epoch, an order of its own, resumed to the bit, no thread left."""

import contextlib
import itertools
import json
import os
import signal
import threading
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from graphgrad import data, manual_seed
from graphgrad.errors import ArgumentError, DtypeError, ShapeError
from tests.builders import Refusals, refuses


def samples(n: int) -> data.Dataset:
    """Make images whose pixels all are their number, as their label is."""
    numbers = np.arange(n)
    images = np.broadcast_to(numbers[:, None, None, None], (n, 1, 4, 4))
    return data.Dataset(images.astype(np.float32), numbers)


def noisy(images: Any, rng: np.random.Generator) -> Any:
    return images + rng.random(images.shape).astype(images.dtype)


def batches(n: int = 23, size: int = 5, seed: int = 0, **how: Any) -> data.Batches:
    return data.Batches(samples(n), size, rng=np.random.default_rng(seed), **how)


def same(ours: Iterable[data.Dataset], theirs: Iterable[data.Dataset]) -> None:
    """Show that two runs of batches are equal, bit for bit."""
    for a, b in zip(ours, theirs, strict=True):
        assert a.images.dtype == b.images.dtype
        np.testing.assert_array_equal(a.images, b.images)
        np.testing.assert_array_equal(a.labels, b.labels)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "graphgrad" in thread.name]


@given(
    n=st.integers(1, 40),
    size=st.integers(1, 40),
    drop_last=st.booleans(),
    shuffle=st.booleans(),
    prefetch=st.integers(0, 3),
)
def test_an_epoch_is_every_sample_once(
    n: int, size: int, drop_last: bool, shuffle: bool, prefetch: int
) -> None:
    size = min(n, size)
    how = {"drop_last": drop_last, "shuffle": shuffle, "prefetch": prefetch}
    ours = batches(n, size, **how)
    for _ in range(2):
        epoch = list(ours)
        assert len(epoch) == len(ours) == (n // size if drop_last else -(-n // size))
        assert all(len(batch.labels) == size for batch in epoch[:-1])
        labels = np.concatenate([batch.labels for batch in epoch])
        assert len(set(labels)) == len(labels) == (n // size * size if drop_last else n)
        if not shuffle:
            np.testing.assert_array_equal(labels, np.arange(len(labels)))
        for images, numbers in epoch:  # each image came with its own label
            np.testing.assert_array_equal(images[:, 0, 0, 0], numbers)


def test_each_epoch_and_each_seed_has_an_order_of_its_own() -> None:
    ours = batches(100, 100)
    orders = [next(iter(ours)).labels for _ in range(5)]
    orders += [next(iter(batches(100, 100, seed))).labels for seed in range(1, 5)]
    for one, other in itertools.combinations(orders, 2):
        assert (one == other).mean() < 0.1  # by chance 1 in 100 stays


def test_the_same_generator_gives_the_same_batches_and_none_is_the_default_one() -> None:
    same(batches(augment=noisy), batches(augment=noisy))
    manual_seed(5)
    first = data.Batches(samples(9), 3)
    other = data.Batches(samples(9), 3)
    manual_seed(5)
    same(first, data.Batches(samples(9), 3))
    assert first.seed != other.seed


def test_order_and_augmentation_draw_from_unrelated_streams() -> None:
    """NumPy seeds (s, e) and (s, e, 0) alike: the first batch's changes would follow the order."""
    drawn: list[Any] = []

    def spy(images: Any, rng: np.random.Generator) -> Any:
        drawn.append(rng.permutation(50))
        return images

    ours = batches(50, 10, augment=spy, prefetch=0)
    order = np.concatenate([batch.labels for batch in ours])
    for one, other in itertools.combinations([order, *drawn], 2):
        assert (one == other).mean() < 0.2


@pytest.mark.parametrize("prefetch", [0, 1, 2, 100])
@pytest.mark.parametrize("stop", [0, 1, 4, 5, 6, 10])
def test_a_run_resumed_anywhere_is_the_run_never_interrupted(stop: int, prefetch: int) -> None:
    """The state is that of the last batch handed out, not of those made ahead."""
    whole = batches(augment=noisy, prefetch=0)
    expected = [*whole, *whole]  # two epochs of five
    ours = batches(augment=noisy, prefetch=prefetch)
    got = list(itertools.islice(itertools.chain(ours, ours), stop))
    state = json.loads(json.dumps(ours.state_dict()))
    resumed = batches(seed=99, augment=noisy, prefetch=prefetch)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    while len(got) < 10:
        got += list(resumed)
    same(expected, got)


def test_an_epoch_left_early_is_followed_by_the_next_one() -> None:
    whole = batches()
    list(whole)
    second = list(whole)
    ours = batches()
    next(iter(ours))
    same(second, list(ours))


@pytest.mark.parametrize("prefetch", [0, 2, 5])
def test_an_error_in_an_augmentation_reaches_the_caller(prefetch: int) -> None:
    calls = itertools.count()

    def breaks(images: Any, rng: np.random.Generator) -> Any:  # noqa: ARG001 - as it is called
        if next(calls) == 3:
            raise LookupError("the fourth batch")
        return images

    ours = batches(augment=breaks, prefetch=prefetch)
    got: list[data.Dataset] = []
    with pytest.raises(LookupError, match="the fourth batch"):
        got.extend(ours)
    assert ours.batch == 3  # those before it were handed out, and are known as such
    assert not threads()


@pytest.mark.parametrize("prefetch", [0, 2])
def test_an_augmentation_that_does_not_fit_names_the_users_line(prefetch: int) -> None:
    flat = data.Dataset(np.zeros((6, 64), np.float32), np.zeros(6, int))
    with pytest.raises(ShapeError, match=r"Rotate: images \(2, 64\).*test_batches"):
        next(iter(data.Batches(flat, 2, augment=data.Rotate(5), prefetch=prefetch)))


@pytest.mark.parametrize("leave", ["break", "error", "end", "close"])
def test_no_thread_is_left(leave: str) -> None:
    if leave == "close":
        running: Any = iter(batches(prefetch=3))
        next(running)
        running.close()
    with contextlib.suppress(LookupError):
        for batch in batches(prefetch=3) if leave != "close" else ():
            assert len(threads()) == 1
            if leave == "break":
                break
            if leave == "error":
                raise LookupError(batch.labels)
    assert not threads()


def test_a_batch_is_made_ahead_and_not_more() -> None:
    """It fails if nothing is prepared while the caller works, or the whole epoch is."""
    third = threading.Event()
    made: list[int] = []

    def spy(images: Any, rng: np.random.Generator) -> Any:  # noqa: ARG001 - as it is called
        made.append(len(made))
        if len(made) == 3:
            third.set()
        return images

    running = iter(batches(100, 5, augment=spy, prefetch=2))
    next(running)
    assert third.wait(10)
    assert len(made) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX forks")
@pytest.mark.parametrize("taken", [1, 3])
def test_a_child_forked_within_an_epoch_goes_on_with_it(taken: int) -> None:
    expected = list(batches(augment=noisy, prefetch=0))[taken:]
    running = iter(batches(augment=noisy, prefetch=2))
    for _ in range(taken):
        next(running)
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking where threads run
        child = os.fork()
    if child == 0:  # ends here, whatever comes
        try:
            signal.alarm(20)  # it used to wait for ever
            same(running, expected)
            os.write(writing, b"the same")
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    assert os.read(reading, 99) == b"the same"
    os.close(reading)
    same(running, expected)


def test_batches_own_their_arrays() -> None:
    dataset = samples(6)
    for shuffle in (True, False):
        for images, labels in data.Batches(dataset, 3, shuffle=shuffle):
            images[...] = -1
            labels[...] = -1
    same([dataset], [samples(6)])


def test_several_augmentations_are_applied_in_their_order() -> None:
    ours = batches(6, 6, shuffle=False, augment=[lambda x, _: x + 1, lambda x, _: x * 10])
    np.testing.assert_array_equal(next(iter(ours)).images[:, 0, 0, 0], [10, 20, 30, 40, 50, 60])


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ({"seed": 1, "epoch": 0}, ShapeError),
        ({"seed": 1, "epoch": 0, "batch": 0, "more": 0}, ShapeError),
        ({"seed": 1, "epoch": 0, "batch": 5}, ShapeError),  # there are five: 0 to 4
        ({"seed": 1, "epoch": -1, "batch": 0}, ShapeError),
        ({"seed": 1, "epoch": 0.5, "batch": 0}, DtypeError),
    ],
)
def test_a_state_of_other_data_is_refused(state: Any, error: type[Exception]) -> None:
    ours = batches()
    before = ours.state_dict()
    with pytest.raises(error, match=r"Batches\.load_state_dict: "):
        ours.load_state_dict(state)
    assert ours.state_dict() == before


def made(dataset: Any, size: Any = 1, **how: Any) -> Any:
    return lambda: data.Batches(dataset, size, rng=np.random.default_rng(0), **how)


def labelled(*counts: int) -> data.Dataset:
    labels = np.repeat(np.arange(len(counts)), counts)
    return data.Dataset(np.arange(len(labels))[:, None], labels)


REFUSED: Refusals = {
    ShapeError: {
        "Batches: .*at least one": made(samples(0)),
        r"Batches: .*\(3, 2\), labels \(4,\)": made((np.zeros((3, 2)), np.zeros(4))),
        r"Batches: .*labels \(\)": made((np.zeros((3, 2)), 5)),
        r"\(images, labels\), not 3 things": made(np.zeros((3, 2))),
        "split: .*only 1 member": lambda: data.split(labelled(5, 1)),
        "k_folds: .*6": lambda: data.k_folds(labelled(5, 5), 6),
        "one_hot: .*from 0 to 3, 3 classes": lambda: data.one_hot(np.array([0, 3]), 3),
    },
    ArgumentError: {
        "Batches: batch_size=4 of 3 samples": made(samples(3), 4),
    },
    DtypeError: {"one_hot: .*float64": lambda: data.one_hot(np.array([0.0]))},
}
test_what_does_not_fit_is_refused = refuses(REFUSED)


def test_refused_data_leave_the_generator_alone() -> None:
    rng = np.random.default_rng(3)
    with pytest.raises(ArgumentError, match="batch_size=4"):
        data.Batches(samples(3), 4, rng=rng)
    assert rng.random() == np.random.default_rng(3).random()


def test_split_keeps_every_sample_and_the_shares_of_the_classes() -> None:
    whole = labelled(50, 30, 20)
    rest, held = data.split(whole, 0.2, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(np.bincount(held.labels), [10, 6, 4])
    np.testing.assert_array_equal(np.bincount(rest.labels), [40, 24, 16])
    both = np.concatenate([rest.images, held.images]).ravel()
    np.testing.assert_array_equal(np.sort(both), np.arange(100))
    for part in (rest, held):
        np.testing.assert_array_equal(part.labels, whole.labels[part.images.ravel()])
    same([held], [data.split(whole, 0.2, rng=np.random.default_rng(0))[1]])
    other = data.split(whole, 0.2, rng=np.random.default_rng(1))[1]
    assert set(other.images.ravel()) != set(held.images.ravel())
    free = data.split(whole, 0.25, rng=np.random.default_rng(0), stratify=False)
    assert [part.size for part in free] == [75, 25]


def test_each_fold_is_held_back_once() -> None:
    whole = labelled(20, 10)
    folds = list(data.k_folds(whole, 5, rng=np.random.default_rng(0)))
    assert len(folds) == 5
    for rest, held in folds:
        np.testing.assert_array_equal(np.bincount(held.labels), [4, 2])
        assert not set(rest.images.ravel()) & set(held.images.ravel())
    every = np.concatenate([held.images for _, held in folds]).ravel()
    np.testing.assert_array_equal(np.sort(every), np.arange(30))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64])
def test_one_hot(dtype: Any) -> None:
    rows = data.one_hot(np.array([2, 0, 1], dtype))
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, [[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    assert data.one_hot(np.array([1], dtype), 4, np.float64).tolist() == [[0, 1, 0, 0]]
    assert data.one_hot(np.zeros(0, dtype), 3).shape == (0, 3)
