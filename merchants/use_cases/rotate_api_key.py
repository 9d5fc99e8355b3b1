"""
Rotating a merchant's key.

# Note [A rotation asked again]

An answer can get lost, and with it the only copy of the new key; if the old key ended at once, the
merchant would be locked out. So the new key remembers which request made it, and that request,
sent again byte for byte, may be signed with the replaced key, though that has ended. Whoever stole
the old key must gain nothing from this. The new key is not shown again once anybody has used it,
once either key was revoked, or after a day; the replaced key opens nothing else; and the merchant
is told each time. The new key's row is locked while this is decided, and its first use, which is
written before the request that used it goes on, waits for that lock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from merchants import conf
from merchants.models import ApiKey, TooManyActiveKeys
from merchants.queries import list_active_keys, lock_merchant
from merchants.use_cases.verify_request import InvalidSignature
from shared import clock, db
from shared.event_bus import publish
from shared.events.merchants import MerchantApiKeyRotated


@dataclass(frozen=True)
class Rotated:
    """The new key, shown once, and the one it replaces, which ends when the overlap does."""

    key: ApiKey
    plain_key: str = field(repr=False)
    previous: ApiKey


def rotate_api_key(
    *,
    merchant_id: UUID,
    signed_with: UUID,
    fingerprint: bytes,
    overlap_seconds: int,
    now: datetime,
) -> Rotated:
    """
    Issue a new key in place of the one that signed, and publish Merchant.ApiKey.Rotated.

    The previous key goes on verifying for `overlap_seconds` (0 = it ends at once), but no longer
    than it would have, so that no request fails while the merchant changes over. `fingerprint` is
    what the request is known by when it is asked again (Note [A rotation asked again]).

    Raises:
        InvalidSignature: the key that signed has ended meanwhile.
        TooManyActiveKeys: the merchant would have more than it may.

    """
    return db.run_in_transaction(
        lambda: _rotate(merchant_id, signed_with, fingerprint, overlap_seconds, now)
    )


def expect_room(active: Sequence[ApiKey], now: datetime) -> None:
    """Raises: TooManyActiveKeys unless one more may be active; the merchant has to be locked."""
    if sum(key.is_active(now) for key in active) >= conf.MAX_ACTIVE_KEYS:
        raise TooManyActiveKeys


def _rotate(
    merchant_id: UUID, signed_with: UUID, fingerprint: bytes, overlap_seconds: int, now: datetime
) -> Rotated:
    merchant = lock_merchant(merchant_id)
    active = list_active_keys(merchant_id, now)
    # What others did while this waited for the lock was before it, whatever their clocks said: a
    # key that they ended at once must not rotate any more.
    now = max([now, *(key.created_at for key in active)])
    previous = next((k for k in active if k.pk == signed_with and k.is_active(now)), None)
    if previous is None:
        raise InvalidSignature
    previous.replace(overlap_seconds=overlap_seconds, now=now)
    expect_room(active, now)
    key, plain_key = ApiKey.issue_instead(previous, rotation_fingerprint=fingerprint, now=now)
    publish(
        MerchantApiKeyRotated(
            **merchant.facts(now),
            **key.facts,
            api_key_expires_at=clock.iso(key.expires_at),
            previous_key_id=str(previous.pk),
            previous_key_prefix=previous.prefix,
            previous_key_expires_at=clock.iso(previous.expires_at),
        )
    )
    return Rotated(key, plain_key, previous)
