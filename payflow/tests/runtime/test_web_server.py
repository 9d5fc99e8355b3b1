"""The server's limits, each by itself: sockets are real, only the clock is moved by hand."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from payflow.runtime.ports import free_port
from payflow.runtime.web import limits
from payflow.runtime.web.clients import Clients
from payflow.runtime.web.server import Policy
from payflow.tests.runtime.web_server import (
    PATIENCE_SECONDS,
    Application,
    Serving,
    answer,
    eventually,
    is_closed,
    problem,
    serving,
)
from shared.http.addresses import networks

# waitress leaves the temporary file of a long answer to the garbage collector when it copies the
# rest of it to a smaller one.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <_io:pytest.PytestUnraisableExceptionWarning"
)

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
HELD = b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n"


@pytest.fixture
def served() -> Iterator[Serving]:
    with serving() as running:
        yield running


def head(
    *fields: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: localhost"
) -> bytes:
    return b"\r\n".join([line, *([host] if host else []), *fields, b"", b""])


class TestTimes:
    def test_headers_have_ten_seconds_from_the_connection(self, served: Serving) -> None:
        silent, begun = served.connect(), served.connect()
        begun.sendall(GET[:-2])
        eventually(lambda: len(served.phases()) == 2)

        served.let_pass(limits.HEADER_SECONDS + 1)
        served.let_pass(limits.HEADER_SECONDS + 1)

        assert is_closed(silent)
        assert problem(begun)["code"] == "request_timeout"

    def test_drops_do_not_extend_them(self, served: Serving) -> None:
        client = served.connect()
        for byte in (GET[number : number + 1] for number in range(6)):
            client.sendall(byte)
            served.let_pass(3)
        assert problem(client)["code"] == "request_timeout"

    def test_a_body_has_thirty_seconds(self, served: Serving) -> None:
        client = served.connect()
        client.sendall(POST + b"a")
        eventually(lambda: served.phases() == ["body"])
        served.let_pass(1)

        served.let_pass(limits.BODY_SECONDS - 2)
        assert served.phases() == ["body"]
        served.let_pass(3)

        assert problem(client)["code"] == "request_timeout"
        assert served.application.environs == []

    def test_an_unread_answer_is_cut(self) -> None:
        with serving(application=Application(body=b"a" * 8_000_000)) as served:
            client = served.connect()
            client.sendall(GET)
            eventually(lambda: served.phases() == ["read"])
            for _ in range(3):  # until the system's buffers are full
                served.let_pass(1)
            served.let_pass(limits.UNREAD_SECONDS + 1)
            eventually(lambda: served.phases() == [])

    def test_one_that_is_read_slowly_is_not(self) -> None:
        with serving(application=Application(body=b"a" * 8_000_000)) as served:
            client = served.connect()
            client.sendall(GET)
            eventually(lambda: served.phases() == ["read"])
            for _ in range(4):
                before = next(iter(served.server.active_channels.values()))._sent_bytes
                served.let_pass(limits.UNREAD_SECONDS - 1)
                wanted = before + limits.UNREAD_BYTES

                def is_sent(wanted: int = wanted) -> bool:
                    client.recv(65536)
                    connections = served.server.active_channels.values()
                    return bool(next(iter(connections))._sent_bytes >= wanted)

                eventually(is_sent)
                served.let_pass(1)
            assert served.phases() == ["read"]

    def test_an_idle_connection_outlasts_a_proxys(self, served: Serving) -> None:
        client = served.connect()
        for _ in range(3):
            client.sendall(GET)
            assert answer(client)[0] == 200
            served.let_pass(1)
            served.let_pass(limits.IDLE_SECONDS - 1)
        assert served.phases() == ["idle"]
        served.let_pass(2)
        assert is_closed(client)

    def test_a_request_that_is_served_has_no_limit_here(self, served: Serving) -> None:
        client = served.connect()
        client.sendall(HELD)
        served.application.entered.acquire()
        for _ in range(3):
            served.let_pass(100)
        served.application.hold.set()
        assert answer(client)[0] == 200


class TestThreads:
    def test_incomplete_requests_and_unread_answers_hold_none(self) -> None:
        with serving(application=Application(body=b"a" * 2_000_000)) as served:
            for opening in (POST, GET[:-2], GET):
                for _ in range(20):
                    served.connect().sendall(opening)
            client = served.connect()
            client.sendall(GET)
            assert answer(client)[0] == 200

    def test_many_requests_at_once_whose_answers_lie_unread_hold_none(self) -> None:
        with serving(application=Application(body=b"a" * 2_000_000)) as served:
            for _ in range(8):
                served.connect().sendall(GET * 40)
            client = served.connect()
            client.sendall(GET)
            assert answer(client)[0] == 200
            connections = served.server.active_channels.values()
            assert max(each.total_outbufs_len for each in connections) < 2 * 2_000_000

    def test_and_all_are_answered_once_they_are_read(self) -> None:
        with serving(application=Application(body=b"a" * 200_000)) as served:
            client = served.connect()
            client.sendall(GET * 20)
            received = b""
            while received.count(b"a" * 200_000) < 20:
                received += client.recv(1_000_000)
            assert received.count(b"HTTP/1.1 200 OK") == 20


class TestRoom:
    def test_the_oldest_incomplete_one_goes_first(self) -> None:
        with serving(Policy(most_connections=3)) as served:
            idle, body, busy = served.connect(), served.connect(), served.connect()
            idle.sendall(GET)
            assert answer(idle)[0] == 200
            body.sendall(POST)
            busy.sendall(HELD)
            eventually(lambda: served.phases() == ["idle", "body", "served"])

            newest = served.connect()
            newest.sendall(GET)
            assert answer(newest)[0] == 200
            assert is_closed(body)
            eventually(lambda: served.phases() == ["idle", "served", "idle"])

            served.connect().sendall(HELD)  # then the oldest idle one
            assert is_closed(idle)
            served.application.hold.set()
            assert answer(busy)[0] == 200

    def test_where_all_are_served_one_more_is_told_to_come_back(self) -> None:
        with serving(Policy(most_connections=1)) as served:
            busy = served.connect()
            busy.sendall(HELD)
            served.application.entered.acquire()
            assert problem(served.connect())["code"] == "unavailable"
            served.application.hold.set()
            assert answer(busy)[0] == 200

    def test_shares_are_given_back(self, served: Serving) -> None:
        clients = [served.connect() for _ in range(5)]
        eventually(lambda: len(served.phases()) == 5)
        assert served.server.clients._held.total() == 5
        for client in clients:
            client.close()
        eventually(lambda: served.server.clients._held.total() == 0)

    def test_one_that_cannot_be_kept_stops_nobody(
        self, served: Serving, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(error: Exception) -> None:
            def fail(sock: socket.socket) -> None:
                monkeypatch.undo()
                raise error

            monkeypatch.setattr(served.server, "set_socket_options", fail)
            assert is_closed(served.connect())
            assert served.server.clients._held.total() == 0

        fails(ConnectionResetError())
        fails(ValueError())
        client = served.connect()
        client.sendall(GET)
        assert answer(client)[0] == 200

    def test_behind_a_proxy_of_ours_the_share_is_the_clients(self) -> None:
        policy = Policy(networks("127.0.0.1"), most_per_client=1)
        with serving(policy) as served:

            def ask(client: bytes, request: bytes = GET) -> socket.socket:
                connection = served.connect()
                forwarded = b"\r\nX-Forwarded-For: 203.0.113.9, " + client + b"\r\n\r\n"
                connection.sendall(request[:-4] + forwarded)
                return connection

            busy = ask(b"192.0.2.1", HELD)
            served.application.entered.acquire()
            assert problem(ask(b"192.0.2.1"))["code"] == "too_many_connections"
            assert answer(ask(b"192.0.2.2"))[0] == 200
            served.application.hold.set()
            assert answer(busy)[0] == 200
            again = ask(b"192.0.2.1")
            assert answer(again)[0] == 200


class TestClients:
    def test_an_address_has_a_share(self) -> None:
        clients = Clients(most_each=2)
        assert clients.take("192.0.2.1") and clients.take("192.0.2.1")
        assert not clients.take("192.0.2.1")
        assert clients.take("192.0.2.2")
        clients.release("192.0.2.1")
        assert clients.take("192.0.2.1")

    def test_one_subscriber_of_ipv6_is_one_client(self) -> None:
        clients = Clients(most_each=1)
        assert clients.take("2001:db8::1")
        assert not clients.take("2001:db8::2")
        assert clients.take("2001:db8:0:1::1")

    def test_this_machine_is_never_turned_away(self) -> None:
        clients = Clients(most_each=1)
        assert all(clients.take(address) for address in ("127.0.0.1", "127.0.0.1", "::1", "::1"))


class TestRequests:
    @pytest.mark.parametrize(
        ("request_", "status", "code"),
        [
            pytest.param(head(host=b""), 400, "malformed_request", id="no host"),
            pytest.param(head(b"Host: b"), 400, "malformed_request", id="two hosts"),
            pytest.param(head(host=b"Host: a/b"), 400, "malformed_request", id="host with path"),
            pytest.param(head(host=b"Host: "), 400, "malformed_request", id="empty host"),
            pytest.param(
                head(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.1") + b"0\r\n\r\n",
                411,
                "length_required",
                id="chunked",
            ),
            pytest.param(
                head(b"Transfer-Encoding: xchunked", line=b"POST / HTTP/1.1"),
                400,
                "malformed_request",
                id="unknown coding",
            ),
            pytest.param(
                head(b"Transfer-Encoding: gzip, chunked", line=b"POST / HTTP/1.1"),
                400,
                "malformed_request",
                id="two codings",
            ),
            pytest.param(
                head(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0"),
                400,
                "malformed_request",
                id="coding in 1.0",
            ),
            pytest.param(
                head(b"Transfer-Encoding: ,", line=b"POST / HTTP/1.1"),
                400,
                "malformed_request",
                id="no coding",
            ),
            pytest.param(
                head(b"Content-Length: 3", b"Content-Length: 3"),
                400,
                "malformed_request",
                id="length twice",
            ),
            pytest.param(
                head(b"Content-Length: " + b"9" * 5000), 400, "malformed_request", id="digits"
            ),
            pytest.param(
                head(b"Content-Length: 65537", line=b"POST / HTTP/1.1"),
                413,
                "body_too_large",
                id="large body",
            ),
            pytest.param(
                head(line=b"GET /" + b"a" * 9000 + b" HTTP/1.1"),
                414,
                "target_too_long",
                id="long target",
            ),
            pytest.param(
                b"GET /" + b"a" * 40000, 414, "target_too_long", id="a target without an end"
            ),
            pytest.param(
                head(b"X-A: " + b"a" * 40000), 431, "headers_too_large", id="large headers"
            ),
            pytest.param(
                head(*(b"X-%d: a" % number for number in range(101))),
                431,
                "headers_too_large",
                id="many headers",
            ),
            pytest.param(
                head(b"Idempotency-Key: a", b"Idempotency-Key: b"),
                400,
                "malformed_request",
                id="two keys",
            ),
            pytest.param(head(b"X-A: b", b" c"), 400, "malformed_request", id="folded header"),
            pytest.param(head(line=b"GET / HTTP/2.0"), 400, "malformed_request", id="version"),
            pytest.param(b"GET /\r\n\r\n", 400, "malformed_request", id="no version"),
            pytest.param(
                head(line=b"GET //api/v1/health HTTP/1.1"), 400, "malformed_request", id="//"
            ),
            pytest.param(head(line=b"GET * HTTP/1.1"), 400, "malformed_request", id="asterisk"),
            pytest.param(head(line=b"GET /#a HTTP/1.1"), 400, "malformed_request", id="fragment"),
            pytest.param(
                head(line=b"get / HTTP/1.1"), 400, "malformed_request", id="small letters"
            ),
            pytest.param(b"\x16\x03\x01 hello\r\n\r\n", 400, "malformed_request", id="TLS"),
        ],
    )
    def test_refused_as_problem_documents(
        self, served: Serving, request_: bytes, status: int, code: str
    ) -> None:
        client = served.connect()
        client.sendall(request_)
        document = problem(client)
        assert (document["status"], document["code"]) == (status, code)
        assert served.application.environs == []

    def test_a_refusal_is_read_also_by_who_goes_on_sending(self, served: Serving) -> None:
        client = served.connect()
        client.sendall(head(b"Content-Length: 900000", line=b"POST / HTTP/1.1") + b"a" * 300_000)
        assert problem(client)["code"] == "body_too_large"

    def test_the_largest_body_arrives(self, served: Serving) -> None:
        body = b"a" * limits.BODY_BYTES
        client = served.connect()
        client.sendall(head(b"Content-Length: %d" % len(body), line=b"POST / HTTP/1.1") + body)
        assert answer(client)[0] == 200
        assert served.application.environs[0]["body"] == body

    def test_whoever_expects_to_continue_may(self, served: Serving) -> None:
        client = served.connect()
        client.sendall(POST[:-2] + b"Expect: 100-continue\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"12345")
        assert answer(client)[0] == 200

    @pytest.mark.parametrize("method", [b"GET", b"POST"])
    def test_without_a_body_there_is_nothing_to_continue_with(
        self, served: Serving, method: bytes
    ) -> None:
        client = served.connect()
        for _ in range(2):
            client.sendall(head(b"Expect: 100-continue", line=method + b" / HTTP/1.1"))
            assert answer(client)[0] == 200

    def test_an_escaped_slash_stays_where_it_is(self, served: Serving) -> None:
        client = served.connect()
        client.sendall(head(line=b"GET /%2fadmin/ HTTP/1.1"))
        assert answer(client)[0] == 200
        assert served.application.environs[0]["PATH_INFO"] == "//admin/"

    def test_no_header_shifts_the_path(self, served: Serving) -> None:
        client = served.connect()
        client.sendall(
            head(
                b"SCRIPT_NAME: /x",
                b"Script-Name: /api",
                b"PATH_INFO: /y",
                b"X-Script-Name: /z",
                b"X-Forwarded-Prefix: /w",
                b"X-Original-URL: /v",
                line=b"GET /a%2Fb/./c?d HTTP/1.1",
            )
        )
        assert answer(client)[0] == 200
        environ = served.application.environs[0]
        assert environ["SCRIPT_NAME"] == ""
        assert environ["PATH_INFO"] == "/a/b/./c"
        assert environ["RAW_URI"] == "/a%2Fb/./c?d"
        assert "HTTP_PATH_INFO" not in environ and "HTTP_SCRIPT_NAME" in environ

    def test_the_answer_to_head_has_no_body(self, served: Serving) -> None:
        client = served.connect()
        client.sendall(head(line=b"HEAD / HTTP/1.1") + GET)
        received = b""
        while received.count(b"HTTP/1.1 200") < 2 or not received.endswith(b"fine"):
            received += client.recv(4096)
        assert received.count(b"fine") == 1 and received.count(b"Content-Length: 4") == 2

    def test_several_at_once_are_answered_in_order(self, served: Serving) -> None:
        client = served.connect()
        client.sendall(GET + POST + b"12345" + head(host=b""))
        received = b""
        while b"malformed_request" not in received:
            received += client.recv(4096)
        assert re.findall(rb"HTTP/1.1 ([0-9]+)", received) == [b"200", b"200", b"400"]


class TestStopping:
    def test_sigterm_finishes_what_runs(
        self, tmp_path: Path, spawn: Callable[..., subprocess.Popen[str]]
    ) -> None:
        port = free_port()
        arguments = ("payflow.tests.runtime.patient_application:application",)
        configuration = ("-c", "payflow/runtime/gunicorn.py")
        # One worker: a second one that is still starting would not hear the signal.
        ours = {"PORT": str(port), "PATIENT_FOLDER": str(tmp_path), "PAYFLOW_WEB_WORKERS": "1"}
        server = spawn("-m", "gunicorn", *arguments, *configuration, env=os.environ | ours)
        eventually(lambda: is_listening(port))
        with connection_to(port) as busy, connection_to(port) as incomplete:
            busy.sendall(HELD)
            incomplete.sendall(POST)
            eventually((tmp_path / "entered").exists)

            server.send_signal(signal.SIGTERM)

            assert is_closed(incomplete)
            eventually(lambda: not is_listening(port))
            (tmp_path / "released").touch()
            status, _, body = answer(busy)
            assert (status, body) == (200, b"done")
        assert server.wait(timeout=PATIENCE_SECONDS) == 0


def connection_to(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)


def is_listening(port: int) -> bool:
    try:
        connection_to(port).close()
    except ConnectionError:
        return False
    return True
