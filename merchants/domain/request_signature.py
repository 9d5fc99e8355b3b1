r"""
What a signature says: the grammar of the three headers and the bytes that are signed.

v1  `X-Signature: hex(HMAC-SHA256(key, timestamp + "." + rawBody))`
v2  `X-Signature: v2=hex(HMAC-SHA256(key, "v2\n" timestamp "\n" METHOD "\n" target "\n"
    Idempotency-Key "\n" hex(sha256(rawBody))))`

A v1 message begins with a digit and a v2 message with "v", so neither can pass as the other. The
timestamp is exactly ten ASCII digits: with anything looser a digit could move between timestamp
and body under one signature, and `float("nan")` is never stale.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from uuid import UUID

WINDOW_SECONDS = 300

_MERCHANT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_TIMESTAMP = re.compile(r"[0-9]{10}", re.ASCII)
_SIGNATURE = re.compile(r"(v2=)?([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True)
class SignedRequest:
    """A request as it arrived: the headers as text (empty if absent) and the raw bytes."""

    merchant_id: str
    timestamp: str
    signature: str
    method: str
    target: str
    idempotency_key: str
    body: bytes


@dataclass(frozen=True)
class Claims:
    """What a request claims once its headers follow the grammar."""

    merchant_id: UUID
    timestamp: int
    version: int
    digest: bytes


def claims_of(request: SignedRequest) -> Claims | None:
    """The claims, or none when a header is missing, malformed or repeated."""
    signature = _SIGNATURE.fullmatch(request.signature)
    if (
        signature is None
        or not _MERCHANT.fullmatch(request.merchant_id)
        or not _TIMESTAMP.fullmatch(request.timestamp)
    ):
        return None
    return Claims(
        UUID(request.merchant_id),
        int(request.timestamp),
        2 if signature[1] else 1,
        bytes.fromhex(signature[2]),
    )


def is_fresh(timestamp: int, now_seconds: float) -> bool:
    """Whether the timestamp is within the window, in both directions."""
    return abs(now_seconds - timestamp) <= WINDOW_SECONDS


def message(request: SignedRequest, version: int) -> bytes:
    """The bytes that this version signs."""
    if version == 1:
        return request.timestamp.encode("latin-1", "replace") + b"." + request.body
    lines = (
        "v2",
        request.timestamp,
        request.method,
        request.target,
        request.idempotency_key,
        hashlib.sha256(request.body).hexdigest(),
    )
    return "\n".join(lines).encode("latin-1", "replace")


def wish(request: SignedRequest) -> bytes:
    """What a request asks for, as bytes: the same whenever and with whichever key it is signed."""
    lines = (request.method, request.target, request.idempotency_key)
    digest = hashlib.sha256(request.body).hexdigest()
    return "\n".join((*lines, digest)).encode("latin-1", "replace")


def is_signed_with(key: str, digest: bytes, signed: bytes) -> bool:
    """Whether the digest is this key's HMAC of the message; compares in constant time, on bytes."""
    return hmac.compare_digest(hmac.digest(key.encode(), signed, "sha256"), digest)
