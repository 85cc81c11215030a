"""Optuna's studies in SQLite files: one search each, one owner at a time."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from graphgrad.errors import FileFormatError, SearchError, UnsupportedError
from graphgrad.files import atomic_write, file_lock
from graphgrad.nn.tuning.ranges import Choice, Range

NAME = "graphgrad.nn.search"  # of the study in its file
Space = Mapping[str, Range | Choice]


@contextlib.contextmanager
def opened(
    optuna: Any,
    storage: str | Path | None,
    space: Space,
    maximize: bool,
    seed: int,
    folder: Path | None,
) -> Iterator[Any]:
    """Open a study that nobody else is using, or make it, whole or not at all."""
    written = {
        "seed": seed,
        "space": json.dumps({name: repr(space[name]) for name in sorted(space)}),
    }

    def made(kept: Any) -> Any:
        if folder is not None and any(folder.glob("trial-*")):
            message = f"search: {folder} holds checkpoints of another search; name another folder"
            raise SearchError(message)
        direction = "maximize" if maximize else "minimize"
        study = optuna.create_study(storage=kept, study_name=NAME, direction=direction)
        for name, value in written.items():
            study.set_user_attr(name, value)
        return study

    if storage is None:
        yield made(None)
        return
    path = Path(storage)
    with _owned(path):
        if not path.exists():
            with atomic_write(path, durable=True) as unfinished, _kept(optuna, unfinished) as kept:
                made(kept)
        _must_be_ours(path)
        with _kept(optuna, path) as kept:
            try:
                study = optuna.load_study(study_name=NAME, storage=kept)
                there = (study.user_attrs["space"], study.direction.name == "MAXIMIZE")
                _read(study)
            except (ValueError, LookupError, TypeError) as error:  # from a byte that is wrong
                message = f"search: {path} is damaged, name another file: {error!r}"
                raise FileFormatError(message) from error
            if there != (written["space"], maximize):
                message = (
                    f"search: {path} holds a search that {'maximizes' if there[1] else 'minimizes'}"
                    f" over {there[0]}, not this one, which {'max' if maximize else 'min'}imizes "
                    f"over {written['space']}; name another file"
                )
                raise FileFormatError(message)
            yield study


def finished(trial: Any) -> bool:
    """Whether a trial came to an end, rather than being interrupted."""
    return trial.state.name in {"COMPLETE", "PRUNED"} or (
        trial.state.name == "FAIL" and "error" in trial.user_attrs
    )


def _read(study: Any) -> None:
    """Read all that is used later, and see that it is what was written."""
    names = study.user_attrs["space"]
    if study.user_attrs["seed"] < 0:
        raise ValueError("a negative seed")
    for trial in study.get_trials(deepcopy=False):
        number = trial.user_attrs.get("number", 0)
        whole = set(trial.params) == set(json.loads(names)) or not finished(trial)
        if not isinstance(number, int) or number < 0 or not whole:
            raise ValueError(f"trial {number!r} of {trial.params}")


@contextlib.contextmanager
def _owned(path: Path) -> Iterator[None]:
    """Be the only search that uses a study file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(file_lock(path.with_name(f"{path.name}.lock")))
        except BlockingIOError as error:
            message = f"search: {path}: another search is using it"
            raise SearchError(message) from error
        except OSError as error:
            raise SearchError(f"search: {path}: {error}") from error
        yield


def _must_be_ours(path: Path) -> None:
    import sqlite3

    message = f"search: {path} holds no search of ours; it is as it was, name another file"
    try:
        # not read-only: after a crash, SQLite first takes back what was half written
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)
        with contextlib.closing(connection):
            names = connection.execute("SELECT study_name FROM studies").fetchall()
            sound = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    except (sqlite3.Error, ValueError) as error:
        raise FileFormatError(f"{message}: {error}") from error
    if (NAME,) not in names or not sound:
        raise FileFormatError(message)


@contextlib.contextmanager
def _kept(optuna: Any, path: Path) -> Iterator[Any]:
    """Open Optuna's storage in a file of any name, and close it for good."""
    import sqlite3

    from sqlalchemy.exc import SQLAlchemyError  # which Optuna brings

    connect = {"creator": lambda: sqlite3.connect(path)}
    try:
        kept = optuna.storages.RDBStorage("sqlite://", engine_kwargs=connect)
    except (RuntimeError, ValueError, SQLAlchemyError) as error:  # of another Optuna; damaged
        raise FileFormatError(f"search: {path}: {error}") from error
    try:
        yield kept
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
        message = f"search: {path} cannot be read or written: {error}"
        raise SearchError(message) from error
    finally:
        kept.remove_session()
        kept.engine.dispose()


@contextlib.contextmanager
def quiet(optuna: Any) -> Iterator[None]:
    """Have Optuna log errors only."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def import_optuna() -> Any:
    """Import Optuna where it is needed; it takes a while, and is optional."""
    try:
        import optuna
    except ImportError as error:
        message = "a search needs optuna: pip install 'graphgrad[train]'"
        raise UnsupportedError(message) from error
    return optuna
