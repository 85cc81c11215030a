"""Weights in files: safetensors, which PyTorch and others read and write too."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphgrad.errors import DtypeError, FileFormatError, UnsupportedError
from graphgrad.files import replacing
from graphgrad.nn.module import Module
from graphgrad.node import here
from graphgrad.record import as_array, unwrapped

CHECKPOINT = "graphgrad"  # the entry of the metadata that makes a file a checkpoint


def save(source: Module | Mapping[str, Any], path: str | Path) -> Path:
    """Write the state of a module, or arrays by name, into a safetensors file.

    An old file is replaced only by a whole new one, which is on the disk when this returns.
    Needs safetensors (extra: train).

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
    OSError
        If the file cannot be written; an old one is as it was.
    """
    state = source.state_dict() if isinstance(source, Module) else source
    if not isinstance(state, Mapping):
        message = f"save: {type(source).__name__} is neither a Module nor arrays by name"
        raise DtypeError(f"{message} (at {here()})")
    arrays = {str(name): as_array(unwrapped(value)) for name, value in state.items()}
    return write(arrays, Path(path))


def load(path: str | Path) -> dict[str, Any]:
    """Read arrays by name from a safetensors file: ``model.load_state_dict(nn.load(path))``.

    Of a checkpoint, the weights of its model.

    Raises
    ------
    FileFormatError
        If it is damaged or no safetensors file, or holds a dtype that NumPy has not.
    OSError
        If it cannot be read.
    """
    arrays, metadata = read(Path(path))
    if CHECKPOINT not in metadata:
        return arrays
    own = "model."
    return {k.removeprefix(own): array for k, array in arrays.items() if k.startswith(own)}


def write(arrays: Mapping[str, Any], path: Path, metadata: Mapping[str, str] | None = None) -> Path:
    """Write arrays and strings, whole or not at all."""
    safetensors = _safetensors()
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    # ascontiguousarray makes one axis of none
    shaped = {name: array.reshape(arrays[name].shape) for name, array in whole.items()}
    with replacing(path, durable=True) as unfinished:
        unfinished.write_bytes(safetensors.numpy.save(shaped, dict(metadata or {}) or None))
    return path


def read(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Read arrays and strings."""
    safetensors = _safetensors()
    path.stat()  # a missing file is Python's own error
    try:
        with safetensors.safe_open(path, "numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return arrays, dict(file.metadata() or {})
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path}: {error}") from error


def _safetensors() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        message = "weights in files need safetensors: pip install 'graphgrad[train]'"
        raise UnsupportedError(message) from error
    return safetensors
