"""What reaches the server's socket without being a request: real gunicorn, raw bytes."""

import json
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from payflow.runtime.bench.slow import slow_clients
from payflow.runtime.bench.slow_clients import KINDS
from payflow.runtime.scratch import free_port
from payflow.tests import processes

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("processes")]

SLOW_OF_EACH_KIND = 60
PATIENCE_SECONDS = 3
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
_HOST = b" HTTP/1.1\r\nHost: 127.0.0.1\r\n"
PATHS = {
    b"GET /api/v1/health" + _HOST + b"SCRIPT_NAME: /api\r\n\r\n": b"200",
    b"GET /x/api/v1/health" + _HOST + b"SCRIPT_NAME: /x\r\n\r\n": b"404",
    b"GET /x/metrics" + _HOST + b"Script-Name: /x\r\nX-Script-Name: /x\r\n\r\n": b"404",
    b"GET /api/v1/x/metrics" + _HOST + b"SCRIPT_NAME: /api/v1/x\r\n\r\n": b"404",
    b"GET http://127.0.0.1/api/v1/health" + _HOST + b"\r\n": b"200",
    b"GET //api/v1/health" + _HOST + b"\r\n": b"400",
    b"POST /api/v1/payments" + _HOST + b"Transfer-Encoding: xchunked\r\n\r\n": b"400",
    b"POST /api/v1/payments" + _HOST + b"Transfer-Encoding: chunked\r\n\r\n": b"411",
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

    def test_nothing_shifts_a_path(self, web: processes.Process, port: int) -> None:
        for raw, status in PATHS.items():
            assert exchange(port, raw)[9:12] == status, raw

    def test_slow_clients_keep_nobody_waiting(self, web: processes.Process, port: int) -> None:
        with slow_clients(port, dict.fromkeys(KINDS, SLOW_OF_EACH_KIND)):
            assert all(is_answered(port) for _ in range(20))

    def test_a_server_that_gives_them_threads_fails_that(self, tmp_path: Path, port: int) -> None:
        with processes.web(tmp_path, port, GUNICORN_CMD_ARGS="-k gthread --threads 8") as naive:
            naive.start()
            with slow_clients(port, {"body": SLOW_OF_EACH_KIND}):
                assert not all(is_answered(port) for _ in range(2))


def is_answered(port: int) -> bool:
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/api/v1/health", timeout=PATIENCE_SECONDS
        ) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


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
