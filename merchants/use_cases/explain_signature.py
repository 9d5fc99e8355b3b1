"""Explaining what is wrong with a signature, in the sandbox."""

import base64
import hashlib
import hmac
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from merchants.domain.request_signature import SignedRequest, claims_of, is_fresh, message
from merchants.models import ApiKey
from merchants.queries import list_verifying_keys
from merchants.use_cases.verify_request import plain_key_of
from shared.identifiers import is_canonical

_ABOUT_VERSION_2 = (
    " Version 2 also covers method and target: send those of the request that you meant here as"
    " ?method=…&target=…"
)


@dataclass(frozen=True)
class Check:
    """One question about a signed request, and its answer for people."""

    part: str
    ok: bool
    message: str


def explain_signature(*, request: SignedRequest, lowest_version: int, now: datetime) -> list[Check]:
    """
    Say which part of a signed request is right or wrong, and guess at the usual mistakes.

    `lowest_version` is that of the signatures which open what the request is for.

    Never shows a key, an expected signature, or anything that helps to make one.
    """
    keys = _keys(request.merchant_id, now)
    return [
        _merchant(request, keys),
        _timestamp(request, now),
        _encoding(request),
        _signature(request, keys),
        _version(request, keys, lowest_version),
    ]


def _keys(merchant_id: str, now: datetime) -> list[ApiKey]:
    return list_verifying_keys(UUID(merchant_id), now) if is_canonical(merchant_id) else []


def _merchant(request: SignedRequest, keys: list[ApiKey]) -> Check:
    if not request.merchant_id:
        return Check("merchant", False, "X-Merchant-ID is missing.")
    if not is_canonical(request.merchant_id):
        return Check("merchant", False, "X-Merchant-ID is not a lower-case UUID of 36 characters.")
    if not keys:
        return Check("merchant", False, "No merchant of this id has an active key.")
    return Check("merchant", True, f"Known, with {len(keys)} active key(s).")


def _timestamp(request: SignedRequest, now: datetime) -> Check:
    text = request.timestamp
    if not (text.isascii() and text.isdigit() and len(text) == 10):
        return Check("timestamp", False, "X-Timestamp is not ten digits of epoch seconds.")
    if not is_fresh(int(text), now.timestamp()):
        difference = round(now.timestamp()) - int(text)
        return Check(
            "timestamp",
            False,
            f"X-Timestamp differs from our clock by {difference} s; 300 are allowed.",
        )
    return Check("timestamp", True, "Within 300 seconds of our clock.")


def _encoding(request: SignedRequest) -> Check:
    digest = request.signature.removeprefix("v2=")
    if not digest:
        return Check("encoding", False, "X-Signature is missing.")
    if len(digest) == 44:
        return Check("encoding", False, "X-Signature looks like base64; send lower-case hex.")
    if digest != digest.lower():
        return Check("encoding", False, "X-Signature has upper-case letters; send lower-case hex.")
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        return Check("encoding", False, "X-Signature is not 64 lower-case hex digits.")
    return Check("encoding", True, "64 lower-case hex digits.")


def _signature(request: SignedRequest, keys: list[ApiKey]) -> Check:
    claims = claims_of(request)
    if claims is None or not keys:
        return Check("signature", False, "Not compared: mend the parts above first.")
    plain_keys = [plain_key_of(key) for key in keys]
    right = message(request, claims.version)
    if _any_matches(plain_keys, claims.digest, [right]):
        return Check("signature", True, "The signature is right.")
    for messages, advice in [*_mistakes(request), *_mistakes_in_version_2(request)]:
        if _any_matches(plain_keys, claims.digest, messages):
            return Check("signature", False, advice)
    size, begins = len(request.body), hashlib.sha256(request.body).hexdigest()[:12]
    return Check(
        "signature",
        False,
        f"Key or body differ. We received {size} body bytes whose SHA-256 begins with {begins};"
        " compare with the bytes you signed, then check that the key is this merchant's."
        + (_ABOUT_VERSION_2 if claims.version > 1 else ""),
    )


def _version(request: SignedRequest, keys: list[ApiKey], lowest_version: int) -> Check:
    claims = claims_of(request)
    if claims and keys and claims.version < keys[0].merchant.minimum_signature_version:
        return Check("version", False, "The merchant is pinned to version 2; this is version 1.")
    if claims and claims.version < lowest_version:
        return Check(
            "version",
            False,
            "This is version 1, which covers neither method nor target. What you ask for wants"
            " version 2: 'v2=' before the digits, and the six lines signed.",
        )
    return Check("version", True, "No older than the merchant and what you ask for demand.")


def _mistakes(request: SignedRequest) -> list[tuple[list[bytes], str]]:
    timestamp, body = request.timestamp.encode(), request.body
    return [
        ([timestamp + body], "Body is right, but the dot between timestamp and body is missing."),
        ([body], "The timestamp is not part of what you signed: sign timestamp + '.' + body."),
        (
            [timestamp + b"." + body + b"\n"],
            "You signed a newline after the body; use printf, not echo.",
        ),
        (
            [timestamp + b"." + body.rstrip(b"\r\n")],
            "You sent a newline after the body that you did not sign.",
        ),
        ([timestamp + b"."], "You signed an empty body but sent one."),
        (
            [base64.b64encode(timestamp + b"." + body)],
            "You signed the base64 of the message; sign its bytes.",
        ),
        (
            [message(request, 1), message(request, 2)],
            "Signed as the other version: v2 needs 'v2=' before the digits.",
        ),
    ]


def _mistakes_in_version_2(request: SignedRequest) -> list[tuple[list[bytes], str]]:
    right = message(request, 2)
    path, _, query = request.target.partition("?")
    head = right.rpartition(b"\n")[0]
    mistakes = [
        ([right + b"\n"], "You signed a newline after the last of the six lines; use printf."),
        ([head + b"\n" + request.body], "The last line is hex(SHA-256(body)), not the body."),
    ]
    if request.idempotency_key:
        unkeyed = replace(request, idempotency_key="")
        advice = "The Idempotency-Key that you sent is not among the lines that you signed."
        mistakes.append(([message(unkeyed, 2)], advice))
    if query:
        advice = "The query is part of the target: sign it, too."
        mistakes.append(([message(replace(request, target=path), 2)], advice))
    return mistakes


def _any_matches(keys: list[str], digest: bytes, messages: list[bytes]) -> bool:
    return any(
        hmac.compare_digest(hmac.digest(key.encode(), message, "sha256"), digest)
        for key in keys
        for message in messages
    )
