"""Telling merchants that a key is about to end."""

from datetime import datetime
from functools import partial

from merchants import conf
from merchants.models import ApiKey
from shared import clock, db
from shared.event_bus import publish
from shared.events.merchants import MerchantApiKeyExpiring


def warn_of_ending_keys(*, now: datetime) -> int:
    """
    Publish Merchant.ApiKey.Expiring once per key 14 and 3 days before its end; returns how many.

    A key is told of in the transaction that remembers it, so that running this twice, at once or
    after a stop, tells nobody twice. After a stop of days the more urgent word is the only one.
    Keys that were replaced by a rotation are meant to end, unless they are the last that is left.
    """
    warned = 0
    for days in sorted(conf.WARNING_DAYS):
        while batch := db.run_in_transaction(partial(_warn_batch, days, now)):
            warned += batch
    return warned


def _warn_batch(days: int, now: datetime) -> int:
    chosen = ApiKey.objects.to_warn_of(days, now).select_related("merchant").order_by("expires_at")
    locked = chosen.select_for_update(of=("self",), skip_locked=True)
    keys = list(locked[: conf.WARNING_BATCH_SIZE])
    for key in keys:
        key.note_warned(days)
    publish(*(_expiring(key, days, now) for key in keys))
    return len(keys)


def _expiring(key: ApiKey, days: int, now: datetime) -> MerchantApiKeyExpiring:
    return MerchantApiKeyExpiring(
        **key.merchant.facts(now),
        **key.facts,
        api_key_expires_at=clock.iso(key.expires_at),
        days_left=days,
    )
