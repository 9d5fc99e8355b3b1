"""A lock that dies with its holder, and says who holds it."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class LockFile:
    """
    An exclusive `flock` on a file whose content describes the holder.

    The kernel releases it when the process ends in whatever way, so a stale one cannot exist.
    Children do not inherit it: Python's descriptors are closed on exec.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def acquire(self, description: str) -> bool:
        """Takes the lock and signs it; False when somebody else has it."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, description.encode(), 0)
        self._descriptor = descriptor
        return True

    def holder(self) -> str:
        """What the holder wrote about itself; empty in the instant before it has."""
        return self.path.read_text().strip()

    def release(self) -> None:
        """Gives the lock back. The file stays: removing it would race with the next holder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
