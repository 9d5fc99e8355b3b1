"""Revoking a merchant's key on an operator's word."""

from datetime import datetime
from uuid import UUID

from merchants.models import ApiKey
from merchants.use_cases.revoke_api_key import revoke_api_key
from shared import db
from shared.event_bus.operating import tell


def revoke_api_key_as_operator(
    *, merchant_id: UUID, key_id: UUID, actor: str, reason: str, now: datetime
) -> ApiKey:
    """
    Make a key useless at once, as its merchant could, and tell who did it and why.

    Publishes Merchant.ApiKey.Revoked and Operator.Action.Taken.

    Raises:
        ApiKeyNotFound: the merchant has no such active key.
        LastActiveKey: it is the only active one.
        ReasonRequired: the reason is empty.

    """

    def revoke_and_tell() -> ApiKey:
        key = revoke_api_key(merchant_id=merchant_id, key_id=key_id, now=now)
        tell(
            actor=actor,
            action="merchants.api_key.revoke",
            subject=f"{key_id} of {merchant_id}",
            reason=reason,
            now=now,
        )
        return key

    return db.run_in_transaction(revoke_and_tell)
