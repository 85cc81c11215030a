"""Weights in files: what is written is read, and nothing is ever half written."""

import json
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from graphgrad import nn
from graphgrad.errors import ArgumentError, DtypeError, FileFormatError
from tests.builders import memory_of


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


@pytest.mark.parametrize(
    ("wrong", "kind", "says"),
    [
        (3, DtypeError, "save: |is not supported"),
        ({"w": "text"}, DtypeError, "save: |is not supported"),
        ({"w": np.zeros(2, complex)}, DtypeError, "save: |is not supported"),
        ({"w": np.ones(2, "g")}, DtypeError, "save: |is not supported"),
        ({"__metadata__": np.ones(2)}, ArgumentError, "keeps the name '__metadata__'"),
        ({1: np.ones(2), "1": np.zeros(2)}, ArgumentError, "two arrays are called '1'"),
        ({"\ud800": np.ones(2)}, ArgumentError, "is no text"),
    ],
)
def test_what_is_refused_leaves_the_old_file(
    tmp_path: Path, wrong: Any, kind: Any, says: str
) -> None:
    path = tmp_path / "x"
    nn.save({"w": np.ones(1)}, path)
    with pytest.raises(kind, match=says):
        nn.save(wrong, path)
    assert nn.load(path)["w"] == 1


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


@given(st.dictionaries(st.text(max_size=8), st.integers(0, 9), max_size=5))
def test_whatever_is_written_is_read(state: dict[str, int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        try:
            nn.save({name: np.array(value) for name, value in state.items()}, path)
        except ArgumentError:
            assert "__metadata__" in state
        else:
            assert {name: int(array) for name, array in nn.load(path).items()} == state


def written_raw(path: Path, dtype: str, shape: list[int], content: bytes) -> Path:
    header = json.dumps({"w": {"dtype": dtype, "shape": shape, "data_offsets": [0, len(content)]}})
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + content)
    return path


def test_bfloat16_comes_as_float32(tmp_path: Path) -> None:
    numbers = np.array([[1.0, -2.5, 3.0e38], [0.0, np.inf, 1e-40]], np.float32)
    halves = (numbers.view(np.uint32) >> 16).astype(
        "<u2"
    )  # cuts the last two, which have more bits
    path = written_raw(tmp_path / "x", "BF16", [2, 3], halves.tobytes())
    loaded = nn.load(path)["w"]
    assert loaded.dtype == np.float32
    np.testing.assert_allclose(loaded, numbers, rtol=1 / 128, atol=1e-40)
    np.testing.assert_array_equal(loaded[0, :2], [1.0, -2.5])
    empty = nn.load(written_raw(tmp_path / "y", "BF16", [0, 3], b""))["w"]
    assert empty.shape == (0, 3)


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2"])
def test_numbers_that_numpy_has_not_are_named(tmp_path: Path, dtype: str) -> None:
    path = written_raw(tmp_path / "x", dtype, [2], b"ab")
    said = rf"x: w is {dtype}, which NumPy has not; cast it"
    with pytest.raises(FileFormatError, match=said) as caught:
        nn.load(path)
    assert str(caught.value).count(str(path)) == str(caught.value).count("(at ") == 1


def test_saving_makes_no_second_copy_of_the_weights(tmp_path: Path) -> None:
    big = nn.Sequential(nn.Affine(1000, 1000, rng=np.random.default_rng(0)))
    size = sum(p.data.nbytes for p in big.parameters())
    nn.save(model(), tmp_path / "first")  # what is loaded at the first one is no part of it
    saving = memory_of(lambda: nn.save(big, tmp_path / "x"))[1]
    assert saving < size / 10
