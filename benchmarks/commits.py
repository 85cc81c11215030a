"""Today's code against that of another commit: `python -m benchmarks --against COMMIT`.

Both packages are laid out beside the same benchmark files, today's, so the work below uses public
names only. Each measurement is a fresh process on one core, and the two take turns.
"""

import io
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import growth
from benchmarks.cases import CASES
from benchmarks.libraries import OURS
from benchmarks.timing import Ratio, Times

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("graphgrad", "nn", "optim")  # in older commits the last two are no links
PAIRS = 20  # fewer do not tell 3 % from noise
SAMPLES = 31  # in each process
Work = Callable[[], Any]


WORK: dict[str, Callable[[], Work]] = {
    **{name: partial(case.work, OURS) for name, case in CASES.items()},
    **{name: partial(make, count) for name, (make, count) in growth.CASES.items()},
}
USUAL = (  # what is compared where no case is named
    "multiply, scalar",
    "tanh, scalar",
    "multiply, 16 floats",
    "three branches, 10⁶",
    "784-50-10",
    "SimpleConvNet, Adam",
    "batch norm, units",
    *growth.CASES,
)


@contextmanager
def laid_out(commit: str | None) -> Iterator[Path]:
    """Give a folder with the package of a commit (None: as it stands here) and today's benchmarks.

    Raises
    ------
    LookupError
        If git knows no such commit.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ignored = shutil.ignore_patterns("__pycache__")
        for package in ("benchmarks", *(["graphgrad"] if commit is None else [])):
            shutil.copytree(ROOT / package, folder / package, symlinks=True, ignore=ignored)
        if commit is not None:
            command = ["git", "archive", "--format=tar", f"{commit}^{{commit}}", "--", *PACKAGES]
            found = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
            if found.returncode:
                raise LookupError(found.stderr.decode().strip() or f"no commit {commit}")
            with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
                archive.extractall(folder, filter="data")
        yield folder


def seconds(folder: Path, case: str) -> float:
    """Measure a case in a fresh process: processor seconds for each call.

    Raises
    ------
    RuntimeError
        If the process fails, as where that commit lacks what the case uses.
    """
    command = [sys.executable, "-m", "benchmarks.commits", case]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    found = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False
    )
    if found.returncode:
        raise RuntimeError(found.stderr.strip().splitlines()[-1])
    return float(found.stdout)


class Case(NamedTuple):
    """A case's median seconds at the other commit and now, and the ratio of now to then."""

    name: str
    then: float
    now: float
    ratio: Ratio


def compared(commit: str, names: Sequence[str], pairs: int) -> Iterator[Case | str]:
    """Measure each case in so many pairs of processes.

    A case that does not run in either package is answered by a line that says why.

    Raises
    ------
    LookupError
        If git knows no such commit.
    """
    with laid_out(commit) as then, laid_out(None) as now:
        for name in names:
            times: dict[Path, list[float]] = {then: [], now: []}
            try:
                for folder in times:  # compiles the modules, and is not counted
                    seconds(folder, name)
                for pair in range(pairs):
                    for folder in (then, now) if pair % 2 else (now, then):
                        times[folder].append(seconds(folder, name))
            except RuntimeError as error:
                yield f"{name}: {error}"
            else:
                medians = statistics.median(times[then]), statistics.median(times[now])
                yield Case(name, *medians, Ratio.of(times[now], times[then]))


def main(case: str) -> None:
    """Time one case here, and print the median of its samples."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    times = Times({case: WORK[case]()}, SAMPLES, time.process_time, sample=0.005)
    print(times.median(case))


if __name__ == "__main__":
    main(*sys.argv[1:])
