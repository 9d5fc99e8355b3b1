"""One client's connection: what it is waiting for, since when, and until when it may."""

import socket
from enum import Enum
from functools import partial
from typing import Any, Protocol

from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, WSGITask

from payflow.runtime.web import limits, refusal
from payflow.runtime.web.clients import Clients
from payflow.runtime.web.refusal import Refusal
from payflow.runtime.web.request import RequestReader


class Host(Protocol):
    """What a connection asks of the server that has accepted it."""

    clients: Clients

    def clock(self) -> float:
        """Seconds that only grow."""

    def client_behind(self, peer: str, forwarded_for: str) -> str | None:
        """Whom a proxy of ours speaks for; none when the peer is the client itself."""

    def add_task(self, task: Any) -> None:
        """Have a request answered by a thread."""


class Phase(Enum):
    """What a connection is waiting for."""

    HEADERS = "headers"
    BODY = "body"
    SERVED = "served"
    READ = "read"
    IDLE = "idle"
    LINGERING = "lingering"


_SECONDS = {
    Phase.HEADERS: limits.HEADER_SECONDS,
    Phase.BODY: limits.BODY_SECONDS,
    Phase.READ: limits.UNREAD_SECONDS,
    Phase.IDLE: limits.IDLE_SECONDS,
    Phase.LINGERING: limits.LINGER_SECONDS,
}


class ApplicationTask(WSGITask):  # type: ignore[misc]  # waitress is not typed
    """Runs the application for one request."""

    def write(self, data: bytes) -> None:
        """Send, but to HEAD no body: the next answer would be taken for it."""
        if not self.wrote_header:
            # Before the client can know: it may ask again at once.
            self.channel.give_back_a_request()
        if self.request.command == "HEAD":
            self.content_bytes_written += len(data)
            data = b""
        super().write(data)

    def finish(self) -> None:
        """End the answer; one to HEAD has no last chunk either."""
        if self.request.command == "HEAD":
            self.chunked_response = False
        super().finish()

    def get_environment(self) -> dict[str, Any]:
        """The WSGI environment, with the request target as it was received."""
        environ: dict[str, Any] = super().get_environment()
        environ["RAW_URI"] = self.request.request_uri
        # As it was sent: waitress makes one slash of several, also where they were escaped.
        environ["PATH_INFO"] = self.request.path
        environ["wsgi.multiprocess"] = True
        return environ


class RefusalTask(ErrorTask):  # type: ignore[misc]  # waitress is not typed
    """Answers what is refused before the application sees it."""

    def execute(self) -> None:
        """Send the problem document and close."""
        self.channel.is_refused = True
        if not isinstance(self.request.error, Refusal):
            self.request.error = refusal.BROKEN
        super().execute()


class Connection(HTTPChannel):  # type: ignore[misc]  # waitress is not typed
    """
    A connection whose phase and time are known; the loop ends it when it takes too long.

    The loop's thread derives the phase from what waitress keeps anyway, when it looks once a
    second; requests are counted, so that two short ones are not taken for a long one.
    """

    task_class = ApplicationTask
    error_task_class = RefusalTask

    server: Host
    request: RequestReader | None
    """The one that is arriving."""
    is_put_off = False
    """Whether its next request, here already, waits until the last answer has been read."""
    is_refused = False
    """Whether it was sent a refusal, after which nothing that it sends is read."""

    def __init__(self, server: Host, sock: socket.socket, addr: Any, *rest: Any, **map_: Any):
        self.client = str(addr[0])
        self.parser_class = partial(RequestReader, admits=self._admits)
        self._answered = self._sent_bytes = self._forgotten_bytes = 0
        self._mark, self._since, self._bytes_then = (Phase.HEADERS, 0), server.clock(), 0
        self._lingers = False
        self._connection_share: str | None = None
        self._request_shares: list[str] = []
        super().__init__(server, sock, addr, *rest, **map_)

    # Queries -----------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """What it waits for now."""
        if self._lingers:
            return Phase.LINGERING
        if self.total_outbufs_len:
            return Phase.READ
        if self.requests:
            return Phase.SERVED
        if request := self.request:
            return Phase.BODY if request.headers_finished else Phase.HEADERS
        return Phase.IDLE if self._answered else Phase.HEADERS

    def is_overdue(self, now: float) -> bool:
        """Whether it has taken longer than its phase may; to be asked every second."""
        mark = (self.phase, self._answered)
        is_read = self._sent_bytes - self._bytes_then >= limits.UNREAD_BYTES
        if mark != self._mark or is_read:
            self._mark, self._since, self._bytes_then = mark, now, self._sent_bytes
        longest = _SECONDS.get(mark[0])
        return longest is not None and now - self._since > longest

    def readable(self) -> bool:
        """Whether to read on: the next request, or what is to be forgotten."""
        return self._lingers or bool(super().readable())

    def writable(self) -> bool:
        """Whether to write; asked in every turn, so that what was put off is begun here."""
        if self.is_put_off and not self.total_outbufs_len:
            self.is_put_off = False
            self.server.add_task(self)
        return bool(super().writable())

    # Mutators ----------------------------------------------------------------------------------

    def end(self) -> None:
        """Close it; a client whose request is incomplete is told why before."""
        is_incomplete = self.phase in (Phase.HEADERS, Phase.BODY)
        if is_incomplete and self._refuse_what_has_arrived():
            self.server.add_task(self)
        else:
            self.handle_close()

    def holds_a_share_of(self, client: str | None) -> None:
        """Note whose share this connection is, if anybody's, to be given back when it ends."""
        self._connection_share = client

    def service(self) -> None:
        """Answer one request, in a thread of the pool."""
        self._answered += 1
        super().service()

    def give_back_a_request(self) -> bool:
        """Give back the share of one request; false when none is held."""
        try:
            client = self._request_shares.pop()
        except IndexError:
            return False
        self.server.clients.release(client)
        return True

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Write to the socket; returns how many bytes it took."""
        sent: int = super().send(data, do_close)
        self._sent_bytes += sent
        return sent

    def handle_read(self) -> None:
        """Read; what a refused client sends, only to forget it."""
        if not self._lingers:
            super().handle_read()
        elif not self._forget():
            self.handle_close()

    def handle_write(self) -> None:
        """Write; after a refusal, let the client read it before the connection is reset."""
        if not (self.is_refused and self.close_when_flushed and not self.total_outbufs_len):
            super().handle_write()
        elif not self._begin_to_linger():
            self.handle_close()

    def del_channel(self, *map_: Any) -> None:
        """Forget it, and give back its client's share."""
        super().del_channel(*map_)
        while self.give_back_a_request():
            pass
        if self._connection_share is not None:
            self.server.clients.release(self._connection_share)
            self._connection_share = None

    # Steps -------------------------------------------------------------------------------------

    def _admits(self, headers: dict[str, str]) -> bool:
        """Whether the client behind a proxy of ours may have one more request under way."""
        client = self.server.client_behind(self.client, headers.get("X_FORWARDED_FOR", ""))
        if client is None:
            return True
        if not self.server.clients.take(client):
            return False
        self._request_shares.append(client)
        return True

    def _refuse_what_has_arrived(self) -> bool:
        with self.requests_lock:
            request, self.request = self.request, None
            if request is None or self.requests:
                return False
            request.time_out()
            self.requests.append(request)
            return True

    def _begin_to_linger(self) -> bool:
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        self.close_when_flushed, self._lingers = False, True
        return True

    def _forget(self) -> bool:
        """Read and drop; false at the end, or when it is too much."""
        try:
            data = self.recv(self.adj.recv_bytes)
        except OSError:
            return False
        self._forgotten_bytes += len(data)
        return bool(data) and self._forgotten_bytes <= limits.LINGER_BYTES
