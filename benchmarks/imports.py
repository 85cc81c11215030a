"""Processor time of an import in a fresh process, and what it adds to that of NumPy."""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

CASES = ("graphgrad", "graphgrad.nn")
ROOT = Path(__file__).resolve().parent.parent


def added(pairs: int) -> dict[str, tuple[float, float]]:
    """Return the median seconds of each import, and of what it adds; bytecode is there already."""
    names = ("numpy", *CASES)
    with tempfile.TemporaryDirectory() as folder:
        fresh = {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": folder}
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        for name in names:
            _seconds(name, environment | fresh)
        rounds = [[_seconds(name, environment | fresh) for name in names] for _ in range(pairs)]
    return {
        name: (
            statistics.median(times[place] for times in rounds),
            statistics.median(times[place] - times[0] for times in rounds),
        )
        for place, name in enumerate(names)
    }


def _seconds(name: str, environment: dict[str, str]) -> float:
    """Start Python, import, and read the processor time of that process."""
    code = f"import time, {name}; print(time.process_time())"
    command = [sys.executable, "-c", code]
    return float(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
