"""What every test runs under: the same examples each time, no window, no deadline."""

import gc
import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.browser import NoBrowserError, started

# Before NumPy is loaded: where several tests or programs share a machine, small products of
# matrices take several times longer with a thread per core.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
os.environ["MPLBACKEND"] = "Agg"  # matplotlib draws into files, wherever the tests run

settings.register_profile(
    "graphgrad",
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("quick", settings.get_profile("graphgrad"), max_examples=30)


def pytest_configure(config: pytest.Config) -> None:
    """Draw fewer examples where `make test` leaves out what takes long."""
    quick = config.getoption("markexpr") == "not whole"
    settings.load_profile("quick" if quick else "graphgrad")


def pytest_collection_finish() -> None:
    """Spare the garbage collector thousands of tests, at each of its rounds."""
    gc.freeze()


@pytest.hookimpl(tryfirst=True)  # before the tests are selected by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests in a browser belong to the whole: it takes long to start, and few machines have one."""
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("whole")


# Not for the whole session: its event loop would run while other tests start theirs.
@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium of the system, where there is one."""
    with ExitStack() as stack:
        try:
            browser = stack.enter_context(started(tmp_path_factory.mktemp("home")))
        except NoBrowserError as error:
            pytest.skip(str(error))
        yield browser
