"""Weights in files: safetensors, which PyTorch and others read and write too."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphgrad.arguments import guarded
from graphgrad.engine.operands import as_array, unwrapped
from graphgrad.errors import ArgumentError, DtypeError, FileFormatError, UnsupportedError
from graphgrad.files import atomic_write
from graphgrad.nn.modules.module import Module
from graphgrad.typing import Array

CHECKPOINT = "graphgrad"  # the entry of the metadata that makes a file a checkpoint
RESERVED = "__metadata__"  # the key of the metadata in the header, which no array can have
NUMPYS = {
    "BOOL",
    "F16",
    "F32",
    "F64",
    *(f"{kind}{bits}" for kind in "IU" for bits in (8, 16, 32, 64)),
}


@guarded
def save(source: Module | Mapping[str, Any], path: str | Path) -> Path:
    """Write the state of a module, or arrays by name, into a safetensors file.

    An old file is replaced only by a whole new one, which is on the disk when this returns.

    Parameters
    ----------
    source
        A module, or its ``state_dict()``, or any arrays by name.
    path
        Where to, usually ``….safetensors``.

    Raises
    ------
    DtypeError
        If a value is no array of real numbers.
    ArgumentError
        If two arrays have one name, or one has the name ``__metadata__``, which is the format's.
    OSError
        If the file cannot be written; an old one is as it was.
    """
    state = source.state_dict(copy=False) if isinstance(source, Module) else source
    if not isinstance(state, Mapping):
        message = f"save: {type(source).__name__} is neither a Module nor arrays by name"
        raise DtypeError(message)
    arrays: dict[str, Any] = {}
    for key, value in state.items():
        name = _checked_name(key)
        if name in arrays:
            raise ArgumentError(f"save: two arrays are called {name!r}")
        arrays[name] = as_array(unwrapped(value))
    return write(arrays, Path(path))


def _checked_name(key: Any) -> str:
    name = str(key)
    if name == RESERVED:
        raise ArgumentError(f"save: the format keeps the name {name!r} for itself")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ArgumentError(f"save: {name!r} is no text: {error.reason}") from error
    return name


@guarded
def load(path: str | Path) -> dict[str, Any]:
    """Read arrays by name from a safetensors file: ``model.load_state_dict(nn.load(path))``.

    Of a checkpoint, the weights of its model. bfloat16, which NumPy has not, comes as float32,
    which holds each of its numbers exactly. Needs safetensors (extra: train).

    Raises
    ------
    FileFormatError
        If it is damaged or no safetensors file, or holds another dtype that NumPy has not.
    OSError
        If it cannot be read.
    """
    arrays, metadata = read(Path(path))
    if CHECKPOINT not in metadata:
        return arrays
    own = "model."
    return {k.removeprefix(own): array for k, array in arrays.items() if k.startswith(own)}


@guarded
def write(arrays: Mapping[str, Any], path: Path, metadata: Mapping[str, str] | None = None) -> Path:
    """Write arrays and strings, whole or not at all, each array from where it is.

    Not by safetensors itself, which either copies all arrays into one string of bytes, or writes
    to a temporary file of its own that a killed process leaves behind.
    """
    header: dict[str, Any] = {RESERVED: dict(metadata)} if metadata else {}
    # the widest numbers first, so that each array begins at a multiple of its numbers' size
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    end = 0
    for name in order:
        array = arrays[name]
        span = [end, end := end + array.nbytes]
        header[name] = {"dtype": _dtype(array), "shape": array.shape, "data_offsets": span}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with atomic_write(path, durable=True) as unfinished, unfinished.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            little = arrays[name].astype(arrays[name].dtype.newbyteorder("<"), "C", copy=False)
            file.write(little.reshape(-1).view(np.uint8).data)
    return path


def _dtype(array: Array) -> str:
    kind, bits = array.dtype.kind, 8 * array.dtype.itemsize
    name = "BOOL" if kind == "b" else f"{kind.upper()}{bits}"
    if name not in NUMPYS:
        message = f"save: {array.dtype} has no place in the format; cast it to float64, say"
        raise DtypeError(message)
    return name


@guarded
def read(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Read arrays and strings."""
    safetensors = _safetensors()
    path.stat()  # a missing file is Python's own error
    try:
        with safetensors.safe_open(path, "numpy", backend="pread") as file:
            arrays = {name: _array(file, name, path) for name in file.keys()}  # noqa: SIM118
            return arrays, dict(file.metadata() or {})
    except FileFormatError:  # a ValueError too, which says enough as it is
        raise
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path}: {error}") from error


def _array(file: Any, name: str, path: Path) -> Array:
    dtype = file.get_slice(name).get_dtype()
    if dtype == "BF16":
        return _from_bfloat16(name, path)
    if dtype not in NUMPYS:
        message = f"{name} is {dtype}, which NumPy has not; cast it to float16 or float32, say,"
        raise FileFormatError(f"{path}: {message} where it is written")
    return file.get_tensor(name)


def _from_bfloat16(name: str, path: Path) -> Array:
    """Widen an array: the bits of a bfloat16 are the upper half of a float32's."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(size))[name]
        start, stop = entry["data_offsets"]
        file.seek(8 + size + start)
        halves = np.frombuffer(file.read(stop - start), "<u2").reshape(entry["shape"])
    return (halves.astype(np.uint32) << 16).view(np.float32)


def _safetensors() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        message = "weights in files need safetensors: pip install 'graphgrad[train]'"
        raise UnsupportedError(message) from error
    return safetensors
