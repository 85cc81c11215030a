"""What an import of graphgrad changes in its process: glibc keeps the memory of freed arrays.

glibc returns the memory of an array above 128 KiB to the system when it is freed, and the system
clears every page of the next one: in a fresh process that takes two thirds of an elementwise step
on 10⁶ floats. But glibc learns: once an array is freed, it keeps others up to that size for the
next ones, and twice as much in a row. So one array, whose pages are never touched, is made and
freed here. If the program has chosen these limits itself (`mallopt`, `MALLOC_MMAP_THRESHOLD_`), it
changes nothing, and neither do other allocators (musl, macOS, Windows, jemalloc) learn from it.
"""

import os

import numpy as np

TUNED = "GRAPHGRAD_TUNE_PROCESS"  # in the environment; 0 leaves the process as it was
# glibc learns from 32 MiB at most, its own header included: from a larger array it learns nothing.
_LARGEST = (32 << 20) - (64 << 10)


def keep_freed_memory() -> None:
    """Let glibc keep the memory of freed arrays up to 32 MiB."""
    if os.environ.get(TUNED) == "0":
        return
    try:
        np.empty(_LARGEST, np.uint8)
    except MemoryError:  # under a limit of address space that small, nothing is to be kept
        return
