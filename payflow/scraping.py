"""
Who may read metrics, and the small server on which a process without a web tells its own.

With `PAYFLOW_METRICS_TOKEN`: whoever knows it. Without one they are closed in production, and open
to this machine alone in the sandbox.
"""

import hmac
import socket
import threading
from collections.abc import Callable, Iterable
from enum import Enum, auto
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.conf import settings
from prometheus_client import make_wsgi_app

from shared import metrics
from shared.http.addresses import is_loopback

_SECONDS_FOR_A_REQUEST = 10

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Access(Enum):
    """What somebody who asks for metrics gets."""

    GRANTED = auto()
    REFUSED = auto()
    CLOSED = auto()


def access_of(authorization: str, address: str) -> Access:
    """Decide by the `Authorization` header, and without a token by where the request came from."""
    if settings.METRICS_TOKEN:
        wanted = f"Bearer {settings.METRICS_TOKEN}"
        is_known = hmac.compare_digest(authorization.encode(), wanted.encode())
        return Access.GRANTED if is_known else Access.REFUSED
    if settings.IS_PRODUCTION:
        return Access.CLOSED
    return Access.GRANTED if is_loopback(address) else Access.REFUSED


def serve(address: str, port: int) -> None:
    """
    Tell what the processes of this machine counted, in threads of this process.

    Raises:
        OSError, OverflowError: one cannot listen there.

    """
    family, *_, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
    server_class = type("_Server", (_Server,), {"address_family": family})
    application = guarded(make_wsgi_app(metrics.counted()))
    server: WSGIServer = make_server(str(place[0]), port, application, server_class, _Handler)
    threading.Thread(target=server.serve_forever, daemon=True, name="metrics").start()


def guarded(application: Application) -> Application:
    """The application, for whoever may have metrics; for others a line that says why not."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        given = environ.get("HTTP_AUTHORIZATION", "")
        access = access_of(given, environ.get("REMOTE_ADDR", ""))
        if access is Access.GRANTED:
            return application(environ, start_response)
        status, text = _REFUSALS[access]
        headers = [("Content-Type", "text/plain"), ("WWW-Authenticate", "Bearer")]
        start_response(status, headers)
        return [text]

    return answer


_REFUSALS = {
    Access.REFUSED: ("401 Unauthorized", b"Metrics are told for a bearer token only.\n"),
    Access.CLOSED: ("404 Not Found", b"Metrics are closed: PAYFLOW_METRICS_TOKEN is not set.\n"),
}


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = _SECONDS_FOR_A_REQUEST

    def log_message(self, *_: Any) -> None:
        """Say nothing: a scrape every few seconds is no news."""
