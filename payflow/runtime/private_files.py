"""Files that only their owner may read: how they are opened, and how older ones become so."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

UMASK = 0o077
"""For every process of ours: what it creates is its owner's alone."""
_KEPT_BITS = 0o700
_LOG_LIMIT_BYTES = 10_000_000


def open_private(path: Path) -> BinaryIO:
    """Opens a file of mode 0600 for appending, whatever the umask."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def open_log(path: Path) -> BinaryIO:
    """Opens a log for appending; one that has grown long is put aside as `.log.1` first."""
    if path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return open_private(path)


class LogFile:
    """A log that is put aside whenever it has grown long, so that two of them bound the disk."""

    def __init__(self, path: Path, *, limit_bytes: int = _LOG_LIMIT_BYTES) -> None:
        self._path, self._limit_bytes = path, limit_bytes
        self._file = open_log(path)

    def write(self, line: bytes) -> None:
        """Appends a line, for everybody to see at once."""
        if self._file.tell() > self._limit_bytes:
            self._file.close()
            self._path.replace(self._path.with_suffix(".log.1"))
            self._file = open_private(self._path)
        self._file.write(line)
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def tighten(paths: Iterable[Path]) -> None:
    """Takes from these files and directories, and all below them, what group and others may do."""
    for path in paths:
        _close_to_others(path)
        if path.is_dir() and not path.is_symlink():
            tighten(path.iterdir())


def _close_to_others(path: Path) -> None:
    # A file may go meanwhile, or belong to somebody else; then its mode is not ours to change.
    with suppress(OSError):
        mode = path.lstat().st_mode
        if not path.is_symlink() and mode & ~_KEPT_BITS & 0o777:
            path.chmod(mode & _KEPT_BITS)
