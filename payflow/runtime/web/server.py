"""Accepting connections, turning away what is too many, ending what takes too long."""

import errno
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import structlog
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer

from payflow.runtime.web import limits, refusal
from payflow.runtime.web.clients import Clients
from payflow.runtime.web.connection import Connection, Phase
from payflow.runtime.web.refusal import Refusal
from shared.http.addresses import Network, client_address, is_among

log = structlog.get_logger(__name__)

LOOK_EVERY_SECONDS = 1
_PAUSE_SECONDS = 0.05
# Of these the client is who keeps us waiting; an idle one has at least behaved.
_NO_FILES = (errno.EMFILE, errno.ENFILE)
_INCOMPLETE = frozenset((Phase.HEADERS, Phase.BODY, Phase.READ, Phase.LINGERING))


@dataclass(frozen=True)
class Policy:
    """Who may connect, and how often."""

    trusted: tuple[Network, ...] = ()
    """Proxies that may say whom they speak for."""
    most_connections: int = limits.CONNECTIONS
    most_per_client: int = limits.CONNECTIONS_PER_CLIENT


def adjustments() -> Adjustments:
    """What waitress is told of our limits; the rest it does not know and `Connection` does."""
    return Adjustments(
        ident=None,
        outbuf_overflow=limits.BUFFERED_BYTES,
        max_request_header_size=limits.HEADER_BYTES,
        max_request_body_size=limits.BODY_BYTES + 1,
        log_socket_errors=False,
        expose_tracebacks=False,
        clear_untrusted_proxy_headers=False,
    )


class Server(TcpWSGIServer):  # type: ignore[misc]  # waitress is not typed
    """One listening socket, shared with other processes, and the connections accepted from it."""

    channel_class = Connection

    def __init__(
        self,
        application: Any,
        listener: socket.socket,
        *,
        pool: Any,
        loop: dict[int, Any],
        policy: Policy = Policy(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self.clients = Clients(policy.most_per_client)
        self._policy, self._look_at = policy, 0.0
        super().__init__(
            application,
            loop,
            _sock=listener,
            dispatcher=pool,
            adj=adjustments(),
            bind_socket=False,
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
        )

    # Queries -----------------------------------------------------------------------------------

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered, or an answer still being read."""
        return any(
            connection.phase in (Phase.SERVED, Phase.READ)
            for connection in self.active_channels.values()
        )

    def client_behind(self, peer: str, forwarded_for: str) -> str | None:
        """Whom a proxy of ours speaks for; none when the peer is the client itself."""
        if not is_among(peer, self._policy.trusted):
            return None
        return client_address(peer, forwarded_for, self._policy.trusted)

    # The loop's questions ----------------------------------------------------------------------

    def readable(self) -> bool:
        """Whether to accept; asked in every turn, so that times are kept here, too."""
        now = self.clock()
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY_SECONDS
            self._end_overdue(now)
        return bool(self.accepting)

    def handle_accept(self) -> None:
        """Accept one connection, or turn it away."""
        try:
            accepted = self.accept()
        except OSError as error:
            if error.errno in _NO_FILES and not self._make_room():
                time.sleep(_PAUSE_SECONDS)  # all are being served: some end soon
            return
        if accepted:
            self._welcome(*accepted)

    def handle_error(self) -> None:
        """Go on accepting, whatever went wrong with one connection."""
        log.exception("a connection could not be accepted")  # noqa: LOG004 - the loop has caught it

    # Mutators ----------------------------------------------------------------------------------

    def add_task(self, task: Connection) -> None:
        """Have a request answered by a thread, unless answers before it lie unread."""
        if task.total_outbufs_len:
            task.is_put_off = True
        else:
            super().add_task(task)

    def stop_accepting(self) -> None:
        """Leave new connections to other processes and close those that nothing happens on."""
        self.accepting = False
        self.socket.close()
        self.del_channel()
        self.close_idle()

    def close_idle(self) -> None:
        """Close every connection that is not being served."""
        for connection in list(self.active_channels.values()):
            if connection.phase not in (Phase.SERVED, Phase.READ):
                connection.handle_close()

    # Steps -------------------------------------------------------------------------------------

    def _welcome(self, sock: socket.socket, addr: Any) -> None:
        peer = str(addr[0])
        if len(self.active_channels) >= self._policy.most_connections and not self._make_room():
            _turn_away(sock, refusal.NO_ROOM)
        elif is_among(peer, self._policy.trusted):
            self._keep(sock, addr, client=None)
        elif self.clients.take(peer):
            self._keep(sock, addr, client=peer)
        else:
            _turn_away(sock, refusal.TOO_MANY_CONNECTIONS)

    def _keep(self, sock: socket.socket, addr: Any, client: str | None) -> None:
        with ExitStack() as undo:
            undo.callback(sock.close)
            if client is not None:
                undo.callback(self.clients.release, client)
            with suppress(OSError):  # gone before we got to it
                self.set_socket_options(sock)
                Connection(self, sock, addr, self.adj, map=self._map).holds_a_share_of(client)
                undo.pop_all()

    def _make_room(self) -> bool:
        """End the oldest connection whose client keeps us waiting, or else the oldest idle one."""
        oldest_first = list(self.active_channels.values())
        for phases in (_INCOMPLETE, frozenset((Phase.IDLE,))):
            for connection in oldest_first:
                if connection.phase in phases:
                    connection.handle_close()
                    return True
        return False

    def _end_overdue(self, now: float) -> None:
        for connection in list(self.active_channels.values()):
            if connection.is_overdue(now):
                connection.end()


def _turn_away(sock: socket.socket, reason: Refusal) -> None:
    """Say why, if the client's buffer takes it, and hang up."""
    with suppress(OSError), sock:
        sock.setblocking(False)
        sock.send(reason.to_bytes())
