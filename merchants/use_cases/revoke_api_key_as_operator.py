"""Revoking a merchant's key on an operator's word."""

from datetime import datetime
from uuid import UUID

from merchants.models import ApiKey
from merchants.queries import get_key
from merchants.use_cases.revoke_api_key import revoke_api_key
from shared import db
from shared.event_bus.operating import tell


def revoke_api_key_as_operator(*, key_id: UUID, actor: str, reason: str, now: datetime) -> ApiKey:
    """
    Make a key useless at once, also a merchant's last one, and tell who did it and why.

    A merchant without an active key is locked out until an operator issues one
    (`issue_api_key_as_operator`). Publishes Merchant.ApiKey.Revoked and Operator.Action.Taken.

    Raises:
        ApiKeyNotFound: there is no such key, or it opens nothing any more.
        ReasonRequired: the reason is empty.

    """

    def revoke_and_tell() -> ApiKey:
        merchant_id = get_key(key_id).merchant_id
        key = revoke_api_key(merchant_id=merchant_id, key_id=key_id, now=now, may_be_last=True)
        about = f"{key_id} of {merchant_id}"
        tell(actor=actor, action="merchants.api_key.revoke", subject=about, reason=reason, now=now)
        return key

    return db.run_in_transaction(revoke_and_tell)
