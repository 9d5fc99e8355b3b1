"""
Clients that take their time: `python -m … PORT KIND COUNT SECONDS`.

headers   send a request's headers one byte at a time
body      send its body one byte at a time
unread    ask for large answers and never read them
silent    connect and say nothing

One that is hung up on comes back. Prints a line when all of them are connected.
"""

import random
import selectors
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress

_BYTE_EVERY_SECONDS = 4
_SMALLEST_BUFFER = 4096
_LARGE = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"

_HEADERS = b"POST /api/v1/payments HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Padding: " + b"a" * 4000
_BODY = (
    b"POST /api/v1/payments HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: 4000\r\n\r\n"
)
_ASK = f"GET {_LARGE} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()

Opening = Callable[[socket.socket], None]
KINDS: dict[str, tuple[Opening, bytes]] = {
    "headers": (lambda client: client.sendall(_HEADERS[:20]), b"a"),
    "body": (lambda client: client.sendall(_BODY), b" "),
    "unread": (lambda client: client.sendall(_ASK * 40), b""),
    "silent": (lambda client: None, b""),
}


class SlowClients:
    """So many of a kind, in one thread."""

    def __init__(self, port: int, kind: str, count: int) -> None:
        self._port = port
        self._opening, self._drop = KINDS[kind]
        self._reads = kind != "unread"
        self._selector = selectors.DefaultSelector()
        self._due: dict[socket.socket, float] = {}
        for _ in range(count):
            self._connect()

    def run(self, seconds: float) -> None:
        """Go on for so long."""
        over = time.monotonic() + seconds
        while time.monotonic() < over:
            for key, _ in self._selector.select(timeout=0.1):
                self._hear(key.fileobj)  # type: ignore[arg-type]
            self._trickle()

    def _connect(self) -> None:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALLEST_BUFFER)
        client.connect(("127.0.0.1", self._port))
        with suppress(OSError):
            self._opening(client)
        client.setblocking(False)
        if self._reads:
            self._selector.register(client, selectors.EVENT_READ)
        self._due[client] = time.monotonic() + random.uniform(0, _BYTE_EVERY_SECONDS)  # noqa: S311

    def _trickle(self) -> None:
        now = time.monotonic()
        for client in [client for client, due in self._due.items() if due <= now]:
            self._due[client] = now + _BYTE_EVERY_SECONDS
            try:
                client.send(self._drop)
            except BlockingIOError:
                pass
            except OSError:
                self._come_back(client)

    def _hear(self, client: socket.socket) -> None:
        with suppress(OSError):
            if client.recv(65536):
                return
        self._come_back(client)

    def _come_back(self, client: socket.socket) -> None:
        del self._due[client]
        if self._reads:
            self._selector.unregister(client)
        client.close()
        with suppress(OSError):
            self._connect()


def main(port: str, kind: str, count: str, seconds: str) -> None:
    """Be a nuisance."""
    clients = SlowClients(int(port), kind, int(count))
    sys.stdout.write("connected\n")
    sys.stdout.flush()
    clients.run(float(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
