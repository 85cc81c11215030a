"""The search for hyper-parameters: real SQLite files, real processes, really killed."""

import contextlib
import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, strategies as st
from sqlalchemy.pool import NullPool

from graphgrad import data, nn, optim
from graphgrad.errors import (
    DtypeError,
    FileFormatError,
    GraphError,
    GraphgradError,
    SearchError,
    ShapeError,
)
from tests.search_objectives import (
    begun,
    broken,
    distance,
    faulty,
    killing,
    learning,
    reporting,
    undisturbed,
)

RATE = nn.Range(1e-6, 1e-2, log=True)
SPACE = {
    "lr": RATE,
    "hidden": nn.Range(20, 200, whole=True),
    "act": nn.Choice(["relu", "tanh", None]),
}


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def search(objective: Any, space: Any = SPACE, **options: Any) -> nn.SearchResult:
    options = {"trials": 6, "maximize": False, "rng": generator(), **options}
    return nn.search(objective, space, **options)


# ------------------------------------------------------------------------------ the points


def test_the_same_generator_gives_the_same_trials_whoever_tries_them(tmp_path: Path) -> None:
    results = [
        search(distance),
        search(distance, storage=tmp_path / "here.db"),
        search(distance, storage=tmp_path / "there.db", workers=3),
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


def test_the_default_generator_is_advanced_by_one_number() -> None:
    rng, other = generator(), generator()
    search(distance, rng=rng)
    other.integers(2**63)
    assert rng.random() == other.random()


def test_progress_is_told_as_results_come_in() -> None:
    told: list[nn.TrialResult] = []
    result = search(reporting, progress=told.append, workers=2)
    assert sorted(told, key=lambda trial: trial.value or 0) == list(result.trials)
    assert str(result.best).startswith(f"{result.best.value:.4f} (lr ")


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


# ------------------------------------------------------------------------------ the ranges


def found(space: dict[str, Any], *points: dict[str, Any]) -> nn.SearchResult:
    trials = [
        nn.TrialResult(number, point, "complete", 1.0 - number / 10, {}, None, None, None)
        for number, point in enumerate(points)
    ]
    return nn.SearchResult(space, maximize=True, trials=tuple(trials))


@pytest.mark.parametrize(
    ("range_", "value", "border"),
    [
        (RATE, 1e-6, "lower"),
        (RATE, 2.4e-6, "lower"),  # a tenth of four decades is a factor of 2.51
        (RATE, 2.6e-6, None),
        (RATE, 3.9e-3, None),
        (RATE, 4.1e-3, "upper"),
        (RATE, 1e-2, "upper"),
        (nn.Range(0, 1), 0.09, "lower"),
        (nn.Range(0, 1), 0.11, None),
        (nn.Range(-1, 1), 0.79, None),
        (nn.Range(-1, 1), 0.81, "upper"),
        (nn.Range(1, 4, whole=True), 1, "lower"),
        (nn.Range(1, 4, whole=True), 2, None),
        (nn.Range(1, 1000, log=True, whole=True), 600, "upper"),
        (nn.Range(1, 1000, log=True, whole=True), 400, None),
        (nn.Choice([1, 2]), 2, None),
    ],
)
def test_a_best_point_on_the_border_is_a_warning(
    range_: Any, value: float, border: str | None
) -> None:
    result = found({"x": range_}, {"x": value})
    assert len(result.warnings) == (border is not None)
    if border is not None:
        assert f"the best x, {value:.3g}, lies on the {border} border of {range_}" in str(result)


def test_only_the_best_point_counts_for_the_warning() -> None:
    assert not found({"x": RATE}, {"x": 1e-4}, {"x": 1e-6}).warnings


def test_narrowing_is_centred_on_the_scale_of_each_range() -> None:
    space = {"rate": RATE, "drop": nn.Range(0, 1), "size": nn.Range(10, 110, whole=True)}
    result = found(space, {"rate": 1e-4, "drop": 0.5, "size": 60})
    narrow = result.narrowed(margin=0.25)
    rate, drop = narrow["rate"], narrow["drop"]
    assert isinstance(rate, nn.Range)
    assert (rate.low, rate.high) == pytest.approx((1e-5, 1e-3))
    assert rate.log
    assert drop == nn.Range(0.25, 0.75)
    assert narrow["size"] == nn.Range(35, 85, whole=True)


def test_narrowing_holds_the_best_points_and_keeps_what_does_not_matter_wide() -> None:
    points = [{"x": 0.4 + n / 50, "y": n / 4, "act": "b"} for n in range(5)]
    points.append({"x": 0.9, "y": 0.1, "act": "a"})
    space = {"x": nn.Range(0, 1), "y": nn.Range(0, 1), "act": nn.Choice(["a", "b", "c"])}
    narrow = found(space, *points).narrowed()
    x = narrow["x"]
    assert isinstance(x, nn.Range)
    assert (x.low, x.high) == pytest.approx((0.3, 0.58))
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
    narrow, beyond = (
        result.narrowed(margin=margin, beyond=beyond)["x"] for beyond in (False, True)
    )
    assert isinstance(narrow, nn.Range)
    assert isinstance(beyond, nn.Range)
    assert range_.low <= narrow.low < narrow.high <= range_.high
    slack = 1e-9 * abs(range_.high)
    assert narrow.low - slack <= min(values) <= max(values) <= narrow.high + slack
    assert beyond.low <= narrow.low + slack
    assert beyond.high >= narrow.high - slack
    assert (narrow.log, narrow.whole) == (range_.log, range_.whole)


def test_narrowing_beyond_goes_on_where_the_range_ended() -> None:
    result = found({"x": RATE}, {"x": 1e-2})
    wide = result.narrowed(margin=0.25, beyond=True)["x"]
    assert isinstance(wide, nn.Range)
    assert (wide.low, wide.high) == pytest.approx((1e-3, 1e-1))
    assert result.narrowed(margin=0.25)["x"] == nn.Range(wide.low, 1e-2, log=True)


def test_coarse_then_fine_finds_the_best_rate() -> None:
    coarse = search(distance, trials=20)
    fine = search(distance, coarse.narrowed(), trials=20, rng=generator(1))
    assert (fine.best.value or 1) < 0.05
    lr = fine.space["lr"]
    assert isinstance(lr, nn.Range)
    assert lr.low > 1e-6
    assert lr.high < 1e-2


# ------------------------------------------------------------------------------ what goes wrong


def test_failures_are_recorded_and_do_not_stop_the_search() -> None:
    options: Any = {"trials": 9, "pruner": optuna.pruners.ThresholdPruner(upper=1.0)}
    result = search(faulty, workers=2, **options)
    assert result.trials == search(faulty, **options).trials, "in this process too"
    trials = {trial.number: trial for trial in result.trials}
    assert [trial.number for trial in result.trials if trial.state == "failed"] == [1, 2, 3, 4]
    assert {trial.state for trial in result.trials} == {"complete", "pruned", "failed"}
    assert trials[1].error == "ValueError: one went wrong"
    assert "in faulty" in str(trials[1].traceback)
    assert trials[2].error == "it returned nan"
    assert trials[3].error == "NonFiniteError: inf reported after step 1"
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


def test_median_pruning_compares_with_other_trials() -> None:
    result = search(
        reporting,
        trials=20,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=1),
    )
    assert {len(t.reports) for t in result.trials if t.state == "pruned"} <= {2, 3, 4}
    assert {trial.state for trial in result.trials} == {"pruned", "complete"}


# ------------------------------------------------------------------------------ interruptions


@pytest.mark.skipif(os.name != "posix", reason="no SIGKILL")
def test_a_killed_search_goes_on_where_it_was(tmp_path: Path) -> None:
    storage = tmp_path / "s.db"
    program = (
        "import numpy as np; from functools import partial; from pathlib import Path\n"
        "from graphgrad import nn; from tests.search_objectives import killing\n"
        f"nn.search(partial(killing, folder=Path({str(tmp_path)!r}), victim='search'),\n"
        "          {'act': nn.Choice(['relu', 'tanh', None]),\n"
        "           'hidden': nn.Range(20, 200, whole=True),\n"
        "           'lr': nn.Range(1e-6, 1e-2, log=True)},\n"
        f"          trials=6, maximize=False, storage={str(storage)!r}, workers=2,\n"
        "          rng=np.random.default_rng(0))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", program], env=environment, check=False, timeout=60)
    assert run.returncode == -signal.SIGKILL
    pids = {int(line.split()[1]) for line in (tmp_path / "begun").read_text().splitlines()}
    end = time.monotonic() + 20
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < end, "a worker outlives its search"
        time.sleep(0.02)
    before = begun(tmp_path)
    assert 4 not in before or 5 not in before
    # another generator: the points are those of the file
    objective = partial(killing, folder=tmp_path, victim="search")
    result = search(objective, storage=storage, rng=generator(9))
    assert result.trials == search(undisturbed).trials
    after = begun(tmp_path)
    assert after[3] == 2
    assert all(after[number] == 1 for number in (0, 1)), "what was done is not done again"
    assert [path.name for path in tmp_path.iterdir() if "lock" in path.name] == []


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        try:
            os.kill(pid, 0)
        except OSError:
            return False
        return not Path("/proc").exists()
    return state != "Z"


@pytest.mark.skipif(os.name != "posix", reason="no SIGKILL")
def test_a_point_whose_worker_was_killed_is_tried_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    objective = partial(killing, folder=tmp_path, victim="worker, always")
    result = search(objective, workers=2, storage=tmp_path / "s.db")
    trials = {trial.number: trial for trial in result.trials}
    assert trials[3].state == "complete"
    assert trials[1].state == "failed"
    assert trials[1].error == "its process ended with exit code -9, again"
    assert begun(tmp_path) == {0: 1, 1: 2, 2: 1, 3: 2, 4: 1, 5: 1}
    lines = (tmp_path / "begun").read_text().splitlines()
    assert all(line.endswith("['1', '1']") for line in lines), "each has one BLAS thread"
    assert os.environ["OMP_NUM_THREADS"] == "2"
    assert "OPENBLAS_NUM_THREADS" not in os.environ
    expected = {trial.number: trial for trial in search(undisturbed).trials if trial.number != 1}
    assert {number: trial for number, trial in trials.items() if number != 1} == expected


def test_ctrl_c_ends_the_search_which_goes_on_later(tmp_path: Path) -> None:
    objective = partial(killing, folder=tmp_path, victim="Ctrl-C")
    with pytest.raises(KeyboardInterrupt):
        search(objective, storage=tmp_path / "s.db")
    result = search(objective, storage=tmp_path / "s.db")
    assert result.trials == search(undisturbed).trials
    assert begun(tmp_path) == {0: 1, 1: 1, 2: 1, 3: 2, 4: 1, 5: 1}


def test_more_trials_are_those_that_would_have_followed(tmp_path: Path) -> None:
    objective = partial(killing, folder=tmp_path, victim="nobody")
    search(objective, storage=tmp_path / "s.db", trials=4)
    result = search(objective, storage=tmp_path / "s.db", trials=8, rng=generator(5))
    assert result.trials == search(undisturbed, trials=8).trials
    assert set(begun(tmp_path).values()) == {1}
    assert len(search(broken, storage=tmp_path / "s.db", trials=2).trials) == 8, "nothing to do"


@pytest.mark.parametrize(
    ("owner", "moment"),
    [
        (optuna.Study, "enqueue_trial"),
        (optuna.Study, "ask"),
        (optuna.Trial, "_suggest"),  # one hyper-parameter is drawn, the others are not
        (optuna.Trial, "set_user_attr"),
        (optuna.Trial, "report"),
        (optuna.Study, "tell"),
    ],
)
def test_an_end_at_any_moment_leaves_a_study_that_goes_on(
    owner: Any, moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = tmp_path / "s.db"
    usual = getattr(owner, moment)

    def ended(*args: Any, **keywords: Any) -> Any:
        usual(*args, **keywords)
        raise KeyboardInterrupt  # the work is done, but nobody heard of it

    objective = partial(killing, folder=tmp_path, victim="Ctrl-C")
    with pytest.raises(KeyboardInterrupt):
        search(objective, storage=storage)
    for _ in range(2):
        with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
            patch.setattr(owner, moment, ended)
            search(objective, storage=storage)
    result = search(objective, storage=storage)
    assert result.trials == search(undisturbed).trials


# ------------------------------------------------------------------------------ checkpoints


@pytest.mark.skipif(os.name != "posix", reason="no SIGKILL")
def test_an_interrupted_trial_goes_on_from_its_checkpoint_to_the_bit(tmp_path: Path) -> None:
    space = {"lr": nn.Range(1e-2, 1e-1, log=True)}
    results = [
        search(
            *(partial(learning, log=tmp_path / f"log{kill}", kill=kill), space),
            trials=2,
            maximize=True,
            workers=1 + kill,
            checkpoints=tmp_path / f"checkpoints{kill}",
            storage=tmp_path / f"{kill}.db",
        )
        for kill in (False, True)
    ]
    told = [
        [(trial.number, trial.value, trial.reports) for trial in result.trials]
        for result in results
    ]
    assert told[0] == told[1]
    assert all(list(reports) == [0, 1, 2, 3] for _, _, reports in told[0])
    assert "1:2 " in (tmp_path / "logTrue").read_text(), "two epochs were there already"
    best = results[1].best
    folder = tmp_path / "checkpointsTrue" / f"trial-{best.number:03}"
    assert best.folder == folder
    assert (folder / "best.safetensors").exists()


class Interrupted:
    """A trainer whose fit was ended by Ctrl-C."""

    history, stalled, checkpoints, interrupted = nn.History(), False, None, True

    def fit(self, epochs: int, *, resume: bool) -> nn.History:
        assert (epochs, resume) == (1, False)
        return self.history


def test_a_trainer_that_was_interrupted_ends_the_search() -> None:
    def objective(_: Any, trial: nn.Trial) -> float:
        trainer: Any = Interrupted()
        return trial.fit(trainer, 3)

    with pytest.raises(KeyboardInterrupt):
        search(objective)


def test_a_trainer_that_has_learned_enough_ends_its_trial() -> None:
    def objective(_: Any, trial: nn.Trial) -> float:
        net = nn.Affine(2, 2, rng=trial.rng)
        x, t = np.zeros((8, 2), np.float32), np.arange(8) % 2
        batches = data.Batches(data.Dataset(x, t), 4, trial.rng)
        optimizer = optim.SGD(net.parameters(), lr=0.0)
        trainer = nn.Trainer(net, optimizer, batches, patience=2, progress=False)
        return trial.fit(trainer, 20, "accuracy")

    best = search(objective, trials=1).best
    assert (best.value, list(best.reports)) == (0.5, [0, 1, 2])


def test_checkpoints_of_another_search_are_not_taken_for_its_own(tmp_path: Path) -> None:
    (tmp_path / "trial-000").mkdir()
    with pytest.raises(SearchError, match="checkpoints of another search"):
        search(distance, checkpoints=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["trial-000"]


def test_without_a_place_there_is_no_folder() -> None:
    def objective(_: Any, trial: nn.Trial) -> float:
        with pytest.raises(GraphError, match=r"give it checkpoints="):
            _ = trial.folder
        return 0

    assert search(objective).best.folder is None


# ------------------------------------------------------------------------------ the file


def test_files_of_any_name_and_nothing_beside_them(tmp_path: Path) -> None:
    storage = tmp_path / "new folder" / "a b#?{c}%20é.db"
    search(distance, storage=str(storage))
    assert list(storage.parent.iterdir()) == [storage]
    study = optuna.load_study(study_name="graphgrad.nn.search", storage=opened(storage))
    assert len(study.trials) == 6, "Optuna's own tools read it"


def opened(path: Path) -> Any:
    options = {"creator": lambda: sqlite3.connect(path), "poolclass": NullPool}
    return optuna.storages.RDBStorage("sqlite://", engine_kwargs=options)


def foreign_text(path: Path) -> None:
    path.write_text("my diary\n" * 100)


def foreign_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript("create table studies (study_name text, topic text)")
    connection.close()


def foreign_study(path: Path) -> None:
    storage = opened(path)
    optuna.create_study(study_name="somebody's", storage=storage)
    storage.remove_session()


def other_space(path: Path) -> None:
    search(distance, {**SPACE, "lr": nn.Range(1e-6, 1e-1, log=True)}, storage=path)


def torn(path: Path) -> None:
    search(distance, storage=path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def other_direction(path: Path) -> None:
    search(distance, storage=path, maximize=True)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("write", "message"),
    [
        (foreign_text, "holds no search of ours"),
        (Path.touch, "holds no search of ours"),
        (foreign_database, "holds no search of ours"),
        (foreign_study, "holds no search of ours"),
        (other_space, r"minimizes over .*high=0\.1.*, not this one, .*high=0\.01"),
        (other_direction, "holds a search that maximizes"),
        (torn, "holds no search of ours|malformed"),
    ],
)
def test_another_file_is_refused_and_left_as_it_was(
    write: Any, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.db"
    write(path)
    before = path.read_bytes()
    with pytest.raises(FileFormatError, match=message) as caught:
        search(distance, storage=path)
    assert "(at test_nn_hyperparameters.py:" in str(caught.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path, rng = tmp_path / "s.db", generator()
    search(distance, storage=path, trials=2)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    used = np.flatnonzero(whole)
    told = 0
    for _ in range(10):
        damaged = whole.copy()
        damaged[rng.choice(used, 5)] = rng.integers(256, size=5)
        path.write_bytes(damaged.tobytes())
        try:
            search(distance, storage=path, trials=2)
        except FileFormatError:  # any other kind of error fails the test
            told += 1
    assert told > 5


def test_one_search_to_a_file_at_a_time(tmp_path: Path) -> None:
    def objective(point: dict[str, Any], trial: nn.Trial) -> float:
        with pytest.raises(SearchError, match="another search is using it"):
            search(distance, storage=tmp_path / "s.db")
        return distance(point, trial)

    assert search(objective, storage=tmp_path / "s.db").trials == search(distance).trials


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    search(distance, storage=path, trials=1)
    connection = sqlite3.connect(path)
    connection.execute(
        "create trigger t before insert on trials begin select raise(fail, 'disk is full'); end"
    )
    connection.close()
    with pytest.raises(SearchError, match=r"s\.db cannot be read or written.*disk is full"):
        search(distance, storage=path)
    assert len(search(distance, storage=path, trials=1).trials) == 1, "what was there is there"


def test_a_study_is_made_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "set_user_attr", ended)
        with pytest.raises(KeyboardInterrupt):
            search(distance, storage=tmp_path / "s.db")
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------ bad input


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


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"trials": 0}, ShapeError, "trials=0 must be at least 1"),
        ({"trials": 2.0}, ShapeError, "trials=2.0"),
        ({"workers": 0}, ShapeError, "workers=0"),
        ({"workers": True}, ShapeError, "workers=True"),
        ({"space": {}}, DtypeError, "no Range or Choice by name"),
        ({"space": [RATE]}, DtypeError, "no Range or Choice by name"),
        ({"space": {"lr": (1e-6, 1e-2)}}, DtypeError, r"'lr'.*write 'lr': nn\.Range"),
        ({"space": {1: RATE}}, DtypeError, "no Range or Choice by name"),
        ({"objective": 3.0}, DtypeError, "cannot be called"),
    ],
)
def test_bad_arguments(
    options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    storage = tmp_path / "s.db"
    with pytest.raises(error, match=message) as caught:
        search(**{"objective": distance, "storage": storage, **options})
    assert isinstance(caught.value, GraphgradError)
    assert "test_nn_hyperparameters.py:" in str(caught.value)
    assert not storage.exists()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Range(1, 1), ShapeError, "low must be below high"),
        (lambda: nn.Range(2, 1), ShapeError, "low must be below high"),
        (lambda: nn.Range(0, math.inf), ShapeError, "both finite"),
        (lambda: nn.Range(math.nan, 1), ShapeError, "both finite"),
        (lambda: nn.Range(0, 1, log=True), ShapeError, "low must be above 0"),
        (lambda: nn.Range("0", 1), DtypeError, "must be numbers"),  # type: ignore[arg-type]
        (lambda: nn.Range(0, True), DtypeError, "must be numbers"),
        (lambda: nn.Range(0.5, 3, whole=True), DtypeError, "must be whole numbers"),
        (lambda: nn.Choice("relu"), DtypeError, "one string"),
        (lambda: nn.Choice([]), ShapeError, "at least one"),
        (lambda: nn.Choice([1, 1.0]), ShapeError, "each once"),
        (lambda: nn.Choice([math.nan]), ShapeError, "finite"),
        (lambda: nn.Choice([nn.ReLU]), DtypeError, "give a name"),
    ],
)
def test_bad_ranges(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        make()
    assert "test_nn_hyperparameters.py:" in str(caught.value)


@pytest.mark.parametrize("options", [{"best": 0}, {"margin": 0.0}, {"margin": math.nan}])
def test_bad_narrowing(options: dict[str, Any]) -> None:
    with pytest.raises(ShapeError, match="narrowed: "):
        found({"x": RATE}, {"x": 1e-4}).narrowed(**options)


def test_a_step_is_reported_once() -> None:
    def objective(_: Any, trial: nn.Trial) -> float:
        trial.report(1, 0)
        for step in (0, -1):
            with pytest.raises(ShapeError, match=f"step {step}"):
                trial.report(1, step)
        return 0

    assert search(objective).best.state == "complete"
