"""What a request must look like: HTTP/1.1 or 1.0 that every reader understands in the same way."""

import re
from collections.abc import Callable
from typing import Any

from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser, ParsingError, TransferEncodingNotImplemented
from waitress.utilities import RequestEntityTooLarge, RequestHeaderFieldsTooLarge

from payflow.runtime.web import limits, refusal
from payflow.runtime.web.refusal import Refusal

# One slash: behind two of them stands a host for some readers and a path for others.
_TARGET = re.compile(r"(?:https?://[^/?#\s]+)?/(?!/)[^#\s]*", re.ASCII | re.IGNORECASE)
_HOST = re.compile(r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII | re.IGNORECASE)
_VERSIONS = ("1.0", "1.1")

# A field that is repeated has the meaning of one list. These are no lists, so two of them could be
# read in two ways. A repeated signing header is left to the signature's own grammar: it is a 401.
_SINGLE = frozenset(
    {
        "AUTHORIZATION",
        "CONTENT_LENGTH",
        "CONTENT_TYPE",
        "COOKIE",
        "EXPECT",
        "HOST",
        "IDEMPOTENCY_KEY",
        "ORIGIN",
        "REFERER",
        "TRANSFER_ENCODING",
        "USER_AGENT",
    }
)


class RequestReader(HTTPRequestParser):  # type: ignore[misc]  # waitress is not typed
    """Reads one request as it arrives; `error` is a `Refusal` as soon as there is a reason."""

    error: Any = None

    def __init__(self, adj: Adjustments, *, admits: Callable[[dict[str, str]], bool]) -> None:
        super().__init__(adj)
        self._admits = admits

    def received(self, data: bytes) -> int:
        """Take bytes; returns how many belong to this request."""
        consumed: int = super().received(data)
        if self.error is not None and not isinstance(self.error, Refusal):
            self._refuse(self._reason(self.error))
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Read request line and headers, and refuse what is ambiguous or more than we take."""
        try:
            super().parse_header(header_plus)
        except (ParsingError, TransferEncodingNotImplemented, ValueError):
            # A coding that we do not know, an integer of thousands of digits, a line that is none.
            self._refuse(refusal.MALFORMED)
        else:
            reason = self._objection(header_plus)
            if reason is None and not self._admits(self.headers):
                reason = refusal.TOO_MANY_CONNECTIONS
            if reason is not None:
                self._refuse(reason)
            elif not self.content_length:
                self.expect_continue = False  # there is nothing to continue with

    def time_out(self) -> None:
        """End the request, which has not arrived in time."""
        self._refuse(refusal.TOO_SLOW)
        self.completed = True

    # Steps -------------------------------------------------------------------------------------

    def _objection(self, block: bytes) -> Refusal | None:
        if len(self.request_uri) > limits.TARGET_BYTES:
            return refusal.TARGET_TOO_LONG
        if block.count(b"\r\n") > limits.HEADER_FIELDS + 2:
            return refusal.HEADERS_TOO_LARGE
        if self.chunked:
            return refusal.WITHOUT_LENGTH
        return None if self._is_well_formed(block) else refusal.MALFORMED

    def _is_well_formed(self, block: bytes) -> bool:
        host = self.headers.get("HOST")
        return (
            self.version in _VERSIONS
            and _TARGET.fullmatch(self.request_uri) is not None
            and (host is not None or self.version == "1.0")
            and (host is None or _HOST.fullmatch(host) is not None)
            and b"\r\ntransfer-encoding:" not in block.lower()
            and b"\r\n " not in block
            and b"\r\n\t" not in block
            and not _repeats_a_single(block, len(self.headers))
        )

    def _reason(self, error: Any) -> Refusal:
        if isinstance(error, RequestEntityTooLarge):
            return refusal.BODY_TOO_LARGE
        if isinstance(error, RequestHeaderFieldsTooLarge):
            line = self.header_plus.split(b"\r\n", 1)[0]
            is_target = len(line) > limits.TARGET_BYTES
            return refusal.TARGET_TOO_LONG if is_target else refusal.HEADERS_TOO_LARGE
        return refusal.MALFORMED

    def _refuse(self, reason: Refusal) -> None:
        self.error = reason
        # No body is read any more, and none is asked for.
        self.body_rcv, self.content_length, self.expect_continue = None, 0, False


def _repeats_a_single(block: bytes, distinct: int) -> bool:
    if block.count(b"\r\n") == distinct + 2:  # the request line, the fields and the empty line
        return False
    fields = block.upper().replace(b"-", b"_").split(b"\r\n")[1:]
    names = [line.partition(b":")[0].decode("latin-1") for line in fields]
    return any(name in _SINGLE and names.count(name) > 1 for name in set(names))
