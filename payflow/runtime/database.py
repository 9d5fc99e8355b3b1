"""The embedded server as a part of the supervisor: recorded, reported, started again."""

import signal
import time
from collections.abc import Callable

from payflow.runtime.configuration import Configuration
from payflow.runtime.console import Console
from payflow.runtime.embedded_postgres import EmbeddedPostgres
from payflow.runtime.errors import Cancelled, CannotStart
from payflow.runtime.register import Group, Register

NAME = "postgres"
_PAUSE_SECONDS = 5


class Database:
    """Keeps the embedded PostgreSQL of a home running, if the configuration needs one."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        console: Console,
        register: Register,
        is_cancelled: Callable[[], bool],
    ) -> None:
        self._console = console
        self._register = register
        self._recorded: int | None = None
        self._retry_at = 0.0
        self.server: EmbeddedPostgres | None = None
        if configuration.needs_postgres:
            self.server = EmbeddedPostgres(
                configuration.home.path,
                report=self._say,
                on_launch=self._record,
                is_cancelled=is_cancelled,
            )

    def start(self) -> None:
        """Starts the server and says so."""
        if self.server is not None:
            started = time.monotonic()
            self.server.start()
            seconds = time.monotonic() - started
            self._say(f"ready on 127.0.0.1:{self.server.port} after {seconds:.1f} s")

    def tend(self) -> bool:
        """Starts the server again if it has died; True when it is now at another port."""
        server = self.server
        if server is None or server.is_running or time.monotonic() < self._retry_at:
            return False
        self._say("has ended; starting it again")
        port = server.port
        try:
            self.start()
        except Cancelled:
            return False
        except CannotStart as error:
            self._retry_at = time.monotonic() + _PAUSE_SECONDS
            self._say(f"{error}\ntrying again in {_PAUSE_SECONDS} s")
        return server.port != port

    def stop(self) -> None:
        """Shuts the server down."""
        if self.server is not None:
            self.server.stop()
        self._forget()

    def _record(self, pid: int) -> None:
        self._forget()
        self._recorded = pid
        self._register.add(Group.of_leader(pid, NAME, signal.SIGINT))

    def _forget(self) -> None:
        if self._recorded is not None:
            self._register.remove(self._recorded)
            self._recorded = None

    def _say(self, text: str) -> None:
        for line in text.splitlines():
            self._console.line(NAME, line)
