"""
Sending pre-signed requests over persistent connections, cheaply, from one thread.

They are signed with version 1, as always here: what was measured before stays comparable.
"""

import json
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from payflow.client import Signer

_ANSWER_END = b"\r\n\r\n"


@dataclass
class Measured:
    """What came of a load: seconds per request, answers by status, and how long it all took."""

    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0

    def percentile_ms(self, share: float) -> float:
        """The latency that this share of requests stayed below, in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


def signed_payments(signer: Signer, count: int, *, tag: str) -> list[bytes]:
    """Requests for `POST /payments` as bytes, ready to be sent within five minutes."""
    return [_signed(signer, f"{tag}-{number}") for number in range(count)]


def send(
    requests: Sequence[bytes], *, port: int, connections: int, per_second: float = 0.0
) -> Measured:
    """
    Send all requests over so many connections and take every answer.

    As fast as answers come, or at a fixed rate if `per_second` is given; latencies then count from
    the moment a request was due, so that a stall is not hidden by waiting for it.
    """
    load = _Load(requests, port=port, connections=connections, per_second=per_second)
    return load.run()


class _Load:
    def __init__(
        self, requests: Sequence[bytes], *, port: int, connections: int, per_second: float
    ) -> None:
        self._requests, self._per_second = requests, per_second
        self._sent = 0
        self._measured = Measured()
        self._selector = selectors.DefaultSelector()
        self._idle = [self._open(port) for _ in range(connections)]
        self._busy: dict[socket.socket, float] = {}
        self._buffers: dict[socket.socket, bytearray] = {}

    def run(self) -> Measured:
        started = time.perf_counter()
        while len(self._measured.latencies) < len(self._requests):
            self._send_due(started)
            for key, _ in self._selector.select(timeout=0.002):
                self._receive(key.fileobj)  # type: ignore[arg-type]
        self._measured.seconds = time.perf_counter() - started
        for connection in self._idle:
            connection.close()
        return self._measured

    def _send_due(self, started: float) -> None:
        while self._idle and self._sent < len(self._requests):
            due = started + self._sent / self._per_second if self._per_second else 0.0
            now = time.perf_counter()
            if due > now:
                return
            connection = self._idle.pop()
            self._busy[connection] = due or now
            self._buffers[connection] = bytearray()
            connection.sendall(self._requests[self._sent])
            self._sent += 1

    def _receive(self, connection: socket.socket) -> None:
        chunk = connection.recv(65536)
        if not chunk:
            raise ConnectionError("the server closed a connection in the middle of the load")
        buffer = self._buffers[connection]
        buffer += chunk
        status = _complete(buffer)
        if status is not None:
            since = self._busy.pop(connection)
            self._measured.latencies.append(time.perf_counter() - since)
            self._measured.statuses[status] = self._measured.statuses.get(status, 0) + 1
            self._idle.append(connection)

    def _open(self, port: int) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(connection, selectors.EVENT_READ)
        return connection


def _complete(buffer: bytearray) -> int | None:
    head, found, body = bytes(buffer).partition(_ANSWER_END)
    if not found:
        return None
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    is_whole = len(body) >= int(lengths[0].partition(b":")[2]) if lengths else True
    return int(head[9:12]) if is_whole else None


def _signed(signer: Signer, key: str) -> bytes:
    body = json.dumps(
        {
            "payeeAccountId": str(uuid4()),
            "idempotencyKey": key,
            "amount": "250.00",
            "currency": "USD",
            "paymentMethod": {"type": "CARD", "token": "tok_test"},
        }
    ).encode()
    signed = "".join(f"{name}: {value}\r\n" for name, value in signer.version_1(body).items())
    head = (
        "POST /api/v1/payments HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"{signed}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
