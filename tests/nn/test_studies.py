"""Searches in SQLite files: killed, gone on with, checkpointed, refused."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from sqlalchemy.pool import NullPool

from graphgrad import data, nn, optim
from graphgrad.errors import FileFormatError, GraphError, SearchError
from tests.sampling import every
from tests.search_objectives import (
    SPACE,
    begun,
    broken,
    distance,
    generator,
    killing,
    learning,
    search,
    undisturbed,
)


@pytest.mark.skipif(os.name != "posix", reason="no SIGKILL")
def test_a_killed_search_goes_on_where_it_was(tmp_path: Path) -> None:
    storage = tmp_path / "s.db"
    program = (
        "from functools import partial; from pathlib import Path\n"
        "from tests.search_objectives import killing, search\n"
        f"search(partial(killing, folder=Path({str(tmp_path)!r}), victim='search'),\n"
        f"       storage={str(storage)!r}, workers=2)"
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


@pytest.mark.whole
@pytest.mark.skipif(os.name != "posix", reason="no SIGKILL")
def test_a_point_whose_worker_was_killed_is_tried_once_more(
    tmp_path: Path, monkeypatch: Any
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


def test_more_trials_are_those_that_would_have_followed(tmp_path: Path) -> None:
    objective = partial(killing, folder=tmp_path, victim="nobody")
    search(objective, storage=tmp_path / "s.db", trials=4)
    result = search(objective, storage=tmp_path / "s.db", trials=8, rng=generator(5))
    assert result.trials == search(undisturbed, trials=8).trials
    assert set(begun(tmp_path).values()) == {1}
    assert len(search(broken, storage=tmp_path / "s.db", trials=2).trials) == 8, "nothing to do"


@pytest.mark.parametrize(
    ("owner", "moment"),
    every(
        3,
        [
            (optuna.Trial, "_suggest"),  # one hyper-parameter is drawn, the others are not
            (optuna.Study, "enqueue_trial"),
            (optuna.Study, "ask"),
            (optuna.Study, "tell"),
            (optuna.Trial, "set_user_attr"),
            (optuna.Trial, "report"),
        ],
    ),
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
        search(objective, storage=storage, trials=4)
    for _ in range(2):
        with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
            patch.setattr(owner, moment, ended)
            search(objective, storage=storage, trials=4)
    result = search(objective, storage=storage, trials=4)
    assert result.trials == search(undisturbed, trials=4).trials


@pytest.mark.whole
@pytest.mark.skipif(os.name != "posix", reason="no SIGKILL")
def test_an_interrupted_trial_goes_on_from_its_checkpoint_to_the_bit(tmp_path: Path) -> None:
    space = {"lr": nn.Range(1e-2, 1e-1, log=True)}
    results = []
    for kill in (False, True):
        objective = partial(learning, log=tmp_path / f"log{kill}", kill=kill)
        how: Any = {"trials": 2, "maximize": True, "workers": 1 + kill}
        how |= {"checkpoints": tmp_path / f"checkpoints{kill}", "storage": tmp_path / f"{kill}.db"}
        results.append(search(objective, space, **how))
    told = [[(t.number, t.value, t.reports) for t in result.trials] for result in results]
    assert told[0] == told[1]
    assert all(list(reports) == [0, 1, 2, 3] for _, _, reports in told[0])
    assert "1:2 " in (tmp_path / "logTrue").read_text(), "two epochs were there already"
    best = results[1].best
    folder = tmp_path / "checkpointsTrue" / f"trial-{best.number:03}"
    assert best.folder == folder
    assert (folder / "best.safetensors").exists()


def test_a_trainer_ends_its_trial_or_the_search() -> None:
    """The trial, when it has learned enough; the search, when Ctrl-C was pressed."""

    def objective(_: Any, trial: nn.Trial) -> float:
        with pytest.raises(GraphError, match=r"give it checkpoints="):
            _ = trial.folder
        net = nn.Affine(2, 2, rng=trial.rng)
        x, t = np.zeros((8, 2), np.float32), np.arange(8) % 2
        batches = data.Batches(data.Dataset(x, t), 4, rng=trial.rng)
        optimizer = optim.SGD(net.parameters(), lr=0.0)
        trainer = nn.Trainer(net, optimizer, batches, patience=2, progress=False)
        if trial.number == 1:
            trainer.interrupted, trainer.fit = True, lambda *_, **__: nn.History()  # type: ignore[method-assign]
        return trial.fit(trainer, 20, "accuracy")

    best = search(objective, trials=1).best
    assert (best.value, list(best.reports), best.folder) == (0.5, [0, 1, 2], None)
    with pytest.raises(KeyboardInterrupt):
        search(objective, trials=2)


def test_checkpoints_of_another_search_are_not_taken_for_its_own(tmp_path: Path) -> None:
    (tmp_path / "trial-000").mkdir()
    with pytest.raises(SearchError, match="checkpoints of another search"):
        search(distance, checkpoints=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["trial-000"]


def test_files_of_any_name_and_nothing_beside_them(tmp_path: Path) -> None:
    storage = tmp_path / "new folder" / "a b#?{c}%20é.db"
    search(distance, storage=str(storage))
    assert list(storage.parent.iterdir()) == [storage]
    study = optuna.load_study(study_name="graphgrad.nn.search", storage=opened(storage))
    assert len(study.trials) == 6, "Optuna's own tools read it"


def opened(path: Path) -> Any:
    options = {"creator": lambda: sqlite3.connect(path), "poolclass": NullPool}
    return optuna.storages.RDBStorage("sqlite://", engine_kwargs=options)


def foreign_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript("create table studies (study_name text, topic text)")
    connection.close()


def foreign_study(path: Path) -> None:
    storage = opened(path)
    optuna.create_study(study_name="somebody's", storage=storage)
    storage.remove_session()


WIDER = {**SPACE, "lr": nn.Range(1e-6, 1e-1, log=True)}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_text("my diary\n" * 100), "holds no search of ours"),
        (Path.touch, "holds no search of ours"),
        (foreign_database, "holds no search of ours"),
        (foreign_study, "holds no search of ours"),
        (
            lambda path: search(distance, WIDER, storage=path),
            r"minimizes over .*high=0\.1.*, not this one, .*high=0\.01",
        ),
        (lambda path: search(distance, storage=path, maximize=True), "a search that maximizes"),
    ],
)
def test_another_file_is_refused_and_left_alone(write: Any, message: Any, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    write(path)
    before = path.read_bytes()
    with pytest.raises(FileFormatError, match=message) as caught:
        search(distance, storage=path)
    assert "(at search_objectives.py:" in str(caught.value)
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


def test_a_study_is_made_whole_or_not_at_all(tmp_path: Path, monkeypatch: Any) -> None:
    def ended(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "set_user_attr", ended)
        with pytest.raises(KeyboardInterrupt):
            search(distance, storage=tmp_path / "s.db")
    assert list(tmp_path.iterdir()) == []
