"""Damaged files are refused by errors of ours, in little memory; see tests/fuzz.py."""

import subprocess
import sys
from pathlib import Path

import pytest

import graphgrad as gg


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits memory as Linux does")
@pytest.mark.parametrize("count", [200, pytest.param(5000, marks=pytest.mark.whole)])
def test_damaged_files_are_refused(count: int) -> None:
    root = Path(str(gg.__file__)).parent.parent
    command = [sys.executable, "-m", "tests.fuzz", str(count), str(count)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
