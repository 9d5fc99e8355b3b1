"""A stand-in for a platform: it answers as it is told, and notes what reached it."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from payflow.client import Client, Patience
from shared.testing.signing import v1_signature, v2_signature

MERCHANT, KEY = "0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b11", "pk_test_secret"
LOST = "lost"
"""The connection is cut after the request was read: it may have happened."""


@dataclass(frozen=True)
class Received:
    """A request as it came over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str:
        return self.headers.get("idempotency-key", "")

    def is_signed(self, version: int) -> bool:
        at, signature = self.headers["x-timestamp"], self.headers["x-signature"]
        assert self.headers["x-merchant-id"] == MERCHANT
        if version == 1:
            return signature == v1_signature(KEY, at, self.body)
        return signature == v2_signature(KEY, at, self.method, self.target, self.key, self.body)


@dataclass
class Platform:
    """Answers with what is in its script, in order, and then with 200."""

    api: str = ""
    script: list[Any] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)

    def client(self, **options: Any) -> Client:
        patience = Patience(5, first_pause_seconds=0.001, longest_pause_seconds=0.01)
        return Client(self.api, MERCHANT, KEY, **({"patience": patience} | options))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    platform: ClassVar[Platform]

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Received(self.command, self.path, headers, self.rfile.read(length))
        self.platform.received.append(request)
        told = self.platform.script.pop(0) if self.platform.script else (200, {})
        if told == LOST:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        status, document, *more = told
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        for name, value in (more[0] if more else {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = do_PATCH = answer

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def stand_in() -> Iterator[Platform]:
    """One that serves on this machine, for the block."""
    platform = Platform()
    handler = type("Bound", (Handler,), {"platform": platform})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    platform.api = f"http://127.0.0.1:{server.server_port}/api/v1"
    yield platform
    server.shutdown()
    thread.join()
    server.server_close()


def refusal(status: int, code: str, **headers: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    """An answer for a script."""
    return status, {"code": code, "status": status}, headers
