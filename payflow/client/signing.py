"""
Signing a request: who sends it, when, and an HMAC of what must not change on the way.

Sign the bytes that are sent: whoever encodes the JSON once to sign it and once more to send it will
meet a 401 one day.
"""

import hashlib
import hmac
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Signer:
    """A merchant's id and key; each version gives the three headers that sign a request."""

    merchant_id: str
    api_key: str

    def version_1(self, body: bytes, *, at: float | None = None) -> dict[str, str]:
        """
        Sign the time and the body, which suffices to read, to pay and to store a token.

        `at` is in epoch seconds; now, unless it is given. Signatures are good for 300 seconds.
        """
        timestamp = _timestamp(at)
        return self._headers(timestamp, self._hmac(f"{timestamp}.".encode() + body))

    def version_2(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        idempotency_key: str = "",
        at: float | None = None,
    ) -> dict[str, str]:
        """
        Sign everything, which opens everything.

        `target` is what the request line says: path and query, `/api/v1/payments?limit=5`.
        `idempotency_key` is what the header of this name says; it is not among those given back.
        """
        timestamp, digest = _timestamp(at), hashlib.sha256(body).hexdigest()
        lines = ("v2", timestamp, method, target, idempotency_key, digest)
        return self._headers(timestamp, "v2=" + self._hmac("\n".join(lines).encode()))

    def _hmac(self, message: bytes) -> str:
        return hmac.new(self.api_key.encode(), message, hashlib.sha256).hexdigest()

    def _headers(self, timestamp: str, signature: str) -> dict[str, str]:
        return {
            "X-Merchant-ID": self.merchant_id,
            "X-Timestamp": timestamp,
            "X-Signature": signature,
        }


def _timestamp(at: float | None) -> str:
    return str(int(time.time() if at is None else at))
