"""Plant a sample of faults, one at a time, and print those that no test noticed."""

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import pytest

from tests.mutants.covering import CHOSEN, PYTEST, Covering, copy_checkout, covering
from tests.mutants.mutations import Mutant, equivalents, every_mutant

AT_ONCE = 2
FIRST, FIRST_SECONDS = 12, 4.0  # the narrowest tests, which notice most faults
ALL_SECONDS = 60.0


def run(folder: Path, tests: list[str], seconds: float) -> str:
    """Run tests in a copy of the checkout; return the first that failed, "" if none did."""
    chosen = folder / "chosen.json"
    chosen.write_text(json.dumps(tests), "utf-8")
    files = sorted({test.partition("::")[0] for test in tests})
    command = [*PYTEST, "-x", "--tb=no", "-p", "no:xdist", "-p", covering.__module__, *files]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, CHOSEN: str(chosen), "PYTHONPATH": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=60 + 10 * seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return "out of time"
    if process.returncode in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        return ""
    failed = [line for line in output.decode().splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0] if failed else f"exit {process.returncode}"


def rounds(tests: list[str], found: Covering) -> list[list[str]]:
    """Divide tests into the few that probably notice a fault, and as many more as there is time."""
    result: list[list[str]] = [[], []]
    total = 0.0
    for test in tests:
        total += found.seconds[test]
        if total > ALL_SECONDS:
            break
        result[len(result[0]) >= FIRST or total > FIRST_SECONDS].append(test)
    return [part for part in result if part]


class Copy:
    """A copy of the checkout, in which one fault at a time is planted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        copy_checkout(folder)

    def killer(self, mutant: Mutant, found: Covering) -> str:
        """Return the test that notices a fault, "" if none does."""
        file = self.folder / mutant.path
        source = file.read_bytes()
        file.write_bytes(mutant.planted(source))
        try:
            for tests in rounds(found.reaching(mutant.path, mutant.reach), found):
                if killed := run(self.folder, tests, sum(found.seconds[test] for test in tests)):
                    return killed
            return ""
        finally:
            file.write_bytes(source)


def judge(
    sample: list[Mutant], copies: list[Copy], found: Covering
) -> Iterator[tuple[Mutant, str]]:
    """Yield each mutant with the test that notices it, as they come."""
    free = queue.SimpleQueue[Copy]()
    for copy in copies:
        free.put(copy)

    def judged(mutant: Mutant) -> tuple[Mutant, str]:
        copy = free.get()
        try:
            return mutant, copy.killer(mutant, found)
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        for future in as_completed([pool.submit(judged, mutant) for mutant in sample]):
            yield future.result()


def main() -> int:
    """Judge a sample, and fail where fewer than asked are noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--sample", type=int, default=300, help="how many faults")
    parser.add_argument("--skip", type=int, default=0, help="leave out so many before")
    parser.add_argument("--only", default="", help="only files with this in their path")
    parser.add_argument("--tests", nargs="+", default=[], help="only these, and lines they run")
    parser.add_argument("--least", type=float, default=98, help="per cent that must be noticed")
    arguments = parser.parse_args()
    start = time.monotonic()
    known = equivalents()
    with tempfile.TemporaryDirectory() as folder:
        copies = [Copy(Path(folder, str(number))) for number in range(AT_ONCE)]
        root = copies[0].folder
        every = [m for m in every_mutant(root) if arguments.only in m.path]
        found = covering(root, arguments.tests)
        if arguments.tests:
            every = [m for m in every if found.reaching(m.path, m.reach[:1])]
        judged = [m for m in every if m.key not in known]
        sample = judged[arguments.skip :][: arguments.sample]
        if not sample:
            parser.error("there is nothing to plant here")
        survivors = []
        for number, (mutant, killed) in enumerate(judge(sample, copies, found), 1):
            print(f"{number}: {mutant.path}: {killed or 'SURVIVED'}", flush=True)
            if not killed:
                survivors.append(mutant)
                print(mutant, flush=True)
    rate = 100 * (1 - len(survivors) / len(sample))
    print(f"\n{len(survivors)} survived:", *survivors, sep="\n")
    print(
        f"\n{len(sample)} of {len(judged)} faults, {len(every) - len(judged)} more are none: "
        f"{rate:.1f} % noticed in {time.monotonic() - start:.0f} s"
    )
    return int(rate < arguments.least)


if __name__ == "__main__":
    sys.exit(main())
