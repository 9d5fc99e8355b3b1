"""A merchant that sends many signed requests at once, and follows each to its end."""

import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import urllib3

_REQUEST_SECONDS = 40
_PATIENCE_SECONDS = 120
_LOOK_EVERY_SECONDS = 0.05
_BUSY = (409, 429, 503)
_UNDECIDED = 202
_DONE = (200, 201)


@dataclass(frozen=True)
class Told:
    """What a request was answered in the end, and when it was under way (seconds of a clock)."""

    status: int
    document: dict[str, Any]
    began: float
    ended: float

    @property
    def is_done(self) -> bool:
        """Whether it was carried out: decided, and not refused."""
        return self.status in _DONE

    @property
    def code(self) -> str:
        """The refusal's code; empty for what was carried out."""
        return "" if self.is_done else str(self.document.get("code", self.status))

    def overlaps(self, other: "Told") -> bool:
        """Whether both were under way at one moment."""
        return self.began < other.ended and other.began < self.ended


class Client:
    """A registered merchant with persistent connections; safe to share by threads."""

    def __init__(self, api: str, merchant_id: str, api_key: str, *, connections: int) -> None:
        self._api, self._merchant_id, self._key = api, merchant_id, api_key.encode()
        self._http = urllib3.PoolManager(
            maxsize=connections, block=False, retries=False, timeout=_REQUEST_SECONDS
        )

    def demand(self, path: str, **body: Any) -> Told:
        """
        POST under a key of its own until there is a final answer.

        A lost connection, 503, a key in use or an answer that says "undecided" is tried again with
        the same key.
        """
        body |= {"idempotencyKey": str(uuid4())}
        began = time.monotonic()
        status, document = self._settled(path, body)
        return Told(status, document, began, time.monotonic())

    def get(self, path: str) -> dict[str, Any]:
        """A resource. Raises: AssertionError for anything but 200."""
        status, document = self._send("GET", path, b"")
        assert status == 200, (status, document)  # noqa: PLR2004, S101
        return document

    def _settled(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        give_up = time.monotonic() + _PATIENCE_SECONDS
        encoded = json.dumps(body).encode()
        while True:
            try:
                status, document = self._send("POST", path, encoded)
            except urllib3.exceptions.HTTPError:
                status, document = 503, {"code": "connection_lost"}
            if not _is_busy(status, document) or time.monotonic() > give_up:
                return status, document
            time.sleep(_LOOK_EVERY_SECONDS)

    def _send(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        timestamp = str(int(time.time()))
        signature = hmac.new(self._key, timestamp.encode() + b"." + body, hashlib.sha256)
        headers = {
            "X-Merchant-ID": self._merchant_id,
            "X-Timestamp": timestamp,
            "X-Signature": signature.hexdigest(),
            "Prefer": "wait=30",
        }
        if body:
            headers["Content-Type"] = "application/json"
        answer = self._http.request(method, self._api + path, body=body or None, headers=headers)
        return answer.status, json.loads(answer.data)


def _is_busy(status: int, document: dict[str, Any]) -> bool:
    if status == _UNDECIDED:
        return True
    waits = document.get("code") in ("idempotency_key_in_use", "too_many_requests", "unavailable")
    return status in _BUSY and (waits or status == 503)  # noqa: PLR2004


class SandboxControl:
    """The acquirer's side: gates to hold calls at, and its book."""

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        self._http = urllib3.PoolManager(maxsize=64, retries=False, timeout=_REQUEST_SECONDS)

    def set_gate(self, name: str, *, is_closed: bool) -> None:
        """Close or open a gate."""
        body = json.dumps({"closed": is_closed}).encode()
        self._ask("PUT", f"/control/gates/{name}", body)

    def waiting_at(self, name: str) -> int:
        """How many calls are held at a gate."""
        return int(self._ask("GET", f"/control/gates/{name}")["waiting"])

    def position(self) -> int:
        """Where the book ends now."""
        lines = self.lines(after=0)
        return int(lines[-1]["sequence"]) if lines else 0

    def lines(self, *, after: int) -> list[dict[str, Any]]:
        """The book's lines behind a position, oldest first."""
        found: list[dict[str, Any]] = []
        place: int | None = after
        while place is not None:
            page = self._ask("GET", f"/book?after={place}&limit=1000")
            found += page["lines"]
            place = page["next"]
        return found

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        answer = self._http.request(method, self._url + path, body=body, headers=self._headers)
        assert answer.status == 200, (path, answer.status, answer.data[:200])  # noqa: PLR2004, S101
        return answer.json()
