"""What type checkers see of the package, by a user's program that they check."""

import importlib.util
import os
import subprocess
import sys

import pytest

from tests import typed_program
from tests.test_packaging import ROOT, checkout

PROGRAM = "tests/typed_program.py"
CHECKERS = {"mypy": ["mypy", "--strict"], "pyright": ["pyright", "--pythonpath", sys.executable]}


@checkout
@pytest.mark.parametrize("checker", CHECKERS)
def test_types_and_mistakes_of_a_users_program(checker: str) -> None:
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed")
    done = subprocess.run(
        [sys.executable, "-m", *CHECKERS[checker], PROGRAM],
        cwd=ROOT,
        env=os.environ | {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},  # else it asks for a newer one
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_program_runs() -> None:
    assert typed_program.learn() > 0
    typed_program.derivatives()
