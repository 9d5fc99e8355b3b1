"""Revoking a key."""

from datetime import datetime
from uuid import UUID

from merchants.models import ApiKey
from merchants.queries import get_revocable_key, lock_merchant
from shared import db
from shared.event_bus import publish
from shared.events.merchants import MerchantApiKeyRevoked


def revoke_api_key(
    *, merchant_id: UUID, key_id: UUID, now: datetime, may_be_last: bool = False
) -> ApiKey:
    """
    Make a key useless at once and publish Merchant.ApiKey.Revoked.

    A key that was replaced by a rotation can be revoked for a day, though it may have ended: until
    then it could ask that rotation again.

    Raises:
        ApiKeyNotFound: the merchant has no such key that opens anything.
        LastActiveKey: it is the only active one and must not be; rotate with an overlap of 0.

    """
    return db.run_in_transaction(lambda: _revoke(merchant_id, key_id, now, may_be_last))


def _revoke(merchant_id: UUID, key_id: UUID, now: datetime, may_be_last: bool) -> ApiKey:
    # The merchant's lock keeps two revocations from each believing the other key remains.
    merchant = lock_merchant(merchant_id)
    key = get_revocable_key(merchant_id=merchant_id, key_id=key_id, now=now)
    key.revoke(now=now, may_be_last=may_be_last)
    publish(MerchantApiKeyRevoked(**merchant.facts(now), **key.facts))
    return key
