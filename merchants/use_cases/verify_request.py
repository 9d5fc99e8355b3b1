"""Verifying a signed request."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from uuid import UUID

import structlog

from merchants import conf
from merchants.domain.request_signature import (
    Claims,
    SignedRequest,
    claims_of,
    is_fresh,
    is_signed_with,
    message,
    wish,
)
from merchants.models import ApiKey, Merchant
from merchants.queries import list_verifying_keys
from shared import crypto
from shared.errors import DomainError

log = structlog.get_logger(__name__)

_TRIED = conf.MAX_ACTIVE_KEYS + 1
"""With how many keys a refused request was tried, whoever it claimed to be from."""
_MATCHES_NOTHING = secrets.token_urlsafe()
"""Random, because whoever can break a row must not know what to sign with instead."""


class InvalidSignature(DomainError):
    """The request's signature is missing, malformed, stale or wrong."""

    status = 401


@dataclass(frozen=True)
class Verified:
    """Who signed, with which key, under which version."""

    merchant: Merchant
    key: ApiKey
    version: int


def verify_request(*, request: SignedRequest, now: datetime) -> Verified:
    """
    Find the merchant and key that signed a request; `request.body` are the raw bytes as sent.

    Any active key verifies. One that a rotation replaced verifies that rotation asked again, byte
    for byte, and nothing else (Note [A rotation asked again]).

    Every refusal is the same answer after the same work: one look-up, and as many unsealings and
    HMACs as if the merchant had as many keys as it may, also for a malformed header, a stale
    timestamp and a merchant nobody knows.

    Raises:
        InvalidSignature: anything is missing, malformed, stale or wrong.

    """
    claims = claims_of(request)
    looked_up = claims or Claims(UUID(int=0), 0, 1, bytes(32))
    active = list_verifying_keys(looked_up.merchant_id, now)
    tried = [*active, *_asking_again(request, active, now)]
    # A right signature on a request that is refused anyway is not looked for: finding it is quick.
    key = _signer(tried if _is_acceptable(claims, active, now) else [], looked_up, request)
    if key is None:
        raise InvalidSignature
    key.touch(now=now)
    return Verified(active[0].merchant, key, looked_up.version)


def fingerprint_of(request: SignedRequest) -> bytes:
    """What a rotation is known by when it is asked again: a keyed hash of all but its signature."""
    return crypto.fingerprint(wish(request), purpose="rotation request")


def plain_key_of(key: ApiKey) -> str:
    """A key to verify with; of a row that was tampered with, one that matches nothing."""
    try:
        return key.reveal()
    except crypto.DoesNotOpen:
        log.error("a merchant key does not open", api_key_id=str(key.pk))  # noqa: TRY400
        return _MATCHES_NOTHING


def _is_acceptable(claims: Claims | None, active: Sequence[ApiKey], now: datetime) -> bool:
    return (
        claims is not None
        and is_fresh(claims.timestamp, now.timestamp())
        and all(claims.version >= key.merchant.minimum_signature_version for key in active)
    )


def _asking_again(request: SignedRequest, active: Sequence[ApiKey], now: datetime) -> list[ApiKey]:
    # At most one: two rotations that ask for the same under one idempotency key are one.
    fingerprint = fingerprint_of(request)
    return [
        key.replaces
        for key in active
        if key.replaces is not None
        and key.may_be_shown_again(now)
        and crypto.same(bytes(key.rotation_fingerprint or b""), fingerprint)
    ][:1]


def _signer(keys: Sequence[ApiKey], claims: Claims, request: SignedRequest) -> ApiKey | None:
    signed = message(request, claims.version)
    padded = [*keys, *[_nobodys_key()] * (_TRIED - len(keys))]
    matching = (key for key in padded if is_signed_with(plain_key_of(key), claims.digest, signed))
    return next(matching, None)


@lru_cache
def _nobodys_key() -> ApiKey:
    return ApiKey.nobodys()
