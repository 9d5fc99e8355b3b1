"""Issuing a key for a merchant who cannot rotate: it was lost, stolen, or ran out."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError

from merchants.models import ApiKey
from merchants.queries import list_active_keys, lock_merchant
from merchants.use_cases.rotate_api_key import expect_room
from shared import clock, db
from shared.errors import Conflict
from shared.event_bus import publish
from shared.event_bus.operating import tell
from shared.events.merchants import MerchantApiKeyIssued


class KeyIssuedBefore(Conflict):
    """This key was issued already, and a key is shown only once; revoke it if nobody saw it."""


@dataclass(frozen=True)
class Issued:
    """A new key, shown once to the operator who issued it."""

    key: ApiKey
    plain_key: str = field(repr=False)


def issue_api_key_as_operator(
    *, merchant_id: UUID, key_id: UUID, actor: str, reason: str, now: datetime
) -> Issued:
    """
    Issue a key beside those the merchant has; how it gets to the merchant is the operator's care.

    `key_id` is chosen by the door before it asks, so that a form sent twice issues one key.
    Publishes Merchant.ApiKey.Issued and Operator.Action.Taken, neither with the key.

    Raises:
        MerchantNotFound: there is no such merchant.
        TooManyActiveKeys: it has as many as it may; revoke one first.
        KeyIssuedBefore: a key of this id was issued.
        ReasonRequired: the reason is empty.

    """
    try:
        return db.run_in_transaction(lambda: _issue(merchant_id, key_id, actor, reason, now))
    except IntegrityError as error:
        if db.violated_constraint(error) == "api_key_pkey":
            raise KeyIssuedBefore from None
        raise


def _issue(merchant_id: UUID, key_id: UUID, actor: str, reason: str, now: datetime) -> Issued:
    merchant = lock_merchant(merchant_id)
    expect_room(list_active_keys(merchant_id, now), now)
    key, plain_key = ApiKey.issue(merchant=merchant, now=now, key_id=key_id)
    expires_at = clock.iso(key.expires_at)
    publish(MerchantApiKeyIssued(**merchant.facts(now), **key.facts, api_key_expires_at=expires_at))
    about = f"{key_id} of {merchant_id}"
    tell(actor=actor, action="merchants.api_key.issue", subject=about, reason=reason, now=now)
    return Issued(key, plain_key)
