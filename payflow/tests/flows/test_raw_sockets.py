"""What reaches the server's socket without being a request: real gunicorn, raw bytes."""

import json
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from payflow.runtime.scratch import free_port
from payflow.tests import processes

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("processes")]

HALF_A_BODY = (
    b"POST /api/v1/payments HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: 500\r\n\r\n{"
)
# Each is answered as a problem document, or the connection is closed without a word.
NO_REQUESTS = {
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "length and chunks": (
        b"POST /api/v1/payments HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "negative length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "folded header": b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n",
    "NUL in a header": b"GET / HTTP/1.1\r\nHost: a\r\nX-A: \0\r\n\r\n",
    "no HTTP": b"\x16\x03\x01 hello\r\n\r\n",
    "endless target": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture
def web(tmp_path: Path, port: int) -> Iterator[processes.Process]:
    with processes.web(tmp_path, port) as web:
        yield web.start()


class TestRawSockets:
    def test_what_is_no_request_is_refused_as_json(self, web: processes.Process, port: int) -> None:
        for name, raw in NO_REQUESTS.items():
            head, _, body = exchange(port, raw).partition(b"\r\n\r\n")
            assert b" 5" not in head[:12], name
            if head:
                assert b"application/problem+json" in head, (name, head)
                assert json.loads(body)["status"] >= 400, name

    def test_clients_that_stall_give_their_threads_back(
        self, web: processes.Process, port: int
    ) -> None:
        stalled = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        for connection in stalled:
            connection.sendall(HALF_A_BODY)

        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/health", timeout=30) as answer:
            assert answer.status == 200
        first = stalled[0].recv(12)
        assert first.startswith((b"HTTP/1.1 408", b"")), first
        for connection in stalled:
            connection.close()


def exchange(port: int, raw: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        connection.sendall(raw)
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
                head, found, body = answer.partition(b"\r\n\r\n")
                if found and b"content-length:" in head.lower():
                    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                    if len(body) >= length:
                        return answer
        except OSError:
            pass
        return answer
