"""Bounded HTTP: what is certainly not sent, what is in doubt, and how long either may take."""

import http.client
import json
import socket
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest
from pytest_django import Settings

from payments.adapters import http_client
from payments.adapters.http_client import (
    BODY_LIMIT_BYTES,
    HttpClient,
    InDoubt,
    NetworkInsideTransaction,
    NotSent,
    Reply,
)
from payments.tests.adapters.peers import Peer, Talk, answer, request_of, reset
from shared.db import transaction

LIMIT_SECONDS = 1
SLACK_SECONDS = 1


@pytest.fixture(autouse=True)
def short_limits(settings: Settings) -> None:
    settings.PROCESSOR_TIMEOUT_SECONDS = LIMIT_SECONDS


def call(url: str, body: bytes | None = b"{}") -> Reply:
    return HttpClient(url).exchange("POST", "/path", headers={"X-Key": "k"}, body=body)


def answering(*answers: bytes) -> Talk:
    """Answer request after request of one connection."""

    def talk(connection: socket.socket) -> None:
        for content in answers:
            if not request_of(connection):
                return
            connection.sendall(content)
        connection.recv(1)

    return talk


def saying(content: bytes) -> Talk:
    """Read the request, say something and hang up."""

    def talk(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(content)

    return talk


class TestAnswers:
    def test_returns_status_headers_and_content(self) -> None:
        with Peer(
            answering(answer(b'{"a":1}', status="201 Created", headers="X-A: b\r\n"))
        ) as peer:
            reply = call(peer.url)
        assert (reply.status, reply.headers["x-a"], reply.json()) == (201, "b", {"a": 1})

    def test_sends_method_path_headers_and_body(self) -> None:
        heard: list[bytes] = []

        def talk(connection: socket.socket) -> None:
            heard.append(request_of(connection))
            connection.sendall(answer())

        with Peer(talk) as peer:
            call(peer.url + "/prefix/", b'{"b":2}')
        assert heard[0].startswith(b"POST /prefix/path HTTP/1.1\r\n")
        assert b"\r\nX-Key: k\r\n" in heard[0]
        assert heard[0].endswith(b'\r\n\r\n{"b":2}')

    def test_keeps_the_connection(self) -> None:
        with Peer(answering(*[answer()] * 3)) as peer:
            client = HttpClient(peer.url)
            for _ in range(3):
                client.exchange("GET", "/", headers={})
            assert peer.connections == 1

    def test_follows_no_redirect(self) -> None:
        moved = answer(status="302 Found", headers="Location: /elsewhere\r\n")
        with Peer(answering(moved, answer())) as peer:
            assert call(peer.url).status == 302

    def test_asks_no_proxy_of_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with Peer(answering(answer())) as proxy, Peer(answering(answer())) as peer:
            monkeypatch.setenv("http_proxy", proxy.url)
            monkeypatch.delenv("no_proxy", raising=False)
            assert urllib.request.getproxies()["http"] == proxy.url
            call(peer.url)
            assert (proxy.connections, peer.connections) == (0, 1)

    @pytest.mark.parametrize(
        ("reply", "reason"),
        [
            (Reply(502, {}, b"<html>"), "http_502"),
            (Reply(503, {}, b'{"fine":true}'), "http_503"),
            (Reply(200, {}, b"<html>"), "not_json"),
            (Reply(200, {}, b'{"half":'), "not_json"),
            (Reply(200, {}, b"[1]"), "not_json"),
            (Reply(200, {}, b"[" * 200_000), "not_json"),
            (Reply(200, {}, b"\xff\xfe"), "not_json"),
            (Reply(200, {}, b""), "not_json"),
        ],
    )
    def test_doubts_what_is_no_json_object(self, reply: Reply, reason: str) -> None:
        with pytest.raises(InDoubt) as caught:
            reply.json()
        assert caught.value.reason == reason


class TestCertainlyNotArrived:
    def test_refused(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        self._expect("connection_refused", f"http://127.0.0.1:{port}")

    def test_name_not_resolved(self) -> None:
        self._expect("name_not_resolved", "http://no-such-host.invalid")

    def test_connect_timeout(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http_client, "CONNECT_SECONDS", 0.2)
        # A listener with a full backlog lets nobody in and refuses nobody.
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            address = listener.getsockname()
            waiting = [socket.socket() for _ in range(8)]
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(address)
            self._expect("connect_timeout", f"http://127.0.0.1:{address[1]}")
            for one in waiting:
                one.close()

    def test_tls_that_fails(self) -> None:
        with Peer(lambda connection: connection.sendall(b"this is no TLS")) as peer:
            self._expect("tls_failed", peer.url.replace("http:", "https:"))

    def test_tls_that_hangs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http_client, "CONNECT_SECONDS", 0.2)
        with Peer(lambda connection: drain(connection)) as peer:
            self._expect("connect_timeout", peer.url.replace("http:", "https:"))

    def _expect(self, reason: str, url: str) -> None:
        with pytest.raises(NotSent) as caught:
            call(url)
        assert caught.value.reason == reason


def drain(connection: socket.socket) -> None:
    """Listen, and say nothing."""
    while connection.recv(65536):
        pass


def hang_up(connection: socket.socket) -> None:
    """Read the request, and reset the connection."""
    request_of(connection)
    reset(connection)


def drip(content: bytes, ending: threading.Event) -> Talk:
    """Say one byte at a time, always before a timeout between bytes would strike."""

    def talk(connection: socket.socket) -> None:
        request_of(connection)
        for byte in content:
            connection.sendall(bytes([byte]))
            if ending.wait(LIMIT_SECONDS / 10):
                return

    return talk


class TestInDoubt:
    @pytest.mark.parametrize(
        ("talk", "reason"),
        [
            (drain, "read_timeout"),
            (hang_up, "connection_lost"),
            (saying(b""), "connection_lost"),
            (saying(b"HTTP/1.1 2"), "connection_lost"),
            (saying(b"what?\r\n\r\n"), "connection_lost"),
            (saying(b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"half"'), "half_body"),
            (saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), "half_body"),
            (saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "half_body"),
            (saying(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n"), "connection_lost"),
            (answering(answer(b"x" * (BODY_LIMIT_BYTES + 1))), "answer_too_large"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_anything_after_the_request_left(self, talk: Talk, reason: str) -> None:
        with Peer(talk) as peer, pytest.raises(InDoubt) as caught:
            call(peer.url)
        assert caught.value.reason == reason

    @pytest.mark.parametrize(
        "content", [answer(b"x" * 1000), b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 1000]
    )
    def test_an_answer_that_drips_is_bounded(self, content: bytes) -> None:
        ending, before = threading.Event(), time.monotonic()
        with Peer(drip(content, ending)) as peer:
            with pytest.raises(InDoubt) as caught:
                call(peer.url)
            took_seconds = time.monotonic() - before
            ending.set()
        assert caught.value.reason == "read_timeout"
        assert took_seconds < LIMIT_SECONDS + SLACK_SECONDS

    def test_a_timeout_between_bytes_would_not_end_it(self) -> None:
        # The naive twin: a socket's own timeout, which every byte begins anew.
        ending = threading.Event()
        timer = threading.Timer(2 * LIMIT_SECONDS, ending.set)
        with Peer(drip(answer(b"x" * 1000), ending)) as peer:
            timer.start()
            before = time.monotonic()
            with suppress(OSError, http.client.HTTPException):
                urllib.request.urlopen(peer.url, timeout=LIMIT_SECONDS).read()
            assert time.monotonic() - before > 1.5 * LIMIT_SECONDS
            timer.join()

    def test_a_reset_of_a_kept_connection(self) -> None:
        # Whether the request was read before the reset, nobody can tell.
        def talk(connection: socket.socket) -> None:
            request_of(connection)
            connection.sendall(answer())
            request_of(connection)
            reset(connection)

        with Peer(talk) as peer:
            client = HttpClient(peer.url)
            client.exchange("POST", "/", headers={}, body=b"1")
            with pytest.raises(InDoubt):
                client.exchange("POST", "/", headers={}, body=b"2")
            assert peer.connections == 1, "it was sent again on another connection"

    def test_an_answer_nobody_asked_for_is_never_anothers(self) -> None:
        # The first answer twice, the second time when nobody waits for it any more.
        heard, repeated = threading.Event(), threading.Event()

        def repeat(connection: socket.socket) -> None:
            request_of(connection)
            connection.sendall(answer(b'{"said":"first"}'))
            heard.wait(timeout=5)
            connection.sendall(answer(b'{"said":"first"}'))
            repeated.set()
            connection.recv(1)

        talks = iter([repeat, answering(answer(b'{"said":"second"}'))])
        with Peer(lambda connection: next(talks)(connection)) as peer:
            client = HttpClient(peer.url)
            assert client.exchange("GET", "/", headers={}).json() == {"said": "first"}
            heard.set()
            assert repeated.wait(timeout=5)
            assert client.exchange("GET", "/", headers={}).json() == {"said": "second"}


@pytest.mark.django_db
class TestTransactions:
    def test_refuses_to_call_inside_one(self) -> None:
        with Peer(answering(answer())) as peer:
            with pytest.raises(NetworkInsideTransaction, match="Commit first"), transaction():
                call(peer.url)
            assert peer.connections == 0

    def test_calls_after_it(self) -> None:
        with Peer(answering(answer())) as peer:
            with transaction():
                pass
            assert call(peer.url).status == 200


class TestThreads:
    threads = 64
    rounds = 5

    def test_64_at_once_each_with_its_own_answer(self) -> None:
        everybody = threading.Barrier(self.threads)

        def echo(connection: socket.socket) -> None:
            while request := request_of(connection):
                everybody.wait(timeout=20)  # 64 are truly under way at once
                connection.sendall(answer(request.rpartition(b"\r\n\r\n")[2]))

        with Peer(echo) as peer:
            client = HttpClient(peer.url)
            with ThreadPoolExecutor(self.threads) as workers:
                wrong = workers.map(partial(self._wrong_answers, client), range(self.threads))
                assert sum(wrong) == 0
            assert peer.connections == self.threads, "connections are kept"

    def _wrong_answers(self, client: HttpClient, number: int) -> int:
        wrong = 0
        for turn in range(self.rounds):
            said = {"thread": number, "turn": turn}
            reply = client.exchange("POST", "/", headers={}, body=json.dumps(said).encode())
            wrong += reply.json() != said
        return wrong
