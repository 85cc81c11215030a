"""Files from which a training run goes on as if it had never been interrupted.

A checkpoint is one safetensors file: its arrays are arrays in it, everything else is JSON in its
metadata. So other tools read the weights, and nothing in it is ever executed.
"""

import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphgrad.arguments import PositiveInt, guarded
from graphgrad.errors import DtypeError, FileFormatError, StorageError
from graphgrad.files import UNFINISHED, owned, replacing
from graphgrad.nn.storage import CHECKPOINT, read, write
from graphgrad.reprs import counted
from graphgrad.typing import Array
from graphgrad.version import __version__

FORMAT = 1  # of the JSON; raised whenever older versions could not read it
ARRAY = "$array"  # stands in the JSON in place of an array, with its name

_STEP = re.compile(r"step-(\d{8,})\.safetensors")


class Checkpoints:
    """A folder of checkpoints: the last few, and the best.

        checkpoints = nn.Checkpoints("runs/digits", keep=3)
        trainer = nn.Trainer(model, optimizer, batches, checkpoints=checkpoints)
        trainer.fit(20, resume=True)

    ``step-00001200.safetensors`` is what was known after 1200 steps; ``best.safetensors`` is a
    second name of the best one (a copy where the file system has no hard links). A file is
    written beside its place, brought to the disk and renamed: whatever happens meanwhile, those
    before it stay whole.

    Parameters
    ----------
    folder
        Where to; made when training begins. One run to a folder.
    keep
        How many to keep, the newest ones; the best is kept besides.
    every
        Write also after this many batches; None is at the end of each epoch only.
    """

    @guarded
    def __init__(
        self, folder: str | Path, keep: PositiveInt = 3, every: PositiveInt | None = None
    ) -> None:
        self.folder = Path(folder).expanduser()
        self.keep = keep
        self.every = every

    @property
    def paths(self) -> list[Path]:
        """The checkpoints that are there, oldest first."""
        names = ((_STEP.fullmatch(path.name), path) for path in self.folder.glob("step-*"))
        return [path for _, path in sorted((int(name[1]), path) for name, path in names if name)]

    @property
    def latest(self) -> Path | None:
        """The newest one, if there is any."""
        return self.paths[-1] if self.paths else None

    @property
    def best(self) -> Path | None:
        """The best one, if one was marked."""
        path = self.folder / "best.safetensors"
        return path if path.exists() else None

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Make the folder and be the only training run that writes to it, inside the ``with``.

        What a killed process left half written is cleared away.

        Raises
        ------
        StorageError
            If it cannot be written, or another training run writes to it.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            message = f"checkpoints cannot be written to {self.folder}: {error.strerror}"
            raise StorageError(f"{message}; name another folder") from error
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(owned(self.folder / ".lock"))
            except BlockingIOError as error:
                message = f"another training run writes its checkpoints to {self.folder}"
                raise StorageError(f"{message}; name another folder") from error
            except (OSError, ImportError):
                pass  # a file system without locks: what others may be writing is left alone
            else:
                for kind in ("step-*", "best"):
                    for half in self.folder.glob(f".{kind}.safetensors.*{UNFINISHED}"):
                        half.unlink(missing_ok=True)
            self._forget()
            yield

    def save(self, state: Mapping[str, Any], step: int, *, best: bool = False) -> Path:
        """Write the state after a step, mark it if it is the best, forget the oldest.

        Raises
        ------
        StorageError
            If it could not be written, for the disk is full, say; those before it are whole.
        """
        path = self.folder / f"step-{step:08}.safetensors"
        try:
            write_state(state, path)
            if best:
                self.mark_best(path)
        except OSError as error:
            kept = f"{self.latest} is whole" if self.latest else "there is none before it"
            message = f"{path} could not be written: {error.strerror}; {kept}"
            raise StorageError(message) from error
        self._forget()
        return path

    def _forget(self) -> None:
        for old in self.paths[: -self.keep]:
            old.unlink(missing_ok=True)

    def mark_best(self, path: Path) -> None:
        """Let ``best.safetensors`` be this checkpoint."""
        with replacing(self.folder / "best.safetensors", durable=True) as unfinished:
            unfinished.unlink()
            try:
                unfinished.hardlink_to(path)
            except OSError:  # a file system without links
                shutil.copyfile(path, unfinished)

    def __repr__(self) -> str:
        """Show where, and how many there are."""
        return (
            f"<Checkpoints in {self.folder}: {counted(len(self.paths), 'file')}, keep={self.keep}>"
        )


@guarded
def write_state(state: Mapping[str, Any], path: Path) -> None:
    """Write nested dicts and lists of arrays, numbers and strings.

    Raises
    ------
    DtypeError
        If something in it is of another kind.
    OSError
        If the file cannot be written; an old one is as it was.
    """
    arrays: dict[str, Any] = {}
    text = _packed(state, "", arrays)
    header = {"format": FORMAT, "graphgrad": __version__, "state": text}
    # one entry: the order of several would differ from file to file
    write(arrays, path, {CHECKPOINT: json.dumps(header, separators=(",", ":"))})


@guarded
def read_state(path: str | Path) -> dict[str, Any]:
    """Read what ``write_state`` wrote; tuples come as lists.

    Raises
    ------
    FileFormatError
        If it is damaged, no checkpoint, or of a newer format.
    OSError
        If it cannot be read.
    """
    arrays, metadata = read(Path(path))
    if CHECKPOINT not in metadata:
        message = f"{path} is no checkpoint, but weights alone; nn.load reads them"
        raise FileFormatError(message)
    try:
        header = json.loads(metadata[CHECKPOINT])
        number, version, text = header["format"], header["graphgrad"], header["state"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FileFormatError(f"{path} is damaged: {error!r} in its metadata") from error
    if not isinstance(number, int) or number > FORMAT:
        message = f"{path} was written by graphgrad {version}, in format {number}; this one reads "
        raise FileFormatError(f"{message}format {FORMAT}: install the newer one")
    try:
        state = _unpacked(text, arrays)
    except (KeyError, TypeError, RecursionError) as error:
        raise FileFormatError(f"{path} is damaged: {error!r} in its metadata") from error
    if not isinstance(state, dict):
        raise FileFormatError(f"{path} is damaged: its state is no dict")
    return state


def _packed(value: Array, name: str, arrays: dict[str, Any]) -> Any:
    """Take out the arrays by name; what is left goes into JSON."""
    if isinstance(value, Mapping):
        return {
            _text(k): _packed(v, f"{name}.{k}" if name else k, arrays) for k, v in value.items()
        }
    if isinstance(value, list | tuple):
        return [_packed(v, f"{name}.{i}", arrays) for i, v in enumerate(value)]
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "dtype"):
        while name in arrays:  # "a.b" may be b of a, or a name with a dot
            name += "'"
        arrays[name] = value
        return {ARRAY: name}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    message = f"a checkpoint holds arrays, numbers and strings; {name} is a {type(value).__name__}"
    raise DtypeError(message)


def _unpacked(value: Array, arrays: Mapping[str, Any]) -> Any:
    """Put the arrays back."""
    if isinstance(value, dict):
        if value.keys() == {ARRAY}:
            return arrays[value[ARRAY]]
        return {k: _unpacked(v, arrays) for k, v in value.items()}
    return [_unpacked(v, arrays) for v in value] if isinstance(value, list) else value


def _text(key: Any) -> str:
    if not isinstance(key, str):
        raise DtypeError(f"a checkpoint has names, not the key {key!r}")
    return key
