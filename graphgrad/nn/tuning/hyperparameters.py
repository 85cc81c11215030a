"""The search for hyper-parameters: Optuna draws, prunes and keeps; here is what it has not.

One process, the one that calls ``search``, draws the points and writes the study file; workers
try points and answer. So a point depends on its number alone, and the file is never contended.
"""

import pickle
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from graphgrad.arguments import CALLED, Limit, PositiveInt, guarded, whole, wrong
from graphgrad.errors import DtypeError, SearchError
from graphgrad.nn.tuning.findings import SearchResult, TrialResult
from graphgrad.nn.tuning.ranges import Choice, Range
from graphgrad.nn.tuning.studies import Space, finished, import_optuna, opened, quiet
from graphgrad.nn.tuning.workers import Job, Objective, Outcome, try_here, try_in_workers
from graphgrad.randomness import default_generator

RETRIES = 1  # of a point whose process died over it


@guarded
def search(
    objective: Objective,
    space: Space,
    *,
    trials: Annotated[int, Limit("1 … 10⁶", partial(whole, least=1, most=1_000_000))],
    maximize: bool,
    storage: str | Path | None = None,
    workers: PositiveInt = 1,
    rng: np.random.Generator | None = None,
    sampler: Any = None,
    pruner: Any = None,
    checkpoints: str | Path | None = None,
    progress: Callable[[TrialResult], None] | None = None,
) -> SearchResult:
    """Try points of a space of hyper-parameters, and return all with the best first.

    By default each point is drawn at random, evenly on the scale of each range; the same
    generator draws the same points, however many workers there are and however often the search
    was interrupted. A trial that fails, or returns NaN, is recorded with its error. Judge by
    validation data: what was chosen on test data says nothing about data never seen. Needs
    Optuna (extra: train).

    Parameters
    ----------
    objective
        ``objective(point, trial) -> float``: trains with ``point["lr"]`` and so on and returns
        how good it is. ``trial.rng`` is its own generator, ``trial.report(value, epoch)`` says
        how it goes, ``trial.folder`` is for its checkpoints. For several workers, a function at
        the top level of a file.
    space
        A Range or Choice by name.
    trials
        How many points in all, those in the storage included.
    maximize
        Whether high values are the good ones, as for an accuracy; low ones are for a loss.
    storage
        An SQLite file. If it holds this search already, finished points are taken from it,
        interrupted ones are tried again, and the others are those it would have drawn, whatever
        ``rng``. None keeps nothing.
    workers
        How many processes, of one BLAS thread each; 1 stays in this process. A point whose
        process dies is tried once more, by another one.
    rng
        None is the package's default generator. One number is drawn from it.
    sampler
        An Optuna sampler instead of random points. One that learns from results, such as
        ``TPESampler``, gives different points if results come in another order.
    pruner
        An Optuna pruner, such as ``MedianPruner()``, which ends poor trials when they report.
        Which these are may depend on the order of reports.
    checkpoints
        A folder in which each trial has one of its own.
    progress
        Called with each result as it comes in.

    Raises
    ------
    SearchError
        If no trial comes to its end, no worker can start, another search is using the file, or
        the folder for checkpoints holds those of another one.
    FileFormatError
        If the file is no study of ``search``, or one of another space or direction. Nothing was
        written then.
    ArgumentError, DtypeError
        If an argument is out of range, or the objective cannot be sent to workers.

    References
    ----------
    Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, 2012.
    """
    pickled = _checked(objective, space, workers)
    optuna = import_optuna()
    if not isinstance(sampler, optuna.samplers.BaseSampler | None):
        raise wrong(CALLED, "sampler", sampler, "a sampler of Optuna's, or None")
    if not isinstance(pruner, optuna.pruners.BasePruner | None):
        raise wrong(CALLED, "pruner", pruner, "a pruner of Optuna's, or None")
    folder = None if checkpoints is None else Path(checkpoints)
    seed = int(default_generator(rng).integers(2**63))
    file = opened(optuna, storage, space, maximize, seed, folder)
    with quiet(optuna), file as study:
        study.sampler = sampler or optuna.samplers.RandomSampler()
        study.pruner = pruner or optuna.pruners.NopPruner()
        ledger = _Ledger(study, space, trials, folder, progress)
        if sampler is None:
            ledger.random = optuna.samplers.RandomSampler
        if workers > 1 and ledger.missing:
            try_in_workers(ledger, pickled, min(workers, len(ledger.missing)))
        else:
            try_here(ledger, objective)
        results = ledger.results()
    complete = [result for result in results if result.state == "complete"]
    if not complete:
        first = next((f": {r.error}\n{r.traceback or ''}" for r in results if r.error), "")
        kept = f"; to try again, delete {storage}" if storage else ""
        message = f"{CALLED}: none of {len(results)} trials came to its end{kept}"
        raise SearchError(message + (f"; the first failed{first}" if first else ""))
    complete.sort(key=lambda result: _ranked(result, maximize=maximize))
    rest = [result for state in ("pruned", "failed") for result in results if result.state == state]
    return SearchResult(dict(space), maximize, (*complete, *rest))


def _ranked(result: TrialResult, *, maximize: bool) -> float:
    value = result.value or 0.0
    return -value if maximize else value


def _checked(objective: Objective, space: Space, workers: int) -> bytes:
    """Return the objective pickled, where workers need it."""
    if not space:
        raise DtypeError(f"{CALLED}: {space!r} is no Range or Choice by name")
    for name, range_ in space.items():
        if not isinstance(name, str) or not isinstance(range_, Range | Choice):
            message = f"{CALLED}: {name!r}: {range_!r} is no Range or Choice by name"
            raise DtypeError(f"{message}; write 'lr': nn.Range(1e-6, 1e-2, log=True)")
    if workers == 1:
        return b""
    try:
        return pickle.dumps(objective)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        message = (
            f"{CALLED}: {objective!r} cannot be sent to worker processes; define it at the top "
            "level of a file, or use workers=1"
        )
        raise DtypeError(message) from error


class _Ledger:
    """Hands out the points of a study that are missing, and writes down what became of them."""

    def __init__(
        self,
        study: Any,
        space: Space,
        trials: int,
        folder: Path | None,
        progress: Callable[[TrialResult], None] | None,
    ) -> None:
        """Find out what is done, what was interrupted and what is missing."""
        self.study, self.space, self.folder, self.progress = study, space, folder, progress
        self.random: Any = None  # the kind of sampler that draws a point by its number alone
        self.running: dict[int, Any] = {}
        optuna = import_optuna()
        self.states = optuna.trial.TrialState
        # sorted: the points must not depend on the order in which ranges are written
        self.distributions = {name: space[name].distribution(optuna) for name in sorted(space)}
        self.seed = int(study.user_attrs["seed"])
        self.points: dict[int, dict[str, Any]] = {}  # drawn already
        self.enqueued: list[int] = []  # Optuna hands these out first, in this order
        done = set()
        for trial in study.get_trials(deepcopy=False):
            number = trial.user_attrs.get("number")
            if trial.state == self.states.WAITING:
                self.enqueued.append(number)
            elif trial.state == self.states.RUNNING:  # its search is gone: nobody else has the file
                study.tell(trial.number, state=self.states.FAIL)
            if number is not None and trial.params.keys() == space.keys():  # drawn to the end
                self.points[number] = trial.params
            if finished(trial):
                done.add(number)
        todo = (number for number in range(trials) if number not in {*done, *self.enqueued})
        self.missing = deque([*self.enqueued, *todo])

    def next(self) -> Job | None:
        """Draw the next missing point, or take one up again."""
        if not self.missing:
            return None
        number = self.missing.popleft()
        if number in self.enqueued:
            self.enqueued.remove(number)
        elif number in self.points:
            self.study.enqueue_trial(self.points[number], {"number": number})
        elif self.random is not None:
            self.study.sampler = self.random(self._seed(number))
        trial = self.study.ask(self.distributions)
        trial.set_user_attr("number", number)
        self.points[number], self.running[number] = trial.params, trial
        point = {name: trial.params[name] for name in self.space}
        return Job(number, point, self.seed, self._folder(number))

    def report(self, job: Job, value: float, step: int) -> bool:
        """Write a value down, and ask the pruner."""
        trial = self.running[job.number]
        trial.report(value, step)
        return bool(trial.should_prune())

    def end(self, job: Job, outcome: Outcome) -> None:
        """Write down how a trial ended."""
        trial = self.running.pop(job.number)
        if outcome.value is not None:
            self.study.tell(trial, outcome.value)
        elif outcome.error is None:
            self.study.tell(trial, state=self.states.PRUNED)
        else:
            trial.set_user_attr("traceback", outcome.traceback)
            trial.set_user_attr("error", outcome.error)
            self.study.tell(trial, state=self.states.FAIL)
        if self.progress:
            self.progress(self._result(job.number, self._attempts()[job.number]))

    def lost(self, job: Job, error: str) -> None:
        """Have a point tried again whose process died, unless that happened too often."""
        before = self._attempts()[job.number][:-1]
        if sum("lost" in trial.user_attrs for trial in before) >= RETRIES:
            self.end(job, Outcome(error=f"{error}, again"))
            return
        trial = self.running.pop(job.number)
        trial.set_user_attr("lost", error)
        self.study.tell(trial, state=self.states.FAIL)
        self.missing.appendleft(job.number)

    def results(self) -> list[TrialResult]:
        """Return what came to an end, by number."""
        return [
            self._result(number, trials)
            for number, trials in sorted(self._attempts().items())
            if finished(trials[-1])
        ]

    def _attempts(self) -> dict[int, list[Any]]:
        """Return Optuna's trials by number of the point: several where one was interrupted."""
        attempts: dict[int, list[Any]] = {}
        for trial in self.study.get_trials(deepcopy=False):
            if "number" in trial.user_attrs:
                attempts.setdefault(trial.user_attrs["number"], []).append(trial)
        return attempts

    def _result(self, number: int, trials: list[Any]) -> TrialResult:
        last = trials[-1]
        names = {self.states.COMPLETE: "complete", self.states.PRUNED: "pruned"}
        reports: dict[int, float] = {}
        for trial in trials:  # one that went on from a checkpoint reports the rest only
            reports.update(trial.intermediate_values)
        return TrialResult(
            number=number,
            point={name: last.params[name] for name in self.space},
            state=names.get(last.state, "failed"),
            value=last.value,
            reports=dict(sorted(reports.items())),
            error=last.user_attrs.get("error"),
            traceback=last.user_attrs.get("traceback"),
            folder=self._folder(number),
        )

    def _seed(self, number: int) -> int:
        sequence = np.random.SeedSequence(self.seed, spawn_key=(number, 1))
        return int(sequence.generate_state(1)[0])

    def _folder(self, number: int) -> Path | None:
        return self.folder and self.folder / f"trial-{number:03}"
