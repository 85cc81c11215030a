"""Calls with one bad argument each, made in processes that may hang, run out of memory or die.

``python -m tests.bad_arguments [part of a name …]`` makes them all and prints the counts.
"""

import contextlib
import importlib
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from graphgrad.errors import GraphgradError
from tests.every_call import Good, apply, good_calls, signature_of

BAD: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "text": lambda: "text",
    "[]": list,
    "{}": dict,
    "object": object,
    "-1": lambda: -1,
    "0": lambda: 0,
    "1.5": lambda: 1.5,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "1e300": lambda: 1e300,
    "10**12": lambda: 10**12,
    "True": lambda: True,
    "1j": lambda: 1j,
    "3-d": lambda: np.ones((2, 3, 4)),
    "ragged": lambda: [[1.0], [1.0, 2.0]],
    "set": lambda: {1, 2},
    "function": lambda: lambda *_, **__: None,
}
LIMIT = 2.0  # seconds of computing for one call
WAIT = 20.0  # seconds until a process that does not answer is ended; others may use the machine
MEMORY = 1 << 31  # bytes that a call may take


class Case(NamedTuple):
    """Which argument is replaced, and by what."""

    name: str
    parameter: str
    bad: str


class Outcome(NamedTuple):
    """How a call ended: refused, nameless, bare, accepted, slow or dead; and what it said."""

    kind: str
    said: str = ""


def all_cases(calls: dict[str, Good]) -> list[Case]:
    """List every parameter with every bad value that is not its default."""
    return [
        Case(name, parameter, bad)
        for name, good in calls.items()
        for parameter, about in signature_of(good.function).items()
        if not (parameter == "self" and name.startswith("Tensor."))
        for bad, make in BAD.items()
        if about.kind not in (about.VAR_KEYWORD, about.VAR_POSITIONAL)
        and not (type(make()) is type(about.default) and make() == about.default)
    ]


def judge(good: Good, case: Case) -> Outcome:
    """Make one call and say how it ended."""
    arguments = good.copied()
    arguments[case.parameter] = BAD[case.bad]()
    start = time.process_time()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            apply(good.function, arguments)
        outcome = Outcome("accepted")
    except MemoryError:
        outcome = Outcome("refused", "MemoryError")
    except GraphgradError as error:
        own = case.name.rpartition(".")[2]
        said = str(error)
        known = {own, getattr(good.function, "__name__", own), getattr(good.function, "name", own)}
        named = any(re.search(rf"\b{re.escape(n)}\b", said, re.IGNORECASE) for n in known)
        outcome = Outcome("refused" if named else "nameless", f"{type(error).__name__}: {said}")
    except Exception as error:  # noqa: BLE001 - which is the question
        outcome = Outcome("bare", f"{type(error).__name__}: {error}")
    took = time.process_time() - start
    return Outcome("slow", f"{took:.1f} s, {outcome.said}") if took > LIMIT else outcome


def serve() -> None:
    """Answer questions from the standard input, a case a line, until it ends."""
    questions, answers = os.dup(0), os.dup(1)  # a bad path is the number of an open file
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        calls = good_calls(Path(folder))
        os.chdir(folder)
        _limit_memory()
        with os.fdopen(questions) as lines, os.fdopen(answers, "w") as out:
            print("ready", file=out, flush=True)
            for line in lines:
                case = Case(*json.loads(line))
                outcome = judge(calls[case.name], case)
                print(json.dumps([outcome.kind, outcome.said[:400]]), file=out, flush=True)


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):  # where there is such a limit
        resource: Any = importlib.import_module("resource")
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))


class Worker:
    """A process that answers, or is ended and replaced."""

    def __init__(self) -> None:
        """Start the process."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bad_arguments", "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"},
            cwd=Path(__file__).resolve().parent.parent,
        )
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        assert self.lines.get(timeout=300) == "ready\n"

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def ask(self, case: Case) -> Outcome | None:
        """Return how a call ended; None if the process is gone."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(case) + "\n")
            self.process.stdin.flush()
            line = self.lines.get(timeout=WAIT)
        except queue.Empty:
            self.end()
            return Outcome("slow", "never ends")
        except BrokenPipeError:
            line = ""
        return Outcome(*json.loads(line)) if line else None

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


def walk(cases: Sequence[Case], workers: int = 2) -> dict[Case, Outcome]:
    """Make all calls, shared among processes."""
    todo: queue.SimpleQueue[Case] = queue.SimpleQueue()
    for case in cases:
        todo.put(case)
    found: dict[Case, Outcome] = {}

    def work() -> None:
        worker = Worker()
        with contextlib.suppress(queue.Empty):
            while True:
                case = todo.get_nowait()
                outcome = worker.ask(case)
                if outcome is None or worker.process.poll() is not None:
                    worker.end()
                    worker = Worker()
                found[case] = outcome or Outcome("dead")
        worker.end()

    threads = [threading.Thread(target=work) for _ in range(min(workers, len(cases)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {case: found[case] for case in cases}


def table(outcomes: dict[Case, Outcome]) -> Iterator[str]:
    """Write the counts by namespace."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for case, outcome in outcomes.items():
        counts[case.name.rpartition(".")[0]][outcome.kind] += 1
        counts["all"][outcome.kind] += 1
    for space, count in counts.items():
        yield f"{space:15}" + "  ".join(f"{kind} {n}" for kind, n in sorted(count.items()))


def main(parts: Iterable[str]) -> None:
    """Make the calls of what has one of these parts in its name."""
    with tempfile.TemporaryDirectory() as folder:
        cases = all_cases(good_calls(Path(folder)))
    chosen = [c for c in cases if not parts or any(p in c.name for p in parts)]
    outcomes = walk(chosen)
    for case, outcome in outcomes.items():
        if outcome.kind != "refused":
            print(f"{outcome.kind:9}{case.name} {case.parameter}={case.bad}: {outcome.said}")
    print(*table(outcomes), sep="\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        main(sys.argv[1:])
