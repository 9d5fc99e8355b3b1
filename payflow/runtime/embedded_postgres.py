"""A PostgreSQL server of our own: initialised, started, healed and stopped with the caller."""

import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import psycopg

from payflow.runtime import variables
from payflow.runtime.errors import AlreadyRunning, Cancelled, CannotStart
from payflow.runtime.lock_file import LockFile
from payflow.runtime.postgres_leftovers import pid_file_lines, postmaster_pid, stop_leftovers
from payflow.runtime.postgres_place import Place, choose_place
from payflow.runtime.postgres_roles import (
    APP,
    BROKER,
    BROKER_DATABASE,
    DATABASE,
    OWNER,
    SUPERUSER,
    Logins,
    prepare_databases,
)
from payflow.runtime.postgres_settings import server_settings
from payflow.runtime.private_files import open_log
from payflow.runtime.processes import wait_until
from payflow.runtime.secrets_file import SecretsFile, write_private

# Below every system's ephemeral range: a client that knocks at a closed port of that range can be
# given the same number as its own, connect to itself, and so take the port from the server.
_PORTS = range(15432, 30000)
_START_ATTEMPTS = 4
_PATIENCE_SECONDS = 5
_RECOVERY_SECONDS = 600

_BUILTIN_LOCALES_SINCE = 17
_STATUS_LINE = 7
"""Of `postmaster.pid`, counted from zero: `starting`, `ready`, `stopping`."""


def _ignore(_: object) -> None:
    pass


def _never() -> bool:
    return False


class EmbeddedPostgres:
    """
    One PostgreSQL server for one home, as a context manager or by `start()` and `stop()`.

    `start()` works from every state a crash can leave: a half-made data directory, a server or
    backends still running, a stale pid file, missing roles. It can be called again when the server
    has died (`is_running`). With `durable=False` a power cut may destroy the data: for tests only.

    `report` hears, in words, what is unusual; `on_launch` gets the pid of every server process as
    soon as there is one; `is_cancelled` is asked while waiting for crash recovery.
    """

    def __init__(
        self,
        home: Path,
        *,
        durable: bool = True,
        report: Callable[[str], None] = _ignore,
        on_launch: Callable[[int], None] = _ignore,
        is_cancelled: Callable[[], bool] = _never,
    ) -> None:
        self.home = home.absolute()
        self.durable = durable
        self._report = report
        self._on_launch = on_launch
        self._is_cancelled = is_cancelled
        self._lock = LockFile(self.home / "postgres.lock")
        self._logins = Logins(SecretsFile(self.home / "secrets.env"), secrets.token_hex)
        self._place: Place | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._port: int | None = None

    @classmethod
    def run_by_another(cls, home: Path) -> Self:
        """
        The server that another process keeps running for this home, for its URLs alone.

        Raises:
            CannotStart: none was ever started here.

        """
        server = cls(home)
        try:
            server._port = int(server._port_file.read_text())
        except (OSError, ValueError):
            raise CannotStart(f"No PayFlow was ever started in {home}.") from None
        return server

    # Starting and stopping ---------------------------------------------------------------------

    def start(self) -> Self:
        """
        Starts the server and returns when roles and databases are there and it answers.

        Raises:
            AlreadyRunning: another process runs the server of this home.
            CannotStart: with the last lines of the server's log, or what is missing.
            Cancelled: `is_cancelled` became true.

        """
        variables.forget_libpq()
        self._take_home()
        try:
            self._place = self._choose_place()
            stop_leftovers(self._place, self._report)
            self._reap()
            self._initialise(self._place)
            self._launch(self._place)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self, seconds: float = 10) -> None:
        """Shuts the server down, with force after the given time; nothing happens when it is."""
        if self._process is not None:
            self._shut_down(self._process, seconds)
            self._process = None
        self._lock.release()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # Queries -----------------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether the server process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def port(self) -> int:
        """The port on 127.0.0.1; the same at every start as long as nobody else takes it."""
        if self._port is None:
            raise CannotStart("The embedded PostgreSQL has not been started.")
        return self._port

    @property
    def pid(self) -> int:
        """The server's process and process group; SIGINT to it is a clean shutdown."""
        if self._process is None:
            raise CannotStart("The embedded PostgreSQL is not running.")
        return self._process.pid

    @property
    def area(self) -> Path:
        """The directory that holds this server's data; outside the home in some cases as root."""
        if self._place is None:
            raise CannotStart("The embedded PostgreSQL has not been started.")
        return self._place.area

    @property
    def owner_url(self) -> str:
        """For migrations: owns the database `payflow` and may create others."""
        return self._logins.url(OWNER, DATABASE, self.port)

    @property
    def app_url(self) -> str:
        """For serving: may connect, and do what migrations have granted."""
        return self._logins.url(APP, DATABASE, self.port)

    @property
    def broker_url(self) -> str:
        """For Celery: kombu's PostgreSQL transport on a database with the `pgmq` functions."""
        return self._logins.url(BROKER, BROKER_DATABASE, self.port, scheme="pgmq")

    def superuser_url(self, database: str = "postgres") -> str:
        """For administration only."""
        return self._logins.url(SUPERUSER, database, self.port)

    @property
    def _port_file(self) -> Path:
        return self.home / "postgres.port"

    @property
    def log_file(self) -> Path:
        """What the server writes."""
        return self.home / "logs" / "postgres.log"

    # Steps of a start --------------------------------------------------------------------------

    def _take_home(self) -> None:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._lock.is_held and not self._lock.acquire(f"pid {os.getpid()}"):
            holder = self._lock.holder() or "another process"
            raise AlreadyRunning(f"The PostgreSQL server of {self.home} is in use by {holder}.")

    def _choose_place(self) -> Place:
        is_new = not self._logins.exist
        place = choose_place(self.home, is_new=is_new, report=self._report)
        if is_new and place.data.exists():
            raise CannotStart(
                f"There are data in {place.data}, but {self.home / 'secrets.env'} does not hold "
                "their password. Bring that file back, or move the data away to start anew."
            )
        return place

    def _initialise(self, place: Place) -> None:
        """Creates the data directory as a whole: in a draft that is renamed when complete."""
        if place.data.exists():
            self._check_version(place)
            return
        for abandoned in place.area.glob("draft-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        # A new name each time: the initdb of a killed start may still be writing into its own.
        draft = Path(tempfile.mkdtemp(prefix="draft-", dir=place.area))
        place.user.own(draft)
        self._initdb(place, draft / "data", self._password_file(place, draft))
        (draft / "data").rename(place.data)
        shutil.rmtree(draft)

    def _password_file(self, place: Place, directory: Path) -> Path:
        file = directory / "password"
        write_private(file, self._logins.password(SUPERUSER))
        place.user.own(file)
        return file

    def _initdb(self, place: Place, directory: Path, password_file: Path) -> None:
        command = [str(place.binaries / "initdb"), "-D", str(directory), "-U", SUPERUSER]
        command += ["--auth=scram-sha-256", f"--pwfile={password_file}", "-E", "UTF8"]
        command += ["--locale=C"]
        if place.major_version >= _BUILTIN_LOCALES_SINCE:
            command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        answer = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
            **place.user.popen_options,
        )
        if answer.returncode != 0:
            raise CannotStart(f"initdb failed:\n{answer.stderr.strip()}")

    def _check_version(self, place: Place) -> None:
        made_by = (place.data / "PG_VERSION").read_text().strip()
        if made_by != str(place.major_version):
            raise CannotStart(
                f"The data in {place.data} are of PostgreSQL {made_by}, the programs in "
                f"{place.binaries} of {place.version}. Dump and restore, or use the old programs."
            )

    def _launch(self, place: Place) -> None:
        for attempt in range(1, _START_ATTEMPTS + 1):
            self._port = self._choose_port()
            self._process = self._spawn(place)
            if self._becomes_ready(place, self._process) and self._prepares(self._process):
                return
            # A port taken in this very moment, shared memory not yet given back, or killed again:
            # worth trying again. What lasts is reported with the server's own words.
            stop_leftovers(place, self._report)
            self._reap()
            time.sleep(0.2 * attempt)
        raise CannotStart(f"PostgreSQL does not start; {self.log_file} ends with\n{self._tail()}")

    def _reap(self) -> None:
        # A server of ours that `stop_leftovers` has just ended is still our child.
        if self._process is not None:
            self._process.wait(timeout=_PATIENCE_SECONDS)
            self._process = None

    def _spawn(self, place: Place) -> subprocess.Popen[bytes]:
        command = [str(place.binaries / "postgres"), "-D", str(place.data)]
        for name, value in server_settings(place.major_version, durable=self.durable).items():
            command += ["-c", f"{name}={value}"]
        command += ["-c", f"port={self.port}"]
        with self._open_log() as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **place.user.popen_options,
            )
        self._on_launch(process.pid)
        return process

    def _becomes_ready(self, place: Place, process: subprocess.Popen[bytes]) -> bool:
        """Waits for the server; False when it ends instead. Crash recovery may take its time."""
        started = time.monotonic()
        tell = self._report
        while process.poll() is None:
            if postmaster_pid(place) == process.pid and _says_ready(pid_file_lines(place)):
                return True
            waited = time.monotonic() - started
            if waited > _PATIENCE_SECONDS:
                tell("PostgreSQL is recovering from a crash; this can take some minutes")
                tell = _ignore
            self._give_up_after(waited)
            time.sleep(0.02)
        return False

    def _prepares(self, process: subprocess.Popen[bytes]) -> bool:
        """Brings roles and databases into their state; False when the server ends meanwhile."""
        try:
            prepare_databases(self._logins, self.port)
        except psycopg.OperationalError:
            if wait_until(lambda: process.poll() is not None, _PATIENCE_SECONDS):
                return False
            raise
        return True

    def _give_up_after(self, waited_seconds: float) -> None:
        if self._is_cancelled():
            raise Cancelled("Stopped while PostgreSQL was starting.")
        if waited_seconds > _RECOVERY_SECONDS:
            raise CannotStart(f"PostgreSQL was not ready after {_RECOVERY_SECONDS} seconds.")

    def _shut_down(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        # Fast (sessions are ended, data flushed), immediate (recovery at next start), by force.
        steps = [(signal.SIGINT, seconds), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)]
        for number, patience in steps:
            process.send_signal(number)
            if wait_until(lambda: process.poll() is not None, patience):
                return

    # Port and log ------------------------------------------------------------------------------

    def _choose_port(self) -> int:
        file = self._port_file
        stored = file.read_text().strip() if file.exists() else ""
        if stored.isdigit() and is_free(int(stored)):
            return int(stored)
        port = next(port for port in random.sample(_PORTS, len(_PORTS)) if is_free(port))
        write_private(file, f"{port}\n")
        return port

    def _open_log(self) -> BinaryIO:
        self.log_file.parent.mkdir(mode=0o700, exist_ok=True)
        return open_log(self.log_file)

    def _tail(self) -> str:
        lines = self.log_file.read_text(errors="replace").splitlines()
        return "\n".join(lines[-10:])


def _says_ready(pid_file: list[str]) -> bool:
    return len(pid_file) > _STATUS_LINE and pid_file[_STATUS_LINE].strip() == "ready"


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        # As the server itself does: connections in TIME_WAIT do not make a port busy.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
