"""The search for hyper-parameters: real SQLite files, real processes, really killed."""

import math
import os
import re
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, strategies as st

from graphgrad import nn
from graphgrad.errors import ArgumentError, DtypeError, SearchError
from tests.builders import Refusals, refuses
from tests.search_objectives import (
    RATE,
    SPACE,
    broken,
    distance,
    faulty,
    generator,
    reporting,
    search,
)


def test_the_same_generator_gives_the_same_trials_whoever_tries_them(tmp_path: Path) -> None:
    results = [
        search(distance),
        search(distance, storage=tmp_path / "here.db"),
        search(distance, storage=tmp_path / "there.db", workers=2),
    ]
    assert all(result.trials == results[0].trials for result in results)
    assert search(distance, rng=generator(1)).trials != results[0].trials


def test_the_order_of_the_names_does_not_matter() -> None:
    assert search(distance, dict(reversed(SPACE.items()))).trials == search(distance).trials


def test_points_are_spread_evenly_on_their_scale() -> None:
    points = [trial.point for trial in search(distance, trials=300).trials]
    decades = Counter(math.floor(math.log10(point["lr"])) for point in points)
    assert set(decades) == {-6, -5, -4, -3}
    assert min(decades.values()) > 50  # of 75
    assert Counter(point["act"] for point in points).keys() == {"relu", "tanh", None}
    hidden = [point["hidden"] for point in points]
    assert all(isinstance(size, int) and 20 <= size <= 200 for size in hidden)
    assert abs(np.mean(hidden) - 110) < 12
    assert len({point["lr"] for point in points}) == 300, "each trial is drawn anew"


def test_the_best_comes_first() -> None:
    down, up = search(distance), search(distance, maximize=True)
    values = [trial.value for trial in down.trials]
    assert values == sorted(values, key=lambda value: value or 0)
    assert [trial.value for trial in up.trials] == values[::-1]
    assert down.best.value == values[0]
    assert str(down.best.number) in str(down).splitlines()[2].split()
    assert str(down.best).startswith(f"{down.best.value:.4f} (lr ")


def test_the_default_generator_is_advanced_by_one_number() -> None:
    rng, other = generator(), generator()
    search(distance, rng=rng)
    other.integers(2**63)
    assert rng.random() == other.random()


def test_optunas_samplers_can_be_used() -> None:
    sampler = partial(optuna.samplers.TPESampler, seed=0, n_startup_trials=5)
    first, second = (search(distance, trials=30, sampler=sampler()) for _ in range(2))
    assert first.trials == second.trials
    assert sum((trial.value or 0) < 0.5 for trial in first.trials) > 10, "it learns where to look"


def test_what_optuna_logs_is_not_shown(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    before = optuna.logging.get_verbosity()
    search(distance, storage=tmp_path / "s.db")
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == before


def found(space: dict[str, Any], *points: dict[str, Any]) -> nn.SearchResult:
    trials = [
        nn.TrialResult(number, point, "complete", 1.0 - number / 10, {}, None, None, None)
        for number, point in enumerate(points)
    ]
    return nn.SearchResult(space, maximize=True, trials=tuple(trials))


@pytest.mark.parametrize(
    ("range_", "value", "border"),
    [
        (RATE, 2.4e-6, "lower"),  # a tenth of four decades is a factor of 2.51
        (RATE, 2.6e-6, None),
        (RATE, 3.9e-3, None),
        (RATE, 4.1e-3, "upper"),
        (nn.Range(0, 1), 0.09, "lower"),
        (nn.Range(0, 1), 0.11, None),
        (nn.Range(-1, 1), 0.81, "upper"),
        (nn.Range(1, 4, whole=True), 1, "lower"),
        (nn.Range(1, 4, whole=True), 2, None),
        (nn.Range(1, 1000, log=True, whole=True), 600, "upper"),
        (nn.Range(1, 1000, log=True, whole=True), 400, None),
        (nn.Choice([1, 2]), 2, None),
    ],
)
def test_a_best_point_on_the_border_is_a_warning(range_: Any, value: float, border: Any) -> None:
    result = found({"x": range_}, {"x": value})
    assert len(result.warnings) == (border is not None)
    if border is not None:
        assert f"the best x, {value:.3g}, lies on the {border} border of {range_}" in str(result)


def test_beyond_a_border_narrowing_goes_on_only_if_asked() -> None:
    assert not found({"x": RATE}, {"x": 1e-4}, {"x": 1e-6}).warnings, "the best one counts"
    result = found({"x": RATE}, {"x": 1e-2})
    wide: Any = result.narrowed(margin=0.25, beyond=True)["x"]
    assert (wide.low, wide.high) == pytest.approx((1e-3, 1e-1))
    assert result.narrowed(margin=0.25)["x"] == nn.Range(wide.low, 1e-2, log=True)


def test_narrowing_is_centred_on_the_scale_of_each_range() -> None:
    space = {"rate": RATE, "drop": nn.Range(0, 1), "size": nn.Range(10, 110, whole=True)}
    result = found(space, {"rate": 1e-4, "drop": 0.5, "size": 60})
    narrow: Any = result.narrowed(margin=0.25)
    assert (narrow["rate"].low, narrow["rate"].high) == pytest.approx((1e-5, 1e-3))
    assert narrow["rate"].log
    assert narrow["drop"] == nn.Range(0.25, 0.75)
    assert narrow["size"] == nn.Range(35, 85, whole=True)


def test_narrowing_holds_the_best_points_and_keeps_what_does_not_matter_wide() -> None:
    points = [{"x": 0.4 + n / 50, "y": n / 4, "act": "b"} for n in range(5)]
    points.append({"x": 0.9, "y": 0.1, "act": "a"})
    space = {"x": nn.Range(0, 1), "y": nn.Range(0, 1), "act": nn.Choice(["a", "b", "c"])}
    narrow: Any = found(space, *points).narrowed()
    assert (narrow["x"].low, narrow["x"].high) == pytest.approx((0.3, 0.58))
    assert narrow["y"] == space["y"]
    assert narrow["act"] == nn.Choice(["b"])
    assert found(space, *points).narrowed(6)["act"] == nn.Choice(["a", "b"])


RANGES = st.one_of(
    st.builds(
        lambda low, width, log: nn.Range(low, low + width, log),
        *(st.floats(1e-8, 1e3), st.floats(1e-2, 1e6), st.booleans()),
    ),
    st.builds(
        lambda low, width, log: nn.Range(low, low + width, log, whole=True),
        *(st.integers(1, 10**6), st.integers(1, 10**6), st.booleans()),
    ),
)


@given(RANGES, st.lists(st.floats(0, 1), min_size=1, max_size=4), st.floats(1e-3, 1))
def test_narrowing_never_leaves_the_range_unless_asked(
    range_: nn.Range, shares: list[float], margin: float
) -> None:
    values = [range_.value(share) for share in shares]
    values = [round(value) if range_.whole else value for value in values]
    result = found({"x": range_}, *({"x": value} for value in values))
    results: Any = (result.narrowed(margin=margin, beyond=asked)["x"] for asked in (False, True))
    narrow, beyond = results
    assert range_.low <= narrow.low < narrow.high <= range_.high
    slack = 1e-9 * abs(range_.high)
    assert narrow.low - slack <= min(values) <= max(values) <= narrow.high + slack
    assert beyond.low <= narrow.low + slack
    assert beyond.high >= narrow.high - slack
    assert (narrow.log, narrow.whole) == (range_.log, range_.whole)


def test_coarse_then_fine_finds_the_best_rate() -> None:
    coarse = search(distance, trials=20)
    fine = search(distance, coarse.narrowed(), trials=20, rng=generator(1))
    assert (fine.best.value or 1) < 0.05
    lr: Any = fine.space["lr"]
    assert lr.low > 1e-6
    assert lr.high < 1e-2


def test_failures_are_recorded_and_do_not_stop_the_search() -> None:
    options: Any = {"trials": 9, "pruner": optuna.pruners.ThresholdPruner(upper=1.0)}
    told: list[nn.TrialResult] = []
    result = search(faulty, workers=2, progress=told.append, **options)
    assert sorted(t.number for t in told) == list(range(9))
    assert all(t in result.trials for t in told)
    assert result.trials == search(faulty, **options).trials, "in this process too"
    trials = {trial.number: trial for trial in result.trials}
    assert [trial.number for trial in result.trials if trial.state == "failed"] == [1, 2, 3, 4]
    assert {trial.state for trial in result.trials} == {"complete", "pruned", "failed"}
    assert trials[1].error == "ValueError: one went wrong"
    assert "in faulty" in str(trials[1].traceback)
    assert trials[2].error == "it returned nan"
    assert str(trials[3].error).startswith("NonFiniteError: inf reported after step 1 (at search_")
    assert trials[3].reports == {0: 0.5}
    assert "returned None, which is no number" in str(trials[4].error)
    assert re.match(r"\d complete, \d pruned, 4 failed\n", str(result))
    assert "trial 1 failed: ValueError: one went wrong" in str(result)


def test_if_all_fail_the_first_error_is_told(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match=r"none of 6 .* delete .*s\.db.*no such layer in 0") as e:
        search(broken, storage=tmp_path / "s.db")
    assert "in broken" in str(e.value)


def test_pruned_trials_end_early_and_are_never_the_best() -> None:
    pruner = optuna.pruners.ThresholdPruner(upper=1.0)
    result = search(reporting, trials=12, pruner=pruner)
    pruned = [trial for trial in result.trials if trial.state == "pruned"]
    assert 0 < len(pruned) < 12
    assert {trial.state for trial in result.trials} == {"pruned", "complete"}
    for trial in pruned:
        assert list(trial.reports) == [0], "it ended with its first report"
        assert trial.value == trial.reports[0]
        assert abs(math.log10(trial.point["lr"]) + 4) > 0.99
    assert result.best.state == "complete"
    assert list(result.best.reports) == [0, 1, 2, 3]


def test_an_objective_for_workers_must_be_importable() -> None:
    with pytest.raises(DtypeError, match=r"workers; define|worker processes; define it at the top"):
        search(lambda _, __: 0.0, workers=2)


def test_a_script_without_guard_is_told_about_it(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "from graphgrad import nn\n"
        "def objective(point, trial): return 0.0\n"
        "nn.search(objective, {'x': nn.Range(0, 1)}, trials=2, maximize=True, workers=2)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 1
    assert "a worker could not start" in run.stderr
    assert "__name__ == '__main__'" in run.stderr


def test_a_step_is_reported_once() -> None:
    def objective(_: Any, trial: nn.Trial) -> float:
        trial.report(1, 0)
        for step in (0, -1):
            with pytest.raises(ArgumentError, match=f"step {step}"):
                trial.report(1, step)
        return 0

    assert search(objective).best.state == "complete"


REFUSED: Refusals = {
    ArgumentError: {
        "high = inf must be a finite number": lambda: nn.Range(0, math.inf),
        "low must be above 0": lambda: nn.Range(0, 1, log=True),
        "each once": lambda: nn.Choice([1, 1.0]),
        "narrowed: .*best": lambda: found({"x": RATE}, {"x": 1e-4}).narrowed(best=0),
    },
    DtypeError: {
        "must be whole numbers": lambda: nn.Range(0.5, 3, whole=True),
        "one string": lambda: nn.Choice("relu"),
        "give a name": lambda: nn.Choice([nn.ReLU]),
    },
}
test_what_does_not_fit_is_refused = refuses(REFUSED)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"trials": 0}, ArgumentError, "trials = 0 must be at least 1"),
        ({"workers": 0}, ArgumentError, "workers = 0"),
        ({"workers": True}, DtypeError, "workers = True"),
        ({"space": {}}, DtypeError, "no Range or Choice by name"),
        ({"space": [RATE]}, DtypeError, "must be a dict"),
        ({"space": {"lr": (1e-6, 1e-2)}}, DtypeError, r"'lr'.*write 'lr': nn\.Range"),
        ({"space": {1: RATE}}, DtypeError, "no Range or Choice by name"),
        ({"objective": 3.0}, DtypeError, "must be a function"),
    ],
)
def test_a_search_that_is_refused_makes_no_file(
    options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    storage = tmp_path / "s.db"
    with pytest.raises(error, match=message) as caught:
        search(**{"objective": distance, "storage": storage, **options})
    assert "(at search_objectives.py:" in str(caught.value)
    assert not storage.exists()
