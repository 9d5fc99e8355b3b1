"""Letting a suspended merchant go on."""

from datetime import datetime
from uuid import UUID

from merchants.models import Merchant
from merchants.queries import lock_merchant
from shared import db
from shared.event_bus import publish
from shared.event_bus.operating import tell
from shared.events.merchants import MerchantAccountResumed


def resume_merchant(*, merchant_id: UUID, actor: str, reason: str, now: datetime) -> Merchant:
    """
    Take a suspended merchant's changes again, from its next request on, and tell who decided it.

    Publishes Merchant.Account.Resumed and Operator.Action.Taken.

    Raises:
        MerchantNotFound: there is no such merchant.
        NotSuspended: it is not suspended.
        ReasonRequired: the reason is empty.

    """
    with db.transaction():
        merchant = lock_merchant(merchant_id)
        merchant.resume()
        publish(MerchantAccountResumed(**merchant.facts(now)))
        about = str(merchant_id)
        tell(actor=actor, action="merchants.account.resume", subject=about, reason=reason, now=now)
    return merchant
