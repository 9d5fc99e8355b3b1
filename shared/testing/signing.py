"""
A merchant's side of the API: signs requests and sends them through Django's test client.

An implementation of its own, and so a second opinion on the client that merchants get.
"""

import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Any

from django.test import Client

JSON = "application/json"
VERSION_1_OPENS = frozenset({"/payments", "/payments/authorize", "/tokens"})
"""What may be changed under a version 1 signature: POST to these, and nothing else."""


def v1_signature(api_key: str, timestamp: str, body: bytes) -> str:
    """`hex(HMAC-SHA256(key, timestamp + "." + body))`."""
    return hmac.digest(api_key.encode(), timestamp.encode() + b"." + body, "sha256").hex()


def v2_signature(
    api_key: str, timestamp: str, method: str, target: str, idempotency_key: str, body: bytes
) -> str:
    """`v2=` and the HMAC over the six lines of version 2."""
    digest = hashlib.sha256(body).hexdigest()
    lines = f"v2\n{timestamp}\n{method}\n{target}\n{idempotency_key}\n{digest}"
    return "v2=" + hmac.digest(api_key.encode(), lines.encode(), "sha256").hex()


@dataclass
class SigningClient:
    """Sends signed requests for one merchant; `api_key` may be replaced to sign wrongly."""

    merchant_id: str
    api_key: str
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    def get(self, path: str, **headers: str) -> Any:
        """A signed GET."""
        return self.send("GET", path, b"", **headers)

    def post(self, path: str, document: Any, **headers: str) -> Any:
        """A signed POST of a JSON document."""
        return self.send("POST", path, json.dumps(document).encode(), **headers)

    def delete(self, path: str, document: Any, **headers: str) -> Any:
        """A signed DELETE with a JSON document."""
        return self.send("DELETE", path, json.dumps(document).encode(), **headers)

    def send(self, method: str, path: str, body: bytes, **headers: str) -> Any:
        """
        A signed request with exactly these bytes; `headers` in WSGI form (HTTP_PREFER).

        Under version 1 where that suffices, else under version 2.
        """
        is_read = method in ("GET", "HEAD", "OPTIONS")
        if is_read or (method == "POST" and path.partition("?")[0] in VERSION_1_OPENS):
            signed = self.signed_headers(body)
        else:
            key = headers.get("HTTP_IDEMPOTENCY_KEY", "")
            signed = self.signed_headers_v2(method, path, body, key=key)
        return self.send_with(method, path, body, signed, **headers)

    def send_with(
        self, method: str, path: str, body: bytes, signed: dict[str, str], **headers: str
    ) -> Any:
        """A request with these signing headers; `headers` may replace them."""
        content_type = {"content_type": JSON} if body else {}
        client: Any = self.client
        return client.generic(
            method,
            "/api/v1" + path,
            body,
            **content_type,
            **(signed | headers),
        )

    def signed_headers(self, body: bytes, *, at: float | None = None) -> dict[str, str]:
        """The three v1 headers for a body, signed now or at another time."""
        timestamp = str(int(time.time() if at is None else at))
        return self._headers(timestamp, v1_signature(self.api_key, timestamp, body))

    def signed_headers_v2(
        self, method: str, path: str, body: bytes, *, key: str = ""
    ) -> dict[str, str]:
        """The three v2 headers for a request; `key` is its `Idempotency-Key`, not among them."""
        timestamp, target = str(int(time.time())), "/api/v1" + path
        signature = v2_signature(self.api_key, timestamp, method, target, key, body)
        return self._headers(timestamp, signature) | {"RAW_URI": target}

    def _headers(self, timestamp: str, signature: str) -> dict[str, str]:
        return {
            "HTTP_X_MERCHANT_ID": self.merchant_id,
            "HTTP_X_TIMESTAMP": timestamp,
            "HTTP_X_SIGNATURE": signature,
        }
