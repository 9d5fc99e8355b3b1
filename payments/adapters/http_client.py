"""
Bounded HTTP to processors, which says whether a request that failed may have arrived.

Every call ends with a whole answer, with `NotSent`, or with `InDoubt`; there is no fourth way out.
"""

import http.client
import io
import json
import os
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from django.conf import settings
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Retry, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
)
from urllib3.util import parse_url

from shared.db import in_transaction

CONNECT_SECONDS = 2
READ_SECONDS = 8
"""From the request's last byte to the answer's last byte, however slowly they drip."""
TOTAL_SECONDS = 10
"""Both together; `PROCESSOR_TIMEOUT_SECONDS` in the settings replaces it."""
BODY_LIMIT_BYTES = 256 * 1024
IDLE_CONNECTIONS = 64
"""How many connections to one processor are kept open between calls."""

_NEVER_AGAIN = Retry(total=False, redirect=False)


class NetworkInsideTransaction(RuntimeError):
    """
    A processor was called inside a database transaction, which would hold locks while it thinks.

    Commit first, call then, and record the outcome in a transaction of its own.
    """


class NotSent(Exception):
    """The request certainly did not arrive; `reason` is a code in snake_case."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InDoubt(Exception):
    """The request may have arrived and taken effect; `reason` is a code in snake_case."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Reply:
    """A whole answer, of whatever status."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> dict[str, Any]:
        """The answer as a JSON object. Raises: InDoubt, when it is none or a server's error."""
        if self.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            raise InDoubt(f"http_{self.status}")
        try:
            parsed = json.loads(self.content)
        except (ValueError, RecursionError):
            raise InDoubt("not_json") from None
        if not isinstance(parsed, dict):
            raise InDoubt("not_json")
        return parsed


class HttpClient:
    """
    Calls one host over connections that are kept open; any number of threads may share it.

    It follows no redirect, asks no proxy of the environment and sends nothing twice.
    """

    def __init__(self, base_url: str, ca_certs: str | None = None) -> None:
        url = parse_url(base_url)
        host, port = url.host or "", url.port
        self._prefix = (url.path or "").rstrip("/")
        self._pool: HTTPConnectionPool = (
            _TlsPool(host, port, maxsize=IDLE_CONNECTIONS, ca_certs=ca_certs)
            if url.scheme == "https"
            else _Pool(host, port, maxsize=IDLE_CONNECTIONS)
        )

    def exchange(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> Reply:
        """
        Send a request and wait for the whole answer.

        Raises:
            NotSent: no connection could be made, so nothing was sent.
            InDoubt: anything else that went wrong, from the first byte sent on.
            NetworkInsideTransaction: the caller has a database transaction open.

        """
        if in_transaction():
            raise NetworkInsideTransaction(NetworkInsideTransaction.__doc__)
        total = getattr(settings, "PROCESSOR_TIMEOUT_SECONDS", TOTAL_SECONDS)
        try:
            response = self._pool.urlopen(
                method,
                self._prefix + path,
                body=body,
                headers=headers,
                retries=_NEVER_AGAIN,
                redirect=False,
                timeout=Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS, total=total),
                preload_content=False,
                decode_content=False,
            )
        except (HTTPError, OSError, http.client.HTTPException) as error:
            raise InDoubt(_why_in_doubt(error, "connection_lost")) from error
        try:
            content = response.read(BODY_LIMIT_BYTES + 1)
        except (HTTPError, OSError, http.client.HTTPException) as error:
            raise InDoubt(_why_in_doubt(error, "half_body")) from error
        is_too_large = len(content) > BODY_LIMIT_BYTES
        # urllib3 returns what came before a connection ended, and complains at the next read only.
        if is_too_large or response.length_remaining:
            response.close()
            raise InDoubt("answer_too_large" if is_too_large else "half_body")
        return Reply(response.status, response.headers, content)


@lru_cache(maxsize=16)
def client_for(base_url: str, ca_certs: str | None = None) -> HttpClient:
    """The client of a host, one for the whole process."""
    return HttpClient(base_url, ca_certs)


# Two processes on one connection would read each other's answers.
os.register_at_fork(after_in_child=client_for.cache_clear)


# Note [Sent or not]
# The line between "certainly not arrived" and "in doubt" is the moment when a connection stands:
# before it no byte of the request exists outside this process, after it nobody knows. So `connect`
# is the one place that may raise NotSent, and a reset of a reused connection is a doubt.


class _Answer(http.client.HTTPResponse):
    """An answer that is read before its deadline or not at all; see `_UntilDeadline`."""

    def __init__(self, sock: socket.socket, *args: Any, deadline: float, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_UntilDeadline(self.fp.detach(), sock, deadline))


class _UntilDeadline(io.RawIOBase):
    """
    Reads a socket with what is left of the time.

    A socket's own timeout begins anew with every byte, so that a peer which drips could hold a
    thread for hours.
    """

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: float) -> None:
        self._raw, self._sock, self._deadline = raw, sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the answer took too long")
        self._sock.settimeout(remaining)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Bounded(HTTPConnection):
    """Says when it never connected, and bounds the answer as a whole: Note [Sent or not]."""

    def connect(self) -> None:
        try:
            super().connect()
        except (HTTPError, OSError) as error:
            raise NotSent(_why_not_connected(error)) from error

    def getresponse(self) -> Any:
        deadline = time.monotonic() + (self.timeout or READ_SECONDS)
        self.response_class = partial(_Answer, deadline=deadline)  # type: ignore[assignment]
        return super().getresponse()


class _BoundedTls(_Bounded, HTTPSConnection):
    """The same over TLS, whose handshake belongs to connecting."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Bounded


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _BoundedTls


def _why_in_doubt(error: Exception, otherwise: str) -> str:
    return "read_timeout" if isinstance(error, ReadTimeoutError | TimeoutError) else otherwise


def _why_not_connected(error: Exception) -> str:
    if isinstance(error, NameResolutionError):
        return "name_not_resolved"
    if isinstance(error, ssl.SSLError):
        return "tls_failed"
    # NewConnectionError is a ConnectTimeoutError to urllib3, so the order matters.
    if isinstance(error, NewConnectionError):
        is_refused = isinstance(error.__cause__, ConnectionRefusedError)
        return "connection_refused" if is_refused else "not_connected"
    if isinstance(error, ConnectTimeoutError | TimeoutError):
        return "connect_timeout"
    return "not_connected"
