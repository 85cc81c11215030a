"""Reading the files in which image sets are published: IDX (MNIST) and CIFAR-10's binary form.

A header is checked against the bytes that are there before anything of the size it claims is
allocated, so that a truncated, oversized or lying file is an error and no more.
"""

import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from graphgrad.errors import FileFormatError
from graphgrad.typing import Array

_IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_LIMIT = 1 << 30  # bytes of content: twenty times the largest of these files
_CHUNK = 1 << 20
_AXES = 32

CIFAR10_RECORD = 1 + 3 * 32 * 32  # a label, then the red, green and blue planes


def read_idx(path: str | Path) -> Array:
    """Read an array from an IDX file, gzipped if the name ends in ``.gz``.

    The format: two zero bytes, a type, the number of axes, the length of each axis as a
    big-endian 32-bit number, the elements in C order, big-endian.

    Raises
    ------
    FileFormatError
        If the file is no IDX file, or has fewer or more elements than its header says.
    OSError
        If it cannot be read.
    """
    import gzip

    path = Path(path)
    with path.open("rb") as raw:
        source: Any = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
        try:
            return _idx(source, path)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise FileFormatError(f"{path}: damaged gzip file: {error}") from error


def _idx(source: BinaryIO, path: Path) -> Array:
    head = source.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _IDX_TYPES or head[3] == 0:
        raise FileFormatError(f"{path}: no IDX file: it begins with {head!r}")
    axes = head[3]
    if axes > _AXES:
        raise FileFormatError(f"{path}: {axes} axes; arrays here have {_AXES} at most")
    lengths = source.read(4 * axes)
    if len(lengths) < 4 * axes:
        raise FileFormatError(f"{path}: truncated: {axes} axes, of which the header has fewer")
    shape = struct.unpack(f">{axes}I", lengths)
    dtype = np.dtype(_IDX_TYPES[head[2]])
    size = math.prod(shape) * dtype.itemsize
    if not 0 < size <= _LIMIT:
        raise FileFormatError(f"{path}: its header claims {shape} {dtype}: {size:,} bytes")
    content = _at_most(source, size + 1)
    if len(content) != size:
        there = "more" if len(content) > size else f"{len(content):,}"
        message = f"{path}: its header claims {shape} {dtype}, {size:,} bytes; there are {there}"
        raise FileFormatError(message)
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _at_most(source: Any, size: int) -> bytearray:
    """Read up to so many bytes, memory growing with what is there."""
    content = bytearray()
    while len(content) < size and (chunk := source.read(min(_CHUNK, size - len(content)))):
        content += chunk
    return content


def parse_cifar10(content: bytes | bytearray, name: str) -> tuple[Any, Any]:
    """Return images (N, 3, 32, 32) uint8 and labels (N,) of one of CIFAR-10's binary files.

    Raises
    ------
    FileFormatError
        If it has no whole number of records, none, or a label above 9.
    """
    if not content or len(content) % CIFAR10_RECORD:
        message = f"{name}: {len(content):,} bytes are no whole number of {CIFAR10_RECORD}-byte"
        raise FileFormatError(f"{message} records: truncated, or no CIFAR-10 file")
    records = np.frombuffer(content, np.uint8).reshape(-1, CIFAR10_RECORD)
    labels = records[:, 0]
    if labels.max() > 9:
        raise FileFormatError(f"{name}: a label of {labels.max()}; CIFAR-10 has 0 to 9")
    return records[:, 1:].reshape(-1, 3, 32, 32).copy(), labels.astype(np.int64)


def cifar10_files(path: str | Path, wanted: Sequence[str]) -> list[tuple[Any, Any]]:
    """Read files of CIFAR-10 by their names, from a folder or from the published archive.

    Nothing is unpacked to disk.

    Raises
    ------
    FileFormatError
        If one is missing, too large or damaged.
    OSError
        If the folder or archive cannot be read.
    """
    import gzip
    import tarfile  # slow to load

    path = Path(path)
    found: dict[str, tuple[Any, Any]] = {}
    if path.is_dir():
        for name in wanted:
            file = cifar10_file(path, name)
            if file is not None:
                with file.open("rb") as source:
                    found[name] = _cifar10(source, str(file))
    else:
        try:
            with gzip.open(path) as raw:
                with tarfile.TarFile(fileobj=raw) as archive:
                    for member in archive:  # in the archive's order: going back costs
                        name = Path(member.name).name
                        if name not in wanted:
                            continue
                        content = archive.extractfile(member) if member.isreg() else None
                        if content is None:
                            kind = "a link" if member.islnk() or member.issym() else "no file"
                            message = f"{path}: {name} is {kind}; unpack it and give the folder"
                            raise FileFormatError(message)
                        found[name] = _cifar10(content, f"{path}: {name}")
                while raw.read(_CHUNK):  # the checksum stands at the end
                    pass
        except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise FileFormatError(f"{path}: damaged archive: {error}") from error
    missing = [name for name in wanted if name not in found]
    if missing:
        raise FileFormatError(f"{path}: there is no {', '.join(missing)} in it")
    return [found[name] for name in wanted]


def cifar10_file(folder: Path, name: str) -> Path | None:
    """Return where a file of CIFAR-10 is: in the folder, or in the one the archive unpacks to."""
    places = (folder / name, folder / "cifar-10-batches-bin" / name)
    return next((file for file in places if file.is_file()), None)


def _cifar10(source: Any, name: str) -> tuple[Any, Any]:
    limit = 10_000 * CIFAR10_RECORD
    content = _at_most(source, limit + 1)
    if len(content) > limit:
        raise FileFormatError(f"{name}: larger than the 10,000 records of a CIFAR-10 file")
    return parse_cifar10(content, name)
