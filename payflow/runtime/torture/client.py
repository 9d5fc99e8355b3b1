"""A merchant who does not give up: every request is repeated, key and all, until it is answered."""

import hashlib
import hmac
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import urllib3

_REQUEST_SECONDS = 20
_PAUSE_SECONDS = 0.1
_SERVER_ERROR = 500


@dataclass
class Demand:
    """One request under a key of its own, and what became of it."""

    path: str
    body: dict[str, Any]
    key: str = field(default_factory=lambda: str(uuid4()))
    errors: Counter[str] = field(default_factory=Counter)
    status: int = 0
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def is_answered(self) -> bool:
        """Whether there was an answer in the end."""
        return self.status != 0

    @property
    def is_acknowledged(self) -> bool:
        """Whether it was accepted."""
        return 200 <= self.status < 300  # noqa: PLR2004 - success, as HTTP has it

    @property
    def payment_id(self) -> str:
        """The payment it is about, as the answer or the path says."""
        return str(self.document.get("paymentId") or self.path.split("/")[2])


class InsistentMerchant:
    """A registered merchant with persistent connections; safe to share by threads."""

    def __init__(self, api: str, merchant_id: str, api_key: str, *, connections: int) -> None:
        self._api, self._merchant_id, self._key = api, merchant_id, api_key.encode()
        self._http = urllib3.PoolManager(
            maxsize=connections, block=False, retries=False, timeout=_REQUEST_SECONDS
        )

    def settle(self, demand: Demand, *, give_up_at: float) -> None:
        """POST, again and again under the same key, until there is an answer or no patience."""
        body = json.dumps(demand.body | {"idempotencyKey": demand.key}).encode()
        while not demand.is_answered and time.monotonic() < give_up_at:
            status, document = self._send("POST", demand.path, body)
            if error := _error(status, document):
                demand.errors[error] += 1
                time.sleep(_PAUSE_SECONDS)
            else:
                demand.status, demand.document = status, document

    def find(self, path: str) -> dict[str, Any] | None:
        """A resource; None when it could not be had just now."""
        status, document = self._send("GET", path, b"")
        return document if status == 200 else None  # noqa: PLR2004

    def _send(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        timestamp = str(int(time.time()))
        signature = hmac.new(self._key, timestamp.encode() + b"." + body, hashlib.sha256)
        headers = {
            "Content-Type": "application/json",
            "X-Merchant-ID": self._merchant_id,
            "X-Timestamp": timestamp,
            "X-Signature": signature.hexdigest(),
            "Prefer": "wait=2",
        }
        try:
            answer = self._http.request(
                method, self._api + path, body=body or None, headers=headers
            )
            return answer.status, json.loads(answer.data)
        except (urllib3.exceptions.HTTPError, ValueError):
            return 0, {}


def _error(status: int, document: dict[str, Any]) -> str:
    """What went wrong with a request so that it has to be repeated; empty for an answer."""
    if status == 0:
        return "connection lost"
    code = document.get("code")
    # The first try is being accepted at this moment; or we are too fast.
    if status >= _SERVER_ERROR or code in ("idempotency_key_in_use", "too_many_requests"):
        return f"{status} {code}" if code else str(status)
    return ""
