"""Telling others: signed POSTs from the background, tried again with growing pauses."""

import hashlib
import hmac
import http.client
import ipaddress
import queue
import threading
import time
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import urlsplit

PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0)
_TIMEOUT_SECONDS = 5
_SENDERS = 4
_LONGEST_URL = 2000


@dataclass(frozen=True, slots=True)
class Message:
    """One POST of a JSON body, signed under the name of a header."""

    url: str
    body: bytes
    header: str
    tries: int = 0


class Messenger:
    """Posts messages in any order; what is not delivered after five tries is given up."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[Message, bytes]] = queue.SimpleQueue()

    def start(self) -> None:
        """Begins to post, on threads of its own."""
        for _ in range(_SENDERS):
            threading.Thread(target=self._send_all, name="callbacks", daemon=True).start()

    def post(self, message: Message, secret: bytes) -> None:
        """Hands a message over; never waits."""
        self._queue.put((message, secret))

    def _send_all(self) -> None:
        while True:
            message, secret = self._queue.get()
            if _post(message, secret) or message.tries >= len(PAUSES_SECONDS):
                continue
            again = replace(message, tries=message.tries + 1)
            timer = threading.Timer(PAUSES_SECONDS[message.tries], self.post, (again, secret))
            timer.daemon = True
            timer.start()


def signature(secret: bytes, body: bytes, at: int) -> str:
    """This will sign a body: `t=<epoch>,v1=<hex HMAC-SHA256(secret, t + "." + body)>`."""
    digest = hmac.new(secret, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def is_loopback(url: str) -> bool:
    """Whether a URL is HTTP to this very machine: the sandbox calls nobody else."""
    if not is_web_address(url):
        return False
    parts = urlsplit(url)
    if parts.scheme != "http":
        return False
    if parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def is_web_address(url: str) -> bool:
    """Whether a text is a URL of printable characters that a payer may be sent to."""
    if len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable():
        return False
    # Browsers take a backslash for a slash, and what is before an @ for a login.
    if " " in url or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
        return parts.scheme in ("http", "https") and has_host
    except ValueError:
        return False


def _post(message: Message, secret: bytes) -> bool:
    parts = urlsplit(message.url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {
        "Content-Type": "application/json",
        message.header: signature(secret, message.body, int(time.time())),
    }
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port or 80, timeout=_TIMEOUT_SECONDS
    )
    try:
        connection.request("POST", path, message.body, headers)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
