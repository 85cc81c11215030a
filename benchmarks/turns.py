"""Contestants in fresh processes that take turns.

A library that ran another case before has its memory laid out by it, which hides what a user's
program pays for: so each case has a process for each library. Before anything is timed, all
compute the case three times and must agree.

python -m benchmarks.turns case peer threads    is such a process; it is asked by lines
"""

import gc
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.timing import Ratio

ROOT = Path(__file__).resolve().parent.parent
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
JAX = "JAX"
LAUNCHES = 2  # of the processes of a case: one may lie in memory better than another
TURN = 0.02  # seconds that a contestant runs at a time, unless one call takes longer
PATIENCE = 0.4  # seconds for each round that is asked for, after which a case ends with fewer
FEWEST = 3  # rounds of a launch
CHECKED = 3  # calls whose results are compared
SHOWN = 500  # about so many numbers of each result are
CLOSE = {"float32": (1e-3, 1e-4), "float64": (1e-7, 1e-9)}  # relative, and of the largest number


def environment(threads: int) -> dict[str, str]:
    """Return the environment in which every library computes on so many threads."""
    eigen = "true" if threads > 1 else "false"
    return os.environ | {
        **dict.fromkeys(VARIABLES, str(threads)),
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={eigen}",
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "1",  # float32 stays float32
    }


class Seconds(NamedTuple):
    """What a call took: of the processor (all threads), and by the clock on the wall."""

    processor: float
    wall: float


class FailedError(Exception):
    """A contestant that does not run, or computes something else."""


class Contestant:
    """A process that computes one case with one library."""

    def __init__(self, case: str, peer: str, threads: int) -> None:
        self.peer = peer
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.turns", case, peer, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            encoding="utf-8",
            env=environment(threads),
            cwd=ROOT,
        )
        self.calls = 1

    def reply(self) -> Any:
        """Wait for its next line.

        Raises
        ------
        FailedError
            If it has ended instead.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            last = self.errors.read().strip().splitlines() or [f"exit {self.process.returncode}"]
            raise FailedError(f"{self.peer}: {last[-1]}")
        return json.loads(line)

    def sample(self, calls: int) -> Seconds:
        """Let it run, and return the mean of a call."""
        assert self.process.stdin is not None
        print(calls, file=self.process.stdin, flush=True)
        return Seconds(*self.reply())

    def turn(self) -> Seconds:
        """Let it run for its turn."""
        return self.sample(self.calls)

    def prepare(self) -> None:
        """Find how many calls fill a turn."""
        while (took := self.sample(self.calls).wall * self.calls) < TURN / 4:
            self.calls *= max(2, min(100, int(TURN / 2 / max(took, 1e-6))))
        self.calls = max(1, round(self.calls * TURN / took))

    def end(self) -> None:
        """End it, and forget what it said."""
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            assert stream is not None
            stream.close()
        self.process.wait()


@contextmanager
def launched(case: str, names: Sequence[str], threads: int) -> Iterator[list[Contestant]]:
    """Start the contestants of a case, and end them."""
    with ExitStack() as stack:
        contestants = []
        for name in names:
            contestants.append(Contestant(case, name, threads))
            stack.callback(contestants[-1].end)
        yield contestants


Result = list[tuple[str, list[float]]]


def agree(found: Result, expected: Result, peer: str) -> None:
    """Compare what was computed.

    Raises
    ------
    FailedError
        If it differs.
    """
    for (kind, ours), (other, theirs) in zip(expected, found, strict=True):
        relative, absolute = CLOSE["float32" if "float32" in {kind, other} else "float64"]
        scale = absolute * max(map(abs, ours))
        for a, b in zip(ours, theirs, strict=True):
            if not abs(a - b) <= relative * abs(a) + scale:
                raise FailedError(f"{peer} computes {b!r}, not {a!r}")


class Row:
    """What the contestants of a case took, round by round."""

    def __init__(self, case: str, names: Sequence[str], threads: int, rounds: int) -> None:
        """Time a case; the first of the names is compared with the others."""
        self.seconds: dict[str, list[Seconds]] = {name: [] for name in names}
        self.failed: dict[str, str] = {}
        self.threads = threads
        for _ in range(LAUNCHES):
            there = [name for name in names if name not in self.failed]
            with launched(case, there, threads) as contestants:
                self._time([c for c in contestants if self._ready(c)], rounds / LAUNCHES)

    def _ready(self, contestant: Contestant) -> bool:
        """Whether it runs, and computes what the first one did."""
        name = contestant.peer
        first = name == next(iter(self.seconds))
        try:
            found = contestant.reply()
            if first:
                self.expected = found
            else:
                agree(found, self.expected, name)
            contestant.prepare()
        except FailedError as error:
            if first:
                raise
            self.failed[name] = str(error)
            return False
        return True

    def _time(self, contestants: list[Contestant], rounds: float) -> None:
        end = time.perf_counter() + PATIENCE * rounds
        for done in itertools.count():
            if done >= min(FEWEST, rounds) and (done >= rounds or time.perf_counter() > end):
                return
            for contestant in contestants[:: -1 if done % 2 else 1]:
                self.seconds[contestant.peer].append(contestant.turn())

    def median(self, name: str) -> Seconds:
        """Return the median processor and wall seconds of a call."""
        return Seconds(*map(statistics.median, zip(*self.seconds[name], strict=True)))

    def ratio(self, ours: str, theirs: str) -> Ratio:
        """Compare processor times; on several threads, what users wait."""
        if self.threads > 1:
            return self.wall(ours, theirs)
        return Ratio.of(*([s.processor for s in self.seconds[name]] for name in (ours, theirs)))

    def wall(self, ours: str, theirs: str) -> Ratio:
        """Compare what users wait."""
        return Ratio.of(*([s.wall for s in self.seconds[name]] for name in (ours, theirs)))


# ------------------------------------------------------------------------- the other side


def shown(result: Any) -> Result:
    """Return some numbers of each array of a result, without another large array."""
    import numpy as np

    if isinstance(result, tuple | list):
        return [entry for part in result for entry in shown(part)]
    if isinstance(result, float):  # a loss, which the step computed in float32
        return [("float32", [result])]
    if hasattr(result, "detach"):
        result = result.detach()
    array = np.asarray(result)
    flat = array.reshape(-1)[:: array.size // SHOWN | 1]
    return [(array.dtype.name, flat.astype(np.float64).tolist())]


def timed(work: Callable[[], Any], calls: int) -> Seconds:
    """Return the mean of so many calls; where there are several, one before warms the caches."""
    if calls > 1:
        work()
    gc.disable()
    repeat = itertools.repeat(None, calls)
    wall, processor = time.perf_counter(), time.process_time()
    for _ in repeat:
        work()
    took = Seconds(time.process_time() - processor, time.perf_counter() - wall)
    gc.enable()
    return Seconds(*(seconds / calls for seconds in took))


def keep_to(threads: int) -> None:
    """Keep this process on so many cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])


def main(case: str, peer: str, threads: str) -> None:
    """Answer with the results; then, to each number of calls, with their time."""
    if peer == JAX:  # takes the number of its threads from that; the others load beside it
        keep_to(int(threads))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    from benchmarks.cases import CASES

    work = CASES[case].work(peer)
    found = [entry for _ in range(CHECKED) for entry in shown(work())]
    print(json.dumps(found), file=answers, flush=True)
    del found
    keep_to(int(threads))
    for line in sys.stdin:
        print(json.dumps(timed(work, int(line))), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
