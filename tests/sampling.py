"""Which of many cases of a test `make test` runs."""

from collections.abc import Iterable
from typing import Any

import pytest


def every(step: int, cases: Iterable[Any]) -> list[Any]:
    """Leave every so many cases as they are, and mark the others as what only the whole runs."""
    return [
        case
        if number % step == 0
        else pytest.param(*case if type(case) is tuple else (case,), marks=pytest.mark.whole)
        for number, case in enumerate(cases)
    ]
