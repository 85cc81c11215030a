"""Atomic writes, and lock files."""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

UNFINISHED = ".unfinished"  # suffix of files that are being written


@contextlib.contextmanager
def atomic_write(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path to write to, and rename it to ``path`` at the end of the block.

    If the block raises, an old file stays. The new file gets the old one's permissions and, if the
    system allows it, its owner. If ``path`` is a symbolic link, its target is replaced. The
    temporary file exists, empty; every thread and process gets its own.

    With ``durable``, content and name are flushed to the disk at the end of the block.

    Raises
    ------
    OSError
        If it cannot be written, or ``path`` is a folder or a device.
    """
    if "\0" in str(path):  # for which Python raises ValueError
        raise OSError(errno.EINVAL, "a path has no NUL character", str(path))
    target = Path(os.path.realpath(path))
    old = _status(target)
    unfinished = target.with_name(
        f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}{UNFINISHED}"
    )
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        if old is not None:
            _copy_permissions(unfinished, old)
        yield unfinished
        if old is not None and unfinished.stat().st_mode != old.st_mode:
            unfinished.chmod(stat.S_IMODE(old.st_mode))
        if durable:
            _flush(unfinished)
        unfinished.replace(target)
        if durable and os.name == "posix":  # other systems cannot open folders
            _flush(target.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _status(path: Path) -> os.stat_result | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise FileExistsError(errno.EEXIST, "it is a device or pipe", str(path))
    return status


def _copy_permissions(path: Path, old: os.stat_result) -> None:
    if hasattr(os, "chown") and (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
        with contextlib.suppress(PermissionError):  # only root may change owners
            os.chown(path, old.st_uid, old.st_gid)
    # after the owner, since chown clears bits; readable and writable for us until the end
    path.chmod(stat.S_IMODE(old.st_mode) | stat.S_IRUSR | stat.S_IWUSR)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def file_lock(lock: Path) -> Iterator[None]:
    """Hold a lock file, which the operating system releases even if the process is killed.

    Raises
    ------
    BlockingIOError
        If this or another process already holds it.
    OSError
        If it cannot be made, or the file system has no locks.
    """
    import sqlite3  # SQLite's locks work on every system; some Pythons lack sqlite3

    while True:
        connection = None
        try:
            before = lock.stat().st_ino if lock.exists() else None
            connection = sqlite3.connect(lock, timeout=0, isolation_level=None)
            connection.execute("BEGIN EXCLUSIVE")
            now = lock.stat().st_ino if lock.exists() else None
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            if "locked" in str(error):
                raise BlockingIOError(
                    errno.EAGAIN, "another process holds it", str(lock)
                ) from error
            raise OSError(errno.ENOLCK, str(error), str(lock)) from error
        if now is not None and before in (None, now):
            break
        connection.close()  # its last holder has just removed it: our lock has no name
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # some systems cannot remove an open file
            lock.unlink()
        connection.close()
