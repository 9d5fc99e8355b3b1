"""Answering a rotation that is asked again."""

from datetime import datetime
from uuid import UUID

from merchants.queries import get_key, lock_merchant, lock_rotated_key
from merchants.use_cases.verify_request import InvalidSignature
from shared import db
from shared.errors import Conflict
from shared.event_bus import publish
from shared.events.merchants import MerchantApiKeyShownAgain


class KeyNotShownAgain(Conflict):
    """The new key was used or revoked, or the rotation is a day old: it is not shown again."""


def show_rotated_key_again(
    *, merchant_id: UUID, key_id: UUID, signed_with: UUID, now: datetime
) -> None:
    """
    Allow that a rotation's answer, with its new key `key_id`, is given once more, and tell.

    Publishes Merchant.ApiKey.ShownAgain, unless the new key itself signed: it is no secret then.
    See Note [A rotation asked again].

    Raises:
        KeyNotShownAgain: it must not be shown any more.
        InvalidSignature: the same, to a key that opens nothing else.

    """
    if signed_with != key_id:
        db.run_in_transaction(lambda: _show(merchant_id, key_id, signed_with, now))


def _show(merchant_id: UUID, key_id: UUID, signed_with: UUID, now: datetime) -> None:
    merchant = lock_merchant(merchant_id)
    key, signer = lock_rotated_key(merchant_id=merchant_id, key_id=key_id), get_key(signed_with)
    if not key.may_be_shown_again(now) or signer.was_revoked:
        raise KeyNotShownAgain if signer.is_active(now) else InvalidSignature
    publish(
        MerchantApiKeyShownAgain(
            **merchant.facts(now),
            **key.facts,
            signed_with_id=str(signer.pk),
            signed_with_prefix=signer.prefix,
        )
    )
