"""The web server in this process, on a port of its own and with a clock that tests move."""

import gc
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from waitress import wasyncore

from payflow.runtime.web.server import Policy, Server
from payflow.runtime.web.worker import Threads

PATIENCE_SECONDS = 20


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Application:
    """Remembers what it was asked and answers what it is told to."""

    body: bytes = b"fine"
    environs: list[dict[str, Any]] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        self.environs.append(environ | {"body": environ["wsgi.input"].read()})
        self.entered.release()
        if environ["PATH_INFO"] == "/held":
            self.hold.wait(PATIENCE_SECONDS)
        start_response("200 OK", [("Content-Length", str(len(self.body)))])
        return [self.body]


@dataclass
class Serving:
    """A running server."""

    port: int
    application: Application
    clock: Clock
    server: Server
    connections: list[socket.socket] = field(default_factory=list)

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        """A new connection from an address of this machine."""
        connection = socket.socket()
        self.connections.append(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(PATIENCE_SECONDS)
        connection.bind((source, 0))
        connection.connect(("127.0.0.1", self.port))
        return connection

    def let_pass(self, seconds: float) -> None:
        """Move the clock, and wait until the loop has looked at it."""
        looked_at = self.clock.now + seconds
        self.clock.now = looked_at
        eventually(lambda: self.server._look_at > looked_at)

    def phases(self) -> list[str]:
        """What the connections wait for, oldest first."""
        return [connection.phase.value for connection in list(self.server.active_channels.values())]


@contextmanager
def serving(
    policy: Policy | None = None, application: Application | None = None
) -> Iterator[Serving]:
    """A server for the block."""
    listener = socket.create_server(("127.0.0.1", 0))
    loop: dict[int, Any] = {}
    pool, clock, over = Threads(4), Clock(), threading.Event()
    application = application or Application()
    server = Server(
        application, listener, pool=pool, loop=loop, policy=policy or Policy(), clock=clock
    )
    running = Serving(server.socket.getsockname()[1], application, clock, server)

    def turn() -> None:
        while not over.is_set():
            wasyncore.poll2(0.01, loop)

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        yield running
    finally:
        application.hold.set()
        for client in running.connections:
            client.close()
        over.set()
        thread.join()
        pool.shutdown()
        for connection in list(server.active_channels.values()):
            connection.handle_close()  # with the temporary files of what it had still to send
        wasyncore.close_all(loop)
        gc.collect()


def answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the next answer."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65536)
        assert chunk, f"closed after {received!r}"
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return int(status.split()[1]), headers, body


def problem(connection: socket.socket) -> dict[str, Any]:
    """The problem document that is answered, after which the connection ends."""
    status, headers, body = answer(connection)
    document: dict[str, Any] = json.loads(body)
    assert headers["content-type"] == "application/problem+json"
    assert document["status"] == status
    assert document["correlationId"] == headers["x-correlation-id"] != ""
    assert document["type"] == f"urn:payflow:problem:{document['code']}"
    assert is_closed(connection)
    return document


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has hung up; waits for it."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def eventually(holds: Callable[[], bool]) -> None:
    """Look until it holds."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < give_up_at, "it did not happen in time"
        time.sleep(0.005)
