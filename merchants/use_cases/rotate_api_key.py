"""Rotating a merchant's key."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from merchants.models import ApiKey, overlap_end
from merchants.queries import lock_merchant
from shared import clock, db
from shared.event_bus import publish
from shared.events.merchants import MerchantApiKeyRotated


@dataclass(frozen=True)
class Rotated:
    """The new key, shown once, and when the previous ones stop verifying."""

    key: ApiKey
    plain_key: str
    previous_expire_at: datetime


def rotate_api_key(*, merchant_id: UUID, overlap_seconds: int, now: datetime) -> Rotated:
    """
    Issue a new key beside the old ones and publish Merchant.ApiKey.Rotated.

    The old keys go on verifying for `overlap_seconds` (0 = they end at once), so that no request
    fails while the merchant changes over.
    """
    return db.run_in_transaction(
        lambda: _rotate(merchant_id=merchant_id, overlap_seconds=overlap_seconds, now=now)
    )


def _rotate(*, merchant_id: UUID, overlap_seconds: int, now: datetime) -> Rotated:
    merchant = lock_merchant(merchant_id)
    previous_expire_at = overlap_end(now=now, overlap_seconds=overlap_seconds)
    ApiKey.end_overlap(merchant=merchant, at=previous_expire_at, now=now)
    key, plain_key = ApiKey.issue(merchant=merchant, now=now)
    publish(
        MerchantApiKeyRotated(
            correlation_id=str(merchant.pk),
            subject_id=str(merchant.pk),
            merchant_id=str(merchant.pk),
            occurred_at=clock.iso(now),
            merchant_name=merchant.name,
            merchant_email=merchant.email,
            api_key_id=str(key.pk),
            api_key_prefix=key.prefix,
            api_key_expires_at=clock.iso(key.expires_at),
            previous_key_expires_at=clock.iso(previous_expire_at),
        )
    )
    return Rotated(key, plain_key, previous_expire_at)
