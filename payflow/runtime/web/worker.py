"""A gunicorn worker whose connections are waitress's: one loop, and threads for whole requests."""

import os
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gunicorn.workers.base import Worker
from waitress import wasyncore

from payflow.runtime import variables
from payflow.runtime.web import limits
from payflow.runtime.web.server import LOOK_EVERY_SECONDS, Policy, Server
from shared.http.addresses import networks

_OTHER_FILES = 200
"""What a process opens besides connections: database, logs, metrics, temporary files."""
_FILES_PER_CONNECTION = 2
"""Itself, and the static file or the buffer that its answer comes from."""


class BufferingWorker(Worker):  # type: ignore[misc]  # gunicorn is not typed
    """Serves the sockets that gunicorn's arbiter shares among its workers."""

    def run(self) -> None:
        """Serve until told to stop, then finish what runs."""
        trusted = networks(variables.text("PAYFLOW_TRUSTED_PROXIES"))
        policy = Policy(trusted, most_connections=_room_for_connections())
        pool, loop = Threads(self.cfg.threads), dict[int, Any]()
        servers = [
            Server(self.wsgi, listener.sock, pool=pool, loop=loop, policy=policy)
            for listener in self.sockets
        ]
        while self.alive and self.ppid == os.getppid():
            self._turn(loop)
        self._finish(servers, loop)

    def _turn(self, loop: dict[int, Any]) -> None:
        wasyncore.poll2(LOOK_EVERY_SECONDS, loop)
        self.notify()

    def _finish(self, servers: list[Server], loop: dict[int, Any]) -> None:
        """Answer what has arrived as a whole; the arbiter ends us if that takes too long."""
        for server in servers:
            server.stop_accepting()
        give_up_at = time.monotonic() + self.cfg.graceful_timeout
        while any(server.is_busy for server in servers) and time.monotonic() < give_up_at:
            self._turn(loop)
            for server in servers:
                server.close_idle()


class Threads:
    """
    The application's threads, as waitress asks for them.

    A thread is started only when all others are busy: each keeps a database connection, and where
    a few requests a second arrive, a few connections are enough.
    """

    def __init__(self, most: int) -> None:
        self._executor = ThreadPoolExecutor(most, thread_name_prefix="request")

    def add_task(self, connection: Any) -> None:
        """Have a request answered that has arrived as a whole."""
        self._executor.submit(connection.service)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 0) -> bool:
        """Take no more."""
        self._executor.shutdown(wait=False, cancel_futures=cancel_pending)
        return True


def _room_for_connections() -> int:
    """How many connections to hold: as many as we mean to, or as the system's limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.CONNECTIONS * _FILES_PER_CONNECTION + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return limits.CONNECTIONS
    return min(limits.CONNECTIONS, (soft - _OTHER_FILES) // _FILES_PER_CONNECTION)
