"""What the machine can do at best, and how busy others keep it.

python -m benchmarks.machine bytes    prints the rate of matrix products, in flops a second, and the
seconds in which NumPy reads and writes so many bytes; on one thread
"""

import functools
import json
import os
import resource
import subprocess
import sys
import time
import timeit
from collections.abc import Callable
from pathlib import Path

from benchmarks.turns import ROOT, environment, keep_to

SIZE = 768  # of the matrices that are multiplied
REPEAT = 7
STAT = Path("/proc/stat")


@functools.cache
def _measured(size: float) -> tuple[float, float]:
    command = [sys.executable, "-m", "benchmarks.machine", str(size)]
    found = subprocess.run(command, cwd=ROOT, env=environment(1), capture_output=True, check=True)
    rate, moving = json.loads(found.stdout)
    return rate, moving


def at_best(threads: int, flops: float, size: float) -> float | None:
    """Return the seconds below which no library can stay, if that is known.

    Flops at the rate of a large matrix product on each thread, or bytes at the rate at which NumPy
    copies arrays of that size, or adds one to another, whichever is faster; of the two what takes
    longer.
    """
    if not flops and not size:
        return None
    rate, moving = _measured(size)
    return max(flops / rate / threads, moving)


def main(size: str) -> None:
    """Measure both, each the best of several; float32."""
    keep_to(1)
    import numpy as np

    def best(work: Callable[[], object]) -> float:
        return min(timeit.repeat(work, timer=time.process_time, number=1, repeat=REPEAT))

    a = np.ones((SIZE, SIZE), np.float32)
    out = np.empty_like(a)
    rate = 2 * SIZE**3 / best(lambda: np.matmul(a, a, out))
    half, other = np.ones((2, int(float(size)) // 8), np.float32)
    third, more = np.ones((2, int(float(size)) // 12), np.float32)
    copying = best(lambda: np.copyto(other, half))
    adding = best(lambda: np.add(third, more, out=third))  # writes where it has read
    print(json.dumps((rate, min(copying, adding))))


# ------------------------------------------------------------------------------- its load


class Load:
    """How busy the machine is, from now on."""

    def __init__(self) -> None:
        self.before = self.average()
        self.start = self.counted()

    @staticmethod
    def average() -> str:
        """Return how many processes were running or waiting in the last minute."""
        return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"

    @staticmethod
    def counted() -> tuple[float, float, float]:
        """Return seconds on the clock, of all processors at work, and of this run's."""
        ours = sum(
            usage.ru_utime + usage.ru_stime
            for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        )
        busy = float("nan")
        if STAT.exists():  # user, nice, system, idle, iowait, irq, softirq, steal, in hundredths
            times = STAT.read_text("ascii").splitlines()[0].split()[1:9]
            busy = sum(int(times[i]) for i in (0, 1, 2, 5, 6, 7)) / os.sysconf("SC_CLK_TCK")
        return time.perf_counter(), busy, ours

    def __str__(self) -> str:
        said = f"Load average {self.before} before and {self.average()} after"
        took, busy, ours = (b - a for a, b in zip(self.start, self.counted(), strict=True))
        if busy != busy:  # noqa: PLR0124
            return f"{said}."
        others = max(0.0, busy - ours) / took
        return f"{said}; other programs took {others:.1f} of {os.cpu_count()} cores."


if __name__ == "__main__":
    main(*sys.argv[1:])
