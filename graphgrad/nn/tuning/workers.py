"""Trying points in this process, or in worker processes of one BLAS thread each."""

import contextlib
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from graphgrad.errors import ArgumentError, GraphError, NonFiniteError, SearchError
from graphgrad.nn.evaluation import number
from graphgrad.nn.training.trainer import Trainer
from graphgrad.typing import Array

THREADS = [
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS"),
]


class Job(NamedTuple):
    """One point to try."""

    number: int
    point: dict[str, Any]
    seed: int
    folder: Path | None


class Outcome(NamedTuple):
    """How it went: a value, or an error, or neither where it was pruned."""

    value: float | None = None
    error: str | None = None
    traceback: str | None = None


class Ledger(Protocol):
    """Who hands out jobs and writes down what became of them."""

    def next(self) -> Job | None:
        """Return a job that nobody has yet."""

    def report(self, job: Job, value: float, step: int) -> bool:
        """Take a value on the way; returns whether to end the trial here."""
        ...

    def end(self, job: Job, outcome: Outcome) -> None:
        """Take the outcome."""

    def lost(self, job: Job, error: str) -> None:
        """Take back a job whose worker is gone."""


class _Pruned(BaseException):
    """Ends a trial; no ``except Exception`` of the objective is meant to stop it."""


class Trial:
    """What an objective is given beside its point.

    Attributes
    ----------
    number
        Of the point, from 0.
    rng
        A generator of its own, the same whichever process tries the point: for initial weights
        and the order of batches.
    """

    def __init__(self, job: Job, send: Callable[[float, int], bool]) -> None:
        self.number = job.number
        self.rng = np.random.default_rng(np.random.SeedSequence(job.seed, spawn_key=(job.number,)))
        self._job, self._send = job, send
        self._steps: set[int] = set()

    def __repr__(self) -> str:
        """Show the number and the point."""
        point = ", ".join(f"{name}={value!r}" for name, value in self._job.point.items())
        return f"<Trial {self.number} of {point}>"

    @property
    def folder(self) -> Path:
        """Where its checkpoints belong; an interrupted trial finds them there again.

        Raises
        ------
        GraphError
            If the search was given no place for them.
        """
        if self._job.folder is None:
            raise GraphError("trial.folder: the search has no place; give it checkpoints='…'")
        self._job.folder.mkdir(parents=True, exist_ok=True)
        return self._job.folder

    def report(self, value: Array, step: int) -> None:
        """Say how well it goes after a step, usually an epoch; ends the trial if pruned.

        Raises
        ------
        NonFiniteError
            If the value is NaN or infinite, which ends the trial as failed.
        ArgumentError
            If the step was reported before, or is negative.
        """
        value, step = number(value), int(step)
        if not np.isfinite(value):
            raise NonFiniteError(f"{value} reported after step {step}")
        if step < 0 or step in self._steps:
            raise ArgumentError(f"report: step {step}; count from 0, and report each step once")
        self._steps.add(step)
        if self._send(value, step):
            raise _Pruned

    def fit(self, trainer: Trainer, epochs: int, column: str = "validation_accuracy") -> float:
        """Have a trainer learn, report each epoch, and return the last value.

        It goes on from its newest checkpoint, where an interrupted trial left any.

        Parameters
        ----------
        trainer
            Give it ``checkpoints=nn.Checkpoints(trial.folder)`` where trials take long.
        epochs
            In all.
        column
            Of its history, to be reported.
        """
        done, history = 0, trainer.history
        while done < epochs and not trainer.stalled:
            history = trainer.fit(done + 1, resume=not done and trainer.checkpoints is not None)
            if trainer.interrupted:  # it ends cleanly, but this trial has not come to its end
                raise KeyboardInterrupt
            for epoch in range(done, history.epochs):
                self.report(history[column][epoch], epoch)
            done = history.epochs
        return history[column][-1]


Objective = Callable[[dict[str, Any], Trial], Any]


def attempt(objective: Objective, job: Job, send: Callable[[float, int], bool]) -> Outcome:
    """Try a point; what goes wrong there is an outcome, not an error."""
    try:
        returned = objective(dict(job.point), Trial(job, send))
    except _Pruned:
        return Outcome()
    except Exception as error:  # noqa: BLE001 - an objective may raise anything
        shown = f"{type(error).__name__}: {error}"
        return Outcome(error=shown, traceback=traceback.format_exc())
    try:
        value = number(returned)
    except (TypeError, ValueError):
        return Outcome(error=f"the objective returned {returned!r}, which is no number")
    return Outcome(value) if np.isfinite(value) else Outcome(error=f"it returned {value}")


def try_here(ledger: Ledger, objective: Objective) -> None:
    """Try all points in this process, one after the other."""
    while job := ledger.next():
        current = job

        def send(value: float, step: int, job: Job = current) -> bool:
            return ledger.report(job, value, step)

        ledger.end(job, attempt(objective, job, send))


class _Worker:
    """A worker process, as its parent sees it."""

    def __init__(self, pickled: bytes) -> None:
        """Start it; it says when it is ready."""
        import multiprocessing  # here and below: not everywhere are there processes

        context = multiprocessing.get_context("spawn")
        self.pipe, end = context.Pipe()
        self.job: Job | None = None
        self.ready = False
        self.process = context.Process(target=_serve, args=(end, pickled))
        try:
            with _environment(dict.fromkeys(THREADS, "1")):
                self.process.start()
        finally:
            end.close()  # else it would never be seen that the worker's own is closed

    def answer(self, ledger: Ledger, kind: str, *content: Any) -> None:
        """Take a message, and send what the worker waits for."""
        if kind == "broken":
            raise _not_started(content[0])
        reply: Any
        if kind == "report" and self.job is not None:
            reply = ledger.report(self.job, *content)
        else:
            if self.job is not None:
                ledger.end(self.job, content[0])
            self.ready, self.job = True, ledger.next()
            reply = self.job
        with contextlib.suppress(OSError):  # it is gone: that shows when it is listened to
            self.pipe.send(reply)

    def is_missed_by(self, ledger: Ledger) -> bool:
        """Clear up after it has ended; returns whether it was in the middle of a job."""
        code = self.close()
        if not self.ready:
            raise _not_started(f"it ended with exit code {code}")
        if self.job is None:
            return False
        ledger.lost(self.job, f"its process ended with exit code {code}")
        return True

    def close(self, *, kill: bool = False) -> int | None:
        """Wait for its end, or bring that about; returns its exit code."""
        if kill:
            self.process.kill()
        self.process.join()
        self.pipe.close()
        code = self.process.exitcode
        self.process.close()
        return code


def try_in_workers(ledger: Ledger, pickled: bytes, count: int) -> None:
    """Try all points in worker processes; who dies over one is replaced.

    Raises
    ------
    SearchError
        If a worker cannot start.
    """
    from multiprocessing.connection import wait

    workers: dict[Any, _Worker] = {}
    try:
        for _ in range(count):
            worker = _Worker(pickled)
            workers[worker.pipe] = worker
        while workers:
            for pipe in wait(list(workers)):
                worker = workers[pipe]
                try:
                    kind, *content = worker.pipe.recv()
                except (EOFError, OSError):
                    del workers[pipe]
                    if worker.is_missed_by(ledger):
                        worker = _Worker(pickled)
                        workers[worker.pipe] = worker
                else:
                    worker.answer(ledger, kind, *content)
    finally:
        for worker in workers.values():
            worker.close(kill=True)


def _not_started(why: str) -> SearchError:
    return SearchError(
        f"search: a worker could not start: {why}. Worker processes import the script anew: what "
        "it runs must stand under `if __name__ == '__main__':`, and the objective at the top "
        "level of a file; or use workers=1"
    )


def _serve(pipe: Any, pickled: bytes) -> None:
    """Be a worker: try points until there are none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, who ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        objective = pickle.loads(pickled)  # noqa: S301 - our own parent sent it
    except Exception as error:  # noqa: BLE001 - importing may raise anything
        pipe.send(("broken", f"{type(error).__name__}: {error}"))
        return
    pipe.send(("ready",))

    def send(value: float, step: int) -> bool:
        pipe.send(("report", value, step))
        return bool(pipe.recv())

    while job := pipe.recv():
        pipe.send(("done", attempt(objective, job, send)))


def _end_with_parent() -> None:
    import multiprocessing

    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # nobody is left to tell


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, which a process started inside inherits."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
