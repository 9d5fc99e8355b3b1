"""Verifying a signed request."""

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
)
from merchants.models import ApiKey, Merchant
from merchants.queries import list_verifying_keys
from shared import crypto
from shared.errors import DomainError

log = structlog.get_logger(__name__)


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

    Every refusal is the same answer after the same work: a look-up, an unsealing and an HMAC also
    happen for a malformed header, a stale timestamp and a merchant nobody knows.

    Raises:
        InvalidSignature: anything is missing, malformed, stale or wrong.

    """
    claims = claims_of(request)
    looked_up = claims or Claims(UUID(int=0), 0, 1, bytes(32))
    keys = list_verifying_keys(looked_up.merchant_id, now)
    signed = message(request, looked_up.version)
    matching = [key for key in keys if is_signed_with(plain_key_of(key), looked_up.digest, signed)]
    if not keys:
        is_signed_with(_dummy().reveal(), looked_up.digest, signed)
    if claims is None or not matching or not is_fresh(claims.timestamp, now.timestamp()):
        raise InvalidSignature
    key = matching[0]
    if claims.version < key.merchant.minimum_signature_version:
        raise InvalidSignature
    key.touch(now=now)
    return Verified(key.merchant, key, claims.version)


def plain_key_of(key: ApiKey) -> str:
    """A key to verify with; of a row that was tampered with, one that matches nothing."""
    try:
        return key.reveal()
    except crypto.DoesNotOpen:
        log.error("a merchant key does not open", api_key_id=str(key.pk))  # noqa: TRY400
        return "\0 matches nothing"


@lru_cache
def _dummy() -> ApiKey:
    """A key of nobody, so that unknown merchants cost what known ones cost."""
    key = ApiKey(merchant_id=UUID(int=0), prefix=conf.key_prefix())
    key.sealed_key = crypto.seal(
        b"nobody's key",
        purpose="merchant api key",
        bound_to=f"{key.merchant_id}|{key.pk}",
    )
    return key
