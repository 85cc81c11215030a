"""Writing files so that nothing is lost: whole or not at all, and by one process at a time."""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

UNFINISHED = ".unfinished"  # how the names of files that are still being written end


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Give a temporary path to write to, and rename it to ``path`` once all went well.

    A file that was there stays until then; the new one takes over its permissions and, where the
    system allows it, its owner. Where ``path`` is a symbolic link, the file that it points to is
    replaced. The temporary file exists already, empty; threads and processes get one each.

    Durable: the new content and its name are on the disk, not only in the memory of the operating
    system, when the block is left.

    Raises
    ------
    OSError
        If it cannot be written, or ``path`` is a folder or a device.
    """
    if "\0" in str(path):  # for which Python has a ValueError, unlike for all other bad names
        raise OSError(errno.EINVAL, "no path holds a NUL character", str(path))
    target = Path(os.path.realpath(path))
    old = _status(target)
    unfinished = target.with_name(
        f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}{UNFINISHED}"
    )
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        if old is not None:
            _take_over(unfinished, old)
        yield unfinished
        if old is not None and unfinished.stat().st_mode != old.st_mode:
            unfinished.chmod(stat.S_IMODE(old.st_mode))
        if durable:
            _flush(unfinished)
        unfinished.replace(target)
        if durable and os.name == "posix":  # elsewhere folders cannot be opened
            _flush(target.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _status(path: Path) -> os.stat_result | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "a folder stands there", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise FileExistsError(errno.EEXIST, "a device or pipe stands there", str(path))
    return status


def _take_over(path: Path, old: os.stat_result) -> None:
    if hasattr(os, "chown") and (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
        with contextlib.suppress(PermissionError):  # only root gives files away
            os.chown(path, old.st_uid, old.st_gid)
    # after the owner, whose change takes bits away; we must be able to write until the end
    path.chmod(stat.S_IMODE(old.st_mode) | stat.S_IRUSR | stat.S_IWUSR)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def owned(lock: Path) -> Iterator[None]:
    """Hold a lock file, which the operating system releases however we end.

    Raises
    ------
    BlockingIOError
        If somebody else holds it, in this process or another.
    OSError
        If it cannot be made, or the file system has no locks.
    """
    import sqlite3  # its locks work on every system; not every Python is built with it

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
                raise BlockingIOError(errno.EAGAIN, "somebody holds it", str(lock)) from error
            raise OSError(errno.ENOLCK, str(error), str(lock)) from error
        if now is not None and before in (None, now):
            break
        connection.close()  # its last owner has just removed it: what we hold has no name
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # an open file stays on some systems
            lock.unlink()
        connection.close()
