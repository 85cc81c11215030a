"""What an import of graphgrad changes in its process, and that a variable prevents it."""

import os
import platform
import subprocess
import sys

import pytest

from graphgrad.process import TUNED

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc",
    reason="only glibc learns from freed arrays",
)

STEPS = """
import resource, threading
import graphgrad as gg
import numpy as np

def steps(count):
    x = gg.Tensor(np.ones(1_000_000, np.float32), requires_grad=True)
    g = np.ones(1_000_000, np.float32)
    for _ in range(count):
        x.grad = None
        (np.tanh(x) + x * x + np.exp(-x)).backward(g)

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

"""
COUNTED = "steps(3)\nbefore = faults()\nsteps(10)\nprint(faults() - before)"
IN_A_THREAD = """
def work():
    steps(3)
    before = faults()
    steps(10)
    print(faults() - before)

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
PAGES_OF_AN_ARRAY = 4_000_000 // os.sysconf("SC_PAGE_SIZE")


def output_of(code: str, **variables: str) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", TUNED))}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=kept | variables, capture_output=True, encoding="utf-8", check=True
    ).stdout


@pytest.mark.parametrize("where", [COUNTED, IN_A_THREAD], ids=["main thread", "another thread"])
def test_large_arrays_take_memory_that_was_freed(where: str) -> None:
    assert int(output_of(STEPS + where)) < PAGES_OF_AN_ARRAY


def test_a_variable_leaves_the_process_as_it_is() -> None:
    assert int(output_of(STEPS + COUNTED, **{TUNED: "0"})) > 20 * PAGES_OF_AN_ARRAY


def test_a_choice_of_the_program_stays() -> None:
    chosen = {"MALLOC_MMAP_THRESHOLD_": "131072"}
    assert int(output_of(STEPS + COUNTED, **chosen)) > 20 * PAGES_OF_AN_ARRAY


TRAINED = """
import resource
import graphgrad as gg
import numpy as np
from graphgrad import nn, optim

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

rng = np.random.default_rng(0)
model = nn.models.SimpleConvNet()
optimizer = optim.Adam(model.parameters())
peaks = []
for size in (60, *rng.integers(10, 60, 40)):  # the largest batch first
    x = gg.Tensor(rng.random((size, 1, 28, 28), dtype=np.float32))
    loss = nn.functional.cross_entropy(model(x), rng.integers(0, 10, size))
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    peaks.append(peak())
print(peaks[1], peaks[-1])
"""


def test_memory_stays_flat_and_its_peak_as_it_was() -> None:
    early, late = map(int, output_of(TRAINED).split())
    _, otherwise = map(int, output_of(TRAINED, **{TUNED: "0"}).split())
    assert late < 1.05 * early
    assert late < 1.05 * otherwise


def test_no_error_under_a_limit_of_addresses() -> None:
    code = """
import resource
import graphgrad.process

with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (8 << 20), -1))
graphgrad.process.keep_freed_memory()
"""
    output_of(code)
