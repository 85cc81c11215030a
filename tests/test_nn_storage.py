"""Weights in files: what is written is read, and nothing is ever half written."""

import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphgrad import nn
from graphgrad.errors import DtypeError, FileFormatError
from graphgrad.files import replacing


def model(seed: int = 0) -> nn.Module:
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Affine(30, 20, rng=rng), nn.BatchNorm1d(20))


def test_a_model_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    first, second = model(0), model(1)
    assert nn.save(first, path) == path
    loaded = nn.load(path)
    second.load_state_dict(loaded)
    for name, array in first.state_dict().items():
        np.testing.assert_array_equal(second.state_dict()[name], array)
        assert loaded[name].dtype == array.dtype
        assert loaded[name].shape == array.shape
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "no temporary file is left"


def test_arrays_of_any_layout(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {
        "transposed": np.arange(6.0).reshape(2, 3).T,
        "number": np.float32(3),
        "half": np.ones(2, np.float16),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 2)),
    }
    nn.save(arrays, tmp_path / "x")
    for name, array in nn.load(tmp_path / "x").items():
        np.testing.assert_array_equal(array, arrays[name])
        assert array.dtype == np.asarray(arrays[name]).dtype
        assert array.shape == np.shape(arrays[name])


@pytest.mark.parametrize("wrong", [3, {"w": "text"}, {"w": np.zeros(2, complex)}])
def test_what_is_no_array_leaves_the_old_file(tmp_path: Path, wrong: Any) -> None:
    path = tmp_path / "x"
    nn.save({"w": np.ones(1)}, path)
    with pytest.raises(DtypeError):
        nn.save(wrong, path)
    assert nn.load(path)["w"] == 1


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """The limit on the size of files makes writing fail in the middle, as a full disk does."""
    resource: Any = pytest.importorskip("resource", reason="only POSIX has such limits")
    path = tmp_path / "x"
    nn.save({"w": np.ones(1)}, path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(OSError, match="too large"):
            nn.save({"w": np.ones(10_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert nn.load(path)["w"] == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        nn.save({"w": np.ones(1)}, tmp_path / "nowhere" / "x")
    with pytest.raises(FileNotFoundError):
        nn.load(tmp_path / "x")


def test_damaged_files_are_clear_errors(tmp_path: Path) -> None:
    """Bytes changed, cut off or foreign: an error of ours, or numbers, never anything else."""
    path = tmp_path / "x"
    whole = nn.save(model(), path).read_bytes()
    draw = random.Random(0)
    errors: list[str] = []
    for number in range(200):
        content = bytearray(whole)
        for _ in range(draw.randint(1, 5)):
            content[draw.randrange(len(content) if number % 2 else 300)] = draw.randrange(256)
        if number % 3 == 0:
            del content[draw.randrange(len(content)) :]
        path.write_bytes(content)
        try:
            nn.load(path)
        except FileFormatError as error:
            errors.append(str(error))
    assert len(errors) > 50
    assert all(str(path) in error for error in errors)
    for foreign in (b"", b"PK\x03\x04 a zip file", b"\xff" * 100):
        path.write_bytes(foreign)
        with pytest.raises(FileFormatError):
            nn.load(path)


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def fail() -> None:
        with replacing(path, durable=True) as unfinished:
            unfinished.write_text("new")
            assert path.read_text() == "old"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with replacing(path, durable=True) as unfinished:
        unfinished.write_text("new")
    assert path.read_text() == "new"
