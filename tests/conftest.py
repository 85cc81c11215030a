"""What every test runs under: the same examples each time, no window, no deadline."""

import functools
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.browser import NoBrowserError, Visit, program, started

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


def needs_browser(item: pytest.Item) -> bool:
    """Tell the tests in a browser from the others."""
    return "chromium" in getattr(item, "fixturenames", ())


@pytest.hookimpl(tryfirst=True)  # before the tests are selected by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests in a browser belong to the whole: it takes long to start, and few machines have one."""
    for item in items:
        if needs_browser(item):
            item.add_marker("whole")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip them where there is none: here, so that one line of the summary has them all."""
    if needs_browser(item):
        try:
            program()
        except NoBrowserError as error:
            pytest.skip(str(error))


# Not for the whole session: its event loop would run while other tests start theirs.
@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium of the system."""
    with started(tmp_path_factory.mktemp("home")) as browser:
        yield browser


@pytest.fixture(scope="module")
def windows(chromium: Any) -> Any:
    """Its windows by width and scheme: they stay open, for a new one takes most of the time."""
    return functools.cache(functools.partial(Visit, chromium))


@pytest.fixture
def visit(windows: Any) -> Iterator[Any]:
    """Open a file in a window of some width, and return the page; at the end all must be well."""
    used = []

    def opened(path: Path, width: int = 1280, scheme: str = "light") -> Any:
        used.append(windows(width, scheme))
        used[-1].check()
        return used[-1].go(path)

    yield opened
    for one in used:
        one.check()
