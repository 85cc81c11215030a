"""Damaged files of every format, read under a memory limit: `python -m tests.fuzz COUNT SEED`.

A reader may refuse a file with an error of ours, or find that it is sound. Anything else is a
fault: another error, a warning, or more memory than the limit.
"""

import gzip
import itertools
import resource
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from graphgrad import nn
from graphgrad.data.formats import cifar10_files, read_idx
from graphgrad.errors import GraphgradError
from graphgrad.nn.training.checkpoints import read_state, write_state
from tests.data.test_formats import archive, cifar10, idx, records

SPARE = 768 << 20  # bytes above what is loaded before the first file is read
EXTREME = [b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0" * 4, b"\xff" * 8, b"9" * 12, b"-1", b"1e999"]


def samples(folder: Path) -> dict[str, tuple[bytes, Callable[[Path], Any]]]:
    """Write one sound file of each format; return its bytes and its reader."""
    rng = np.random.default_rng(0)
    arrays = {"weight": rng.normal(size=(3, 4)).astype(np.float32), "count": np.array(3)}
    state = {"model": arrays, "epoch": 3, "history": [{"loss": 0.5}], "rng": [1, None, "a"]}
    nn.save(arrays, folder / "sound.safetensors")
    write_state(state, folder / "sound.checkpoint")
    images = rng.integers(0, 255, (5, 4, 4), np.uint8)
    files = {"data_batch_1.bin": cifar10(*records(2)), "test_batch.bin": cifar10(*records(1))}
    wanted = list(files)
    return {
        "weights.safetensors": ((folder / "sound.safetensors").read_bytes(), nn.load),
        "state.safetensors": ((folder / "sound.checkpoint").read_bytes(), read_state),
        "images-idx3-ubyte": (idx(images), read_idx),
        "images-idx3-ubyte.gz": (gzip.compress(idx(images)), read_idx),
        "cifar-10-binary.tar.gz": (archive(files), lambda path: cifar10_files(path, wanted)),
    }


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Change bytes, cut, double or insert some: once or several times, mostly near the head."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        near = min(len(data), 200) if rng.random() < 0.7 else len(data)
        at = int(rng.integers(max(near, 1)))
        kind = int(rng.integers(5))
        if kind == 0:
            data[at : at + 1] = bytes([int(rng.integers(256))])
        elif kind == 1:
            del data[at : at + int(rng.integers(1, 64))]
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            value = EXTREME[int(rng.integers(len(EXTREME)))]
            data[at : at + len(value)] = value
        else:
            data[at:at] = data[at : at + int(rng.integers(1, 64))]
    return bytes(data)


def faults(count: int, seed: int, folder: Path) -> Iterator[str]:
    """Read so many damaged files of each format, and yield what went wrong."""
    rng = np.random.default_rng(seed)
    for name, (content, read) in samples(folder).items():
        path = folder / name
        path.write_bytes(content)
        read(path)  # the sound one is read
        for number in range(count):
            bad = damaged(content, rng)
            path.write_bytes(bad)
            try:
                read(path)
            except GraphgradError:
                pass
            except BaseException:  # noqa: BLE001 - MemoryError and warnings too
                said = traceback.format_exc()
                yield f"{name}, file {number} of seed {seed}: {bad[:300]!r}\n{said}"


def main() -> None:
    """Read files, and fail at the first ten faults."""
    count, seed = map(int, sys.argv[1:])
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory() as folder:
        samples(Path(folder))  # loads every library before the limit counts
        used = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + SPARE, used + SPARE))
        found = list(itertools.islice(faults(count, seed, Path(folder)), 10))
    sys.exit("\n\n".join(found) or 0)


if __name__ == "__main__":
    main()
