"""HTTP as bytes: what is malformed is refused, and nothing ends the server."""

import json
import random
import socket

import pytest

from payflow.tests.sandbox.conftest import SECRET, Sandbox, new_key, order

HEAD = f"Host: x\r\nAuthorization: Bearer {SECRET}\r\n"


def talk(sandbox: Sandbox, *parts: bytes, shut: bool = True) -> bytes:
    """Everything the sandbox answers to these bytes."""
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as client:
        try:
            for part in parts:
                client.sendall(part)
            if shut:
                client.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        answer = b""
        try:
            while chunk := client.recv(65536):
                answer += chunk
        except ConnectionResetError:
            pass
        return answer


MALFORMED = [
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET /book\r\n\r\n",
    b"GET /book HTTP/1.0\r\n\r\n",
    b"GET book HTTP/1.1\r\n\r\n",
    b"GET /book HTTP/1.1\r\nno colon\r\n\r\n",
    b"GET /book HTTP/1.1\r\nA : b\r\n\r\n",
    b"GET /book HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"POST /book HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST /book HTTP/1.1\r\nContent-Length: 1e3\r\n\r\n",
    b"POST /book HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /book HTTP/1.1\r\nContent-Length: 70000\r\n\r\n",
    b"POST /book HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /book?" + b"&".join(b"a=%d" % n for n in range(99)) + b" HTTP/1.1\r\n\r\n",
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
]


class TestMalformed:
    @pytest.mark.parametrize("sent", MALFORMED, ids=lambda sent: str(sent[:40]))
    def test_is_refused_with_a_word(self, sandbox: Sandbox, sent: bytes) -> None:
        answer = talk(sandbox, sent)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(
            (b"HTTP/1.1 400 ", b"HTTP/1.1 411 ", b"HTTP/1.1 413 ", b"HTTP/1.1 431 ")
        )
        assert set(json.loads(body)) == {"error"}
        assert b"Connection: close" in head

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"\xff",
            b"[" * 60_000,
            b"NaN",
            b'{"amountMinor": 1e999}',
            b"null",
            b'"\\ud800"',
        ],
    )
    @pytest.mark.parametrize("path", ["/acquirers/sandbox/authorisations", "/control/chaos"])
    def test_json_is_refused(self, sandbox: Sandbox, path: str, body: bytes) -> None:
        method = "PUT" if "control" in path else "POST"
        head = f"{method} {path} HTTP/1.1\r\n{HEAD}Idempotency-Key: {new_key()}\r\n"
        sent = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        assert talk(sandbox, sent).startswith(b"HTTP/1.1 400 ")

    def test_noise_never_ends_it_nor_shows_a_trace(self, sandbox: Sandbox) -> None:
        dice = random.Random(20)
        valid = json.dumps(order()).encode()
        for _ in range(150):
            body = bytearray(valid)
            for _ in range(dice.randint(1, 6)):
                body[dice.randrange(len(body))] = dice.randrange(256)
            path = dice.choice(
                ["/acquirers/sandbox/authorisations", "/v1/payment_intents", "/bank/x"]
            )
            head = f"POST {path} HTTP/1.1\r\n{HEAD}Idempotency-Key: {new_key()}\r\n"
            sent = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + bytes(body)
            answer = talk(sandbox, sent)
            assert answer.startswith((b"HTTP/1.1 201 ", b"HTTP/1.1 4")), answer
            assert b"Traceback" not in answer
        assert sandbox.errors == ""


class TestConnections:
    def test_are_kept_and_pipelined(self, sandbox: Sandbox) -> None:
        one = f"GET /acquirers/sandbox/operations/x HTTP/1.1\r\n{HEAD}\r\n".encode()
        assert talk(sandbox, one * 3).count(b"HTTP/1.1 404 Not Found") == 3

    def test_a_body_that_is_too_long_is_told_so(self, sandbox: Sandbox) -> None:
        head = f"POST /book HTTP/1.1\r\n{HEAD}Content-Length: 500000\r\n\r\n".encode()
        assert talk(sandbox, head + b"x" * 500_000).startswith(b"HTTP/1.1 413 ")

    def test_are_closed_on_request(self, sandbox: Sandbox) -> None:
        one = f"GET /book HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n".encode()
        answer = talk(sandbox, one, shut=False)
        assert b"Connection: close" in answer

    def test_a_request_may_come_byte_by_byte(self, sandbox: Sandbox) -> None:
        one = f"GET /acquirers/sandbox/operations/x HTTP/1.1\r\n{HEAD}\r\n".encode()
        answer = talk(sandbox, *(one[n : n + 1] for n in range(len(one))))
        assert answer.startswith(b"HTTP/1.1 404 ")

    def test_half_a_body_is_no_request(self, sandbox: Sandbox) -> None:
        key = new_key()
        body = json.dumps(order()).encode()
        head = (
            f"POST /acquirers/sandbox/authorisations HTTP/1.1\r\n{HEAD}Idempotency-Key: {key}\r\n"
        )
        sent = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:-5]
        assert talk(sandbox, sent) == b""
        assert sandbox.lines(key=key) == []

    def test_listen_to_this_machine_only(self, sandbox: Sandbox) -> None:
        with socket.socket() as probe:
            try:
                probe.connect(("203.0.113.1", 9))
                own = probe.getsockname()[0]
            except OSError:
                own = "127.0.0.2"
        with socket.socket() as client, pytest.raises(OSError, match=r"refused|timed out"):
            client.settimeout(2)
            client.connect((own if own != "127.0.0.1" else "127.0.0.2", sandbox.port))
