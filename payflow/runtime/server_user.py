"""The operating-system user that PostgreSQL runs as; it refuses to run as root."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from payflow.runtime.errors import CannotStart

UNPRIVILEGED = "nobody"


@dataclass(frozen=True)
class ServerUser:
    """Ourselves, or, when we are root, somebody unprivileged."""

    name: str
    uid: int
    gid: int

    @classmethod
    def for_data(cls, data: Path) -> Self:
        """The owner of existing data; otherwise ourselves, or `nobody` when we are root."""
        if os.geteuid() != 0:
            return cls(_name_of(os.geteuid()), os.geteuid(), os.getegid())
        if data.exists() and data.stat().st_uid != 0:
            owner = data.stat()
            return cls(_name_of(owner.st_uid), owner.st_uid, owner.st_gid)
        return cls._nobody()

    @classmethod
    def _nobody(cls) -> Self:
        try:
            entry = pwd.getpwnam(UNPRIVILEGED)
        except KeyError:
            raise CannotStart(
                f"PostgreSQL does not run as root and there is no user {UNPRIVILEGED!r} here; "
                "start PayFlow as an ordinary user."
            ) from None
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid)

    @property
    def is_somebody_else(self) -> bool:
        """Whether commands have to change their user."""
        return self.uid != os.geteuid()

    @property
    def popen_options(self) -> dict[str, Any]:
        """Arguments for `subprocess`: the user, a directory it can be in, no secrets of ours."""
        options: dict[str, Any] = {"cwd": "/", "env": _plain_environment()}
        if self.is_somebody_else:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options

    def own(self, path: Path) -> None:
        """Gives a file or directory to this user."""
        if self.is_somebody_else:
            os.chown(path, self.uid, self.gid)

    def can_write_in(self, directory: Path) -> bool:
        """Whether this user reaches the directory, through all its parents, and may write there."""
        script = 'test -w "$1" && test -x "$1"'
        return self._succeeds("/bin/sh", "-c", script, "sh", str(directory))

    def can_execute(self, program: Path) -> bool:
        """Whether this user reaches the program and can run it."""
        return self._succeeds(str(program), "--version")

    def _succeeds(self, *command: str) -> bool:
        # Tried instead of computed: mode bits alone know nothing of ACLs, mounts and containers.
        try:
            answer = subprocess.run(command, capture_output=True, check=False, **self.popen_options)
        except OSError:
            return False
        return answer.returncode == 0


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _plain_environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {"PATH": os.defpath, "LC_ALL": "C", **kept}
