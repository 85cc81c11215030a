"""Row 26: nearest neighbours, linear classifiers, and ways down a loss, from examples/."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

import graphgrad as gg
from graphgrad import data
from tests.examples.test_numbers import example
from tests.examples.test_training_scripts import write_cifar10


def test_l1_of_the_notes() -> None:
    """Two 4×4 images whose differences add up to 456."""
    test = [[56, 32, 10, 18], [90, 23, 128, 133], [24, 26, 178, 200], [2, 0, 255, 220]]
    train = [[10, 20, 24, 17], [8, 10, 89, 100], [12, 16, 178, 170], [4, 32, 233, 112]]
    rows = [np.reshape(image, (1, 16)) for image in (test, train)]
    assert example("nearest_neighbours").l1(*rows) == [[456]]


@pytest.mark.parametrize(("name", "metric"), [("L1", "manhattan"), ("L2", "euclidean")])
def test_neighbours_and_votes_are_those_of_scikit_learn(name: str, metric: str) -> None:
    script, rng = example("nearest_neighbours"), np.random.default_rng(0)
    stored, images = rng.standard_normal((120, 7)), rng.standard_normal((30, 7))
    labels = rng.integers(4, size=120)
    distances = script.DISTANCES[name](images, stored)
    said = script.predict(distances, labels, script.KS)
    for k, ours in zip(script.KS, said, strict=True):
        theirs = KNeighborsClassifier(k, metric=metric, algorithm="brute").fit(stored, labels)
        np.testing.assert_allclose(
            np.sort(distances)[:, :k], theirs.kneighbors(images)[0], rtol=1e-7
        )
        np.testing.assert_array_equal(ours, theirs.predict(images))


def test_no_image_votes_on_itself() -> None:
    """Labels that mean nothing are guessed no better than by chance, also with k = 1."""
    script, rng = example("nearest_neighbours"), np.random.default_rng(1)
    noise = data.Dataset(rng.standard_normal((600, 3)), np.tile(np.arange(10), 60))
    for once, folds in script.choose(noise, 0).values():
        assert once.max() < 0.25
        assert folds.shape == (script.FOLDS, len(script.KS))
        assert folds.mean(axis=0).max() < 0.17


def test_the_choice_is_the_highest_mean_over_the_folds() -> None:
    script = example("nearest_neighbours")
    low, high = (np.full((5, len(script.KS)), share) for share in (0.5, 0.6))
    high[:, 3] += [0.3, 0, 0, 0, 0]
    high[:, 5] += 0.05
    validation = np.linspace(1, 0, len(script.KS))
    assert script.best({"L1": (validation, low), "L2": (validation, high)}) == ("L2", 7)


def test_where_two_classes_share_the_lead_none_wins() -> None:
    script = example("neighbours_in_a_plane")
    points, labels = np.array([[0.0, 0], [1, 0], [5, 5]]), np.array([0, 1, 2])
    grid = np.array([[0.1, 0.0], [0.9, 0.0], [4.0, 4.0]])
    assert script.regions(points, labels, grid, 1).tolist() == [0, 1, 2]
    assert script.regions(points, labels, grid[:2], 2).tolist() == [script.TIE] * 2


NUMBERS: dict[str, tuple[Any, float]] = {  # value, half a unit of the last digit given
    "cat, dog, ship": ([-96.8, 437.9, 60.75], 1e-9),  # the notes leave the ship's bias out:
    "ship without its bias": (61.95, 1e-9),
    "SVM": (1.58, 1e-9),
    "softmax": (1.04, 5e-3),  # the notes print its logarithm to base 10:
    "softmax, logarithm to base 10": (0.452, 5e-4),
    "SVM of [10, -2, 3], [10, 9, 9]": ([0, 0], 0),
    "softmax of [10, 9, 9], [10, -100, -100]": ([0.551, 0], 5e-4),
    "ΣW² of two templates alike to [1, 1, 1, 1]": ([1, 0.25], 0),
}


def test_numbers_of_linear_classification() -> None:
    found = example("linear_classifiers").numbers()
    assert set(found) == set(NUMBERS)
    for name, (value, tolerance) in NUMBERS.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("name", ["SVM", "softmax"])
def test_the_penalty_leaves_out_the_bias(name: str) -> None:
    script, rng = example("linear_classifiers"), np.random.default_rng(0)
    images, digits = script.with_one(rng.standard_normal((8, 6))), rng.integers(10, size=8)
    W = gg.Tensor(rng.standard_normal((10, 7)))
    whole, loss = (script.objective(name, W, images, digits, s) for s in (0.3, 0.0))
    np.testing.assert_allclose((whole - loss).item(), 0.3 * (W.data[:, :-1] ** 2).sum(), 1e-12)


@pytest.mark.parametrize("name", ["nearest_neighbours", "linear_classifiers"])
def test_colour_images_of_another_set(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    colours = np.random.default_rng(1).integers(60, 200, (10, 3, 1, 1))
    write_cifar10(
        tmp_path, lambda labels: colours[labels] + rng.integers(-50, 50, (len(labels), 3, 32, 32))
    )
    script = example(name)
    if name == "linear_classifiers":
        monkeypatch.setattr(script, "check", lambda: None)
        monkeypatch.setattr(script, "STEPS", 20)
        monkeypatch.setattr(script, "STRENGTHS", [1e-2, 1e-3])
    script.main(tmp_path / "pictures", "cifar10", tmp_path)
    shares = re.findall(r"mean of 1 seeds?: ([\d.]+)%", capsys.readouterr().out)
    assert shares
    assert min(map(float, shares)) > 80
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == [f"{name}.png"]


def counting(loss: Any) -> tuple[Any, list[int]]:
    """Return the loss, and a list that grows by 1 for every call."""
    calls: list[int] = []

    def counted(W: Any) -> Any:
        calls.append(1)
        return loss(W)

    return counted, calls


def test_all_ways_keep_to_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    script = example("following_the_gradient")
    monkeypatch.setattr(script, "BUDGET", 50)
    few = script.digits(0)[0].take(slice(100))
    for name in ("random search", "random local search"):
        loss, calls = counting(script.loss_of(few))
        counts, losses, Ws = zip(*script.WALKS[name](loss, np.random.default_rng(0)), strict=True)
        assert list(counts) == list(range(1, 51))
        assert len(calls) == 50
        assert all(np.diff(losses) <= 0)
        assert losses[-1] == float(loss(Ws[-1]))
    walk = script.WALKS["gradient descent"](script.loss_of(few), np.random.default_rng(0))
    assert [count for count, _, _ in walk] == list(range(3, 51, 3))


def test_differences_cost_one_loss_per_weight_and_one_more() -> None:
    script = example("following_the_gradient")
    few = script.digits(0)[0].take(slice(20))
    loss, calls = counting(script.loss_of(few))
    W = script.random_weights(np.random.default_rng(0))
    near = script.by_differences(loss, W)
    assert len(calls) == W.size + 1 == 651
    np.testing.assert_allclose(near, script.by_backward(loss, W), rtol=1e-3, atol=1e-5)


def test_the_loss_is_a_bowl_and_that_of_one_digit_made_of_straight_pieces() -> None:
    script = example("following_the_gradient")
    train, _ = script.digits(0)
    for count in (1, 100):
        places, line, plane = script.slices(script.loss_of(train.take(slice(count))), 0.5)
        assert line[len(places) // 2] == pytest.approx(9), "W = 0: the margins are all 1"
        assert min(np.diff(plane, 2, axis=axis).min() for axis in (0, 1)) > -1e-9
        bends = np.diff(line, 2) > 1e-9
        if count == 1:  # at most a corner for each wrong class, seen by two neighbours
            assert 0 < bends.sum() <= 2 * 9


def test_too_small_a_step_does_little_and_too_large_a_one_harm() -> None:
    script = example("following_the_gradient")
    loss = script.loss_of(script.digits(0)[0])
    before, sizes, after = script.steps(loss, script.random_weights(np.random.default_rng(0)))
    small, large = after[0], after[-1]
    assert before * 0.999 < small < before < large
    assert min(after) < before / 4
    tenfold = large / after[-2]  # far out, the loss is a straight line
    assert tenfold == pytest.approx(sizes[-1] / sizes[-2], rel=0.05)
