"""Purging keys that never verify again."""

from datetime import datetime

from merchants import conf
from merchants.models import ApiKey
from shared import db
from shared.event_bus import publish
from shared.events.merchants import MerchantApiKeyExpired


def purge_api_keys(*, now: datetime) -> int:
    """
    Wipe the ciphertext of expired and revoked keys; returns how many.

    Publishes Merchant.ApiKey.Expired for those that reached their end unrevoked. Works in batches,
    so that any number of keys is purged in short transactions.
    """
    purged = 0
    while batch := db.run_in_transaction(lambda: _purge_batch(now=now)):
        purged += batch
    return purged


def _purge_batch(*, now: datetime) -> int:
    chosen = ApiKey.objects.to_purge(now).select_related("merchant").order_by("expires_at")
    keys = list(chosen.select_for_update(of=("self",), skip_locked=True)[: conf.PURGE_BATCH_SIZE])
    for key in keys:
        key.purge(now=now)
    publish(*(_expired(key, now) for key in keys if not key.was_revoked))
    return len(keys)


def _expired(key: ApiKey, now: datetime) -> MerchantApiKeyExpired:
    return MerchantApiKeyExpired(**key.merchant.facts(now), **key.facts)
