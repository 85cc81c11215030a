"""Real processes are killed while they train; what they wrote is whole, and goes on to the bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from graphgrad import nn
from graphgrad.nn.training.checkpoints import read_state
from tests.killed_training import POINTS, main

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="only POSIX has SIGKILL")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def newest_step(folder: Path) -> int:
    """Show that every checkpoint there is whole, the best one included; return the last step."""
    checkpoints = nn.Checkpoints(folder)
    steps = [0, *(int(read_state(path)["step"]) for path in checkpoints.paths)]
    if checkpoints.best:
        read_state(checkpoints.best)
    return steps[-1]


def killed(folder: Path, kind: str, number: int, delay: float) -> bool:
    """Train until the point; say whether it was reached, and so nobody came back to tell."""
    arguments = [] if kind == "from outside" else [kind, str(number)]
    command = [sys.executable, "-m", "tests.killed_training", str(folder), *arguments]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        if not arguments:
            time.sleep(delay)
            process.kill()
        errors = process.communicate()[1]
    # the limit on the size of files, which tears them, has a signal of its own
    assert process.returncode in (0, -signal.SIGKILL, -signal.SIGXFSZ), errors
    return process.returncode != 0


@pytest.mark.parametrize("wanted", [3, pytest.param(100, marks=pytest.mark.whole)])
def test_a_training_killed_anywhere_ends_as_if_it_had_not_been(tmp_path: Path, wanted: int) -> None:
    main(tmp_path / "never killed")
    expected = contents(tmp_path / "never killed")
    rng = np.random.default_rng(20261121)
    folder, runs, kills, last = tmp_path / "run 0", 0, 0, 0
    kinds: set[str] = set()
    while kills < wanted:
        kind = str(rng.choice([*POINTS, "from outside"]))
        number = int(rng.integers(1, 12_000 if kind == "torn" else 8))
        if killed(folder, kind, number, delay=float(rng.uniform(0.2, 1.5))):
            kills += 1
            kinds.add(kind)
            if folder.exists():
                step = newest_step(folder)
                assert step >= last, f"{kind} {number}: step {last} is lost, {step} is the newest"
                last = step
        else:  # it came to its end
            assert contents(folder) == expected, f"after {kind} {number}"
            runs += 1
            folder, last = tmp_path / f"run {runs}", 0
    main(folder)
    assert contents(folder) == expected
    assert len(kinds) >= min(5, wanted), "other seed: too few kinds of points were met"
