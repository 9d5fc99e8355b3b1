"""`$PAYFLOW_HOME`: the one directory that holds everything a running PayFlow keeps outside code."""

import base64
import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from payflow.runtime import variables
from payflow.runtime.errors import AlreadyRunning, CannotStart
from payflow.runtime.lock_file import LockFile
from payflow.runtime.private_files import tighten
from payflow.runtime.secrets_file import SecretsFile

PROJECT = Path(__file__).resolve().parents[2]

_MODE_FOR_SERVER_USER = 0o711
"""Started by root, PostgreSQL runs as somebody else, who has to pass through to its data."""
_OURS = (
    "secrets.env",
    "run.lock",
    "children.json",
    "logs",
    "mail",
    "metrics",
    "sandbox.sqlite3*",
    "postgres.port",
    "postgres.lock",
    "celerybeat-schedule*",
)


@dataclass(frozen=True)
class Home:
    """
    The layout of a home; nothing in it is for others than its owner.

    secrets.env          generated secrets, mode 0600
    run.lock             held by the supervisor; its content names it
    children.json        process groups that are running, for the start after a crash
    logs/<part>.log      what each part has written
    mail/                e-mails, one file each, while no SMTP host is configured
    sandbox.sqlite3      the book of the sandbox, which is not ours (and its -wal and -shm)
    postgres/            the embedded server (postgres.port and postgres.lock beside it)
    metrics/             what the processes count, since the start
    celerybeat-schedule  when the beat last did what
    """

    path: Path

    @classmethod
    def from_environment(cls) -> Self:
        """`$PAYFLOW_HOME`, or `.payflow/` in the project."""
        named = variables.text("PAYFLOW_HOME")
        return cls(Path(named).expanduser().resolve() if named else PROJECT / ".payflow")

    def prepare(self) -> None:
        """
        Creates what is missing, and closes to others what an older start has left open.

        Raises:
            CannotStart: the home belongs to another user, or cannot be made.

        """
        try:
            for directory in (self.path, self.logs, self.mail):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise CannotStart(f"The home {self.path} cannot be used: {error}.") from None
        if not os.access(self.path, os.W_OK) or self._is_foreign:
            raise CannotStart(
                f"The home {self.path} belongs to another user. Start PayFlow as that user, or "
                "choose another home with PAYFLOW_HOME=…"
            )
        self._close_to_others()

    def _close_to_others(self) -> None:
        # Only what is ours by its name: a home may be a directory that holds other things, too.
        # PostgreSQL's own directory belongs to its user and is closed from the beginning.
        mode = self.path.stat().st_mode
        self.path.chmod(mode & (_MODE_FOR_SERVER_USER if os.geteuid() == 0 else 0o700))
        tighten(path for pattern in _OURS for path in self.path.glob(pattern))

    @property
    def _is_foreign(self) -> bool:
        return os.geteuid() not in (0, self.path.stat().st_uid)

    @property
    def logs(self) -> Path:
        """The directory of log files."""
        return self.path / "logs"

    @property
    def mail(self) -> Path:
        """The directory of e-mails."""
        return self.path / "mail"

    @property
    def children(self) -> Path:
        """The record of running process groups."""
        return self.path / "children.json"

    @property
    def metrics(self) -> Path:
        """The directory in which the processes add up what they count."""
        return self.path / "metrics"

    def forget_metrics(self) -> None:
        """Lets the counting begin anew, while no process of ours runs."""
        shutil.rmtree(self.metrics, ignore_errors=True)

    @property
    def beat_schedule(self) -> Path:
        """The file in which the beat remembers."""
        return self.path / "celerybeat-schedule"

    @property
    def sandbox_book(self) -> Path:
        """The file in which the sandbox remembers."""
        return self.path / "sandbox.sqlite3"

    @property
    def secrets(self) -> SecretsFile:
        """The file of generated secrets."""
        return SecretsFile(self.path / "secrets.env")

    def application_secrets(self) -> dict[str, str]:
        """The secrets of the application by variable name, generated at the first start."""
        generators = {
            "PAYFLOW_SECRET_KEY": lambda: secrets.token_urlsafe(50),
            "PAYFLOW_KEY_RING": _new_key_ring,
            "PAYFLOW_ADMIN_PASSWORD": lambda: secrets.token_urlsafe(15),
            "PAYFLOW_SANDBOX_SECRET": lambda: secrets.token_urlsafe(32),
        }
        return {name: self.secrets.value(name, make) for name, make in generators.items()}

    @contextmanager
    def locked(self, url: str) -> Generator[None]:
        """
        Holds the home for this process, which is about to serve at the URL.

        Raises:
            AlreadyRunning: saying where and as which process.

        """
        with LockFile(self.path / "run.lock") as lock:
            if not lock.acquire(f"{url} (pid {os.getpid()})"):
                raise AlreadyRunning(
                    f"PayFlow is already running at {lock.holder() or url}, home {self.path}."
                )
            yield


def _new_key_ring() -> str:
    return f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}"
