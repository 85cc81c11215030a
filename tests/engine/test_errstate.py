"""A sweep ignores floating-point warnings, and leaves NumPy's error state as it found it."""

from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.engine import errstate
from tests.builders import leaf


@pytest.mark.parametrize("found", [True, False])
def test_a_sweep_does_not_warn(found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not found:  # a NumPy that keeps its error state elsewhere
        ignore, restore = errstate._switch(None, None)
        monkeypatch.setattr("graphgrad.engine.sweep.ignore_warnings", ignore)
        monkeypatch.setattr("graphgrad.engine.sweep.restore_warnings", restore)
    x = leaf([1e200])
    y = (x * 1e-200) * 1.0
    with np.errstate(all="raise"):
        state = np.geterr()
        y.backward([1e-300])  # underflows on its way
        assert np.geterr() == state
        with pytest.raises(FloatingPointError):
            _ = np.float64(1e300) * np.float64(1e300)


def test_numpy_keeps_its_error_state_in_a_context_variable() -> None:
    assert errstate.CONTEXT_VARIABLE[0] is not None  # else every sweep pays for np.seterr


def test_a_failed_sweep_restores_the_state_too() -> None:
    def fail(_: Any) -> Any:
        raise ZeroDivisionError

    bad = gg.op(lambda x: x * 1, fail, name="bad")
    before = np.geterr()
    with pytest.raises(RuntimeError):
        bad(leaf(1.0)).backward()
    assert np.geterr() == before
