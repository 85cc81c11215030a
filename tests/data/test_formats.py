"""Files of images: written here byte by byte as their formats say, whole, damaged and lying."""

import gzip
import io
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphgrad.data.formats import CIFAR10_RECORD, cifar10_files, read_idx
from graphgrad.errors import FileFormatError
from tests.builders import memory_of

CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}
NAMES = ["data_batch_1.bin", "test_batch.bin"]


def idx(array: Any) -> bytes:
    """Write an array as IDX."""
    code = CODES[array.dtype.str[1:]]
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    content: bytes = array.astype(array.dtype.newbyteorder(">")).tobytes()
    return head + content


def cifar10(images: Any, labels: Any) -> bytes:
    """Write images (N, 3, 32, 32) and labels as records of CIFAR-10."""
    return b"".join(
        bytes([label]) + image.tobytes() for image, label in zip(images, labels, strict=True)
    )


def records(n: int, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 3, 32, 32), np.uint8), rng.integers(0, 10, n)


def archive(files: dict[str, bytes]) -> bytes:
    """Pack files as the published archive does."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as packed:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return out.getvalue()


def refused(path: Path, content: bytes, match: str = "") -> None:
    """Show that a file is refused by its path, in little memory."""
    path.write_bytes(content)

    def read() -> None:
        with pytest.raises(FileFormatError, match=match) as caught:
            cifar10_files(path, NAMES) if "cifar" in path.name else read_idx(path)
        assert str(path) in str(caught.value)

    peak = memory_of(read)[1]
    assert peak < 8 << 20, f"{peak:,} bytes were allocated"


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", CODES)
def test_idx_gives_back_what_was_written(dtype: str, packed: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for shape in [(5,), (2, 3), (3, 4, 5), (2, 1, 3, 2)]:
        array = (rng.standard_normal(shape) * 100).astype(dtype)
        path = tmp_path / ("a.gz" if packed else "a")
        path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
        read = read_idx(path)
        assert read.dtype == array.dtype
        assert read.dtype.isnative
        np.testing.assert_array_equal(read, array)
        read[...] = 0  # it can be written into


def test_idx_is_what_the_first_bytes_of_mnist_say(tmp_path: Path) -> None:
    """The magic numbers of the published description: 0x00000803, and big-endian lengths."""
    path = tmp_path / "images"
    path.write_bytes(bytes.fromhex("00000803 00000001 00000002 00000003 00010203 04ff"))
    np.testing.assert_array_equal(read_idx(path), [[[0, 1, 2], [3, 4, 255]]])


WHOLE = idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "no IDX file"),
        (WHOLE[:3], "no IDX file"),
        (b"\x89PNG" + WHOLE[4:], "no IDX file"),
        (b"\0\1" + WHOLE[2:], "no IDX file"),
        (b"\0\0\x0a" + WHOLE[3:], "no IDX file"),  # no type of that number
        (b"\0\0\x08\0", "no IDX file"),  # no axes
        (WHOLE[:9], "truncated"),
        (WHOLE[:-1], r"\(2, 3, 4\) uint8, 24 bytes; there are 23"),
        (WHOLE + b"\0", "24 bytes; there are more"),
        (b"\0\0\x08\xff" + struct.pack(">255I", *[1] * 255) + b"\0", "255 axes"),
        (b"\0\0\x08\x03" + struct.pack(">3I", 0, 28, 28), "claims"),  # empty
        (b"\0\0\x08\x03" + struct.pack(">3I", 0, *[2**32 - 1] * 2), "claims"),
        (b"\0\0\x0e\x03" + struct.pack(">3I", *[2**32 - 1] * 3) + b"\0" * 99, "claims"),
        (b"\0\0\x08\x01" + struct.pack(">I", 2**30) + b"\0" * 99, "there are 99"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_idx_that_lies_is_refused(content: bytes, match: str, packed: bool, tmp_path: Path) -> None:
    path = tmp_path / ("a.gz" if packed else "a")
    refused(path, gzip.compress(content) if packed else content, match)


def test_a_bomb_is_not_unpacked_beyond_its_header(tmp_path: Path) -> None:
    refused(tmp_path / "bomb.gz", gzip.compress(WHOLE + bytes(100 << 20), 9), "there are more")


def test_damaged_gzip_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(WHOLE, mtime=0)
    for n in range(1, len(whole)):  # cut anywhere: in the head, the content, the checksum
        refused(tmp_path / "a.gz", whole[:n], "damaged gzip file")
    wrong_checksum = whole[:-8] + bytes(4) + whole[-4:]
    refused(tmp_path / "a.gz", wrong_checksum, "damaged gzip file")
    refused(tmp_path / "a.gz", WHOLE, "damaged gzip file")  # not gzipped at all
    refused(tmp_path / "a.gz", whole + b"more", "damaged gzip file")


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        read_idx(tmp_path / "nothing.gz")
    with pytest.raises(FileNotFoundError, match="nothing"):
        cifar10_files(tmp_path / "nothing.tar.gz", NAMES)


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Change some bytes, cut, or put something in."""
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(len(changed)))
        match rng.integers(4):
            case 0:
                changed[place] = rng.integers(256)
            case 1:
                changed[place] ^= 1 << rng.integers(8)
            case 2:
                del changed[max(1, place) :]
            case _:
                changed[place:place] = rng.bytes(int(rng.integers(1, 9)))
    return bytes(changed)


@pytest.mark.parametrize("name", ["a", "a.gz", "cifar.tar.gz", "cifar.tar", "cifar.bin"])
def test_no_damage_does_anything_but_a_clear_error(name: str, tmp_path: Path) -> None:
    """Another exception, or a result other than an array, would fail here."""
    rng = np.random.default_rng(2)
    parts = {file: cifar10(*records(1)) for file in NAMES}
    whole = {
        "a": WHOLE,
        "a.gz": gzip.compress(WHOLE),
        "cifar.tar.gz": archive(parts),
        "cifar.tar": gzip.decompress(archive(parts)),  # damaged first, then gzipped
        "cifar.bin": parts[NAMES[0]],
    }[name]
    path = tmp_path / name
    refusals = 0
    for _ in range(250):
        content = damaged(whole, rng)
        if name == "cifar.bin":  # in a folder
            for file in NAMES:
                (tmp_path / file).write_bytes(content)
            path = tmp_path
        else:
            path.write_bytes(gzip.compress(content, 1) if name == "cifar.tar" else content)
        try:
            if "cifar" in name:
                images = cifar10_files(path, NAMES)[0][0]
                assert images.shape[1:] == (3, 32, 32)
            else:
                read = read_idx(path)
                assert read.nbytes <= len(WHOLE)
        except FileFormatError as error:
            assert str(path) in str(error)  # noqa: PT017 - some damage is not seen: a pixel
            refusals += 1
    assert refusals > 60


@pytest.mark.parametrize("place", ["", "cifar-10-batches-bin", "archive"])
def test_cifar10_gives_back_what_was_written(place: str, tmp_path: Path) -> None:
    written = {name: records(n, n) for n, name in enumerate(NAMES, 2)}
    path = tmp_path / place
    if place == "archive":
        files = {name: cifar10(*written[name]) for name in reversed(NAMES)}
        path.write_bytes(archive({"readme.html": b"of the archive", **files}))
    else:
        path.mkdir(exist_ok=True)
        for name, arrays in written.items():
            (path / name).write_bytes(cifar10(*arrays))
        path = tmp_path
    for (images, labels), name in zip(cifar10_files(path, NAMES), NAMES, strict=True):
        assert images.dtype == np.uint8
        assert labels.dtype == np.int64
        np.testing.assert_array_equal(images, written[name][0])
        np.testing.assert_array_equal(labels, written[name][1])


def test_cifar10_of_another_length_or_label_is_refused(tmp_path: Path) -> None:
    whole = cifar10(*records(2))
    for content, match in [
        (b"", "0 bytes"),
        (whole[:-1], "truncated"),
        (whole + b"\0", "no whole number"),
        (b"\x0a" + whole[1:], "a label of 10"),
        (bytes(10_001 * CIFAR10_RECORD), "larger than"),
    ]:
        for name in NAMES:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(FileFormatError, match=match) as caught:
            cifar10_files(tmp_path, NAMES)
        assert str(tmp_path / NAMES[0]) in str(caught.value)
        path = tmp_path / "cifar.tar.gz"
        path.write_bytes(archive(dict.fromkeys(NAMES, content)))
        with pytest.raises(FileFormatError, match=match) as caught:
            cifar10_files(path, NAMES)
        assert f"{path}: {NAMES[0]}" in str(caught.value)


def test_cifar10_says_which_files_are_missing(tmp_path: Path) -> None:
    (tmp_path / NAMES[1]).write_bytes(cifar10(*records(1)))
    with pytest.raises(FileFormatError, match=r"no data_batch_1\.bin in it"):
        cifar10_files(tmp_path, NAMES)
    refused(tmp_path / "cifar.tar.gz", archive({}), r"no data_batch_1\.bin, test_batch\.bin in it")


def test_an_archive_damaged_or_lying_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cifar.tar.gz"
    whole = archive({name: cifar10(*records(1)) for name in NAMES})
    for n in (1, 9, 20, len(whole) // 2, len(whole) - 5):
        refused(path, whole[:n], "damaged archive")
    refused(path, whole[:-8] + bytes(4) + whole[-4:], "damaged archive")
    refused(path, gzip.compress(b"no archive" * 99), "damaged archive")
    member = tarfile.TarInfo(NAMES[0])
    member.size = 1 << 40  # there is nothing of the kind
    refused(path, gzip.compress(member.tobuf()), "damaged archive")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_a_member_that_is_no_file_is_named(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo(NAMES[0])
    member.type, member.linkname = kind, "nowhere.bin"
    end = bytes(2 * tarfile.BLOCKSIZE)
    words = "is no file" if kind == tarfile.DIRTYPE else "is a link"
    refused(tmp_path / "cifar.tar.gz", gzip.compress(member.tobuf() + end), words)
