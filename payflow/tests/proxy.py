"""A TCP proxy that a test can cut, mend, or make swallow what the server says."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Proxy:
    """Passes connections on to a server on 127.0.0.1; ends with the `with` block."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._lock = threading.Lock()
        self._links: list[_Link] = []
        self._listener = _listening(0)
        self.port: int = self._listener.getsockname()[1]
        self._accept()

    def cut(self) -> None:
        """Close every connection and refuse new ones."""
        # Waking the thread that accepts: closing alone would leave it waiting.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            link.close()

    def mend(self) -> None:
        """Accept connections again, on the same port."""
        self._listener = _listening(self.port)
        self._accept()

    def deafen(self) -> None:
        """From now on swallow what the server says, on the connections there are now."""
        with self._lock:
            for link in self._links:
                link.swallows = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cut()

    def _accept(self) -> None:
        threading.Thread(target=self._run, args=(self._listener,), daemon=True).start()

    def _run(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port), timeout=5)
            except OSError:
                if listener.fileno() == -1 or listener is not self._listener:
                    return
                continue
            server.settimeout(None)
            link = _Link(client, server)
            with self._lock:
                self._links.append(link)
            link.start()


class _Link:
    """One connection and its two threads."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._client, self._server = client, server
        self.swallows = False

    def start(self) -> None:
        for one, other in ((self._client, self._server), (self._server, self._client)):
            threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def close(self) -> None:
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                if not (self.swallows and one is self._server):
                    other.sendall(data)
        self.close()


def _listening(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(64)
    return listener
