"""What every test runs under: the same examples each time, no window, no deadline."""

import os

from hypothesis import HealthCheck, settings

os.environ["MPLBACKEND"] = "Agg"  # matplotlib draws into files, wherever the tests run

settings.register_profile(
    "graphgrad",
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("graphgrad")
