"""Revoking a key."""

from datetime import datetime
from uuid import UUID

from merchants.models import ApiKey
from merchants.queries import get_active_key, lock_merchant
from shared import clock, db
from shared.event_bus import publish
from shared.events.merchants import MerchantApiKeyRevoked


def revoke_api_key(*, merchant_id: UUID, key_id: UUID, now: datetime) -> ApiKey:
    """
    Make a key useless at once and publish Merchant.ApiKey.Revoked.

    Raises:
        ApiKeyNotFound: the merchant has no such active key.
        LastActiveKey: it is the only active one; rotate with an overlap of 0 instead.

    """
    return db.run_in_transaction(lambda: _revoke(merchant_id=merchant_id, key_id=key_id, now=now))


def _revoke(*, merchant_id: UUID, key_id: UUID, now: datetime) -> ApiKey:
    # The merchant's lock keeps two revocations from each believing the other key remains.
    merchant = lock_merchant(merchant_id)
    key = get_active_key(merchant_id=merchant_id, key_id=key_id, now=now)
    key.revoke(now=now)
    publish(
        MerchantApiKeyRevoked(
            correlation_id=str(merchant.pk),
            subject_id=str(merchant.pk),
            merchant_id=str(merchant.pk),
            occurred_at=clock.iso(now),
            merchant_name=merchant.name,
            merchant_email=merchant.email,
            api_key_id=str(key.pk),
            api_key_prefix=key.prefix,
        )
    )
    return key
