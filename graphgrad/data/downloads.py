"""Fetching published files once: mirrors, checksums, a cache of the user's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from graphgrad.errors import DownloadError, UnsupportedError


class Published(NamedTuple):
    """A file that can be fetched."""

    name: str
    checksum: str  # "sha256:…" or "md5:…"
    mirrors: Sequence[str]  # folders, with a slash at the end


def cache_folder() -> Path:
    """Return where downloads go: ``graphgrad`` in the user's cache folder."""
    return Path(_pooch().os_cache("graphgrad"))


def fetched(file: Published, folder: str | Path | None, download: bool) -> Path:
    """Return the path of a file, from a folder or the cache, downloading it if it must be.

    The checksum is verified, whoever put the file there. A download goes to a temporary file
    that is renamed once it is whole and right, with a progress bar on the way.

    Raises
    ------
    DownloadError
        If it is not there and cannot be had, saying which file to put where; or if what is
        there is not the published file.
    """
    pooch = _pooch()
    place = Path(folder).expanduser() if folder is not None else cache_folder()
    path = place / file.name
    if path.exists():
        if not pooch.hashes.hash_matches(str(path), file.checksum):
            message = f"{path} is not the published file: its {file.checksum.partition(':')[0]} "
            raise DownloadError(f"{message}checksum differs; remove it to have it fetched anew")
        return path
    reasons = []
    if download:
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"{file.name} would go to {place}: {error.strerror}; name another folder"
            raise DownloadError(message) from error
        for mirror in file.mirrors:
            try:
                pooch.retrieve(
                    mirror + file.name,
                    file.checksum,
                    file.name,
                    place,
                    progressbar=True,
                )
            except Exception as error:  # noqa: BLE001 - of any kind: the next mirror may do
                why = getattr(error, "strerror", None) or type(error).__name__
                reasons.append(f"{mirror}: {why}")
            else:
                return path
    tried = "; ".join(reasons) or "download=False"
    message = f"{file.name} is not in {place} ({tried}); get it from {file.mirrors[0]}{file.name}"
    raise DownloadError(f"{message} and put it there")


def _pooch() -> Any:
    try:
        import pooch
    except ImportError as error:
        message = "downloads need pooch: pip install 'graphgrad[train]'"
        raise UnsupportedError(message) from error
    pooch.get_logger().setLevel("WARNING")  # it would announce each file
    return pooch
