"""
HTTP/1.1 over plain sockets: one thread per connection, one write per answer.

Written here rather than taken from `http.server`, because the sandbox must be able to misbehave on
the wire (reset, hang, stop in the middle of a body), and because its cost per call is part of what
a measurement of PayFlow measures.
"""

import select
import socket
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from time import monotonic, sleep
from traceback import extract_tb
from urllib.parse import parse_qsl, unquote

MAX_HEAD_BYTES = 16_384
MAX_BODY_BYTES = 65_536
_IDLE_SECONDS = 120
_SEND_SECONDS = 10
_BACKLOG = 512
_CHUNK_BYTES = 65_536
_DRAINED_CHUNKS = 16
_LINE_PARTS = 3
_PEEK_SECONDS = 0.2


class Ending(Enum):
    """What happens on the wire after a request was handled."""

    ANSWER = "the answer, whole"
    CLOSE = "no answer: the connection is closed"
    RESET = "no answer: the connection is reset"
    HANG = "no answer for the hanging time, then the connection is closed"
    HALF = "half of the body, then the connection is closed"


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are in lower case, `host` is the sandbox's own address."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    host: str


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, and how it ends."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"
    ending: Ending = Ending.ANSWER


class Refused(Exception):
    """A request that is refused before anything is done about it, with the answer to give."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class Server:
    """
    Listens on 127.0.0.1; `port` 0 takes any free one. Raises: OSError, when the port is taken.

    A call that hangs does so for `hang_seconds`, or until the client has gone. Another `address` is
    for a container, whose port its host publishes on 127.0.0.1.
    """

    def __init__(self, port: int, *, hang_seconds: float, address: str = "127.0.0.1") -> None:
        self._hang_seconds = hang_seconds
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((address, port))
        self._listener.listen(_BACKLOG)
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def start(self, handle: Callable[[Request], Reply]) -> None:
        """
        Begins to accept, on a thread of its own.

        `handle` answers every request, on the connection's thread. What it raises besides Refused
        becomes a bare 500; place and kind of the error go to stderr, its words nowhere.
        """
        threading.Thread(target=self._accept, args=(handle,), name="accept", daemon=True).start()

    def close(self) -> None:
        """Stops listening; open connections end with the process."""
        self._listener.close()

    def _accept(self, handle: Callable[[Request], Reply]) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                if self._listener.fileno() < 0:
                    return
                # No file descriptor left: one that is given back helps, asking again at once not.
                sleep(_PEEK_SECONDS)
                continue
            connection = _Connection(sock, self.host, handle, self._hang_seconds)
            try:
                threading.Thread(target=connection.serve, daemon=True).start()
            except RuntimeError:
                sock.close()


class _Connection:
    def __init__(
        self,
        sock: socket.socket,
        host: str,
        handle: Callable[[Request], Reply],
        hang_seconds: float,
    ) -> None:
        self._socket = sock
        self._host = host
        self._handle = handle
        self._hang_seconds = hang_seconds
        self._buffer = b""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # As options of the socket: a timeout of Python's costs one more system call per read.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _IDLE_SECONDS, 0))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_SECONDS, 0))

    def serve(self) -> None:
        """Answers requests until one side has had enough."""
        with self._socket, suppress(OSError):
            while self._serve_one():
                pass

    def _serve_one(self) -> bool:
        try:
            request = self._read()
        except Refused as refused:
            self._write(refused.reply, keeps=False)
            self._drain()
            return False
        if request is None:
            return False
        reply = _answer(self._handle, request)
        if reply.ending is not Ending.ANSWER:
            self._misbehave(reply)
            return False
        keeps = request.headers.get("connection", "").lower() != "close"
        self._write(reply, keeps=keeps, is_head=request.method == "HEAD")
        return keeps

    # Reading -----------------------------------------------------------------------------------

    def _read(self) -> Request | None:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise _refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large")
            if not self._receive():
                return None
        if end > MAX_HEAD_BYTES:
            raise _refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large")
        head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
        method, target, headers = _parse_head(head)
        length = _length(headers)
        while len(self._buffer) < length:
            if not self._receive():
                return None
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        path, _, query = target.partition("?")
        try:
            pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=50) if query else ()
        except ValueError:
            raise _refused(HTTPStatus.BAD_REQUEST, "malformed_query") from None
        decoded = unquote(path) if "%" in path else path
        return Request(method, decoded, dict(pairs), headers, body, self._host)

    def _receive(self) -> bool:
        chunk = self._socket.recv(_CHUNK_BYTES)
        self._buffer += chunk
        return bool(chunk)

    # Writing -----------------------------------------------------------------------------------

    def _write(self, reply: Reply, *, keeps: bool, is_head: bool = False) -> None:
        head = _head(reply, keeps=keeps)
        self._socket.sendall(head if is_head else head + reply.body)

    def _misbehave(self, reply: Reply) -> None:
        if reply.ending is Ending.HALF:
            half = reply.body[: len(reply.body) // 2]
            self._socket.sendall(_head(reply, keeps=True) + half)
        elif reply.ending is Ending.RESET:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif reply.ending is Ending.HANG:
            self._hang()

    def _drain(self) -> None:
        # Closing on bytes that nobody has read would reset the answer away.
        self._socket.shutdown(socket.SHUT_WR)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 1, 0))
        for _ in range(_DRAINED_CHUNKS):
            if not self._socket.recv(_CHUNK_BYTES):
                return

    def _hang(self) -> None:
        # A client that has given up needs no thread of ours to wait for it.
        deadline = monotonic() + self._hang_seconds
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while (left := deadline - monotonic()) > 0:
            if poll.poll(left * 1000):
                if not self._socket.recv(1, socket.MSG_PEEK):
                    return
                sleep(min(left, _PEEK_SECONDS))


def _answer(handle: Callable[[Request], Reply], request: Request) -> Reply:
    try:
        return handle(request)
    except Refused as refused:
        return refused.reply
    except Exception as error:  # noqa: BLE001 - the last door: nothing of an error goes out
        place = extract_tb(error.__traceback__)[-1]
        # Never its words: they may quote a body, and that a card number.
        sys.stderr.write(f"{type(error).__name__} at {place.filename}:{place.lineno}\n")
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error")


def _parse_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != _LINE_PARTS or not parts[1].startswith("/") or parts[2] != "HTTP/1.1":
        raise _refused(HTTPStatus.BAD_REQUEST, "malformed_request")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or name.strip() != name or name in headers:
            raise _refused(HTTPStatus.BAD_REQUEST, "malformed_header")
        headers[name] = value.strip()
    return parts[0], parts[1], headers


def _length(headers: Mapping[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise _refused(HTTPStatus.LENGTH_REQUIRED, "length_required")
    given = headers.get("content-length", "0")
    if not given.isascii() or not given.isdigit():
        raise _refused(HTTPStatus.BAD_REQUEST, "malformed_length")
    if len(given) > len(str(MAX_BODY_BYTES)) or int(given) > MAX_BODY_BYTES:
        raise _refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large")
    return int(given)


_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def _head(reply: Reply, *, keeps: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {reply.status} {_PHRASES[reply.status]}",
        f"Content-Length: {len(reply.body)}",
    ]
    if reply.body:
        lines.append(f"Content-Type: {reply.content_type}")
    lines += [f"{name}: {value}" for name, value in reply.headers]
    if not keeps:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _error(status: int, code: str) -> Reply:
    return Reply(status, f'{{"error":"{code}"}}'.encode())


def _refused(status: int, code: str) -> Refused:
    return Refused(_error(status, code))
