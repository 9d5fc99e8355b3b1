"""What the server refuses by itself, before there is a request that the application could see."""

import json
from dataclasses import dataclass, field
from http import HTTPStatus

import structlog

from shared.identifiers import new_id

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Refusal:
    """
    A problem document that repeats nothing of what was sent; takes the place of waitress's errors.

    Each is logged with the correlation id that its client is told.
    """

    status: HTTPStatus
    code: str
    detail: str
    headers: dict[str, str] = field(default_factory=dict)

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """Status line, headers and body, as waitress's tasks ask for them."""
        correlation_id = str(new_id())
        log.info(
            "request",
            route="none",
            status=int(self.status),
            code=self.code,
            correlation_id=correlation_id,
        )
        headers = {
            "Content-Type": "application/problem+json",
            "X-Correlation-ID": correlation_id,
            **self.headers,
        }
        return self._status_line, list(headers.items()), self._body(correlation_id)

    def to_bytes(self) -> bytes:
        """The whole answer, for a connection that gets no request of its own."""
        status_line, headers, body = self.to_response()
        headers += [("Content-Length", str(len(body))), ("Connection", "close")]
        lines = [f"HTTP/1.1 {status_line}", *(f"{name}: {value}" for name, value in headers)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body

    @property
    def _status_line(self) -> str:
        return f"{self.status.value} {self.status.phrase}"

    def _body(self, correlation_id: str) -> bytes:
        problem = {
            "type": f"urn:payflow:problem:{self.code}",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            "code": self.code,
            "correlationId": correlation_id,
        }
        return json.dumps(problem).encode()


_AGAIN_SOON = {"Retry-After": "1"}

MALFORMED = Refusal(
    HTTPStatus.BAD_REQUEST,
    "malformed_request",
    "The request is not well-formed HTTP/1.1 that can be read in one way only.",
)
WITHOUT_LENGTH = Refusal(
    HTTPStatus.LENGTH_REQUIRED, "length_required", "Send the body with a Content-Length."
)
BODY_TOO_LARGE = Refusal(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", "A body has at most 65536 bytes."
)
TARGET_TOO_LONG = Refusal(
    HTTPStatus.REQUEST_URI_TOO_LONG, "target_too_long", "A request target has at most 8192 bytes."
)
HEADERS_TOO_LARGE = Refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "headers_too_large",
    "Headers have at most 32768 bytes in 100 fields.",
)
TOO_SLOW = Refusal(
    HTTPStatus.REQUEST_TIMEOUT, "request_timeout", "The request did not arrive in time."
)
TOO_MANY_CONNECTIONS = Refusal(
    HTTPStatus.TOO_MANY_REQUESTS,
    "too_many_connections",
    "This address holds too many connections.",
    _AGAIN_SOON,
)
NO_ROOM = Refusal(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "unavailable",
    "The platform cannot answer now; please try again.",
    _AGAIN_SOON,
)
# What waitress says by itself when the application raised: ours answers every exception.
BROKEN = Refusal(
    HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "Something went wrong on our side."
)
