"""What every test runs under: the same examples each time, no window, no deadline."""

import os

from hypothesis import HealthCheck, settings

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
settings.load_profile("graphgrad")
