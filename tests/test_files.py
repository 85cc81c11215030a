"""A file is whole or as it was, even if others write to it, and keeps permissions and links."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.files import atomic_write, file_lock
from graphgrad.viz import plots

posix = pytest.mark.skipif(os.name != "posix", reason="permissions, links and devices of POSIX")


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def fail() -> None:
        with atomic_write(path, durable=True) as unfinished:
            unfinished.write_text("new")
            assert path.read_text() == "old"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with atomic_write(path, durable=True) as unfinished:
        unfinished.write_text("new")
    assert path.read_text() == "new"


def test_threads_that_write_to_one_path_never_tear_it(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    nn.save({"w": np.zeros(5000)}, path)
    torn: list[Any] = []

    def write(value: int) -> None:
        for _ in range(25):
            nn.save({"w": np.full(5000, value)}, path)

    writers = [threading.Thread(target=write, args=(value,)) for value in (1, 2, 3)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        w = nn.load(path)["w"]  # an error, were it damaged
        if np.unique(w).size != 1:
            torn.append(w)
    for writer in writers:
        writer.join()
    assert torn == []
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def _save(path: Path) -> object:
    return nn.save({"w": np.ones(2)}, path)


def _draw(path: Path) -> object:
    return gg.graph(gg.Tensor(1.0, requires_grad=True) * 2).render(path)


def _plot(path: Path) -> object:
    return plots.save(plots.figure(1, 1), path)


WRITERS: dict[str, Callable[[Path], object]] = {
    "x.safetensors": _save,
    "x.svg": _draw,
    "x.html": _draw,
    "x.png": _plot,
}


@posix
@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o400])
def test_a_file_keeps_its_permissions(tmp_path: Path, name: str, mode: int) -> None:
    path = tmp_path / name
    path.write_text("old")
    path.chmod(mode)
    WRITERS[name](path)
    assert path.read_bytes() != b"old"
    assert stat.S_IMODE(path.stat().st_mode) == mode


@posix
@pytest.mark.parametrize("name", WRITERS)
def test_a_link_stays_a_link(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "target"
    link = tmp_path / name
    link.symlink_to(target)
    for _ in range(2):  # while its target is not there yet, and when it is
        WRITERS[name](link)
        assert link.is_symlink()
        assert target.is_file()
        assert [p.name for p in target.parent.iterdir()] == ["target"]


@posix
def test_folders_and_devices_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="it is a device or pipe"):
        nn.save({"w": np.ones(2)}, tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        nn.save({"w": np.ones(2)}, tmp_path)


HOLD = """
import sys
from pathlib import Path
from graphgrad.files import file_lock
with file_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_has_one_owner_and_ends_with_its_process(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    command = [sys.executable, "-c", HOLD, str(lock)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError), file_lock(lock):
            pass
        process.kill()
        process.wait()
    with file_lock(lock), pytest.raises(BlockingIOError), file_lock(lock):
        pass
    with file_lock(lock):
        pass
    assert not lock.exists()


def test_a_lock_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="unable to open"), file_lock(tmp_path / "nowhere" / "lock"):
        pass
